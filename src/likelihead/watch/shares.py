"""LH503: what each rank's part in a step's loss is; the ranks are compared where their records meet.

Where DistributedDataParallel or FSDP2 averages the gradients, the loss of a step is the mean over the ranks
of what each went backward from. No rank asks another while the script runs: each writes down its own part of
the first steps, and rank 0 lays them side by side at the end.
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Mapping, Sequence
from typing import Any

from likelihead.watch.record import Finding, Part, Place, Record

__all__ = ["Shares", "compared"]

_SPREAD = 1.05  # counts that differ by less make no difference that matters
_MOST = 512  # steps


class Shares:
    """The parts of one rank; ``wanted`` where there are several."""

    def __init__(self, wanted: bool) -> None:
        self.wanted = wanted
        self._parts: list[Part] = []
        self._replicated: weakref.WeakSet[Any] = weakref.WeakSet()

    def replicated(self, module: Any) -> None:
        """A module was made whose gradients are averaged over the ranks."""
        self._replicated.add(module)

    def are_averaged(self, optimizer: Any) -> bool:
        """Whether the gradients that this optimizer uses are."""
        parameters = [one for group in optimizer.param_groups for one in group["params"]]
        if any(hasattr(one, "_local_tensor") for one in parameters):  # a DTensor, as FSDP2 makes them
            return True
        known = {id(one) for module in list(self._replicated) for one in module.parameters()}
        return any(id(one) in known for one in parameters)

    def add(self, function: str, at: Place, step: int, numbers: Sequence[tuple[float, float, float]]) -> None:
        """A step's loss: of each backward pass the mean, its count and its factor.

        Left out where the factors do not make it a mean, since what the script divides by is not known then.
        """
        if len(self._parts) >= _MOST or abs(sum(factor for *_, factor in numbers) - 1) > 1e-3:
            return
        loss = sum(mean * factor for mean, _, factor in numbers)
        total = sum(mean * count for mean, count, _ in numbers)
        count = sum(count for _, count, _ in numbers)
        if math.isfinite(total) and count > 0:
            self._parts.append(Part(function, at, step, loss, total, count))

    def write(self, record: Record) -> None:
        """Into the record that goes to rank 0."""
        record.parts = list(self._parts)


def compared(records: Mapping[int, Record]) -> list[Finding]:
    """What the parts of all ranks say together."""
    steps: dict[Any, dict[int, Part]] = {}
    for rank, record in records.items():
        for part in record.parts:
            steps.setdefault((part.function, part.at, part.step), {})[rank] = part
    by_site: dict[Any, list[dict[int, Part]]] = {}
    for (function, at, _), parts in steps.items():
        if len(parts) > 1:
            by_site.setdefault((function, at), []).append(parts)
    found = (_finding(function, at, all_) for (function, at), all_ in by_site.items())
    return [one for one in found if one is not None]


def _finding(function: str, at: Place, steps: list[dict[int, Part]]) -> Finding | None:
    uneven = [parts for parts in steps if _differ(parts)]
    if not uneven or 2 * len(uneven) < len(steps):
        return None  # the last batch of an epoch, say
    optimised, meant, parts = max((_losses(parts) for parts in uneven), key=lambda one: abs(one[0] - one[1]))
    counts = {rank: part.count for rank, part in sorted(parts.items())}
    shown = ", ".join(f"{count:g} on rank {rank}" for rank, count in list(counts.items())[:8])
    step = next(iter(parts.values())).step
    return Finding(
        "LH503",
        at,
        f"The gradients of {len(parts)} ranks are averaged, and each rank's loss is a mean over its own "
        f"targets; at step {step} there are {shown}{', ...' if len(counts) > 8 else ''}. The loss that was "
        f"optimised is {optimised:.6g}; the loss that was meant, the mean over the targets of all ranks, is "
        f"{meant:.6g}.",
        values={
            **{"optimised": optimised, "meant": meant},
            **{"smallest_count": min(counts.values()), "largest_count": max(counts.values())},
            **{f"count_on_rank_{rank}": count for rank, count in counts.items()},
        },
        step=min(part.step for parts in uneven for part in parts.values()),
        count=len(uneven),
        ranks=tuple(counts),
    )


def _differ(parts: Mapping[int, Part]) -> bool:
    counts = [part.count for part in parts.values()]
    return max(counts) > _SPREAD * min(counts)


def _losses(parts: dict[int, Part]) -> tuple[float, float, dict[int, Part]]:
    optimised = sum(part.loss for part in parts.values()) / len(parts)
    meant = sum(part.total for part in parts.values()) / sum(part.count for part in parts.values())
    return optimised, meant, parts
