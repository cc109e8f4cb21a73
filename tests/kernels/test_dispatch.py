"""Which backend serves a call, and how it is chosen."""

from __future__ import annotations

import pytest
import torch

from likelihead.errors import BackendError, BackendWarning, OptionError
from likelihead.kernels import dispatch
from likelihead.kernels.dispatch import Backend, backends, explain, use_backend


@pytest.fixture
def picky(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A second backend, ahead of the reference, that serves 2-d float32 logits only; returns its calls."""
    calls: list[str] = []

    def softmax_nll(logits: torch.Tensor, target: torch.Tensor, **options: object) -> object:
        calls.append("softmax_nll")
        return dispatch._reference_softmax_nll(logits, target, **options)

    row = Backend(
        name="picky",
        ops={"softmax_nll": softmax_nll},
        absent=lambda: None,
        refuses=lambda logits: None if logits.dtype == torch.float32 else f"it does not take {logits.dtype}",
    )
    gone = Backend(name="gone", ops={}, absent=lambda: "no compiler was found", refuses=lambda _: None)
    monkeypatch.setattr(dispatch, "_BACKENDS", (gone, row, dispatch._BACKENDS[-1]))
    return calls


def test_auto_takes_the_first_that_can(picky: list[str]) -> None:
    target = torch.tensor([0])
    dispatch.softmax_nll(torch.zeros(1, 2), target)
    dispatch.softmax_nll(torch.zeros(1, 2, dtype=torch.float64), target)
    assert picky == ["softmax_nll"]


def test_explain_says_why(picky: list[str]) -> None:
    assert explain("softmax_nll", torch.zeros(1, 2)).backend == "picky"
    choice = explain("softmax_nll", torch.zeros(1, 2).double())
    assert choice.backend == "reference"
    assert "picky not: it does not take torch.float64" in choice.reason
    assert "gone not: no compiler was found" in str(choice)


def test_a_backend_asked_for_serves_or_the_call_raises(picky: list[str]) -> None:
    with use_backend("picky"):
        with pytest.raises(BackendError, match="float64"):
            dispatch.softmax_nll(torch.zeros(1, 2).double(), torch.tensor([0]))
        with pytest.raises(BackendError, match="has no sigmoid_nll"):
            dispatch.sigmoid_nll(torch.zeros(2), torch.zeros(2))
    dispatch.sigmoid_nll(torch.zeros(2), torch.zeros(2))


def test_absent_and_unknown_backends(picky: list[str]) -> None:
    with pytest.raises(BackendError, match="no compiler was found"):
        use_backend("gone")
    with pytest.raises(OptionError, match="'fast'"):
        use_backend("fast")
    with pytest.raises(OptionError, match="softmax_nll"):
        explain("hinge", torch.zeros(1))
    status = {b.name: b for b in backends()}
    assert not status["gone"].available
    assert status["gone"].reason == "no compiler was found"


@pytest.fixture
def missing(monkeypatch: pytest.MonkeyPatch) -> Backend:
    """A fast backend for float32 on the CPU that is absent, before one that is there, and the reference."""
    reference = dispatch._BACKENDS[-1]
    fast = Backend(
        name="fast",
        ops=reference.ops,
        absent=lambda: "no compiler was found (install one)",
        refuses=lambda logits: None if logits.dtype == torch.float32 else "it takes float32 only",
        fast=True,
    )
    other = Backend(
        name="other",
        ops=reference.ops,
        absent=lambda: None,
        refuses=lambda logits: None if logits.dim() == 3 else "it takes 3 dimensions only",
        fast=True,
    )
    monkeypatch.setattr(dispatch, "_BACKENDS", (fast, other, reference))
    monkeypatch.setattr(dispatch, "_told_of", set())
    return fast


def test_a_slow_backend_in_place_of_a_fast_one_is_told_once(missing: Backend) -> None:
    target = torch.tensor([0])
    dispatch.softmax_nll(torch.zeros(1, 2).double(), target)  # no fast one could serve it
    dispatch.softmax_nll(
        torch.zeros(1, 2, 3), torch.zeros(1, 3, dtype=torch.long)
    )  # another fast one serves it
    with use_backend("reference"):
        dispatch.softmax_nll(torch.zeros(1, 2), target)
    with pytest.warns(
        BackendWarning,
        match=r"slow; the fast one is not available: no compiler was found \(install one\)",
    ) as told:
        dispatch.softmax_nll(torch.zeros(1, 2), target)
    assert told[0].filename == __file__
    dispatch.softmax_nll(torch.zeros(1, 2), target)
    dispatch.sigmoid_nll(torch.zeros(2), torch.zeros(2))


def test_the_switch_is_restored_after_an_exception(picky: list[str]) -> None:
    with pytest.raises(ZeroDivisionError), use_backend("reference"):
        _ = 1 / 0
    assert explain("softmax_nll", torch.zeros(1, 2)).backend == "picky"


def test_a_plain_call_is_a_global_switch(picky: list[str]) -> None:
    try:
        use_backend("reference")
        assert explain("softmax_nll", torch.zeros(1, 2)).backend == "reference"
    finally:
        use_backend("auto")
