"""The native kernels alone: threads, instruction sets, and more elements than an int counts."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pytest
import torch

from likelihead.kernels.dispatch import backends, softmax_loss, use_backend

NATIVE = {b.name: b for b in backends()}["native"]
pytestmark = pytest.mark.skipif(not NATIVE.available, reason=f"native is absent: {NATIVE.reason}")


@pytest.fixture(autouse=True)
def _native() -> Iterator[None]:
    with use_backend("native"):
        yield


@pytest.mark.parametrize("shape", [(300, 1000), (70000, 10), (2, 21, 130, 130), (3, 100_003)])
def test_threads_do_not_matter_to_the_bits(shape: tuple[int, ...]) -> None:
    x = torch.randn(shape, requires_grad=True)
    target = torch.randint(shape[1], (shape[0], *shape[2:]))
    before = torch.get_num_threads()
    results = []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            loss = softmax_loss(x, target, weight=torch.ones(shape[1]), label_smoothing=0.1)
            results.append((loss.detach(), *torch.autograd.grad(loss, x)))
    finally:
        torch.set_num_threads(before)
    for loss, gradient in results[1:]:
        assert torch.equal(loss, results[0][0])
        assert torch.equal(gradient, results[0][1])


@pytest.mark.large
def test_more_than_2_to_the_31_elements() -> None:
    rows, classes = 20_000, 120_000  # 2.4e9 float16 zeros: pages that are never written cost nothing
    logits = torch.from_numpy(np.zeros((rows, classes), dtype=np.float16))
    target = torch.full((rows,), -100)
    target[-1] = classes - 1
    logits[-1, -1] = 3
    loss = softmax_loss(logits, target)
    assert loss.item() == pytest.approx(math.log1p((classes - 1) * math.exp(-3)), rel=1e-6)


def test_instruction_sets_are_named() -> None:
    from likelihead.kernels.native._library import instruction_set

    assert instruction_set() in ("baseline", "avx2", "avx512")
