"""A perplexity of the wrong base: two to the power of nats, or the exponential of bits.

The losses of torch are in nats. The linter follows their unit through sums and divisions; a division by
`math.log(2)` makes bits of nats.

Instead, `math.exp(nats)` or `2 ** bits`.

## Example

```python
perplexity = 2 ** F.cross_entropy(logits, y).item()
```

## Use instead

```python
perplexity = math.exp(F.cross_entropy(logits, y).item())
```

## Not reported

A loss that was multiplied or divided by what may be a conversion and is not known to be one.
"""

from __future__ import annotations

from likelihead.lint.interpreter.events import Reading
from likelihead.lint.knowledge.call import number
from likelihead.lint.rules.base import Rule, Verdict
from likelihead.lint.values import Figure

__all__ = ["LH702", "is_perplexity"]

# Of other losses no perplexity is taken.
_FAMILIES = frozenset(("cross_entropy", "nll"))


def is_perplexity(event: Reading) -> bool:
    """Whether a perplexity is made of a figure in nats or bits."""
    value = event.value
    return (
        isinstance(value, Figure)
        and bool(value.unit)
        and bool(value.marks & _FAMILIES)
        and (event.name == "exp" or (event.name == "power" and number(event.by) == 2))
    )


class LH702(Rule):
    """Perplexity with the wrong base."""

    code = "LH702"

    def reading(self, event: Reading) -> Verdict | None:
        value = event.value
        if not isinstance(value, Figure) or not is_perplexity(event):
            return None
        if event.name == "power" and value.unit == "nats":
            return Verdict("This is two to the power of nats, which are for the exponential.", value)
        if event.name == "exp" and value.unit == "bits":
            return Verdict("This is the exponential of bits, which are for the powers of two.", value)
        return None
