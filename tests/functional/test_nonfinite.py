"""NaN and infinity in logits, targets and options: drop-ins as torch has it, likelihoods never a leak.

Drop-ins are walked loss by loss: where torch's value or gradient is a number, ours is that number, for the
mean, the sum, every element, and with the bad element taken out afterwards by indexing or ``torch.where``.
Likelihoods and focal losses are walked by what they leave out themselves: whatever stands there, the element
scores 0 with a gradient of exactly 0, and nothing else changes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import likelihead
import likelihead.functional as LF
from likelihead.evaluate import binary_focal_loss, focal_loss
from likelihead.likelihoods import (
    Bernoulli,
    Categorical,
    CumulativeLink,
    Gaussian,
    Likelihood,
    MultiLabel,
    NegativeBinomial,
    Poisson,
    Quantile,
    StudentT,
)
from served_here import AUTO_AND_OTHERS

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

NAN, INF = math.nan, math.inf
N, C = 4, 3
G = torch.Generator().manual_seed(0)
Z = torch.randn(N, C, generator=G, dtype=torch.float64)
Y, IGNORED = torch.tensor([0, 1, 2, 1]), torch.tensor([0, -100, 2, 1])
SHARES = torch.softmax(torch.randn(N, C, generator=G, dtype=torch.float64), 1)
LABELS = (torch.rand(N, C, generator=G) < 0.5).double()
WEIGHT = torch.rand(C, generator=G, dtype=torch.float64) + 0.5
EACH = torch.rand(N, C, generator=G, dtype=torch.float64) + 0.5
VAR = torch.rand(N, C, generator=G, dtype=torch.float64) + 0.5
NO_CLASS = WEIGHT * torch.tensor([1.0, 0.0, 1.0])
LOG_P = torch.log_softmax(Z, 1)

# torch's function, ours, tensors, other options, and whether a loss belongs to an element or to a row
DROP_INS: dict[str, tuple[Any, Any, dict[str, Tensor], dict[str, Any], bool]] = {
    "ce": (F.cross_entropy, LF.cross_entropy, {"input": Z, "target": Y}, {}, False),
    "ce ignored": (F.cross_entropy, LF.cross_entropy, {"input": Z, "target": IGNORED}, {}, False),
    "ce weight 0": (
        F.cross_entropy,
        LF.cross_entropy,
        {"input": Z, "target": Y, "weight": NO_CLASS},
        {},
        False,
    ),
    "ce smooth": (
        F.cross_entropy,
        LF.cross_entropy,
        {"input": Z, "target": Y},
        {"label_smoothing": 0.1},
        False,
    ),
    "ce smooth weight": (
        F.cross_entropy,
        LF.cross_entropy,
        {"input": Z, "target": Y, "weight": WEIGHT},
        {"label_smoothing": 0.1},
        False,
    ),
    "ce shares smooth weight": (
        F.cross_entropy,
        LF.cross_entropy,
        {"input": Z, "target": SHARES, "weight": WEIGHT},
        {"label_smoothing": 0.1},
        False,
    ),
    "ce shares": (F.cross_entropy, LF.cross_entropy, {"input": Z, "target": SHARES}, {}, False),
    "nll": (F.nll_loss, LF.nll_loss, {"input": LOG_P, "target": Y, "weight": WEIGHT}, {}, False),
    "nll ignored": (F.nll_loss, LF.nll_loss, {"input": LOG_P, "target": IGNORED}, {}, False),
    "bce": (
        F.binary_cross_entropy,
        LF.binary_cross_entropy,
        {"input": torch.sigmoid(Z), "target": LABELS, "weight": EACH},
        {},
        True,
    ),
    "bce logits": (
        F.binary_cross_entropy_with_logits,
        LF.binary_cross_entropy_with_logits,
        {"input": Z, "target": LABELS, "weight": EACH},
        {},
        True,
    ),
    "bce pos_weight": (
        F.binary_cross_entropy_with_logits,
        LF.binary_cross_entropy_with_logits,
        {"input": Z, "target": SHARES, "pos_weight": WEIGHT},
        {},
        True,
    ),
    "soft margin": (
        F.multilabel_soft_margin_loss,
        LF.multilabel_soft_margin_loss,
        {"input": Z, "target": LABELS, "weight": WEIGHT},
        {},
        False,
    ),
    "mse": (F.mse_loss, LF.mse_loss, {"input": Z, "target": SHARES}, {}, True),
    "mse weight": (F.mse_loss, LF.mse_loss, {"input": Z, "target": SHARES, "weight": EACH}, {}, True),
    "gaussian": (
        F.gaussian_nll_loss,
        LF.gaussian_nll_loss,
        {"input": Z, "target": SHARES, "var": VAR},
        {},
        True,
    ),
    "gaussian row": (
        F.gaussian_nll_loss,
        LF.gaussian_nll_loss,
        {"input": Z, "target": SHARES, "var": VAR[:, :1]},
        {"full": True},
        True,
    ),
}


def spoilt(tensors: dict[str, Tensor], name: str, place: Any, value: float) -> dict[str, Tensor]:
    made = {key: tensor.clone() for key, tensor in tensors.items()}
    made[name][place] = value
    return made


def outcome(
    function: Callable[..., Tensor], tensors: dict[str, Tensor], options: Any, way: str, bad: Any
) -> tuple[Tensor, Tensor]:
    leaf = tensors["input"].clone().requires_grad_()
    given = {**tensors, "input": leaf}
    loss = function(**given, **options, reduction=way if way in ("mean", "sum") else "none")
    out = loss
    if way not in ("mean", "sum"):
        upstream = torch.arange(1.0, loss.numel() + 1, dtype=loss.dtype).reshape(loss.shape)
        keep = torch.ones(loss.shape, dtype=torch.bool)
        keep[bad] = False
        if way == "indexed":
            out = (loss * upstream)[keep].sum()
        else:
            out = (
                torch.where(keep, loss, torch.zeros_like(loss)).mul(upstream).sum()
                if way == "where"
                else (loss * upstream).sum()
            )
    return loss.detach(), torch.autograd.grad(out, leaf)[0]


def assert_same(ours: Tensor, torchs: Tensor, dtype: torch.dtype, what: str) -> None:
    tolerance = {torch.float32: 2e-5, torch.float64: 1e-10, torch.bfloat16: 5e-2}[dtype]
    torch.testing.assert_close(
        ours, torchs, rtol=tolerance, atol=tolerance, equal_nan=True, msg=lambda m: f"{what}: {m}"
    )


@pytest.mark.parametrize("backend", AUTO_AND_OTHERS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("name", DROP_INS)
def test_drop_ins_have_torchs_answer(name: str, dtype: torch.dtype, backend: str) -> None:
    torchs, ours, given, options, by_element = DROP_INS[name]
    given = {k: v.to(dtype) if v.is_floating_point() else v for k, v in given.items()}
    with likelihead.use_backend(backend):  # type: ignore[arg-type]
        for argument, tensor in given.items():
            # torch refuses a probability, or a label, that is none.
            if not tensor.is_floating_point() or (name == "bce" and argument != "weight"):
                continue
            for value in (NAN, INF, -INF):
                if argument == "var" and value == -INF:
                    continue  # a negative variance is refused by both
                for place in [(1, 0), (1, 1)] if tensor.shape == (N, C) else [1]:
                    bad = place if by_element and isinstance(place, tuple) else (1,)
                    tensors = spoilt(given, argument, place, value)
                    for way in ("mean", "sum", "none", "indexed", "where"):
                        what = f"{argument}[{place}] = {value}, {way}"
                        a, of_a = outcome(torchs, tensors, options, way, bad)
                        b, of_b = outcome(ours, tensors, options, way, bad)
                        assert_same(b, a, dtype, what)
                        number = of_a.isfinite()
                        assert_same(of_b[number], of_a[number], dtype, f"{what}: gradient")
                        if argument == "input" and way in ("indexed", "where"):
                            rows = torch.arange(N) != 1
                            assert of_b[rows].isfinite().all(), what


LEFT, LEFT_LABELS = torch.tensor([False, True, False, True]), torch.rand(N, C, generator=G) < 0.4
COUNTS = torch.poisson(torch.ones(N, C, dtype=torch.float64), generator=G)
PAIRS = torch.randn(N, C, 2, generator=G, dtype=torch.float64)

Loss = Callable[..., Tensor]


def losses() -> Iterator[tuple[str, Loss, Tensor, Tensor, str]]:
    """Name, loss of (logits, target, reduction, options), logits, target, and how elements are left out."""

    def of(make: Callable[..., Likelihood]) -> Loss:
        return lambda z, y, r, **o: make(reduction=r)(z, y, **o)

    classes: dict[str, Callable[..., Likelihood]] = {
        "Categorical": lambda **o: Categorical(C, **o),
        "Categorical smooth": lambda **o: Categorical(C, weight=WEIGHT, label_smoothing=0.1, z_loss=0.1, **o),
        "Categorical capped": lambda **o: Categorical(C, softcap=3.0, logit_offset=WEIGHT, **o),
    }
    for name, make in classes.items():
        yield name, of(make), Z, Y, "index"
        yield name, of(make), Z, Y, "weight"
        yield f"{name}, shares", of(make), Z, SHARES, "weight"
    log_probs = of(lambda **o: Categorical.from_log_probs(C, **o))
    yield "log-probabilities", log_probs, LOG_P, Y, "index"
    yield "log-probabilities", log_probs, LOG_P, Y, "weight"
    yield "log-probabilities, shares", log_probs, LOG_P, SHARES, "weight"
    labels: dict[str, tuple[Callable[..., Likelihood], Tensor]] = {
        "Bernoulli": (Bernoulli, Z),
        "Bernoulli of log-probabilities": (Bernoulli.from_log_probs, F.logsigmoid(Z)),
        "MultiLabel": (lambda **o: MultiLabel(C, weight=WEIGHT, pos_weight=WEIGHT, **o), Z),
    }
    for name, (make, z) in labels.items():
        for way in ("NaN", "mask", "weight", "weights"):
            yield name, of(make), z, LABELS, way
    for gamma in (0.0, 0.5, 2.0):
        yield (
            f"focal {gamma}",
            lambda z, y, r, g=gamma, **o: focal_loss(z, y, g, reduction=r, **o),
            Z,
            Y,
            "index",
        )
        for way in ("NaN", "mask"):
            focal: Loss = lambda z, y, r, g=gamma, **o: binary_focal_loss(z, y, g, reduction=r, **o)  # noqa: E731
            yield f"binary focal {gamma}", focal, Z, LABELS, way
    numbers: dict[str, tuple[Callable[..., Likelihood], Tensor, Tensor]] = {
        "Gaussian": (lambda **o: Gaussian(num_outputs=C, **o), Z, SHARES),
        "Gaussian predicted": (lambda **o: Gaussian("predicted", num_outputs=C, **o), PAIRS, SHARES),
        "Poisson": (lambda **o: Poisson(num_outputs=C, **o), Z, COUNTS),
        "NegativeBinomial": (lambda **o: NegativeBinomial("predicted", num_outputs=C, **o), PAIRS, COUNTS),
        "StudentT": (lambda **o: StudentT(num_outputs=C, **o), Z, SHARES),
        "Quantile": (lambda **o: Quantile([0.2, 0.8], ordered=True, num_outputs=C, **o), PAIRS, SHARES),
    }
    for name, (make, z, y) in numbers.items():
        for way in ("NaN", "weight", "weights"):
            yield name, of(make), z, y, way
    for way in ("index", "weight"):
        yield "CumulativeLink", of(lambda **o: CumulativeLink(C, **o)), Z[:, 0], Y, way


LOSSES = list(losses())


def left_out(way: str, target: Tensor) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
    """Which elements are left out, the target that says so, and the options that do."""
    rows = LEFT.reshape(-1, *[1] * (target.dim() - 1)).expand(target.shape)
    if way == "index":
        return rows, torch.where(rows, -100, target), {}
    if way == "weight":
        return rows, target, {"sample_weight": 2.0 * ~LEFT}
    options = {"mask": {"mask": ~LEFT_LABELS}, "weights": {"sample_weight": 2.0 * ~LEFT_LABELS}}
    marked = torch.where(LEFT_LABELS, NAN, target) if way == "NaN" else target
    return LEFT_LABELS, marked, options.get(way, {})


@pytest.mark.parametrize("backend", AUTO_AND_OTHERS)
@pytest.mark.parametrize(
    ("name", "loss", "logits", "target", "way"), LOSSES, ids=[f"{case[0]}, {case[4]}" for case in LOSSES]
)
def test_what_is_left_out_leaks_nothing(
    name: str, loss: Loss, logits: Tensor, target: Tensor, way: str, backend: str
) -> None:
    gone, marked, options = left_out(way, target)
    over = gone.reshape(*gone.shape, *[1] * (logits.dim() - gone.dim())).expand(logits.shape)
    with likelihead.use_backend(backend):  # type: ignore[arg-type]
        for dtype in (torch.float32, torch.float64):
            z = torch.where(over, 0.0, logits).to(dtype)
            y = marked.to(dtype) if marked.is_floating_point() else marked
            for value in (NAN, INF, -INF, 1e38):
                bad_logits = torch.where(over, value, z)
                bad_target = torch.where(gone, value, y) if y.is_floating_point() and way != "NaN" else y
                for reduction in ("none", "sum", "mean"):
                    results = []
                    for inputs in ((z, y), (bad_logits, bad_target)):
                        leaf = inputs[0].clone().requires_grad_()
                        out = loss(leaf, inputs[1], reduction, **options)
                        scale = torch.arange(1.0, out.numel() + 1, dtype=out.dtype).reshape(out.shape)
                        results.append((out.detach(), torch.autograd.grad((out * scale).sum(), leaf)[0]))
                    (expected, of_expected), (got, of_got) = results
                    what = f"{value}, {reduction}, {dtype}"
                    assert expected.isfinite().all(), what
                    torch.testing.assert_close(got, expected, msg=what)
                    torch.testing.assert_close(of_got, of_expected, msg=what)
                    assert (of_got[over] == 0).all(), what
                    if reduction == "none":
                        dims = got.shape
                        assert (
                            got[gone.reshape(gone.shape)[..., 0] if gone.dim() > len(dims) else gone] == 0
                        ).all()


@pytest.mark.parametrize("variance", [INF, NAN])
def test_an_infinite_variance_is_infinite_as_in_torch(variance: float) -> None:
    mean, target = torch.zeros(2, requires_grad=True), torch.ones(2)
    var = torch.tensor([variance, 1.0])
    for function in (F.gaussian_nll_loss, LF.gaussian_nll_loss):
        loss = function(mean, target, var, reduction="none")
        torch.testing.assert_close(loss.detach(), torch.tensor([variance, 0.5]), equal_nan=True)
        gradient = torch.autograd.grad(loss[1], mean)[0]
        torch.testing.assert_close(gradient, torch.tensor([1 / variance, -1.0]), equal_nan=True)
