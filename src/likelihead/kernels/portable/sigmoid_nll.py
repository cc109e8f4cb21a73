r"""Bernoulli negative log-likelihood by torch's operators, fused by hand: block after block of elements.

A label of 0 or 1 turns the logit to :math:`z = \pm x`, whose loss is :math:`\log(1 + e^z)` and whose slope is
:math:`e^z / (1 + e^z)`: nothing cancels, and one exponential serves both. On a processor each block is looked
at, and takes that way where it can. Every other block is computed with spare digits, as in the reference,
and its elements that are not finite by the reference itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor

from likelihead.core.reduction import Normalizer
from likelihead.core.reduction import reduce as reduce_values
from likelihead.kernels.ops import (
    SigmoidOptions,
    compute_dtype,
    reduce_sigmoid_nll,
    sigmoid_count,
    sigmoid_valid,
)
from likelihead.kernels.portable import small
from likelihead.kernels.portable.calls import (
    Box,
    Scratch,
    blocks,
    first_gradient,
    is_differentiated,
    is_finite,
    looks,
    most_elements,
    save,
    saved,
    scale_of,
    served,
    weight_of_each,
    within,
)
from likelihead.kernels.portable.exponential import exponential
from likelihead.kernels.portable.small import STEEPEST
from likelihead.kernels.reference.sigmoid_nll import sigmoid_nll as reference
from likelihead.kernels.reference.sigmoid_residual import sigmoid_residual

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["sigmoid_loss", "sigmoid_nll"]


def sigmoid_nll(logits: Tensor, target: Tensor, **options: Unpack[SigmoidOptions]) -> Tensor:
    """See `likelihead.kernels.ops.SigmoidNLL`."""
    if not _served(logits, target, options):
        return reference(logits, target, **options)
    few = _of_few(logits, target, "none", options)
    if few is not None:
        return few
    if logits.requires_grad and torch.is_grad_enabled():
        nll: Tensor = _NLL.apply(logits, target, options)  # type: ignore[no-untyped-call]
        return nll
    call = _Call(logits, target, options)
    values = call.new_values()
    call.run(values)
    return values


def sigmoid_loss(
    logits: Tensor,
    target: Tensor,
    *,
    reduction: str = "mean",
    normalizer: Normalizer | None = None,
    **options: Unpack[SigmoidOptions],
) -> Tensor:
    """See `likelihead.kernels.ops.SigmoidLoss`."""
    if not _served(logits, target, options):
        nll = reference(logits, target, **options)
        return reduce_sigmoid_nll(nll, target, reduction=reduction, normalizer=normalizer, **options)
    if isinstance(normalizer, Tensor):
        # Not read, which might wait for it and would lose its graph: the gradient of the sum is scaled later.
        total = sigmoid_loss(logits, target, reduction="sum", **options)
        return reduce_values(total, reduction, normalizer=normalizer)
    few = _of_few(logits, target, reduction if normalizer is None else "sum", options)
    if few is not None:
        return few if normalizer is None else reduce_values(few, reduction, normalizer=normalizer)
    if logits.requires_grad and torch.is_grad_enabled():
        loss: Tensor = _Loss.apply(  # type: ignore[no-untyped-call]
            logits, target, options, reduction, normalizer
        )
        return loss
    call = _Call(logits, target, options)
    _, count = scale_of(reduction, normalizer, call.count, logits)
    return reduce_values(call.run(), reduction, count=count, normalizer=normalizer)


def _served(logits: Tensor, target: Tensor, options: SigmoidOptions) -> bool:
    differentiable = [options.get(n) for n in ("weight", "pos_weight", "prior", "sample_weight")]
    return served(
        logits, target, cast("dict[str, Any]", options), cast("list[Tensor | None]", differentiable)
    )


def _of_few(logits: Tensor, target: Tensor, reduction: str, options: SigmoidOptions) -> Tensor | None:
    if not looks(logits.device):
        return None
    return small.sigmoid_values(logits, target, reduction, cast("dict[str, Any]", options))


class _Call:
    """The arguments of one call, as each of its blocks takes them."""

    def __init__(self, logits: Tensor, target: Tensor, options: SigmoidOptions) -> None:
        self.logits, self.target, self.options = logits, target, options
        self.dtype = compute_dtype(logits.dtype)
        self.one = torch.ones((), dtype=self.dtype, device=logits.device)
        self.looks = looks(logits.device)
        # Near the zero of a soft label's slope only what spare digits there are is left.
        spare = self.dtype == torch.float32 == logits.dtype and logits.device.type != "mps"
        self.wide = torch.float64 if spare else self.dtype
        self.mask = options.get("mask")
        self.label_smoothing = options.get("label_smoothing", 0.0)
        self.focal_gamma = options.get("focal_gamma", 0.0)
        self.focal_alpha = options.get("focal_alpha")
        self.hard = not self.label_smoothing and not self.focal_gamma and self.looks
        self.soft = self.hard and spare and options.get("pos_weight") is None
        named = {
            "weight": options.get("weight"),
            "pos_weight": options.get("pos_weight"),
            "prior": options.get("prior"),
            "sample_weight": weight_of_each(options.get("sample_weight"), logits.shape, logits, self.wide),
        }
        # A number may lie on another device, and stays one.
        self.broadcast = {
            name: values if values.dim() == 0 else values.expand(logits.shape)
            for name, values in named.items()
            if values is not None
        }

    def new_values(self) -> Tensor:
        return torch.empty_like(self.logits, dtype=self.dtype, memory_format=torch.contiguous_format)

    def count(self) -> Tensor | int:
        skip, sample_weight = self.options.get("skip_nan_target", True), self.options.get("sample_weight")
        if skip and self.looks and is_finite(self.target):
            skip = False  # there is none, and the pass that counts them is saved
        return sigmoid_count(self.target, mask=self.mask, skip_nan_target=skip, sample_weight=sample_weight)

    def run(
        self, values: Tensor | None = None, gradient: Tensor | None = None, upstream: Tensor | None = None
    ) -> Tensor:
        """Return the sum of the values, unless they are written; write the gradient too, where it is wanted.

        The upstream gradients are one for each element or one for all.
        """
        parts: list[Tensor] = []
        scratch, wide_scratch = Scratch(self.logits, self.dtype), Scratch(self.logits, self.wide)

        def deliver(nll: Tensor, box: Box) -> None:
            if values is None:
                parts.append(nll.sum())
            else:
                values[box] = nll

        def of(box: Box) -> tuple[Tensor, Tensor, Box, Tensor | None, Tensor | None]:
            grad = None if gradient is None else gradient[box]
            up = upstream if upstream is None or upstream.dim() == 0 else upstream[box]
            return self.logits[box], self.target[box], box, grad, up

        most = most_elements(self.logits.device) // 2  # there are three buffers
        for box in blocks(self.logits.shape, 1, most):
            if self.hard and self._may_be_hard(box) and self._of_hard_labels(*of(box), scratch, deliver):
                continue
            shape = self.logits[box].shape
            for part in blocks(shape, 1, max(1, most // 8)):  # of float64
                inner = within(box, part, shape)
                if not (self.soft and self._of_soft_labels(*of(inner), scratch, wide_scratch, deliver)):
                    self._in_parts(inner, most, of, deliver)
        return torch.stack(parts).sum().to(self.dtype) if parts else self.logits.new_zeros(())

    def _in_parts(
        self, box: Box, most: int, of: Callable[[Box], Any], deliver: Callable[[Tensor, Box], None]
    ) -> None:
        shape = self.logits[box].shape
        for part in blocks(shape, 1, max(1, most // 16)):  # there are some fifteen buffers
            inner = within(box, part, shape)
            deliver(self._of_any_labels(*of(inner)), inner)

    def _option(self, name: str, box: Box) -> Tensor | None:
        values = self.broadcast.get(name)
        return values if values is None or values.dim() == 0 else values[box]

    def _may_be_hard(self, box: Box) -> bool:
        """Whether the first label of the block is: of soft ones the passes that look at all are saved."""
        return float(self.target[box][(0,) * self.target.dim()]) in (0, 1)

    def _of_hard_labels(
        self,
        x: Tensor,
        t: Tensor,
        box: Box,
        grad: Tensor | None,
        upstream: Tensor | None,
        scratch: Scratch,
        deliver: Callable[[Tensor, Box], None],
    ) -> bool:
        """Compute the block if every label is 0 or 1 and every logit finite; say whether that is so."""
        largest = max(-float(x.amin()), float(x.amax()))
        if not largest < math.inf or not (upstream is None or is_finite(upstream)):
            return False
        turn, z, exps = scratch.like(x, 0), scratch.like(x, 1), grad
        if exps is None or exps.dtype != self.dtype:
            exps = scratch.like(x, 2)
        if t.dtype != self.dtype:
            t = t.to(self.dtype)
        between = torch.addcmul(t, t, t, value=-1, out=turn)  # t (1 - t)
        if not float(between.amin()) == float(between.amax()) == 0:
            return False
        torch.mul(x, torch.add(self.one, t, alpha=-2, out=turn), out=z)
        most = 80 if self.dtype == torch.float32 else 700
        if largest <= most:
            nll = torch.log1p(exponential(z, out=exps), out=z)
        else:  # whose exponential is too large; the loss is then the logit to the last digit
            exponential(torch.clamp(z, max=most, out=exps), out=exps)
            nll = torch.maximum(exps.log1p(), z, out=z)
        factor = self._factor(t, box)
        deliver(nll if factor is None else nll.mul_(factor), box)
        if grad is not None and upstream is not None:
            torch.div(exps, torch.add(exps, 1, out=z), out=exps).mul_(turn)
            if upstream is not self.one:
                exps.mul_(upstream)
            if factor is not None:
                exps.mul_(factor)
            if exps is not grad:
                grad.copy_(exps)
        return True

    def _of_soft_labels(
        self,
        x: Tensor,
        t: Tensor,
        box: Box,
        grad: Tensor | None,
        upstream: Tensor | None,
        scratch: Scratch,
        wide_scratch: Scratch,
        deliver: Callable[[Tensor, Box], None],
    ) -> bool:
        """Compute the block if float64 has digits to spare for its differences; say whether that is so.

        They are ``relu(x) - x t``, which ``log(1 + exp(-|x|))`` comes on top of, and ``sigmoid(x) - t``.
        """
        low, high = torch.aminmax(x)
        if not -float(low) <= STEEPEST >= float(high) or not (upstream is None or is_finite(upstream)):
            return False
        above = torch.abs(x, out=scratch.like(x)).neg_()
        exponential(above, out=above).log1p_()
        wide, labels, nll = (wide_scratch.like(x, which) for which in range(3))
        wide.copy_(x)
        labels.copy_(t)
        torch.clamp(wide, min=0, out=nll).addcmul_(wide, labels, value=-1).add_(above)
        factor = self._factor(labels, box)
        if factor is not None:
            nll.mul_(factor)
        if not is_finite(nll):
            return False
        deliver(nll, box)
        if grad is not None and upstream is not None:
            slope = wide.sigmoid_().sub_(labels)
            if factor is not None:
                slope.mul_(factor)
            grad.copy_(slope if upstream is self.one else slope.mul_(upstream))
        return True

    def _factor(self, t: Tensor, box: Box) -> Tensor | None:
        """All that multiplies the loss of a hard label, or of a soft one where there is no ``pos_weight``."""
        factors = []
        if (pos_weight := self._option("pos_weight", box)) is not None:
            factors.append((pos_weight.to(self.dtype) - 1) * t + 1)
        if self.focal_alpha is not None:
            factors.append(t.to(self.dtype) * (2 * self.focal_alpha - 1) + (1 - self.focal_alpha))
        for name in ("weight", "sample_weight"):
            if (each := self._option(name, box)) is not None:
                factors.append(each.to(self.dtype))
        if self.mask is not None:
            factors.append(self.mask[box].to(self.dtype))
        return math.prod(factors[1:], start=factors[0]) if factors else None

    def _of_any_labels(
        self, x: Tensor, t: Tensor, box: Box, grad: Tensor | None, upstream: Tensor | None
    ) -> Tensor:
        wide = self.wide
        mask = None if self.mask is None else self.mask[box]
        valid = sigmoid_valid(t, mask=mask, skip_nan_target=self.options.get("skip_nan_target", True))
        given_x, given_t = x, t
        x, t = x.to(wide), t.to(wide)
        sample_weight = self._option("sample_weight", box)
        if sample_weight is not None:
            counts = sample_weight != 0
            valid = counts if valid is None else valid & counts
        if valid is not None:
            x, t = torch.where(valid, x, 0), torch.where(valid, t, 0)
        if self.label_smoothing:
            prior = self._option("prior", box)
            half: Tensor | float = 0.5 if prior is None else prior.to(wide)
            t = t * (1 - self.label_smoothing) + self.label_smoothing * half
        pos_weight = self._option("pos_weight", box)
        negative, positive = 1 - t, t if pos_weight is None else t * pos_weight.to(wide)
        size = x.abs()
        right = x >= 0
        exps = (-size).exp_()
        nll = (negative + positive) * exps.log1p() + size * torch.where(right, negative, positive)
        slope: Tensor | None = None
        if grad is not None:
            if wide == given_x.dtype and wide == torch.float64:
                slope = sigmoid_residual(x, negative, positive)
            else:
                slope = torch.where(right, negative - positive * exps, negative * exps - positive) / (
                    1 + exps
                )
        if not self.looks and self.options.get("torch_nonfinite", False):
            nll, slope = _as_torch(x, t, pos_weight, nll, slope)
        if self.focal_gamma:
            nll, slope = self._focal(t, nll, slope, size, right, exps)
        factor: Tensor | None = None
        if self.focal_alpha is not None:
            factor = t * self.focal_alpha + (1 - t) * (1 - self.focal_alpha)
        for each in (self._option("weight", box), sample_weight):
            if each is not None:
                factor = each.to(wide) if factor is None else factor * each.to(wide)
        if factor is not None:
            nll = nll * factor
            slope = None if slope is None else slope * factor
        if valid is not None:
            nll = torch.where(valid, nll, 0)
        if slope is not None and grad is not None and upstream is not None:
            slope = slope * upstream
            grad.copy_(slope if valid is None else torch.where(valid, slope, 0))
        if self.looks and not is_finite(nll):
            self._ask_reference(given_x, given_t, box, nll, grad, upstream)
        return nll

    def _focal(
        self, t: Tensor, nll: Tensor, slope: Tensor | None, size: Tensor, right: Tensor, exps: Tensor
    ) -> tuple[Tensor, Tensor | None]:
        """The values times the probability of the wrong label to the gamma, and their slope."""
        gamma = self.focal_gamma
        # In units of 1 / (1 + e).
        wrong = torch.where(right, t * exps + (1 - t), t + (1 - t) * exps)
        none = wrong == 0  # a hard label, and the exponential is 0 in this dtype
        factor = torch.where(none, (-gamma * size).exp(), (wrong / (1 + exps)).pow(gamma))
        if slope is not None:
            turn = torch.where(none, 1, exps / wrong) * (1 - 2 * t) / (1 + exps)
            slope = factor * (slope + torch.where(nll.isinf(), 0, gamma * nll * turn))
        return factor * nll, slope

    def _ask_reference(
        self, x: Tensor, t: Tensor, box: Box, nll: Tensor, grad: Tensor | None, upstream: Tensor | None
    ) -> None:
        """Have it compute the elements whose values are not finite."""
        odd = ~nll.isfinite()
        options = {**self.options}
        for name, values in self.broadcast.items():
            boxed = values if values.dim() == 0 else values[box]
            options[name] = boxed.expand(x.shape)[odd]
        if self.mask is not None:
            options["mask"] = self.mask[box][odd]
        elements = x[odd].detach().requires_grad_()
        with torch.enable_grad():
            anew = reference(elements, t[odd], **cast("Any", options))
        nll[odd] = anew.detach().to(nll.dtype)
        if grad is not None and upstream is not None:
            u = upstream.expand(x.shape)[odd].to(anew.dtype)
            (found,) = torch.autograd.grad(anew, elements, u)
            grad[odd] = found.to(grad.dtype)


def _as_torch(
    x: Tensor, t: Tensor, pos_weight: Tensor | None, nll: Tensor, slope: Tensor | None
) -> tuple[Tensor, Tensor | None]:
    """The form of torch in the elements that are not finite."""
    finite = x.isfinite() & t.isfinite()
    weight: Tensor | float = 1.0 if pos_weight is None else 1 + (pos_weight.to(x.dtype) - 1) * t
    nll = torch.where(finite, nll, (1 - t) * x - weight * torch.nn.functional.logsigmoid(x))
    if slope is not None:
        slope = torch.where(finite, slope, (1 - t) - weight * torch.sigmoid(-x))
    return nll, slope


class _NLL(torch.autograd.Function):
    """The values of each element; only the logits are differentiated here."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, target: Tensor, options: SigmoidOptions) -> Tensor:
        save(ctx, logits, target, cast("dict[str, Any]", options))
        call = _Call(logits, target, options)
        values = call.new_values()
        ctx.made = []
        ctx.makes = call.looks and logits.dtype == call.dtype  # a 16-bit slope would be rounded twice
        if ctx.makes:
            slope = torch.empty_like(logits)
            call.run(values, slope, call.one)
            ctx.made.append(slope)
        else:
            call.run(values)
        return values

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        if is_differentiated(upstream) or not (ctx.makes and is_finite(upstream)):
            return _gradient_anew(ctx, upstream), None, None
        try:
            slope: Tensor = ctx.made.pop()  # atomic: of two concurrent backwards one gets it
        except IndexError:
            slope = _gradient_anew(ctx, None)  # to the same bits
        return slope.mul_(upstream), None, None


class _Loss(torch.autograd.Function):
    """The reduced loss, with its gradient made in the forward pass; see `fused.softmax_nll`."""

    @staticmethod
    def forward(
        ctx: Any,
        logits: Tensor,
        target: Tensor,
        options: SigmoidOptions,
        reduction: str,
        divisor: float | None,
    ) -> Tensor:
        save(ctx, logits, target, cast("dict[str, Any]", options))
        call = _Call(logits, target, options)
        scale, count = scale_of(reduction, divisor, call.count, logits)
        ctx.in_place, ctx.made, ctx.scale = False, [], scale
        # float16 would underflow before the loss scale of mixed precision comes from above.
        gradient = None if logits.dtype == torch.float16 else torch.empty_like(logits)
        total = call.run(gradient=gradient, upstream=scale)
        if gradient is not None:
            ctx.made.append(gradient)
        return reduce_values(total, reduction, count=count, normalizer=divisor)

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        gradient = first_gradient(ctx, upstream)
        if gradient is None:
            gradient = _gradient_anew(ctx, upstream * ctx.scale)
        return gradient, None, None, None, None


def _gradient_anew(ctx: Any, upstream: Tensor | None) -> Tensor:
    """The gradient, for upstream gradients that are 1 where there are none."""
    logits, target, options = saved(ctx)
    if upstream is not None and is_differentiated(upstream):
        with torch.enable_grad():
            nll = reference(logits, target, **options)
            grads: tuple[Tensor, ...] = torch.autograd.grad(
                nll if upstream.shape == nll.shape else nll.sum(), logits, upstream, create_graph=True
            )
        return grads[0]
    gradient = torch.empty_like(logits)
    call = _Call(logits, target, cast("SigmoidOptions", options))
    call.run(gradient=gradient, upstream=call.one if upstream is None else upstream)
    return gradient
