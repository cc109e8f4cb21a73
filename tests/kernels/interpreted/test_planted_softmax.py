"""Wrong categorical kernels, each with one mistake: the sweep has to find every one."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
import torch

from kernel_cases import seeded
from kernel_sweep import far_and_near, softmax_checks
from kernels.interpreted.streamed import stream_all
from likelihead.kernels import dispatch
from likelihead.kernels.triton import plans, softmax_count, softmax_nll
from likelihead.kernels.triton.launch import run
from likelihead.kernels.triton.sums import second_stage
from planted import fails, plant

pytestmark = pytest.mark.usefixtures("fast")

RESIDENT, STREAMED, ROWS = "softmax_resident", "softmax_streamed", "softmax_rows"
EXAMPLE, COUNT, SUMS = "softmax_example", "softmax_count", "sums"
EDGE = "is_edge = tl.where(edge < VECTOR, edge < head, at_edge < classes)"
# Module, what stands there, what is put there, and the checks of which one at least must fail.
MISTAKES: dict[str, tuple[str, str, str, tuple[str, ...]]] = {
    "the mask of the classes is one too wide": (RESIDENT, "c < classes", "c <= classes", ("rows of 37",)),
    "the mask of the classes is one too narrow": (
        RESIDENT, "c < classes", "c < classes - 1", ("rows of 37",),
    ),
    "the mask of the examples is one too wide": (
        RESIDENT, "inside = first + p < inner", "inside = first + p <= inner", ("rows of 37", "pixels"),
    ),
    "the target's term is in the sum": (
        RESIDENT, "rest = tl.sum(tl.where(at_class, 0.0, e), axis=1)", "rest = tl.sum(e, axis=1) - e_t",
        ("confident in one of 300",),
    ),
    "the gradient of an ignored row is not 0": (
        RESIDENT, "up = tl.where(kept, up, 0.0)", "up = tl.where(inside, up, 0.0)", ("ignored",),
    ),
    "the loss of an ignored row counts": (
        RESIDENT, "value = tl.where(kept, value, 0.0)", "value = tl.where(inside, value, 0.0)", ("ignored",),
    ),
    "the end of the rows in threads is one class too far": (
        ROWS, "left = rows_left * CLASSES\n", "left = rows_left * CLASSES + 1\n", ("rows of 5",),
    ),
    "the end of the rows in threads is one class too early": (
        ROWS, "left = rows_left * CLASSES\n", "left = rows_left * CLASSES - 1\n", ("rows of 5",),
    ),
    "the target's term is in the sum of a row in a thread": (
        ROWS, "tl.where(own, -INFINITY, logit)", "tl.where(hidden, -INFINITY, logit)",
        ("confident in one of 2",),
    ),
    "the gradient of an ignored row in a thread is not 0": (
        ROWS, "hidden = counted == 0", "hidden = inside == 0", ("ignored",),
    ),
    "the rows in threads are turned around": (
        ROWS, "g = g + (by_class[c][r],)", "g = g + (by_class[c][ROWS - 1 - r],)", ("rows of 5",),
    ),
    "the losses are summed in float32": (
        SUMS, "total += tl.load(parts + start + at, mask=start + at < count, other=0.0)",
        "total = (total + tl.load(parts + start + at, mask=start + at < count, other=0.0)).to(tl.float32)",
        ("the second stage",),
    ),
    "the last of the losses is left out": (
        SUMS, "total += tl.load(parts + start + at, mask=start + at < count, other=0.0)",
        "total += tl.load(parts + start + at, mask=start + at < count - 1, other=0.0)", ("pixels",),
    ),
    "an ignored target is counted": (COUNT, "(given != ignore_index)", "(given == given)", ("pixels",)),
    "a mean of few is a sum": (COUNT, "rate = rate / whole", "rate = rate / 1.0", ("rows of 5",)),
    "a loss of one program is a sum": (
        RESIDENT, "total_value *= whole_rate", "total_value *= 1.0", ("rows of 37",),
    ),
    "few are counted wrong for the loss": (
        COUNT, "tl.store(count, whole)\n        rate", "tl.store(count, whole + 1)\n        rate",
        ("pixels",),
    ),
    "only the first round of targets is counted": (
        COUNT, "range(first, tl.cdiv(examples, BLOCK), step)", "range(first, 1, step)",
        ("one program counts",),
    ),
    "the count of the last program is left out": (
        COUNT, "sum_of(sums, parts, BLOCK)", "sum_of(sums, parts - 1, BLOCK)", ("several programs count",),
    ),
    "programs count the same targets": (
        COUNT, "tl.program_id(0),\n        tl.num", "0,\n        tl.num",
        ("several programs count",),
    ),
    "an offset of an example is cut to 32 bits": (
        EXAMPLE, "return a * outer + b * middle + first * inner,",
        "return (a * outer + b * middle + first * inner).to(tl.int32),", ("beyond 2^31",),
    ),
    "an offset within a tile is cut to 32 bits": (
        EXAMPLE, "p = p.to(tl.int64)", "p = p.to(tl.int32)", ("beyond 2^31",),
    ),
    "an offset of the gradient is cut to 32 bits": (
        RESIDENT, "tl.store(grad + g_begin + g_at,", "tl.store(grad + (g_begin + g_at).to(tl.int32),",
        ("beyond 2^31, in place",),
    ),
    "the mask of the second look is missing": (
        STREAMED, "values, mask=inside,", "values,", ("rows of 300",),
    ),
    "the first look has a vector too many": (
        STREAMED, "vectors = (classes - head) // VECTOR", "vectors = (classes - head) // VECTOR + 1",
        ("rows of 300",),
    ),
    "a class too many is behind the vectors of a row": (
        STREAMED, EDGE, EDGE.replace("at_edge < classes", "at_edge <= classes"), ("rows of 5",),
    ),
    "a class too many is before the vectors of a row": (
        STREAMED, EDGE, EDGE.replace("edge < head", "edge <= head"), ("rows of 5",),
    ),
    "the edges of a row are not in its sum": (
        STREAMED, "rest += tl.sum(exp_below(others_edge, last, NARROW), axis=0)", "rest += 0.0",
        ("rows of 5",),
    ),
    "the target is in the sum where it is at the edge of a row": (
        STREAMED, "others_edge = tl.where(at_edge == index, -INFINITY, x_edge)", "others_edge = x_edge",
        ("rows of 5",),
    ),
    "the target's term is in the sum of a long row": (
        STREAMED, "tl.debug_barrier()\n                    x = tl.where(within == ",
        "x = tl.where(-1 == within + 0 * ", ("confident in one of 300",),
    ),
    "the gradient of a long ignored row is not 0": (
        STREAMED, "up = tl.where(kept, up, 0.0)", "up = up + 0.0", ("ignored",),
    ),
    "an offset of a long row is cut to 32 bits": (
        STREAMED, "i = tl.full((), number, tl.int64)", "i = tl.full((), number, tl.int32)", ("beyond 2^31",),
    ),
}  # fmt: skip


def _beyond_in_place() -> None:
    options = (None, 0.0, -100, 0.0, 0.0, None, True, None, 0.0, None)
    for far, near in far_and_near():
        target = torch.zeros((near.shape[0], *near.shape[2:]), dtype=torch.int64)
        _, expected = softmax_nll.softmax_loss(near, target, *options, True, None, True)
        softmax_nll.softmax_loss_(far, target, *options, True, None)
        assert torch.equal(far, expected)


def _counted(rounds: int) -> None:
    """More targets than a program of the loss counts for itself, in blocks of 2048 or 4096."""
    x = torch.randn(9000, 3, generator=seeded(11))
    target = torch.arange(9000) % 3
    target[::7] = -100
    weight, each = torch.tensor([1.0, 0.5, 2.0]), torch.rand(9000, generator=seeded(12))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(softmax_count, "ROUNDS", rounds)
        patch.setattr(plans, "_plans", {})
        for options in ({}, {"weight": weight, "sample_weight": each}):
            for labels in (target, torch.softmax(x, 1)) if options else (target,):
                found = dispatch.softmax_loss(x, labels, **options)
                with dispatch.use_backend("reference"):
                    expected = dispatch.softmax_loss(x.double(), labels, **options)
                torch.testing.assert_close(found.double(), expected, rtol=1e-6, atol=0)


def _second_stage() -> None:
    """Half a unit of the largest, many times: each of them would be lost to it in float32."""
    sums = torch.full((5000,), 0.5, dtype=torch.float64)
    sums[0] = 2.0**24
    out = torch.empty((), dtype=torch.float64)
    run([second_stage(sums, out)])
    assert out.item() == 2.0**24 + 4999 / 2


CHECKS = {
    **softmax_checks(),
    "beyond 2^31, in place": _beyond_in_place,
    "the second stage": _second_stage,
    "one program counts": partial(_counted, 4),
    "several programs count": partial(_counted, 0),
}


@pytest.mark.parametrize("check", [check for check in CHECKS if check not in softmax_checks()])
def test_the_kernels_pass(check: str) -> None:
    CHECKS[check]()


@pytest.mark.parametrize("mistake", MISTAKES)
def test_the_sweep_finds(mistake: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    module, old, new, checks = MISTAKES[mistake]
    plant(monkeypatch, tmp_path, module, old, new)
    if module == STREAMED:
        stream_all(monkeypatch)
    assert any(fails(CHECKS[name]) for name in checks), f"{checks} let it pass"
