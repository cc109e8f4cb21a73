import torch

from .model import DocumentReader
from .objective import Objective, confidence


def run(steps=1000, vocab=3000, n_labels=9):
    model = DocumentReader(vocab, n_labels)
    objective = Objective()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    for step in range(steps):
        ids = torch.randint(vocab, (16, 80))
        labels = torch.randint(n_labels, (16,))
        out = model(ids)
        loss = objective(out, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 100 == 0:
            print(step, loss.item(), confidence(out).item())
    return model


if __name__ == "__main__":
    run()
