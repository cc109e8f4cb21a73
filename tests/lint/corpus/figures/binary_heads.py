# case: binary tasks done right: one logit with BCE, two with cross-entropy, two labels that are independent
import torch
import torch.nn.functional as F
from torch import nn


class Backbone(nn.Module):
    def __init__(self, d_in=10, d_out=32):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(d_in, d_out), nn.LayerNorm(d_out), nn.GELU())

    def forward(self, x):
        return self.net(x)


class Heads(nn.Module):
    def __init__(self):
        super().__init__()
        self.backbone = Backbone()
        self.spam = nn.Linear(32, 1)
        self.urgent = nn.Linear(32, 2)
        self.smoker_diabetic = nn.Linear(32, 2)

    def forward(self, x):
        h = self.backbone(x)
        return self.spam(h).squeeze(-1), self.urgent(h), self.smoker_diabetic(h)


def losses(model, x, spam, urgent, smoker, diabetic):
    a, b, c = model(x)
    one_logit = F.binary_cross_entropy_with_logits(a, spam.float())
    two_logits = F.cross_entropy(b, urgent)
    # a patient may be both, either or neither: two Bernoullis, not two classes
    two_labels = F.binary_cross_entropy_with_logits(c, torch.stack([smoker, diabetic], dim=1).float())
    return one_logit + two_logits + two_labels


@torch.no_grad()
def predict(model, x):
    a, b, c = model(x)
    return a > 0, b.argmax(dim=1).bool(), c.sigmoid() > 0.5


@torch.no_grad()
def roc_score(model, x):
    _, b, _ = model(x)
    return b.softmax(dim=1)[:, 1]


if __name__ == "__main__":
    net, inputs = Heads(), torch.randn(12, 10)
    y = torch.randint(0, 2, (4, 12))
    losses(net, inputs, *y).backward()
    print(predict(net, inputs)[0].sum().item(), roc_score(net, inputs).mean().item())
