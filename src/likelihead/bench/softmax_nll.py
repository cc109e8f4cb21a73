"""The cases of softmax_nll on a CPU: cross-entropy from the logits to their gradient."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch
import torch.nn.functional as torchs
from torch import Tensor

from likelihead.bench.case import EAGER, FLOOR, IN_PLACE, OURS, Case, Goal, Problem, short_dtype
from likelihead.functional import cross_entropy
from likelihead.kernels.dispatch import explain

__all__ = ["CASES", "SoftmaxCase"]

IGNORED = -100


@dataclass(frozen=True, kw_only=True)
class SoftmaxCase(Case):
    """A cross-entropy.

    Attributes:
        target: class indices or a distribution per row.
        weighted: with a weight per class.
        label_smoothing: as of the loss.
        ignored: the share of targets that are ``ignore_index``.
        in_place: also with ``inplace_backward=True``, where the library has it.
    """

    target: Literal["indices", "probabilities"] = "indices"
    weighted: bool = False
    label_smoothing: float = 0.0
    ignored: float = 0.0
    in_place: bool = True

    @property
    def op(self) -> str:
        return "softmax_nll"

    @property
    def what(self) -> str:
        options = [
            "probability targets" if self.target == "probabilities" else "",
            "weight" if self.weighted else "",
            f"smoothing {self.label_smoothing:g}" if self.label_smoothing else "",
            f"{self.ignored:.0%} ignored" if self.ignored else "",
        ]
        return ", ".join([f"CE {list(self.shape)} {short_dtype(self.dtype)}", *filter(None, options)])

    def build(self, device: str = "cpu") -> Problem:
        """Standard normal logits, times 3 so that some classes matter more than others."""
        generator = torch.Generator(device).manual_seed(0)
        num_classes, rows = self.shape[1], (self.shape[0], *self.shape[2:])
        logits = torch.randn(self.shape, generator=generator, device=device).mul_(3).to(self.dtype)
        if self.target == "probabilities":
            target = torch.rand(self.shape, generator=generator, device=device, dtype=torch.float32)
            target = target.div_(target.sum(1, keepdim=True)).to(self.dtype)
        else:
            target = torch.randint(num_classes, rows, generator=generator, device=device)
            skipped = torch.rand(rows, generator=generator, device=device) < self.ignored
            target = target.masked_fill_(skipped, IGNORED)
        weight = None
        if self.weighted:
            weight = torch.rand(num_classes, generator=generator, device=device).add_(0.5).to(self.dtype)

        # As a caller has it: what is not asked for is not handed in.
        options: dict[str, object] = {} if weight is None else {"weight": weight}
        if self.label_smoothing:
            options["label_smoothing"] = self.label_smoothing
        losses: dict[str, Callable[..., Tensor]] = {
            OURS: partial(_loss, cross_entropy, target, options),
            EAGER: partial(_loss, torchs.cross_entropy, target, options),
        }
        absent = {}
        if self.in_place:
            choice = explain("softmax_loss", logits)
            if choice.backend != "reference":
                losses[IN_PLACE] = partial(_loss, cross_entropy, target, options | {"inplace_backward": True})
            else:
                absent[IN_PLACE] = f"not there: {choice}"
        copy = torch.empty_like(logits)
        return Problem(
            leaves=(logits.requires_grad_(),),
            target=target,
            losses=losses,
            floor=partial(copy.copy_, logits.detach()),
            absent=absent,
            overwrites=frozenset({IN_PLACE}),
        )


def _loss(
    function: Callable[..., Tensor], target: Tensor, options: dict[str, object], logits: Tensor
) -> Tensor:
    return function(logits, target, **options)


def _goals(
    eager: float, floor: float | None = None, *, in_place: tuple[float, float] | None = None
) -> tuple[Goal, ...]:
    goals = [Goal(OURS, EAGER, "faster", eager)]
    if floor is not None:
        goals.append(Goal(OURS, FLOOR, "within", floor))
    if in_place is not None:
        goals += [
            Goal(IN_PLACE, EAGER, "faster", in_place[0]),
            Goal(IN_PLACE, FLOOR, "within", in_place[1]),
        ]
    return tuple(goals)


CASES: tuple[SoftmaxCase, ...] = (
    SoftmaxCase(name="lm", shape=(1024, 50257), goals=_goals(5, 2.3, in_place=(10, 1.2))),
    SoftmaxCase(name="lm-bf16", shape=(1024, 50257), dtype=torch.bfloat16, goals=_goals(5)),
    SoftmaxCase(name="imagenet", shape=(8192, 1000), runs=3, goals=_goals(4, 1.6)),
    SoftmaxCase(name="few-classes", shape=(65536, 10), runs=10, goals=_goals(8)),
    SoftmaxCase(name="segmentation", shape=(4, 21, 256, 256), runs=3, goals=_goals(4, 2)),
    SoftmaxCase(
        name="options",
        shape=(1024, 50257),
        weighted=True,
        label_smoothing=0.1,
        ignored=0.5,
        goals=_goals(8, 2),
    ),
    SoftmaxCase(name="soft", shape=(8192, 1000), target="probabilities", runs=3, goals=_goals(4)),
    SoftmaxCase(
        name="tiny-ce",
        shape=(10, 3),
        in_place=False,
        runs=2,
        loops=500,
        goals=(Goal(OURS, EAGER, "within", 1.1),),
    ),
)
