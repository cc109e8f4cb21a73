# case: DDP, torch.compile, autocast and a GradScaler around a model of logits: nothing is wrong
import os

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import nn
from torch.nn.parallel import DistributedDataParallel as DDP
from torch.utils.data import DataLoader, DistributedSampler
from torchvision.models import resnet18
from torchvision.ops import sigmoid_focal_loss


class TwoHeads(nn.Module):
    def __init__(self, n_classes=200, n_attributes=312):
        super().__init__()
        self.trunk = resnet18(num_classes=512)
        self.species = nn.Linear(512, n_classes)
        self.attributes = nn.Linear(512, n_attributes)

    def forward(self, x):
        h = torch.relu(self.trunk(x))
        return {"species": self.species(h), "attributes": self.attributes(h)}


def setup(rank, world_size):
    os.environ.setdefault("MASTER_ADDR", "localhost")
    os.environ.setdefault("MASTER_PORT", "29500")
    dist.init_process_group("nccl", rank=rank, world_size=world_size)
    torch.cuda.set_device(rank)


def worker(rank, world_size, dataset, epochs):
    setup(rank, world_size)
    sampler = DistributedSampler(dataset, shuffle=True)
    loader = DataLoader(dataset, batch_size=32, sampler=sampler, drop_last=True, pin_memory=True)
    model = DDP(torch.compile(TwoHeads().to(rank)), device_ids=[rank])
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, nesterov=True)
    scaler = torch.amp.GradScaler("cuda")
    ce = nn.CrossEntropyLoss(label_smoothing=0.1).to(rank)

    for epoch in range(epochs):
        sampler.set_epoch(epoch)
        for x, species, attributes in loader:
            x, species, attributes = x.to(rank), species.to(rank), attributes.to(rank)
            optimizer.zero_grad()
            with torch.autocast("cuda", dtype=torch.float16):
                out = model(x)
                focal = sigmoid_focal_loss(out["attributes"], attributes.float(), reduction="mean")
                loss = ce(out["species"], species) + focal
            scaler.scale(loss).backward()
            scaler.step(optimizer)
            scaler.update()
    if rank == 0:
        torch.save(model.module.state_dict(), "two_heads.pt")
    dist.destroy_process_group()


@torch.no_grad()
def describe(model, image):
    out = model(image.unsqueeze(0))
    species = out["species"].softmax(-1).topk(3)
    present = out["attributes"].sigmoid() > 0.5
    return species.indices[0].tolist(), present.nonzero()[:, 1].tolist()


def main(dataset, epochs=10):
    world_size = torch.cuda.device_count()
    mp.spawn(worker, args=(world_size, dataset, epochs), nprocs=world_size)
