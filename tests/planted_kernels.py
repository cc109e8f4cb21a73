"""Rows of logits to softmax-like gradients, in the shapes that kernels of losses take. Imports triton."""

from __future__ import annotations

import triton
import triton.language as tl

LOG2E = tl.constexpr(1.4426950408889634)


@triton.jit
def right(logits, gradient, classes, BLOCK: tl.constexpr):  # type: ignore[no-untyped-def]
    """The maximum in one pass, the exponentials in another."""
    row = tl.program_id(0).to(tl.int64) * classes
    most = tl.full([BLOCK], float("-inf"), tl.float32)
    for start in range(0, classes, BLOCK):
        at = start + tl.arange(0, BLOCK)
        x = tl.load(logits + row + at, mask=at < classes, other=float("-inf")).to(tl.float32)
        most = tl.maximum(most, x)
    top = tl.max(most)
    for start in range(0, classes, BLOCK):
        at = start + tl.arange(0, BLOCK)
        x = tl.load(logits + row + at, mask=at < classes, other=float("-inf")).to(tl.float32)
        p = tl.exp2((x - top) * LOG2E)
        tl.store(gradient + row + at, p.to(gradient.dtype.element_ty), mask=at < classes)


@triton.jit
def straight(logits, gradient, classes, BLOCK: tl.constexpr):  # type: ignore[no-untyped-def]
    """A row in registers: one pass, no loop. With a block that is too large for them it spills."""
    row = tl.program_id(0).to(tl.int64) * classes
    at = tl.arange(0, BLOCK)
    x = tl.load(logits + row + at, mask=at < classes, other=float("-inf")).to(tl.float32)
    p = tl.exp2((x - tl.max(x)) * LOG2E)
    p = p / tl.sum(p)
    tl.store(gradient + row + at, p.to(gradient.dtype.element_ty), mask=at < classes)


@triton.jit
def two_exponentials(logits, gradient, classes, BLOCK: tl.constexpr):  # type: ignore[no-untyped-def]
    """An online sum that is rescaled for each element."""
    row = tl.program_id(0).to(tl.int64) * classes
    most = tl.full([BLOCK], float("-inf"), tl.float32)
    total = tl.zeros([BLOCK], tl.float32)
    for start in range(0, classes, BLOCK):
        at = start + tl.arange(0, BLOCK)
        x = tl.load(logits + row + at, mask=at < classes, other=float("-inf")).to(tl.float32)
        higher = tl.maximum(most, x)
        total = total * tl.exp2((most - higher) * LOG2E) + tl.exp2((x - higher) * LOG2E)
        most = higher
    top = tl.max(most)
    scale = 1.0 / tl.sum(total * tl.exp2((most - top) * LOG2E))
    for start in range(0, classes, BLOCK):
        at = start + tl.arange(0, BLOCK)
        x = tl.load(logits + row + at, mask=at < classes, other=float("-inf")).to(tl.float32)
        p = tl.exp2((x - top) * LOG2E) * scale
        tl.store(gradient + row + at, p.to(gradient.dtype.element_ty), mask=at < classes)


@triton.jit
def division(logits, gradient, classes, BLOCK: tl.constexpr):  # type: ignore[no-untyped-def]
    """An integer division for each element, by what differs for each."""
    for start in range(0, classes * 8, BLOCK):
        at = start + tl.arange(0, BLOCK)
        x = tl.load(logits + at).to(tl.float32)
        p = tl.exp2(x) * (classes // (at + 3)).to(tl.float32)
        tl.store(gradient + at, p.to(gradient.dtype.element_ty))


@triton.jit
def wide_division(logits, gradient, classes, BLOCK: tl.constexpr):  # type: ignore[no-untyped-def]
    """Rows and classes told apart by a division of 64 bits, which ptxas makes a call."""
    for start in range(0, classes * 8, BLOCK):
        at = (start + tl.arange(0, BLOCK)).to(tl.int64)
        x = tl.load(logits + at).to(tl.float32)
        p = tl.exp2(x) * (at // (classes + 1)).to(tl.float32)
        tl.store(gradient + at, p.to(gradient.dtype.element_ty))


@triton.jit
def compensated(logits, gradient, classes, BLOCK: tl.constexpr):  # type: ignore[no-untyped-def]
    """Squares summed with what each sum loses (two-sum): six additions and no multiply-add."""
    row = tl.program_id(0).to(tl.int64) * classes
    total = tl.zeros([BLOCK], tl.float32)
    lost = tl.zeros([BLOCK], tl.float32)
    for start in range(0, classes, BLOCK):
        at = start + tl.arange(0, BLOCK)
        x = tl.load(logits + row + at, mask=at < classes, other=0.0).to(tl.float32)
        square = x * x
        after = total + square
        back = after - total
        lost += (total - (after - back)) + (square - back)
        total = after
    at = tl.arange(0, BLOCK)
    tl.store(gradient + row + at, (total + lost).to(gradient.dtype.element_ty), mask=at < classes)
