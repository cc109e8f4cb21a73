"""The fixes of whole files: each bad file becomes the fixed one, and computes the loss that was meant."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch.nn.modules.module import register_module_forward_hook

from likelihead.hazards import HAZARDS
from likelihead.lint.fix import FIXABLE, fix_project
from lint_findings import EXPECTATION, expected

CASES = Path(__file__).parent / "cases"


def every_pair() -> list[object]:
    bad = sorted(p for p in CASES.glob("LH*/bad*") if p.with_name("fixed" + p.name[3:]).exists())
    return [pytest.param(p, p.with_name("fixed" + p.name[3:]), id=f"{p.parent.name}-{p.stem}") for p in bad]


def read(case: Path) -> dict[str, str]:
    files = [case] if case.is_file() else sorted(case.glob("**/*.py"))
    return {str(f.relative_to(case) if f != case else f.name): f.read_bytes().decode() for f in files}


def without_expectations(text: str) -> str:
    return EXPECTATION.sub("", text)


def test_each_fixable_code_has_a_pair() -> None:
    assert {pair.values[0].parent.name for pair in every_pair()} == set(FIXABLE)
    assert set(FIXABLE) <= set(HAZARDS)


@pytest.mark.parametrize(("bad", "fixed"), every_pair())
def test_the_bad_file_becomes_the_fixed_one(bad: Path, fixed: Path) -> None:
    code = bad.parent.name
    sources = read(bad)
    findings = expected(sources)
    assert findings
    result = fix_project(sources, findings, unsafe=FIXABLE[code] == "unsafe")
    assert [s.reason for f in result.values() for s in f.skipped] == []
    assert sorted(a for f in result.values() for a in f.applied) == sorted(findings)
    wanted = read(fixed)
    if bad.is_file():
        wanted = {bad.name: wanted[fixed.name]}
    assert {path: without_expectations(f.text) for path, f in result.items()} == wanted


@pytest.mark.parametrize(
    "bad", [p.values[0] for p in every_pair() if FIXABLE[p.values[0].parent.name] == "unsafe"]
)
def test_an_unsafe_fix_wants_to_be_asked_for(bad: Path) -> None:
    sources = read(bad)
    result = fix_project(sources, expected(sources))
    assert {path: f.text for path, f in result.items()} == sources
    assert all("--unsafe-fixes" in s.reason for f in result.values() for s in f.skipped)


@pytest.fixture
def heads() -> Iterator[list[torch.Tensor]]:
    """What linear layers return, with their gradients."""
    outputs: list[torch.Tensor] = []

    def keep(module: torch.nn.Module, inputs: object, output: torch.Tensor) -> None:
        if isinstance(module, torch.nn.Linear) and torch.is_grad_enabled():
            output.retain_grad()
            outputs.append(output)

    handle = register_module_forward_hook(keep)
    yield outputs
    handle.remove()


def load(case: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    """Run a file, or a folder's train.py with its other files as modules."""
    if case.is_dir():
        for file in sorted(case.glob("*.py")):
            if file.name != "train.py":
                module = ModuleType(file.stem)
                exec(compile(file.read_text(), str(file), "exec"), module.__dict__)
                monkeypatch.setitem(sys.modules, file.stem, module)
        case = case / "train.py"
    names: dict[str, object] = {"__name__": "case"}
    exec(compile(case.read_text(), str(case), "exec"), names)
    return names


def loss_and_gradient(
    case: Path, monkeypatch: pytest.MonkeyPatch, heads: list[torch.Tensor]
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """The case's loss, the logits and their gradient, and the target."""
    torch.manual_seed(0)
    names = load(case, monkeypatch)
    scores = torch.tensor(
        [[4.0, -2.0, 0.5], [0.0, 3.0, -1.0], [1.0, 2.0, -6.0], [-1.0, 0.0, 1.0]], requires_grad=True
    )
    binary = case.parent.name in ("LH106", "LH108", "LH109")
    target = (
        torch.tensor([[0.0, 1, 0], [1, 1, 0], [0, 0, 1], [1, 0, 1]]) if binary else torch.tensor([2, 1, 0, 0])
    )
    loss = names["step"](scores, target)
    loss.backward()
    logits = heads[-1] if heads else scores
    assert logits.grad is not None
    return loss.detach(), logits.detach(), logits.grad, target


def meant(logits: torch.Tensor, target: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The loss in float64 from its definition, and its gradient p - y."""
    z = logits.double()
    if target.is_floating_point():
        loss = (torch.logaddexp(z, torch.zeros_like(z)) - target * z).mean()
        return loss, (1 / (1 + torch.exp(-z)) - target) / z.numel()
    log_probs = z - torch.logsumexp(z, 1, keepdim=True)
    one_hot = torch.nn.functional.one_hot(target, z.shape[1])
    return -(log_probs * one_hot).sum(1).mean(), (log_probs.exp() - one_hot) / len(target)


@pytest.mark.parametrize(("bad", "fixed"), every_pair())
def test_the_fixed_file_computes_the_loss_that_was_meant(
    bad: Path, fixed: Path, monkeypatch: pytest.MonkeyPatch, heads: list[torch.Tensor]
) -> None:
    loss, logits, gradient, target = loss_and_gradient(fixed, monkeypatch, heads)
    wanted, slope = meant(logits, target)
    torch.testing.assert_close(loss.double(), wanted, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(gradient.double(), slope, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "bad", [p.values[0] for p in every_pair() if HAZARDS[p.values[0].parent.name].severity == "E"]
)
def test_the_bad_file_does_not(bad: Path, monkeypatch: pytest.MonkeyPatch, heads: list[torch.Tensor]) -> None:
    """Or the test above could not fail."""
    if bad.parent.name == "LH108":  # torch refuses what is no probability
        with pytest.raises(RuntimeError, match="between 0 and 1"):
            loss_and_gradient(bad, monkeypatch, heads)
        return
    loss, logits, _, target = loss_and_gradient(bad, monkeypatch, heads)
    assert abs(loss - meant(logits, target)[0]) > 0.05


@pytest.mark.parametrize(("bad", "fixed"), every_pair())
def test_a_file_without_findings_stays_as_it_is(bad: Path, fixed: Path) -> None:
    sources = read(fixed)
    assert {path: f.text for path, f in fix_project(sources, []).items()} == sources
    for text in sources.values():
        ast.parse(text)
