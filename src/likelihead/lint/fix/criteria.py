"""The losses: which one a call runs, and the other one that takes logits."""

from __future__ import annotations

from dataclasses import dataclass, field

import libcst as cst

from likelihead.lint.fix import torch_names
from likelihead.lint.fix.code import Code, Project
from likelihead.lint.fix.edits import Edits
from likelihead.lint.fix.flow import Flow, Place
from likelihead.lint.fix.makers import Cannot

__all__ = ["Criteria", "Criterion"]


@dataclass(eq=False)
class Criterion:
    """A loss function where it is called, or a loss object where it is made.

    Attributes:
        code: the file.
        func: what is to be renamed.
        called: the places of its calls.
        others: what else is done with the object.
        mixed: places where another object may be called in its stead.
    """

    code: Code
    func: cst.BaseExpression
    called: set[Place]
    others: set[str] = field(default_factory=set)
    mixed: set[str] = field(default_factory=set)

    def take_logits(self, edits: Edits) -> None:
        """Make it the loss that takes logits."""
        name = self.code.imported(self.func)
        if name is None or not edits.rename(self.code, self.func, torch_names.LOSSES[name]):
            raise Cannot(
                f"how the loss of {self.code.path}:{self.code.line(self.func)} is imported was not followed"
            )


class Criteria:
    """Finds the loss of each call, following each loss object once."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self._made: dict[str, list[Criterion]] = {}

    def at(self, code: Code, call: cst.Call, losses: tuple[str, ...]) -> Criterion:
        """The loss, one of `losses` by their full names, that a call runs."""
        place = (code.path, code.span(call))
        name = code.imported(call.func)
        if name in losses:
            return Criterion(code, call.func, {place})
        found = [c for loss in losses if loss[-1] == "s" for c in self._objects(loss) if place in c.called]
        if len(found) != 1:
            raise Cannot(f"which loss object is called at {code.path}:{code.line(call)} was not followed")
        return found[0]

    def _objects(self, loss: str) -> list[Criterion]:
        if loss not in self._made:
            self._made[loss] = [
                Criterion(code, call.func, flow.called, flow.others, flow.mixed())
                for code in self.project.holding(loss.rpartition(".")[2])
                for call in list(code.calls())
                if code.imported(call.func) == loss
                for flow in [Flow(self.project, stop=True).run(code, call, layer=True)]
            ]
        return self._made[loss]
