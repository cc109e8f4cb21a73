"""Where a value goes: every use of it in the given files, through names, attributes, calls and returns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import libcst as cst
from libcst.metadata import BaseAssignment

from likelihead.lint.fix import torch_names
from likelihead.lint.fix.code import Code, Project
from likelihead.lint.fix.names import bindings_seen, loads, value_of

__all__ = ["Flow", "Place"]

Place = tuple[str, tuple[int, int]]

_QUIET_DECORATORS = {"torch.no_grad", "torch.inference_mode", "typing.override", "abc.abstractmethod"}
_INNER_PARTS = {
    "_modules", "add_module", "append", "children", "extend", "insert", "modules", "named_children",
    "named_modules", "register_forward_hook", "register_module",
}  # fmt: skip


@dataclass
class Flow:
    """All that becomes of a value, followed from where it is made.

    What is followed has an order: 0 is the value itself, 1 what gives it when called (a layer, a model, a
    function), 2 what gives such a thing when called (a class). Nothing is assumed of what is not understood:
    it is an entry of `others`. Attributes are followed by the words they are, so a foreign one of the same
    name is an entry too: rather one too many.

    Attributes:
        project: the given files.
        ends: the calls that the value may reach as their first argument (of ``x.log()`` as its receiver).
        dim: the dimension along which the order of the values is known to stay as it is; ``"any"`` for all.
        stop: whether a call of what is followed is where it ends (for loss objects), not its result.
        reached: the ends it reaches.
        called: with `stop`, the calls.
        others: the uses that are something else, ``"path:line"``.
        forks: places where one value or another goes on.
    """

    project: Project
    ends: frozenset[Place] = frozenset()
    dim: str = "any"
    stop: bool = False
    reached: set[Place] = field(default_factory=set)
    called: set[Place] = field(default_factory=set)
    others: set[str] = field(default_factory=set)
    forks: set[str] = field(default_factory=set)
    _seen: dict[tuple[str, cst.CSTNode], int] = field(default_factory=dict)
    _work: list[tuple[Code, cst.CSTNode, int]] = field(default_factory=list)
    _reads: list[tuple[Code, cst.Name]] = field(default_factory=list)
    _parameters: list[tuple[Code, cst.FunctionDef]] = field(default_factory=list)
    _passed: set[tuple[str, cst.CSTNode]] = field(default_factory=set)
    _returned: list[tuple[Code, cst.FunctionDef]] = field(default_factory=list)
    _stored: set[tuple[Code, cst.ClassDef, str]] = field(default_factory=set)

    def run(self, code: Code, node: cst.CSTNode, order: int) -> Flow:
        """Follow what this expression is."""
        self._follow(code, node, order)
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

    # ---- one step

    def _step(self, code: Code, node: cst.CSTNode, order: int) -> None:
        parent = code.parent(node)
        above = code.parents.get(parent)
        if isinstance(parent, (cst.Expr, cst.Annotation, cst.Del)):
            return
        if isinstance(parent, cst.Arg) and isinstance(above, cst.Call):
            self._argument(code, parent, above, order)
        elif isinstance(parent, cst.Attribute) and parent.value is node:
            self._attribute(code, parent, order)
        elif isinstance(parent, cst.Call) and order > 0:
            if self.stop and order == 1:
                self.called.add((code.path, code.span(parent)))
            else:
                self._follow(code, parent, order - 1)
        elif isinstance(parent, (cst.Assign, cst.AnnAssign)) and parent.value is node:
            targets = (
                [t.target for t in parent.targets] if isinstance(parent, cst.Assign) else [parent.target]
            )
            for target in targets:
                self._assigned(code, target, order)
        elif isinstance(parent, cst.Return):
            function = code.function(parent)
            if isinstance(function, cst.FunctionDef):
                self._returns(code, function, order)
        elif isinstance(parent, cst.IfExp) and parent.test is not node:
            self.forks.add(f"{code.path}:{code.line(node)}")
            self._follow(code, parent, order)
        elif isinstance(parent, cst.ImportAlias):
            return  # its references were followed where it was met
        else:
            self._other(code, node)

    def _follow(self, code: Code, node: cst.CSTNode, order: int) -> None:
        known = self._seen.get((code.path, node))
        if known is None and order < 5:
            self._seen[code.path, node] = order
            self._work.append((code, node, order))
        elif known != order:
            self._other(code, node)

    # ---- arguments

    def _argument(self, code: Code, arg: cst.Arg, call: cst.Call, order: int) -> None:
        if arg.star:
            self._other(code, arg)
            return
        name = code.imported(call.func)
        if order == 0 and (code.path, code.span(call)) in self.ends:
            if call.args[0] is arg or (arg.keyword and arg.keyword.value == "input"):
                self.reached.add((code.path, code.span(call)))
            else:
                self._other(code, arg)
        elif order == 0 and name in ("torch.argmax", "torch.max", "numpy.argmax"):
            self._largest(code, call, call.args[1:], name.rpartition(".")[2])
        elif order == 1 and name in torch_names.SAME_MODULE and call.args[0] is arg:
            self._follow(code, call, 1)
        elif order == 1 and name == "torch.nn.Sequential":
            if call.args[-1] is arg:
                self._follow(code, call, 1)
            else:
                self._other(code, arg)
        elif (
            order > 0
            and isinstance(call.func, cst.Name)
            and call.func.value in ("print", "super", "isinstance")
        ):
            return
        else:
            self._into_function(code, arg, call, order)

    def _into_function(self, code: Code, arg: cst.Arg, call: cst.Call, order: int) -> None:
        found = self._definition(code, call.func)
        if found is None:
            self._other(code, arg)
            return
        there, function, bound = found
        parameters = [*function.params.posonly_params, *function.params.params]
        if arg.keyword:
            names = [*parameters, *function.params.kwonly_params]
            chosen = [p for p in names if p.name.value == arg.keyword.value]
        else:
            place = call.args.index(arg)
            starred = any(a.star for a in call.args[:place])
            chosen = [] if starred else parameters[place + bound : place + bound + 1]
        if not chosen:
            self._other(code, arg)
            return
        self._passed.add((code.path, call))
        self._parameters.append((there, function))
        binding = there.bound_at(chosen[0])
        if binding is not None:
            self._reads_of(there, binding, order)

    def _definition(self, code: Code, func: cst.BaseExpression) -> tuple[Code, cst.FunctionDef, int] | None:
        """The function that a call runs, and how many of its first parameters are already bound."""
        if (
            isinstance(func, cst.Attribute)
            and isinstance(func.value, cst.Name)
            and func.value.value == "self"
        ):
            owner = code.owner(func)
            method = owner and _method(owner, func.attr.value)
            return (code, method, 1) if method and not method.decorators else None
        if not isinstance(func, cst.Name):
            return None
        bindings = code.bindings(func)
        if len(bindings) != 1:
            return None
        node = getattr(bindings[0], "node", None)
        there: Code | None = code
        if isinstance(node, cst.ImportFrom) and node.module is not None:
            there, node = self._imported_definition(code, func, node)
        if there is None:
            return None
        if isinstance(node, cst.ClassDef):
            start = _method(node, "__init__")
            return (there, start, 1) if start else None
        if isinstance(node, cst.FunctionDef) and not node.decorators:
            return there, node, 0
        return None

    def _imported_definition(
        self, code: Code, name: cst.Name, statement: cst.ImportFrom
    ) -> tuple[Code | None, cst.CSTNode | None]:
        dotted = code.imported(name)
        if dotted is None or statement.module is None:
            return None, None
        files = self.project.module_files(code.source(statement.module))
        there = self.project.code(files[0]) if len(files) == 1 else None
        wanted = dotted.rpartition(".")[2]
        found = [d for d in _definitions(there) if d.name.value == wanted] if there else []
        return (there, found[0]) if len(found) == 1 else (None, None)

    # ---- attributes

    def _attribute(self, code: Code, node: cst.Attribute, order: int) -> None:
        above = code.parent(node)
        attribute = node.attr.value
        call = above if isinstance(above, cst.Call) and above.func is node else None
        if order == 0:
            if call is not None and (code.path, code.span(call)) in self.ends and not call.args:
                self.reached.add((code.path, code.span(call)))
            elif attribute in ("argmax", "max", "topk") and call is not None:
                self._largest(code, call, call.args, attribute)
            elif attribute in ("shape", "device", "dtype", "requires_grad", "size", "dim", "ndim"):
                return
            elif attribute == "data" or (call is not None and attribute in torch_names.SAME_TENSOR_METHODS):
                self._follow(code, call or node, 0)
            else:
                self._other(code, node)
        elif order > 1 or attribute in _INNER_PARTS:
            self._other(code, node)
        elif attribute in ("forward", "__call__", "module"):
            self._follow(code, node, 1)
        elif call is not None and attribute in torch_names.SAME_MODULE_METHODS:
            self._follow(code, call, 1)

    def _largest(self, code: Code, call: cst.Call, rest: Sequence[cst.Arg], name: str) -> None:
        """Which entry is the largest is the same before and after a softmax or sigmoid, its value is not."""
        along = rest[1:] if name == "topk" else rest
        dims = [a for a in along[:1] if a.keyword is None] + [
            a for a in rest if a.keyword and a.keyword.value in ("dim", "axis")
        ]
        if len(dims) != 1 or (self.dim != "any" and code.source(dims[0].value) != self.dim):
            self._other(code, call)
        elif name == "argmax":
            return
        elif not self._only_indices(code, call):
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

    def _assigned(self, code: Code, target: cst.CSTNode, order: int) -> None:
        if isinstance(target, cst.Name):
            binding = code.bound_at(target)
            if binding is None:
                self._other(code, target)
            else:
                self._reads_of(code, binding, order)
        elif (
            isinstance(target, cst.Attribute)
            and isinstance(target.value, cst.Name)
            and target.value.value == "self"
            and (owner := code.owner(target)) is not None
        ):
            self._stored.add((code, owner, target.attr.value))
            self._attribute_reads(code, owner, target.attr.value, order)
        else:
            self._other(code, target)

    def _reads_of(self, code: Code, binding: BaseAssignment, order: int) -> None:
        for place in loads(code, binding):
            if isinstance(place, cst.Name) and not isinstance(code.parent(place), cst.AugAssign):
                self._reads.append((code, place))
                self._follow(code, place, order)
            elif isinstance(place, cst.Attribute):  # libcst's access of an imported module's attribute
                self._follow(code, place, order)
            else:
                self._other(code, place)
        top = code.scopes.get(code.module)
        if binding.scope is top:
            self._elsewhere(code, binding, order)

    def _attribute_reads(self, code: Code, owner: cst.ClassDef, name: str, order: int) -> None:
        for there in self.project.holding(name):
            for word in there.mentions(name):
                node = there.parent(word)
                if isinstance(word, cst.SimpleString):
                    if _is_looked_up(there, word):
                        self._other(there, word)
                elif (
                    isinstance(node, cst.Attribute)
                    and node.attr is word
                    and not _is_target(there, node)
                    and there.imported(node) is None
                    and not self._foreign(code, owner, there, node)
                ):
                    self._follow(there, node, order)

    def _foreign(self, code: Code, owner: cst.ClassDef, there: Code, node: cst.Attribute) -> bool:
        """Whether it is surely the attribute of another class: of the ``self`` of one that is no relative."""
        if not (isinstance(node.value, cst.Name) and node.value.value == "self"):
            return False
        other = there.owner(node)
        if other is None or other is owner:
            return False
        family = {there.source(base.value).rpartition(".")[2] for base in other.bases}
        family |= {code.source(base.value).rpartition(".")[2] for base in owner.bases}
        known = {other.name.value, owner.name.value}
        own = {d.name.value for d in _definitions(there) if isinstance(d, cst.ClassDef)} | {owner.name.value}
        return not (known & family) and not (family & own)

    # ---- functions

    def _returns(self, code: Code, function: cst.FunctionDef, order: int) -> None:
        if (code, function) in self._returned:
            return
        self._returned.append((code, function))
        if function.asynchronous is not None or any(
            code.imported(d.decorator.func if isinstance(d.decorator, cst.Call) else d.decorator)
            not in _QUIET_DECORATORS
            for d in function.decorators
        ):
            self._other(code, function)
            return
        holder = code.parent(code.parent(function))
        if not isinstance(holder, cst.ClassDef):
            binding = code.bound_at(function)
            before = len(self._seen)
            if binding is not None:
                self._reads_of(code, binding, order + 1)
            if len(self._seen) == before and binding is not None and not binding.references:
                self._other(code, function)  # called by whom, is not seen
            return
        if function.name.value not in ("forward", "__call__"):
            before = len(self._seen)
            self._attribute_reads(code, holder, function.name.value, order + 1)
            if len(self._seen) == before:
                self._other(code, function)
            return
        binding = code.bound_at(holder)
        if binding is None or holder.decorators:
            self._other(code, holder)
            return
        for method in _definitions(holder):
            self._own_calls(code, method, order + 1)
        self._reads_of(code, binding, order + 2)

    def _own_calls(self, code: Code, method: cst.CSTNode, order: int) -> None:
        """What a class does with itself: ``self(x)``, ``self.forward(x)``, or ``self`` passed on."""
        if not isinstance(method, cst.FunctionDef) or not method.params.params:
            return
        binding = code.bound_at(method.params.params[0])
        for place in loads(code, binding) if binding is not None else ():
            parent = code.parents.get(place)
            if not isinstance(parent, cst.Attribute) or parent.attr.value in ("forward", "__call__"):
                self._follow(code, place, order)

    def _elsewhere(self, code: Code, binding: BaseAssignment, order: int) -> None:
        """The uses in other files of what stands at the top of this one."""
        name = binding.name
        exporters = {code.path}
        known = 0
        while len(exporters) != known:
            known = len(exporters)
            for there in self.project.holding(name):
                if any(self._brings(there, b.node, name, exporters) for b in there.imports):
                    exporters.add(there.path)
        is_class = isinstance(getattr(binding, "node", None), cst.ClassDef)
        for there in self.project.holding(name):
            for word in there.mentions(name):
                parent = there.parent(word)
                if isinstance(word, cst.SimpleString):
                    if is_class or _is_exported(there, word):
                        self._other(there, word)  # a registry, __all__
                elif isinstance(parent, cst.Attribute) and parent.attr is word:
                    dotted = there.imported(parent.value)
                    if dotted is not None and exporters & set(self.project.module_files(dotted)):
                        self._follow(there, parent, order)
                elif there is not code and self._comes_from(there, word, name, exporters):
                    self._follow(there, word, order)
            for alias in there.imports:  # under another name
                if alias.name != name and self._brings(there, alias.node, name, exporters, alias.name):
                    for place in loads(there, alias):
                        self._follow(there, place, order)

    def _brings(
        self, there: Code, node: cst.CSTNode, name: str, exporters: set[str], alias: str | None = None
    ) -> bool:
        if not isinstance(node, cst.ImportFrom) or node.module is None:
            return False
        if not exporters & set(self.project.module_files(there.source(node.module))):
            return False
        if isinstance(node.names, cst.ImportStar):
            return alias is None
        return any(a.evaluated_name == name and alias in (None, a.evaluated_alias) for a in node.names)

    def _comes_from(self, there: Code, word: cst.CSTNode, name: str, exporters: set[str]) -> bool:
        if not isinstance(word, cst.Name) or isinstance(
            there.parent(word), (cst.ImportAlias, cst.ClassDef, cst.FunctionDef, cst.AssignTarget, cst.Param)
        ):
            return False
        bindings = there.bindings(word)
        if not bindings:  # by a star, or not at all
            return any(self._brings(there, b.node, name, exporters) for b in there.imports)
        return any(self._brings(there, getattr(b, "node", word), name, exporters) for b in bindings)

    # ---- what else may come the same way

    def mixed(self) -> set[str]:
        """The places, ``"path:line"``, where a value that is not followed may come in the same way."""
        found = set(self.forks)
        for code, name in self._reads:
            if not all(self._is_tracked(code, binding) for binding in bindings_seen(code, name)):
                found.add(f"{code.path}:{code.line(name)}")
        for code, function in self._returned:
            for out in _returns_of(code, function):
                if out.value is not None and not self.tracks(code, out.value):
                    found.add(f"{code.path}:{code.line(out)}")
        for code, function in self._parameters:
            if not self._always_passed(code, function):
                found.add(f"{code.path}:{code.line(function)}")
        for code, owner, attribute in self._stored:
            for word in code.mentions(attribute):
                node = code.parent(word)
                if isinstance(node, cst.Attribute) and code.owner(node) is owner and _is_target(code, node):
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
        holder = code.parent(code.parent(function))
        name = (
            holder.name.value
            if isinstance(holder, cst.ClassDef) and function.name.value == "__init__"
            else None
        )
        word = name or function.name.value
        for there in self.project.holding(word):
            for mention in there.mentions(word):
                if isinstance(mention, cst.SimpleString):
                    return False
                node = there.parent(mention)
                if isinstance(node, (cst.FunctionDef, cst.ClassDef, cst.ImportAlias)):
                    continue
                called = node if isinstance(node, cst.Call) else there.parents.get(node)
                if (there.path, called) not in self._passed:
                    return False
        return True


def _method(owner: cst.ClassDef, name: str) -> cst.FunctionDef | None:
    found = [d for d in _definitions(owner) if d.name.value == name and isinstance(d, cst.FunctionDef)]
    return found[0] if len(found) == 1 and isinstance(found[0], cst.FunctionDef) else None


def _definitions(holder: Code | cst.ClassDef) -> Iterator[cst.FunctionDef | cst.ClassDef]:
    body = holder.module.body if isinstance(holder, Code) else holder.body.body
    for statement in body:
        if isinstance(statement, (cst.FunctionDef, cst.ClassDef)):
            yield statement


def _returns_of(code: Code, function: cst.FunctionDef) -> Iterator[cst.Return]:
    for node in code.positions:
        if isinstance(node, cst.Return) and code.function(node) is function:
            yield node


def _is_looked_up(code: Code, string: cst.CSTNode) -> bool:
    call = code.parents.get(code.parent(string))
    return isinstance(call, cst.Call) and code.source(call.func) in ("getattr", "setattr", "delattr")


def _is_exported(code: Code, string: cst.CSTNode) -> bool:
    for outer in code.around(string):
        if isinstance(outer, cst.Assign):
            return code.source(outer.targets[0].target) == "__all__"
    return False


def _is_target(code: Code, node: cst.CSTNode) -> bool:
    parent = code.parent(node)
    return isinstance(parent, cst.AssignTarget) or (
        isinstance(parent, cst.AnnAssign) and parent.target is node
    )
