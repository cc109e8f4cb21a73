# case: mixture of experts; the gate is a softmax over the experts, what is mixed and scored are logits
import torch
import torch.nn as nn
import torch.nn.functional as F


class Expert(nn.Module):
    def __init__(self, d_in, d_out, d_hidden=32):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(d_in, d_hidden), nn.ReLU(), nn.Linear(d_hidden, d_out))

    def forward(self, x):
        return self.net(x)


class MoE(nn.Module):
    def __init__(self, d_in=16, d_out=4, num_experts=6, k=2):
        super().__init__()
        self.k = k
        self.experts = nn.ModuleList([Expert(d_in, d_out) for _ in range(num_experts)])
        self.w_gate = nn.Parameter(torch.zeros(d_in, num_experts))
        self.w_noise = nn.Parameter(torch.zeros(d_in, num_experts))

    def gates(self, x):
        clean = x @ self.w_gate
        noisy = clean + torch.randn_like(clean) * F.softplus(x @ self.w_noise) if self.training else clean
        top, idx = noisy.topk(self.k, dim=1)
        return torch.zeros_like(noisy).scatter(1, idx, F.softmax(top, dim=1))

    def forward(self, x):
        g = self.gates(x)
        stacked = torch.stack([expert(x) for expert in self.experts], dim=1)
        y = (g.unsqueeze(-1) * stacked).sum(dim=1)
        importance = g.sum(0)
        balance = importance.var() / (importance.mean() ** 2 + 1e-10)
        return y, balance


def main():
    net = MoE()
    loss_fn = nn.CrossEntropyLoss()
    optim = torch.optim.Adam(net.parameters(), lr=3e-3)
    for step in range(15):
        x, y = torch.randn(48, 16), torch.randint(4, (48,))
        y_hat, aux = net(x)
        loss = loss_fn(y_hat, y)
        total = loss + 1e-2 * aux
        optim.zero_grad()
        total.backward()
        optim.step()
    net.eval()
    print(loss.item(), net(x)[0].softmax(1)[0].tolist())


if __name__ == "__main__":
    main()
