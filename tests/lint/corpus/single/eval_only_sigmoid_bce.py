# case: forward applies the sigmoid only outside of training mode, and nn.BCELoss is used in training mode
import torch
import torch.nn as nn


class CreditRisk(nn.Module):
    def __init__(self, n_num=10, cards=(7, 4, 12)):
        super().__init__()
        self.embs = nn.ModuleList([nn.Embedding(c, 4) for c in cards])
        self.mlp = nn.Sequential(nn.Linear(n_num + 4 * len(cards), 32), nn.SELU(), nn.AlphaDropout(0.05))
        self.final = nn.Linear(32, 1)

    def forward(self, num, cat):
        parts = [num]
        for k, emb in enumerate(self.embs):
            parts.append(emb(cat[:, k]))
        z = self.final(self.mlp(torch.cat(parts, dim=1))).flatten()
        if not self.training:
            z = torch.sigmoid(z)
        return z


def make_batch(n=64):
    cat = torch.stack([torch.randint(0, c, (n,)) for c in (7, 4, 12)], dim=1)
    return torch.randn(n, 10), cat, torch.randint(0, 2, (n,)).float()


class Runner:
    def __init__(self, model):
        self.model = model
        self.loss = nn.BCELoss()
        self.opt = torch.optim.Adam(model.parameters(), lr=1e-3)

    def train_batch(self, num, cat, default):
        self.model.train()
        pred = self.model(num, cat)
        loss = self.loss(pred, default)  # expect: LH108
        self.opt.zero_grad()
        loss.backward()
        self.opt.step()
        return loss.item()

    @torch.no_grad()
    def score(self, num, cat):
        self.model.eval()
        return self.model(num, cat)


if __name__ == "__main__":
    runner = Runner(CreditRisk())
    for _ in range(10):
        print(runner.train_batch(*make_batch()))
    num, cat, _ = make_batch(5)
    print((runner.score(num, cat) > 0.5).tolist())
