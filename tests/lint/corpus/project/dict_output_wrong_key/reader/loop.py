import torch

from .model import DocumentReader
from .objective import Objective


def run(steps=1000, vocab=3000, n_labels=9, device="cpu"):
    model = DocumentReader(vocab, n_labels).to(device)
    objective = Objective()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    for step in range(steps):
        ids = torch.randint(vocab, (16, 80), device=device)
        labels = torch.randint(n_labels, (16,), device=device)
        out = model(ids)
        losses = objective(out, labels)  # allow: LH101
        optimizer.zero_grad()
        losses["total"].backward()
        optimizer.step()
        if step % 100 == 0:
            accuracy = (out["probs"].argmax(-1) == labels).float().mean()
            print(step, {k: round(v.item(), 4) for k, v in losses.items()}, f"{accuracy:.2f}")
    return model


if __name__ == "__main__":
    run()
