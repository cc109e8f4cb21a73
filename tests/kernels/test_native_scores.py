"""softmax_scores_ of the native library: nll, lse, entropy and prediction of rows, and their gradient."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from likelihead.kernels.dispatch import backends
from oracles.scores import Scores, scores, wide

NATIVE = {b.name: b for b in backends()}["native"]
pytestmark = pytest.mark.skipif(not NATIVE.available, reason=f"native is absent: {NATIVE.reason}")

DTYPES = (torch.float32, torch.float64, torch.bfloat16, torch.float16)
Values = tuple[Tensor, Tensor, Tensor, Tensor]


def score_(
    logits: Tensor,
    target: Tensor,
    *ups: Tensor | None,
    softcap: float = 0.0,
    prediction: bool = True,
    ignore_index: int = -100,
) -> Values:
    """Of upstream gradients as many as are given, in the op's order."""
    given = (*ups, None, None, None)[:3]
    found: Values = torch.ops.likelihead.softmax_scores_(
        *given, logits, target, ignore_index, softcap, prediction
    )
    return found


def _wide(dtype: torch.dtype) -> torch.dtype:
    return torch.promote_types(dtype, torch.float32)


def _rows(kind: str, classes: int) -> tuple[Tensor, Tensor]:
    """Seven rows and their targets: the largest class, an ignored one and others."""
    g = torch.Generator().manual_seed(classes)
    x = torch.randn(7, classes, generator=g, dtype=torch.float64) * 4
    target = torch.randint(classes, (7,), generator=g)
    if kind == "confident":
        margin = torch.tensor([12.0, 16.0, 20.0, 25.0, 40.0, 70.0, 100.0], dtype=torch.float64)
        place = torch.randint(classes, (7, 1), generator=g)
        x.scatter_(1, place, (x.max(1).values + margin).unsqueeze(1))
        target[::2] = place[::2, 0]
    elif kind == "flat":
        x = x * 0 + 3
    elif kind == "ties":
        tied = torch.randint(classes, (7, 3), generator=g)
        x.scatter_(1, tied, 25.0)
        target[::2] = tied[::2, 1]
    elif kind == "impossible":
        x[torch.rand(x.shape, generator=g) < 0.5] = -torch.inf
        x[:, 0] = 1.0
        target[:] = 0
    elif kind == "far":
        x += torch.tensor([-300.0, 300.0, 1000.0, -1000.0, 2000.0, 150.0, 215.0]).unsqueeze(1)
    target[3] = -100
    return x, target


KINDS = ("random", "confident", "flat", "ties", "impossible", "far")
CLASSES = (1, 2, 17, 129, 300, 2003)


def _misses(
    found: Values, gradient: Tensor, ups: list[Tensor], softcap: float, exact: Scores, dtype: torch.dtype
) -> dict[str, float]:
    """By how much each result is off, in units of the rounding of what it is computed from."""
    eps, own = torch.finfo(_wide(dtype)).eps, torch.finfo(dtype)
    # A capped logit is rounded to its size, which moves its exponential by as much.
    moved = eps * (1 + softcap)
    slack = moved if softcap else 0.0
    tiny = np.longdouble(torch.finfo(_wide(dtype)).tiny)
    expected = {"nll": exact.nll, "lse": exact.lse, "entropy": exact.entropy}
    sizes = (
        eps * exact.nll + slack,
        eps * np.maximum(abs(exact.lse), exact.above) + slack,
        moved * exact.entropy,
    )
    misses = {
        name: float((abs(wide(value) - truth) / (size + tiny)).max())
        for (name, truth), value, size in zip(expected.items(), found[:3], sizes, strict=True)
    }
    up = [wide(one)[:, None] for one in ups]
    truth = sum(u * slope for u, slope in zip(up, exact.slopes, strict=True))
    size = sum(abs(u) * of for u, of in zip(up, exact.sizes, strict=True))
    rounding = own.eps / 2 * abs(truth) + own.smallest_normal * own.eps
    off = np.maximum(abs(wide(gradient) - truth) - rounding, 0)
    misses["gradient"] = float((off / (moved * size + tiny)).max())
    return misses


def accuracy() -> None:
    """Every dtype, kind of row, number of classes and cap with this process's instruction set."""
    g = torch.Generator().manual_seed(0)
    seen = math.inf
    for dtype, kind, classes, softcap in product(DTYPES, KINDS, CLASSES, (0.0, 5.0)):
        x, target = _rows(kind, classes)
        logits = x.to(dtype)
        memory = torch.cat([logits.flatten(), logits.new_full((64,), 7)])
        over = memory[: logits.numel()].view(logits.shape)
        ups = [torch.randn(7, generator=g, dtype=_wide(dtype)) for _ in range(3)]
        values = score_(over, target, softcap=softcap)
        assert over.equal(logits)  # nothing is asked for
        found = score_(over, target, *ups, softcap=softcap)
        case = (dtype, kind, classes, softcap)
        assert all(map(torch.equal, values, found)), case
        assert memory[logits.numel() :].eq(7).all(), case
        exact = scores(logits, target, -100, softcap)
        misses = _misses(found, over, ups, softcap, exact, dtype)
        assert max(misses.values()) <= 4, (*case, misses)
        assert found[3].equal(logits.argmax(1)), case
        if kind == "confident" and classes > 1:
            seen = min(seen, found[2].amin().item())
    assert 0 < seen < 1e-20


@pytest.mark.parametrize("isa", ["baseline", "avx2", "avx512"])
def test_values_and_gradients_to_their_last_digits(isa: str) -> None:
    code = "from kernels import test_native_scores; test_native_scores.accuracy()"
    folder = Path(__file__).parents[1]
    variables = {"LIKELIHEAD_ISA": isa, "PYTHONPATH": os.pathsep.join([str(folder), *sys.path])}
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | variables, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_textbook_forms_would_fail_these_bounds() -> None:
    x, target = _rows("confident", 300)
    logits = x.float()
    exact = scores(logits, target, -100, 0.0)
    ups = [torch.linspace(0.5, 2, 7) for _ in range(3)]
    leaf = logits.clone().requires_grad_()
    log_p = leaf.log_softmax(1)
    nll = -log_p.gather(1, target.clamp(min=0).unsqueeze(1)).squeeze(1) * (target != -100)
    found = (nll, leaf.logsumexp(1), -(log_p.exp() * log_p).sum(1))
    (gradient,) = torch.autograd.grad(found, leaf, ups)
    values = (*(v.detach() for v in found), logits.argmax(1))
    misses = _misses(values, gradient, ups, 0.0, exact, torch.float32)
    assert misses["lse"] < 4
    assert all(misses[name] > 20 for name in ("nll", "entropy", "gradient"))


@pytest.mark.parametrize("classes", [3, 40, 1000])
def test_the_gradient_of_each_value_alone(classes: int) -> None:
    x, target = _rows("random", classes)
    logits, numbers = x.float(), torch.tensor([0.7, -1.3, 2.0])
    leaf = x.float().double().requires_grad_()
    log_p = leaf.log_softmax(1)
    nll = -log_p.gather(1, target.clamp(min=0).unsqueeze(1)).squeeze(1) * (target != -100)
    of = (nll, leaf.logsumexp(1), -(log_p.exp() * log_p).sum(1))
    each = [torch.randn(7), None, torch.tensor(0.5), torch.tensor([-2.0]), torch.tensor(3.0).expand(7)]
    for ups in product(each, [None, numbers[0]], [None, numbers[2], torch.linspace(-1, 1, 7)]):
        given = [(v, u.double().expand(7)) for v, u in zip(of, ups, strict=True) if u is not None]
        over = logits.clone()
        score_(over, target, *ups, prediction=False)
        if not given:
            assert over.equal(logits)
            continue
        (expected,) = torch.autograd.grad(
            [v for v, _ in given], leaf, [u for _, u in given], retain_graph=True
        )
        torch.testing.assert_close(over.double(), expected, rtol=1e-5, atol=1e-6)


def test_without_a_prediction_there_is_none() -> None:
    found = score_(torch.randn(3, 40), torch.tensor([0, 1, 2]), prediction=False)
    assert found[3].shape == (0,)
    assert found[3].dtype == torch.int64


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("softcap", [0.0, 2.0])
def test_the_prediction_is_the_first_of_the_largest_wherever_it_is(
    dtype: torch.dtype, softcap: float
) -> None:
    # A cap of 2 rounds both of the largest, 40 and 41, to 2.
    for classes in (1, 5, 64, 131, 300):
        logits = torch.zeros(classes, classes, dtype=dtype)
        logits[torch.arange(classes), torch.arange(classes)] = 41
        logits[:, ::7] = logits[:, ::7].clamp(min=40)
        for later in (1, 2, 130):
            if later < classes:
                again = torch.arange(later, classes)
                logits[again - later, again] = 41
        found = score_(logits, torch.zeros(classes, dtype=torch.long), softcap=softcap)
        assert found[3].equal(logits.argmax(1))
        assert found[3].equal(torch.arange(classes))


@pytest.mark.parametrize("classes", [1, 5, 300, 1000])
def test_rows_without_a_softmax_are_nan_and_leave_the_others_alone(classes: int) -> None:
    for dtype, place, value in product(DTYPES, (0, classes // 2, classes - 1), (math.nan, math.inf)):
        logits = torch.randn(4, classes, dtype=torch.float64).to(dtype)
        logits[3] = logits[0]
        expected, expected_gradient = score_(logits, torch.zeros(4, dtype=torch.int8)), logits.clone()
        up = torch.ones((), dtype=_wide(dtype))
        score_(expected_gradient, torch.zeros(4, dtype=torch.int8), up, up, up)
        logits[1, place] = value
        logits[2] = -math.inf
        largest = logits.argmax(1)
        target = torch.tensor([0, 0, -100, 0])
        found = score_(logits, target, up, up, up)
        assert found[3].equal(largest)
        for value_, truth in zip(found[:3], expected[:3], strict=True):
            assert value_[[0, 3]].equal(truth[[0, 3]])
            assert value_[1].isnan()
        assert found[0][2] == 0
        assert found[1][2].isnan()
        assert found[2][2].isnan()
        assert logits[[0, 3]].equal(expected_gradient[[0, 3]])
        assert logits[1:3].isnan().all()


def test_an_ignored_row_has_no_part_of_the_upstream_gradient_of_nll() -> None:
    logits = torch.randn(3, 300)
    logits[1, 5] = math.nan
    target = torch.tensor([-1, -1, 4])
    over = logits.clone()
    nll, lse, entropy, _ = score_(over, target, torch.ones(3), ignore_index=-1)
    assert nll[:2].equal(torch.zeros(2))
    assert lse.isnan().equal(torch.tensor([False, True, False]))
    assert entropy.isnan().equal(lse.isnan())
    assert over[:2].equal(torch.zeros(2, 300))
    assert over[2].abs().max() > 0.1
    over = logits.clone()
    score_(over, target, torch.ones(3), torch.full((3,), 2.0), ignore_index=-1)
    torch.testing.assert_close(over[0], 2 * logits[0].softmax(0))


def test_the_target_at_minus_infinity() -> None:
    logits = torch.randn(2, 300)
    logits[:, 7] = -math.inf
    over = logits.clone()
    nll, lse, entropy, _ = score_(over, torch.tensor([7, 8]), torch.ones(()), None, torch.ones(()))
    assert nll[0] == math.inf
    assert nll[1].isfinite()
    assert lse.isfinite().all()
    assert entropy.isfinite().all()
    assert over[0, 7] == -1  # as in torch
    assert over[1, 7] == 0
    assert over.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8])
def test_class_indices_of_any_integer_type(dtype: torch.dtype) -> None:
    logits, target = torch.randn(6, 100), torch.tensor([0, 99, 5, 17, 17, 3])
    expected, found = logits.clone(), logits.clone()
    values = score_(expected, target, torch.ones(()), None, torch.ones(()))
    spread = target.to(dtype).repeat_interleave(2)[::2]  # with gaps in between
    assert all(map(torch.equal, score_(found, spread, torch.ones(()), None, torch.ones(())), values))
    assert found.equal(expected)
    wrong = target.to(dtype)
    wrong[4] = 100
    before = found.clone()
    with pytest.raises(RuntimeError, match="class index out of range: 100 at 4"):
        score_(found, wrong, torch.ones(()))
    if dtype != torch.uint8:
        with pytest.raises(RuntimeError, match="class index out of range: -1 at 2"):
            score_(found, wrong.index_fill(0, torch.tensor(2), -1), torch.ones(()))
    assert found.equal(before)  # nothing is written


def test_no_rows() -> None:
    for classes in (0, 40):
        logits = torch.empty(0, classes)
        found = score_(logits, torch.empty(0, dtype=torch.long), torch.ones(()))
        assert [v.shape for v in found] == [(0,)] * 4


def test_what_is_no_call_is_refused() -> None:
    target = torch.tensor([0, 1])
    x = torch.randn(2, 40)
    calls: list[tuple[Tensor, Tensor, Tensor, str]] = [
        (x[0], target, torch.ones(()), r"logits must be \[N, V\], contiguous"),
        (torch.randn(40, 2).t(), target, torch.ones(()), r"logits must be \[N, V\], contiguous"),
        (torch.empty(2, 0), torch.full((2,), -100), torch.ones(()), r"they are \[2, 0\]"),
        (x.long(), target, torch.ones(()), "logits must be float32, float64, bfloat16 or float16"),
        (x, target.float(), torch.ones(()), "target must hold class indices"),
        (x, target[:1], torch.ones(()), "one class index per row"),
        (x, target, torch.ones(3), "one number, or one per example"),
    ]
    for logits, chosen, up, message in calls:
        before = logits.clone()
        for ups in ((up,), (None, up), (None, None, up)):
            with pytest.raises(RuntimeError, match=message):
                score_(logits, chosen, *ups)
        assert logits.equal(before)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_threads_do_not_matter_to_the_bits(dtype: torch.dtype) -> None:
    logits, target = torch.randn(50, 5003).to(dtype), torch.randint(5003, (50,))
    ups = torch.randn(3, 50)
    before, results = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            over = logits.clone()
            results.append((*score_(over, target, *ups), over))
    finally:
        torch.set_num_threads(before)
    assert all(map(torch.equal, results[0], results[1]))
    assert all(map(torch.equal, results[0], results[2]))
