# case: metric learning; distances and cosines cut at 0.5 and 0.7 are not logits, triplet and cosine losses
import torch
from torch import nn
from torch.nn.functional import cosine_similarity, normalize, pairwise_distance, triplet_margin_loss


class Embedder(nn.Module):
    def __init__(self, n_in=64, n_out=16):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(n_in, 48), nn.PReLU(), nn.Linear(48, n_out))

    def forward(self, x):
        return normalize(self.body(x), p=2, dim=1)


class ArcHead(nn.Module):
    """Cosines as logits, with a margin on the angle of the true class, times a scale."""

    def __init__(self, n_emb, n_id, scale=16.0, margin=0.2):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(n_id, n_emb))
        self.scale, self.margin = scale, margin

    def forward(self, emb, label):
        cos = emb @ normalize(self.weight, dim=1).t()
        theta = torch.acos(cos.clamp(-1 + 1e-6, 1 - 1e-6))
        one_hot = torch.zeros_like(cos).scatter_(1, label[:, None], 1.0)
        return self.scale * torch.cos(theta + self.margin * one_hot)


def verify(model, a, b, threshold=0.5):
    with torch.no_grad():
        d = pairwise_distance(model(a), model(b))
        c = cosine_similarity(model(a), model(b))
    return (d < threshold) | (c > 0.7)


def same_person(model, a, b):
    return bool((model(a) * model(b)).sum() > 0.5)


net, arc = Embedder(), ArcHead(16, 9)
opt = torch.optim.Adam([*net.parameters(), *arc.parameters()], lr=1e-3)
xent = nn.CrossEntropyLoss()
for _ in range(10):
    anchor, positive, negative = (torch.randn(32, 64) for _ in range(3))
    who = torch.randint(0, 9, (32,))
    e = net(anchor)
    loss = triplet_margin_loss(e, net(positive), net(negative), margin=0.3) + xent(arc(e, who), who)
    opt.zero_grad()
    loss.backward()
    opt.step()
print(loss.item(), verify(net, anchor, positive).sum().item(), same_person(net, anchor[:1], positive[:1]))
