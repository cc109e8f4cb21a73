"""The mean over batches of the means of batches that are not all of one size.

The linter follows the losses of the batches into sums (`total += loss.item()`) and lists, to the division
by the number of batches (`len(loader)`, a counter, `len(losses)`) or the mean of the list. It reports only
where it sees that the batches differ: a `DataLoader` without `drop_last` whose data are not known to be a
multiple of the batch size, a loss with `ignore_index`, or parts of a tensor that do not divide it.

Instead, add `loss.item() * len(target)` (or the number of tokens that count), and divide by the sum of
those numbers.

## Example

```python
for x, y in DataLoader(data, batch_size=32):
    total += F.cross_entropy(net(x), y).item()
mean = total / len(loader)
```

## Use instead

```python
for x, y in DataLoader(data, batch_size=32):
    total += F.cross_entropy(net(x), y, reduction="sum").item()
    count += len(y)
mean = total / count
```

## Not reported

Averages that are looked at within the loop, or over an interval of it; loaders with `drop_last`, of one
example a batch, or of which nothing is known.
"""

from __future__ import annotations

from likelihead.lint.interpreter.events import Reading
from likelihead.lint.rules.base import Rule, Verdict
from likelihead.lint.values import Figure

__all__ = ["LH501"]


class LH501(Rule):
    """Mean of per-batch means."""

    code = "LH501"

    def reading(self, event: Reading) -> Verdict | None:
        value = event.value
        if (
            event.name in ("divide", "mean")
            and isinstance(value, Figure)
            and value.kind in ("loss", "sum_of_means")
            and "becomes a mean of means" in value.marks
        ):
            return Verdict(
                "Each batch weighs the same in this mean, and they are not all of one size.", value
            )
        return None
