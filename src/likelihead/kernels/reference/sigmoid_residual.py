r"""The Bernoulli residual :math:`a\,\sigma(x) - b\,\sigma(-x)` to full relative accuracy in one precision.

With :math:`e = \exp(-|x|)` it equals :math:`(a - b e) / (1 + e)` for positive x and :math:`(a e - b) / (1 +
e)` for negative x. The numerator cancels where the prediction meets a soft label; it is formed in pairs of
floats (Dekker 1971, Knuth's two-sum), for which :math:`e` is needed as a pair as well.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

__all__ = ["forward_over_forward", "nll_with_exact_residual", "sigmoid_residual"]

Pair = tuple[Tensor, Tensor]
"""An unevaluated sum of two floats, the second at most half a unit in the last place of the first."""


def nll_with_exact_residual(x: Tensor, a: Tensor, b: Tensor) -> Tensor:
    r""":math:`a\,\operatorname{softplus}(x) + b\,\operatorname{softplus}(-x)`."""
    result: Tensor = _NLL.apply(x, a, b)  # type: ignore[no-untyped-call]
    return result


def _residual(x: Tensor, a: Tensor, b: Tensor) -> Tensor:
    result: Tensor = _Residual.apply(x, a, b)  # type: ignore[no-untyped-call]
    return result


def forward_over_forward() -> bool:
    """Whether a forward-mode derivative of a forward-mode derivative is being taken.

    torch calls a ``jvp`` with forward mode switched off, and the second derivative would be 0.
    """
    stack = torch._C._functorch.get_interpreter_stack() or ()
    return sum(level.key() == torch._C._functorch.TransformType.Jvp for level in stack) > 1


class _NLL(torch.autograd.Function):
    """The negative log-likelihood; its derivative by the logits is `_Residual`."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, a: Tensor, b: Tensor) -> Tensor:
        return b * -logsigmoid(x) + a * -logsigmoid(-x)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)
        ctx.save_for_forward(*inputs)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, a, b = ctx.saved_tensors
        need_x, need_a, need_b = ctx.needs_input_grad
        return (
            _sum_to(grad * _residual(x, a, b), x) if need_x else None,
            _sum_to(grad * -logsigmoid(-x), a) if need_a else None,
            _sum_to(grad * -logsigmoid(x), b) if need_b else None,
        )

    @staticmethod
    def jvp(ctx: Any, *tangents: Tensor | None) -> Tensor:
        x, a, b = ctx.saved_tensors
        slopes = (lambda: _residual(x, a, b), lambda: -logsigmoid(-x), lambda: -logsigmoid(x))
        return _directional(slopes, tangents)


class _Residual(torch.autograd.Function):
    """`sigmoid_residual`, with the plain formulas for its own derivatives."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, a: Tensor, b: Tensor) -> Tensor:
        return sigmoid_residual(x, a, b)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)
        ctx.save_for_forward(*inputs)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, a, b = ctx.saved_tensors
        need_x, need_a, need_b = ctx.needs_input_grad
        return (
            _sum_to(grad * _curvature(x, a, b), x) if need_x else None,
            _sum_to(grad * torch.sigmoid(x), a) if need_a else None,
            _sum_to(grad * -torch.sigmoid(-x), b) if need_b else None,
        )

    @staticmethod
    def jvp(ctx: Any, *tangents: Tensor | None) -> Tensor:
        x, a, b = ctx.saved_tensors
        slopes = (lambda: _curvature(x, a, b), lambda: torch.sigmoid(x), lambda: -torch.sigmoid(-x))
        return _directional(slopes, tangents)


def _curvature(x: Tensor, a: Tensor, b: Tensor) -> Tensor:
    return (a + b) * (torch.sigmoid(x) * torch.sigmoid(-x))


def _directional(slopes: Any, tangents: tuple[Tensor | None, ...]) -> Tensor:
    terms = [
        slope() * tangent for slope, tangent in zip(slopes, tangents, strict=True) if tangent is not None
    ]
    total: Tensor = sum(terms[1:], start=terms[0])
    return total


def _sum_to(grad: Tensor, like: Tensor) -> Tensor:
    return grad.sum_to_size(like.shape) if grad.shape != like.shape else grad


def sigmoid_residual(x: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """``a * sigmoid(x) - b * sigmoid(-x)``, accurate also where the two terms nearly cancel."""
    exp_high, exp_low = _exp_of_negative(x.abs())
    constant, factor = torch.where(x >= 0, a, -b), torch.where(x >= 0, -b, a)
    product, product_error = _two_product(factor, exp_high)
    numerator, sum_error = _two_sum(constant, product)
    correction = sum_error + (product_error + factor * exp_low)
    # An infinite or NaN operand makes every correction NaN; the plain numerator is then the answer.
    numerator = numerator + correction.nan_to_num(0.0, 0.0, 0.0)
    denominator, denominator_error = _two_sum(torch.ones_like(exp_high), exp_high)
    quotient = numerator / denominator
    return quotient - quotient * (denominator_error / denominator)


def _exp_of_negative(y: Tensor) -> Pair:
    """``exp(-y)`` for ``y >= 0`` as a pair, with about 8 digits more than the dtype has bits for.

    ``-y = k ln 2 + r``; ``1 + r + r^2 / 2`` is summed in pairs and the rest, at most 0.008, by Horner's rule.
    """
    digits = 1 - math.log2(torch.finfo(y.dtype).eps)
    y = y.clamp(max=2000.0)  # where the exponential is 0 already; infinity would make NaN of the reduction
    k = torch.round(y * (-1 / math.log(2)))
    # ln 2 in two parts; the first has so few bits that its products with k are exact.
    bits = int(digits) - 12
    ln2_high = math.floor(math.log(2) * 2.0**bits) / 2.0**bits
    ln2_low = (_LN2_HEAD - ln2_high) + _LN2_TAIL
    r, r_error = _two_sum(-y - k * ln2_high, -k * ln2_low)
    square, square_error = _two_product(r, r)
    rest = torch.zeros_like(r)
    for n in range(15, 2, -1):
        rest = rest * r + 1 / math.factorial(n)
    rest = rest * r * square
    head, head_error = _two_sum(torch.ones_like(r), r)
    total, total_error = _two_sum(head, 0.5 * square)
    high, low = _two_sum(total, rest + 0.5 * square_error + r_error * (1 + r) + head_error + total_error)
    scale = torch.exp2(k)
    return high * scale, low * scale


# ln 2 = head + tail to 107 bits.
_LN2_HEAD = 0.6931471805599453
_LN2_TAIL = 2.3190468138462996e-17


def _two_sum(a: Tensor, b: Tensor) -> Pair:
    s = a + b
    b_part = s - a
    return s, (a - (s - b_part)) + (b - b_part)


def _two_product(a: Tensor, b: Tensor) -> Pair:
    p = a * b
    a_high, a_low = _split(a)
    b_high, b_low = _split(b)
    return p, ((a_high * b_high - p) + a_high * b_low + a_low * b_high) + a_low * b_low


def _split(a: Tensor) -> Pair:
    half_digits = math.ceil((1 - math.log2(torch.finfo(a.dtype).eps)) / 2)
    shifted = a * (2.0**half_digits + 1)
    high = shifted - (shifted - a)
    return high, a - high
