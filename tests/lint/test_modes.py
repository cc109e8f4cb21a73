"""``self.training`` where ``train()`` or ``eval()`` has just been called."""

from __future__ import annotations

from pathlib import Path

import pytest

from lint.expectations import outcome

NET = """
import lightning as L
import torch
from torch import nn
import torch.nn.functional as F

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(8, 1)

    def forward(self, x):
        x = self.fc(x)
        if not self.training:
            x = torch.sigmoid(x)
        return x

net = Net()
loss = nn.BCELoss()
"""

CASES = {
    "nothing is said": "loss(net(x), y)\n",
    "in training": "net.train()\nloss(net(x), y)  # expect: LH108\n",
    "told so": "net.train(True)\nloss(net(x), y)  # expect: LH108\n",
    "told not to": "net.train(False)\nloss(net(x), y)  # expect: LH109\n",
    "told something": "net.train(flag)\nloss(net(x), y)\n",
    "in evaluation": "net.eval()\nloss(net(x), y)  # expect: LH109\n",
    "the latest counts": """
net.eval()
net.train()
loss(net(x), y)  # expect: LH108
net.eval()
loss(net(x), y)  # expect: LH109
""",
    "within loops": """
for epoch in range(3):
    net.train()
    for x, y in batches:
        loss(net(x), y)  # expect: LH108
    net.eval()
    for x, y in others:
        loss(net(x), y)  # expect: LH109
""",
    "after a loop that may not run": """
for epoch in epochs:
    net.train()
loss(net(x), y)
""",
    "in a branch": """
if flag:
    net.train()
loss(net(x), y)
""",
    "a phase": """
for phase in phases:
    if phase == "train":
        net.train()
    else:
        net.eval()
    for x, y in batches[phase]:
        loss(net(x), y)
""",
    "in a function that is called": """
def step(x, y):
    return loss(net(x), y)  # expect: LH108

net.train()
step(x, y)
""",
    "in a function that was called": """
def prepare(flag):
    if flag:
        return
    net.train()

prepare(flag)
loss(net(x), y)
""",
    "another function changes it": """
def validate(model):
    model.eval()

net.train()
validate(net)
loss(net(x), y)
net.train()
validate(net)
loss(net(x), y)
""",
    "a function that is not known may change it": """
from somewhere import validate

net.train()
validate(net)
loss(net(x), y)
""",
    "a name that may be another for it": """
def run(other):
    net.train()
    other.eval()
    loss(net(x), y)
""",
    "a whole of which it is a part": """
class Whole(nn.Module):
    def __init__(self, part):
        super().__init__()
        self.part = part

whole = Whole(net)
net.train()
whole.eval()
loss(net(x), y)
""",
    "another object of the class": """
other = Net()
net.train()
loss(other(x), y)
""",
    "by a method of its own": """
class Own(Net):
    def train(self, mode=True):
        return super().train(False)

own = Own()
own.train()
loss(own(x), y)
""",
    "within a step of its own": """
class Own(Net):
    def step(self, x, y):
        self.train()
        return loss(self(x), y)  # expect: LH108
""",
    "Lightning's steps": """
class Lit(L.LightningModule):
    def __init__(self):
        super().__init__()
        self.net = Net()
        self.fc = nn.Linear(8, 3)

    def forward(self, x):
        x = self.fc(x)
        return x if self.training else F.softmax(x, dim=1)

    def training_step(self, batch, i):
        x, y = batch
        return F.cross_entropy(self(x), y)

    def validation_step(self, batch, i):
        x, y = batch
        F.cross_entropy(self(x), y)  # expect: LH101
        F.binary_cross_entropy_with_logits(self.net(x), y)  # expect: LH106

    def another(self, batch):
        x, y = batch
        return F.cross_entropy(self(x), y)
""",
}


@pytest.mark.parametrize("name", CASES)
def test_modes(name: str, tmp_path: Path) -> None:
    path = tmp_path / "case.py"
    path.write_text(NET + CASES[name])
    result = outcome(path)
    assert (result.missed, result.false) == (set(), set())
