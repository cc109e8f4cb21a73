"""Wrong categorical kernels, each with one mistake: the sweep has to find every one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from triton.runtime.errors import InterpreterError

from kernel_sweep import far_and_near, softmax_checks
from likelihead.kernels.triton import softmax_nll
from planted import plant

pytestmark = pytest.mark.usefixtures("fast")

# Module, what stands there, what is put there, and the checks of which one at least must fail.
MISTAKES: dict[str, tuple[str, str, str, tuple[str, ...]]] = {
    "the mask of the classes is one too wide": (
        "softmax_resident",
        "valid = read[:, None] & (c < classes)[None, :]",
        "valid = read[:, None] & (c <= classes)[None, :]",
        ("rows of 5",),
    ),
    "the mask of the classes is one too narrow": (
        "softmax_resident",
        "valid = read[:, None] & (c < classes)[None, :]",
        "valid = read[:, None] & (c < classes - 1)[None, :]",
        ("rows of 5",),
    ),
    "the mask of the gradient is one too wide": (
        "softmax_resident",
        "whole = inside[:, None] & (c < classes)[None, :]",
        "whole = inside[:, None] & (c <= classes)[None, :]",
        ("rows of 5",),
    ),
    "the mask of the gradient is one too narrow": (
        "softmax_resident",
        "whole = inside[:, None] & (c < classes)[None, :]",
        "whole = inside[:, None] & (c < classes - 1)[None, :]",
        ("rows of 5",),
    ),
    "the mask of the examples is one too wide": (
        "softmax_resident",
        "inside = first + p < inner",
        "inside = first + p <= inner",
        ("rows of 5", "pixels"),
    ),
    "the target's term is in the sum": (
        "softmax_resident",
        "rest = tl.sum(tl.where(at_class, 0.0, e), axis=1)",
        "rest = tl.sum(e, axis=1) - e_t",
        ("confident in one of 40",),
    ),
    "the gradient of an ignored row is not 0": (
        "softmax_resident",
        "up = tl.where(kept, up, 0.0)",
        "up = tl.where(inside, up, 0.0)",
        ("ignored",),
    ),
    "the loss of an ignored row counts": (
        "softmax_resident",
        "value = tl.where(kept, value, 0.0)",
        "value = tl.where(inside, value, 0.0)",
        ("pixels", "ignored"),
    ),
    "the losses are summed in float32": (
        "softmax_count",
        "total += tl.load(sums + start + at, mask=start + at < parts, other=0.0)",
        "total = (total + tl.load(sums + start + at, mask=start + at < parts, other=0.0)).to(tl.float32)",
        ("a total, sum",),
    ),
    "an ignored target is counted": (
        "softmax_count",
        "inside = inside & (given != ignore_index)",
        "inside = inside & (given == given)",
        ("pixels",),
    ),
    "an offset is cut to 32 bits": (
        "softmax_example",
        "begin = tl.multiple_of(a * outer + b * middle + first * inner, UNIT)",
        "begin = (a * outer + b * middle + first * inner).to(tl.int32)",
        ("beyond 2^31",),
    ),
    "an offset of the gradient is cut to 32 bits": (
        "softmax_resident",
        "tl.store(grad + g_begin + g_at,",
        "tl.store(grad + (g_begin + g_at).to(tl.int32),",
        ("beyond 2^31, in place",),
    ),
    "an offset within a tile is cut to 32 bits": (
        "softmax_example",
        "p = p.to(tl.int64)",
        "p = p.to(tl.int32)",
        ("beyond 2^31",),
    ),
}


def _beyond_in_place() -> None:
    options = (None, 0.0, -100, 0.0, 0.0, None, True, None, 0.0, None)
    for far, near in far_and_near():
        target = torch.zeros((near.shape[0], *near.shape[2:]), dtype=torch.int64)
        _, expected = softmax_nll.softmax_loss(near, target, *options, True, None, True)
        softmax_nll.softmax_loss_(far, target, *options, True, None)
        assert torch.equal(far, expected)


CHECKS = {**softmax_checks(), "beyond 2^31, in place": _beyond_in_place}


def test_gradients_beyond_32_bits() -> None:
    _beyond_in_place()


@pytest.mark.parametrize("mistake", MISTAKES)
def test_the_sweep_finds(mistake: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    module, old, new, checks = MISTAKES[mistake]
    plant(monkeypatch, tmp_path, module, old, new)
    assert any(_fails(CHECKS[name]) for name in checks), f"{checks} let it pass"


def _fails(check: Callable[[], None]) -> bool:
    try:
        check()
    except (AssertionError, InterpreterError) as error:
        # A wrong number, or the interpreter's word for an access out of bounds; no mistake of the mistake's.
        return isinstance(error, AssertionError) or "OutOfBounds" in str(error)
    return False
