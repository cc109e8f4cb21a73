import sys

import torch
import torch.nn.functional as F

from charlm import CharLSTM, Corpus


def train(path: str, steps: int = 2000, batch_size: int = 64, length: int = 64) -> CharLSTM:
    with open(path) as f:
        corpus = Corpus(f.read())
    model = CharLSTM(len(corpus.alphabet))
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    for step in range(steps):
        x, y = corpus.batch(batch_size, length)
        logits = model(x)
        loss = F.cross_entropy(logits, y)  # expect: LH301
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 0.5)
        optimizer.step()
        if step % 100 == 0:
            print(step, loss.item())
    return model


if __name__ == "__main__":
    train(sys.argv[1])
