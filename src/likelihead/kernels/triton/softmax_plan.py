"""Which kernels a categorical loss launches: the layout of its tensors, tiles, and the launches in order."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from torch import Tensor

from likelihead.kernels.triton import flags
from likelihead.kernels.triton.launch import Device, Launch
from likelihead.kernels.triton.plans import Room, is_one_number
from likelihead.kernels.triton.softmax_count import FEW, plan_count
from likelihead.kernels.triton.softmax_resident import softmax_resident
from likelihead.kernels.triton.softmax_rows import softmax_rows
from likelihead.kernels.triton.softmax_streamed import softmax_streamed
from likelihead.kernels.triton.sums import second_stage
from likelihead.kernels.triton.tunables import Tunable, lookup

__all__ = ["Numbers", "Tensors", "layout_of", "plan"]

UNIT = 16  # what Triton makes use of, in elements
_FEW_CLASSES = 32  # of more, whole vectors of neighbouring threads make up a row
_BUCKETS = {2: "16-bit", 4: "float32", 8: "float64"}


class Tensors(NamedTuple):
    """The tensors of a call: what the op is given, contiguous where there is one for each class or example.

    Attributes:
        weight_sum: of ``weight``, where label smoothing asks for it.
        up_nll, up_lse: what the gradient is multiplied by, one number or one per example; None for ones and
            for nothing.
        whole: the upstream gradient of a reduced loss whose gradient for 1 is there already: for 1 nothing is
            done.
        grad, nll, lse, loss: to be written; ``loss`` is the sum of the values over the divisor.
    """

    logits: Tensor
    target: Tensor
    weight: Tensor | None = None
    logit_offset: Tensor | None = None
    where: Tensor | None = None
    sample_weight: Tensor | None = None
    weight_sum: Tensor | None = None
    up_nll: Tensor | None = None
    up_lse: Tensor | None = None
    whole: Tensor | None = None
    grad: Tensor | None = None
    nll: Tensor | None = None
    lse: Tensor | None = None
    loss: Tensor | None = None


class Numbers(NamedTuple):
    """The numbers of a call; of the gradient ``scale``, and ``mean``, divided by the count of the targets."""

    label_smoothing: float = 0.0
    ignore_index: int = -100
    z_loss: float = 0.0
    softcap: float = 0.0
    torch_nonfinite: bool = False
    focal_gamma: float = 0.0
    scale: float = 1.0
    mean: bool = False


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
            return math.gcd(UNIT, outer, middle, inner)
        return math.gcd(UNIT, outer, middle, by_class) if inner == 1 else 1

    def extent(self, examples: int, classes: int) -> int:
        """The farthest place in a tile of so many examples and classes from its first."""
        return max(examples * s[2] + classes * s[3] for s in self.strides)


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


def _power_of_2(n: int) -> int:
    return 1 << max(n - 1, 0).bit_length()


def rows_constexprs(layout: Layout, itemsize: int, device: Device) -> tuple[dict[str, Any], Tunable] | None:
    """Rows of each thread that end with a vector of 16 bytes; None of many classes, or of rows with gaps."""
    row = lookup("softmax_rows", _BUCKETS[itemsize])
    classes, vector = layout.classes, 16 // itemsize
    dense = (0, 0, classes, 1)
    rows = vector // math.gcd(classes, vector)
    alike = layout.strides[0] == dense and layout.strides[2] in (dense, (0, 0, 0, 0))
    if not alike or layout.outer * layout.middle > 1 or classes > _FEW_CLASSES or rows * classes > row.block:
        return None
    while rows < 8 and 2 * rows * classes <= 4 * vector:  # bytes enough on their way
        rows *= 2
    threads = row.num_warps * device.warp_size
    tile = {"CLASSES": classes, "ROWS": rows, "THREADS": threads, "VECTOR": vector}
    if device.target.startswith("cuda"):
        # As many programs side by side as its classes leave registers for.
        tile["maxnreg"] = 128 if rows * classes * max(1, itemsize // 4) <= 40 else 255
    return tile, row


def resident_constexprs(layout: Layout, row: Tunable, more: int) -> tuple[dict[str, Any], int]:
    """A tile of all the classes of its examples, and the number of warps."""
    classes = _power_of_2(layout.classes)
    if layout.rows(0):
        # As many classes to a thread as can be: what is computed once for an example is so in each of its
        # threads.
        examples = max(1, 4 * row.block // classes) if classes < row.block else 1
    else:
        # The more registers a thread needs, the fewer of them make up a program.
        examples = max(1, min(128 if more else 256, row.num_warps * row.block // classes))
    examples = min(examples, _power_of_2(layout.inner))
    tile = {"WHOLE": classes == layout.classes, "EXAMPLES": examples, "CLASSES": classes}
    tile["INT64"] = layout.extent(examples, classes) >= 2**31
    return tile, max(1, examples * classes // row.block)


def streamed_constexprs(
    layout: Layout, itemsize: int, more: int, device: Device
) -> tuple[dict[str, Any], Tunable]:
    """Blocks of a row; of one that begins anywhere, from where a vector of 16 bytes begins."""
    vector = 16 // itemsize
    read, shares, written = (layout.strides[k] for k in range(3))
    alike = all(s in (read, (0, 0, 0, 0)) for s in (shares, written))
    shifted = layout.rows(0) and layout.unit(0) < vector and alike
    # The second look is to find the logits in the L2, with room for what is written meanwhile.
    wide = 2 * device.multiprocessors * layout.classes * itemsize > 0.7 * device.l2_bytes
    row = lookup("softmax_streamed", _BUCKETS[itemsize] + ", wide" * wide)
    # What a class has of its own beside its logit takes registers too.
    block = min(row.block, {2: 16 if more == 1 else 8, 4: 8, 8: 2}[itemsize]) if more else row.block
    lanes = 32 * row.num_warps * max(1, block // vector)
    tile = {"SHIFTED": shifted, "LANES": lanes, "VECTOR": vector}
    # Places are counted from where a row begins, not from where a block does.
    tile["INT64"] = layout.extent(1, layout.classes + lanes * vector) >= 2**31 or layout.classes > 2**30
    if device.target.startswith("cuda"):
        # Or the compiler takes more, and a multiprocessor holds fewer programs.
        threads = 32 * row.num_warps * row.programs_per_multiprocessor
        tile["maxnreg"] = max(32, min(255, device.registers // threads // 8 * 8))
    return tile, row


def plan(tensors: Tensors, numbers: Numbers, device: Device, room: Room) -> list[Launch] | None:
    """The launches of one call, in order; None if its examples do not merge into three dimensions."""
    logits, target, weight, offset, where, sample_weight, weight_sum, up_nll, up_lse = tensors[:9]
    whole, grad, nll, lse, loss = tensors[9:]
    soft = target.is_floating_point()
    examples = math.prod((logits.shape[0], *logits.shape[2:]))
    classes = logits.shape[1]
    layout = layout_of((logits, target if soft else None, grad, where))
    if layout is None:
        return None
    sample_each = max(1, examples // max(1, sample_weight.numel())) if sample_weight is not None else 1

    itemsize = logits.element_size()
    smooth = numbers.label_smoothing > 0
    # What a class has of its own beside its logit is held as well.
    more = soft + (numbers.softcap > 0) + (where is not None) + (smooth and weight is not None)
    row = lookup("softmax_resident", _BUCKETS[itemsize] + ", more" * bool(more))
    in_threads = None if more or smooth or offset is not None else rows_constexprs(layout, itemsize, device)
    resident = in_threads is not None or _power_of_2(classes) <= row.num_warps * row.block
    kernel: Any
    if in_threads is not None:
        kernel = softmax_rows
        tile, row = in_threads
        num_warps = row.num_warps
        programs = parts = -(-examples // (tile["THREADS"] * tile["ROWS"]))
    elif resident:
        kernel = softmax_resident
        tile, num_warps = resident_constexprs(layout, row, more)
        programs = parts = layout.outer * layout.middle * -(-layout.inner // tile["EXAMPLES"])
    else:
        kernel = softmax_streamed
        tile, row = streamed_constexprs(layout, itemsize, more, device)
        num_warps = row.num_warps
        programs = parts = examples
    if whole is not None or not resident:
        programs = min(parts, row.programs_per_multiprocessor * device.multiprocessors)

    launches: list[Launch] = []
    count: Tensor | None = None
    few = 0
    scale, divisor = numbers.scale, 1 / numbers.scale if numbers.scale else math.inf
    if numbers.mean and soft and sample_weight is None:
        divisor = float(examples)
        scale = numbers.scale / examples if examples else math.nan
    elif numbers.mean and resident and not soft and 0 < examples <= FEW:
        count, few = room.take(1), FEW
    elif numbers.mean:
        given = (target, weight, sample_weight, examples, classes, numbers.ignore_index)
        count, launches = plan_count(*given, device, room)
    alone = resident and parts == 1 and loss is not None
    sums = loss if alone or loss is None else room.take(parts)
    counter, slots = room.reports
    call = 0 if soft else flags.register(target.shape, classes, numbers.ignore_index)
    gamma = numbers.focal_gamma
    arguments: tuple[Any, ...] = (
        logits,
        target,
        grad,
        nll,
        lse,
        sums,
        weight,
        weight_sum,
        offset,
        where,
        sample_weight,
        up_nll,
        up_lse,
        count,
        whole,
        counter,
        slots,
        call,
        layout.middle,
        layout.inner,
        classes,
        parts,
        *((examples,) if resident else ()),
        *(stride for strides in layout.strides for stride in strides),
        sample_each,
        int(up_nll is not None and not is_one_number(up_nll)),
        int(up_lse is not None and not is_one_number(up_lse)),
        numbers.ignore_index,
        numbers.label_smoothing,
        numbers.z_loss,
        numbers.softcap,
        gamma,
        scale,
    )
    constexprs: dict[str, Any] = {
        "SOFT": soft,
        "SMOOTH": smooth,
        "CAPPED": numbers.softcap > 0,
        "Z_LOSS": numbers.z_loss > 0,
        "FOCAL": gamma > 0,
        "HALVES": int(2 * gamma) if gamma <= 16 and 2 * gamma == int(2 * gamma) else 0,
        "TORCH_NONFINITE": numbers.torch_nonfinite,
        "ONE_LINE": layout.outer * layout.middle == 1,
        "SIZE_UNIT": math.gcd(UNIT, classes if layout.rows(0) else layout.inner),
        **{f"{name}_UNIT": layout.unit(k) for k, name in enumerate("XQG")},
        # A mask is read as wide as the logits beside it: of more at once it would lie in other threads.
        "W_UNIT": min(layout.unit(3), 16 // itemsize),
        **{f"{name}_ROWS": layout.rows(k) for k, name in enumerate("XQGW")},
        **({"FEW": few, "ALONE": alone} if resident else {}),
        **tile,
    }
    if in_threads is not None:  # which has no use for the rest
        by_name = dict(zip(softmax_resident.arg_names, arguments, strict=False))
        arguments = tuple(by_name[name] for name in kernel.arg_names if name in by_name)
        constexprs = {name: value for name, value in constexprs.items() if name in kernel.arg_names} | tile
    launches.append(Launch(kernel, (programs,), arguments, constexprs, num_warps=num_warps))
    if sums is not None and loss is not None and not alone:
        launches.append(second_stage(sums, loss, counts=count, count_parts=1, divisor=divisor))
    return launches
