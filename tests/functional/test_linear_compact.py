"""Tokens that do not count leave before the products, or stay and are masked: the results are the same."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from likelihead.errors import DTypeError, OptionError
from likelihead.functional import linear_cross_entropy, linear_kl, linear_kl_topk, linear_log_probs
from likelihead.kernels.fused import linear_chunks
from likelihead.likelihoods import Categorical, Gaussian
from likelihead.nn import LinearCrossEntropyLoss

N, D, V = 8, 5, 7
MODULES = [
    sys.modules[f"likelihead.kernels.fused.{name}"]
    for name in ("linear_autograd", "linear_chunks", "linear_kl", "linear_scores")
]
G = torch.Generator().manual_seed(2)
X, W, TEACHER, OTHER = (torch.randn(n, D, generator=G, dtype=torch.float64) for n in (N, V, N, V))
KEPT = torch.tensor([True, False, True, True, False, False, True, False])
Y = torch.where(KEPT, torch.arange(N) % V, -100)
LOG_PROBS, INDEX = (TEACHER @ OTHER.T).log_softmax(1).topk(3)


def _headed(x: Tensor, w: Tensor, compact: bool | None) -> Tensor:
    head = torch.nn.Linear(D, V, bias=False, dtype=torch.float64)
    head.weight = torch.nn.Parameter(w)
    headed = Categorical(V).with_head(head, compact=compact)
    (of_head,) = torch.autograd.grad(headed(x, Y), head.weight)
    return headed.nll(x, Y) + headed(x, Y) + of_head.sum()


CALLS: dict[str, Callable[[Tensor, Tensor, bool | None], Any]] = {
    "mean": lambda x, w, c: linear_cross_entropy(x, w, Y, compact=c),
    "each": lambda x, w, c: linear_cross_entropy(x, w, Y, compact=c, reduction="none", chunk_tokens=2),
    "of weight 0": lambda x, w, c: linear_cross_entropy(
        x, w, Y.clamp(min=0), compact=c, sample_weight=KEPT.double()
    ),
    "log-probabilities": lambda x, w, c: sum(linear_log_probs(x, w, Y, compact=c)),
    "divergence": lambda x, w, c: linear_kl(x, w, TEACHER, OTHER, compact=c, sample_weight=KEPT),
    "of what was kept": lambda x, w, c: linear_kl_topk(x, w, LOG_PROBS, INDEX, compact=c, sample_weight=KEPT),
    "likelihood": _headed,
}


@pytest.fixture
def rows(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many rows of hidden states each product of logits has had."""
    found: list[int] = []
    real = linear_chunks.logits_of

    def spy(x: Tensor, *rest: Any) -> Tensor:
        found.append(x.shape[0])
        logits: Tensor = real(x, *rest)
        return logits

    monkeypatch.setattr(linear_chunks, "logits_of", spy)
    return found


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())
@pytest.mark.parametrize("elsewhere", [False, True])
def test_the_results_are_the_same(
    call: Callable[..., Tensor], elsewhere: bool, rows: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    if elsewhere:  # as on a device that nobody waits for
        for module in MODULES:
            if hasattr(module, "looks"):
                monkeypatch.setattr(module, "looks", lambda device: False)
    spoilt = X.clone()
    spoilt[~KEPT] = torch.nan
    found, most = {}, {}
    for compact in (None, True, False):
        x, w = spoilt.clone().requires_grad_(), W.clone().requires_grad_()
        rows.clear()
        value = call(x, w, compact)
        inputs = (x, w) if call is not _headed else (x,)
        up = torch.linspace(-1, 2, value.numel(), dtype=value.dtype).view(value.shape)
        found[compact] = [value, *torch.autograd.grad(value, inputs, up)]
        most[compact] = sum(rows) / len(rows) if rows.count(2) < len(rows) else sum(rows)
        assert all(t.isfinite().all() for t in found[compact])
        assert not found[compact][1][~KEPT].any()
        assert found[compact][1][KEPT].any()
    torch.testing.assert_close(found[True], found[False])
    torch.testing.assert_close(found[True], found[None])
    assert most[True] == most[False] / 2
    assert most[None] == (most[False] if elsewhere else most[True])


def test_it_is_one_wait_for_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in MODULES:
        if hasattr(module, "looks"):
            monkeypatch.setattr(module, "looks", lambda device: False)
    waits = []
    real = Tensor.nonzero
    monkeypatch.setattr(Tensor, "nonzero", lambda self: waits.append(1) or real(self))
    linear_cross_entropy(X.clone().requires_grad_(), W, Y, compact=True).backward()
    assert len(waits) == 1
    linear_cross_entropy(X.clone().requires_grad_(), W, Y).backward()
    assert len(waits) == 1


def test_where_it_cannot_be_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: True)
    kept: Any = SimpleNamespace(is_cuda=True, device=torch.device("cuda"))
    with pytest.raises(OptionError, match=r"compact is True.*CUDA graph"):
        linear_chunks.rows_that(kept, True)
    assert linear_chunks.rows_that(kept, None).kept is kept
    assert linear_chunks.rows_that(kept, False).kept is kept


def test_it_is_a_truth_value() -> None:
    for call in CALLS.values():
        with pytest.raises(DTypeError, match="compact is 1"):
            call(X, W, 1)  # type: ignore[arg-type]
    with pytest.raises(DTypeError, match="compact is 'yes'"):
        LinearCrossEntropyLoss(D, V, compact="yes")(X.float(), Y)  # type: ignore[arg-type]


def test_the_module_hands_it_on(rows: list[int]) -> None:
    for compact, expected in ((False, N), (True, int(KEPT.sum()))):
        rows.clear()
        LinearCrossEntropyLoss(D, V, dtype=torch.float64, compact=compact)(X, Y)
        assert rows == [expected]


def test_a_likelihood_that_makes_its_logits_refuses_it() -> None:
    likelihood = Gaussian()
    head = likelihood.head(D)
    headed = likelihood.with_head(head, compact=True)
    for call in (headed, headed.nll):
        with pytest.raises(OptionError, match="compact is True, and this Gaussian makes"):
            call(X.float(), torch.zeros(N, 1))
    likelihood.with_head(head, compact=False)(X.float(), torch.zeros(N, 1))


def test_the_compiler_sees_one_op_either_way() -> None:
    torch._dynamo.reset()
    found = []
    for compact in (True, False):
        x = X.clone().requires_grad_()

        def loss(x: Tensor, compact: bool = compact) -> Tensor:
            return (
                linear_cross_entropy(x, W, Y, compact=compact)
                + linear_log_probs(x, W, Y, compact=compact)[1].sum()
            )

        value = torch.compile(loss, fullgraph=True, backend="aot_eager")(x)
        found.append([value, *torch.autograd.grad(value, x)])
        torch.testing.assert_close(value, loss(X))
    torch.testing.assert_close(*found)
