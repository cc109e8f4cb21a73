"""Data-parallel training; the validation loss is one sum and one count over all ranks."""

import os
import tempfile

import torch
import torch.distributed as dist
import torch.nn as nn
from torch.nn.parallel import DistributedDataParallel as DDP
from torch.utils.data import DataLoader, TensorDataset
from torch.utils.data.distributed import DistributedSampler

NUM_CLASSES = 3


class ToyNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.net1 = nn.Linear(10, 16)
        self.relu = nn.ReLU()
        self.net2 = nn.Linear(16, NUM_CLASSES)

    def forward(self, x):
        return self.net2(self.relu(self.net1(x)))


def validate(model, loader, device):
    model.eval()
    loss_sum = torch.zeros((), device=device)
    count = torch.zeros((), device=device)
    criterion = nn.CrossEntropyLoss(reduction="sum")
    with torch.no_grad():
        for inputs, targets in loader:
            inputs, targets = inputs.to(device), targets.to(device)
            loss_sum += criterion(model(inputs), targets)
            count += targets.size(0)
    dist.all_reduce(loss_sum)
    dist.all_reduce(count)
    return (loss_sum / count).item()


def train(model, loader, device, epochs):
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    for epoch in range(epochs):
        loader.sampler.set_epoch(epoch)
        model.train()
        for inputs, targets in loader:
            outputs = model(inputs.to(device))
            loss = criterion(outputs, targets.to(device))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def main():
    rank, world_size = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    with tempfile.TemporaryDirectory() as folder:
        store = f"file://{folder}/store"
        dist.init_process_group("gloo", init_method=store, rank=rank, world_size=world_size)
        torch.manual_seed(0)
        dataset = TensorDataset(torch.randn(34, 10), torch.randint(NUM_CLASSES, (34,)))
        sampler = DistributedSampler(dataset, shuffle=True)
        loader = DataLoader(dataset, batch_size=8, sampler=sampler)
        device = torch.device("cpu")
        model = DDP(ToyNet().to(device))
        train(model, loader, device, epochs=2)
        validation = validate(model, loader, device)
        if rank == 0:
            print(f"validation loss {validation:.6f}")
        dist.destroy_process_group()


if __name__ == "__main__":
    main()
