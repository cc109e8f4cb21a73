# case: multilabel tagger; the loss comes out of a dict by a string, each choice clashes with the sigmoid
import argparse

import torch
import torch.nn as nn

LOSSES = {
    "bce_logits": nn.BCEWithLogitsLoss(),
    "bce_logits_sum": nn.BCEWithLogitsLoss(reduction="sum"),
}


class BagOfWords(nn.Module):
    def __init__(self, vocab=1000, dim=64, n_tags=12):
        super().__init__()
        self.bag = nn.EmbeddingBag(vocab, dim, mode="mean")
        self.head = nn.Sequential(nn.Linear(dim, dim), nn.GELU(), nn.Linear(dim, n_tags))
        self.head.append(nn.Sigmoid())

    def forward(self, ids):
        return self.head(self.bag(ids))


def get_args():
    p = argparse.ArgumentParser()
    p.add_argument("--loss", choices=list(LOSSES), default="bce_logits")
    p.add_argument("--steps", type=int, default=10)
    return p.parse_args()


if __name__ == "__main__":
    args = get_args()
    net = BagOfWords()
    optim = (
        torch.optim.SparseAdam(net.bag.parameters()) if net.bag.sparse else torch.optim.Adam(net.parameters())
    )
    for step in range(args.steps):
        ids = torch.randint(0, 1000, (32, 15))
        tags = (torch.rand(32, 12) < 0.2).float()
        optim.zero_grad()
        loss = LOSSES[args.loss](net(ids), tags)  # expect: LH106
        loss.backward()
        optim.step()
    with torch.no_grad():
        print((net(ids) > 0.5).float().eq(tags).float().mean())
