import torch

__all__ = ["evaluate", "train_one_epoch"]


def train_one_epoch(model, loader, loss_fn, optimizer, device="cpu"):
    model.train()
    seen, total = 0, 0.0
    for images, labels in loader:
        images = images.to(device)
        labels = labels.to(device)
        optimizer.zero_grad(set_to_none=True)
        out = model(images)
        loss = loss_fn(out, labels)  # expect: LH104
        loss.backward()
        optimizer.step()
        total += loss.item() * labels.numel()
        seen += labels.numel()
    return total / seen


@torch.no_grad()
def evaluate(model, loader, device="cpu"):
    model.eval()
    hits = seen = 0
    for images, labels in loader:
        predicted = model(images.to(device)).argmax(1)
        hits += int((predicted == labels.to(device)).sum())
        seen += labels.numel()
    return hits / seen
