"""Each rank divides by a count of its own, and the means are averaged over the ranks."""

import torch
import torch.distributed as dist
import torch.nn.functional as F


def over_world_size(model, loader, device):
    nll, tokens = torch.zeros(1, device=device), torch.zeros(1, device=device)
    for ids in loader:
        target = ids[:, 1:]
        nll += F.cross_entropy(model(ids[:, :-1]).transpose(1, 2), target, reduction="sum")
        tokens += (target != 0).sum()
    mean = nll / tokens
    dist.all_reduce(mean)
    return mean / dist.get_world_size()  # expect: LH503


def in_place(model, ids, world_size):
    loss = F.cross_entropy(model(ids[:, :-1]).flatten(0, 1), ids[:, 1:].flatten(), ignore_index=0)
    dist.all_reduce(loss, op=dist.ReduceOp.SUM)
    loss /= world_size  # expect: LH503
    return loss.item()


def by_the_op(model, ids):
    loss = F.cross_entropy(model(ids[:, :-1]).flatten(0, 1), ids[:, 1:].flatten(), ignore_index=0)
    shown = loss.detach().clone()
    dist.all_reduce(shown, op=dist.ReduceOp.AVG)  # expect: LH503
    return shown.item()


def reduce_mean(tensor):
    reduced = tensor.clone()
    dist.all_reduce(reduced, op=dist.ReduceOp.SUM)
    return reduced / dist.get_world_size()  # expect: LH503


def by_a_helper(model, ids):
    loss = F.cross_entropy(model(ids[:, :-1]).flatten(0, 1), ids[:, 1:].flatten(), ignore_index=0)
    return reduce_mean(loss)
