# case: sigmoid outside of training mode only; BCE-with-logits in training, BCE in evaluation: both fit
import torch
import torch.nn as nn
import torch.nn.functional as F


class ClickModel(nn.Module):
    """A factorisation machine for click-through rates."""

    def __init__(self, field_dims=(50, 30, 20), embed_dim=8):
        super().__init__()
        self.register_buffer("offsets", torch.tensor((0, *field_dims[:-1])).cumsum(0))
        n = sum(field_dims)
        self.linear = nn.Embedding(n, 1)
        self.embedding = nn.Embedding(n, embed_dim)
        self.bias = nn.Parameter(torch.zeros(1))
        nn.init.xavier_uniform_(self.embedding.weight.data)

    def forward(self, x):
        x = x + self.offsets
        e = self.embedding(x)
        pairwise = 0.5 * (e.sum(1) ** 2 - (e**2).sum(1)).sum(1)
        z = self.linear(x).sum(1).squeeze(1) + self.bias + pairwise
        return z if self.training else torch.sigmoid(z)


def train(model, opt, batches):
    model.train()
    for x, y in batches:
        loss = F.binary_cross_entropy_with_logits(model(x), y)
        opt.zero_grad()
        loss.backward()
        opt.step()
    return loss.item()


@torch.no_grad()
def log_loss(model, batches):
    model.eval()
    total = n = 0
    for x, y in batches:
        p = model(x)
        total += F.binary_cross_entropy(p, y, reduction="sum").item()  # allow: LH109
        n += y.numel()
    return total / n


if __name__ == "__main__":
    highs = torch.tensor([50, 30, 20])
    batches = [((torch.rand(64, 3) * highs).long(), torch.randint(0, 2, (64,)).float()) for _ in range(4)]
    fm = ClickModel()
    adam = torch.optim.Adam(fm.parameters(), lr=1e-3)
    for epoch in range(2):
        print(epoch, train(fm, adam, batches), log_loss(fm, batches))
