"""The divergence of two heads' logits in place, held to the reference in float64 and to its own errors."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from kernel_cases import seeded
from likelihead.kernels.ops import compute_dtype
from likelihead.kernels.reference.linear_kl import bent, distributions, divergence
from likelihead.kernels.triton import library, tunables
from planted import fails, plant
from strict_interpreter import LAUNCHES

assert library.absent() is None  # and so the op is there
OP = torch.ops.likelihead.softmax_kl_
DIRECTIONS = ("forward", "reverse", "jsd")
BETA, INF, NAN = 0.3, float("inf"), float("nan")


@pytest.fixture(autouse=True)
def _small_blocks() -> Iterator[None]:
    """One warp a program: rows of some hundred classes in several blocks."""
    with tunables.override("softmax_kl", num_warps=1):
        yield


def ours(
    teacher: Tensor, logits: Tensor, direction: str, up: Tensor | None, caps: tuple[float, float] = (0, 0)
) -> tuple[Tensor, Tensor]:
    """The values, and what became of the logits."""
    logits = logits.clone()
    before = LAUNCHES["softmax_kl"]
    values = OP(up, logits, teacher, direction, BETA, *map(float, caps))
    assert LAUNCHES["softmax_kl"] == before + 1
    assert values.dtype == compute_dtype(logits.dtype)
    return values, logits


def theirs(
    teacher: Tensor,
    logits: Tensor,
    direction: str,
    up: Tensor,
    caps: tuple[float, float] = (0, 0),
    dtype: torch.dtype = torch.float64,
) -> tuple[Tensor, Tensor]:
    """The same by autograd."""
    z = logits.to(dtype).requires_grad_()
    p, q, ratio = distributions(bent(teacher.to(dtype), caps[1], 1.0), bent(z, caps[0], 1.0))
    values = divergence(p, q, ratio, direction, BETA)[0]
    return values.detach(), torch.autograd.grad((values * up.to(dtype)).sum(), z)[0]


def draw(
    rows: int, classes: int, apart: float, dtype: torch.dtype, *, scale: float = 3.0, seed: int = 0
) -> tuple[Tensor, Tensor, Tensor]:
    """A teacher's logits, a student's so far from them, and an upstream gradient for each row."""
    generator = seeded(seed)
    teacher = torch.randn(rows, classes, generator=generator, dtype=torch.float64) * scale
    student = teacher + apart * torch.randn(rows, classes, generator=generator, dtype=torch.float64)
    up = torch.rand(rows, generator=generator, dtype=torch.float64) + 0.5
    return teacher.to(dtype), student.to(dtype), up.to(compute_dtype(dtype))


def close(found: Tensor, wanted: Tensor, dtype: torch.dtype) -> None:
    """Gradients: to the rounding of the result, of which 16 bits show little below their smallest number."""
    rtol = {torch.float32: 2e-5, torch.float64: 1e-11}.get(dtype, torch.finfo(dtype).eps)
    least = torch.finfo(dtype).smallest_normal * (1 if dtype.itemsize > 2 else torch.finfo(dtype).eps)
    # What all classes share is known as well as the largest of them.
    atol = 1e-6 if dtype == torch.float32 else 1e-13 if dtype == torch.float64 else 1e-6
    bound = rtol * wanted.abs() + atol * wanted.abs().amax(1, keepdim=True) + least
    assert ((found.double() - wanted).abs() <= bound).all()


def check(
    classes: int,
    dtype: torch.dtype = torch.float32,
    apart: float = 1.0,
    caps: tuple[float, float] = (0, 0),
    directions: tuple[str, ...] = DIRECTIONS,
) -> None:
    rtol = 1e-12 if dtype == torch.float64 else 5e-6
    for direction in directions:
        teacher, student, up = draw(2, classes, apart, dtype)
        if direction == "reverse":
            up = up[1]
        wanted = theirs(teacher, student, direction, up, caps)
        values, gradient = ours(teacher, student, direction, up, caps)
        torch.testing.assert_close(values.double(), wanted[0], rtol=rtol, atol=0)
        close(gradient, wanted[1], dtype)


@pytest.mark.parametrize(
    ("classes", "caps"), [(2, (0, 0)), (5, (5, 4)), (16, (0, 4)), (300, (5, 0)), (600, (0, 0))]
)
def test_it_is_the_reference(classes: int, caps: tuple[float, float]) -> None:
    check(classes, caps=caps)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64], ids=str)
def test_dtypes(dtype: torch.dtype) -> None:
    check(37, dtype, caps=(5, 4))
    check(100 if dtype == torch.float64 else 600, dtype)


def test_without_an_upstream_gradient_the_logits_stay() -> None:
    for direction in DIRECTIONS:
        teacher, student, up = draw(2, 300, 1.0, torch.float32)
        values, left = ours(teacher, student, direction, None)
        assert torch.equal(left, student)
        assert torch.equal(values, ours(teacher, student, direction, up)[0])
        alone = ours(teacher[:, :1], student[:, :1], direction, up)
        assert not any(result.any() for result in alone)


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_a_student_near_its_teacher(direction: str) -> None:
    for apart in (1e-1, 1e-5):
        teacher, student, up = draw(2, 300, apart, torch.float32)
        values, gradient = ours(teacher, student, direction, up)
        wanted = theirs(teacher, student, direction, up)
        assert wanted[0].max() < 2 * apart**2
        torch.testing.assert_close(values.double(), wanted[0], rtol=2e-6, atol=0)
        most = float(wanted[1].abs().max())
        torch.testing.assert_close(gradient.double(), wanted[1], rtol=1e-3, atol=1e-6 * most)
    # One class off by the last place of bfloat16: the others' gradients are its doing alone.
    teacher, _, up = draw(2, 300, 0.0, torch.bfloat16)
    student = teacher.clone()
    student[:, 7] *= 1 + 2**-7
    values, gradient = ours(teacher, student, direction, up)
    wanted = theirs(teacher, student, direction, up)
    torch.testing.assert_close(values.double(), wanted[0], rtol=1e-5, atol=0)
    torch.testing.assert_close(gradient.double(), wanted[1], rtol=2**-7, atol=1e-30)
    values, gradient = ours(teacher, teacher, direction, up)
    assert not values.any()
    assert not gradient.any()


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_errors_are_no_larger_than_the_references_in_float32(direction: str) -> None:
    for seed, scale in enumerate((1e-3, 30.0, 1000.0)):
        teacher, student, up = draw(5, 40, 2 * scale, torch.float32, scale=scale, seed=seed)
        student[::4, 3] = 500.0
        student[1::4] += 1e4
        exact = theirs(teacher, student, direction, up)
        plain = theirs(teacher, student, direction, up, dtype=torch.float32)
        found = ours(teacher, student, direction, up)
        for mine, other, wanted, floor in zip(found, plain, exact, (1e-14, 1e-6), strict=True):
            error, its = (mine.double() - wanted).abs(), (other.double() - wanted).abs()
            assert (error <= 4 * its + 4e-6 * wanted.abs() + floor).all(), (scale, error.max(), its.max())


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("classes", [3, 301])
def test_far_apart(direction: str, classes: int) -> None:
    z, t = torch.zeros(1, classes), torch.zeros(1, classes)
    z[0, :3], t[0, :3] = torch.tensor([0.0, 200.0, -100.0]), torch.tensor([90.0, 0.0, 300.0])
    values, gradient = ours(t, z, direction, torch.ones(()))
    mixed = -BETA * np.log(BETA) - (1 - BETA) * np.log(1 - BETA)
    assert values.item() == pytest.approx({"forward": 300, "reverse": 300, "jsd": mixed}[direction], rel=1e-6)
    assert gradient.isfinite().all()
    if direction == "forward":
        torch.testing.assert_close(gradient[:, :3], torch.tensor([[0.0, 1.0, -1.0]]))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("direction", DIRECTIONS)
def test_classes_that_cannot_be(direction: str, dtype: torch.dtype) -> None:
    for classes, apart in ((6, 1.0), (301, 1e-3)):
        teacher, student, up = draw(4, classes, apart, dtype)
        teacher[0, 1] = teacher[1, classes - 1] = student[0, 1] = student[2, 0] = -INF
        student[3, 2] = teacher[3, 4] = -INF
        values, gradient = ours(teacher, student, direction, up)
        wanted = theirs(teacher, student, direction, up)
        assert torch.equal(values == INF, wanted[0] == INF)
        infinite = {"forward": [False, False, True, True], "reverse": [False, True, False, True]}
        assert (values == INF).tolist() == infinite.get(direction, [False] * 4)
        finite = values < INF
        torch.testing.assert_close(values[finite].double(), wanted[0][finite], rtol=5e-6, atol=0)
        close(gradient[finite], wanted[1][finite], dtype)
        # Without a value the reference has a gradient for one of the directions, and autograd for none.
        rest = gradient[~finite].double()
        if direction == "forward":
            p, q, _ = distributions(teacher.double(), student.double())
            close(rest, ((q - p) * up.double().unsqueeze(1))[~finite], dtype)
        else:
            assert rest.isnan().all()


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_rows_without_a_distribution_are_nan_and_no_others(direction: str) -> None:
    for classes, odds in ((5, (NAN, INF, -INF)), (300, (NAN,))):
        for odd in odds:
            for whose in range(2):
                given = draw(3, classes, 1.0, torch.float32)
                given[whose][1, slice(None) if odd == -INF else 2] = odd
                values, gradient = ours(given[0], given[1], direction, given[2])
                assert values.isnan().tolist() == [False, True, False]
                assert gradient.isnan().all(1).tolist() == [False, True, False]
                assert gradient.isnan().any(1).tolist() == [False, True, False]


def test_the_op_is_what_it_says() -> None:
    teacher, student, up = draw(3, 5, 1.0, torch.bfloat16)
    for upstream in (None, up):
        given = (upstream, student, teacher, "reverse", BETA, 0.0, 2.0)
        torch.library.opcheck(OP.default, given, test_utils=("test_schema", "test_faketensor"))
    assert OP(None, student.to("meta"), teacher.to("meta"), "jsd", BETA, 0.0, 0.0).shape == (3,)


def test_without_rows_nothing_is_launched() -> None:
    before = LAUNCHES["softmax_kl"]
    empty = torch.empty(0, 7)
    assert OP(torch.ones(()), empty, empty, "forward", 0.5, 0.0, 0.0).shape == (0,)
    assert LAUNCHES["softmax_kl"] == before


def test_only_the_rows_are_written() -> None:
    for classes, leads in ((5, (1, 3)), (300, (0, 7))):
        for lead in leads:
            memory = torch.full((4 * classes + 40,), 7.0)
            x = memory[lead : lead + 3 * classes].view(3, classes)
            teacher, student, up = draw(3, classes, 1.0, torch.float32)
            x.copy_(student)
            before = memory.clone()
            wanted = theirs(teacher, student, "jsd", up)
            values = OP(up, x, teacher, "jsd", BETA, 0.0, 0.0)
            torch.testing.assert_close(values.double(), wanted[0], rtol=2e-6, atol=0)
            close(x, wanted[1], torch.float32)
            outside = torch.ones_like(memory, dtype=torch.bool)
            outside[lead : lead + 3 * classes] = False
            assert torch.equal(memory[outside], before[outside])


ALIKE = partial(check, 300, apart=1e-5, directions=("forward",))
CAPS = partial(check, 300, caps=(5, 4), directions=("reverse",))
ODD, MIXED = (partial(check, classes, directions=("jsd",)) for classes in (37, 300))
OFF = partial(test_errors_are_no_larger_than_the_references_in_float32, "forward")
# What stands in the kernel, what is put there, and a check that must fail.
MISTAKES: dict[str, tuple[str, str, Callable[[], None]]] = {
    "a class too many is behind the vectors": (
        "edge < head, at_edge < size)", "edge < head, at_edge <= size)", ODD,
    ),
    "a class too many is before the vectors": (
        "edge < head, at_edge < size)", "edge <= head, at_edge < size)", ODD,
    ),
    "a vector too many": (
        "vectors = (size - head) // VECTOR", "vectors = (size - head) // VECTOR + 1", MIXED,
    ),
    "the first block is left out of the second look": (
        "(blocks - 1 - done) * LANES", "(blocks - done) * LANES", partial(check, 600),
    ),
    "near terms are differences of large ones": (
        "term = larger * tl.where(near, bow, far - line)", "term = larger * (far - line)",
        ALIKE,
    ),
    "the error of the sums is not taken off": (
        "value = (value - square) + undefined", "value = (value + square) + undefined",
        ALIKE,
    ),
    "the gradient of rows that are alike keeps the error of the sums": (
        "shift = tl.sum(errors, axis=0)", "shift = tl.sum(errors, axis=0) * 0.0",
        ALIKE,
    ),
    "the largest logits are rounded to what they are apart": (
        "x = ((b - a) + (top_a - top_b)) + constant", "x = (b - a) + ((top_a - top_b) + constant)", OFF,
    ),
    "the mean of the slopes stays in the gradient": (
        "g = weight * (slope - mean)", "g = weight * slope", MIXED,
    ),
    "the caps are exchanged": (
        "cap_a, cap_b = cap_b, cap_a", "cap_a, cap_b = cap_a, cap_b", CAPS,
    ),
    "the cap has no slope": (
        "g *= bend_a if DIRECTION == REVERSE else bend_b", "g *= 1.0", CAPS,
    ),
    "the mixture has the other's share": (
        "of_smaller = tl.where(less, rest, beta)", "of_smaller = tl.where(less, beta, rest)",
        MIXED,
    ),
}  # fmt: skip


def test_without_a_mistake_they_pass() -> None:
    for found in (ALIKE, CAPS, ODD, MIXED, OFF):
        found()


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_found(mistake: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    old, new, found = MISTAKES[mistake]
    plant(monkeypatch, tmp_path, "softmax_kl_kernel", old, new)
    assert fails(found)
