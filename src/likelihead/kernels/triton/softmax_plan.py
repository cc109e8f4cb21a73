"""Which kernels a categorical loss launches: the layout of its tensors, tiles, and the launches in order."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from likelihead.kernels.triton import flags
from likelihead.kernels.triton.launch import Device, Launch
from likelihead.kernels.triton.softmax_count import plan_close, plan_count
from likelihead.kernels.triton.softmax_resident import softmax_resident
from likelihead.kernels.triton.sums import partial_sums

__all__ = ["Options", "Outputs", "Upstream", "plan"]

_UNIT = 16  # what Triton makes use of, in elements


@dataclass(frozen=True)
class Options:
    """The options of the op, in the order of its schema."""

    weight: Tensor | None
    label_smoothing: float
    ignore_index: int
    z_loss: float
    softcap: float
    logit_offset: Tensor | None
    torch_nonfinite: bool
    where: Tensor | None
    focal_gamma: float
    sample_weight: Tensor | None


@dataclass(frozen=True)
class Outputs:
    """What a call is to write. ``loss`` is the sum of the values over the divisor."""

    nll: Tensor | None = None
    lse: Tensor | None = None
    grad: Tensor | None = None
    loss: Tensor | None = None


@dataclass(frozen=True)
class Upstream:
    """What the gradient is multiplied by.

    Attributes:
        nll, lse: one number, or one per example; None for ones and for nothing.
        scale: beside that.
        mean: divided by the count of the targets.
        whole: of a reduced loss whose gradient for 1 is there already: for 1 nothing is done.
    """

    nll: Tensor | None = None
    lse: Tensor | None = None
    scale: float = 1.0
    mean: bool = False
    whole: Tensor | None = None


@dataclass(frozen=True)
class Layout:
    """Examples in up to three dimensions, merged where every tensor allows it, and the tensors' strides.

    ``strides`` hold outer, middle, inner and class of the logits, probabilities, gradient and class mask.
    """

    outer: int
    middle: int
    inner: int
    classes: int
    strides: tuple[tuple[int, int, int, int], ...]

    def rows(self, tensor: int) -> bool:
        """Whether it is the classes that lie side by side."""
        by_example, by_class = self.strides[tensor][2:]
        return by_class == 1 and (self.classes > 1 or by_example != 1)

    def unit(self, tensor: int) -> int:
        """What divides the strides, but for that of 1."""
        outer, middle, inner, by_class = self.strides[tensor]
        if self.rows(tensor):
            return math.gcd(_UNIT, outer, middle, inner)
        return math.gcd(_UNIT, outer, middle, by_class) if inner == 1 else 1

    def extent(self, examples: int) -> int:
        """The farthest place from the first of so many examples."""
        return max((examples - 1) * s[2] + (self.classes - 1) * s[3] for s in self.strides)


def layout_of(tensors: Sequence[Tensor | None]) -> Layout | None:
    """How the tensors lie, of one shape; None where their examples do not merge into three dimensions."""
    shape = next(t.shape for t in tensors if t is not None)
    dims: list[tuple[int, tuple[int, ...]]] = []
    for d in range(len(shape)):
        if d == 1 or shape[d] == 1:
            continue
        strides = tuple(0 if t is None else t.stride(d) for t in tensors)
        if dims and all(a == b * shape[d] for a, b in zip(dims[-1][1], strides, strict=True)):
            dims[-1] = (dims[-1][0] * shape[d], strides)
        else:
            dims.append((shape[d], strides))
    if len(dims) > 3:
        return None
    nothing = (1, (0,) * len(tensors))
    (outer, o), (middle, m), (inner, i) = [nothing] * (3 - len(dims)) + dims
    by_class = [0 if t is None else t.stride(1) if shape[1] > 1 else 1 for t in tensors]
    return Layout(outer, middle, inner, shape[1], tuple(zip(o, m, i, by_class, strict=True)))


@dataclass(frozen=True)
class Tile:
    examples: int
    classes: int
    num_warps: int


def _power_of_2(n: int) -> int:
    return 1 << max(n - 1, 0).bit_length()


def tile_of(layout: Layout, itemsize: int) -> Tile:
    """A tile whose classes are all of an example's: some 16 to 32 logits for each thread."""
    classes = _power_of_2(layout.classes)
    if layout.rows(0):
        examples = max(1, 4096 // classes)
    else:
        vector = max(1, 16 // itemsize)
        examples = max(32, min(32 * vector, 16384 // classes), 2048 // classes)
    examples = min(examples, _power_of_2(layout.inner))
    per_warp = 32 * (32 if itemsize < 8 else 16)
    warps = max(1, min(32, examples * classes // per_warp))
    if classes < 1024 and examples * classes >= 1024:
        warps = max(warps, 4)
    return Tile(examples, classes, warps)


def plan(
    logits: Tensor, target: Tensor, options: Options, outputs: Outputs, upstream: Upstream, device: Device
) -> list[Launch]:
    """The launches of one call, in order."""
    soft = target.is_floating_point()
    examples = math.prod((logits.shape[0], *logits.shape[2:]))
    classes = logits.shape[1]
    layout = layout_of((logits, target if soft else None, outputs.grad, options.where))
    if layout is None:
        raise NotImplementedError
    weight = None if options.weight is None else options.weight.contiguous()
    sample_weight = None if options.sample_weight is None else options.sample_weight.contiguous()
    sample_each = max(1, examples // max(1, sample_weight.numel())) if sample_weight is not None else 1
    if not soft:
        target = target.contiguous()

    launches: list[Launch] = []
    count: Tensor | None = None
    scale, divisor = upstream.scale, 1 / upstream.scale if upstream.scale else math.inf
    if upstream.mean and soft and sample_weight is None:
        divisor = float(examples)
        scale = upstream.scale / examples if examples else math.nan
    elif upstream.mean:
        given = (target, weight, sample_weight, examples, classes, options.ignore_index)
        count, launches = plan_count(*given, 4 * device.multiprocessors)

    tile = tile_of(layout, logits.element_size())
    programs = layout.outer * layout.middle * -(-layout.inner // tile.examples)
    sums = partial_sums(logits, programs) if outputs.loss is not None else None
    smooth = options.label_smoothing > 0
    weight_sum = None
    if smooth and weight is not None and options.where is None:
        weight_sum = weight.sum(dtype=torch.float64)
    offset = None if options.logit_offset is None else options.logit_offset.contiguous()
    up_nll, up_lse = (None if up is None else _dense(up) for up in (upstream.nll, upstream.lse))
    counter, slots = flags.of(logits.device)
    call = 0 if soft else flags.register(target.shape, classes, options.ignore_index)
    gamma = options.focal_gamma
    arguments = (
        logits,
        target,
        outputs.grad,
        outputs.nll,
        outputs.lse,
        sums,
        weight,
        weight_sum,
        offset,
        options.where,
        sample_weight,
        up_nll,
        up_lse,
        count,
        upstream.whole,
        counter,
        slots,
        call,
        layout.middle,
        layout.inner,
        classes,
        *(stride for strides in layout.strides for stride in strides),
        sample_each,
        int(up_nll is not None and up_nll.numel() > 1),
        int(up_lse is not None and up_lse.numel() > 1),
        options.ignore_index,
        options.label_smoothing,
        options.z_loss,
        options.softcap,
        gamma,
        scale,
    )
    constexprs = {
        "SOFT": soft,
        "SMOOTH": smooth,
        "CAPPED": options.softcap > 0,
        "Z_LOSS": options.z_loss > 0,
        "FOCAL": gamma > 0,
        "HALVES": int(2 * gamma) if gamma <= 16 and 2 * gamma == int(2 * gamma) else 0,
        "TORCH_NONFINITE": options.torch_nonfinite,
        "INT64": layout.extent(tile.examples) >= 2**31,
        "SIZE_UNIT": math.gcd(_UNIT, classes if layout.rows(0) else layout.inner),
        **{f"{name}_UNIT": layout.unit(k) for k, name in enumerate("XQGW")},
        **{f"{name}_ROWS": layout.rows(k) for k, name in enumerate("XQGW")},
        "EXAMPLES": tile.examples,
        "CLASSES": tile.classes,
    }
    launches.append(Launch(softmax_resident, (programs,), arguments, constexprs, num_warps=tile.num_warps))
    if sums is not None and outputs.loss is not None:
        launches.append(plan_close(sums, outputs.loss, count=count, divisor=divisor))
    return launches


def _dense(upstream: Tensor) -> Tensor:
    """One number where all are the same one in memory, else contiguous."""
    if all(size == 1 or stride == 0 for size, stride in zip(upstream.shape, upstream.stride(), strict=True)):
        return upstream.as_strided((1,), (1,))
    return upstream.contiguous()
