"""What keeps a probability a probability is followed, and the same step over logits is not reported.

Each step is tried three times: behind a softmax (seen), behind a trained layer (silent), and in a near-by
form that may put out anything (silent).
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.checkpoint import checkpoint

from likelihead.guard.origin import trace
from likelihead.guard.provenance import check_provenance

Step = Callable[[Tensor], Tensor]
N, C = 6, 6
ROWS = torch.arange(N)
EVERY = torch.ones(N, C, dtype=torch.bool)


def raw() -> Tensor:
    return nn.Linear(3, C)(torch.randn(N, 3)) * 1


def image(x: Tensor) -> Tensor:
    return x.reshape(1, 1, N, C)


def into_buffer(x: Tensor) -> Tensor:
    buffer = torch.zeros(N, C)
    buffer[:] = x
    return buffer


def row_by_row(x: Tensor) -> Tensor:
    buffer = torch.zeros(N, C)
    for i in range(N):
        buffer[i] = x[i]
    return buffer


def copied(x: Tensor) -> Tensor:
    return torch.empty(N, C).copy_(x)


def half_copied(x: Tensor) -> Tensor:
    buffer = x.clone()
    buffer[: N // 2] = x[N // 2 :]
    return buffer


def put(x: Tensor) -> Tensor:
    return torch.zeros(N, C).index_put_((ROWS,), x)


def masked_put(x: Tensor) -> Tensor:
    buffer = torch.zeros(N, C)
    buffer[EVERY] = x.reshape(-1)
    return buffer


def interpolated(mode: str, **options: bool) -> Step:
    return lambda x: F.interpolate(image(x), scale_factor=2, mode=mode, **options)


KEPT: dict[str, Step] = {
    "gather": lambda x: x.gather(1, torch.arange(C).expand(N, C)),
    "take_along_dim": lambda x: torch.take_along_dim(x, torch.arange(C)[None], 1),
    "take": lambda x: x.take(torch.arange(N * C)).view(N, C),
    "masked_select": lambda x: x.masked_select(EVERY).view(N, C),
    "boolean index": lambda x: x[EVERY].view(N, C),
    "index_select": lambda x: x.index_select(0, ROWS),
    "embedding": lambda x: F.embedding(ROWS, x),
    "flip": lambda x: x.flip(1),
    "fliplr": torch.fliplr,
    "rot90": torch.rot90,
    "roll": lambda x: x.roll(1, 1),
    "roll of the flat numbers": lambda x: x.roll(1),
    "repeat": lambda x: x.repeat(2, 1),
    "repeat of the classes": lambda x: x.repeat(1, 2),
    "repeat_interleave": lambda x: x.repeat_interleave(2, 0),
    "repeat_interleave by a tensor": lambda x: x.repeat_interleave(torch.tensor([1, 2, 1, 1, 1, 1]), 0),
    "tile": lambda x: x.tile(2, 1),
    "as_strided": lambda x: x.as_strided((N, C), (C, 1)),
    "unfold": lambda x: x.unfold(0, 2, 1),
    "diagonal": lambda x: x.diagonal()[None],
    "sort": lambda x: x.sort(1).values,
    "topk": lambda x: x.topk(3, 1).values,
    "amax": lambda x: x.view(N, 2, 3).amax(1),
    "max over models": lambda x: torch.stack([x, x]).max(0).values,
    "max pooling": lambda x: F.max_pool2d(image(x), 2),
    "reflection": lambda x: F.pad(image(x), (1, 1, 1, 1), mode="reflect"),
    "nearest": interpolated("nearest"),
    "nearest-exact": interpolated("nearest-exact"),
    "bilinear": interpolated("bilinear"),
    "bilinear, antialiased": interpolated("bilinear", antialias=True),
    "area": lambda x: F.interpolate(image(x), size=(4, 4), mode="area"),
    "linear": lambda x: F.interpolate(x[None], scale_factor=2, mode="linear"),
    "trilinear": lambda x: F.interpolate(image(x)[None], scale_factor=2, mode="trilinear"),
    "average pooling": lambda x: F.avg_pool2d(image(x), 2),
    "average pooling, 1d": lambda x: F.avg_pool1d(x, 2),
    "adaptive average pooling": lambda x: F.adaptive_avg_pool2d(image(x), 2),
    "grid_sample": lambda x: F.grid_sample(image(x), torch.zeros(1, 2, 2, 2), align_corners=False),
    "clamp": lambda x: x.clamp(1e-7, 1 - 1e-7),
    "clamp by tensors": lambda x: x.clamp(torch.tensor(1e-7), torch.tensor(1.0)),
    "hardtanh": lambda x: F.hardtanh(x, 0.0, 1.0),
    "relu": lambda x: x.relu(),
    "nan_to_num": lambda x: x.nan_to_num(),
    "+ eps": lambda x: x + 1e-8,
    "eps +": lambda x: 1e-8 + x,
    "+ eps, a tensor": lambda x: x + torch.tensor(1e-8),
    "- eps": lambda x: x - 1e-8,
    "add_": lambda x: x.clone().add_(1e-8),
    "* 1": lambda x: x * 1,
    "1.0 *": lambda x: 1.0 * x,
    "/ 1": lambda x: x / 1,
    "** 1": lambda x: x**1,
    "* 4 / 4": lambda x: x * 4 / 4,
    "clone": lambda x: x.clone(),
    "half": lambda x: x.half(),
    "dropout, off": lambda x: F.dropout(x, 0.5, training=False),
    "checkpoint": lambda x: checkpoint(torch.flip, x, (0,), use_reentrant=False),
    "where": lambda x: torch.where(EVERY, x, x.flip(1)),
    "maximum": lambda x: torch.maximum(x, x.flip(1)),
    "maximum with a constant": lambda x: torch.maximum(x, torch.tensor(1e-7)),
    "fmax with a constant": lambda x: torch.fmax(x, torch.tensor(1e-7)),
    "minimum with a constant": lambda x: torch.minimum(torch.tensor(1.0), x),
    "half of a maximum, doubled": lambda x: 2 * (0.5 * torch.maximum(x, torch.full_like(x, 1e-7))),
    "cat": lambda x: torch.cat([x, x.flip(0)]),
    "stack": lambda x: torch.stack([x, x], 2),
    "(p + q) / 2": lambda x: (x + x.flip(1)) / 2,
    "0.5 * (p + q)": lambda x: 0.5 * (x + x.flip(1)),
    "0.3 * p + 0.7 * q": lambda x: 0.3 * x + 0.7 * x.flip(1),
    "add with alpha": lambda x: torch.add(x * 0.5, x, alpha=0.5),
    "0.5 * clamped + 0.5 * clamped": lambda x: 0.5 * x.clamp(0, 1) + 0.5 * x.clamp(min=1e-6),
    "sum() / n": lambda x: sum([x, x.flip(1), x]) / 3,
    "stack, mean": lambda x: torch.stack([x, x, x]).mean(0),
    "stack, sum, / n": lambda x: torch.stack([x, x, x]).sum(0) / 3,
    "lerp": lambda x: torch.lerp(x, x.flip(1), 0.3),
    "lerp by a tensor": lambda x: torch.lerp(x, x.flip(1), torch.tensor(0.3)),
    "buffer[:] = p": into_buffer,
    "buffer[i] = p[i]": row_by_row,
    "copy_": copied,
    "p[:n] = q": half_copied,
    "index_put_": put,
    "buffer[mask] = p": masked_put,
    "scatter": lambda x: torch.zeros(N, C).scatter(1, torch.arange(C).expand(N, C), x),
    "masked_scatter": lambda x: torch.zeros(N, C).masked_scatter(EVERY, x),
    "index_copy": lambda x: torch.zeros(N, C).index_copy(0, ROWS, x),
    "slice_scatter": lambda x: torch.zeros(2 * N, C).slice_scatter(x, 0, 0, N),
}


@pytest.mark.parametrize("name", KEPT)
def test_a_step_that_keeps_a_probability_is_followed(name: str) -> None:
    step = KEPT[name]
    through = step(raw().softmax(1))
    assert 0 <= through.min() <= through.max() <= 1.001  # the step is what the table says of it
    for loss, make, code in (
        ("cross_entropy", lambda z: z.softmax(1), "LH101"),
        ("cross_entropy", lambda z: z.softmax(0), "LH101"),
        ("cross_entropy", torch.sigmoid, "LH102"),
        ("bce_with_logits", torch.sigmoid, "LH106"),
        ("bce_with_logits", lambda z: z.softmax(1), "LH107"),
        ("nll", lambda z: z.softmax(1), "LH104"),
        ("cross_entropy", lambda z: z.log_softmax(1).exp(), "LH101"),
    ):
        finding = check_provenance(loss, step(make(raw())), full=False)
        assert finding is not None, (loss, code)
        assert finding.code == code


@pytest.mark.parametrize("name", KEPT)
def test_the_same_step_over_logits_or_unknown_numbers_is_silent(name: str) -> None:
    step = KEPT[name]
    for loss in ("cross_entropy", "bce_with_logits", "multilabel_soft_margin"):
        assert check_provenance(loss, step(raw()), full=True) is None
        assert check_provenance(loss, step(raw().tanh()), full=True) is None
        assert check_provenance(loss, step(raw().softmax(1) * raw()), full=True) is None
    assert check_provenance("bce", step(raw().softmax(1)), full=True) is None


NOT_KEPT: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "where between a probability and logits": lambda p, z: torch.where(EVERY, p, z),
    "where between a probability and a number": lambda p, z: torch.where(EVERY, p, -9.0),
    "maximum with logits": lambda p, z: torch.maximum(p, z),
    "maximum with constants of any size": lambda p, z: torch.maximum(p, torch.full_like(p, 3.0)),
    "maximum of a doubled one": lambda p, z: torch.maximum(2 * p, torch.tensor(1e-7)),
    "cat with logits": lambda p, z: torch.cat([p, z]),
    "+ logits": lambda p, z: p + z,
    "+ logits of a frozen model": lambda p, z: p + 3 * torch.randn(N, C).abs() + 1,
    "- logits of a frozen model": lambda p, z: p - 3 * torch.randn(N, C).abs() - 1,
    "+ 2": lambda p, z: p + 2,
    "* 10": lambda p, z: p * 10,
    "* a mask": lambda p, z: p * EVERY,
    "* a scale that may be trained": lambda p, z: p * torch.tensor(1.0),
    "* a parameter": lambda p, z: p * nn.Parameter(torch.ones(())),
    "/ temperature": lambda p, z: p / 0.07,
    "/ a tensor": lambda p, z: p / p.detach().sum(1, keepdim=True),
    "p + q": lambda p, z: p + p,
    "p - q": lambda p, z: p - p.flip(0),
    "sum over models": lambda p, z: torch.stack([p, p]).sum(0),
    "0.9 * p + 0.2 * q": lambda p, z: 0.9 * p + 0.2 * p,
    "average with logits": lambda p, z: (p + z) / 2,
    "lerp to logits": lambda p, z: torch.lerp(p, z, 0.5),
    "extrapolation": lambda p, z: torch.lerp(p, p.flip(1), 1.5),
    "bicubic": lambda p, z: F.interpolate(image(p), scale_factor=2, mode="bicubic"),
    "clamp above 1": lambda p, z: p.clamp(min=2.0),
    "clamp below 0": lambda p, z: p.clamp(max=-1.0),
    "half of a clamped double": lambda p, z: (2 * p).clamp(max=3.0) / 2,
    "sqrt": lambda p, z: p.sqrt(),
    "square": lambda p, z: p**2,
    "- p": lambda p, z: -p,
    "log-odds": lambda p, z: torch.logit(p),
    "matrix product": lambda p, z: p @ torch.randn(C, C),
    "dropout, on": lambda p, z: F.dropout(p, 0.5),
    "a buffer of large numbers, written in part": lambda p, z: torch.full((2 * N, C), 7.0).slice_scatter(
        p, 0, N, 2 * N
    ),
    "written over in part by logits": lambda p, z: torch.cat([p, p]).slice_scatter(z, 0, 0, N),
    "added in place to a part of frozen logits": lambda p, z: _added_in_part(p),
    "index_put_ that adds": lambda p, z: torch.full((N, C), 5.0).index_put_((ROWS,), p, accumulate=True),
    "padded with a number": lambda p, z: F.pad(p, (1, 1), value=-5.0),
    "exp of log-probabilities and a constant": lambda p, z: (z.log_softmax(1) + torch.ones(C)).exp(),
    "log-probabilities, averaged": lambda p, z: torch.stack([z.log_softmax(1), z.log_softmax(1)]).mean(0),
    "log of a probability, plus a prior": lambda p, z: p.log() + torch.randn(C),
    "log of an average": lambda p, z: ((p + p) / 2).log(),
    "p ** T by its logarithm": lambda p, z: (2 * z.log_softmax(1)).exp(),
    "a clamped log-probability": lambda p, z: z.log_softmax(1).clamp(min=-20),
}


def _added_in_part(p: Tensor) -> Tensor:
    frozen = 3 + torch.rand(N, C)
    frozen[:3] += p[:3]
    return frozen


@pytest.mark.parametrize("name", NOT_KEPT)
@pytest.mark.parametrize("loss", ["cross_entropy", "bce_with_logits", "nll"])
def test_a_near_by_step_is_silent(name: str, loss: str) -> None:
    z = raw()
    assert check_provenance(loss, NOT_KEPT[name](z.softmax(1), z), full=True) is None


def test_an_average_of_sigmoids_has_no_logits_to_pass_instead() -> None:
    average = (raw().sigmoid() + raw().sigmoid()) / 2
    assert check_provenance("bce", average, full=True) is None
    assert (
        check_provenance(
            "bce", F.interpolate(image(raw().sigmoid()), scale_factor=2, mode="bilinear"), full=True
        )
        is None
    )
    finding = check_provenance("bce", raw().sigmoid().flip(1), full=True)
    assert finding is not None
    assert finding.code == "LH109"


def test_a_guarded_logarithm_is_silent_and_a_bare_one_is_not() -> None:
    def code(made: Tensor) -> str | None:
        finding = check_provenance("nll", made, full=True)
        return None if finding is None else finding.code

    p = raw().softmax(1)
    assert code(p.log()) == "LH110"
    assert code((p * 1).flip(0).log()) == "LH110"
    assert code((p + 1e-8).log()) is None
    assert code(p.clamp(1e-7, 1 - 1e-7).log()) is None
    assert code(p.log().clamp(min=-100)) is None
    assert code(p.log().nan_to_num()) is None
    # The wrong dimension stays wrong.
    assert code(torch.randn(N, 5, requires_grad=True).softmax(0).log()) == "LH112"


def test_nothing_saved_is_read_on_the_way() -> None:
    def unpack(packed: object) -> Tensor:
        raise AssertionError("a saved tensor was read")

    with torch.autograd.graph.saved_tensors_hooks(lambda t: t, unpack):
        made = [step(raw().softmax(1)) for step in KEPT.values()]
        other = [step(raw().softmax(1), raw()) for step in NOT_KEPT.values()]
    for tensor in made:
        assert trace(tensor) is not None
    for tensor in other:
        trace(tensor)


class Operations(TorchDispatchMode):
    def __init__(self) -> None:
        self.seen: list[str] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        self.seen.append(str(func))
        return func(*args, **(kwargs or {}))


def test_no_operation_runs_where_a_dispatch_mode_would_see_it() -> None:
    made = [step(raw().softmax(1)) for step in KEPT.values()]
    with Operations() as mode:
        for tensor in made:
            check_provenance("cross_entropy", tensor, full=False)
    assert mode.seen == []


def test_a_constant_beside_a_probability_on_a_device_that_would_wait_is_unknown() -> None:
    p = torch.randn(N, C, device="meta", requires_grad=True).softmax(1)
    assert check_provenance("cross_entropy", p + 1e-8, full=False) is None
    assert check_provenance("cross_entropy", p * 1, full=False) is not None


def test_the_walk_is_bounded_also_where_it_branches() -> None:
    p = raw().softmax(1)
    for _ in range(40):
        p = (p + p) / 2  # 2 ** 40 ways
    assert trace(p) is None


def test_the_dimension_survives_what_moves_no_class() -> None:
    z = torch.randn(4, 5, requires_grad=True)
    for made, dim in (
        (z.softmax(1).flip(0), 1),
        (z.softmax(1).roll(1, 0), 1),
        (z.softmax(1) * 1, 1),
        (z.softmax(1).repeat(2, 1), 1),
        (z.softmax(1).repeat(3, 1, 1), 2),
        (z.softmax(1).repeat(1, 2), None),
        (z.softmax(1).gather(1, torch.zeros(4, 1, dtype=torch.long)), None),
    ):
        origin = trace(made)
        assert origin is not None
        assert origin.dim == dim
    finding = check_provenance("cross_entropy", z.log_softmax(1).flip(0) * 1, full=True)
    assert finding is not None
    assert finding.code == "LH103"
