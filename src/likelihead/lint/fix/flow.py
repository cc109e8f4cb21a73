"""Where a value goes: every use of it in the given files, through names, attributes, calls and returns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import libcst as cst
from libcst.metadata import BaseAssignment

from likelihead.lint.fix import torch_names
from likelihead.lint.fix.code import Code, Project
from likelihead.lint.fix.names import bindings_seen, loads, value_of
from likelihead.lint.fix.reach import (
    attribute_reads,
    base_classes,
    called_function,
    definitions,
    is_target,
    parameter_of,
    returns_of,
    top_reads,
)

__all__ = ["Flow", "Place"]

Place = tuple[str, tuple[int, int]]

# What has to be done with a thing to get the value from it, in order: to call it, or to take an entry of it.
# A layer or model is ("()",), its class ("()", "()"), a pair with the value in the first place (0,).
Steps = tuple[str | int, ...]
_CALL = "()"

_QUIET_DECORATORS = {"torch.no_grad", "torch.inference_mode", "typing.override", "abc.abstractmethod"}
_INNER_PARTS = {
    "_modules", "add_module", "append", "children", "extend", "insert", "modules", "named_children",
    "named_modules", "register_forward_hook", "register_module",
}  # fmt: skip


@dataclass
class Flow:
    """All that becomes of a value, followed from where it is made.

    Nothing is assumed of what is not understood: it is an entry of `others`. Attributes are followed by the
    words they are, so a foreign one of the same name is an entry too: rather one too many.

    Attributes:
        project: the given files.
        ends: the calls that the value may reach as their first argument (of ``x.log()`` as its receiver).
        dim: the dimension along which the order of the values is known to stay as it is; ``"any"`` for all.
        stop: whether a call of what is followed is where it ends (for loss objects), not its result.
        reached: the ends it reaches.
        called: with `stop`, the calls.
        shifted: the ends it reaches with something tiny added.
        others: the uses that are something else, ``"path:line"``.
        forks: places where one value or another goes on.
        promised: names of functions and entries of dicts that say they are probabilities.
    """

    project: Project
    ends: frozenset[Place] = frozenset()
    dim: str = "any"
    stop: bool = False
    reached: set[Place] = field(default_factory=set)
    called: set[Place] = field(default_factory=set)
    shifted: set[Place] = field(default_factory=set)
    others: set[str] = field(default_factory=set)
    forks: set[str] = field(default_factory=set)
    promised: set[str] = field(default_factory=set)
    _seen: dict[tuple[str, cst.CSTNode], Steps] = field(default_factory=dict)
    _work: list[tuple[Code, cst.CSTNode, Steps]] = field(default_factory=list)
    _reads: list[tuple[Code, cst.Name]] = field(default_factory=list)
    _parameters: list[tuple[Code, cst.FunctionDef]] = field(default_factory=list)
    _passed: set[tuple[str, cst.CSTNode]] = field(default_factory=set)
    _returned: list[tuple[Code, cst.FunctionDef]] = field(default_factory=list)
    _stored: set[tuple[Code, cst.ClassDef, str]] = field(default_factory=set)

    def run(self, code: Code, node: cst.CSTNode, *, layer: bool) -> Flow:
        """Follow what this expression is: a value, or a layer whose results are followed."""
        self._follow(code, node, (_CALL,) if layer else ())
        while self._work:
            self._step(*self._work.pop())
            if len(self._seen) > 20_000:
                self._other(code, node)
                self._work.clear()
        return self

    def tracks(self, code: Code, node: cst.CSTNode) -> bool:
        """Whether the value passes this node."""
        return (code.path, node) in self._seen

    def _other(self, code: Code, node: cst.CSTNode) -> None:
        self.others.add(f"{code.path}:{code.line(node)}")

    def _follow(self, code: Code, node: cst.CSTNode, steps: Steps) -> None:
        known = self._seen.get((code.path, node))
        if known is None and len(steps) < 7:
            self._seen[code.path, node] = steps
            self._work.append((code, node, steps))
        elif known != steps:
            self._other(code, node)

    # ---- one step

    def _step(self, code: Code, node: cst.CSTNode, steps: Steps) -> None:
        parent = code.parent(node)
        above = code.parent(parent)
        if isinstance(parent, (cst.Expr, cst.Annotation, cst.Del)):
            return
        if isinstance(parent, cst.Arg) and isinstance(above, cst.Call):
            self._argument(code, parent, above, steps)
        elif isinstance(parent, cst.Attribute) and parent.value is node:
            self._attribute(code, parent, steps)
        elif isinstance(parent, cst.Call) and steps[:1] == (_CALL,):
            if self.stop and len(steps) == 1:
                self.called.add((code.path, code.span(parent)))
            else:
                self._follow(code, parent, steps[1:])
        elif isinstance(parent, (cst.Assign, cst.AnnAssign)) and parent.value is node:
            for target in parent.targets if isinstance(parent, cst.Assign) else [parent]:
                self._assigned(code, target.target, steps)
        elif isinstance(parent, cst.Return):
            function = code.function(parent)
            if isinstance(function, cst.FunctionDef):
                self._returns(code, function, steps)
        elif isinstance(parent, cst.IfExp) and parent.test is not node:
            self.forks.add(f"{code.path}:{code.line(node)}")
            self._follow(code, parent, steps)
        elif isinstance(parent, cst.BinaryOperation) and steps == ():
            self._shift(code, node, parent)
        else:
            self._entry(code, node, parent, steps)

    def _entry(self, code: Code, node: cst.CSTNode, parent: cst.CSTNode, steps: Steps) -> None:
        """Into a tuple or dict, or out of it again."""
        above = code.parent(parent)
        if isinstance(parent, cst.Element) and isinstance(above, (cst.Tuple, cst.List)):
            place = above.elements.index(parent)
            if any(isinstance(e, cst.StarredElement) for e in above.elements[:place]):
                self._other(code, node)
            else:
                self._follow(code, above, (place, *steps))
        elif isinstance(parent, cst.DictElement) and parent.value is node and isinstance(above, cst.Dict):
            key = _key(parent.key)
            if key is None:
                self._other(code, node)
            else:
                self._promise(key)
                self._follow(code, above, (key, *steps))
        elif isinstance(parent, cst.Subscript) and parent.value is node and steps[:1] not in ((), (_CALL,)):
            index = parent.slice[0].slice if len(parent.slice) == 1 else None
            key = _key(index.value) if isinstance(index, cst.Index) else None
            if key is None or is_target(code, parent):
                self._other(code, node)
            elif key == steps[0]:
                self._follow(code, parent, steps[1:])
        elif not isinstance(parent, cst.ImportAlias):  # whose reads were followed where it was met
            self._other(code, node)

    def _promise(self, name: str | int) -> None:
        if "prob" in str(name).lower():
            self.promised.add(str(name))

    def _shift(self, code: Code, node: cst.CSTNode, sum_: cst.BinaryOperation) -> None:
        """``log(p + eps)``."""
        outer = code.parent(code.parent(sum_))
        name = code.source(sum_.right)
        place = (code.path, code.span(outer))
        if (
            sum_.left is node
            and isinstance(sum_.operator, cst.Add)
            and (isinstance(sum_.right, cst.Float) or "eps" in name.lower())
            and place in self.ends
        ):
            self.reached.add(place)
            self.shifted.add(place)
        else:
            self._other(code, node)

    # ---- arguments

    def _argument(self, code: Code, arg: cst.Arg, call: cst.Call, steps: Steps) -> None:
        name = code.imported(call.func)
        place = (code.path, code.span(call))
        module = steps[:1] == (_CALL,) and steps[1:2] != (_CALL,)
        if arg.star:
            self._other(code, arg)
        elif steps == () and place in self.ends:
            if call.args[0] is arg or (arg.keyword and arg.keyword.value == "input"):
                self.reached.add(place)
            else:
                self._other(code, arg)
        elif steps == () and name in ("torch.argmax", "torch.max", "numpy.argmax"):
            self._largest(code, call, call.args[1:], name.rpartition(".")[2])
        elif module and name in torch_names.SAME_MODULE and call.args[0] is arg:
            self._follow(code, call, steps)
        elif module and name == "torch.nn.Sequential":
            if call.args[-1] is arg:
                self._follow(code, call, steps)
            else:
                self._other(code, arg)
        elif isinstance(call.func, cst.Name) and call.func.value == "dict" and arg.keyword:
            self._promise(arg.keyword.value)
            self._follow(code, call, (arg.keyword.value, *steps))
        elif _CALL in steps[:1] and code.source(call.func) in ("print", "super", "isinstance"):
            return
        elif module and code.source(call.func).lower().endswith(
            ("trainer.fit", "trainer.validate", "trainer.test")
        ):
            return  # Lightning calls the model's steps, which are seen where they stand
        else:
            self._into_function(code, arg, call, steps)

    def _into_function(self, code: Code, arg: cst.Arg, call: cst.Call, steps: Steps) -> None:
        found = called_function(self.project, code, call.func)
        parameter = parameter_of(found[1], found[2], call, arg) if found is not None else None
        binding = found[0].bound_at(parameter) if found is not None and parameter is not None else None
        if found is None or binding is None:
            self._other(code, arg)
            return
        self._passed.add((code.path, call))
        self._parameters.append((found[0], found[1]))
        self._reads_of(found[0], binding, steps)

    # ---- attributes

    def _attribute(self, code: Code, node: cst.Attribute, steps: Steps) -> None:
        above = code.parent(node)
        attribute = node.attr.value
        call = above if isinstance(above, cst.Call) and above.func is node else None
        if steps == ():
            if call is not None and (code.path, code.span(call)) in self.ends and not call.args:
                self.reached.add((code.path, code.span(call)))
            elif attribute in ("argmax", "max", "topk") and call is not None:
                self._largest(code, call, call.args, attribute)
            elif attribute in ("shape", "device", "dtype", "requires_grad", "size", "dim", "ndim"):
                return
            elif attribute == "data" or (call is not None and attribute in torch_names.SAME_TENSOR_METHODS):
                self._follow(code, call or node, ())
            else:
                self._other(code, node)
        elif steps[0] != _CALL or steps[1:2] == (_CALL,) or attribute in _INNER_PARTS:
            self._other(code, node)
        elif attribute in ("forward", "__call__", "module"):
            self._follow(code, node, steps)
        elif call is not None and attribute in torch_names.SAME_MODULE_METHODS:
            self._follow(code, call, steps)
        # Nothing else that a module has is a result of its `forward`, but for methods that call it, which are
        # followed from there.

    def _largest(self, code: Code, call: cst.Call, rest: Sequence[cst.Arg], name: str) -> None:
        """Which entry is the largest is the same before and after a softmax or sigmoid, its value is not."""
        along = rest[1:] if name == "topk" else rest
        dims = [a for a in along[:1] if a.keyword is None] + [
            a for a in rest if a.keyword and a.keyword.value in ("dim", "axis")
        ]
        known = len(dims) == 1 and (self.dim == "any" or code.source(dims[0].value) == self.dim)
        if not known or (name != "argmax" and not self._only_indices(code, call)):
            self._other(code, call)

    def _only_indices(self, code: Code, call: cst.Call) -> bool:
        parent = code.parent(call)
        if isinstance(parent, cst.Attribute):
            return parent.attr.value == "indices"
        if isinstance(parent, cst.Subscript) and len(parent.slice) == 1:
            return code.source(parent.slice[0]) in ("1", "-1")
        if isinstance(parent, cst.Assign) and len(parent.targets) == 1:
            target = parent.targets[0].target
            if isinstance(target, cst.Tuple) and len(target.elements) == 2:
                binding = code.bound_at(target.elements[0].value)
                return binding is not None and not loads(code, binding)
        return False

    # ---- names

    def _assigned(self, code: Code, target: cst.CSTNode, steps: Steps) -> None:
        binding = code.bound_at(target)
        if binding is not None:
            self._reads_of(code, binding, steps)
        elif isinstance(target, (cst.Tuple, cst.List)) and steps:
            elements = target.elements
            if isinstance(steps[0], int) and steps[0] < len(elements) and not _starred(target):
                self._assigned(code, elements[steps[0]].value, steps[1:])
            else:
                self._other(code, target)
        elif (
            isinstance(target, cst.Attribute)
            and isinstance(target.value, cst.Name)
            and target.value.value == "self"
            and (owner := code.owner(target)) is not None
        ):
            self._stored.add((code, owner, target.attr.value))
            self._mentions(attribute_reads(self.project, code, owner, target.attr.value), steps)
        else:
            self._other(code, target)

    def _reads_of(self, code: Code, binding: BaseAssignment, steps: Steps) -> None:
        for place in loads(code, binding):
            if isinstance(place, cst.Name) and not isinstance(code.parent(place), cst.AugAssign):
                self._reads.append((code, place))
                self._follow(code, place, steps)
            else:
                self._other(code, place)
        if binding.scope is code.scopes.get(code.module):
            self._mentions(top_reads(self.project, code, binding), steps)

    def _mentions(self, mentions: Iterable[tuple[Code, cst.CSTNode, bool]], steps: Steps) -> int:
        count = 0
        for there, node, understood in mentions:
            count += 1
            if understood:
                self._follow(there, node, steps)
            else:
                self._other(there, node)
        return count

    # ---- functions

    def _returns(self, code: Code, function: cst.FunctionDef, steps: Steps) -> None:
        again = (code, function) in self._returned
        self._returned.append((code, function))
        if again and self._seen.get((code.path, function)) == steps:
            return
        if self._seen.setdefault((code.path, function), steps) != steps or not _is_plain(code, function):
            self._other(code, function)
            return
        self._promise(function.name.value)
        owner = code.parent(code.parent(function))
        binding = code.bound_at(owner if isinstance(owner, cst.ClassDef) else function)
        if binding is None:
            self._other(code, function)
        elif not isinstance(owner, cst.ClassDef):
            before = len(self._seen)
            self._reads_of(code, binding, (_CALL, *steps))
            if len(self._seen) == before:
                self._other(code, function)  # called by whom, is not seen
        elif function.name.value not in ("forward", "__call__"):
            reads = attribute_reads(self.project, code, owner, function.name.value)
            if not self._mentions(reads, (_CALL, *steps)):
                self._other(code, function)
        elif owner.decorators:
            self._other(code, owner)
        else:
            for base in base_classes(self.project, code, owner):
                if base is None:
                    self._other(code, owner)
                    continue
                for method in definitions(base[1]):
                    self._own_calls(base[0], method, (_CALL, *steps))
            self._reads_of(code, binding, (_CALL, _CALL, *steps))

    def _own_calls(self, code: Code, method: cst.CSTNode, steps: Steps) -> None:
        """What a class does with itself: ``self(x)``, ``self.forward(x)``, or ``self`` passed on."""
        if not isinstance(method, cst.FunctionDef) or not method.params.params:
            return
        binding = code.bound_at(method.params.params[0])
        for place in loads(code, binding) if binding is not None else ():
            parent = code.parents.get(place)
            if not isinstance(parent, cst.Attribute) or parent.attr.value in ("forward", "__call__"):
                self._follow(code, place, steps)

    # ---- what else may come the same way

    def mixed(self) -> set[str]:
        """The places, ``"path:line"``, where a value that is not followed may come in the same way."""
        found = set(self.forks)
        for code, name in self._reads:
            if not all(self._is_tracked(code, binding) for binding in bindings_seen(code, name)):
                found.add(f"{code.path}:{code.line(name)}")
        for code, function in self._returned:
            for out in returns_of(code, function):
                if out.value is not None and not self.tracks(code, out.value):
                    found.add(f"{code.path}:{code.line(out)}")
        for code, function in self._parameters:
            if not self._always_passed(code, function):
                found.add(f"{code.path}:{code.line(function)}")
        for code, owner, attribute in self._stored:
            for word in code.mentions(attribute):
                node = code.parent(word)
                if isinstance(node, cst.Attribute) and code.owner(node) is owner and is_target(code, node):
                    assign = code.parent(code.parent(node))
                    value = assign.value if isinstance(assign, cst.Assign) else None
                    if value is None or not self.tracks(code, value):
                        found.add(f"{code.path}:{code.line(node)}")
        return found

    def _is_tracked(self, code: Code, binding: BaseAssignment) -> bool:
        node = getattr(binding, "node", None)
        if isinstance(node, cst.Param):
            function = code.function(node)
            return any(function is known for _, known in self._parameters)
        if isinstance(node, (cst.FunctionDef, cst.ClassDef, cst.ImportFrom)):
            return True
        value = value_of(code, binding)
        return value is not None and self.tracks(code, value)

    def _always_passed(self, code: Code, function: cst.FunctionDef) -> bool:
        """Whether each mention of the function is a call that passes what is followed."""
        owner = code.parent(code.parent(function))
        if isinstance(owner, cst.ClassDef) and function.name.value in ("forward", "__call__"):
            return False  # called through its objects, which are not gone after
        method = isinstance(owner, cst.ClassDef) and function.name.value != "__init__"
        if isinstance(owner, cst.ClassDef) and method:
            reads = list(attribute_reads(self.project, code, owner, function.name.value))
        else:
            binding = code.bound_at(owner if isinstance(owner, cst.ClassDef) else function)
            if binding is None:
                return False
            reads = [(code, node, True) for node in loads(code, binding)]
            if binding.scope is code.scopes.get(code.module):
                reads += top_reads(self.project, code, binding)
        return all(
            understood and (there.path, there.parent(n)) in self._passed for there, n, understood in reads
        )


def _is_plain(code: Code, function: cst.FunctionDef) -> bool:
    return function.asynchronous is None and all(
        code.imported(d.decorator.func if isinstance(d.decorator, cst.Call) else d.decorator)
        in _QUIET_DECORATORS
        for d in function.decorators
    )


def _key(node: cst.BaseExpression) -> str | int | None:
    if isinstance(node, cst.Integer):
        return int(node.value, 0)
    if isinstance(node, cst.SimpleString) and isinstance(node.evaluated_value, str):
        return node.evaluated_value
    return None


def _starred(target: cst.Tuple | cst.List) -> bool:
    return any(isinstance(element, cst.StarredElement) for element in target.elements)
