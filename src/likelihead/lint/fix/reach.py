"""Across functions, classes and files: what a call runs, and who else means what a name means."""

from __future__ import annotations

import re
from collections.abc import Iterator

import libcst as cst
from libcst.metadata import BaseAssignment

from likelihead.lint.fix.code import Code, Project
from likelihead.lint.fix.names import loads, value_of
from likelihead.lint.fix.torch_names import SAME_MODULE_METHODS

__all__ = [
    "attribute_reads",
    "base_classes",
    "called_function",
    "definitions",
    "is_target",
    "parameter_of",
    "returns_of",
    "top_reads",
]

# Where a word stands, and whether what it is there could be followed.
_Mention = tuple[Code, cst.CSTNode, bool]


def definitions(holder: Code | cst.ClassDef) -> Iterator[cst.FunctionDef | cst.ClassDef]:
    """The functions and classes that stand at the top of a file or in the body of a class."""
    body = holder.module.body if isinstance(holder, Code) else holder.body.body
    for statement in body:
        if isinstance(statement, (cst.FunctionDef, cst.ClassDef)):
            yield statement


def returns_of(code: Code, function: cst.FunctionDef) -> Iterator[cst.Return]:
    """Its return statements."""
    for node in code.positions:
        if isinstance(node, cst.Return) and code.function(node) is function:
            yield node


def is_target(code: Code, node: cst.CSTNode) -> bool:
    """Whether it is assigned to."""
    parent = code.parent(node)
    return isinstance(parent, cst.AssignTarget) or (
        isinstance(parent, cst.AnnAssign) and parent.target is node
    )


# ---- what a call runs


def called_function(
    project: Project, code: Code, func: cst.BaseExpression
) -> tuple[Code, cst.FunctionDef, int] | None:
    """The function that a call runs, and how many of its first parameters are already bound."""
    if isinstance(func, cst.Attribute) and isinstance(func.value, cst.Name) and func.value.value == "self":
        owner = code.owner(func)
        method = _method(owner, func.attr.value) if owner is not None else None
        if method is not None:
            return (code, method, 1) if not method.decorators else None
    found = _definition(project, code, func) if isinstance(func, cst.Name) else None
    if found is not None and isinstance(function := found[1], cst.FunctionDef):
        return (found[0], function, 0) if not function.decorators else None
    made, name = (found, "__init__") if found is not None else (_class_of(project, code, func), "forward")
    if made is None or not isinstance(made[1], cst.ClassDef):
        return None
    method = _method(made[1], name)
    return (made[0], method, 1) if method is not None and not method.decorators else None


def parameter_of(function: cst.FunctionDef, bound: int, call: cst.Call, arg: cst.Arg) -> cst.Param | None:
    """The parameter that takes an argument of a call."""
    parameters = [*function.params.posonly_params, *function.params.params]
    if arg.keyword:
        named = [*parameters, *function.params.kwonly_params]
        return next((p for p in named if p.name.value == arg.keyword.value), None)
    place = call.args.index(arg)
    if any(a.star for a in call.args[:place]) or place + bound >= len(parameters):
        return None
    return parameters[place + bound]


def base_classes(
    project: Project, code: Code, owner: cst.ClassDef, below: tuple[cst.ClassDef, ...] = ()
) -> Iterator[tuple[Code, cst.ClassDef] | None]:
    """The classes of the project that a class inherits from, itself first; None for one that is not seen."""
    yield code, owner
    for base in owner.bases:
        if code.imported(base.value) in _KNOWN_BASES or code.source(base.value) == "object":
            continue
        found = _definition(project, code, base.value) if isinstance(base.value, cst.Name) else None
        if found is None or not isinstance(found[1], cst.ClassDef) or found[1] in (owner, *below):
            yield None
        else:
            yield from base_classes(project, found[0], found[1], (owner, *below))


_KNOWN_BASES = {
    "torch.nn.Module",
    "abc.ABC",
    "lightning.LightningModule",
    "lightning.pytorch.LightningModule",
    "pytorch_lightning.LightningModule",
}


def _class_of(project: Project, code: Code, func: cst.BaseExpression) -> tuple[Code, cst.ClassDef] | None:
    """The class of the object that is called, if it is made in one place alone."""
    values: list[cst.BaseExpression | None] = []
    if isinstance(func, cst.Name):
        values = [value_of(code, binding) for binding in code.bindings(func)]
    elif isinstance(func, cst.Attribute) and code.source(func.value) == "self":
        for word in code.mentions(func.attr.value):
            target = code.parent(word)
            if isinstance(target, cst.Attribute) and is_target(code, target):
                assign = code.parent(code.parent(target))
                values.append(assign.value if isinstance(assign, cst.Assign) else None)
    made = values[0] if len(values) == 1 else None
    while (
        isinstance(made, cst.Call)
        and isinstance(made.func, cst.Attribute)
        and made.func.attr.value in SAME_MODULE_METHODS
    ):
        made = made.func.value
    if not isinstance(made, cst.Call) or not isinstance(made.func, cst.Name):
        return None
    found = _definition(project, code, made.func)
    return (found[0], found[1]) if found is not None and isinstance(found[1], cst.ClassDef) else None


def _definition(
    project: Project, code: Code, name: cst.Name
) -> tuple[Code, cst.FunctionDef | cst.ClassDef] | None:
    bindings = code.bindings(name)
    node = getattr(bindings[0], "node", None) if len(bindings) == 1 else None
    if isinstance(node, (cst.FunctionDef, cst.ClassDef)):
        return code, node
    dotted = code.imported(name)
    if not isinstance(node, cst.ImportFrom) or node.module is None or dotted is None:
        return None
    files = project.module_files(code.source(node.module))
    there = project.code(files[0]) if len(files) == 1 else None
    wanted = dotted.rpartition(".")[2]
    found = [d for d in definitions(there) if d.name.value == wanted] if there else []
    return (there, found[0]) if there is not None and len(found) == 1 else None


def _method(owner: cst.ClassDef, name: str) -> cst.FunctionDef | None:
    found = [d for d in definitions(owner) if d.name.value == name and isinstance(d, cst.FunctionDef)]
    return found[0] if len(found) == 1 and isinstance(found[0], cst.FunctionDef) else None


# ---- who reads it


def attribute_reads(project: Project, code: Code, owner: cst.ClassDef, name: str) -> Iterator[_Mention]:
    """Where an attribute of a class's objects may be read: each of the name, but for foreign ones."""
    for there in project.holding(name, rf"(?<!\bself)\.{name}\b|\b{owner.name.value}\b"):
        for word in there.mentions(name):
            node = there.parent(word)
            if isinstance(word, cst.SimpleString):
                if _is_looked_up(there, word):
                    yield there, word, False
            elif (
                isinstance(node, cst.Attribute)
                and node.attr is word
                and not is_target(there, node)
                and there.imported(node) is None
                and not _foreign(code, owner, there, node)
            ):
                yield there, node, True


def top_reads(project: Project, code: Code, binding: BaseAssignment) -> Iterator[_Mention]:
    """The reads in other files of a name that stands at the top of this one; in this one, by other ways."""
    name = binding.name
    exporters = {code.path}
    known = 0
    while len(exporters) != known:
        known = len(exporters)
        for there in _may_import(project, exporters, name):
            statements = [*(binding.node for binding in there.imports), *there.stars]
            if any(_brings(project, there, node, name, exporters) for node in statements):
                exporters.add(there.path)
    is_class = isinstance(getattr(binding, "node", None), cst.ClassDef)
    for there in _may_import(project, exporters, name):
        for word in there.mentions(name):
            parent = there.parent(word)
            if isinstance(word, cst.SimpleString):
                if is_class or _is_exported(there, word):
                    yield there, word, False  # a registry, __all__
            elif isinstance(parent, cst.Attribute) and parent.attr is word:
                dotted = there.imported(parent.value)
                if dotted is not None and exporters & set(project.module_files(dotted)):
                    yield there, parent, True
            elif there is not code and _comes_from(project, there, word, name, exporters):
                yield there, word, True
        for alias in there.imports:  # under another name
            if alias.name != name and _brings(project, there, alias.node, name, exporters, alias.name):
                yield from ((there, place, True) for place in loads(there, alias))
                if alias.scope is there.scopes.get(there.module):
                    yield from top_reads(project, there, alias)


def _may_import(project: Project, exporters: set[str], name: str) -> Iterator[Code]:
    modules = {project.module_name(path) for path in exporters}
    return project.holding(name, "|".join(rf"\b{re.escape(module)}\b" for module in modules), also=exporters)


def _brings(
    project: Project, there: Code, node: cst.CSTNode, name: str, exporters: set[str], alias: str | None = None
) -> bool:
    """Whether an import statement brings the name (as `alias`) from one of the files."""
    if not isinstance(node, cst.ImportFrom):
        return False
    module = there.source(node.module) if node.module is not None else project.folder_name(there.path)
    if not exporters & set(project.module_files(module)):
        return False
    if isinstance(node.names, cst.ImportStar):
        return alias is None
    return any(a.evaluated_name == name and alias in (None, a.evaluated_alias) for a in node.names)


def _comes_from(project: Project, there: Code, word: cst.CSTNode, name: str, exporters: set[str]) -> bool:
    if not isinstance(word, cst.Name) or isinstance(
        there.parent(word), (cst.ImportAlias, cst.ClassDef, cst.FunctionDef, cst.AssignTarget, cst.Param)
    ):
        return False
    bindings = there.bindings(word)
    if not bindings:  # by a star, or not at all
        return any(_brings(project, there, node, name, exporters) for node in there.stars)
    return any(_brings(project, there, getattr(b, "node", word), name, exporters) for b in bindings)


def _foreign(code: Code, owner: cst.ClassDef, there: Code, node: cst.Attribute) -> bool:
    """Whether it is surely the attribute of another class: of the ``self`` of one that is no relative."""
    if not (isinstance(node.value, cst.Name) and node.value.value == "self"):
        return False
    other = there.owner(node)
    if other is None or other is owner:
        return False
    family = {there.source(base.value).rpartition(".")[2] for base in other.bases}
    family |= {code.source(base.value).rpartition(".")[2] for base in owner.bases}
    known = {other.name.value, owner.name.value}
    own = {d.name.value for d in definitions(there) if isinstance(d, cst.ClassDef)} | {owner.name.value}
    return not (known & family) and not (family & own)


def _is_looked_up(code: Code, string: cst.CSTNode) -> bool:
    call = code.parents.get(code.parent(string))
    return isinstance(call, cst.Call) and code.source(call.func) in ("getattr", "setattr", "delattr")


def _is_exported(code: Code, string: cst.CSTNode) -> bool:
    for outer in code.around(string):
        if isinstance(outer, cst.Assign):
            return code.source(outer.targets[0].target) == "__all__"
    return False
