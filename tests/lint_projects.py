"""Small programs for the linter's tests."""

from __future__ import annotations

from pathlib import Path

__all__ = ["ACROSS", "BAD", "GOOD", "HELPER", "MODEL", "write"]

_HEAD = "import torch.nn.functional as F\n\n\n"
GOOD = _HEAD + "def loss(x, y):\n    return F.cross_entropy(x, y)\n"
#: LH101 on line 5.
BAD = _HEAD + "def loss(x, y):\n    return F.cross_entropy(F.softmax(x, dim=1), y)\n"
MODEL = """\
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Linear(20, 5)

    def forward(self, x):
        return torch.softmax(self.body(x), dim=1)
"""
#: LH101 on line 10, of what line 11 of `MODEL` makes.
ACROSS = """\
from torch import nn

from model import Net

net = Net()
criterion = nn.CrossEntropyLoss()


def step(x, y):
    return criterion(net(x), y)
"""
#: Without torch; hands on what `MODEL` makes.
HELPER = "from model import Net\n\n\ndef build():\n    return Net()\n"


def write(folder: Path, files: dict[str, str]) -> Path:
    """Write files into a folder, which is a project of its own."""
    for name, text in {"pyproject.toml": "", **files}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder
