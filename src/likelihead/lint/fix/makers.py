"""The activations: what makes a value, what it is made of, and how to do without."""

from __future__ import annotations

from dataclasses import dataclass, field

import libcst as cst

from likelihead.lint.findings import Place
from likelihead.lint.fix import torch_names
from likelihead.lint.fix.code import Code, Project
from likelihead.lint.fix.edits import Edits
from likelihead.lint.fix.flow import Flow

__all__ = ["Applied", "Cannot", "Layer", "Made", "made_at"]


class Cannot(Exception):
    """A fix cannot be made; the message is the reason."""


@dataclass(eq=False)
class Applied:
    """An activation that is called: ``F.softmax(x, dim=1)``, ``x.sigmoid()``, ``self.softmax(x)``."""

    code: Code
    call: cst.Call
    input: cst.BaseExpression
    casts: bool = False  # by dtype=


@dataclass(eq=False)
class Layer:
    """An activation that is the last layer of a Sequential."""

    code: Code
    element: cst.Arg | cst.Element
    among: list[cst.Arg] | list[cst.Element]
    sequential: cst.Call


@dataclass(eq=False)
class Made:
    """What makes the value of a finding.

    Attributes:
        code: the file.
        kind: ``"softmax"``, ``"log_softmax"`` or ``"sigmoid"``.
        dim: as it is written; ``"any"`` for a sigmoid.
        construct: the call that makes the layer, if it is a layer.
        layer: where it is the last one of a Sequential.
        applied: its calls otherwise, all of them.
        others: what else the layer is used for.
    """

    code: Code
    kind: str
    dim: str
    construct: cst.Call | None = None
    layer: Layer | None = None
    applied: list[Applied] = field(default_factory=list)
    others: set[str] = field(default_factory=set)

    @property
    def start(self) -> cst.Call:
        """The call that tells it from all others."""
        return self.construct or self.applied[0].call

    def take_the_log(self, edits: Edits) -> None:
        """Make its logarithm in its place."""
        func = self.start.func
        name = func.attr.value if isinstance(func, cst.Attribute) else cst.ensure_type(func, cst.Name).value
        imported = (self.code.imported(func) or name).rpartition(".")[2]
        new = torch_names.LOG_OF.get(imported)
        if new is None or not edits.rename(self.code, func, new):
            raise Cannot(f"{name} has no logarithmic form of the same arguments")

    def forget_the_layer(self, edits: Edits) -> None:
        """Remove the statement that makes the layer, which nothing calls any more."""
        if self.construct is None or self.others:
            return
        assign = self.code.parent(self.construct)
        if isinstance(assign, cst.Assign) and len(assign.targets) == 1:
            edits.remove_statement(self.code, assign)


def made_at(project: Project, place: Place) -> Made:
    """The activation that stands at a place."""
    code = project.code(place.path)
    call = code.call_at(place) if code is not None else None
    if code is None or call is None:
        raise Cannot(
            f"{place.path}:{place.line} does not hold the call that was found: has the file changed?"
        )
    made = _function(code, call) or _layer(project, code, call)
    if made is None:
        for candidate in code.calls():
            kind = torch_names.ACTIVATIONS.get(code.imported(candidate.func) or "")
            if kind is not None and candidate is not call:
                other = _function(code, candidate) or _layer(project, code, candidate)
                if other is not None and any(a.code is code and a.call is call for a in other.applied):
                    return other
        raise Cannot(f"what is called at {place.path}:{place.line} is not known to be an activation")
    return made


def _function(code: Code, call: cst.Call) -> Made | None:
    name = code.imported(call.func)
    kind = torch_names.ACTIVATIONS.get(name or "")
    if kind is not None and name is not None and not _is_layer(name):
        given = _argument(call, 0, "input")
        if given is None:
            return None
        made = Made(code, kind, "any" if kind == "sigmoid" else _dim(code, call, 1))
        made.applied.append(
            Applied(code, call, given, any(a.keyword and a.keyword.value == "dtype" for a in call.args))
        )
        return made
    func = call.func
    if name is None and isinstance(func, cst.Attribute) and func.attr.value in torch_names.METHODS:
        kind = func.attr.value
        first = _argument(call, 0, "dim")
        dim = isinstance(first, (cst.Integer, cst.UnaryOperation)) and call.args[0].value is first
        if (kind == "sigmoid" and not call.args) or (kind != "sigmoid" and dim):
            made = Made(code, kind, "any" if first is None else code.source(first))
            made.applied.append(Applied(code, call, func.value, len(call.args) > 1))
            return made
    return None


def _layer(project: Project, code: Code, call: cst.Call) -> Made | None:
    name = code.imported(call.func)
    kind = torch_names.ACTIVATIONS.get(name or "")
    if kind is None or name is None or not _is_layer(name):
        return None
    dim = {"Sigmoid": "any", "Softmax2d": "1"}.get(name.rpartition(".")[2]) or _dim(code, call, 0)
    made = Made(code, kind, dim, construct=call)
    made.layer = _last_of_sequential(code, call)
    if made.layer is None:
        flow = Flow(project, stop=True).run(code, call, layer=True)
        made.others = flow.others
        for path, span in sorted(flow.called):
            there = project.code(path)
            for applied in there.calls() if there is not None else ():
                if there is not None and there.span(applied) == span:
                    given = _argument(applied, 0, "input")
                    if given is not None:
                        made.applied.append(Applied(there, applied, given))
        if not made.applied:
            raise Cannot(f"where the layer of {code.path}:{code.line(call)} is applied was not followed")
    return made


def _last_of_sequential(code: Code, call: cst.Call) -> Layer | None:
    arg = code.parent(call)
    outer = code.parent(arg)
    if isinstance(arg, cst.Arg) and isinstance(outer, cst.Call) and _is_sequential(code, outer):
        layer = Layer(code, arg, list(outer.args), outer)
    elif isinstance(arg, cst.Element) and isinstance(outer, cst.Tuple) and len(outer.elements) == 2:
        element = code.parent(outer)
        pairs = code.parent(element)
        held = code.parent(pairs)
        ordered = code.parent(held)
        given = code.parent(ordered)
        sequential = code.parent(given)
        if not (
            isinstance(element, cst.Element)
            and isinstance(pairs, (cst.List, cst.Tuple))
            and isinstance(ordered, cst.Call)
            and code.imported(ordered.func) == "collections.OrderedDict"
            and isinstance(sequential, cst.Call)
            and _is_sequential(code, sequential)
        ):
            return None
        layer = Layer(code, element, [e for e in pairs.elements if isinstance(e, cst.Element)], sequential)
    else:
        return None
    if layer.among[-1] is not layer.element:
        raise Cannot(f"the layer of {code.path}:{code.line(call)} is not the last one of its Sequential")
    return layer


def _is_layer(name: str) -> bool:
    return name.rpartition(".")[2][0].isupper()


def _is_sequential(code: Code, call: cst.Call) -> bool:
    return code.imported(call.func) in ("torch.nn.Sequential", "torch.nn.modules.Sequential")


def _argument(call: cst.Call, place: int, keyword: str) -> cst.BaseExpression | None:
    for arg in call.args:
        if arg.star:
            return None
        if arg.keyword is not None and arg.keyword.value == keyword:
            return arg.value
    if len(call.args) > place and call.args[place].keyword is None:
        return call.args[place].value
    return None


def _dim(code: Code, call: cst.Call, place: int) -> str:
    given = _argument(call, place, "dim")
    return code.source(given) if given is not None else ""
