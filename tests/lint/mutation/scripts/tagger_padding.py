"""A bidirectional LSTM that tags words; the tags are padded with a tag of its own."""

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.rnn import pad_sequence

PAD_WORD, PAD_TAG = 0, 0
TAGS = ["<pad>", "DET", "NOUN", "VERB", "ADJ"]
WORDS = 25


def sentences(n):
    generator = torch.Generator().manual_seed(1)
    words, tags = [], []
    for _ in range(n):
        length = int(torch.randint(2, 8, (1,), generator=generator))
        words.append(torch.randint(1, WORDS, (length,), generator=generator))
        tags.append(words[-1] % (len(TAGS) - 1) + 1)
    return words, tags


def pad(words, tags):
    padded_words = pad_sequence(words, batch_first=True, padding_value=PAD_WORD)
    padded_tags = pad_sequence(tags, batch_first=True, padding_value=PAD_TAG)
    return padded_words, padded_tags


class Tagger(nn.Module):
    def __init__(self, dim=12, hidden=10):
        super().__init__()
        self.embed = nn.Embedding(WORDS, dim, padding_idx=PAD_WORD)
        self.lstm = nn.LSTM(dim, hidden, bidirectional=True, batch_first=True)
        self.hidden2tag = nn.Linear(2 * hidden, len(TAGS))

    def forward(self, words):
        states, _ = self.lstm(self.embed(words))
        return self.hidden2tag(states)


def run(model, words, tags, optimizer=None):
    nll, scored = 0.0, 0
    for start in range(0, len(words), 6):
        batch_words, batch_tags = pad(words[start : start + 6], tags[start : start + 6])
        logits = model(batch_words)
        loss = F.cross_entropy(logits.permute(0, 2, 1), batch_tags, ignore_index=PAD_TAG)
        if optimizer is not None:
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        count = (batch_tags != PAD_TAG).sum().item()
        nll += loss.item() * count
        scored += count
    return nll / scored


def main():
    torch.manual_seed(0)
    words, tags = sentences(20)
    model = Tagger()
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-2)
    for epoch in range(3):
        print(f"epoch {epoch} nll {run(model, words, tags, optimizer):.6f}")
    model.eval()
    batch_words, batch_tags = pad(words, tags)
    with torch.no_grad():
        best = model(batch_words).argmax(dim=2)
    correct = (best == batch_tags)[batch_tags != PAD_TAG]
    print(f"accuracy {correct.float().mean().item():.6f}")


if __name__ == "__main__":
    main()
