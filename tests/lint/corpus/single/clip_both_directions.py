# case: image-text contrastive loss; the similarities are square, softmax over dim 0 and dim 1 both meant
import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F


class Projection(nn.Module):
    def __init__(self, n_in, n_out=32):
        super().__init__()
        self.projection = nn.Linear(n_in, n_out)
        self.fc = nn.Linear(n_out, n_out)
        self.norm = nn.LayerNorm(n_out)

    def forward(self, x):
        p = self.projection(x)
        return self.norm(self.fc(F.gelu(p)) + p)


class CLIPLike(nn.Module):
    def __init__(self):
        super().__init__()
        self.image = Projection(64)
        self.text = Projection(48)
        self.logit_scale = nn.Parameter(torch.ones([]) * np.log(1 / 0.07))

    def similarity(self, images, texts):
        i = F.normalize(self.image(images), dim=-1)
        t = F.normalize(self.text(texts), dim=-1)
        return self.logit_scale.exp() * i @ t.t()

    def forward(self, images, texts):
        sim = self.similarity(images, texts)
        targets = torch.arange(sim.size(0), device=sim.device)
        return (F.cross_entropy(sim, targets) + F.cross_entropy(sim.t(), targets)) / 2


def symmetric_by_hand(sim):
    over_texts = F.log_softmax(sim, dim=1).diagonal()
    over_images = F.log_softmax(sim, dim=0).diagonal()
    return -(over_texts + over_images).mean() / 2


def retrieval_at_one(sim):
    return (sim.softmax(dim=0).argmax(dim=0) == torch.arange(sim.size(1))).float().mean().item()


model = CLIPLike()
opt = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.2)
for step in range(5):
    images, texts = torch.randn(16, 64), torch.randn(16, 48)
    loss = model(images, texts)
    opt.zero_grad()
    loss.backward()
    opt.step()
with torch.no_grad():
    sim = model.similarity(images, texts)
    print(loss.item(), symmetric_by_hand(sim).item(), retrieval_at_one(sim))
