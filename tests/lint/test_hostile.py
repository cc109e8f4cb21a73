"""Programs that nobody would write, or that a generator does: interpreted in time, and without a fault."""

from __future__ import annotations

from pathlib import Path

import pytest

from likelihead.lint.cache import Outcome
from likelihead.lint.workers import Analyser

HEAD = "import torch\nimport torch.nn as nn\nimport torch.nn.functional as F\n"
LAST = "F.cross_entropy(F.softmax(torch.randn(2, 3), 1), torch.tensor([1, 2]))\n"

PROGRAMS = {
    "a list that holds itself": "x = []\nx.append(x)\ntorch.zeros(x)\nF.cross_entropy(x, x)\nx.extend(x)\n",
    "a list in a tuple in it": "x = []\nt = (x,)\nx.append(t)\ndef loss(a): return a\nloss(t)\nloss(x)\n",
    "a dictionary that holds itself": "d = {}\nd['a'] = d\nd['a']['a'].update(d)\nF.softmax(d, d['a'])\n",
    "tuples that double": "x = (1,)\n" + "x = (x, x)\n" * 60 + "def loss(a): return a\nloss(x)\n",
    "tuples of outputs that double": "x = (F.softmax(torch.randn(2, 3), 1),)\n"
    + "x = (x, x)\n" * 60
    + "def loss(a): return a\nx = loss(loss(x))\n",
    "lists that double": "x = [1]\n" + "x = [x, x]\n" * 60 + "torch.zeros(x)\n3 in x\n",
    "numbers that square": "x = 10 ** 5\nx = 99999\n" + "x = x * x\n" * 60 + "torch.zeros(x)\n",
    "texts without end": "x = 'a' * 99999999999\nx = '%1000000000d' % 5\n'{:1000000000}'.format(5)\n"
    "'{:{}}'.format(5, 10000000000)\nx = [0] * 10 ** 12\n",
    "a layer in itself": "net = nn.Sequential()\nnet.append(net)\nF.cross_entropy(net(torch.randn(2)), 1)\n",
    "layers that triple": "net = nn.Sequential(nn.Linear(3, 3))\n"
    + "net = nn.Sequential(net, net, net)\n" * 40
    + "F.cross_entropy(net(torch.randn(2, 3)), 1)\n",
    "a forward that is the object": "class M(nn.Module):\n    pass\nm = M()\nm.forward = m\nm(1)\n",
    "dimensions that are not there": "x = torch.randn(2, 3)\nx.permute(5, 6)\nx.transpose(9, 8)\n"
    "x.movedim(7, 1)\nx.flatten(5, 2)\nx[0, 0, 0, 0]\nx.sum((0, 9))\nx.unsqueeze(99)\n",
    "keys that are none": "d = {(1, [2]): 3, [1]: 2, 1: 2}\nd[(1, [2])]\nd.get([])\ndict([([], 1)])\n"
    "d.pop({})\nx = 0x1" + "0" * 9000 + "\nnn.Sequential()[x]\n",
}


def analysed(tmp_path: Path, source: str) -> Outcome:
    path = tmp_path / "main.py"
    path.write_text(source)
    return Analyser()((path, {}))


@pytest.mark.parametrize("name", PROGRAMS)
def test_what_goes_in_circles_or_grows_without_end(tmp_path: Path, name: str) -> None:
    outcome = analysed(tmp_path, f"{HEAD}def last():\n    return {LAST}{PROGRAMS[name]}")
    assert outcome.problem is None
    assert [finding.code for finding in outcome.findings] == ["LH101"]
    assert outcome.findings[0].line == 5
