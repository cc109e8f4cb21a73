"""Fresh inputs of a check, made on the CPU: values of every regime, in every layout, with every option."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

IGNORED = -100
LAYOUTS = (
    "contiguous",
    "channels_last",
    "padded",
    "odd start",
    "transposed",
    "every other row",
    "every other class",
)
INDICES = {
    "int64": torch.int64,
    "int32": torch.int32,
    "int16": torch.int16,
    "int8": torch.int8,
    "uint8": torch.uint8,
}


@dataclass
class Given:
    """The arguments of a call; tensors among the options too."""

    logits: Tensor
    target: Tensor
    options: dict[str, Any] = field(default_factory=dict)

    def on(self, place: Callable[[Tensor], Tensor]) -> Given:
        """The same with each tensor put elsewhere."""
        options = {
            name: place(value) if isinstance(value, Tensor) else value for name, value in self.options.items()
        }
        return Given(place(self.logits), place(self.target), options)

    def wide(self) -> Given:
        """The same numbers in float64."""
        return self.on(lambda tensor: tensor.double() if tensor.is_floating_point() else tensor)


def softmax(
    shape: tuple[int, ...],
    dtype: torch.dtype,
    target: str,
    options: tuple[str, ...],
    generator: torch.Generator,
) -> Given:
    """Logits and target of `softmax_nll`.

    Args:
        target: an integer dtype by name, or ``probabilities``.
        options: by name.
    """
    num_classes, rows = shape[1], (shape[0], *shape[2:])
    draw = _Draw(generator)
    if target == "probabilities":
        share = draw.uniform(*shape)
        labels = (share / share.sum(1, keepdim=True)).to(dtype)
        classes = labels.argmax(1)
    else:
        index = INDICES[target]
        most = min(num_classes, torch.iinfo(index).max + 1)
        classes = draw.below(most, *rows)
        labels = classes.to(index)
    logits = _regimes(draw, shape, classes)
    made: dict[str, Any] = {}
    for option in options:
        if option == "weight":
            made["weight"] = (draw.uniform(num_classes) + 0.5).to(dtype)
        elif option == "smoothing":
            made["label_smoothing"] = 0.1
        elif option == "z_loss":
            made["z_loss"] = 1e-2
        elif option == "softcap":
            made["softcap"] = 30.0
        elif option == "offset":
            made["logit_offset"] = draw.normal(num_classes).to(dtype)
        elif option == "where":
            where = draw.uniform(*shape) < 0.7
            made["where"] = where.scatter_(1, classes.unsqueeze(1), True)
        elif option == "focal":
            made["focal_gamma"] = 2.0
        elif option == "samples":
            made["sample_weight"] = (draw.uniform(*rows) * 2).masked_fill_(draw.uniform(*rows) < 0.2, 0.0)
        elif option == "nonfinite":
            made["torch_nonfinite"] = True
        elif option == "ignored":
            ignored = IGNORED if labels.dtype not in (torch.uint8,) else 255
            skipped = draw.uniform(*rows) < 0.3
            labels = labels.masked_fill(skipped, ignored)
            made["ignore_index"] = ignored
        elif option == "ignored class":
            made["ignore_index"] = int(classes.flatten()[0]) if classes.numel() else 0
        else:
            raise ValueError(f"no option {option!r}")
    return Given(logits.to(dtype), labels, made)


def sigmoid(
    shape: tuple[int, ...],
    dtype: torch.dtype,
    target: str,
    options: tuple[str, ...],
    generator: torch.Generator,
) -> Given:
    """Logits and target of `sigmoid_nll`.

    Args:
        target: ``yes or no``, ``shares``, ``bool`` or ``int64``.
        options: by name.
    """
    draw = _Draw(generator)
    logits = draw.normal(*shape) * torch.tensor([1.0, 5.0, 30.0]).double()[draw.below(3, *shape)]
    yes = draw.uniform(*shape) < 0.3
    labels: Tensor = {
        "yes or no": lambda: yes.to(dtype),
        "shares": lambda: draw.uniform(*shape).to(dtype),
        "bool": lambda: yes,
        "int64": lambda: yes.long(),
    }[target]()
    made: dict[str, Any] = {}
    for option in options:
        if option == "weight":
            made["weight"] = (draw.uniform(shape[-1]) + 0.5).to(dtype)
        elif option == "weight of each":
            made["weight"] = (draw.uniform(*shape) + 0.5).to(dtype)
        elif option == "pos_weight":
            made["pos_weight"] = (draw.uniform(shape[-1]) * 3).to(dtype)
        elif option == "mask":
            made["mask"] = draw.uniform(*shape) < 0.7
        elif option == "unlabelled":
            labels = labels.masked_fill(draw.uniform(*shape) < 0.3, math.nan)
        elif option == "nan kept":
            labels = labels.masked_fill(draw.uniform(*shape) < 0.1, math.nan)
            made["skip_nan_target"] = False
        elif option == "smoothing":
            made["label_smoothing"] = 0.1
        elif option == "prior":
            made |= {"label_smoothing": 0.1, "prior": draw.uniform(shape[-1]).to(dtype)}
        elif option == "focal":
            made |= {"focal_gamma": 2.0, "focal_alpha": 0.25}
        elif option == "samples":
            made["sample_weight"] = (draw.uniform(shape[0]) * 2).masked_fill_(
                draw.uniform(shape[0]) < 0.2, 0.0
            )
        elif option == "nonfinite":
            made["torch_nonfinite"] = True
        else:
            raise ValueError(f"no option {option!r}")
    return Given(logits.to(dtype), labels, made)


class _Draw:
    def __init__(self, generator: torch.Generator) -> None:
        self._generator = generator

    def normal(self, *shape: int) -> Tensor:
        return torch.randn(shape, generator=self._generator, dtype=torch.float64)

    def uniform(self, *shape: int) -> Tensor:
        return torch.rand(shape, generator=self._generator, dtype=torch.float32)

    def below(self, most: int, *shape: int) -> Tensor:
        return torch.randint(most, shape, generator=self._generator)


def _regimes(draw: _Draw, shape: tuple[int, ...], classes: Tensor) -> Tensor:
    """Rows in turn: common, wide, confident by 10 or 20, far from zero, with outliers, with -inf."""
    logits = draw.normal(*shape)
    row = torch.arange(classes.numel()).reshape(classes.shape).unsqueeze(1) % 7
    at = torch.zeros(shape, dtype=torch.bool).scatter_(1, classes.unsqueeze(1), True)
    logits = torch.where(row == 1, logits * 20, logits)
    for turn, lead in ((2, 10.0), (3, 20.0)):
        best = logits.amax(1, keepdim=True) + lead if shape[1] else logits
        logits = torch.where((row == turn) & at, best, logits)
    logits = torch.where(row == 4, logits + 1e4, logits)
    far = torch.where(draw.uniform(*shape) < 0.5, 1e4, -1e4).double()
    logits = torch.where((row == 5) & (draw.uniform(*shape) < 0.2), far + logits, logits)
    return torch.where((row == 6) & (draw.uniform(*shape) < 0.3) & ~at, -math.inf, logits)


@dataclass
class Laid:
    """A tensor in a layout, in memory that is NaN elsewhere; `whole` is all of that memory."""

    tensor: Tensor
    whole: Tensor

    def others(self) -> Tensor:
        """The bytes of the memory that are not the tensor's."""
        flat = torch.zeros(self.whole.numel(), dtype=torch.bool, device=self.whole.device)
        own = torch.as_strided(flat, self.tensor.shape, self.tensor.stride(), self.tensor.storage_offset())
        own.fill_(True)
        return self.whole[~flat].contiguous().view(torch.uint8).clone()


def fits(layout: str, shape: tuple[int, ...]) -> bool:
    """Whether a shape has this layout as one of its own."""
    if layout == "channels_last":
        return len(shape) > 2
    return layout in ("contiguous", "odd start", "padded", "every other row") or len(shape) == 2


def lay_out(values: Tensor, layout: str, device: str) -> Laid:
    """Put values into memory, in a layout."""
    shape = tuple(values.shape)
    if layout == "channels_last":
        inner = (shape[0], *shape[2:], shape[1])
        whole, view = _memory(math.prod(shape), values.dtype, device)
        tensor = view(inner).movedim(-1, 1)
    elif layout == "padded":
        wider = (*shape[:-1], shape[-1] + 5)
        whole, view = _memory(math.prod(wider), values.dtype, device)
        tensor = view(wider)[..., : shape[-1]]
    elif layout == "odd start":
        whole, _ = _memory(math.prod(shape) + 2, values.dtype, device)
        tensor = whole[1:-1].view(shape)
    elif layout == "transposed":
        whole, view = _memory(math.prod(shape), values.dtype, device)
        tensor = view(shape[::-1]).t()
    elif layout == "every other row":
        whole, view = _memory(2 * math.prod(shape), values.dtype, device)
        tensor = view((2 * shape[0], *shape[1:]))[::2]
    elif layout == "every other class":
        whole, view = _memory(2 * math.prod(shape), values.dtype, device)
        tensor = view((shape[0], 2 * shape[1]))[:, 1::2]
    else:
        whole, view = _memory(math.prod(shape), values.dtype, device)
        tensor = view(shape)
    tensor.copy_(values)
    return Laid(tensor, whole)


def _memory(size: int, dtype: torch.dtype, device: str) -> tuple[Tensor, Callable[[tuple[int, ...]], Tensor]]:
    whole = torch.full((size,), math.nan, dtype=dtype, device=device)
    return whole, whole.view
