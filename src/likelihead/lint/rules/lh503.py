"""The mean over ranks of means that each rank took over a count of its own.

The linter follows a loss into `all_reduce` (or `reduce`) and from there to the division by the number of
ranks, or to `ReduceOp.AVG`. It reports only where the counts of the ranks differ: a sum that each rank
divided by its own count, or a loss with `ignore_index`.

Instead, reduce the sum and the count, and divide once.

## Example

```python
loss = F.cross_entropy(logits, y, ignore_index=0)
dist.all_reduce(loss)
loss = loss / dist.get_world_size()
```

## Use instead

```python
total = torch.stack([F.cross_entropy(logits, y, ignore_index=0, reduction="sum"), (y != 0).sum()])
dist.all_reduce(total)
loss = total[0] / total[1]
```

## Not reported

Means of batches of equally many examples, as a `DistributedSampler` deals them out; gradients.
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
        if event.name not in ("divide", "average_ranks") or not isinstance(value, Figure):
            return None
        kind = value.kind.removeprefix("ranks_of_")
        if event.name == "divide" and (kind == value.kind or not is_rank_count(event.by, event.node)):
            return None
        if kind == "mean" or (kind == "loss" and "ignore_index" in value.marks):
            return Verdict("Each rank weighs the same in this mean, whatever it has counted.", value)
        return None
