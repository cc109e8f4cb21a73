"""Which assignments a name may have its value from, where it is read: rather too many than too few."""

from __future__ import annotations

from collections.abc import Iterator

import libcst as cst
from libcst.metadata import BaseAssignment

from likelihead.lint.fix.code import Code

__all__ = ["bindings_seen", "changed_in_place", "loads", "same_value", "value_of"]

_BLOCKS = (cst.IndentedBlock, cst.SimpleStatementSuite, cst.Module)
_LOOPS = (cst.For, cst.While)


def loads(code: Code, binding: BaseAssignment) -> list[cst.CSTNode]:
    """The places that may read what this binding gave its name; of ``x += 1`` the target."""
    places: set[cst.CSTNode] = set(code.reads(binding))
    places.update(_augmented(code, binding))
    return sorted((place for place in places if _sees(code, place, binding)), key=lambda n: code.span(n))


def bindings_seen(code: Code, name: cst.Name) -> list[BaseAssignment]:
    """The bindings whose value the name may have where it is read."""
    return [binding for binding in code.bindings(name) if _sees(code, name, binding)]


def same_value(code: Code, name: cst.Name, there: cst.CSTNode) -> bool:
    """Whether the name means the same, surely, at another place of the same function, further down."""
    scope = code.scopes.get(name)
    if scope is None or scope is not code.scopes.get(there):
        return False
    bindings = list(scope[name.value])
    here = [b for b in bindings if _sees(code, name, b)]
    if not here or here != [b for b in bindings if _sees(code, there, b)]:
        return False
    start, end = code.span(name)[1], code.span(there)[0]
    if start > end or any(start <= at <= end for at in (_from(code, b) for b in bindings)):
        return False
    return not any(
        _is_changed(code, read) and start <= code.span(read)[0] <= end
        for binding in here
        for read in code.reads(binding)
    )


def changed_in_place(code: Code, name: cst.Name) -> bool:
    """Whether anything in the function changes the tensor itself, which other names may stand for too."""
    scope = code.scopes.get(name)
    return scope is not None and any(
        isinstance(code.parent(place), cst.AugAssign) or _is_changed(code, place)
        for binding in scope[name.value]
        for place in (*code.reads(binding), getattr(binding, "node", name))
    )


def _is_changed(code: Code, place: cst.CSTNode) -> bool:
    """Methods that change a tensor in place end in an underscore, and so may an entry be assigned to."""
    parent = code.parent(place)
    if isinstance(parent, cst.Subscript) and parent.value is place:
        return isinstance(code.parent(parent), (cst.AssignTarget, cst.AugAssign))
    return isinstance(parent, cst.Attribute) and parent.attr.value.endswith("_")


def value_of(code: Code, binding: BaseAssignment) -> cst.BaseExpression | None:
    """The expression that an assignment gives, or gives a part of, to the name."""
    node = getattr(binding, "node", None)
    target = code.parents.get(node) if node is not None else None
    while isinstance(target, (cst.Element, cst.Tuple, cst.List)):
        target = code.parent(target)
    if isinstance(target, cst.AssignTarget):
        return cst.ensure_type(code.parent(target), cst.Assign).value
    if isinstance(target, cst.AnnAssign) and target.target is node:
        return target.value
    return None


def _augmented(code: Code, binding: BaseAssignment) -> Iterator[cst.CSTNode]:
    for other in binding.scope[binding.name]:
        node = getattr(other, "node", None)
        if node is not None and isinstance(code.parents.get(node), cst.AugAssign):
            yield node


def _sees(code: Code, place: cst.CSTNode, binding: BaseAssignment) -> bool:
    """Whether control may come from the binding to the place without meeting another binding of the name."""
    if code.scopes.get(place) is not binding.scope:
        return True  # read in a function or comprehension within: when, is not known
    at = code.span(place)[0]
    loops = [outer for outer in code.around(place) if isinstance(outer, _LOOPS)]
    outside = set(code.around(place))
    node = getattr(binding, "node", None)
    if node is None or node is place:
        # What an augmented assignment leaves is seen by itself only where a loop brings it back.
        return node is None or bool(loops)
    rivals = [
        (where, block)
        for other in binding.scope[binding.name]
        if other is not binding
        and getattr(other, "node", None) is not place
        and (block := _block(code, other)) in outside
        and (where := _from(code, other)) <= at
    ]
    start = _from(code, binding)
    common = [loop for loop in loops if loop in set(code.around(node))]
    straight = start <= at and not _apart(code, node, place, outside)
    if straight and not any(where > start for where, _ in rivals):
        return True
    if not common or _leaves(code, node, outside):
        return False
    # From one round of the loop to the next.
    return not any(block is common[0].body or common[0] in code.around(block) for _, block in rivals)


def _from(code: Code, binding: BaseAssignment) -> int:
    """The offset from which on the name has its value."""
    node = getattr(binding, "node", None)
    if node is None:
        return 0
    if isinstance(node, cst.Param):
        return code.span(node)[1]
    for outer in (node, *code.around(node)):
        if isinstance(outer, (cst.For, cst.With, cst.ExceptHandler)):
            return code.span(outer.body)[0]
        if isinstance(outer, (cst.BaseSmallStatement, cst.FunctionDef, cst.ClassDef)):
            return code.span(outer)[1]
    return code.span(node)[1]


def _block(code: Code, binding: BaseAssignment) -> cst.CSTNode | None:
    """The block that cannot be run from its top to a place below the binding without running the binding."""
    node = getattr(binding, "node", None)
    if node is None:
        return None
    if isinstance(node, cst.Param):
        return code.function(node)
    for outer in (node, *code.around(node)):
        if isinstance(outer, (cst.For, cst.With, cst.ExceptHandler)):
            return outer.body
        if isinstance(outer, cst.NamedExpr):
            return None  # it may stand where it is not always run
        if isinstance(outer, _BLOCKS):
            return outer
    return None


def _apart(code: Code, node: cst.CSTNode, place: cst.CSTNode, outside: set[cst.CSTNode]) -> bool:
    """Whether nothing leads straight down from the node to the place: other branches, or a return between."""
    inner = node
    for outer in code.around(node):
        if outer in outside:
            if isinstance(outer, cst.If) and inner is outer.body:
                return outer.orelse is not None and (place is outer.orelse or outer.orelse in outside)
            return False
        if _ends(outer, (cst.Return, cst.Raise)):
            return True
        inner = outer
    return False


def _leaves(code: Code, node: cst.CSTNode, outside: set[cst.CSTNode]) -> bool:
    """Whether the function is left before anything outside the node's own blocks is run again."""
    for outer in code.around(node):
        if outer in outside:
            return False
        if _ends(outer, (cst.Return, cst.Raise)):
            return True
    return False


def _ends(block: cst.CSTNode, kinds: tuple[type[cst.CSTNode], ...]) -> bool:
    if not isinstance(block, cst.IndentedBlock) or not block.body:
        return False
    last = block.body[-1]
    return isinstance(last, cst.SimpleStatementLine) and isinstance(last.body[-1], kinds)
