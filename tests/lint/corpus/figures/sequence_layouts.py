# case: sequence and image logits brought to cross-entropy by permute, view, flatten, or right from the start
import torch
import torch.nn as nn
import torch.nn.functional as F

V = 50


class LM(nn.Module):
    def __init__(self, batch_first=True, dim=32):
        super().__init__()
        self.emb = nn.Embedding(V, dim)
        self.rnn = nn.LSTM(dim, dim, batch_first=batch_first)
        self.out = nn.Linear(dim, V)

    def forward(self, ids):
        h, _ = self.rnn(self.emb(ids))
        return self.out(h)


class TCN(nn.Module):
    """Its classes are in dimension 1 from the start: [B, V, T]."""

    def __init__(self, dim=32):
        super().__init__()
        self.emb = nn.Embedding(V, dim)
        self.conv = nn.Sequential(nn.Conv1d(dim, dim, 3, padding=1), nn.ReLU(), nn.Conv1d(dim, V, 1))

    def forward(self, ids):
        return self.conv(self.emb(ids).transpose(1, 2))


def permuted(ids, target):
    return F.cross_entropy(LM()(ids).permute(0, 2, 1), target)


def transposed(ids, target):
    logits = LM()(ids)
    return nn.CrossEntropyLoss()(logits.transpose(1, 2), target)


def viewed(ids, target):
    logits = LM()(ids)
    return F.cross_entropy(logits.view(-1, logits.size(-1)), target.reshape(-1))


def flattened(ids, target):
    return F.cross_entropy(LM()(ids).flatten(0, 1), target.flatten())


def time_first(ids, target):
    logits = LM(batch_first=False)(ids.t())
    return F.cross_entropy(logits.reshape(-1, V), target.t().reshape(-1))


def convolved(ids, target):
    return F.cross_entropy(TCN()(ids), target)


def last_step(ids, target):
    logits = LM()(ids)
    return F.cross_entropy(logits[:, -1], target[:, -1])


def segmentation():
    net = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 5, 1))
    return F.cross_entropy(net(torch.randn(2, 3, 16, 16)), torch.randint(5, (2, 16, 16)))


def rearranged(ids, target):
    logits = torch.einsum("btv->bvt", LM()(ids))
    return F.cross_entropy(logits, target)


def step_by_step(ids, target):
    logits = LM()(ids)
    return sum(F.cross_entropy(logits[:, t], target[:, t]) for t in range(ids.size(1))) / ids.size(1)


if __name__ == "__main__":
    tokens = torch.randint(V, (4, 13))
    for fn in (
        permuted,
        transposed,
        viewed,
        flattened,
        time_first,
        convolved,
        last_step,
        rearranged,
        step_by_step,
    ):
        print(fn.__name__, fn(tokens[:, :-1], tokens[:, 1:]).item())
    print(segmentation().item())
