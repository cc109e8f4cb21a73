"""How the tokens of a head are shared out where the head's gradient would be summed, and how it is scaled."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn.functional import cross_entropy, linear

from likelihead.kernels import dispatch
from likelihead.kernels.fused import linear_autograd, linear_chunks, linear_scores, products


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("width", [1, 300, 4096])
@pytest.mark.parametrize("at_once", [1, 2])
@pytest.mark.parametrize("count", [1, 255, 1024, 1025, 1174, 1175, 1324, 1325, 5120, 5121, 7000, 100_000])
def test_a_single_chunk_takes_no_more_memory_than_the_sum_and_several_are_alike(
    count: int, at_once: int, width: int, dtype: torch.dtype
) -> None:
    step, classes = 1024, 50_000
    head = torch.empty(classes, width, dtype=dtype, device="meta")
    found = products.even_chunks(count, step, head, at_once)
    summed = at_once * step * classes * dtype.itemsize + classes * width * max(4, dtype.itemsize)
    single = at_once * count * classes * dtype.itemsize + classes * width * dtype.itemsize
    if count <= step or (dtype.itemsize < 4 and single <= summed):
        assert found == count
        return
    assert found <= step
    assert -(-count // found) == -(-count // step)  # no more of them
    last = count % found or found
    assert found - last < products._TILE * -(-count // step)


@pytest.mark.parametrize(("tokens", "chunks"), [(4, 1), (10, 1), (11, 3), (13, 4)])
@pytest.mark.parametrize("trained", [True, False])
def test_elsewhere_than_on_a_processor_tokens_are_shared_out_so(
    tokens: int, chunks: int, trained: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (linear_chunks, linear_scores, linear_autograd):
        monkeypatch.setattr(module, "looks", lambda device: False)
    monkeypatch.setattr(linear_chunks, "_TOKENS_ELSEWHERE", 4)
    monkeypatch.setattr(products, "_TILE", 1)
    monkeypatch.setattr(products, "_LARGE", 0)  # 16 bits stay 16 bits
    sizes: list[int] = []
    logits_of = linear_chunks.logits_of

    def counted(x: torch.Tensor, *rest: Any) -> torch.Tensor:
        sizes.append(x.shape[0])
        return logits_of(x, *rest)

    monkeypatch.setattr(linear_chunks, "logits_of", counted)
    hidden, head = (torch.randn(n, 6).bfloat16().requires_grad_() for n in (tokens, 11))
    head.requires_grad_(trained)
    target = torch.randint(11, (tokens,))
    dispatch.linear_softmax_loss(hidden, head, target).backward()
    assert len(sizes) == (chunks if trained else -(-tokens // 4))
    assert sum(sizes) == tokens
    assert max(sizes) - min(sizes) <= (chunks if trained else 4)
    exact = [t.detach().double().requires_grad_() for t in (hidden, head)]
    cross_entropy(linear(*exact), target).backward()
    assert hidden.grad is not None
    torch.testing.assert_close(hidden.grad.double(), exact[0].grad, rtol=0.03, atol=0.003)
    if trained:
        assert head.grad is not None
        torch.testing.assert_close(head.grad.double(), exact[1].grad, rtol=0.03, atol=0.003)


@pytest.mark.parametrize("on_device", [False, True])
@pytest.mark.parametrize("upstream", [1.0, 3.0, 0.5])
def test_a_gradient_is_scaled_in_place(
    on_device: bool, upstream: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[float] = []
    scale_ = torch.ops.likelihead.scale_.default

    class Op:
        @staticmethod
        def default(gradient: torch.Tensor, by: torch.Tensor, whatever_rounding: bool) -> bool:
            seen.append(float(by))
            return bool(scale_(gradient, by, whatever_rounding))

    monkeypatch.setattr(torch.ops.likelihead, "scale_", Op)
    monkeypatch.setattr(products, "INTERPRETED", on_device)
    monkeypatch.setattr(products, "_has_kernels", lambda: True)
    gradient = torch.randn(5, 7)
    expected = gradient * upstream
    found = products.scaled_by(torch.tensor(upstream), gradient)
    assert found is gradient
    torch.testing.assert_close(gradient, expected)
    assert seen == ([upstream] if on_device else [])
    assert products.scaled_by(torch.tensor(2.0), torch.empty(0, 7)).shape == (0, 7)


@pytest.mark.parametrize(("device", "pieces"), [("cuda", 1), ("cpu", 32)])
def test_on_a_gpu_one_product_makes_the_gradient_of_all_classes(device: str, pieces: int) -> None:
    with FakeTensorMode():
        head = torch.empty(128256, 4096, dtype=torch.bfloat16, device=device)
        found = products.HeadGradient(head, several=True).pieces
    assert len(found) == pieces
    assert sum(piece.shape[0] for piece in found) == head.shape[0]
    assert {piece.dtype for piece in found} == {torch.float32}
