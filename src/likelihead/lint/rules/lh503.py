"""The mean over ranks of means that each rank took over a count of its own.

A loss is followed into `all_reduce`, `reduce` or `all_gather`. The finding is the division by the number of
ranks behind it, the mean of what was gathered, or the call with `ReduceOp.AVG`. It needs evidence that the
counts of the ranks differ: each rank divided a sum by its own count, or the loss has an `ignore_index`.

## Example

```python
mean = nats / tokens
dist.all_reduce(mean)
mean = mean / dist.get_world_size()
```

## Use instead

```python
dist.all_reduce(nats)
dist.all_reduce(tokens)
mean = nats / tokens
```

## Not reported

Means of batches of equally many examples, as a `DistributedSampler` deals them out; gradients, which
`DistributedDataParallel` averages; metrics that are no losses.
"""

from __future__ import annotations

from likelihead.lint.interpreter.events import Reading
from likelihead.lint.knowledge.figures import is_rank_count
from likelihead.lint.rules.base import Rule, Verdict
from likelihead.lint.values import Figure

__all__ = ["LH503"]


class LH503(Rule):
    """Mean over ranks of per-rank means."""

    code = "LH503"

    def reading(self, event: Reading) -> Verdict | None:
        value = event.value
        if event.name not in ("divide", "mean", "average_ranks") or not isinstance(value, Figure):
            return None
        kind = value.kind.removeprefix("ranks_of_")
        if event.name == "mean" and kind == value.kind:
            return None
        if event.name == "divide" and (kind == value.kind or not is_rank_count(event.by, event.node)):
            return None
        if kind == "mean" or (kind == "loss" and "ignore_index" in value.marks):
            return Verdict("Each rank weighs the same in this mean, whatever it has counted.", value)
        return None
