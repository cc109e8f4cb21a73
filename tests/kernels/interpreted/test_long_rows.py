"""The kernel of long rows on short ones, in several blocks each: all that the other kernel is held to."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from torch import Tensor

from kernel_cases import EXAMPLES, WITH_FIXTURES, before_the_cap, compare, softmax_cases
from kernel_sweep import softmax_checks
from kernels.interpreted.streamed import stream_all
from likelihead.kernels import dispatch
from strict_interpreter import LAUNCHES

pytestmark = pytest.mark.usefixtures("fast", "streamed")


@pytest.fixture
def streamed(monkeypatch: pytest.MonkeyPatch) -> None:
    stream_all(monkeypatch)


# One program takes the rows one after the other, which is slow for many here.
NAMES = (
    "rows of 5", "rows of 300", "far apart", "transposed", "torch.bfloat16", "torch.float64", "options of 7",
    "options of 300", "probabilities of 300", "confident in one of 300", "ignored", "beyond 2^31",
)  # fmt: skip
CHECKS = {name: softmax_checks()[name] for name in NAMES}


@pytest.mark.parametrize("name", CHECKS)
def test_softmax(name: str) -> None:
    before = LAUNCHES["softmax_streamed"], LAUNCHES["softmax_resident"]
    CHECKS[name]()
    assert LAUNCHES["softmax_streamed"] > before[0]
    assert LAUNCHES["softmax_resident"] == before[1]


@given(softmax_cases())
@settings(max_examples=2 * EXAMPLES, suppress_health_check=WITH_FIXTURES)
def test_it_agrees_with_the_reference(case: tuple[Tensor, Tensor, dict[str, object]]) -> None:
    logits, target, options = case

    def run(z: Tensor, cast: Any) -> list[Tensor]:
        return list(dispatch.softmax_nll(z, cast(target), **{k: cast(v) for k, v in options.items()}))

    compare(run, logits, target, 1.0, before_the_cap(target, options))


def test_a_row_that_begins_anywhere() -> None:
    # From where a vector begins, in place too: what lies before the row and behind it is not touched.
    for classes in (5, 300):
        for lead in (0, 1, 3, 4, 7):
            memory = torch.full((4 * classes + 40,), 7.0)
            x = memory[lead : lead + 3 * classes].view(3, classes)
            x.copy_(torch.randn(3, classes))
            before = memory.clone()
            target = torch.tensor([0, classes - 1, 2])
            options = (None, 0.0, -100, 0.0, 0.0, None, True, None, 0.0, None, True, None)
            expected = x.double().softmax(1)
            expected[range(3), target] -= 1
            torch.ops.likelihead.softmax_loss_(x, target, *options)
            torch.testing.assert_close(x.double() * 3, expected, rtol=1e-5, atol=1e-6)
            outside = torch.ones_like(memory, dtype=torch.bool)
            outside[lead : lead + 3 * classes] = False
            assert torch.equal(memory[outside], before[outside])
