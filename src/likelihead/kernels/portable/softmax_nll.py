r"""Categorical negative log-likelihood by torch's operators, fused by hand: block after block of examples.

A block fits in the caches, so that the five passes over it (largest logit, difference, exponential, sum,
scale) cost one trip through memory, and the buffer of its exponentials ends as its gradient. As in the
reference, the target's exponential stays out of the sum.

The logits are reduced not by their maximum but by a whole number, and by none while the maximum is between 0
and 64: then no difference is rounded before it is exponentiated, where at a difference of 60 that rounding
would be 32 units of the last place. What is left of it are classes of probability below exp(-64).

Calls that are not of plain tensors or differentiated otherwise, and on a processor the examples in which
something is not finite, are the reference's.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor

from likelihead.core import overwritten
from likelihead.core.reduction import Normalizer
from likelihead.core.reduction import reduce as reduce_values
from likelihead.errors import OptionError
from likelihead.kernels.fused.calls import index_error_at
from likelihead.kernels.fused.softmax_nll import IN_PLACE_ONCE, NOT_IN_PLACE, by_name, check_in_place
from likelihead.kernels.ops import (
    SoftmaxOptions,
    along_classes,
    compute_dtype,
    reduce_softmax_nll,
    shared,
    softmax_count,
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
)
from likelihead.kernels.portable.exponential import exponential
from likelihead.kernels.reference.softmax_nll import softmax_nll as reference

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["softmax_loss", "softmax_nll", "softmax_of_chunk", "softmax_of_chunk_"]

Rows = Tensor | float
"""A number for each example of a block, with a dimension for the classes; or one for all."""


def softmax_nll(logits: Tensor, target: Tensor, **options: Unpack[SoftmaxOptions]) -> tuple[Tensor, Tensor]:
    """See `likelihead.kernels.ops.SoftmaxNLL`.

    Raises:
        IndexError: a class index out of range, on the CPU. Elsewhere its loss is NaN.
    """
    if not _served(logits, target, options):
        return reference(logits, target, **options)
    if looks(logits.device) and options.get("torch_nonfinite", False):  # whose lse is of the ignored as well
        nll = small.softmax_values(logits, target, "none", cast("dict[str, Any]", options))
        if nll is not None:
            return nll, torch.logsumexp(logits.double(), 1).float()
    if logits.requires_grad and torch.is_grad_enabled():
        found: tuple[Tensor, Tensor] = _NLL.apply(logits, target, options)  # type: ignore[no-untyped-call]
        return found
    return _Call(logits, target, options).run()


def softmax_loss(
    logits: Tensor,
    target: Tensor,
    *,
    reduction: str = "mean",
    normalizer: Normalizer | None = None,
    inplace_backward: bool = False,
    **options: Unpack[SoftmaxOptions],
) -> Tensor:
    """See `likelihead.kernels.ops.SoftmaxLoss`."""
    inplace_backward = overwritten.will_overwrite(inplace_backward, logits)
    if not _served(logits, target, options):
        if inplace_backward:
            raise OptionError(NOT_IN_PLACE)
        nll, _ = reference(logits, target, **options)
        return reduce_softmax_nll(nll, logits, target, reduction=reduction, normalizer=normalizer, **options)
    if isinstance(normalizer, Tensor):
        # Not read, which might wait for it and would lose its graph: the gradient of the sum is scaled later.
        total = softmax_loss(logits, target, reduction="sum", inplace_backward=inplace_backward, **options)
        return reduce_values(total, reduction, normalizer=normalizer)
    if looks(logits.device) and not inplace_backward:
        how = reduction if normalizer is None else "sum"
        loss = small.softmax_values(logits, target, how, cast("dict[str, Any]", options))
        if loss is not None:
            return loss if normalizer is None else reduce_values(loss, reduction, normalizer=normalizer)
    if inplace_backward:
        check_in_place(logits)
        inplace_backward = overwritten.is_alone(logits)
    if logits.requires_grad and torch.is_grad_enabled():
        keeps = (
            not inplace_backward and not looks(logits.device) and logits.dtype == compute_dtype(logits.dtype)
        )
        if not keeps:
            fused: Tensor = _Loss.apply(  # type: ignore[no-untyped-call]
                logits, target, options, reduction, normalizer, inplace_backward
            )
            return fused
    nll, _ = softmax_nll(logits, target, **options)
    return reduce_softmax_nll(nll, logits, target, reduction=reduction, normalizer=normalizer, **options)


def softmax_of_chunk(logits: Tensor, target: Tensor, *options: Any) -> tuple[Tensor, Tensor]:
    """The values of logits that nobody differentiates; the options in the order of the ops."""
    return _Call(logits, target, by_name(options)).run()


def softmax_of_chunk_(
    grad_nll: Tensor | None,
    grad_lse: Tensor | None,
    scale: float,
    logits: Tensor,
    target: Tensor,
    *options: Any,
) -> tuple[Tensor, Tensor]:
    """The values, and over the logits their gradient, for upstream gradients of each or one for all."""
    upstream = (
        logits.new_zeros((), dtype=compute_dtype(logits.dtype)) if grad_nll is None else grad_nll * scale
    )
    return _Call(logits, target, by_name(options)).run(logits, upstream, grad_lse)


def _served(logits: Tensor, target: Tensor, options: SoftmaxOptions) -> bool:
    differentiable = [options.get("weight"), options.get("logit_offset"), options.get("sample_weight")]
    return served(logits, target, cast("dict[str, Any]", options), differentiable)


class _Call:
    """The arguments of one call, as each of its blocks takes them."""

    def __init__(self, logits: Tensor, target: Tensor, options: SoftmaxOptions) -> None:
        self.logits, self.given, self.options = logits, target, options
        self.dtype = compute_dtype(logits.dtype)
        self.looks = looks(logits.device)
        self.label_smoothing = options.get("label_smoothing", 0.0)
        self.z_loss = options.get("z_loss", 0.0)
        self.focal_gamma = options.get("focal_gamma", 0.0)
        self.softcap = options.get("softcap")
        self.where = options.get("where")
        self.transformed = not (
            self.softcap is None and self.where is None and options.get("logit_offset") is None
        )
        self.weight = self._per_class(options.get("weight"))
        self.logit_offset = self._per_class(options.get("logit_offset"))
        shape = (logits.shape[0], *logits.shape[2:])
        self.sample_weight = weight_of_each(options.get("sample_weight"), shape, logits, self.dtype)
        self.kept: Tensor | None = None
        self.outside: Tensor | None = None
        self.index: Tensor | None = None
        if not target.is_floating_point():
            self.index = self._checked(target.long())  # first: in uint8 a class 156 would equal -100

    def _per_class(self, values: Tensor | None) -> Tensor | None:
        return None if values is None else along_classes(values.to(self.dtype), self.logits)

    def _checked(self, index: Tensor) -> Tensor:
        """Class indices that are all in range; sets `kept` and `outside` where that took a replacement."""
        ignored, classes = self.options.get("ignore_index", -100), self.logits.shape[1]
        if self.looks:
            low, high = torch.aminmax(index)
            if int(low) >= 0 and int(high) < classes and not 0 <= ignored < classes:
                return index
        self.kept = index != ignored
        index = torch.where(self.kept, index, 0)
        outside = (index < 0) | (index >= classes)
        if not self.looks:
            self.outside = outside
            return index.clamp_(0, classes - 1)
        if outside.any():
            at = int(outside.flatten().int().argmax())
            raise index_error_at(int(index.flatten()[at]), at, index.shape, classes, ignored)
        return index

    def count(self) -> Tensor | int:
        """What a mean divides by."""
        if (
            self.index is not None
            and self.kept is None
            and self.weight is None
            and self.sample_weight is None
        ):
            return self.index.numel()
        weight = None if self.weight is None else self.weight.flatten()
        return softmax_count(
            self.given,
            self.logits.shape[1],
            weight=weight,
            ignore_index=self.options.get("ignore_index", -100),
            sample_weight=self.options.get("sample_weight"),
        )

    def run(
        self,
        gradient: Tensor | None = None,
        upstream: Tensor | None = None,
        upstream_lse: Tensor | None = None,
        keep: list[_Block] | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Return the values; write the gradient, for upstream gradients of each example or one for all.

        The gradient may take the place of the logits. With ``keep`` its memory is left with the exponentials,
        and the blocks that turn them into the gradient are appended.
        """
        x = self.logits
        shape = (x.shape[0], *x.shape[2:])
        nll = torch.empty(shape, dtype=self.dtype, device=x.device)
        lse = torch.empty_like(nll)
        direct = gradient is not None and gradient.dtype == self.dtype and gradient.data_ptr() != x.data_ptr()
        scratch = Scratch(x, self.dtype)
        for box in blocks(shape, x.shape[1], most_elements(x.device)):
            inside = _inside(box)
            buffer = gradient[inside] if gradient is not None and direct else scratch.like(x[inside])
            block = _Block(self, box, buffer, scratch)
            nll[box] = block.nll.squeeze(1)
            lse[box] = block.lse.squeeze(1)
            if keep is not None:
                del block.scratch
                keep.append(block)
            elif gradient is not None:
                block.gradient_(_rows(upstream, box), _rows(upstream_lse, box))
                if not direct:
                    gradient[inside] = buffer
        return nll, lse


def _inside(box: Box) -> Box:
    """The box with all the classes."""
    return (box[0], slice(None), *box[1:])


def _rows(upstream: Tensor | None, box: Box) -> Tensor | None:
    return upstream if upstream is None or upstream.dim() == 0 else upstream[box].unsqueeze(1)


class _Block:
    """Some examples: their values, and their exponentials in the buffer that becomes their gradient."""

    def __init__(self, call: _Call, box: Box, buffer: Tensor, scratch: Scratch) -> None:
        self.call, self.box, self.buffer, self.scratch = call, box, buffer, scratch
        self.own: Tensor | None = None
        self.index: Tensor | None = None
        self.odd: Tensor | None = None
        self.slope: Tensor | None = None
        self.where = None if call.where is None else call.where[_inside(box)]
        self.lowered = False
        x = call.logits[_inside(box)]
        z = self._transformed(x)
        self.top = z.amax(1, keepdim=True)
        # Towards 0, but not over it: a whole number takes no digit from a logit that is larger.
        whole = self.top.floor()
        self.shift = whole - whole.clamp(0, 64 if buffer.dtype == torch.float32 else 512)
        self.sample_weight = None if call.sample_weight is None else call.sample_weight[box].unsqueeze(1)
        if call.index is None:
            self._probabilities(z)
        else:
            self._indices(z, call.index[box].unsqueeze(1))
        if call.looks and not self.finite:
            self._ask_reference()

    def _transformed(self, x: Tensor) -> Tensor:
        call, buffer = self.call, self.buffer
        if x.dtype == buffer.dtype and not call.transformed:
            return x
        z = buffer.copy_(x)
        if call.softcap is not None:
            z.div_(call.softcap).tanh_()
            self.slope = torch.addcmul(z.new_ones(()), z, z, value=-1)
            z.mul_(call.softcap)
        if call.logit_offset is not None:
            z.add_(call.logit_offset)
        if self.where is not None:
            self._hide(z, self.where)
        return z

    def _hide(self, z: Tensor, where: Tensor) -> None:
        """Write minus infinity to the classes that cannot be.

        Where each example has a class that can be, its target above all, the lowest number that there is does
        as well. It is added, without the branches that `torch.where` takes for each element.
        """
        call = self.call
        if call.looks and call.index is not None and float(z.amax()) < 1e30:
            can_be = where.gather(1, call.index[self.box].unsqueeze(1))
            if call.kept is not None:
                can_be |= where.any(1, keepdim=True) & ~call.kept[self.box].unsqueeze(1)
            self.lowered = bool(can_be.all())
        if self.lowered:
            z.add_(~where, alpha=torch.finfo(z.dtype).min)
        else:
            torch.where(where, z, z.new_full((), -math.inf), out=z)

    def _exponentials(self, z: Tensor) -> None:
        shifted = z
        if not self.call.looks or self.shift.any():
            shifted = torch.sub(z, self.shift, out=self.buffer)
        exponential(shifted, out=self.buffer)

    def _indices(self, z: Tensor, index: Tensor) -> None:
        call = self.call
        gap = self._gap(z, call.weight) if call.label_smoothing else None
        reduced = z.gather(1, index) - self.shift  # of the target
        self._exponentials(z)
        self.own = own = reduced.exp()
        self.index, self.rest = index, self.buffer.scatter_(1, index, 0).sum(1, keepdim=True)
        self.total = self.rest + own
        log_total = self.total.log()
        self.lse = self.shift + log_total
        ratio = self.rest / own
        # Where the target's exponential has underflown there is nothing left for the difference to cancel.
        nll = torch.where(ratio < 1e30, ratio.log1p(), log_total - reduced)
        self.share: Rows = 1 - call.label_smoothing  # of the target, with all that multiplies its gap to lse
        if call.focal_gamma:
            factor, slope = _focal(self.rest / self.total, own / self.total, nll, call.focal_gamma)
            nll, self.share = factor * nll, slope * self.share
        if call.weight is not None:
            weight = call.weight.flatten()[index]
            times = torch.mul if call.options.get("torch_nonfinite", False) else shared
            nll, self.share = times(weight, nll), weight * self.share
        self.spread: Rows = 0.0  # of every class, times its weight
        self.mass: Rows = 0.0
        if gap is not None:
            classes, weights = self._allowed()
            self.spread = call.label_smoothing / classes
            self.mass = self.spread * weights
            nll = (1 - call.label_smoothing) * nll + self.spread * (gap + weights * self._above())
        self._finish(nll)

    def _probabilities(self, z: Tensor) -> None:
        call = self.call
        q = call.given[_inside(self.box)].to(self.buffer.dtype)
        if call.label_smoothing:
            classes, _ = self._allowed()
            each = torch.as_tensor(call.label_smoothing / classes, dtype=q.dtype, device=q.device)
            if self.where is not None:
                each = torch.where(self.where, each, 0)
            q = q * (1 - call.label_smoothing) + each
        if call.weight is not None:
            q = q * call.weight
        self.q, self.mass = q, q.sum(1, keepdim=True)
        gap = self._gap(z, q)
        self._exponentials(z)
        self.total = self.buffer.sum(1, keepdim=True)
        self.lse = self.shift + self.total.log()
        self._finish(gap + self.mass * self._above())

    def _allowed(self) -> tuple[Rows, Rows]:
        """How many classes an example can have, and the sum of their weights."""
        call = self.call
        if self.where is None:
            classes = call.logits.shape[1]
            return float(classes), float(classes) if call.weight is None else call.weight.sum()
        counted = self.where.sum(1, keepdim=True).to(self.buffer.dtype)
        if call.weight is None:
            return counted, counted
        return counted, (self.where * call.weight).sum(1, keepdim=True)

    def _gap(self, z: Tensor, shares: Tensor | None) -> Tensor:
        """How far the classes are below the largest, summed with their shares.

        A share of 0 takes nothing of an infinite gap, unless as in torch; nor of a class that cannot be.
        """
        call = self.call
        below = torch.sub(self.top, z, out=self.scratch.like(z, 1))
        if self.where is not None:
            if self.lowered:
                below.mul_(self.where)
            else:
                counts = (
                    self.where if call.index is not None or shares is None else self.where | (shares != 0)
                )
                torch.where(counts, below, below.new_zeros(()), out=below)
        if shares is None:
            return below.sum(1, keepdim=True)
        careful = not call.options.get("torch_nonfinite", False)
        if careful and not call.looks:
            torch.where(shares == 0, below.new_zeros(()), below, out=below)
        gap = below.mul_(shares).sum(1, keepdim=True)
        if careful and call.looks and not is_finite(gap):
            gap = torch.where(shares == 0, 0, below).sum(1, keepdim=True)  # 0 times infinity is NaN there
        return gap

    def _above(self) -> Tensor:
        """How far logsumexp is above the largest logit, accurate also where that is nearly all of it."""
        ratio = self.total / (self.top - self.shift).exp()
        if not self.call.looks:
            return torch.where(ratio > 1.5, ratio.log(), _log_of_total(self.buffer, self.own))
        above, close = ratio.log(), (ratio <= 1.5).squeeze(1)
        if close.any():
            exps, own = (None if t is None else t.movedim(1, -1)[close] for t in (self.buffer, self.own))
            above.movedim(1, -1)[close] = _log_of_total(cast("Tensor", exps), own)
        return above

    def _finish(self, nll: Tensor) -> None:
        """What comes on top of the targets' terms, and who is left out."""
        call = self.call
        self.finite = not call.looks or is_finite(nll)  # which it is not where lse is not
        if call.z_loss:
            nll = nll + call.z_loss * self.lse.square()
        if self.sample_weight is not None:
            nll = torch.where(self.sample_weight == 0, 0, nll * self.sample_weight)
        if call.kept is not None:
            nll = torch.where(call.kept[self.box].unsqueeze(1), nll, 0)
        if call.outside is not None:
            nll = torch.where(call.outside[self.box].unsqueeze(1), math.nan, nll)
        self.nll = nll

    def gradient_(self, upstream: Tensor | None, upstream_lse: Tensor | None) -> None:
        """Turn the exponentials into the gradient, for upstream gradients of the values (None: 0)."""
        call, buffer = self.call, self.buffer
        each = self._counted(upstream)
        # Of what multiplies p there is the target's part, where p - 1 is -rest / total, and all else.
        terms = [each * self.mass] if self.index is None or call.label_smoothing else []
        if call.z_loss:
            terms.append(each * (2 * call.z_loss) * self.lse)
        if upstream_lse is not None:
            terms.append(self._of_counted(upstream_lse))
        more = sum(terms[1:], start=terms[0]) if terms else None
        if self.index is not None:
            terms.append(each * self.share)
        factor = sum(terms[1:], start=terms[0]) / self.total
        buffer.mul_(factor)
        if self.index is None:
            buffer.addcmul_(self.q, each.expand(self.top.shape), value=-1)
        else:
            own = -self.rest * factor
            if more is not None:
                own = more + own
            if call.label_smoothing:
                spread = (each * self.spread).expand(self.top.shape)
                if call.weight is None:
                    buffer.sub_(spread)
                    own = own - spread
                else:
                    buffer.addcmul_(call.weight, spread, value=-1)
                    own = own - spread * call.weight.flatten()[self.index]
            buffer.scatter_(1, self.index, own.expand(self.top.shape))
        self._leave_out()
        if self.slope is not None:
            buffer.mul_(self.slope)
        if self.where is not None:
            if not (self.lowered and is_finite(factor)):
                torch.where(self.where, buffer, buffer.new_zeros(()), out=buffer)
            elif call.label_smoothing:  # otherwise it is 0 there as it is
                buffer.mul_(self.where)
        if self.odd is not None:
            self._write_odd(upstream, upstream_lse)

    def _counted(self, upstream: Tensor | None) -> Tensor:
        """The upstream gradients times the weights of the examples; 0 for those left out."""
        call = self.call
        if upstream is None:
            return self.top.new_zeros(())
        each = upstream.to(self.top.dtype)
        if self.sample_weight is not None:
            each = torch.where(self.sample_weight == 0, 0, each * self.sample_weight)
        return each if call.kept is None else torch.where(call.kept[self.box].unsqueeze(1), each, 0)

    def _of_counted(self, upstream_lse: Tensor) -> Tensor:
        """An example that is left out has no gradient at all; an ignored one has in torch."""
        call = self.call
        if self.sample_weight is not None:
            upstream_lse = torch.where(self.sample_weight == 0, 0, upstream_lse)
        if call.kept is not None and not call.options.get("torch_nonfinite", False):
            upstream_lse = torch.where(call.kept[self.box].unsqueeze(1), upstream_lse, 0)
        return upstream_lse

    def _leave_out(self) -> None:
        """Whatever an example holds that is left out, its gradient is 0, unless as in torch."""
        call, buffer = self.call, self.buffer
        nothing = buffer.new_zeros(())
        if self.sample_weight is not None:  # its shares may be infinite where all else is finite
            torch.where(self.sample_weight == 0, nothing, buffer, out=buffer)
        if call.looks:
            return  # the reference sees to the rest
        if call.kept is not None and not call.options.get("torch_nonfinite", False):
            torch.where(call.kept[self.box].unsqueeze(1), buffer, nothing, out=buffer)

    def _ask_reference(self) -> None:
        """Have it compute the examples whose values are not finite; `_write_odd` their gradients."""
        call = self.call
        odd = ~(self.nll.isfinite() & self.lse.isfinite()).squeeze(1)

        def of_odd(values: Tensor, *, classes: bool) -> Tensor:
            return values[_inside(self.box)].movedim(1, -1)[odd] if classes else values[self.box][odd]

        options: dict[str, Any] = {**call.options}
        if call.where is not None:
            options["where"] = of_odd(call.where, classes=True)
        if call.sample_weight is not None:
            options["sample_weight"] = of_odd(call.sample_weight, classes=False)
        rows = of_odd(call.logits, classes=True).detach().requires_grad_()
        with torch.enable_grad():
            found = reference(rows, of_odd(call.given, classes=call.index is None), **options)
        self.odd, self.odd_rows, self.odd_values = odd, rows, found
        for values, replaced in zip((self.nll, self.lse), found, strict=True):
            values.squeeze(1)[odd] = replaced.detach()

    def _write_odd(self, upstream: Tensor | None, upstream_lse: Tensor | None) -> None:
        given = zip(self.odd_values, (upstream, upstream_lse), strict=True)
        known = [
            (values, u.expand(self.top.shape).squeeze(1)[self.odd].to(values.dtype))
            for values, u in given
            if u is not None
        ]
        (gradient,) = torch.autograd.grad([v for v, _ in known], self.odd_rows, [u for _, u in known])
        self.buffer.movedim(1, -1)[self.odd] = gradient.to(self.buffer.dtype)


def _log_of_total(exps: Tensor, own: Tensor | None) -> Tensor:
    """The log of the sum of all, in units of the largest, where that is more than a half of it."""
    largest = exps.amax(1, keepdim=True)  # as it was rounded in the sum
    if own is not None:
        largest = torch.maximum(largest, own)
    # There is only one that large; it stays out of the sum.
    others = torch.where(exps < largest, exps, 0).sum(1, keepdim=True)
    if own is not None:
        others = others + torch.where(own < largest, own, 0)
    return (others / largest).log1p()


def _focal(wrong: Tensor, right: Tensor, nll: Tensor, gamma: float) -> tuple[Tensor, Tensor]:
    """``(1 - p) ** gamma``, and the slope of its product with the nll in units of the slope of the nll."""
    factor = wrong.pow(gamma)
    slope = factor * (1 + gamma * (nll * right / wrong))
    slope = torch.where(wrong == 0, 0, slope)
    return factor, torch.where(nll.isinf(), factor, slope)  # of an infinite loss only its own slope is left


class _NLL(torch.autograd.Function):
    """The values of each example; only the logits are differentiated here."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, target: Tensor, options: SoftmaxOptions) -> tuple[Tensor, Tensor]:
        save(ctx, logits, target, cast("dict[str, Any]", options))
        ctx.set_materialize_grads(False)
        call = _Call(logits, target, options)
        ctx.kept = []
        if logits.dtype != call.dtype:
            return call.run()
        # The exponentials are kept for the backward, in the memory of the gradient.
        gradient, kept = torch.empty_like(logits), list[_Block]()
        if call.looks:
            if call.index is None or call.transformed or logits.shape[1] < 16:
                return call.run()  # more would be kept than torch keeps
            values = call.run(gradient, keep=kept)
        else:
            everything = (slice(None),) * (logits.dim() - 1)
            block = _Block(call, everything, gradient, Scratch(logits, call.dtype))
            kept.append(block)
            values = block.nll.squeeze(1), block.lse.squeeze(1)
        ctx.kept.append((gradient, kept))
        return values

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor | None) -> tuple[Tensor | None, ...]:
        if all(u is None for u in upstream):
            return None, None, None
        if is_differentiated(*upstream):
            return _by_reference(ctx, upstream), None, None
        try:
            gradient, kept = ctx.kept.pop()  # atomic: of two concurrent backwards one gets it
        except IndexError:
            call = _saved_call(ctx)
            gradient = torch.empty_like(call.logits)
            call.run(gradient, upstream[0], upstream[1])
            return gradient, None, None
        for block in kept:
            block.gradient_(*(_rows(u, block.box) for u in upstream))
        return gradient, None, None


class _Loss(torch.autograd.Function):
    """The reduced loss, with its gradient made in the forward pass; see `fused.softmax_nll`."""

    @staticmethod
    def forward(
        ctx: Any,
        logits: Tensor,
        target: Tensor,
        options: SoftmaxOptions,
        reduction: str,
        divisor: float | None,
        in_place: bool,
    ) -> Tensor:
        ctx.in_place, ctx.reduction, ctx.made = in_place, (reduction, divisor), []
        if not in_place:
            save(ctx, logits, target, cast("dict[str, Any]", options))
        call = _Call(logits, target, options)
        scale, count = scale_of(reduction, divisor, call.count, call.logits)
        gradient: Tensor | None = None
        if in_place:
            call.logits = gradient = overwritten.give_up(logits)
        elif logits.dtype != torch.float16:
            # float16 would underflow before the loss scale of mixed precision comes from above.
            gradient = torch.empty_like(logits)
        nll, _ = call.run(gradient, scale)
        if gradient is not None:
            ctx.made.append(gradient)
        return reduce_values(nll, reduction, count=count, normalizer=divisor)

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        gradient = first_gradient(ctx, upstream)
        if gradient is None:
            gradient = _gradient_anew(ctx, upstream)
        return gradient, None, None, None, None, None


def _saved_call(ctx: Any) -> _Call:
    logits, target, options = saved(ctx)
    return _Call(logits, target, cast("SoftmaxOptions", options))


def _gradient_anew(ctx: Any, upstream: Tensor) -> Tensor:
    if ctx.in_place:
        raise RuntimeError(IN_PLACE_ONCE)
    reduction, divisor = ctx.reduction
    call = _saved_call(ctx)
    scale, _ = scale_of(reduction, divisor, call.count, call.logits)
    if is_differentiated(upstream):
        return _by_reference(ctx, (upstream * scale, None), reduced=True)
    gradient = torch.empty_like(call.logits)
    call.run(gradient, upstream * scale)
    return gradient


def _by_reference(ctx: Any, upstream: tuple[Tensor | None, ...], *, reduced: bool = False) -> Tensor:
    """The gradient by autograd, which may be differentiated again."""
    logits, target, options = saved(ctx)
    with torch.enable_grad():
        nll, lse = reference(logits, target, **options)
        values = nll.sum() if reduced else nll
        known = [(v, u) for v, u in zip((values, lse), upstream, strict=True) if u is not None]
        grads: tuple[Tensor, ...] = torch.autograd.grad(
            [v for v, _ in known], logits, [u for _, u in known], create_graph=True
        )
    return grads[0]
