"""The best constant prediction for the targets of one loss: what it costs, on all of them and on one call's.

A constant prediction does not look at the input: one distribution over the classes for every example and
position; for labels ``[N, L, ...]`` and numbers ``[N, D, ...]`` one for each index along dimension 1. It is
the best where it costs the least on all targets seen, under the loss's own options.

What it costs is linear in a few sums over the targets: how much each outcome weighs in the sum of the losses
(its *mass*). So a call is kept as these sums, a `Part`, and every cost is worked out at the end. All costs
are in the unit of what the loss returned (of the mean of it, without reduction), and compare with it.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from likelihead.watch.call import LossCall

__all__ = ["Binary", "Classes", "Constant", "Numbers", "Part", "constant_for"]

# Losses whose best constant is known, with the options that are; under another one it is not.
_CLASSES = {
    "cross_entropy": frozenset({"weight", "ignore_index", "label_smoothing"}),
    "nll_loss": frozenset({"weight", "ignore_index"}),
}
_BINARY = {
    "binary_cross_entropy": frozenset({"weight"}),
    "binary_cross_entropy_with_logits": frozenset({"weight", "pos_weight"}),
    "multilabel_soft_margin_loss": frozenset({"weight"}),
    "soft_margin_loss": frozenset[str](),
}
_NUMBERS = {"mse_loss": frozenset[str](), "gaussian_nll_loss": frozenset({"var", "full", "eps"})}
_REDUCTION = frozenset({"reduction", "reduce", "size_average"})


@dataclass(frozen=True, eq=False)
class Part:
    """The targets of one call.

    Attributes:
        sums: what `Constant` makes of them; for classes the mass of those in `index`.
        index: the classes that occur; None where `sums` holds all outcomes.
        count: targets that count.
        divisor: what the sum of the losses is divided by.
        alike: whether all targets of the call are one outcome.
    """

    sums: Tensor
    index: Tensor | None
    count: float
    divisor: float
    alike: bool


def constant_for(call: LossCall) -> Constant | None:
    """What keeps the targets of this site; None where the best constant of its loss is not known."""
    name, given = call.spec.name, {key for key, value in call.options.items() if value is not None}
    if call.spec.library == "keras":
        return None  # likelihead's of torch's names give torch's answers to torch's options
    for losses, kind in ((_CLASSES, Classes), (_BINARY, Binary), (_NUMBERS, Numbers)):
        if name in losses and given <= losses[name] | _REDUCTION:
            return kind(call)
    return None


class Constant(ABC):
    """The targets of one site, summed up.

    Attributes:
        rows: how many constants there are.
        known: False once a call had other options, or another number of classes, than the first.
        count, divisor: of all parts together.
    """

    rows = 1

    def __init__(self, call: LossCall) -> None:
        self.known = True
        self.count = self.divisor = 0.0
        self.total: Tensor | None = None

    def take(self, call: LossCall) -> Part | None:
        """Add the targets of a call; None where they cannot be read, are none, or nothing is known."""
        part = self.part(call) if self.known and 0 not in call.target_shape else None
        if part is None or not part.count or not part.divisor or not bool(part.sums.isfinite().all()):
            return None
        self.add(part)
        return part

    def add(self, part: Part) -> None:
        """Add a part."""
        self.count += part.count
        self.divisor += part.divisor
        if self.total is None:
            self.total = self.empty(part)
        if part.index is None:
            self.total += part.sums
        else:
            self.total.index_add_(0, part.index, part.sums)

    def empty(self, part: Part) -> Tensor:
        """Sums over nothing."""
        return torch.zeros_like(part.sums)

    @abstractmethod
    def part(self, call: LossCall) -> Part | None:
        """The sums of one call: of its targets on the CPU, else of what its look counted on the device."""

    @abstractmethod
    def price(self) -> Tensor:
        """What one unit of each sum costs under the best constant; 0 for what never occurred."""

    @abstractmethod
    def fixed(self) -> float:
        """What each target costs besides."""

    def cost(self, part: Part | None = None, price: Tensor | None = None) -> float:
        """What the best constant costs on this call; on all of them where none is given."""
        price = self.price() if price is None else price
        if part is None:
            assert self.total is not None
            return float((self.total * price).sum() + self.fixed() * self.count) / self.divisor
        here = price if part.index is None else price[part.index]
        return float((part.sums * here).sum() + self.fixed() * part.count) / part.divisor


class Classes(Constant):
    """Exclusive classes: class indices, or a distribution over them for each example."""

    def __init__(self, call: LossCall) -> None:
        super().__init__(call)
        shape = call.input_shape
        self.classes = shape[1] if len(shape) > 1 else (shape[0] if shape else 0)
        self.smoothing = float(call.options.get("label_smoothing") or 0.0)
        self.ignored = call.ignore_index
        given = call.options.get("weight")
        self._given = _mark(given)
        on_cpu = not isinstance(given, Tensor) or given.device.type == "cpu"
        self.known = on_cpu and self.classes > 0
        self.weight = given.detach().double().clone() if isinstance(given, Tensor) and on_cpu else None

    def part(self, call: LossCall) -> Part | None:
        target = _on_cpu(call)
        dim = 1 if len(call.input_shape) > 1 else 0
        if not self._same(call) or call.input_shape[dim:][:1] != (self.classes,):
            self.known = False
            return None
        counts: Any = getattr(call.look, "counts", None)
        if target is None and counts is None:
            return None
        elements = float(math.prod(call.target_shape))
        index: Tensor | None = None
        if call.target_shape == call.input_shape:
            elements /= self.classes
            if target is None:
                sums = counts
            else:
                some = _some(target)
                sums = some.double().movedim(dim, -1).reshape(-1, self.classes).sum(0)
                sums *= target.numel() / some.numel()
            number, divisor, alike = elements, elements, False
        else:
            if counts is None and target is not None:
                flat = target.reshape(-1).long()
                flat = flat[flat != self.ignored]
                if flat.numel() and (int(flat.min()) < 0 or int(flat.max()) >= self.classes):
                    return None
                counts = torch.bincount(flat, minlength=self.classes)
            index = counts.nonzero().squeeze(1)
            sums = counts[index].double()
            if call.look is not None and call.look.count:
                sums *= call.look.count / sums.sum()  # some of very many were counted
            number = float(sums.sum())
            weighted = sums if self.weight is None else sums * self.weight[index]
            divisor, alike = float(weighted.sum()), len(index) == 1 and number > 1
        if call.reduction != "mean":
            divisor = 1.0 if call.reduction == "sum" else elements
        return Part(sums, index, number, divisor, alike)

    def _same(self, call: LossCall) -> bool:
        given = call.options.get("weight")
        if float(call.options.get("label_smoothing") or 0.0) != self.smoothing:
            return False
        if call.ignore_index != self.ignored or (given is None) != (self.weight is None):
            return False
        if self.weight is None or _mark(given) == self._given:
            return True
        if not isinstance(given, Tensor) or given.device.type != "cpu":
            return False
        self._given = _mark(given)
        return given.shape == self.weight.shape and bool((given.detach().double() == self.weight).all())

    def empty(self, part: Part) -> Tensor:
        return torch.zeros(self.classes, dtype=torch.float64)

    def price(self) -> Tensor:
        assert self.total is not None
        share = (1 - self.smoothing) * self.total + self.smoothing / self.classes * self.total.sum()
        if self.weight is not None:
            share = share * self.weight
        return self._of(_minus_log(share / share.sum()))

    def uniform(self) -> Tensor:
        """The price where all classes are equally likely."""
        return self._of(torch.full((self.classes,), math.log(self.classes), dtype=torch.float64))

    def _of(self, nll: Tensor) -> Tensor:
        """What a target of each class costs: its own share and that of the smoothing."""
        if self.weight is not None:
            nll = nll * self.weight
        return (1 - self.smoothing) * nll + self.smoothing / self.classes * nll.sum()

    def fixed(self) -> float:
        return 0.0

    def seen(self) -> int:
        """How many classes occurred."""
        return 0 if self.total is None else int((self.total > 0).sum())


class Binary(Constant):
    """Yes or no, once or for each of several labels: ``sums`` is ``[L, 2]``, the mass of no and of yes."""

    def part(self, call: LossCall) -> Part | None:
        if call.target_shape != call.input_shape:
            return None
        margin = call.spec.name == "soft_margin_loss"
        target = _on_cpu(call)
        if target is None:
            return None if margin else self._from_look(call)
        yes = _some(target).double()
        of_all = target.numel() / yes.numel()
        if margin:
            yes = (yes + 1) / 2
        of_yes, of_no = yes, 1 - yes
        for option, only_yes in (("weight", False), ("pos_weight", True)):
            factor = call.options.get(option)
            if factor is None:
                continue
            if factor.device.type != "cpu":
                return None
            factor = factor.detach()
            if not _widens_to(factor.shape, target.shape):
                return None  # LH602: it weighs something else
            factor = _some(factor.expand(target.shape)).double()
            of_yes = of_yes * factor
            of_no = of_no if only_yes else of_no * factor
        sums = torch.stack([_by_column(of_no), _by_column(of_yes)], -1) * of_all
        alike = yes.numel() > 1 and bool((yes.max() <= 0.5) | (yes.min() >= 0.5))
        return self._checked(call, sums, float(target.numel()), alike)

    def _from_look(self, call: LossCall) -> Part | None:
        """From what came from the device: labels without weights."""
        counts = getattr(call.look, "counts", None)
        if counts is None or any(call.options.get(name) is not None for name in ("weight", "pos_weight")):
            return None
        number = float(math.prod(call.target_shape))
        sums = torch.stack([number / len(counts) - counts, counts], -1)
        mass = sums.sum(0)
        return self._checked(call, sums, number, number > 1 and bool((mass == 0).any()))

    def _checked(self, call: LossCall, sums: Tensor, number: float, alike: bool) -> Part | None:
        if len(sums) > _MOST_COLUMNS or (self.total is not None and self.total.shape != sums.shape):
            self.known = False
            return None
        self.rows = len(sums)
        divisor = number
        if call.reduction == "sum":
            divisor = float(call.target_shape[-1]) if call.spec.name == "multilabel_soft_margin_loss" else 1.0
        return Part(sums, None, number, divisor, alike)

    def price(self) -> Tensor:
        assert self.total is not None
        return _minus_log(self.total / self.total.sum(-1, keepdim=True).clamp_min(_TINY))

    def pooled(self) -> Tensor:
        """The price under one constant for all labels together."""
        assert self.total is not None
        mass = self.total.sum(0)
        return _minus_log(mass / mass.sum().clamp_min(_TINY))

    def fixed(self) -> float:
        return 0.0


class Numbers(Constant):
    """Numbers: ``sums`` is ``[D, 3]``: how many, their sum and the sum of their squares."""

    def __init__(self, call: LossCall) -> None:
        super().__init__(call)
        self._gaussian = call.spec.name == "gaussian_nll_loss"
        self._full = bool(call.options.get("full"))
        self._eps = float(call.options.get("eps", 1e-6))

    def part(self, call: LossCall) -> Part | None:
        target = _on_cpu(call)
        if target is None or call.target_shape != call.input_shape or not target.is_floating_point():
            return None
        values, number = _some(target).double(), float(target.numel())
        of_all = number / values.numel()
        first, second = _by_column(values) * of_all, _by_column(values.square()) * of_all
        sums = torch.stack([torch.full_like(first, number / len(first)), first, second], -1)
        if len(sums) > _MOST_COLUMNS or (self.total is not None and self.total.shape != sums.shape):
            self.known = False
            return None
        self.rows = len(sums)
        alike = number > 1 and bool(values.max() == values.min())
        return Part(sums, None, number, 1.0 if call.reduction == "sum" else number, alike)

    def price(self) -> Tensor:
        assert self.total is not None
        number, first, second = self.total.unbind(-1)
        mean = first / number
        square = torch.stack([mean.square(), -2 * mean, torch.ones_like(mean)], -1)
        if not self._gaussian:
            return square
        variance = (second / number - mean.square()).clamp_min(self._eps)
        price = square / (2 * variance.unsqueeze(-1))
        price[:, 0] += variance.log() / 2
        return price

    def fixed(self) -> float:
        return math.log(2 * math.pi) / 2 if self._gaussian and self._full else 0.0


_TINY = torch.finfo(torch.float64).tiny
_SOME = 1 << 17  # targets of one call that are looked at
_MOST_COLUMNS = 1 << 13  # constants of one site


def _some(values: Tensor) -> Tensor:
    """Of very many some, evenly picked, with all of dimension 1; in an odd step, which meets every column."""
    step = -(-values.numel() // _SOME) | 1
    if step == 1:
        return values
    places = math.prod(values.shape[2:])
    return values.flatten(2)[:, :, ::step] if places >= 8 * step else values[::step]


def _widens_to(shape: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
    ends = zip(reversed(shape), reversed(wanted), strict=False)
    return len(shape) <= len(wanted) and all(size in (1, other) for size, other in ends)


def _on_cpu(call: LossCall) -> Tensor | None:
    target = call.target
    return target.detach() if isinstance(target, Tensor) and target.device.type == "cpu" else None


def _minus_log(share: Tensor) -> Tensor:
    """Minus the logarithm; 0 for what never occurred, and so is never multiplied by anything else."""
    return torch.where(share > 0, -share.clamp_min(_TINY).log(), 0.0)


def _by_column(values: Tensor) -> Tensor:
    """Sums for each index along dimension 1; one sum where there is none."""
    if values.dim() < 2:
        return values.sum().reshape(1)
    return values.transpose(0, 1).reshape(values.shape[1], -1).sum(1)


def _mark(option: Any) -> Any:
    """What tells that an option is the very one of the call before."""
    return (id(option), option._version) if isinstance(option, Tensor) else option
