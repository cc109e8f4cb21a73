"""Perplexity of the wrong base: two to the power of nats, or the exponential of bits.

The losses of torch are in nats. Their unit is followed through sums, means and divisions; a division by
`math.log(2)` makes bits of nats. The finding is the exponential.

## Example

```python
perplexity = 2 ** F.cross_entropy(logits, y)
```

## Use instead

```python
perplexity = torch.exp(F.cross_entropy(logits, y))
```

## Not reported

A loss that was multiplied or divided by what may be a conversion and is not known to be one; `nll_loss` of
what may be logarithms to another base; powers of other losses.
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
        if event.name == "power" and value.unit == "nats" and "of an unknown base" not in value.marks:
            return Verdict("This is two to the power of nats, which are for the exponential.", value)
        if event.name == "exp" and value.unit == "bits":
            return Verdict("This is the exponential of bits, which are for the powers of two.", value)
        return None
