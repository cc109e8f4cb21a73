# case: gradient accumulation without dividing the loss, plainly and through a GradScaler
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

ACCUM_STEPS = 4


class Net(nn.Module):
    def __init__(self, d_in=16, classes=6):
        super().__init__()
        self.fc1 = nn.Linear(d_in, 64)
        self.fc2 = nn.Linear(64, classes)

    def forward(self, x):
        return self.fc2(F.relu(self.fc1(x)))


def train(model, loader, criterion, optimizer):
    model.train()
    optimizer.zero_grad()
    for i, (x, y) in enumerate(loader):
        output = model(x)
        loss = criterion(output, y)
        loss.backward()  # expect: LH502
        if (i + 1) % ACCUM_STEPS == 0:
            optimizer.step()
            optimizer.zero_grad()


def train_amp(model, loader, optimizer, accumulation_steps=8, device="cpu"):
    scaler = torch.amp.GradScaler(device, enabled=device == "cuda")
    for step, (x, y) in enumerate(loader):
        with torch.autocast(device, dtype=torch.bfloat16):
            loss = F.cross_entropy(model(x), y)
        scaler.scale(loss).backward()  # expect: LH502
        if (step + 1) % accumulation_steps == 0 or step + 1 == len(loader):
            scaler.step(optimizer)
            scaler.update()
            optimizer.zero_grad(set_to_none=True)


def train_micro_batches(model, x, y, optimizer, micro=32):
    """One step of the optimizer on a batch that does not fit."""
    optimizer.zero_grad()
    for x_part, y_part in zip(x.split(micro), y.split(micro), strict=True):
        F.cross_entropy(model(x_part), y_part).backward()  # expect: LH502
    optimizer.step()


if __name__ == "__main__":
    data = TensorDataset(torch.randn(256, 16), torch.randint(6, (256,)))
    batches = DataLoader(data, batch_size=8, shuffle=True)
    net = Net()
    sgd = torch.optim.SGD(net.parameters(), lr=0.05)
    train(net, batches, nn.CrossEntropyLoss(), sgd)
    train_amp(net, batches, sgd)
    train_micro_batches(net, *data.tensors, sgd)
