# case: a forward that returns (logits, probs, features); the loss takes the first, the metric the second
import torch
import torch.nn as nn


class Cifar(nn.Module):
    """VGG-like network; returns the scores, their softmax and the pooled features."""

    cfg = [16, "M", 32, "M", 64, "M"]

    def __init__(self, n_class=100):
        super().__init__()
        self.features = self._make_layers()
        self.classifier = nn.Linear(64, n_class)
        self.softmax = nn.Softmax(dim=1)

    def _make_layers(self):
        layers, c = [], 3
        for v in self.cfg:
            if v == "M":
                layers += [nn.MaxPool2d(2, 2)]
            else:
                layers += [nn.Conv2d(c, v, 3, padding=1), nn.BatchNorm2d(v), nn.ReLU(inplace=True)]
                c = v
        return nn.Sequential(*layers)

    def forward(self, x):
        feat = self.features(x).mean((2, 3))
        logits = self.classifier(feat)
        probs = self.softmax(logits)
        return logits, probs, feat


def topk_hits(probs, target, k=5):
    _, idx = probs.topk(k, 1, True, True)
    return idx.eq(target.view(-1, 1)).any(1).sum().item()


net = Cifar()
CE = nn.CrossEntropyLoss(label_smoothing=0.1)
sgd = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9, nesterov=True)
for i in range(4):
    x, t = torch.rand(8, 3, 32, 32), torch.randint(0, 100, (8,))
    out, p, _ = net(x)
    loss = CE(out, t)
    sgd.zero_grad()
    loss.backward()
    sgd.step()
    print(
        "loss %.3f, mean max prob %.3f, top5 %d" % (loss.item(), p.max(1)[0].mean().item(), topk_hits(p, t))
    )

with torch.no_grad():
    result = net(torch.rand(2, 3, 32, 32))
    scores, labels = result[1].max(dim=-1)
    print(scores, labels, CE(result[0], labels))
