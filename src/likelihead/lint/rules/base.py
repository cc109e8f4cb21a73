"""What a rule is: it looks at what the interpreter tells, and answers with a verdict where it is certain.

A rule has a file of its own, whose docstring is its page of documentation. It defines the methods of the
events that it
looks at. An event of which a value has several alternatives is shown to the rules once for each; what is
reported has to hold for all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from likelihead.lint.interpreter.events import Built, Comparison, Event, Link, LossCall, Reading
from likelihead.lint.values import Figure, Made, Tensor, Value

__all__ = ["Rule", "Verdict", "made_by"]


@dataclass(eq=False)
class Verdict:
    """A hazard is there.

    Attributes:
        detail: what is known of this case, as a full sentence.
        source: the value that is at fault; the finding says where it was made.
        event: where, if it is not the event that the rule was asked about.
        until: asked when the whole file was looked at: whether it is a hazard after all. For what is only
            known from what becomes of a value later, or from what else takes it.
    """

    detail: str
    source: Value | None = None
    event: Event | None = None
    until: Callable[[], bool] | None = None


class Rule:
    """One hazard of the table; an object lives as long as the analysis of one file."""

    code: str

    def loss(self, call: LossCall) -> Verdict | None:
        """A loss takes an input and a target."""
        return None

    def link(self, event: Link) -> Verdict | None:
        """A softmax, sigmoid, log or exp is applied."""
        return None

    def comparison(self, event: Comparison) -> Verdict | None:
        """A tensor or figure is compared."""
        return None

    def built(self, event: Built) -> Verdict | None:
        """A loss object is made."""
        return None

    def reading(self, event: Reading) -> Verdict | None:
        """A figure is divided, averaged, taken the exponential of, or differentiated."""
        return None

    def end(self) -> Iterator[Verdict]:
        """The whole file was looked at; for what takes several events to know."""
        return iter(())


def made_by(value: Value | None) -> Made | None:
    """Where a value was made, if that is known."""
    return value.made if isinstance(value, (Tensor, Figure)) else None
