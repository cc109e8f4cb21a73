"""No loss makes the host wait for the device that it runs on, forward or backward."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from likelihead import functional as F
from likelihead.kernels import dispatch
from likelihead.kernels.fused import softmax_nll as fused_softmax
from likelihead.kernels.portable import calls, sigmoid_nll, softmax_nll
from likelihead.likelihoods import Bernoulli, Categorical, MultiLabel
from no_waiting import Waits, no_waiting


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a processor some ways look at values, which waits for nothing; elsewhere they are not taken."""
    monkeypatch.setattr(dispatch, "plain", lambda op, on_cpu: None)
    for module in (calls, sigmoid_nll, softmax_nll):
        monkeypatch.setattr(module, "looks", lambda device: False)


X, Y = torch.randn(6, 5), torch.tensor([0, 1, 2, 3, 4, -100])
P, W, EACH, WHERE = torch.rand(6, 5), torch.rand(5) + 0.5, torch.rand(6), torch.ones(6, 5, dtype=torch.bool)

LOSSES: dict[str, Callable[[Tensor], Tensor]] = {
    "mean": lambda x: F.cross_entropy(x, Y),
    "rows": lambda x: F.cross_entropy(x, Y, reduction="none"),
    "options": lambda x: F.cross_entropy(
        x,
        Y,
        W,
        label_smoothing=0.1,
        z_loss=0.01,
        softcap=5.0,
        logit_offset=W,
        where=WHERE,
        sample_weight=EACH,
    ),
    "probabilities": lambda x: F.cross_entropy(x, P, W),
    "normalizer": lambda x: F.cross_entropy(x, Y, normalizer=W[0]),
    "focal": lambda x: F.focal_loss(x, Y, 2.0),
    "labels": lambda x: F.binary_cross_entropy_with_logits(x, P),
    "label options": lambda x: F.binary_cross_entropy_with_logits(
        x, P, W, pos_weight=W, label_smoothing=0.1, prior=W / 2, sample_weight=EACH
    ),
    "label rows": lambda x: F.binary_cross_entropy_with_logits(x, P, reduction="none"),
    "binary focal": lambda x: F.binary_focal_loss(x, P, 2.0),
    "categorical": lambda x: Categorical(5)(x, Y),
    "multilabel": lambda x: MultiLabel(5)(x, P.round()),
    "bernoulli": lambda x: Bernoulli()(x, P.round()),
}


@pytest.mark.usefixtures("fast", "elsewhere")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", LOSSES)
def test_no_loss_waits(name: str, dtype: torch.dtype) -> None:
    if name in ("options", "probabilities", "label options"):
        dtype = torch.float32  # that of their weights
    x = X.to(dtype, copy=True).requires_grad_()
    with no_waiting():
        loss = LOSSES[name](x)
        torch.autograd.backward(loss, torch.full_like(loss, 0.5))
    assert x.grad is not None
    assert x.grad.isfinite().all()
    # A second backward makes the gradient anew.
    with no_waiting():
        loss = LOSSES[name](x)
        for _ in range(2):
            torch.autograd.backward(loss, torch.ones_like(loss), retain_graph=True)


@pytest.mark.usefixtures("fused")
def test_in_place_does_not_wait() -> None:
    x = X.clone().requires_grad_()
    with no_waiting():
        torch.autograd.backward(F.cross_entropy(x * 1, Y, inplace_backward=True))
    assert x.grad is not None


PLANTED: dict[str, Callable[[Tensor], Any]] = {
    "bool": lambda t: bool((t > 0).any()),
    "float": lambda t: float(t.sum()),
    "item": lambda t: t.sum().item(),
    "int": lambda t: int(t[0]),
    "index": lambda t: range(10)[t[0]],
    "nonzero": lambda t: t.nonzero(),
    "mask": lambda t: t[t > 0],
    "cpu": lambda t: t.cpu(),
    "to": lambda t: t.to("cpu"),
    "tolist": lambda t: t.tolist(),
    "numpy": lambda t: t.numpy(),
    "tensor": lambda t: torch.tensor([1.0], device=t.device) * t,
    "where": lambda t: torch.where(t > 0),
    "equal": lambda t: torch.equal(t, t),
}


@pytest.mark.parametrize("name", PLANTED)
def test_what_waits_is_found(name: str, monkeypatch: pytest.MonkeyPatch, fused: str) -> None:
    ask = fused_softmax.needs_reference

    def planted(target: Tensor, *others: Tensor | None) -> bool:
        PLANTED[name](target)
        return ask(target, *others)

    monkeypatch.setattr(fused_softmax, "needs_reference", planted)
    x = X.clone().requires_grad_()
    with pytest.raises(Waits), no_waiting():
        dispatch.softmax_loss(x, Y)


def test_what_waits_in_a_backward_pass_is_found() -> None:
    class Waiting(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor) -> Tensor:
            return x.clone()

        @staticmethod
        def backward(ctx: Any, upstream: Tensor) -> Tensor:
            return upstream * upstream.tolist()[0]

    x = torch.ones(2, requires_grad=True)
    with pytest.raises(Waits), no_waiting():
        torch.autograd.backward(Waiting.apply(x).sum())
