"""Which calls of a head go to the kernels of scores and divergences, and what is handed to them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from likelihead.functional import linear_kl, linear_kl_topk, linear_log_probs
from likelihead.kernels import dispatch
from likelihead.kernels.dispatch import use_backend
from likelihead.kernels.fused.linear_chunks import SOFTMAX
from likelihead.kernels.reference.linear_kl import bent, distributions, divergence

Y = torch.tensor([0, 1, -100, 3, 4, 2])
G = torch.Generator().manual_seed(3)
X, W, B = (torch.randn(s, generator=G, dtype=torch.float64) for s in ((6, 4), (5, 4), (5,)))
TEACHER = (
    torch.randn(6, 3, generator=G, dtype=torch.float64),
    torch.randn(5, 3, generator=G, dtype=torch.float64),
)


def _over(logits: Tensor, values: list[Tensor], ups: list[Tensor | None], z: Tensor) -> None:
    """Write the gradient over the logits, as a kernel does."""
    total = [(v * u).sum() for v, u in zip(values, ups, strict=True) if u is not None]
    if total:
        logits.copy_(torch.autograd.grad(sum(total), z)[0])


@torch.enable_grad()
def _scores(
    grad_nll: Tensor | None,
    grad_lse: Tensor | None,
    grad_entropy: Tensor | None,
    logits: Tensor,
    target: Tensor,
    ignore_index: int,
    softcap: float,
    prediction: bool,
) -> tuple[Tensor, ...]:
    """The op ``softmax_scores_`` by torch's operators."""
    assert logits.is_contiguous()
    z = logits.detach().clone().requires_grad_()
    log_p = bent(z, softcap, 1.0).log_softmax(1)
    kept = target != ignore_index
    nll = torch.where(kept, -log_p.gather(1, torch.where(kept, target, 0)[:, None])[:, 0], 0)
    values = [nll, bent(z, softcap, 1.0).logsumexp(1), -(log_p.exp() * log_p).sum(1)]
    _over(logits, values, [grad_nll, grad_lse, grad_entropy], z)
    return *(v.detach() for v in values), z.argmax(1) if prediction else target.new_empty(0)


@torch.enable_grad()
def _kl(
    grad: Tensor | None,
    logits: Tensor,
    teacher: Tensor,
    direction: str,
    beta: float,
    softcap: float,
    teacher_softcap: float,
) -> Tensor:
    """The op ``softmax_kl_`` by torch's operators."""
    assert logits.dtype == teacher.dtype
    assert logits.is_contiguous()
    assert teacher.is_contiguous()
    z = logits.detach().clone().requires_grad_()
    values, _ = divergence(
        *distributions(bent(teacher, teacher_softcap, 1.0), bent(z, softcap, 1.0)), direction, beta
    )
    _over(logits, [values], [grad], z)
    return values.detach()


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the kernels of a backend, which stand-ins serve, are called for."""
    found: list[str] = []

    def noted(name: str, op: Any) -> Any:
        def call(*arguments: Any) -> Any:
            ups = {"scores": 3, "kl": 1}[name]
            found.append(name if all(up is None for up in arguments[:ups]) else f"{name} backward")
            return op(*arguments)

        return lambda device: call if device.type == "cpu" else None

    stand_ins = SOFTMAX["portable"]._replace(scores=noted("scores", _scores), kl=noted("kl", _kl))
    monkeypatch.setitem(SOFTMAX, "portable", stand_ins)
    return found


def _leaves() -> list[Tensor]:
    return [t.clone().requires_grad_() for t in (X, W, B)]


def _both(call: Any) -> None:
    """Values and gradients through the kernel are those of the reference."""
    found = []
    for backend in ("portable", "reference"):
        leaves = _leaves()
        with use_backend(backend):
            values = [v for v in call(*leaves) if v is not None and v.is_floating_point()]
            ups = [torch.linspace(-1, 2, v.numel(), dtype=v.dtype).view(v.shape) for v in values]
            found.append([*values, *torch.autograd.grad(values, leaves, ups)])
    assert_close(*found)


@pytest.mark.parametrize("chunk", [None, 4])
def test_scores_with_entropy(calls: list[str], chunk: int | None) -> None:
    _both(lambda x, w, b: linear_log_probs(x, w, Y, bias=b, temperature=0.7, softcap=2.0, chunk_tokens=chunk))
    chunks = 1 if chunk is None else 2
    assert calls == ["scores"] * chunks + ["scores backward"] * chunks


OTHERS: dict[str, dict[str, Any]] = {
    "weight": {"weight": torch.rand(5, dtype=torch.float64)},
    "label_smoothing": {"label_smoothing": 0.1},
    "z_loss": {"z_loss": 0.1},
    "logit_offset": {"logit_offset": torch.rand(5)},
    "torch_nonfinite": {"torch_nonfinite": True},
    "where": {"where": torch.ones(6, 5, dtype=torch.bool)},
    "focal_gamma": {"focal_gamma": 2.0},
    "sample_weight": {"sample_weight": torch.zeros(6)},
}


@pytest.mark.parametrize("options", OTHERS.values(), ids=OTHERS.keys())
def test_other_options_are_not_for_the_kernel(calls: list[str], options: dict[str, Any]) -> None:
    _both(lambda x, w, b: dispatch.linear_softmax_nll(x, w, Y, b, entropy=True, **options))
    assert not calls


def test_probabilities_and_no_entropy_are_not_for_it(calls: list[str]) -> None:
    q = torch.rand(6, 5, dtype=torch.float64)
    _both(lambda x, w, b: dispatch.linear_softmax_nll(x, w, q / q.sum(1, keepdim=True), b, entropy=True))
    _both(lambda x, w, b: dispatch.linear_softmax_nll(x, w, Y, b))
    assert not calls


@pytest.mark.parametrize("direction", ["forward", "reverse", "jsd"])
@pytest.mark.parametrize("reduction", ["mean", "none"])
@pytest.mark.parametrize("weighted", [False, True])
def test_divergences(calls: list[str], direction: str, reduction: str, weighted: bool) -> None:
    each = torch.tensor([1.0, 0, 2, 0.5, 1, 0]) if weighted else None
    _both(
        lambda x, w, b: [
            linear_kl(
                x, w, *TEACHER, student_bias=b, temperature=2.0, direction=direction, beta=0.3,
                reduction=reduction, student_softcap=3.0, teacher_softcap=5.0,
                sample_weight=each, chunk_tokens=8,
            )
        ]
    )  # fmt: skip
    assert calls == (["kl backward"] if reduction == "mean" else ["kl", "kl backward"])


def test_what_is_kept_of_a_teacher_and_another_dtype_are_not_for_it(calls: list[str]) -> None:
    log_probs, index = torch.randn(6, 5, generator=G).double().log_softmax(1).topk(3)
    _both(lambda x, w, b: [linear_kl_topk(x, w, log_probs, index, student_bias=b)])
    _both(lambda x, w, b: [linear_kl(x, w, *(t.float() for t in TEACHER), student_bias=b)])
    assert not calls


def test_a_backend_without_the_kernels() -> None:
    assert SOFTMAX["portable"].scores(torch.device("cpu")) is None
    assert SOFTMAX["portable"].kl(torch.device("cpu")) is None
    for name in ("native", "triton"):
        assert SOFTMAX[name].scores(torch.device("meta")) is None
