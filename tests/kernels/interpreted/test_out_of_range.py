"""Class indices out of range on a GPU: no memory is touched by them, and the next call says which it was."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

import likelihead
from likelihead.kernels import dispatch
from likelihead.kernels.dispatch import use_backend
from likelihead.kernels.triton import flags, softmax_nll

CPU = torch.device("cpu")  # the interpreter's
# weight, smoothing, ignore_index, z_loss, softcap, offset, torch_nonfinite, where, gamma, sample_weight
PLAIN = (None, 0.0, -100, 0.0, 0.0, None, True, None, 0.0, None)
SHAPES = [(4, 5), (4, 5, 3), (4, 200), (2, 3, 4, 5), (3, 40_000)]
INDEX = {torch.int64: 2**40, torch.int32: 2**30, torch.int16: 2**14, torch.int8: 127, torch.uint8: 255}


@pytest.fixture(autouse=True)
def _triton() -> Iterator[None]:
    with use_backend("triton"):
        yield
    flags.of(CPU)
    flags._buffers[CPU].take()  # nothing is left for the next test


def _target(shape: tuple[int, ...], dtype: torch.dtype = torch.int64) -> Tensor:
    target = torch.arange(shape[0] * torch.Size(shape[2:]).numel()) % min(shape[1], 100)
    return target.view(shape[0], *shape[2:]).to(dtype)


def _options(classes: int) -> list[tuple[object, ...]]:
    weighted = (torch.rand(classes), 0.1, -100, 0.0, 0.0, torch.rand(classes), False, None, 0.0, None)
    return [PLAIN, weighted]


@pytest.mark.parametrize("place", ["first", "last"])
@pytest.mark.parametrize("shape", SHAPES)
def test_the_kernels_go_on_and_the_next_call_raises(shape: tuple[int, ...], place: str) -> None:
    # The op's kernels themselves, which on a GPU have not run yet when the call returns.
    x = torch.randn(shape)
    at = 0 if place == "first" else -1
    for outside in (shape[1], -1):
        for options in _options(shape[1]):
            target = _target(shape)
            target.view(-1)[at] = outside
            nll, lse = softmax_nll.softmax_nll(x, target, *options)
            assert nll.view(-1)[at].isnan()
            good = torch.ones(target.numel(), dtype=torch.bool)
            good[at] = False
            assert nll.view(-1)[good].isfinite().all()
            assert lse.view(-1)[good].isfinite().all()
            position = ", ".join(map(str, [0 if at == 0 else size - 1 for size in target.shape]))
            with pytest.raises(
                IndexError,
                match=rf"Target {outside} is out of bounds: target\[{position}\] is {outside}, but there are "
                rf"{shape[1]} classes; expected 0 to {shape[1] - 1}, or ignore_index \(-100\)",
            ):
                dispatch.softmax_nll(torch.zeros(2, 3), torch.tensor([0, 1]))
            # Said once; the process goes on.
            assert dispatch.softmax_nll(torch.zeros(2, 3), torch.tensor([0, 1]))[0].isfinite().all()


@pytest.mark.parametrize("shape", SHAPES[:4])
def test_every_op_leaves_memory_alone(shape: tuple[int, ...]) -> None:
    # Reads and writes are checked one by one (strict_interpreter), inside the tensors they were meant for.
    x, target = torch.randn(shape), _target(shape)
    target.view(-1)[-1] = 2**40
    up = torch.rand(target.shape)
    for options in _options(shape[1]):
        for mean in (True, False):
            loss, grad = softmax_nll.softmax_loss(x, target, *options, mean, None, True)
            assert loss.isnan()
            assert grad.shape == x.shape
            loss, _ = softmax_nll.softmax_loss(x, target, *options, mean, 3.0, False)
            assert loss.isnan()
            assert softmax_nll.softmax_loss_(x.clone(), target, *options, mean, None).isnan()
        grad = softmax_nll.softmax_nll_backward(up, up, 1.0, False, x, target, *options)
        assert grad.shape == x.shape
        with pytest.raises(IndexError, match="Target 1099511627776 is out of bounds"):
            likelihead.synchronize()


@pytest.mark.parametrize(("dtype", "outside"), INDEX.items())
def test_indices_of_any_dtype(dtype: torch.dtype, outside: int) -> None:
    target = _target((4, 5), dtype)
    target[1] = outside
    nll, _ = softmax_nll.softmax_nll(torch.randn(4, 5), target, *PLAIN)
    assert nll.isnan().tolist() == [False, True, False, False]
    with pytest.raises(IndexError, match=rf"target\[1\] is {outside},"):
        likelihead.synchronize(CPU)


def test_many_at_once() -> None:
    target = torch.full((500,), 7)
    nll, _ = softmax_nll.softmax_nll(torch.randn(500, 5), target, *PLAIN)
    assert nll.isnan().all()
    with pytest.raises(IndexError, match=r"target\[\d+\] is 7, but there are 5 classes"):
        likelihead.synchronize()
    likelihead.synchronize()
    # The slots are free again.
    for _ in range(3):
        softmax_nll.softmax_nll(torch.randn(2, 5), torch.tensor([0, 9]), *PLAIN)
        with pytest.raises(IndexError, match=r"target\[1\] is 9"):
            likelihead.synchronize()


def test_what_is_in_range_is_not_reported() -> None:
    x = torch.randn(3, 200)
    nll, _ = softmax_nll.softmax_nll(x, torch.tensor([156, 0, 199], dtype=torch.uint8), *PLAIN)
    assert nll.isfinite().all()
    assert nll.ne(0).all()  # 156 is -100 in int8, and no ignore_index
    ignoring = (*PLAIN[:2], 3, *PLAIN[3:])
    nll, _ = softmax_nll.softmax_nll(x, torch.tensor([3, 0, 3]), *ignoring)
    assert nll.eq(0).tolist() == [True, False, True]
    negative = (*PLAIN[:2], -1, *PLAIN[3:])
    nll, _ = softmax_nll.softmax_nll(x, torch.tensor([-1, 0, -1]), *negative)
    assert nll.eq(0).tolist() == [True, False, True]
    beyond = (*PLAIN[:2], 255, *PLAIN[3:])
    nll, _ = softmax_nll.softmax_nll(x, torch.tensor([255, 0, 1], dtype=torch.uint8), *beyond)
    assert nll.eq(0).tolist() == [True, False, False]
    likelihead.synchronize()
    softmax_nll.softmax_nll(x, torch.tensor([-100, 0, 1]), *negative)
    with pytest.raises(IndexError, match=r"is -100, .*ignore_index \(-1\)"):
        likelihead.synchronize()


def test_a_backward_pass_raises_too() -> None:
    x = torch.randn(4, 5, requires_grad=True)
    nll, _ = dispatch.softmax_nll(x, _target((4, 5)))
    softmax_nll.softmax_nll(torch.zeros(2, 3), torch.tensor([0, 3]), *PLAIN)
    with pytest.raises(IndexError, match=r"target\[1\] is 3, but there are 3 classes"):
        nll.sum().backward()
