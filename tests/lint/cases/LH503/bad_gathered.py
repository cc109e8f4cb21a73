"""The mean of what was gathered from the ranks, each of which divided by its own count."""

import torch
import torch.distributed as dist
import torch.nn.functional as F


@torch.no_grad()
def validate(model, loader):
    nats, tokens = torch.zeros(()), 0
    for x, y in loader:
        nats += F.cross_entropy(model(x), y, ignore_index=0, reduction="sum")
        tokens += (y != 0).sum()
    mean = nats / tokens
    means = [torch.zeros_like(mean) for _ in range(dist.get_world_size())]
    dist.all_gather(means, mean)
    return torch.stack(means).mean().item()  # expect: LH503
