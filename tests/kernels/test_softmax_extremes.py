"""Where a categorical kernel goes another way: large logits, large outputs, rows without softmax."""

from __future__ import annotations

import math
from itertools import product

import pytest
import torch
from torch import Tensor

from likelihead.kernels.dispatch import softmax_loss, softmax_nll, use_backend
from served_here import INTERPRETED

pytestmark = pytest.mark.usefixtures("fast")

SHAPES = [(5, 3), (5, 100), (5, 200), (2, 3, 37)]
LARGE = [
    (4, 21, 256, 256), (3, 10, 128 * 1171), (1, 150, 192, 192), (2, 1000, 64, 70), (4200, 1001),
    (450_000, 10),
]  # fmt: skip
if INTERPRETED:
    LARGE = [(2, 21, 9, 8), (1, 10, 1171), (1, 150, 5, 5), (3, 1001), (3, 40_000), (900, 10)]


def _targets(shape: tuple[int, ...]) -> Tensor:
    return torch.arange(shape[0] * math.prod(shape[2:])).reshape(shape[0], *shape[2:]) % shape[1]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("base", [-3e38, -1e7, -300.0, -211.0, -209.0, 0.0, 209.0, 211.0, 300.0, 1e7, 3e38])
def test_logits_far_from_zero(shape: tuple[int, ...], base: float) -> None:
    g = torch.Generator().manual_seed(1)
    x = torch.empty(shape, dtype=torch.float64).normal_(0, 20, generator=g).float() + torch.tensor(base)
    target = _targets(shape)
    x64, x32 = x.double().requires_grad_(), x.clone().requires_grad_()
    expected = torch.nn.functional.cross_entropy(x64, target, reduction="none")
    nll, _ = softmax_nll(x32, target)
    expected.sum().backward()
    nll.sum().backward()
    assert x64.grad is not None
    assert x32.grad is not None
    # float64 by way of logsumexp has an absolute error only
    torch.testing.assert_close(nll.double(), expected, rtol=1e-6, atol=1e-13)
    torch.testing.assert_close(x32.grad.double(), x64.grad, rtol=1e-6, atol=1e-13)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("shape", LARGE)
@pytest.mark.usefixtures("fused")
def test_large_gradients_have_the_same_bits_new_and_in_place(
    dtype: torch.dtype, shape: tuple[int, ...]
) -> None:
    # They may go past the caches where their pages are there already: after the first time.
    x = torch.randn(shape, generator=torch.Generator().manual_seed(2), dtype=torch.float32).to(dtype)
    target = _targets(shape)
    grads = []
    for _ in range(3):
        leaf = x.clone().requires_grad_()
        softmax_loss(leaf, target).backward()
        assert leaf.grad is not None
        grads.append(leaf.grad)
        del leaf
    leaf = x.clone().requires_grad_()
    softmax_loss(leaf * 1, target, inplace_backward=True).backward()
    assert leaf.grad is not None
    for grad in grads:
        assert torch.equal(grad, leaf.grad)


@pytest.mark.parametrize("shape", [(3, 1), (3, 2), (3, 100), (3, 300), (3, 2, 5)])
@pytest.mark.parametrize("softcap", [None, 15.0])
@pytest.mark.parametrize("offset", [None, "one", "all", "infinite"])
def test_an_ignored_row_without_a_softmax_is_as_in_the_reference(
    fast: str, shape: tuple[int, ...], softcap: float | None, offset: str | None
) -> None:
    classes = shape[1]
    logit_offset = None if offset is None else torch.zeros(classes)
    if logit_offset is not None and offset == "one":
        logit_offset[classes // 2] = -math.inf
    elif logit_offset is not None:
        logit_offset[:] = -math.inf if offset == "all" else math.inf
    target = _targets(shape)
    target[1:] = -100
    values = (0.0, math.inf, -math.inf, math.nan)
    for value, everywhere, torchs in product(values, (False, True), (False, True)):
        x = torch.randn(shape, generator=torch.Generator().manual_seed(3))
        x[1, slice(None) if everywhere else classes // 2] = value
        grads = []
        for backend in (fast, "reference"):
            leaf = x.clone().requires_grad_()
            with use_backend(backend):
                nll, _ = softmax_nll(
                    leaf, target, softcap=softcap, logit_offset=logit_offset, torch_nonfinite=torchs
                )
            nll[1:].sum().backward()
            assert leaf.grad is not None
            grads.append(leaf.grad[1:])
        torch.testing.assert_close(grads[0], grads[1], equal_nan=True)
