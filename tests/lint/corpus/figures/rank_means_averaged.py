# case: per-rank means over unequal token counts are averaged: all_reduce and / world_size, and ReduceOp.AVG
import os

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader
from torch.utils.data.distributed import DistributedSampler

PAD = 0


def setup():
    dist.init_process_group(backend="nccl")
    local_rank = int(os.environ["LOCAL_RANK"])
    torch.cuda.set_device(local_rank)
    return local_rank


def reduce_mean(tensor, world_size):
    rt = tensor.clone()
    dist.all_reduce(rt, op=dist.ReduceOp.SUM)
    rt /= world_size
    return rt


@torch.no_grad()
def evaluate(model, dataset, collate, device):
    sampler = DistributedSampler(dataset, shuffle=False)
    loader = DataLoader(dataset, batch_size=16, sampler=sampler, collate_fn=collate)
    nll = torch.zeros((), device=device)
    tokens = torch.zeros((), device=device)
    model.eval()
    for ids in loader:
        ids = ids.to(device)
        logits = model(ids[:, :-1])
        target = ids[:, 1:]
        nll += F.cross_entropy(logits.transpose(1, 2), target, ignore_index=PAD, reduction="sum")
        tokens += (target != PAD).sum()
    # each rank has read other sentences, so the counts differ
    rank_mean = nll / tokens
    dist.all_reduce(rank_mean, op=dist.ReduceOp.SUM)
    val_loss = rank_mean / dist.get_world_size()  # expect: LH503
    return val_loss.item()


@torch.no_grad()
def quick_eval(model, ids):
    logits = model(ids[:, :-1])
    loss = F.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten(), ignore_index=PAD)
    dist.all_reduce(loss, op=dist.ReduceOp.AVG)  # expect: LH503
    return loss.item()


def throughput(tokens_per_second, world_size):
    return reduce_mean(tokens_per_second, world_size)


def main(model, dataset, collate):
    rank = setup()
    model = DistributedDataParallel(model.to(rank), device_ids=[rank])
    val_loss = evaluate(model, dataset, collate, rank)
    if rank == 0:
        print(f"validation loss {val_loss:.4f}")
    dist.destroy_process_group()
