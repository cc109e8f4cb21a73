"""A head and its softmax in chunks against float64 with the logits whole: every option with every other."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, NamedTuple

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import linear

from kernel_cases import EXAMPLES, WITH_FIXTURES, seeded
from likelihead.kernels import dispatch
from likelihead.kernels.dispatch import use_backend
from likelihead.kernels.fused import products
from likelihead.kernels.reference.softmax_nll import softmax_entropy
from oracles import linear_softmax as oracle

# Beside twice the error of the route through the logits in the same dtype; relative to the largest number.
TOLERANCE = {torch.float64: 2e-13, torch.float32: 5e-6, torch.bfloat16: 1.6e-2, torch.float16: 2e-3}


class Case(NamedTuple):
    hidden: Tensor
    head: Tensor
    target: Tensor
    bias: Tensor | None
    scale: float
    options: dict[str, Any]
    chunk: int
    trained: tuple[bool, bool, bool]
    onednn: bool
    compact: bool | None

    @property
    def tensors(self) -> tuple[Tensor, Tensor, Tensor | None]:
        return self.hidden, self.head, self.bias


@st.composite
def cases(draw: st.DrawFn, dtypes: tuple[torch.dtype, ...] = tuple(TOLERANCE), plain: bool = False) -> Case:
    dtype = draw(st.sampled_from(dtypes))
    tokens, width = draw(st.integers(1, 20)), draw(st.sampled_from([1, 3, 8]))
    classes = draw(st.sampled_from([2, 3, 17, 40]))
    g = seeded(draw(st.integers(0, 2**31)))

    def normal(*shape: int, times: float = 1) -> Tensor:
        return (torch.randn(shape, generator=g, dtype=torch.float64) * times).to(dtype)

    hidden, head = normal(tokens, width), normal(classes, width, times=draw(st.sampled_from([0.3, 2])))
    layout = draw(st.sampled_from(["plain", "plain", "turned", "sliced", "one for all"]))
    if layout == "turned":
        hidden, head = (t.t().contiguous().t() for t in (hidden, head))
    elif layout == "sliced":
        hidden, head = (torch.stack([t, -t], -1)[..., 0] for t in (hidden, head))
    elif layout == "one for all":
        hidden = hidden[:1].expand(tokens, width)
    wide = torch.promote_types(dtype, torch.float32)  # what weights are summed in
    index = torch.randint(classes, (tokens,), generator=g)
    where = torch.rand(tokens, classes, generator=g) < 0.7
    where[range(tokens), index] = True
    options: dict[str, Any] = {
        "weight": draw(st.sampled_from([None, torch.rand(classes, generator=g, dtype=wide) + 0.1])),
        "label_smoothing": draw(st.sampled_from([0.0, 0.0, 0.1, 1.0])),
        "ignore_index": draw(st.sampled_from([-100, 1])),
        "z_loss": draw(st.sampled_from([0.0, 1e-2])),
        "softcap": draw(st.sampled_from([None, 3.0])),
        "logit_offset": draw(st.sampled_from([None, torch.randn(classes, generator=g)])),
        "torch_nonfinite": draw(st.booleans()),
        "where": draw(st.sampled_from([None, None, where])),
        "sample_weight": draw(st.sampled_from([None, torch.rand(tokens, generator=g, dtype=wide) * 2])),
    }
    if plain:
        options = {name: options[name] for name in ("ignore_index", "softcap")}
    if options.get("sample_weight") is not None:
        options["sample_weight"][torch.rand(tokens, generator=g) < 0.3] = 0
    if not plain and draw(st.sampled_from([False, False, False, True])):
        target = torch.rand(tokens, classes, generator=g, dtype=torch.float64)
        if options["where"] is not None:
            target = target * where
        target = (target / target.sum(1, keepdim=True)).to(dtype)
    else:
        target = index
        left_out = torch.rand(tokens, generator=g) < draw(st.sampled_from([0, 0.4, 1]))
        target[left_out] = options["ignore_index"]
        fitting = [torch.int64, torch.int32, torch.int16, torch.int8]
        target = target.to(
            draw(st.sampled_from([*fitting, torch.uint8] if options["ignore_index"] >= 0 else fitting))
        )
        if options.get("label_smoothing") == 0:
            options["focal_gamma"] = draw(st.sampled_from([0.0, 0.0, 2.0, 2.5]))
    bias = normal(classes) if draw(st.booleans()) else None
    trained = draw(st.sampled_from([(1, 1, 1), (1, 1, 1), (1, 0, 0), (0, 1, 0), (0, 0, 1), (0, 1, 1)]))
    if bias is None:
        trained = (trained[0] or not trained[1], *trained[1:2], 0)
    return Case(
        hidden,
        head,
        target,
        bias,
        draw(st.sampled_from([1.0, 1.0, 0.6])),
        options,
        draw(st.sampled_from([0, 1, 7, 64])),
        tuple(map(bool, trained)),
        draw(st.booleans()),
        draw(st.sampled_from([None, None, True, False])),
    )


@contextmanager
def _products_of_onednn(chosen: bool) -> Iterator[None]:
    """Float32 products by the way that large ones take on some processors, or by the common one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(products, "_LARGE", 0 if chosen and torch.backends.mkldnn.is_available() else 1 << 60)
        patch.setattr(products, "_mkl_is_slow", lambda: True)
        yield


def _trained(case: Case, dtype: torch.dtype | None = None) -> list[Tensor | None]:
    return [
        None if t is None else t.detach().to(dtype or t.dtype).requires_grad_(trained)
        for t, trained in zip(case.tensors, case.trained, strict=True)
    ]


def _in_chunks(case: Case, inputs: list[Tensor | None]) -> list[Tensor]:
    hidden, head, bias = inputs
    found = dispatch.linear_softmax_nll(
        hidden, head, case.target, bias, entropy=True, log_prob=not case.target.is_floating_point(),
        logit_scale=case.scale, chunk_tokens=case.chunk, compact=case.compact, **case.options,
    )  # fmt: skip
    return [of for of in found if of is not None]


def _wide(value: Any) -> Any:
    return value.double() if isinstance(value, Tensor) and value.is_floating_point() else value


def _given(case: Case, inputs: list[Tensor | None]) -> oracle.Given:
    options = {name: _wide(value) for name, value in case.options.items()}
    hidden, head, bias = inputs
    return oracle.Given(hidden, head, _wide(case.target), bias, case.scale, **options)


def _exact(case: Case, inputs: list[Tensor | None]) -> list[Tensor]:
    found = list(oracle.values(_given(case, inputs)))
    if not case.target.is_floating_point():
        found.append(-oracle.values(_of_distribution(_given(case, inputs)))[0])
    return found


def _of_distribution(given: oracle.Given) -> oracle.Given:
    """Without what weighs the log-probabilities; what is left out stays so."""
    kept = None if given.sample_weight is None else (given.sample_weight != 0).double()
    return replace(given, weight=None, label_smoothing=0.0, z_loss=0.0, focal_gamma=0.0, sample_weight=kept)


def _by_logits(case: Case, inputs: list[Tensor | None]) -> list[Tensor]:
    """As one would write it without the op; what is left out is 0 everywhere."""
    hidden, head, bias = inputs
    logits = linear(hidden, head, bias) * case.scale
    nll, lse = dispatch.softmax_nll(logits, case.target, **case.options)
    kept = oracle.kept(_given(case, [hidden.detach(), head.detach(), None]))
    found = [nll, lse, softmax_entropy(logits, **case.options)]
    if not case.target.is_floating_point():
        names = ("ignore_index", "softcap", "logit_offset", "where")
        alone = {name: of for name, of in case.options.items() if name in names}
        found.append(-dispatch.softmax_nll(logits, case.target, **alone)[0])
    return [torch.where(kept, of, 0) for of in found]


def _slopes(
    outputs: list[Tensor], inputs: list[Tensor | None], ups: list[Tensor], **how: Any
) -> list[Tensor]:
    pairs = [(o, u.to(o.dtype)) for o, u in zip(outputs, ups, strict=False) if o.requires_grad]
    return list(
        torch.autograd.grad(
            [o for o, _ in pairs],
            [t for t in inputs if t is not None and t.requires_grad],
            [u for _, u in pairs],
            **how,
        )
    )


def _assert_near(got: list[Tensor], exact: list[Tensor], peer: list[Tensor], tolerance: float) -> None:
    for one, true, other in zip(got, exact, peer, strict=True):
        assert one.shape == true.shape
        assert one.dtype == other.dtype
        one, true, other = (t.detach().double() for t in (one, true, other))
        assert one.isfinite().all()
        if one.numel():
            allowed = tolerance * (0.1 + true.abs().max()) + 2 * (other - true).abs().max()
            assert (one - true).abs().max() <= allowed, (one, true, other)


def _ups(case: Case, seed: int, kind: str) -> list[Tensor]:
    """Upstream gradients of the values; some of them nothing but zeros."""
    g, tokens, names = seeded(seed), case.hidden.shape[0], ("nll", "lse", "entropy", "log_prob")
    ups = [torch.randn(tokens, generator=g, dtype=torch.float64) for _ in names]
    return [up if name in kind else up * 0 for name, up in zip(names, ups, strict=True)]


KINDS = st.sampled_from(["nll", "nll lse entropy log_prob", "nll entropy", "lse", "entropy", "log_prob"])
# 1,000 by hand: LIKELIHEAD_HYPOTHESIS=thorough.
FEW = settings(max_examples=max(1, EXAMPLES // 4), suppress_health_check=WITH_FIXTURES)


@pytest.mark.usefixtures("backend")
@given(cases() | cases(plain=True), st.integers(0, 2**31), KINDS)
@FEW
def test_each_tokens_values_and_gradients(case: Case, seed: int, kind: str) -> None:
    ups = _ups(case, seed, kind)
    found = []
    with _products_of_onednn(case.onednn):
        for route, dtype in ((_in_chunks, None), (_exact, torch.float64)):
            inputs = _trained(case, dtype)
            outputs = route(case, inputs)
            found.append([*outputs, *_slopes(outputs, inputs, ups)])
    with use_backend("reference"):
        inputs = _trained(case)
        outputs = _by_logits(case, inputs)
        found.append([*outputs, *_slopes(outputs, inputs, ups)])
    _assert_near(*found, TOLERANCE[case.hidden.dtype])


@pytest.mark.usefixtures("backend")
@given(cases() | cases(plain=True))
@FEW
def test_the_prediction_is_a_largest_logit(case: Case) -> None:
    inputs = [None if t is None else t.detach() for t in case.tensors]
    hidden, head, bias = inputs
    with _products_of_onednn(case.onednn):
        found = dispatch.linear_softmax_nll(
            hidden, head, case.target, bias, prediction=True, logit_scale=case.scale, chunk_tokens=case.chunk,
            compact=case.compact, **case.options,
        )  # fmt: skip
    assert found.prediction.dtype == torch.int64
    assert found.entropy is found.log_prob is None
    wide = [_wide(t) for t in inputs]
    kept = oracle.kept(_given(case, wide))
    assert not found.prediction[~kept].any()
    # What is lost to the largest by the class that is predicted, of which both are made scored.
    costs = []
    for k in range(head.shape[0]):
        alone = {name: _wide(case.options.get(name)) for name in ("softcap", "logit_offset", "where")}
        target = torch.full((hidden.shape[0],), k)
        costs.append(oracle.cost(oracle.Given(*wide[:2], target, wide[2], case.scale, **alone)))
    cost = torch.stack(costs, 1)
    lost = cost.gather(1, found.prediction[:, None])[:, 0] - cost.amin(1)
    near = TOLERANCE[hidden.dtype] * (1 + (wide[0].abs() @ wide[1].abs().T).amax(1))
    assert (lost <= near)[kept].all()


NORMALIZERS = st.sampled_from([None, 3.5, torch.tensor(2.5), torch.tensor(4)])


@pytest.mark.usefixtures("backend")
@given(cases(), st.sampled_from(["mean", "mean", "sum"]), NORMALIZERS, st.sampled_from([1.0, -0.3]))
@FEW
def test_the_reduced_loss_and_its_gradients(case: Case, reduction: str, normalizer: Any, up: float) -> None:
    more = {"reduction": reduction, "normalizer": normalizer if reduction == "mean" else None}
    ups = [torch.tensor(up)]

    def in_chunks(inputs: list[Tensor | None]) -> Tensor:
        hidden, head, bias = inputs
        with _products_of_onednn(case.onednn):
            return dispatch.linear_softmax_loss(
                hidden, head, case.target, bias, logit_scale=case.scale, chunk_tokens=case.chunk,
                compact=case.compact, **more, **case.options,
            )  # fmt: skip

    def reduced(values: list[Tensor], given: oracle.Given) -> Tensor:
        total = values[0].sum()
        if reduction == "sum":
            return total
        return total / (oracle.count(given) if normalizer is None else normalizer)

    inputs, wide, narrow = _trained(case), _trained(case, torch.float64), _trained(case)
    given = _given(case, wide)
    if reduction == "mean" and normalizer is None and float(oracle.count(given).detach()) == 0:
        loss = in_chunks(inputs)  # nothing over nothing
        assert loss.isnan()
        return
    loss, exact = in_chunks(inputs), reduced(_exact(case, wide), given)
    with use_backend("reference"):
        peer = reduced(_by_logits(case, narrow), given).to(loss.dtype)
    with torch.no_grad():  # one product, and the same number
        assert torch.equal(in_chunks(inputs), loss)
    got, expected, other = (
        [of.detach(), *_slopes([of], of_inputs, ups, retain_graph=True)]
        for of, of_inputs in ((loss, inputs), (exact, wide), (peer, narrow))
    )
    _assert_near(got, expected, other, TOLERANCE[case.hidden.dtype])
    # A second backward makes its gradients anew.
    _assert_near(_slopes([loss], inputs, ups), expected[1:], other[1:], TOLERANCE[case.hidden.dtype])


@pytest.mark.usefixtures("backend")
@given(cases((torch.float64, torch.float32)), st.integers(0, 2**31), KINDS, st.booleans())
@FEW
def test_second_gradients(case: Case, seed: int, kind: str, whole: bool) -> None:
    ups = [torch.tensor(0.7)] if whole else _ups(case, seed, kind)

    def in_chunks(inputs: list[Tensor | None]) -> list[Tensor]:
        if not whole:
            return _in_chunks(case, inputs)
        hidden, head, bias = inputs
        return [
            dispatch.linear_softmax_loss(
                hidden, head, case.target, bias, reduction="sum", logit_scale=case.scale,
                chunk_tokens=case.chunk, compact=case.compact, **case.options,
            )
        ]  # fmt: skip

    found = []
    for route, dtype in ((in_chunks, None), (None, torch.float64)):
        inputs = _trained(case, dtype)
        if route is not None:
            outputs = route(inputs)
        else:
            outputs = _exact(case, inputs)
            outputs = [outputs[0].sum()] if whole else outputs
        slopes = _slopes(outputs, inputs, ups, create_graph=True)
        g = seeded(seed)
        directions = [torch.randn(s.shape, generator=g, dtype=torch.float64) for s in slopes]
        found.append(
            [*slopes, *_slopes(slopes, inputs, directions, allow_unused=True, materialize_grads=True)]
        )
    _assert_near(found[0], found[1], found[0], 50 * TOLERANCE[case.hidden.dtype])
