"""The native kernels alone: threads, instruction sets, and more elements than an int counts."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from likelihead.kernels.dispatch import backends, sigmoid_loss, sigmoid_nll, softmax_loss, use_backend

NATIVE = {b.name: b for b in backends()}["native"]
pytestmark = pytest.mark.skipif(not NATIVE.available, reason=f"native is absent: {NATIVE.reason}")


@pytest.fixture(autouse=True)
def _native() -> Iterator[None]:
    with use_backend("native"):
        yield


@pytest.mark.parametrize("shape", [(300, 1000), (70000, 10), (2, 21, 130, 130), (3, 100_003)])
def test_threads_do_not_matter_to_the_bits(shape: tuple[int, ...]) -> None:
    x = torch.randn(shape, requires_grad=True)
    target = torch.randint(shape[1], (shape[0], *shape[2:]))
    before = torch.get_num_threads()
    results = []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            loss = softmax_loss(x, target, weight=torch.ones(shape[1]), label_smoothing=0.1)
            results.append((loss.detach(), *torch.autograd.grad(loss, x)))
    finally:
        torch.set_num_threads(before)
    for loss, gradient in results[1:]:
        assert torch.equal(loss, results[0][0])
        assert torch.equal(gradient, results[0][1])


@pytest.mark.large
def test_more_than_2_to_the_31_elements() -> None:
    rows, classes = 20_000, 120_000  # 2.4e9 float16 zeros: pages that are never written cost nothing
    logits = torch.from_numpy(np.zeros((rows, classes), dtype=np.float16))
    target = torch.full((rows,), -100)
    target[-1] = classes - 1
    logits[-1, -1] = 3
    loss = softmax_loss(logits, target)
    assert loss.item() == pytest.approx(math.log1p((classes - 1) * math.exp(-3)), rel=1e-6)


LARGE_CALLS = """
import hashlib, torch
from likelihead.kernels.dispatch import sigmoid_loss, softmax_loss
from likelihead.kernels.native._library import instruction_set, stores

torch.manual_seed(0)
torch.set_num_threads(2)
digest = hashlib.sha256()
first = stores()
for shape in ((4352, 1000), (4, 20, 256, 224), (4, 19, 255, 255), (3000, 1000)):
    x = torch.randn(shape, requires_grad=True)
    if shape[0] == 3000:
        target = torch.randint(2, shape).float()
    else:
        target = torch.randint(shape[1], (shape[0], *shape[2:]))
    for _ in range(5):  # until the pages of the gradient are there
        x.grad = None
        loss = (sigmoid_loss if shape[0] == 3000 else softmax_loss)(x, target)
        loss.backward()
        digest.update(loss.detach().numpy().tobytes() + x.grad.numpy().tobytes())
print(first, stores(), instruction_set(), digest.hexdigest(), sep=",")
"""


def _large_calls(**environment: str) -> list[str]:
    variables = {key: value for key, value in os.environ.items() if key != "LIKELIHEAD_STORES"}
    command = [sys.executable, "-c", LARGE_CALLS]
    done = subprocess.run(command, env=variables | environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip().split(",")


def test_stores_do_not_matter_to_the_bits() -> None:
    cached, past = _large_calls(LIKELIHEAD_STORES="cached"), _large_calls(LIKELIHEAD_STORES="past")
    measured = _large_calls()
    assert cached[:2] == ["cached", "cached"]
    assert past[:2] == ["past", "past"]
    assert measured[0] == "not measured yet"
    if os.environ.get("LIKELIHEAD_HYPOTHESIS") == "sanitize":
        pass  # whose allocator keeps no pages, without which the question is not put
    elif measured[2] == "avx512" and sys.platform == "linux":
        assert measured[1] in ("cached", "past")
    else:  # there is no choice
        assert measured[1] == "not measured yet"
    assert cached[3] == past[3] == measured[3]


def _with_values(logits: Tensor, target: Tensor, ups: list[Tensor | None], options: tuple[Any, ...]) -> None:
    """`softmax_nll_` is the values and the gradient of the ops that have one of them each, to the bit."""
    ops = torch.ops.likelihead
    nll, lse = ops.softmax_nll(logits, target, *options)
    gradient = ops.softmax_nll_backward(*ups, 0.7, False, logits, target, *options)
    memory = torch.cat([logits.flatten(), logits.new_full((64,), 7)])
    over = memory[: logits.numel()].view(logits.shape)
    values = ops.softmax_nll_(*ups, 0.7, over, target, *options)
    assert torch.equal(values[0], nll)
    assert torch.equal(values[1], lse)
    assert torch.equal(over, gradient)
    assert memory[logits.numel() :].eq(7).all()
    kept = over.clone()
    with pytest.raises(RuntimeError, match=rf"class index out of range: {logits.shape[1]} at 2"):
        ops.softmax_nll_(*ups, 0.7, over, target.index_fill(0, torch.tensor(2), logits.shape[1]), *options)
    assert torch.equal(over, kept)  # nothing is written


def with_values() -> None:
    for dtype in (torch.float32, torch.float64, torch.bfloat16, torch.float16):
        for classes in (3, 17, 300, 5000):
            logits = (torch.randn(7, classes) * 4).to(dtype)
            target = torch.randint(classes, (7,))
            target[3] = -100
            wide = torch.promote_types(dtype, torch.float32)
            one, each = torch.tensor(0.5, dtype=wide), torch.randn(7, dtype=wide)
            per_class, where = torch.rand(classes), torch.rand(7, classes) < 0.8
            plain = (None, 0.0, -100, 0.0, 0.0, None, False, None, 0.0, None)
            full = (per_class, 0.1, -100, 0.01, 5.0, per_class, False, where, 0.0, torch.rand(7))
            for ups in ([one, None], [each, each.flip(0)], [None, each], [each, None]):
                for options in (plain, full):
                    _with_values(logits, target, ups, options)


@pytest.mark.parametrize("isa", ["baseline", "avx2", "avx512"])
def test_values_and_the_gradient_over_the_logits(isa: str) -> None:
    code = "import torch; torch.manual_seed(0); from kernels import test_native; test_native.with_values()"
    folder = Path(__file__).parents[1]
    variables = {"LIKELIHEAD_ISA": isa, "PYTHONPATH": os.pathsep.join([str(folder), *sys.path])}
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | variables, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


_NUMBERS = torch.Generator().manual_seed(5)
_ONE_WRONG = torch.full((9000,), 30.0)
_ONE_WRONG[700] = -2.0
MARGINS: dict[str, Tensor] = {  # the logit for labels of 1, its negative for those of 0
    "zeros": torch.zeros(9000),  # where each product is as large as it can be
    "near": torch.randn(9000, generator=_NUMBERS) * 1e-4,
    "spread": torch.randn(9000, generator=_NUMBERS) * 4,
    "sure": torch.rand(9000, generator=_NUMBERS) * 60 + 15,
    "surer than float32 has": torch.rand(9000, generator=_NUMBERS) * 200,
    "wrong": torch.rand(9000, generator=_NUMBERS) * -200,
    "one wrong": _ONE_WRONG,
    "one block": torch.randn(512, generator=_NUMBERS),
}


@pytest.mark.parametrize("gradient", [False, True])
@pytest.mark.parametrize("name", MARGINS)
def test_the_sum_of_the_losses_of_hard_labels(name: str, gradient: bool) -> None:
    margin = MARGINS[name]
    target = (torch.arange(len(margin)) % 3 == 0).float()
    x = (margin * (2 * target - 1)).requires_grad_(gradient)
    wide = margin.double()
    expected = math.fsum(((-wide).clamp(min=0) + (-wide.abs()).exp().log1p()).tolist())
    loss = sigmoid_loss(x, target, reduction="sum")
    assert abs(loss.item() - expected) <= 2**-23 * expected
    if gradient:
        loss.backward()
        assert x.grad is not None
        slope = ((-wide).sigmoid() * (1 - 2 * target)).float()
        torch.testing.assert_close(x.grad, slope, rtol=3 * 2**-23, atol=1e-37)


@pytest.mark.parametrize("gradient", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", MARGINS)
def test_the_sum_of_the_losses_of_weighed_hard_labels(name: str, dtype: torch.dtype, gradient: bool) -> None:
    wide = MARGINS[name].double()
    target = (torch.arange(len(wide)) % 3 == 0).to(dtype)
    positive = torch.linspace(0.25, 4, len(wide), dtype=dtype)
    each = torch.where(target == 1, positive, 1).double()
    x = (wide * (2 * target - 1)).to(dtype).requires_grad_(gradient)
    losses = each * ((-wide).clamp(min=0) + (-wide.abs()).exp().log1p())
    expected = math.fsum(losses.tolist())
    loss = sigmoid_loss(x, target, pos_weight=positive, reduction="sum")
    eps = torch.finfo(dtype).eps
    assert abs(loss.item() - expected) <= 2 * eps * expected
    if gradient:
        loss.backward()
        assert x.grad is not None
        slope = (each * (-wide).sigmoid() * (1 - 2 * target.double())).to(dtype)
        torch.testing.assert_close(x.grad, slope, rtol=4 * eps, atol=1e-37)


def _weights(kind: str, columns: int) -> Tensor:
    made = torch.rand(columns, generator=_NUMBERS) + 0.5
    made[columns // 2] = {"near 1": 1.25, "a zero": 0.0, "huge": 1e30, "infinite": math.inf}[kind]
    return made


def _weighed(margin: Tensor, target: Tensor, pos_weight: Tensor) -> Tensor:
    """The losses in float64."""
    wide = margin.double()
    nll = (-wide).clamp(min=0) + (-wide.abs()).exp().log1p()
    return torch.where(target == 1, pos_weight.double() * nll, nll)


def _sum_and_slope(x: Tensor, target: Tensor, pos_weight: Tensor) -> tuple[Tensor, Tensor]:
    leaf = x.clone().requires_grad_()
    loss = sigmoid_loss(leaf, target, pos_weight=pos_weight, reduction="sum", torch_nonfinite=True)
    loss.backward()
    assert leaf.grad is not None
    return loss.detach(), leaf.grad


def _is_near(loss: Tensor, losses: Tensor, ulps: float = 1) -> bool:
    """Whether the sum is within so many units in the last place of the exact one."""
    expected = math.fsum(losses.flatten().tolist())
    return abs(loss.item() - expected) <= ulps * float(np.spacing(np.float32(expected)))


EQUAL = {"zeros", "one wrong", "equal"}  # of these, each error is made many times
MARGINS_OF_COLUMNS = {
    name: MARGINS[name] for name in ("zeros", "near", "spread", "sure", "wrong", "one wrong")
}
MARGINS_OF_COLUMNS["equal"] = torch.full((9000,), 20.1)


# Columns that fill no vector, or several; too many to have products; and more rows than one product takes.
@pytest.mark.parametrize("columns", [1, 3, 7, 1000, 1003, 2049])
@pytest.mark.parametrize("name", MARGINS_OF_COLUMNS)
def test_the_sum_of_the_weighed_losses_of_hard_labels(name: str, columns: int) -> None:
    count = 300_000 // columns * columns
    margin = MARGINS_OF_COLUMNS[name].repeat(34)[:count].view(-1, columns)
    for share, kind in ((0.02, "near 1"), (0.2, "huge"), (1.0, "a zero"), (0.5, "near 1")):
        target = (torch.rand(margin.shape, generator=_NUMBERS) < share).float()
        x, pos_weight = margin * (2 * target - 1), _weights(kind, columns)
        loss, slope = _sum_and_slope(x, target, pos_weight)
        assert _is_near(loss, _weighed(margin, target, pos_weight), 4 if name in EQUAL else 1)
        with torch.no_grad():
            again = sigmoid_loss(x, target, pos_weight=pos_weight, reduction="sum", torch_nonfinite=True)
        assert torch.equal(again, loss)
        # Beside that of the losses one by one, which have no products.
        leaf = x.clone().requires_grad_()
        sigmoid_nll(leaf, target, pos_weight=pos_weight, torch_nonfinite=True).backward(torch.ones_like(x))
        assert leaf.grad is not None
        assert torch.equal(slope, leaf.grad)


@pytest.mark.parametrize("columns", [1, 7, 1003])
def test_what_is_odd_between_hard_labels_with_weights(columns: int) -> None:
    margin = torch.randn(540_672 // columns, columns, generator=_NUMBERS)
    target = (torch.rand(margin.shape, generator=_NUMBERS) < 0.3).float()
    x, weight = margin * (2 * target - 1), _weights("infinite", columns)
    loss, slope = _sum_and_slope(x, target, weight)
    assert loss == math.inf
    assert slope[target == 0].isfinite().all()
    assert slope[target == 1].isfinite().equal(weight.expand_as(x)[target == 1].isfinite())
    weight[columns // 2] = math.nan
    loss, slope = _sum_and_slope(x, target, weight)
    assert loss.isnan()
    assert slope[target == 1].isnan().equal(weight.expand_as(x)[target == 1].isnan())
    weight[columns // 2] = 2
    soft = target.clone()
    soft.view(-1)[70_000:70_004] = 0.5  # in one block of many
    nll = sigmoid_nll(x.double(), soft.double(), pos_weight=weight.double())
    assert _is_near(_sum_and_slope(x, soft, weight)[0], nll)
    x.view(-1)[70_001] = math.nan
    loss, slope = _sum_and_slope(x, soft, weight)
    assert loss.isnan()
    assert slope.isnan().sum() == 1


@pytest.mark.parametrize("shape", [(300, 1000), (600_000, 1), (80_000, 7), (600, 1003)])
def test_threads_do_not_matter_to_binary_losses(shape: tuple[int, int]) -> None:
    x = torch.randn(shape, generator=_NUMBERS)
    target = (torch.rand(shape, generator=_NUMBERS) < 0.3).float()
    before = torch.get_num_threads()
    results = []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            results.append(_sum_and_slope(x, target, torch.linspace(0.5, 2, shape[1])))
    finally:
        torch.set_num_threads(before)
    assert all(map(torch.equal, results[0], results[1]))
    assert all(map(torch.equal, results[0], results[2]))


@pytest.mark.parametrize("classes", [1, 2, 3, 5])
@pytest.mark.parametrize("examples", [16, 17, 18, 33, 66])
def test_nothing_is_written_beyond_the_logits(examples: int, classes: int) -> None:
    # Rows of few classes are moved four at a time, which is past the end of the last ones.
    count = examples * classes
    memory = torch.full((count + 64,), 7.0)
    logits = memory[:count].view(examples, classes)
    target = torch.arange(examples) % classes
    options = (None, 0.0, -100, 0.0, 0.0, None, True, None, 0.0, None)
    torch.ops.likelihead.softmax_loss_(logits, target, *options, False, None)
    assert memory[count:].eq(7).all()
    expected = torch.full((examples, classes), 1 / classes)
    expected[torch.arange(examples), target] -= 1
    torch.testing.assert_close(logits, expected, rtol=1e-6, atol=1e-7)


def test_instruction_sets_are_named() -> None:
    from likelihead.kernels.native._library import instruction_set

    assert instruction_set() in ("baseline", "avx2", "avx512")


@pytest.mark.parametrize("option", ["weight", "pos_weight"])
def test_weights_of_no_logits_are_not_copied_anywhere(option: str) -> None:
    weights = {option: torch.rand(5000)}
    for _ in range(20):  # a write beyond its memory shows sooner or later
        leaf = torch.empty(0, 5000, requires_grad=True)
        loss = sigmoid_loss(leaf, torch.empty(0, 5000), reduction="sum", **weights)
        loss.backward()
        assert loss.item() == 0
        assert sigmoid_nll(leaf.detach(), torch.empty(0, 5000), **weights).shape == (0, 5000)
