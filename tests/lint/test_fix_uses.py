"""No other use: what the fixes decide from the source, and how they leave other uses as they were."""

from __future__ import annotations

from textwrap import dedent

import pytest

from likelihead.lint.findings import Finding
from likelihead.lint.fix import Fixed, fix_project
from lint_findings import at

HEAD = """\
import torch
import torch.nn as nn
import torch.nn.functional as F


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(3, 3)

    def forward(self, x):
        return F.softmax(self.fc(x), dim=1)


ce = nn.CrossEntropyLoss()
print(torch)
"""


def fixes(
    sources: dict[str, str], code: str, place: str, made: str | None = None, *, unsafe: bool = False
) -> dict[str, Fixed]:
    findings = []
    for number in range(9):
        try:
            where = at(sources, place, number)
        except IndexError:
            break
        findings.append(Finding(where, code, "", made=None if made is None else at(sources, made)))
    assert findings
    return fix_project(sources, findings, unsafe=unsafe)


def softmax_goes(use: str, **others: str) -> bool:
    """Whether the softmax of Net is safely taken out when its output is used so."""
    sources = {"a.py": HEAD + dedent(use), **{f"{name}.py": dedent(text) for name, text in others.items()}}
    result = fixes(sources, "LH101", "ce(", "F.softmax")
    gone = "return self.fc(x)\n" in result["a.py"].text
    assert gone is not any(f.skipped for f in result.values())
    assert gone is any(f.applied for f in result.values())
    if not gone:
        assert {path: f.text for path, f in result.items()} == sources
    return gone


STEP = "net = Net()\ndef step(x, y):\n    out = net(x)\n    return ce(out, y)\n"


@pytest.mark.parametrize(
    "use",
    [
        "",
        "def accuracy(x, y):\n    return (net(x).argmax(dim=1) == y).float().mean()\n",
        "def accuracy(x, y):\n    _, guess = torch.max(net(x).data, 1)\n    return guess == y\n",
        "def accuracy(x, y):\n    return net(x).max(1)[1] == y\n",
        "def accuracy(x, y):\n    return net(x).max(dim=1).indices == y\n",
        "def top5(x):\n    _, guess = net(x).topk(5, 1, True, True)\n    return guess\n",
        "def shape(x):\n    return net(x).shape, net(x).size(0)\n",
        "def name():\n    probs = 3\n    print(net)\n    return probs\n",
        "net.load_state_dict(torch.load('x'))\nnet.eval()\ntorch.save(net.state_dict(), 'x')\n",
        "def warm(x):\n    net(x)\n",
        "def again(x, y):\n    out = net(x)\n    out = 3\n    return out\n",
        "def other(m, x):\n    return m.fc(x), net.fc.weight, net.parameters()\n",
    ],
)
def test_uses_that_change_nothing(use: str) -> None:
    assert softmax_goes(STEP + use)


@pytest.mark.parametrize(
    "use",
    [
        "def predict(x):\n    return net(x)\n",
        "def predict(x):\n    return net(x).max(1)\n",
        "def predict(x):\n    best, _ = torch.max(net(x), 1)\n    return best\n",
        "def predict(x):\n    return net(x).argmax()\n",
        "def predict(x):\n    return net(x).argmax(dim=0)\n",
        "def predict(x):\n    return (net(x) > 0.5).sum()\n",
        "def predict(x):\n    return net(x)[:, 1].tolist()\n",
        "def predict(x, seen):\n    seen.append(net(x))\n",
        "def predict(x):\n    out = net(x)\n    out /= 2\n",
        "def predict(x):\n    yield net(x)\n",
        "def predict(x):\n    return lambda: net(x)\n",
        "def predict(x):\n    return [net(e) for e in x]\n",
        "def predict(x):\n    return Net().forward(x).mean()\n",
        "models = [net]\nfor m in models:\n    print(m(1) + 1)\n",
        "models = {'net': Net}\nmake = lambda name: models[name]()\n",
        "scripted = torch.jit.script(net)\n",
        "export(model=net)\n",
        "class Sharp(Net):\n    def sharp(self, x):\n        return self(x) ** 2\n",
        "__all__ = ['Net']\n",
        "def build(name):\n    return globals()['Net']\n",
        "net.register_forward_hook(print)\n",
        "parts = list(net.children())\n",
    ],
)
def test_uses_that_see_the_difference(use: str) -> None:
    assert not softmax_goes(STEP + use)


def test_an_unsafe_fix_takes_it_out_all_the_same() -> None:
    sources = {"a.py": HEAD + STEP + "def predict(x):\n    return net(x) ** 2\n"}
    (skipped,) = fixes(sources, "LH101", "ce(", "F.softmax")["a.py"].skipped
    assert skipped.reason == "only with --unsafe-fixes: the value has another use at a.py:22"
    result = fixes(sources, "LH101", "ce(", "F.softmax", unsafe=True)["a.py"]
    assert "return self.fc(x)\n" in result.text
    assert result.skipped == []


@pytest.mark.parametrize(
    "use",
    [
        "net = nn.DataParallel(Net()).to('cpu')\nce(net(1), 2)\n",
        "net = Net()\nif torch.cuda.is_available():\n    net = net.cuda()\nce(net(1), 2)\n",
        "def build():\n    return Net()\nnet = build()\nce(net(1), 2)\n",
        "def run(net, x, y):\n    return ce(net(x), y)\nrun(Net(), 1, 2)\nrun(net=Net(), x=1, y=2)\n",
        "class Task:\n    def __init__(self, net):\n        self.net = net\n"
        "    def loss(self, x, y):\n        return ce(self.net(x), y)\nTask(Net())\n",
        "class Both(nn.Module):\n    def __init__(self):\n        self.inner = Net()\n"
        "    def forward(self, x):\n        return self.inner(x), x\nout, _ = Both()(1)\nce(out, 2)\n",
        "class Named(nn.Module):\n    def __init__(self):\n        self.inner = Net()\n"
        "    def forward(self, x):\n        return {'out': self.inner(x), 'x': x}\n"
        "both = Named()\nce(both(1)['out'], both(1)['x'])\n",
        "net = nn.Sequential(nn.Flatten(), Net())\nce(net(1).float(), 2)\n",
        "class Loss(nn.Module):\n    def forward(self, x, y):\n        return ce(x, y)\n"
        "class Task:\n    def __init__(self):\n"
        "        self.loss = Loss().to('cpu')\n        self.net = Net()\n"
        "    def step(self, x, y):\n        return self.loss(self.net(x), y)\n",
        "for net in [3]:\n    pass\nnet = Net()\nfor x, y in [(1, 2)]:\n    out = net(x)\n    ce(out, y)\n",
    ],
)
def test_ways_that_are_followed(use: str) -> None:
    assert softmax_goes(use)


def test_a_name_that_promises_probabilities_is_kept_true() -> None:
    for use in (
        "def predict_proba(x):\n    return Net()(x)\nce(predict_proba(1), 2)\n",
        "def run(x):\n    return {'probs': Net()(x)}\nce(run(1)['probs'], 2)\n",
        "def run(x):\n    return dict(probs=Net()(x))\nce(run(1)['probs'], 2)\n",
    ):
        assert not softmax_goes(use)
        assert softmax_goes(use.replace("probs", "out").replace("proba", "out"))


def test_ways_over_files_are_followed() -> None:
    step = "import {} as m\nfrom torch import nn\nce = nn.CrossEntropyLoss()\nce(m.Net()(1), 2)\n"
    for others in (
        {"b": step.format("a")},
        {"b": "from a import Net as N\nfrom torch import nn\nce = nn.CrossEntropyLoss()\nce(N()(1), 2)\n"},
        {"b": "from a import *\nfrom torch import nn\nce = nn.CrossEntropyLoss()\nce(Net()(1), 2)\n"},
        {"b": step.format("c"), "c": "from a import Net\n"},
    ):
        assert softmax_goes("", **others)


@pytest.mark.parametrize(
    "other",
    [
        "from a import net\nprint(net(1))\n",
        "from a import net as n\nprobs = n(1) + 1\n",
        "import a\nprobs = a.net(1) + 1\n",
        "import a as b\nprobs = b.Net()(1) + 1\n",
        "from a import *\nprobs = net(1) + 1\n",
        "from a import Net\nclass Big(Net):\n    pass\n",
    ],
)
def test_a_use_in_another_file_counts(other: str) -> None:
    assert not softmax_goes(STEP, b=other)
    assert not softmax_goes(
        STEP, b="from a import Net as Model, net as model\n", c=other.replace("a ", "b "), d=other
    )


def test_a_namesake_in_another_file_does_not() -> None:
    assert softmax_goes(STEP, b="class Net:\n    pass\nnet = Net()\nprobs = net(1) + 1\n")
    assert softmax_goes(STEP, b="from elsewhere import Net, net\nprobs = net(1) + Net()(1)\n")


BCE = """\
import torch
import torch.nn as nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(3, 1)
        self.sigmoid = nn.Sigmoid()

    def forward(self, x):
        return self.sigmoid(self.fc(x))


print(torch)
"""


@pytest.mark.parametrize(
    "use",
    [
        "bce = nn.BCELoss()\nbce(Net()(1), 2)\n",
        "bce = nn.BCELoss().to('cpu')\nnet = Net()\ndef f(x, y):\n    return bce(net(x), y)\n",
        "def fit(net, bce):\n    for x, y in []:\n        bce(net(x), y)\nfit(Net(), nn.BCELoss())\n",
        "class T:\n    def __init__(self):\n        self.net = Net()\n        self.bce = nn.BCELoss()\n"
        "    def f(self, x, y):\n        return self.bce(self.net(x), y)\n",
        "bces = {'a': nn.BCELoss()}\nnet = Net()\nbces['a'](net(1), 2)\n".replace("bces['a']", "bce").replace(
            "net = ", "bce = bces['a']\nnet = "
        ),
    ],
)
def test_activation_and_loss_change_together(use: str) -> None:
    result = fixes({"a.py": BCE + use}, "LH109", "self.bce(" if "self.bce(" in use else "bce(", "nn.Sigmoid")
    text = result["a.py"].text
    assert "nn.BCEWithLogitsLoss()" in text
    assert "igmoid" not in text
    assert "return self.fc(x)\n" in text


@pytest.mark.parametrize(
    ("use", "why"),
    [
        ("bce = nn.BCELoss()\nbce(Net()(1), 2)\nmask(bce)\n", "what the loss object does"),
        ("loss = nn.BCELoss()\nbce = loss\nbce(Net()(1), 2)\nloss(masks, 2)\n", "also called at a.py:19"),
        (
            "bce = nn.BCELoss() if sharp else nn.MSELoss()\nbce(Net()(1), 2)\n",
            "only with --unsafe-fixes: another loss may be called in its place",
        ),
        (
            "net = Net() if sharp else Other()\nbce = nn.BCELoss()\nbce(net(1), 2)\n",
            "only with --unsafe-fixes: another value may come the same way",
        ),
        (
            "def fit(net, bce):\n    bce(net(1), 2)\nfit(Net(), nn.BCELoss())\nfit(Other(), nn.BCELoss())\n",
            "which loss object is called",
        ),
        (
            "bce = nn.BCELoss()\ndef fit(net):\n    bce(net(1), 2)\nfit(Net())\nfit(Other())\n",
            "only with --unsafe-fixes: another value may come the same way",
        ),
        ("bce = nn.BCELoss()\nout = Net()(1)\nbce(out.clamp(0, 1), 2)\n", "what becomes of the value"),
        ("bce = nn.BCELoss()\nout = Net()(1)\nbce(1 - out, 2)\n", "what becomes of the value"),
    ],
)
def test_neither_changes_where_the_other_cannot(use: str, why: str) -> None:
    sources = {"a.py": BCE + use}
    result = fixes(sources, "LH109", "bce(", "nn.Sigmoid", unsafe="--unsafe" not in why)["a.py"]
    assert result.text == sources["a.py"]
    assert why in result.skipped[0].reason


def local(before: str, code: str, place: str, made: str, *, unsafe: bool = False) -> str:
    head = "import torch.nn.functional as F\nfrom torch import log, sigmoid\nprint(F, log, sigmoid)\n"
    result = fixes({"a.py": head + dedent(before)}, code, place, made, unsafe=unsafe)["a.py"]
    return result.text.removeprefix(head) if result.applied else result.skipped[0].reason


def test_an_input_that_means_something_else_by_then_is_not_taken() -> None:
    before = """\
        def step(x, y):
            p = F.softmax(x, dim=1)
            x = x + 1
            return F.cross_entropy(p, y), p
        """
    assert local(before, "LH101", "F.cross", "F.softmax").startswith(
        "def step(x, y):\n    logits = x\n    p = F.softmax(logits, dim=1)\n    x = x + 1\n"
    )
    for line in ("x += 1", "x.clamp_(0)", "x[0] = 1"):
        why = local(before.replace("x = x + 1", line), "LH101", "F.cross", "F.softmax")
        assert "--unsafe-fixes" in why


def test_a_name_that_is_taken_is_not_given_again() -> None:
    before = """\
        def step(m, x, y, logits):
            p = F.softmax(m(x), dim=1)
            return F.cross_entropy(p, y), p
        """
    assert "    raw_logits = m(x)\n    p = F.softmax(raw_logits, dim=1)\n" in local(
        before, "LH101", "F.cross", "F.softmax"
    )


def test_only_the_loss_that_was_found_takes_the_logits() -> None:
    before = """\
        def step(x, y):
            p = sigmoid(x)
            a = F.binary_cross_entropy(p, y)
            return a, (p > 0.5).float(), p * F.mse_loss(p, y)
        """
    assert local(before, "LH109", "F.binary", "sigmoid(x)") == dedent(before).replace(
        "entropy(p", "entropy_with_logits(x"
    )


def test_each_branch_keeps_its_own() -> None:
    before = """\
        def step(x, y, hard):
            if hard:
                p = F.softmax(x / 2, dim=1)
                return F.cross_entropy(p, y)
            else:
                p = x.exp()
            for _ in y:
                print(p)
                p = 3
            return p
        """
    assert local(before, "LH101", "F.cross", "F.softmax") == dedent(before).replace(
        "F.softmax(x / 2, dim=1)", "x / 2"
    )


def test_a_loop_brings_the_value_back() -> None:
    before = """\
        def step(x, ys):
            p = None
            for y in ys:
                print(p)
                p = F.softmax(x * y, dim=1)
                F.cross_entropy(p, y)
        """
    assert "logits = x * y" in local(before, "LH101", "F.cross", "F.softmax")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("log(F.softmax(x, dim=1))", "F.log_softmax(x, dim=1)"),
        ("F.softmax(x, 1).log()", "F.log_softmax(x, 1)"),
        ("log(x.softmax(-1))", "x.log_softmax(-1)"),
        ("log(F.softmax(x, dim=1) + 1e-8)", "F.log_softmax(x, dim=1)"),
        ("(F.softmax(x, dim=1) + eps).log()", "F.log_softmax(x, dim=1)"),
    ],
)
def test_the_log_of_a_softmax(before: str, after: str) -> None:
    place = "log(" if before.startswith("log") else before
    text = f"def step(x, eps):\n    return {before}\n"
    made = "x.soft" if "x.soft" in before else "F.softmax"
    shifted = "+" in before
    sources = {"a.py": "import torch.nn.functional as F\nfrom torch import log\nprint(F, log)\n" + text}
    found = Finding(at(sources, place), "LH110", "", made=min(
        (at(sources, made, n) for n in range(sources["a.py"].count(made)) if made in sources["a.py"]),
        key=lambda p: p.end_column,
    ) if before.endswith(")") and not before.endswith(".log()") else shortest(sources, made))  # fmt: skip
    safe = fix_project(sources, [found])["a.py"]
    assert bool(safe.skipped) is shifted
    got = fix_project(sources, [found], unsafe=True)["a.py"].text
    assert got.endswith(f"    return {after}\n")


def shortest(sources: dict[str, str], start: str):
    places = []
    for number in range(9):
        try:
            places.append(at(sources, start, number))
        except IndexError:
            break
    return min(places, key=lambda place: place.end_column)


@pytest.mark.parametrize("call", ["self.act(self.fc(x))", "nn.Softmax(dim=1)"])
def test_a_layer_is_known_by_its_call_or_its_construction(call: str) -> None:
    text = dedent(
        """\
        import torch.nn as nn


        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.fc = nn.Linear(3, 3)
                self.act = nn.Softmax(dim=1)

            def attend(self, q, k, v):
                return {}

            def forward(self, x):
                return self.act(self.fc(x))


        loss = nn.CrossEntropyLoss()(Net()(1), 2)
        """
    )
    for attention, stays in (("self.act(q @ k) @ v", True), ("q @ k @ v", False)):
        sources = {"a.py": text.replace("{}", attention)}
        result = fixes(sources, "LH101", "nn.CrossEntropyLoss()(", call)["a.py"]
        assert "return self.fc(x)\n" in result.text
        assert ("self.act = nn.Softmax(dim=1)" in result.text) is stays
