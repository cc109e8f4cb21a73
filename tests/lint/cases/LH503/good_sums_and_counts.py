"""Sums and counts are reduced, and divided once; or the ranks have batches of the same size."""

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch.utils.data import DataLoader, DistributedSampler


def sums_then_one_division(model, loader, device):
    nll, tokens = torch.zeros(1, device=device), torch.zeros(1, device=device)
    for ids in loader:
        target = ids[:, 1:]
        nll += F.cross_entropy(model(ids[:, :-1]).transpose(1, 2), target, reduction="sum")
        tokens += (target != 0).sum()
    dist.all_reduce(nll)
    dist.all_reduce(tokens)
    return nll / tokens


def loss_of_even_batches(model, dataset, optimizer):
    loader = DataLoader(dataset, batch_size=32, sampler=DistributedSampler(dataset))
    for x, y in loader:
        loss = F.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        shown = loss.detach().clone()
        dist.all_reduce(shown, op=dist.ReduceOp.SUM)
        print(shown.item() / dist.get_world_size())


def gradients(model):
    for p in model.parameters():
        dist.all_reduce(p.grad, op=dist.ReduceOp.SUM)
        p.grad /= dist.get_world_size()


def largest(model, ids):
    loss = F.cross_entropy(model(ids[:, :-1]).flatten(0, 1), ids[:, 1:].flatten(), ignore_index=0)
    dist.all_reduce(loss, op=dist.ReduceOp.MAX)
    return loss.item()


def accuracy(correct, seen):
    dist.all_reduce(correct)
    dist.all_reduce(seen)
    return (correct / seen).item()
