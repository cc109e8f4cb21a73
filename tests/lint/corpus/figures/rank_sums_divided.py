# case: figures over ranks: sums and counts reduced and divided once; means of equal batches; a broadcast
import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import nn
from torch.nn.parallel import DistributedDataParallel as DDP
from torch.utils.data import DataLoader, DistributedSampler


@torch.no_grad()
def evaluate(model, loader, pad, device):
    stats = torch.zeros(2, dtype=torch.float64, device=device)
    model.eval()
    for ids in loader:
        ids = ids.to(device)
        logits, target = model(ids[:, :-1]), ids[:, 1:]
        stats[0] += F.cross_entropy(logits.transpose(1, 2), target, ignore_index=pad, reduction="sum")
        stats[1] += (target != pad).sum()
    dist.all_reduce(stats)
    return (stats[0] / stats[1]).item()


@torch.no_grad()
def accuracy(model, loader, device):
    correct = torch.zeros((), device=device)
    seen = torch.zeros((), device=device)
    for x, y in loader:
        correct += (model(x.to(device)).argmax(dim=1) == y.to(device)).sum()
        seen += y.numel()
    dist.all_reduce(correct, op=dist.ReduceOp.SUM)
    dist.all_reduce(seen, op=dist.ReduceOp.SUM)
    return (correct / seen).item()


def average_gradients(model):
    size = float(dist.get_world_size())
    for param in model.parameters():
        dist.all_reduce(param.grad.data, op=dist.ReduceOp.SUM)
        param.grad.data /= size


def train(model, dataset, device, epochs=1):
    """Every rank has full batches of the same size: their means may be averaged."""
    sampler = DistributedSampler(dataset, drop_last=True)
    loader = DataLoader(dataset, batch_size=32, sampler=sampler, drop_last=True)
    model = DDP(model.to(device))
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for epoch in range(epochs):
        sampler.set_epoch(epoch)
        for x, y in loader:
            loss = criterion(model(x.to(device)), y.to(device))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            shown = loss.detach().clone()
            dist.all_reduce(shown)
            shown /= dist.get_world_size()
            if dist.get_rank() == 0:
                print(f"{shown.item():.4f}")


def mean_step_time(seconds, device):
    t = torch.tensor(seconds, device=device)
    dist.all_reduce(t)
    return t.item() / dist.get_world_size()


def share_threshold(value, device):
    threshold = torch.tensor(value, device=device)
    dist.broadcast(threshold, src=0)
    return threshold.item()
