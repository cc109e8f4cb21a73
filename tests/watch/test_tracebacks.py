"""A script under the watch has the tracebacks that it has without, and what it wraps of torch runs once."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Iterator
from functools import partial, wraps
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from likelihead.watch.session import Session
from likelihead.watch.tracebacks import hide_in_all

RIGHT = torch.tensor([0, 1])


@pytest.fixture
def watched() -> Iterator[Callable[[], object]]:
    sessions = []
    yield lambda: sessions.append(Session().start())
    for session in sessions:
        session.finish()


class Refusing(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, input: Tensor) -> Tensor:
        return input.clone()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        raise ValueError("in the backward pass")


def chained() -> None:
    try:
        F.nll_loss(torch.zeros(2, 3), torch.zeros(2))
    except RuntimeError as error:
        raise KeyError("after") from error


WRONG: dict[str, Callable[[], object]] = {
    "loss": lambda: F.cross_entropy(torch.zeros(4, 3), torch.zeros(5).long()),
    "class": lambda: nn.CrossEntropyLoss()(torch.zeros(1, 3), torch.tensor([7])),
    "argument": lambda: F.cross_entropy(torch.zeros(1, 3)),  # type: ignore[call-arg]
    "operator": lambda: torch.zeros(2, 3) @ torch.zeros(7, 7),
    "function": lambda: F.max_pool2d(torch.zeros(3), 2),
    "method": lambda: F.softmax(torch.zeros(2, 3), dim=9),
    "wrapped": lambda: nn.Linear(2, 3)(torch.zeros(2, 3)),
    "backward": lambda: Refusing.apply(torch.zeros(2, requires_grad=True)).sum().backward(),
    "evaluation": lambda: nn.Linear(2, 3).train("yes"),  # type: ignore[arg-type]
    "chained": chained,
}


def told(case: Callable[[], object], *, at_the_end: bool) -> str:
    try:
        case()
    except Exception as error:
        if at_the_end:
            hide_in_all(error)
        return traceback.format_exc()
    raise AssertionError("it has not failed")


@pytest.mark.parametrize("case", WRONG)
def test_a_traceback_is_the_one_without_the_watch(case: str, watched: Callable[[], object]) -> None:
    plain = told(WRONG[case], at_the_end=False)
    watched()
    assert told(WRONG[case], at_the_end=True) == plain


@pytest.mark.skipif(sys.version_info < (3, 11), reason="before, what raises an exception again stays in it")
def test_what_the_script_catches_and_prints_shows_nothing_of_the_watch(
    watched: Callable[[], object],
) -> None:
    plain = told(WRONG["class"], at_the_end=False)
    watched()
    assert told(WRONG["class"], at_the_end=False) == plain
    for case in WRONG.values():
        assert "/likelihead/watch/" not in told(case, at_the_end=False)


class Counting:
    def __init__(self, function: Callable[..., Any]) -> None:
        self.function, self.calls = function, 0

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self.calls += 1
        return self.function(*args, **kwargs)


@pytest.mark.parametrize(
    ("owner", "name", "use"),
    [
        (F, "cross_entropy", lambda: F.cross_entropy(torch.zeros(2, 3), RIGHT)),
        (F, "softmax", lambda: F.softmax(torch.ones(2, 3), dim=1)),
        (F, "dropout", lambda: F.dropout(torch.ones(2, 3), 0.5)),
        (F, "max_pool2d", lambda: F.max_pool2d(torch.ones(1, 1, 4, 4), 2)),
        (torch, "einsum", lambda: torch.einsum("ij->i", torch.ones(2, 3))),
        (Tensor, "backward", lambda: torch.zeros((), requires_grad=True).backward()),
        (Tensor, "__rsub__", lambda: 1 - torch.ones(2)),
    ],
)
@pytest.mark.parametrize("wrapper", [wraps, Counting, partial])
def test_a_function_that_the_script_has_wrapped_runs_once(
    owner: Any,
    name: str,
    use: Callable[[], object],
    wrapper: Any,
    watched: Callable[[], object],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    original = getattr(owner, name)
    count = Counting(original)

    @wraps(original)
    def mine(*args: Any, **kwargs: Any) -> Any:
        return count(*args, **kwargs)

    stands = mine if wrapper is wraps or owner is Tensor else wrapper(mine)
    watched()
    monkeypatch.setattr(owner, name, stands)
    torch.manual_seed(0)
    use()
    assert count.calls == 1
