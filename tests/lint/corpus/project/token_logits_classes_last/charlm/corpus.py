import torch


class Corpus:
    def __init__(self, text: str):
        self.alphabet = sorted(set(text))
        index = {c: i for i, c in enumerate(self.alphabet)}
        self.data = torch.tensor([index[c] for c in text])

    def batch(self, batch_size: int, length: int):
        starts = torch.randint(len(self.data) - length - 1, (batch_size,))
        x = torch.stack([self.data[s : s + length] for s in starts])
        y = torch.stack([self.data[s + 1 : s + length + 1] for s in starts])
        return x, y
