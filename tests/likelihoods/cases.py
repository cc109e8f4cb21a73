"""The test values that each likelihood brings to the contract suite.

A new likelihood adds its rows here; `contract.py` has the checks and `test_contract.py` runs them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st
from torch import Tensor

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
from oracles import cross_entropy as expected

# "Else the tests are not meaningful": large, opposite, signed zeros, and plain ones.
REAL_LOGITS = st.one_of(
    st.sampled_from([1e4, -1e4, 0.0, -0.0, 20.0, -20.0, 60.0, 1e-8]),
    st.floats(-30.0, 30.0, allow_subnormal=False, width=32),
)
MODERATE = st.floats(-4.0, 4.0, allow_subnormal=False, width=32)

CLASSES, LABELS = 4, 3


@dataclass(frozen=True)
class Case:
    """One likelihood with options.

    Attributes:
        make: the likelihood, from further options.
        outcome: the shape of the head's output for one example.
        event: the shape of one target.
        target: one value of a target.
        is_plain: whether the NLL is that of the distribution: no weights, smoothing or z-loss.
        is_exact: whether the gradient has full relative accuracy: hard targets, no smoothing, cap or offset.
        count: what the mean divides by, worked out in plain Python from (likelihood, target).
        leave_out: the target with every value left out, or None where there is no such thing.
        frequency: the empirical mean of targets, as the distribution's mean reports it.
        expect: the expectation of a function of a target under the distribution of (likelihood, logits).
        cross_entropy: the expected NLL of q under p in float64, where a sum over `expect` would be long.
        kl_range: how far apart the outputs of p and q are for which the divergence promises ten digits, where
            it does not promise all of them everywhere.
        outcomes: a dozen targets in which every outcome occurs, where `contract.every_outcome` knows none.
        scale: the size of the numbers that are rounded on the way to an NLL and its gradient.
        is_smooth: whether the gradient has no steps.
    """

    name: str
    make: Callable[..., Likelihood]
    outcome: tuple[int, ...]
    event: tuple[int, ...]
    target: st.SearchStrategy[Any]
    dtype: torch.dtype
    is_plain: bool = True
    is_exact: bool = False
    logit: st.SearchStrategy[float] = REAL_LOGITS
    count: Callable[[Likelihood, Tensor], float] = field(default=lambda likelihood, target: target.numel())
    leave_out: Callable[[Tensor], Tensor] | None = None
    frequency: Callable[[Tensor], Tensor] | None = None
    expect: Callable[[Likelihood, Tensor, Callable[[Tensor], Tensor]], Tensor] | None = None
    cross_entropy: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None
    kl_range: float | None = None
    outcomes: Callable[[], Tensor] | None = None
    scale: float = 1.0
    is_smooth: bool = True

    def __str__(self) -> str:
        return self.name

    @property
    def has_expectation(self) -> bool:
        return self.expect is not None or self.cross_entropy is not None

    def expected_nll(self, likelihood: Likelihood, p: Tensor, q: Tensor) -> Tensor:
        """The mean under p of the NLL of q."""
        if self.cross_entropy is not None:
            return torch.as_tensor(self.cross_entropy(*(x.detach().double().numpy() for x in (p, q))))
        assert self.expect is not None
        return self.expect(likelihood, p, lambda target: likelihood.nll(q, target))

    def examples(
        self, *, moderate: bool = False, dtypes: tuple[torch.dtype, ...] = ()
    ) -> st.SearchStrategy[Any]:
        """Pairs of logits and target."""
        return _pairs(self, MODERATE if moderate else self.logit, dtypes or (torch.float32, torch.float64))


@st.composite
def _pairs(draw: Any, case: Case, logit: st.SearchStrategy[float], dtypes: tuple[torch.dtype, ...]) -> Any:
    n = draw(st.integers(1, 4))
    dtype = draw(st.sampled_from(dtypes))

    def tensor(shape: tuple[int, ...], values: st.SearchStrategy[Any], dtype: torch.dtype) -> Tensor:
        size = int(np.prod(shape))
        flat = draw(st.lists(values, min_size=size, max_size=size))
        return torch.tensor(flat, dtype=dtype).reshape(shape)

    logits = tensor((n, *case.outcome), logit, dtype)
    target_dtype = dtype if case.dtype.is_floating_point else case.dtype
    return logits, tensor((n, *case.event), case.target, target_dtype)


def _left_out_index(target: Tensor) -> Tensor:
    return torch.full_like(target, -100)


def _left_out_nan(target: Tensor) -> Tensor:
    return torch.full(target.shape, float("nan"))


def _class_count(likelihood: Likelihood, target: Tensor) -> float:
    weight = getattr(likelihood, "weight", None)
    weight = [1.0] * CLASSES if weight is None else weight.tolist()
    return sum(weight[y] for y in target.flatten().tolist() if y != -100)


def _label_count(likelihood: Likelihood, target: Tensor) -> float:
    return sum(1 for y in target.flatten().tolist() if y == y)


def _class_frequency(target: Tensor) -> Tensor:
    kept = [y for y in target.flatten().tolist() if y != -100]
    return torch.tensor([kept.count(k) / len(kept) for k in range(CLASSES)], dtype=torch.float64)


def _expect_class(likelihood: Likelihood, logits: Tensor, value: Callable[[Tensor], Tensor]) -> Tensor:
    probs = torch.softmax(logits.double(), 1)
    shape = (logits.shape[0], *logits.shape[2:])
    return sum(_times(probs.select(1, k), value(torch.full(shape, k))) for k in range(CLASSES))


def _expect_yes(likelihood: Likelihood, logits: Tensor, value: Callable[[Tensor], Tensor]) -> Tensor:
    p = torch.sigmoid(logits.double())
    no = torch.sigmoid(-logits.double())
    return _times(p, value(torch.ones_like(logits))) + _times(no, value(torch.zeros_like(logits)))


def _times(p: Tensor, value: Tensor) -> Tensor:
    return torch.where(p == 0, 0.0, p * value.double())


def _expect_real(likelihood: Likelihood, logits: Tensor, value: Callable[[Tensor], Tensor]) -> Tensor:
    """Gauss-Hermite quadrature, exact for the quadratic that a Gaussian NLL is."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(8)
    normal = likelihood.distribution(logits.double())
    total = sum(
        float(w) * value(normal.mean + float(x) * normal.stddev).double()
        for x, w in zip(nodes, weights, strict=True)
    )
    return total / weights.sum()


_INDEX = st.integers(0, CLASSES - 1)
_INDEX_OR_IGNORED = st.one_of(_INDEX, st.just(-100))
_YES = st.sampled_from([0.0, 1.0])
_SHARE = st.one_of(_YES, st.floats(0.0, 1.0, width=32, allow_subnormal=False))
_YES_OR_MISSING = st.sampled_from([0.0, 1.0, float("nan")])
_WEIGHT = torch.tensor([0.5, 2.0, 1.0, 3.0])


def _class_case(name: str, outcome: tuple[int, ...] = (), target: Any = _INDEX, **options: Any) -> Case:
    plain = not {"weight", "label_smoothing", "z_loss"} & set(options)
    return Case(
        name=f"categorical-{name}",
        make=lambda **more: Categorical(CLASSES, **{**options, **more}),
        outcome=(CLASSES, *outcome),
        event=outcome,
        target=target,
        dtype=torch.int64,
        is_plain=plain,
        is_exact=not {"label_smoothing", "z_loss", "softcap", "logit_offset"} & set(options),
        count=_class_count,
        leave_out=_left_out_index,
        frequency=_class_frequency if plain and target is _INDEX else None,
        expect=_expect_class if not options else None,
    )


def _binary_case(
    name: str, make: Callable[..., Likelihood], shape: tuple[int, ...], target: Any, *, is_plain: bool = True
) -> Case:
    return Case(
        name=name,
        make=make,
        outcome=shape,
        event=shape,
        target=target,
        dtype=torch.float32,
        is_plain=is_plain,
        is_exact=target is not _SHARE,
        count=_label_count,
        leave_out=_left_out_nan,
        frequency=(lambda target: target.double().mean(0 if len(shape) == 1 and shape[0] > 1 else None))
        if is_plain and target is _YES
        else None,
        expect=_expect_yes if is_plain else None,
    )


_COUNT = st.one_of(st.integers(0, 12).map(float), st.sampled_from([0.0, 1.0, 40.0, 1000.0]))
_COUNT_OR_MISSING = st.one_of(_COUNT, st.just(float("nan")))


def _with_gaps(targets: Tensor) -> Tensor:
    targets = targets.clone()
    targets[4] = float("nan")
    targets.view(-1)[7] = float("nan")
    return targets


def _count_case(
    name: str,
    make: Callable[..., Likelihood],
    outcome: tuple[int, ...],
    event: tuple[int, ...],
    target: Any,
    cross_entropy: Callable[..., np.ndarray],
) -> Case:
    seen = torch.tensor([0.0, 2, 1, 9, 3, 0, 5, 0, 2, 30, 1, 4])
    seen = seen.reshape(12, *[1] * len(event)).expand(12, *event)
    missing = target is _COUNT_OR_MISSING
    return Case(
        name=name,
        make=make,
        outcome=outcome,
        event=event,
        target=target,
        dtype=torch.float32,
        is_plain=not missing,
        logit=st.floats(-5.0, 3.0, width=32, allow_subnormal=False),
        count=_label_count,
        leave_out=_left_out_nan,
        frequency=None if missing else (lambda target: target.double().mean()),
        cross_entropy=cross_entropy,
        outcomes=lambda: _with_gaps(seen) if missing else seen.clone(),
        scale=1000.0,
    )


def _real_case(
    name: str,
    make: Callable[..., Likelihood],
    outcome: tuple[int, ...],
    event: tuple[int, ...],
    cross_entropy: Callable[..., np.ndarray],
    *,
    is_smooth: bool = True,
    kl_range: float | None = None,
) -> Case:
    seen = torch.tensor([-1.0, 0.25, 0.5, 9.0, 1.0, 1.5, -0.5, 0.125, 2.0, 0.75, 3.0, -2.0])
    seen = seen.reshape(12, *[1] * len(event)).expand(12, *event)
    composite = len(outcome) > len(event) and name.startswith("quantile")
    return Case(
        name=name,
        make=make,
        outcome=outcome,
        event=event,
        target=st.one_of(MODERATE, st.sampled_from([1e4, -300.0])),
        dtype=torch.float32,
        is_plain=not composite,
        logit=MODERATE,
        leave_out=_left_out_nan,
        cross_entropy=cross_entropy,
        kl_range=kl_range,
        outcomes=seen.clone,
        scale=100.0,
        is_smooth=is_smooth,
    )


def _order_case(name: str, shape: tuple[int, ...], target: Any) -> Case:
    return Case(
        name=name,
        make=lambda **o: CumulativeLink(CLASSES, **o),
        outcome=shape,
        event=shape,
        target=target,
        dtype=torch.int64,
        count=_class_count,
        leave_out=_left_out_index,
        expect=_expect_order if target is _INDEX else None,
    )


def _expect_order(likelihood: Likelihood, logits: Tensor, value: Callable[[Tensor], Tensor]) -> Tensor:
    probs = likelihood.distribution(logits.double()).probs.detach()
    return sum(_times(probs[..., k], value(torch.full(logits.shape, k)).detach()) for k in range(CLASSES))


CASES: list[Case] = [
    _class_case("plain"),
    _class_case("ignored", target=_INDEX_OR_IGNORED),
    _class_case("spatial", (2, 2), _INDEX_OR_IGNORED),
    _class_case("weight", weight=_WEIGHT, target=_INDEX_OR_IGNORED),
    _class_case("smoothing", label_smoothing=0.1),
    _class_case("smoothing-weight", weight=_WEIGHT, label_smoothing=0.2, target=_INDEX_OR_IGNORED),
    _class_case("softcap", softcap=5.0),
    _class_case("offset", logit_offset=torch.tensor([0.5, -1.0, 0.0, 2.0])),
    _class_case("softcap-offset", softcap=5.0, logit_offset=torch.tensor([0.5, -1.0, 0.0, 2.0])),
    _class_case("z-loss", z_loss=1e-2, target=_INDEX_OR_IGNORED),
    _binary_case("bernoulli-plain", Bernoulli, (), _YES),
    _binary_case("bernoulli-column", Bernoulli, (1,), _YES),
    _binary_case("bernoulli-shares", Bernoulli, (), _SHARE, is_plain=False),
    _binary_case(
        "bernoulli-pos-weight", lambda **o: Bernoulli(pos_weight=3.0, **o), (), _SHARE, is_plain=False
    ),
    _binary_case("multilabel-plain", lambda **o: MultiLabel(LABELS, **o), (LABELS,), _YES),
    _binary_case(
        "multilabel-missing", lambda **o: MultiLabel(LABELS, **o), (LABELS,), _YES_OR_MISSING, is_plain=False
    ),
    _binary_case(
        "multilabel-weights",
        lambda **o: MultiLabel(LABELS, weight=[1.0, 0.5, 2.0], pos_weight=[3.0, 1.0, 0.5], **o),
        (LABELS, 2),
        _YES_OR_MISSING,
        is_plain=False,
    ),
    Case(
        name="gaussian-unit",
        make=Gaussian,
        outcome=(),
        event=(),
        target=MODERATE,
        dtype=torch.float32,
        frequency=lambda target: target.double().mean(),
        expect=_expect_real,
    ),
    Case(
        name="gaussian-variance",
        make=lambda **o: Gaussian(0.25, num_outputs=2, **o),
        outcome=(2,),
        event=(2,),
        target=MODERATE,
        dtype=torch.float32,
        frequency=lambda target: target.double().mean(0),
        expect=_expect_real,
    ),
    Case(
        name="gaussian-predicted",
        make=lambda **o: Gaussian("predicted", **o),
        outcome=(2,),
        event=(),
        target=MODERATE,
        dtype=torch.float32,
        logit=st.floats(-5.0, 5.0, width=32, allow_subnormal=False),
        expect=_expect_real,
    ),
    Case(
        name="gaussian-missing",
        make=lambda **o: Gaussian("predicted", num_outputs=2, **o),
        outcome=(2, 2),
        event=(2,),
        target=st.one_of(MODERATE, st.just(float("nan"))),
        dtype=torch.float32,
        is_plain=False,
        logit=MODERATE,
        count=_label_count,
        leave_out=_left_out_nan,
        outcomes=lambda: _with_gaps(torch.linspace(-2, 3, 24).reshape(12, 2)),
    ),
    _count_case("poisson-plain", Poisson, (), (), _COUNT, expected.poisson),
    _count_case(
        "poisson-missing",
        lambda **o: Poisson(num_outputs=2, **o),
        (2,),
        (2,),
        _COUNT_OR_MISSING,
        expected.poisson,
    ),
    _count_case(
        "negative_binomial-known",
        lambda **o: NegativeBinomial(0.5, **o),
        (),
        (),
        _COUNT,
        partial(expected.negative_binomial, dispersion=0.5, terms=3000),
    ),
    _count_case(
        "negative_binomial-predicted",
        NegativeBinomial,
        (2,),
        (),
        _COUNT_OR_MISSING,
        expected.negative_binomial,
    ),
    _real_case(
        "student_t-unit", StudentT, (), (), partial(expected.student_t, df=4.0, scale=1.0), kl_range=1.2
    ),
    _real_case(
        "student_t-cauchy",
        lambda **o: StudentT(1.0, 0.5, num_outputs=2, **o),
        (2,),
        (2,),
        partial(expected.student_t, df=1.0, scale=0.5),
    ),
    _real_case(
        "student_t-predicted",
        lambda **o: StudentT(3.5, "predicted", **o),
        (2,),
        (),
        partial(expected.student_t, df=3.5),
        kl_range=1.2,
    ),
    _real_case(
        "student_t-normal",
        lambda **o: StudentT(math.inf, "predicted", **o),
        (2,),
        (),
        partial(expected.student_t, df=math.inf),
    ),
    *(
        _real_case(
            f"quantile-{name}",
            partial(Quantile, **options),
            (len(options["levels"]),) if len(options["levels"]) > 1 else (),
            (),
            partial(expected.quantile, **options),
            is_smooth=False,
        )
        for name, options in {
            "median": {"levels": [0.5]},
            "high": {"levels": [0.9], "scale": 0.5},
            "levels": {"levels": [0.1, 0.5, 0.9]},
            "ordered": {"levels": [0.1, 0.5, 0.9], "ordered": True},
        }.items()
    ),
    _order_case("cumulative_link-plain", (), _INDEX),
    _order_case("cumulative_link-ignored", (1,), _INDEX_OR_IGNORED),
]


def cases(**wanted: Any) -> list[Case]:
    """The cases whose attributes are (or are not) None or False, as asked: ``cases(expect=True)``."""
    return [case for case in CASES if all(bool(getattr(case, key)) == value for key, value in wanted.items())]
