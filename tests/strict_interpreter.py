"""Triton's interpreter made as strict as a GPU: every access is checked, and what is undefined is wrong.

- The interpreter reads and writes through bare addresses. Here an access outside the tensors that the kernel
  was given raises.
- What a masked load leaves undefined is 0 in the interpreter, which hides a kernel that counts on it. Here it
  is NaN, or a number far off.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from torch import Tensor

LAUNCHES: Counter[str] = Counter()  # by kernel
_running = False


def is_running() -> bool:
    """Whether it is the interpreter that calls."""
    return _running


class OutOfBounds(AssertionError):
    """A kernel reached for memory outside the tensors that it was given."""


def extent(tensor: Tensor) -> tuple[int, int]:
    """The addresses of a tensor's first byte and of the first one behind it."""
    start = tensor.data_ptr()
    if tensor.numel() == 0:
        return start, start
    last = sum((size - 1) * stride for size, stride in zip(tensor.shape, tensor.stride(), strict=True))
    return start, start + (last + 1) * tensor.element_size()


@contextmanager
def strict() -> Iterator[None]:
    """Hold what is launched within to all that is said above."""
    from triton.runtime import interpreter

    builder = interpreter.InterpreterBuilder
    executor = interpreter.GridExecutor
    known = _Intervals()
    given = executor._init_args_hst
    load, store = builder.create_masked_load, builder.create_masked_store
    cas, rmw = builder.create_atomic_cas, builder.create_atomic_rmw

    def begin(self: Any, args: Any, kwargs: Any) -> Any:
        here = given(self, args, kwargs)
        known.set([extent(tensor) for tensor in _tensors((*here[0], *here[1].values()))])
        LAUNCHES[self.fn.__name__] += 1
        return here

    def checked_load(self: Any, ptrs: Any, mask: Any, other: Any, *rest: Any) -> Any:
        known.check("read", ptrs, mask.data)
        if other is None and not mask.data.all():
            dtype = interpreter._get_np_dtype(ptrs.get_element_ty())
            other = interpreter.TensorHandle(_undefined(ptrs, dtype), ptrs.get_element_ty())
        return load(self, ptrs, mask, other, *rest)

    def checked_store(self: Any, ptrs: Any, value: Any, mask: Any, *rest: Any) -> Any:
        known.check("wrote", ptrs, mask.data)
        return store(self, ptrs, value, mask, *rest)

    def checked_cas(self: Any, ptr: Any, *rest: Any) -> Any:
        known.check("exchanged", ptr, np.ones_like(ptr.data, dtype=bool))
        return cas(self, ptr, *rest)

    def checked_rmw(self: Any, op: Any, ptr: Any, val: Any, mask: Any, *rest: Any) -> Any:
        known.check("changed", ptr, mask.data)
        return rmw(self, op, ptr, val, mask, *rest)

    run = executor.__call__

    def quiet(self: Any, *args: Any, **kwargs: Any) -> Any:
        global _running
        _running = True
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", RuntimeWarning)  # numpy's, of a row that is all NaN
                return run(self, *args, **kwargs)
        finally:
            _running = False

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(executor, "__call__", quiet)
        patch.setattr(executor, "_init_args_hst", begin)
        patch.setattr(builder, "create_masked_load", checked_load)
        patch.setattr(builder, "create_masked_store", checked_store)
        patch.setattr(builder, "create_atomic_cas", checked_cas)
        patch.setattr(builder, "create_atomic_rmw", checked_rmw)
        yield


def _tensors(values: Any) -> Iterator[Tensor]:
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, tuple):
            yield from _tensors(value)


def _undefined(ptrs: Any, dtype: Any) -> Any:
    element = ptrs.get_element_ty()
    if element.is_bf16():
        return np.full(ptrs.data.shape, 0x7FC0, dtype=dtype)
    if element.is_floating():
        return np.full(ptrs.data.shape, np.nan, dtype=dtype)
    if dtype == np.bool_:
        return np.ones(ptrs.data.shape, dtype=dtype)
    return np.full(ptrs.data.shape, np.iinfo(dtype).max - 3, dtype=dtype)


class _Intervals:
    """Where the tensors of the launch in progress lie."""

    def set(self, extents: list[tuple[int, int]]) -> None:
        merged: list[list[int]] = []
        for start, end in sorted(extents):
            if merged and start < merged[-1][1]:  # the same memory under two names; neighbours stay apart
                merged[-1][1] = max(merged[-1][1], end)
            elif end > start:
                merged.append([start, end])
        self.starts = np.array([start for start, _ in merged], dtype=np.uint64)
        self.ends = np.array([end for _, end in merged], dtype=np.uint64)

    def check(self, what: str, ptrs: Any, mask: Any) -> None:
        addresses = np.atleast_1d(ptrs.data)[np.atleast_1d(np.broadcast_to(mask, ptrs.data.shape))]
        if addresses.size == 0:
            return
        size = np.uint64(max(ptrs.get_element_ty().primitive_bitwidth // 8, 1))
        place = np.searchsorted(self.starts, addresses, side="right") - 1
        inside = (place >= 0) & (addresses + size <= self.ends[place])
        if not inside.all():
            wrong = int(addresses[~inside][0])
            near = int(self.starts[max(int(place[~inside][0]), 0)])
            raise OutOfBounds(
                f"{what} {int((~inside).sum())} elements outside every tensor, the first {wrong - near} "
                "bytes from the start of the nearest one before it"
            )
