"""The scores of a head's chunk of logits in Triton's interpreter; and wrong kernels, which must be found."""

from __future__ import annotations

import math
from functools import partial
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

import likelihead
from kernel_cases import DTYPES, TOLERANCE, seeded
from kernels.interpreted.streamed import stream_all
from likelihead.errors import ShapeError
from likelihead.kernels.ops import compute_dtype
from likelihead.kernels.triton import flags
from oracles import linear_softmax as oracle
from planted import fails, plant

SCORES = torch.ops.likelihead.softmax_scores_
VALUES = {torch.float64: 4e-15}  # of the others 1e-6: they are float32
WAYS = ("none", "one", "each")


@pytest.fixture(autouse=True)
def _short_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    stream_all(monkeypatch)


def _expected(x: Tensor, target: Tensor, ups: tuple[Tensor | None, ...], softcap: float) -> list[Tensor]:
    """nll, lse, entropy, prediction and the gradient in float64."""
    z = x.double().requires_grad_()
    capped = softcap * torch.tanh(z / softcap) if softcap else z
    kept = target != -100
    log_p, top = capped.log_softmax(1), capped.argmax(1)
    lse = (capped - log_p).gather(1, top[:, None])[:, 0]  # which 1e38 takes nothing from
    nll = torch.where(kept, -log_p.gather(1, torch.where(kept, target, 0)[:, None])[:, 0], 0)
    entropy = -(log_p.exp() * log_p.clamp(min=-1000)).sum(1)  # of what cannot be: 0 times that
    total = [
        (up.double() * v).sum() for up, v in zip(ups, (nll, lse, entropy), strict=True) if up is not None
    ]
    gradient = torch.autograd.grad(sum(total), z)[0] if total else z
    return [nll.detach(), lse.detach(), entropy.detach(), top, gradient.detach()]


def _ups(ways: tuple[str, ...], rows: int, dtype: torch.dtype) -> tuple[Tensor | None, ...]:
    of = {
        "none": None,
        "one": torch.tensor(-0.7, dtype=dtype),
        "each": torch.linspace(-1, 2, rows, dtype=dtype),
    }
    return tuple(None if (up := of[way]) is None else up + n * 0.3 for n, way in enumerate(ways))


def _compare(
    x: Tensor,
    target: Tensor,
    ways: tuple[str, ...] = ("each", "one", "each"),
    softcap: float = 0.0,
    lead: int = 0,
) -> None:
    """The logits lie in a larger memory, which is left alone around them."""
    memory = torch.full((x.numel() + 40,), 7.0, dtype=x.dtype)
    outside = torch.ones_like(memory, dtype=torch.bool)
    outside[lead : lead + x.numel()] = False
    logits = memory[lead : lead + x.numel()].view(x.shape).copy_(x)
    ups = _ups(ways, len(x), compute_dtype(x.dtype))
    found = SCORES(*ups, logits, target, -100, softcap, True)
    expected = _expected(x, target.long(), ups, softcap)
    assert memory[outside].eq(7).all()
    assert torch.equal(found[3], expected[3])
    tolerance = VALUES.get(x.dtype, 1e-6)
    for got, true in zip(found[:3], expected[:3], strict=True):
        assert got.dtype == compute_dtype(x.dtype)
        torch.testing.assert_close(got.double(), true, rtol=tolerance, atol=tolerance)
    tolerance = TOLERANCE[x.dtype]
    largest = float(expected[4].abs().max())
    torch.testing.assert_close(logits.double(), expected[4], rtol=tolerance, atol=tolerance * largest)
    if set(ways) == {"none"}:
        assert torch.equal(logits, x)


def _target(rows: int, classes: int, dtype: torch.dtype = torch.int64) -> Tensor:
    """The first and the last class, too."""
    return (torch.arange(rows) * (classes - 1) // max(rows - 1, 1)).to(dtype)


def _rows(classes: int, dtype: torch.dtype = torch.float32, softcap: float = 0.0) -> None:
    x = (torch.randn(5, classes, generator=seeded(classes)) * 4).to(dtype)
    _compare(x, _target(5, classes), softcap=softcap)


def _ignored() -> None:
    x = torch.randn(4, 300, generator=seeded(1))
    target = _target(4, 300)
    target[1] = -100
    _compare(x, target)
    ups = torch.ones(4), torch.tensor([1.0, 0, 1, 1]), torch.tensor([1.0, 0, 1, 1])  # masked, as callers do
    SCORES(*ups, x, target, -100, 0.0, False)
    assert x[1].eq(0).all()
    assert x[[0, 2, 3]].ne(0).all()


def _ties(classes: int, dtype: torch.dtype) -> None:
    """Of few different numbers: in a vector, in several of a thread or of others, and at the edges."""
    x = torch.randint(3, (9, classes), generator=seeded(classes)).to(dtype)
    x[0], x[1], x[2] = 0, -math.inf, torch.finfo(dtype).min
    x[2, 1:] = -math.inf
    target = torch.randint(classes, (9,), generator=seeded(2))
    target[3:6] = x[3:6].argmax(1)
    target[0] = target[6] = -100
    found = SCORES(None, None, None, x, target, -100, 0.0, True)[3]
    assert torch.equal(found, x.argmax(1))


def _sure(classes: int, places: tuple[int, ...]) -> None:
    """What little is beside one class keeps its digits, whether that is the target or not."""
    for place, hit in product(places, (True, False)):
        x = torch.randint(3, (1, classes), generator=seeded(place)).float() - 25
        x[0, place] = 0
        row = x[0].tolist()
        target = torch.tensor([place if hit else (place + 1) % classes])
        _, lse, entropy, _ = SCORES(None, None, torch.ones(1), x, target, -100, 0.0, False)
        exact, slopes = oracle.entropy(row)
        beside = math.fsum(math.exp(z) for z in row if z)
        assert lse.item() == pytest.approx(math.log1p(beside), rel=1e-6, abs=0)
        assert entropy.item() == pytest.approx(exact, rel=1e-6, abs=0)
        true = torch.tensor(slopes, dtype=torch.float64)
        torch.testing.assert_close(x[0].double(), true, rtol=2e-6, atol=0)


def _far_apart() -> None:
    """Classes that cannot be, and numbers whose difference is none."""
    x = torch.randn(5, 301, generator=seeded(3)) * 4
    x[0, ::2] = -math.inf
    x[1, 1:] = -math.inf
    x[2, 100:] = -math.inf
    x[3, ::3] = 3e38
    x[3, 1::3] = -3e38
    x[4, 200:] = 1e4
    _compare(x, torch.tensor([1, 0, 99, 0, 250]))


def _odd() -> None:
    x = torch.zeros(4, 300)
    x[0, 7], x[1, 299], x[2] = math.nan, math.inf, -math.inf
    found = SCORES(torch.ones(4), None, torch.ones(4), x, torch.tensor([0, 5, 2, 3]), -100, 0.0, True)
    for values in (*found[:3], x.sum(1)):
        assert values.isnan().tolist() == [True, True, True, False]
    assert ((found[3] >= 0) & (found[3] < 300)).all()


def _beyond() -> None:
    """A row behind 2^31 logits, on pages that are not there yet; for a kernel that takes it alone."""
    classes = 40_001
    rows = (1 << 31) // classes + 2
    x = torch.from_numpy(np.zeros((rows, classes), dtype=np.float16))
    last = (torch.randn(1, classes, generator=seeded(4)) * 3).half()
    x[-1] = last[0]
    target = torch.full((rows,), 3)
    up = torch.ones(())
    _, lse, entropy, prediction = SCORES(up, None, up, x, target, -100, 0.0, True)
    expected = _expected(last, target[:1], (up, None, up), 0.0)
    torch.testing.assert_close(lse[-1:].double(), expected[1], rtol=1e-6, atol=0)
    torch.testing.assert_close(entropy[-1:].double(), expected[2], rtol=1e-6, atol=0)
    assert prediction[-1] == expected[3]
    torch.testing.assert_close(x[-1:].double(), expected[4], rtol=1e-3, atol=1e-6)


CHECKS = {
    **{f"rows of {c}": partial(_rows, c) for c in (1, 2, 5, 37, 128, 300)},
    **{f"{dtype}": partial(_rows, 301, dtype) for dtype in DTYPES},
    **{f"{dtype}, capped": partial(_rows, 301, dtype, 5.0) for dtype in DTYPES},
    "ignored": _ignored,
    "ties in 3": partial(_ties, 3, torch.float64),
    "ties in 301": partial(_ties, 301, torch.float32),
    "ties in 512": partial(_ties, 512, torch.bfloat16),
    "sure of one in 5": partial(_sure, 5, (0, 4)),
    "sure of one in 301": partial(_sure, 301, (0, 1, 130, 300)),
    "far apart": _far_apart,
    "odd": _odd,
}


@pytest.mark.parametrize("name", CHECKS)
def test_scores(name: str) -> None:
    CHECKS[name]()


@pytest.mark.parametrize("ways", list(product(WAYS, repeat=3)), ids=" ".join)
def test_every_upstream_gradient(ways: tuple[str, ...]) -> None:
    _compare(torch.randn(4, 37, generator=seeded(5)), _target(4, 37), ways)


@pytest.mark.parametrize("lead", [0, 1, 3, 4, 7])
def test_a_row_that_begins_anywhere(lead: int) -> None:
    for classes in (5, 128, 301):
        _compare(torch.randn(3, classes, generator=seeded(lead)), _target(3, classes), lead=lead)


@pytest.mark.parametrize("dtype", [torch.int32, torch.int16, torch.int8, torch.uint8])
def test_indices_of_any_dtype(dtype: torch.dtype) -> None:
    _compare(torch.randn(4, 100, generator=seeded(6)), _target(4, 100, dtype))


def test_no_rows() -> None:
    found = SCORES(
        torch.ones(()), None, None, torch.empty(0, 5), torch.empty(0, dtype=torch.int64), -100, 0.0, True
    )
    assert [v.shape for v in found] == [(0,)] * 4


@pytest.mark.parametrize("outside", [300, -1, 2**40])
def test_a_class_that_there_is_not(outside: int) -> None:
    from likelihead.kernels.triton.softmax_scores import softmax_scores_

    x, target = torch.randn(3, 300), torch.tensor([5, outside, 2])
    nll, lse, entropy, _ = softmax_scores_(None, None, torch.ones(3), x, target, -100, 0.0, False)
    assert nll.isnan().tolist() == [False, True, False]
    assert lse.isfinite().all()
    assert entropy.isfinite().all()
    with pytest.raises(IndexError, match=rf"target\[1\] is {outside}, but there are 300 classes"):
        likelihead.synchronize()
    flags.check(x.device)


@pytest.mark.parametrize("x", [torch.ones(4, 6)[:, :5], torch.ones(5, 4).t(), torch.ones(2, 3, 4)])
def test_what_is_not_rows_is_refused(x: Tensor) -> None:
    with pytest.raises(ShapeError, match=r"expected rows \[N, V\] that are contiguous"):
        SCORES(torch.ones(()), None, None, x, torch.zeros(len(x), dtype=torch.int64), -100, 0.0, False)
    assert x.eq(1).all()


def test_the_op_keeps_torchs_rules() -> None:
    up = torch.ones(3)
    for dtype, prediction in ((torch.float32, True), (torch.bfloat16, False)):
        x = torch.randn(3, 7, dtype=dtype)
        arguments = (up, None, up, x, torch.tensor([0, 6, -100]), -100, 5.0, prediction)
        torch.library.opcheck(SCORES.default, arguments, test_utils=("test_schema", "test_faketensor"))


KERNEL = "softmax_scores_kernel"
EVERY_ROW = "range(tl.program_id(0), items, tl.num_programs(0)):\n        i = tl.full((), number, tl.int64)"
LAST_ROW = "range(items - 1 + tl.program_id(0), items, 1):\n        i = tl.full((), number, tl.int64)"


@pytest.mark.parametrize("bits", [64, 32])
def test_offsets_are_64_bits_wide(bits: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    # The interpreter takes one row after the other: it gets the last one alone, in blocks as on a GPU.
    monkeypatch.undo()
    plant(monkeypatch, tmp_path, KERNEL, EVERY_ROW, LAST_ROW.replace("64", str(bits)))
    assert fails(_beyond) == (bits == 32)


# What stands in the kernel, what is put there, and the checks of which one at least must fail.
MISTAKES = {
    "the gaps stay relative to what was the largest": (
        "gaps = (gaps + below(reference, further) * high) * ratio", "gaps = gaps * ratio", ("rows of 300",),
    ),
    "the threads' gaps are not brought to one top": (
        "gaps * ratio + below(reference, last) * sums", "gaps * ratio", ("rows of 300",),
    ),
    "the target has no gap": ("gap + e_t * gap_t", "gap", ("rows of 37",)),
    "the edges have no gap": (
        "gap += tl.sum(e_edge * below(others_edge, last), axis=0)", "gap += 0.0", ("rows of 5",),
    ),
    "a gap that is infinite is": ("tl.maximum(x - top, FAR)", "x - top", ("far apart",)),
    "the gradient forgets the mean gap": (
        "shared = of_lse - of_entropy * mean_gap", "shared = of_lse", ("rows of 37",),
    ),
    "the target's gradient forgets its gap": (
        "(shared - of_entropy * gap_t)", "shared", ("rows of 37",),
    ),
    "an ignored row has a part of the gradient of nll": (
        "of_nll = tl.where(kept, upstream(up_nll, i, up_nll_stride, A), 0.0)",
        "of_nll = upstream(up_nll, i, up_nll_stride, A)", ("ignored",),
    ),
    "what is beside the largest is a difference": (
        "total < 1.5 * unit", "total < 0.5 * unit", ("sure of one in 301",),
    ),
    "the thread of the largest has nothing else": (
        "sums += tl.sum(exp_below(x, last, NARROW), axis=1)", "sums += 0.0", ("sure of one in 301",),
    ),
    "the edges are not beside the largest": (
        "others += tl.sum(e_edge, axis=0)", "others += 0.0", ("sure of one in 5",),
    ),
    "the last block with the largest is taken": ("most > largest", "most >= largest", ("ties in 301",)),
    "the target is never the first": (
        "first = tl.where(is_first, index, first)", "first = first + 0", ("ties in 301",),
    ),
    "the target is always the first": ("index < first", "index < classes", ("ties in 301",)),
    "the edges have no largest": ("there_edge = is_edge &", "there_edge = (edge < 0) &", ("ties in 301",)),
    "the mask of the vectors is one too wide": (
        "vectors = (classes - head) // VECTOR", "vectors = (classes - head) // VECTOR + 1", ("rows of 300",),
    ),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_the_checks_find(mistake: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    old, new, checks = MISTAKES[mistake]
    plant(monkeypatch, tmp_path, KERNEL, old, new)
    assert any(fails(CHECKS[name]) for name in checks), f"{checks} let it pass"
