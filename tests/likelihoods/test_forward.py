"""The reduced loss: made by one op with its gradient, with the numbers of `nll`, reduced."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from likelihead.errors import LikelihoodError, TargetError
from likelihead.likelihoods import Bernoulli, Categorical, Likelihood, MultiLabel, binary, categorical

Make = Callable[..., Likelihood]
INDICES = torch.tensor([0, 2, -100, 3, 1, 1])
PER_CLASS = torch.tensor([0.5, 2.0, 1.0, 0.0])
LABELS = torch.tensor([[1.0, 0.0, math.nan], [0.25, 1.0, 0.0], [1.0, 1.0, math.nan], [0.0, 0.0, 1.0]])

CASES: list[tuple[str, Make, Tensor, Tensor]] = [
    ("indices", Categorical, torch.randn(6, 4), INDICES),
    ("int32", Categorical, torch.randn(6, 4), INDICES.int()),
    ("probabilities", Categorical, torch.randn(6, 4), torch.randn(6, 4).softmax(1)),
    ("pixels", Categorical, torch.randn(2, 4, 3), INDICES.reshape(2, 3)),
    ("bfloat16", Categorical, torch.randn(6, 4).bfloat16(), INDICES),
    ("wide", Categorical, torch.randn(6, 4).double(), INDICES),
    ("weight", lambda n, **o: Categorical(n, weight=PER_CLASS.double(), **o), torch.randn(6, 4), INDICES),
    (
        "options",
        lambda n, **o: Categorical(
            n, weight=PER_CLASS, label_smoothing=0.1, z_loss=1e-2, softcap=5.0, logit_offset=PER_CLASS, **o
        ),
        torch.randn(6, 4),
        INDICES,
    ),
    ("yes or no", lambda n, **o: Bernoulli(pos_weight=3.0, **o), torch.randn(4, 1), LABELS[:, :1]),
    ("labels", lambda n, **o: MultiLabel(3, **o), torch.randn(4, 3), LABELS),
    (
        "weighted labels",
        lambda n, **o: MultiLabel(3, pos_weight=PER_CLASS[:3], weight=PER_CLASS[1:], **o),
        torch.randn(4, 3),
        LABELS,
    ),
]
BY_NAME = pytest.mark.parametrize(
    ("make", "logits", "target"), [c[1:] for c in CASES], ids=[c[0] for c in CASES]
)


@pytest.fixture
def fused(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The fused ops that were called."""
    called: list[str] = []
    for module, name in ((categorical, "softmax_loss"), (binary, "sigmoid_loss")):
        op = getattr(module, name)

        def watched(*arguments: Any, op: Any = op, name: str = name, **options: Any) -> Tensor:
            called.append(name)
            result: Tensor = op(*arguments, **options)
            return result

        monkeypatch.setattr(module, name, watched)
    return called


def _both(likelihood: Likelihood, logits: Tensor, target: Tensor, **options: Any) -> tuple[Tensor, Tensor]:
    """Value and gradient of the loss times 3."""
    leaf = logits.clone().requires_grad_()
    loss = likelihood(leaf, target, **options)
    (loss * 3).backward()
    assert leaf.grad is not None
    return loss.detach(), leaf.grad


@BY_NAME
@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("normalizer", [None, 7.5])
def test_the_numbers_of_nll_reduced(
    make: Make, logits: Tensor, target: Tensor, reduction: str, normalizer: float | None, fused: list[str]
) -> None:
    if reduction == "sum" and normalizer:
        with pytest.raises(LikelihoodError, match="normalizer"):
            make(4, reduction="sum")(logits, target, normalizer=normalizer)
        return
    likelihood = make(4, reduction=reduction)
    loss, grad = _both(likelihood, logits, target, normalizer=normalizer)
    assert len(fused) == 1
    # A tensor as normalizer goes by way of nll.
    divisor = likelihood.count(target) if normalizer is None else normalizer
    other = torch.as_tensor(divisor, dtype=loss.dtype) if reduction == "mean" else None
    expected, expected_grad = _both(likelihood, logits, target, normalizer=other)
    if reduction == "mean":
        assert len(fused) == 1
    by_hand = likelihood.nll(logits.double(), target).sum() / (1 if reduction == "sum" else divisor)
    assert loss.dtype == expected.dtype
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(loss.double(), by_hand, rtol=1e-5, atol=0)
    torch.testing.assert_close(grad, expected_grad)


@BY_NAME
def test_the_mean_over_nothing_is_0(make: Make, logits: Tensor, target: Tensor) -> None:
    nothing = (
        torch.full_like(target, math.nan) if target.is_floating_point() else torch.full_like(target, -100)
    )
    for x, y in ((logits, nothing), (logits[:0], target[:0])):
        if isinstance(make(4), Categorical) and y.is_floating_point() and len(y):
            continue  # probabilities are never left out
        loss, grad = _both(make(4), x, y)
        assert loss == 0
        assert grad.count_nonzero() == 0
        assert not grad.isnan().any()


def test_the_mean_over_weights_of_0() -> None:
    likelihood = Categorical(4, weight=PER_CLASS, z_loss=0.5)
    x, target = torch.randn(2, 4), torch.tensor([3, 3])
    loss, grad = _both(likelihood, x, target)
    assert likelihood.nll(x, target).sum() > 0  # the z-loss counts what the weights do not
    assert loss == 0
    assert grad.count_nonzero() == 0
    assert _both(Categorical(4, weight=PER_CLASS), x, target)[0] == 0


def test_a_normalizer_of_0_is_nothing() -> None:
    assert Categorical(4)(torch.randn(6, 4), INDICES, normalizer=0) == 0


def test_what_is_not_finite_stays_so() -> None:
    x, target = torch.randn(2, 4), torch.tensor([0, 1])
    x[0, 0] = -math.inf
    loss, grad = _both(Categorical(4), x, target)
    assert loss == math.inf
    assert grad[1].isfinite().all()


def test_a_mask_leaves_out(fused: list[str]) -> None:
    x, target, mask = torch.randn(4, 3), LABELS, torch.rand(4, 3) < 0.5
    mask[1] = True
    loss = MultiLabel(3)(x, target, mask=mask)
    assert fused == ["sigmoid_loss"]
    kept = mask & ~target.isnan()
    torch.testing.assert_close(loss, MultiLabel(3).nll(x, target)[kept].mean())
    assert MultiLabel(3)(x, target, mask=torch.zeros_like(mask)) == 0


def test_a_subclass_with_its_own_nll_is_asked(fused: list[str]) -> None:
    class Twice(Categorical):
        def nll(self, logits: Tensor, target: Tensor) -> Tensor:
            return 2 * super().nll(logits, target)

    class Lone(Bernoulli):
        def count(self, target: Tensor, *, mask: Tensor | None = None) -> int:
            return 1

    x = torch.randn(6, 4)
    torch.testing.assert_close(Twice(4)(x, INDICES), 2 * Categorical(4)(x, INDICES))
    assert fused == ["softmax_loss"]
    torch.testing.assert_close(Lone()(x, x.sigmoid()), Bernoulli(reduction="sum")(x, x.sigmoid()))
    assert fused == ["softmax_loss", "sigmoid_loss"]


def test_errors_come_before_the_kernel(fused: list[str]) -> None:
    with pytest.raises(TargetError, match="LH203"):
        Categorical(4)(torch.randn(1, 4), torch.tensor([4]))
    with pytest.raises(LikelihoodError, match="LH302"):
        Bernoulli()(torch.randn(4), torch.rand(4, 1))
    with pytest.raises(LikelihoodError, match="list"):
        Categorical(4)(torch.randn(1, 4), [1])
    assert fused == []


@BY_NAME
def test_further_derivatives(make: Make, logits: Tensor, target: Tensor, fused: list[str]) -> None:
    likelihood, x = make(4), logits.double()
    likelihood.double()
    assert torch.autograd.gradgradcheck(lambda x: likelihood(x, target), x.clone().requires_grad_())
    assert fused
    grad = _both(likelihood, x, target)[1] / 3
    torch.testing.assert_close(torch.func.grad(lambda x: likelihood(x, target))(x), grad)
