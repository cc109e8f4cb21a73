"""Code as people post it: without imports, cut short, with names that are nowhere set."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from likelihead.lint.run import lint_paths
from lint.expectations import outcome

HEAD = """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(8, 3)

    def forward(self, x):
        ...
        return F.softmax(self.fc(x), dim=1)
"""

SNIPPETS = {
    "a network that is made in a part left out": HEAD
    + """
criterion = nn.CrossEntropyLoss()
for x, y in loader:
    loss = criterion(model(x), y)  # expect: LH101
""",
    "in a function": HEAD
    + """
def step(x, y):
    return F.cross_entropy(model(x), y)  # expect: LH101
""",
    "a name that is set elsewhere": HEAD
    + """
def main():
    global model
    model = build()
    step(x, y)

def step(x, y):
    return F.cross_entropy(model(x), y)
""",
    "a name that an import may bring": "from setup import *\n"
    + HEAD
    + """
loss = F.cross_entropy(model(x), y)
""",
    "one of two networks": HEAD
    + HEAD.replace("Net", "Other")
    + """
loss = F.cross_entropy(model(x), y)
""",
    "a forward without its class": """
def forward(self, x):
    hidden = self.rnn(self.emb(x))[0]
    return torch.softmax(self.out(hidden[:, -1]), dim=1)

for batch in batches:
    scores = model(batch.text)
    loss = F.cross_entropy(scores, batch.label)  # expect: LH101
""",
    "two of them": """
def forward(self, x):
    return torch.softmax(self.out(x), dim=1)

def forward(self, x):
    return self.out(x)

loss = F.cross_entropy(model(x), y)
""",
    "classes by their own names": """
body = Sequential(Conv2d(1, 4, 3), ReLU(), Flatten(), Linear(64, 10), Softmax(dim=1))
criterion = CrossEntropyLoss()
loss = criterion(body(images), digits)  # expect: LH101
""",
    "a class of the same name": """
class Softmax:
    def __init__(self, dim):
        self.dim = dim
    def __call__(self, x):
        return x

loss = CrossEntropyLoss()(Softmax(dim=1)(net(x)), y)
""",
    "a bare softmax": """
loss = F.cross_entropy(softmax(net(x), dim=1), y)  # expect: LH101
""",
    "skorch": """
class Head(nn.Module):
    def forward(self, X):
        return F.softmax(self.out(X), dim=-1)

wrong = NeuralNetClassifier(Head, criterion=nn.CrossEntropyLoss)  # expect: LH101
right = NeuralNetClassifier(Head)
""",
    "torchvision's models": """
model = models.resnet18(pretrained=True)
model.fc = nn.Sequential(nn.Linear(512, 5), nn.Softmax(dim=1))
loss = nn.CrossEntropyLoss()(model(x), y)  # expect: LH101
""",
    "a trainer that is given the network": HEAD
    + """
class Trainer:
    def __init__(self, model, loader):
        self.model = model
        self.criterion = nn.NLLLoss()

    def epoch(self, x, y):
        return self.criterion(self.model(x), y)  # expect: LH104
""",
    "a client that is given it later": HEAD
    + """
class Client(object):
    def __init__(self, data):
        self.data = data
        self.criterion = nn.NLLLoss().to("cuda")

    def fit(self, model):
        for x, y in self.data:
            loss = self.criterion(model(x), y)  # expect: LH104
""",
    "layers by keys of which some are not known": """
from collections import OrderedDict

def stack(widths, last):
    layers = OrderedDict()
    for i, width in enumerate(widths):
        layers[f"hidden{i}"] = nn.LazyLinear(width)
    layers["scores"] = nn.LazyLinear(5)
    layers["last"] = last
    return nn.Sequential(layers)

F.cross_entropy(stack(config.widths, nn.Softmax(dim=1))(x), y)  # expect: LH101
F.cross_entropy(stack(config.widths, nn.Identity())(x), y)
""",
    "a layer that may be left out": """
from collections import OrderedDict

def stack(ends):
    layers = OrderedDict()
    layers["scores"] = nn.LazyLinear(5)
    if ends:
        layers["last"] = nn.Softmax(dim=1)
    return nn.Sequential(layers)

def chain(ends):
    layers = {}
    layers["scores"] = nn.LazyLinear(5)
    if ends:
        layers["last"] = nn.Softmax(dim=1)
    return nn.Sequential(*layers.values())

F.cross_entropy(stack(config.ends)(x), y)
F.cross_entropy(chain(config.ends)(x), y)
F.cross_entropy(stack(True)(x), y)  # expect: LH101
F.cross_entropy(chain(True)(x), y)  # expect: LH101
""",
    "an accelerator that nobody made": """
model = nn.Sequential(nn.Linear(8, 3), nn.Softmax(dim=1))
model, batches = accelerator.prepare(model, batches)
F.cross_entropy(model(x), y)  # expect: LH101
""",
    "a sigmoid by hand": """
def squash(z):
    return 1 / (1 + torch.exp(-z))

loss = F.binary_cross_entropy_with_logits(squash(x @ w + b), y)  # expect: LH106
""",
    "a network that is given one": HEAD
    + """
class Distilled(nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def loss(self, x, y):
        return F.cross_entropy(self.model(x), y)
""",
}


@pytest.mark.parametrize("name", SNIPPETS)
def test_snippets(name: str, tmp_path: Path) -> None:
    path = tmp_path / "snippet.py"
    path.write_text(textwrap.dedent(SNIPPETS[name]))
    result = outcome(path)
    assert (result.missed, result.false) == (set(), set())


@pytest.mark.parametrize(
    "text",
    [
        "loss = nn.CrossEntropyLoss()(F.softmax(out, dim=1), y)\n",
        "loss = F.cross_entropy(out.softmax(1), y)\n",
        "loss = F.nll_loss(F.softmax(out, dim=1), y)\n",
        "loss = F.binary_cross_entropy_with_logits(out.sigmoid(), y)\n",
        "loss = BCEWithLogitsLoss()(out.sigmoid(), y)\n",
    ],
)
def test_a_snippet_that_does_not_name_torch_is_looked_at(text: str, tmp_path: Path) -> None:
    (tmp_path / "snippet.py").write_text(text)
    assert len(lint_paths([tmp_path / "snippet.py"]).findings) == 1
