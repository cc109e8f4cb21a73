"""The mean over batches of the means of batches that are not all of one size.

The losses of the batches are followed into sums (`total += loss.item()`) and lists, to the division by the
number of batches (`len(loader)`, a counter, `len(losses)`) or the mean of the list. The finding is that
division or mean. It needs evidence that the batches differ: a `DataLoader` whose data are not known to be a
multiple of the batch size, a loss with `ignore_index`, or a `split` or `range` that leaves a rest.

## Example

```python
loader = DataLoader(dataset, batch_size=64)
total = 0.0
for x, y in loader:
    total += criterion(model(x), y).item()
mean = total / len(loader)
```

## Use instead

```python
total, count = 0.0, 0
for x, y in loader:
    total += criterion(model(x), y).item() * len(y)
    count += len(y)
mean = total / count
```

## Not reported

Averages that are looked at within the loop, or over an interval of it; loaders with `drop_last`, of one
example a batch, or of which nothing is known; loops that a `break` or `continue` may end early; averages
that a class of its own keeps.
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
