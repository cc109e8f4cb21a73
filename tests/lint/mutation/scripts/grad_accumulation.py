"""Four equal micro-batches make one step; each loss is divided by their number."""

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

ACCUMULATION_STEPS = 4


class PatchMixer(nn.Module):
    def __init__(self, patches=9, channels=12, classes=7):
        super().__init__()
        self.embed = nn.Conv2d(3, channels, kernel_size=4, stride=4)
        self.tokens = nn.Linear(patches, patches)
        self.channels = nn.Linear(channels, channels)
        self.head = nn.Linear(channels, classes)

    def forward(self, images):
        x = self.embed(images).flatten(2)
        x = x + torch.relu(self.tokens(x))
        x = x.transpose(1, 2)
        x = x + torch.relu(self.channels(x))
        return self.head(x.mean(dim=1))


def train(model, loader, optimizer, loss_fn):
    model.train()
    optimizer.zero_grad()
    for step, (images, labels) in enumerate(loader):
        logits = model(images)
        loss = loss_fn(logits, labels) / ACCUMULATION_STEPS
        loss.backward()
        if (step + 1) % ACCUMULATION_STEPS == 0:
            optimizer.step()
            optimizer.zero_grad()


def accuracy(model, loader):
    model.eval()
    correct = seen = 0
    with torch.no_grad():
        for images, labels in loader:
            pred = model(images).argmax(dim=-1)
            correct += (pred == labels).sum().item()
            seen += labels.numel()
    return correct / seen


def main():
    torch.manual_seed(0)
    dataset = TensorDataset(torch.randn(32, 3, 12, 12), torch.randint(7, (32,)))
    loader = DataLoader(dataset, batch_size=4, shuffle=True, drop_last=True)
    model = PatchMixer()
    loss_fn = nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    for _ in range(3):
        train(model, loader, optimizer, loss_fn)
    images, labels = dataset.tensors
    with torch.no_grad():
        final = loss_fn(model(images), labels)
    print(f"loss {final.item():.6f} accuracy {accuracy(model, loader):.4f}")


if __name__ == "__main__":
    main()
