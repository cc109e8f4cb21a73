"""What the overlap losses are given, in one form: classes in dimension 1, an image's places in dimension 2.

Which form a target has is told by the task and by its number of dimensions, never by sizes that coincide.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from likelihead.core.sample_weight import (
    check_sample_weight,
    check_sample_weight_values,
    expand_sample_weight,
    without_left_out,
)
from likelihead.errors import DTypeError, OptionError, ShapeError, TargetError
from likelihead.functional.overlap.options import Options
from likelihead.guard.overlap import check_overlap, reads_values
from likelihead.kernels.ops import compute_dtype

__all__ = ["Pixels", "read"]

_INDEX_DTYPES = (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8)


@dataclass(frozen=True)
class Pixels:
    """A batch.

    Attributes:
        input: ``[N, C, S]``; binary: C is 1.
        target: ``[N, S]`` class indices, -1 where missing; or ``[N, C, S]``, finite.
        valid: ``[N, 1 or C, S]`` bool, False where a pixel is missing.
        weight: ``[N, 1 or C, S]`` of the pixels, or None; 0 where one is missing.
        image_weight: ``[N]``, or None.
        link: ``"softmax"``, ``"sigmoid"`` or ``"identity"``.
        dtype: of the result.
        wrong: 0-d bool, where the values could not be looked at: whether one is impossible.
    """

    input: Tensor
    target: Tensor
    valid: Tensor
    weight: Tensor | None
    image_weight: Tensor | None
    link: str
    dtype: torch.dtype
    wrong: Tensor | None

    @property
    def indexed(self) -> bool:
        """Whether the target holds class indices."""
        return self.target.dim() == 2

    def shares(self, num_classes: int) -> Tensor:
        """The target as ``[N, C, S]`` in the dtype of the computation."""
        return one_hot(self.target, num_classes, compute_dtype(self.input.dtype))

    def clean(self) -> Tensor:
        """The input in the dtype of the computation, 0 where a pixel is missing: no NaN or infinity leaks."""
        return clean(self.input, self.valid)


def one_hot(target: Tensor, num_classes: int, dtype: torch.dtype) -> Tensor:
    """Class indices ``[N, S]`` as ``[N, C, S]``; other targets as they are."""
    if target.dim() == 2:
        of_class = torch.arange(num_classes, device=target.device).view(-1, 1)
        target = target.unsqueeze(1) == of_class
    return target.to(dtype)


def clean(input: Tensor, valid: Tensor | None) -> Tensor:
    """See `Pixels.clean`."""
    input = input.to(compute_dtype(input.dtype))
    return input if valid is None else torch.where(valid, input, torch.zeros_like(input))


def read(input: Tensor, target: Tensor, options: Options, *, whole: bool = False) -> Pixels:
    """Check a call and bring it into one form; ``whole`` refuses labels between 0 and 1.

    Raises:
        LikelihoodError: see the losses.
    """
    _check_tensors(input, target, options)
    multiclass = options.task == "multiclass"
    input, target, mask = _shaped(input, target, options)
    num_classes = input.shape[1]
    options.check_weight(input, num_classes)
    places = input.shape[:1] + input.shape[2:]
    sample_weight = check_sample_weight(options.sample_weight, places)

    indexed = target.dim() < input.dim()
    wide = target if target.is_floating_point() else target.long()  # uint8 would wrap a comparison with -100
    if indexed:
        valid = wide != options.ignore_index
        bad = (wide < 0) | (wide >= num_classes)
    else:
        valid = ~wide.isnan() if wide.is_floating_point() else torch.ones_like(wide, dtype=torch.bool)
        if multiclass:
            valid = valid.all(1, keepdim=True).expand_as(wide)
        else:
            valid = valid & (wide != options.ignore_index)
        bad = (wide != 0) & (wide != 1) if whole else (wide < 0) | (wide > 1)
    if mask is not None:
        mask = mask.bool()
        valid = valid & (mask if mask.dim() == valid.dim() else mask.unsqueeze(1))
    if options.weight is not None and not multiclass:
        # A label of weight 0 is left out. (A class cannot be: the others' probabilities depend on it.)
        valid = valid & (options.weight.detach() != 0).view(-1, *[1] * (input.dim() - 2))
    bad = bad & valid
    check_overlap(
        input,
        target,
        from_logits=options.from_logits,
        multiclass=multiclass,
        counts=valid.unsqueeze(1) if indexed else valid,
    )
    if sample_weight is not None:
        counts = expand_sample_weight(sample_weight.detach(), bad if indexed else bad[:, 0]) != 0
        bad = bad & (counts if indexed else counts.unsqueeze(1))
        # What weighs nothing has no say, even as NaN; where finite, its derivative by the weight is kept.
        input = without_left_out(input, _along(sample_weight, input))
    wrong = _look(input, wide, bad, options, "0 or 1" if whole else "0 or 1, or a share in between")

    # What is missing becomes class -1, which no class equals, or a share of 0.
    wide = torch.where(valid, wide, torch.full_like(wide, -1 if indexed else 0))
    if indexed:
        valid = valid.unsqueeze(1)
    elif multiclass:
        valid = valid[:, :1]
    pixel_weight, image_weight = None, None
    if sample_weight is not None:
        sample_weight = sample_weight.to(torch.promote_types(compute_dtype(input.dtype), sample_weight.dtype))
        if sample_weight.dim() == 1 and options.per_image:
            image_weight = sample_weight
        else:
            pixel_weight = _along(sample_weight, input)
            pixel_weight = _flat(torch.where(valid, pixel_weight, torch.zeros_like(pixel_weight)), 2)
    link = "identity" if not options.from_logits else "softmax" if multiclass else "sigmoid"
    return Pixels(
        _flat(input, 2),
        _flat(wide, 1 if indexed else 2),
        _flat(valid, 2),
        pixel_weight,
        image_weight,
        link,
        compute_dtype(input.dtype),
        wrong,
    )


def _flat(tensor: Tensor, start: int) -> Tensor:
    return tensor.flatten(start) if tensor.dim() > start else tensor.unsqueeze(start)


# -- shapes and dtypes -------------------------------------------------------------------------------


def _check_tensors(input: Tensor, target: Tensor, options: Options) -> None:
    for name, value in (("input", input), ("target", target)):
        if not isinstance(value, Tensor):
            raise DTypeError(f"{name} is a {type(value).__name__}; expected a tensor.")
    if not input.is_floating_point():
        raise DTypeError(f"input is {input.dtype}; expected floating-point logits or probabilities.")
    if target.is_complex():
        raise DTypeError(f"target is {target.dtype}; expected class indices, or 0 and 1.", code="LH202")
    if options.mask is not None and (options.mask.is_floating_point() or options.mask.is_complex()):
        raise DTypeError(
            f"mask is {options.mask.dtype}; expected torch.bool, True where a pixel counts. Weights go into "
            "sample_weight."
        )
    others = (target, options.mask, options.sample_weight, options.weight)
    for name, other in zip(("target", "mask", "sample_weight", "weight"), others, strict=True):
        if other is not None and other.device != input.device:
            raise RuntimeError(
                f"Expected all tensors to be on the same device, but input is on {input.device} and {name} "
                f"is on {other.device}."
            )


def _shaped(input: Tensor, target: Tensor, options: Options) -> tuple[Tensor, Tensor, Tensor | None]:
    """Input ``[N, C, ...]``, target of that shape or without C, mask likewise."""
    mask = options.mask
    if options.task == "multiclass":
        _check_multiclass(input, target, options)
    elif options.task == "multilabel":
        if input.dim() < 2:
            raise ShapeError(
                f"input has shape {list(input.shape)}; expected [N, L, ...], a label in dimension 1."
            )
        _same(input, target)
    else:
        given = input.shape
        if input.dim() == 0:
            raise ShapeError("input has no dimension; expected [N, ...] or [N, 1, ...].")
        channel = input.dim() > 1 and input.shape[1] == 1 and target.dim() in (input.dim(), input.dim() - 1)
        if channel and target.dim() == input.dim() - 1:
            target = target.unsqueeze(1)
        _same(input, target)
        if not channel:
            input, target = input.unsqueeze(1), target.unsqueeze(1)
        if mask is not None and not channel and mask.shape == given:
            mask = mask.unsqueeze(1)
    if mask is not None:
        whole, place = input.shape, input.shape[:1] + input.shape[2:]
        allowed = [place] if options.task == "multiclass" else [whole, place]
        if mask.shape not in allowed:
            raise ShapeError(
                f"mask has shape {list(mask.shape)}; expected "
                + " or ".join(str(list(shape)) for shape in allowed)
                + ", True where a pixel counts."
            )
    return input, target, mask


def _check_multiclass(input: Tensor, target: Tensor, options: Options) -> None:
    if input.dim() < 2:
        raise ShapeError(
            f"input has shape {list(input.shape)}; expected [N, C, ...], with the classes in dimension 1."
        )
    places = input.shape[:1] + input.shape[2:]
    if input.shape[1] < 2:
        raise ShapeError(
            f"input {list(input.shape)} has {input.shape[1]} classes in dimension 1, and a softmax of one is "
            "always 1; use task='binary' for one logit, or give two classes.",
            code="LH303",
        )
    if target.dim() == input.dim():
        if target.shape == input.shape:
            if options.ignore_index != -100:
                raise OptionError(
                    f"ignore_index={options.ignore_index} is for class indices, but the target has the "
                    f"input's shape {list(target.shape)}; mark missing pixels by NaN or mask=, or pass "
                    "class indices."
                )
            return
        fits = target.shape[1] == 1 and target.shape[:1] + target.shape[2:] == places
        remedy = "Use target.squeeze(1)." if fits else "Give class indices, or one number for each class."
    elif target.shape == places:
        if target.dtype not in _INDEX_DTYPES:
            raise DTypeError(
                f"target is {target.dtype}; class indices are whole numbers. Use target.long() on values "
                "that are still exact.",
                code="LH202",
            )
        return
    else:
        last = target.shape == input.shape[:-1]
        remedy = (
            "The classes seem to come last: use input.movedim(-1, 1)."
            if last
            else "The classes are in dimension 1 of the input."
        )
    raise ShapeError(
        f"target has shape {list(target.shape)}; for input {list(input.shape)} expected class indices "
        f"{list(places)} or a share for each class {list(input.shape)}. {remedy}",
        code="LH301" if target.dim() < input.dim() and target.shape == input.shape[:-1] else None,
    )


def _same(input: Tensor, target: Tensor) -> None:
    if input.shape != target.shape:
        raise ShapeError(
            f"input has shape {list(input.shape)} and target {list(target.shape)}; expected the same shape, "
            "with no broadcasting. A class index for each pixel goes with task='multiclass'.",
            code="LH302",
        )


def _along(sample_weight: Tensor, input: Tensor) -> Tensor:
    """The weights of images or pixels beside an input with classes in dimension 1."""
    sizes = sample_weight.shape
    trailing = [1] * (input.dim() - 1 - len(sizes))
    return sample_weight.reshape(sizes[0], 1, *sizes[1:], *trailing)


# -- values ------------------------------------------------------------------------------------------


def _look(input: Tensor, target: Tensor, bad: Tensor, options: Options, wanted: str) -> Tensor | None:
    """Raise for an impossible target or weight; where the values may not be waited for, say if there is one.

    The loss is NaN then, which nobody takes for a loss.
    """
    weight = options.sample_weight
    if not reads_values(input):
        wrong = bad.any()
        if weight is None:
            return wrong
        return wrong | (~torch.isfinite(weight.detach()) | (weight.detach() < 0)).any()
    options.check_weight_values()
    check_sample_weight_values(weight)
    if bool(bad.any()):
        at = _position(bad)
        many = int(bad.sum())
        more = "" if many == 1 else f", the first of {many} such values"
        seen = f"target is {_value(target, at)} at {list(at)}{more}"
        if target.dim() < input.dim():
            raise TargetError(
                f"{seen}; expected a class index in [0, {input.shape[1]}) or "
                f"ignore_index={options.ignore_index}.",
                code="LH203",
            )
        raise TargetError(
            f"{seen}; expected {wanted}. Divide an 8-bit mask by 255; mark missing pixels by NaN, mask= "
            "or ignore_index=.",
            code="LH207",
        )
    return None


def _position(bad: Tensor) -> tuple[int, ...]:
    return tuple(int(i) for i in bad.nonzero()[0])


def _value(values: Tensor, at: tuple[int, ...]) -> object:
    return values.detach()[at].item()


def counted(pixels: Pixels, per_image: bool) -> Tensor:
    """``[G, C]``: whether any pixel of this class, in the image or the batch, is not missing."""
    there = (pixels.valid if pixels.weight is None else pixels.weight.detach() != 0).any(2)
    there = there if per_image else there.any(0, keepdim=True)
    return there.expand(there.shape[0], pixels.input.shape[1])
