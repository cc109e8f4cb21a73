import torch
from torch import nn


class CharLSTM(nn.Module):
    def __init__(self, vocab_size: int, dim: int = 128, hidden: int = 256):
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, dim)
        self.lstm = nn.LSTM(dim, hidden, num_layers=2, batch_first=True)
        self.decoder = nn.Linear(hidden, vocab_size)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        states, _ = self.lstm(self.embedding(x))
        return self.decoder(states)

    @torch.no_grad()
    def sample(self, prompt: torch.Tensor, n: int) -> torch.Tensor:
        for _ in range(n):
            last = self(prompt)[:, -1]
            following = torch.multinomial(torch.softmax(last, dim=-1), 1)
            prompt = torch.cat([prompt, following], dim=1)
        return prompt
