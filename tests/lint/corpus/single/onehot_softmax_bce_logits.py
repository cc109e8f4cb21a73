# case: one-hot targets for digits, softmax over the classes, then BCEWithLogitsLoss element by element
import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(7)
NUM_CLASSES = 10


class LeNet(nn.Module):
    def __init__(self):
        nn.Module.__init__(self)
        self.c1 = nn.Conv2d(1, 6, 5)
        self.c2 = nn.Conv2d(6, 16, 5)
        self.f1 = nn.Linear(16 * 4 * 4, 120)
        self.f2 = nn.Linear(120, 84)
        self.f3 = nn.Linear(84, NUM_CLASSES)

    def forward(self, img):
        h = F.max_pool2d(torch.tanh(self.c1(img)), 2)
        h = F.max_pool2d(torch.tanh(self.c2(h)), 2)
        h = torch.flatten(h, start_dim=1)
        h = torch.tanh(self.f1(h))
        h = torch.tanh(self.f2(h))
        h = self.f3(h)
        return torch.softmax(h, dim=-1)


def one_hot(labels):
    out = torch.zeros(labels.size(0), NUM_CLASSES)
    out.scatter_(1, labels.unsqueeze(1), 1.0)
    return out


lenet = LeNet()
bce = nn.BCEWithLogitsLoss()
sgd = torch.optim.SGD(lenet.parameters(), lr=0.1)
for it in range(20):
    batch = torch.randn(16, 1, 28, 28)
    digits = torch.randint(0, NUM_CLASSES, (16,))
    y_prob = lenet(batch)
    cost = bce(y_prob, one_hot(digits))  # expect: LH107
    sgd.zero_grad()
    cost.backward()
    sgd.step()
print("final cost", cost.item(), "accuracy", (y_prob.argmax(1) == digits).float().mean().item())
