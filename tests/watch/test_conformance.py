"""Torch's own samples for its losses, watched: the same answers and errors, and no fault of the watch."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

import likelihead

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # torch's test modules import what torch deprecates
    from torch.testing._internal.common_methods_invocations import op_db

LOSSES: list[Any] = [
    op for op in op_db if any(part in op.name for part in ("loss", "cross_entropy", "kl_div"))
]
pytestmark = pytest.mark.filterwarnings("ignore:Using a target size:UserWarning")
MOST = 40  # samples of one loss, evenly picked


def answer(call: Callable[[], Any]) -> Any:
    """The loss and the input's gradient; or the error, which has to be the same too."""
    try:
        return call()
    except Exception as error:
        return type(error), str(error)


def same(first: Any, second: Any) -> bool:
    if not isinstance(first, Tensor):
        return bool(first == second)
    return torch.equal(first.nan_to_num(nan=7.0), second.nan_to_num(nan=7.0))


@pytest.mark.parametrize("op", LOSSES, ids=[op.name for op in LOSSES])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_the_answers_are_torchs(op: Any, dtype: torch.dtype) -> None:
    if dtype not in op.supported_dtypes("cpu"):
        pytest.skip(f"torch has no such {op.name}")
    torch.manual_seed(0)
    samples = list(op.sample_inputs("cpu", dtype, requires_grad=True))
    for sample in samples[:: -(-len(samples) // MOST)]:

        def call(sample: Any = sample) -> list[Tensor]:
            torch.manual_seed(1)
            input = sample.input.detach().clone().requires_grad_(dtype.is_floating_point)
            loss = op(input, *sample.args, **sample.kwargs)
            loss.sum().backward()
            return [loss.detach(), input.grad, torch.get_rng_state()]

        bare = answer(call)
        with likelihead.watch(show=False) as w:
            watched = answer(call)
        assert len(bare) == len(watched)
        assert all(map(same, bare, watched)), sample
        assert not [note.text for note in w.record.notes if note.kind == "fault"], sample


@pytest.mark.parametrize(
    "op", [op for op in LOSSES if op.error_inputs_func], ids=lambda op: str(getattr(op, "name", op))
)
def test_the_errors_are_torchs(op: Any) -> None:
    for wrong in op.error_inputs("cpu"):
        sample = wrong.sample_input

        def call(sample: Any = sample) -> Any:
            return op(sample.input, *sample.args, **sample.kwargs)

        bare = answer(call)
        assert isinstance(bare, tuple)
        with likelihead.watch(show=False) as w:
            assert answer(call) == bare
        assert not [note.text for note in w.record.notes if note.kind == "fault"], sample
