# case: forward gives logits while self.training and probabilities in eval mode, each used where it belongs
import torch
import torch.nn.functional as F
from torch import nn


class MobileBlock(nn.Module):
    def __init__(self, cin, cout, stride=1):
        super().__init__()
        self.dw = nn.Conv2d(cin, cin, 3, stride, 1, groups=cin, bias=False)
        self.pw = nn.Conv2d(cin, cout, 1, bias=False)
        self.bn = nn.BatchNorm2d(cout)

    def forward(self, x):
        return F.relu6(self.bn(self.pw(self.dw(x))))


class OnDevice(nn.Module):
    """Exports to a phone, which wants probabilities; trains on logits."""

    def __init__(self, n_classes=8):
        super().__init__()
        self.blocks = nn.Sequential(MobileBlock(3, 8, 2), MobileBlock(8, 16, 2), MobileBlock(16, 32, 2))
        self.classifier = nn.Conv2d(32, n_classes, 1)

    def forward(self, x):
        x = self.blocks(x)
        x = F.adaptive_avg_pool2d(x, 1)
        x = self.classifier(x).flatten(1)
        if self.training:
            return x
        return F.softmax(x, dim=1)


def fit(net, batches, lr=0.02):
    net.train()
    opt = torch.optim.SGD(net.parameters(), lr=lr, momentum=0.9)
    for x, y in batches:
        loss = F.cross_entropy(net(x), y)
        opt.zero_grad()
        loss.backward()
        opt.step()
    return loss


@torch.no_grad()
def evaluate(net, batches):
    net.eval()
    hits = total = 0
    for x, y in batches:
        conf, guess = net(x).max(1)
        hits += ((guess == y) & (conf > 0.2)).sum().item()
        total += len(y)
    return hits / total


net = OnDevice()
batches = [(torch.rand(8, 3, 32, 32), torch.randint(0, 8, (8,))) for _ in range(3)]
for epoch in range(2):
    print(epoch, fit(net, batches).item(), evaluate(net, batches))
scripted = torch.jit.trace(net.eval(), torch.rand(1, 3, 32, 32))
