"""Metrics of a distributed evaluation: sums travel, the division comes last."""

import os
import tempfile

import torch
import torch.nn.functional as F
from torch import distributed, nn


class Accumulator:
    """Sums and counts that can be added up over the ranks."""

    def __init__(self):
        self.nll = torch.zeros(1)
        self.hits = torch.zeros(1)
        self.examples = torch.zeros(1)

    def update(self, logits, labels):
        self.nll += F.cross_entropy(logits, labels, reduction="sum")
        self.hits += (logits.argmax(dim=-1) == labels).sum()
        self.examples += labels.numel()

    def compute(self):
        nll, examples = self.nll.clone(), self.examples.clone()
        distributed.all_reduce(nll, op=distributed.ReduceOp.SUM)
        distributed.all_reduce(examples, op=distributed.ReduceOp.SUM)
        loss = nll / examples
        hits = self.hits.clone()
        distributed.all_reduce(hits)
        return loss.item(), (hits / examples).item()


def build(width, classes):
    return nn.Sequential(nn.Linear(width, 20), nn.Tanh(), nn.Linear(20, classes))


def setup(folder):
    distributed.init_process_group(
        "gloo",
        init_method=f"file://{folder}/rendezvous",
        rank=int(os.environ.get("RANK", 0)),
        world_size=int(os.environ.get("WORLD_SIZE", 1)),
    )


def main():
    torch.manual_seed(2)
    model = build(6, 4)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    inputs, labels = torch.randn(26, 6), torch.randint(4, (26,))
    with tempfile.TemporaryDirectory() as folder:
        setup(folder)
        for rows in torch.arange(26).split(10):
            logits = model(inputs[rows])
            loss = F.cross_entropy(logits, labels[rows])
            optimizer.zero_grad()
            loss.backward()
            for parameter in model.parameters():
                distributed.all_reduce(parameter.grad)
                parameter.grad /= distributed.get_world_size()
            optimizer.step()
        metrics = Accumulator()
        with torch.no_grad():
            for rows in torch.arange(26).split(8):
                metrics.update(model(inputs[rows]), labels[rows])
        loss, accuracy = metrics.compute()
        print(f"loss {loss:.6f} accuracy {accuracy:.6f}")
        distributed.destroy_process_group()


if __name__ == "__main__":
    main()
