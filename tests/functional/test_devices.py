"""Tensors on different devices: torch's RuntimeError that names both sides, whichever argument it is."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from likelihead import functional as F
from likelihead.kernels.dispatch import use_backend
from likelihead.likelihoods import Bernoulli, Categorical, Gaussian, MultiLabel
from served_here import AUTO_AND_OTHERS

X, Y, P, W = torch.randn(6, 5), torch.tensor([0, 1, 2, 3, 4, 0]), torch.rand(6, 5), torch.rand(5)
COUNT = torch.tensor(3.0)
CALLS: list[tuple[str, dict[str, Tensor]]] = [
    ("cross_entropy", {"input": X, "target": Y, "weight": W, "logit_offset": W, "normalizer": COUNT}),
    ("cross_entropy", {"input": X, "target": P, "weight": W, "logit_offset": W, "normalizer": COUNT}),
    ("nll_loss", {"input": X, "target": Y, "weight": W, "normalizer": COUNT}),
    ("binary_cross_entropy", {"input": P, "target": P, "weight": W, "normalizer": COUNT}),
    (
        "binary_cross_entropy_with_logits",
        {"input": X, "target": P, "weight": W, "pos_weight": W, "normalizer": COUNT},
    ),
    ("multilabel_soft_margin_loss", {"input": X, "target": P, "weight": W, "normalizer": COUNT}),
    ("mse_loss", {"input": X, "target": P, "weight": P, "normalizer": COUNT}),
    ("gaussian_nll_loss", {"input": X, "target": P, "var": P + 1, "normalizer": COUNT}),
]


@pytest.mark.parametrize("backend", AUTO_AND_OTHERS)
@pytest.mark.parametrize("gradient", [False, True])
@pytest.mark.parametrize(("name", "given"), CALLS)
def test_each_argument_on_meta_is_named(
    name: str, given: dict[str, Tensor], gradient: bool, backend: str
) -> None:
    for moved in given:
        arguments: dict[str, Any] = {**given, moved: given[moved].to("meta")}
        arguments["input"] = arguments["input"].detach().requires_grad_(gradient)
        named = "input is on meta" if moved == "input" else f"{moved} on meta"
        with use_backend(backend), pytest.raises(RuntimeError, match=f"same device.*{named}"):
            getattr(F, name)(**arguments)


@pytest.mark.parametrize(("name", "given"), CALLS)
def test_all_on_meta_has_a_shape(name: str, given: dict[str, Tensor]) -> None:
    assert getattr(F, name)(**{key: value.to("meta") for key, value in given.items()}).is_meta
    # A 0-d tensor on the CPU is a number beside any device, as in torch.
    moved = {key: value.to("meta") for key, value in given.items() if key != "normalizer"}
    assert getattr(F, name)(**moved, normalizer=COUNT).is_meta


def test_the_ops_themselves_refuse_a_mix() -> None:
    ops = torch.ops.likelihead
    if not hasattr(ops, "softmax_nll"):
        pytest.skip("needs the native kernels")
    with pytest.raises(RuntimeError, match="weight on meta"):
        ops.softmax_nll(X, Y, W.to("meta"), 0.0, -100, 0.0, 0.0, None, False, None, 0.0, None)
    if not hasattr(ops, "softmax_plain"):
        return  # the short way is native's alone
    with pytest.raises(RuntimeError, match="target on meta"):
        ops.softmax_plain(X, Y.to("meta"), -100, True, False)


@pytest.mark.parametrize(
    ("likelihood", "target"),
    [(Categorical(5, weight=W), Y), (MultiLabel(5, pos_weight=W), P), (Bernoulli(pos_weight=COUNT), P)],
)
def test_a_likelihood_left_on_meta_is_refused(likelihood: torch.nn.Module, target: Tensor) -> None:
    left = likelihood.to("meta")
    with pytest.raises(RuntimeError, match="on meta"):
        left(X, target)
    assert left(X.to("meta"), target.to("meta")).is_meta


def test_a_normalizer_on_meta_is_refused_by_every_likelihood() -> None:
    for likelihood, target in ((Categorical(5), Y), (Gaussian(num_outputs=5), P), (MultiLabel(5), P)):
        with pytest.raises(RuntimeError, match="normalizer on meta"):
            likelihood(X, target, normalizer=COUNT.to("meta"))
