"""A file as the fixes see it: its syntax tree, where each node stands, and which names mean what."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Container, Iterator, Mapping
from functools import cached_property
from pathlib import PurePath

import libcst as cst
from libcst.metadata import (
    Assignment,
    BaseAssignment,
    BuiltinScope,
    ClassScope,
    CodeRange,
    ImportAssignment,
    MetadataWrapper,
    ParentNodeProvider,
    PositionProvider,
    QualifiedNameSource,
    Scope,
    ScopeProvider,
)

from likelihead.lint.findings import Place

__all__ = ["Code", "Project"]


class Code:
    """One file: a libcst module with the positions, parents and scopes of its nodes."""

    def __init__(self, path: str, text: str) -> None:
        self.path = path
        self.text = text
        self._wrapper = MetadataWrapper(cst.parse_module(text), unsafe_skip_copy=True)
        self.module = self._wrapper.module
        self.positions: Mapping[cst.CSTNode, CodeRange] = self._wrapper.resolve(PositionProvider)
        self.parents: Mapping[cst.CSTNode, cst.CSTNode] = self._wrapper.resolve(ParentNodeProvider)
        self.scopes: Mapping[cst.CSTNode, Scope | None] = self._wrapper.resolve(ScopeProvider)
        self._starts = [0] + [match.end() for match in re.finditer(r"\r\n|\r|\n", text)]

    # ---- where

    def span(self, node: cst.CSTNode) -> tuple[int, int]:
        """The offsets in `text` of a node, without the parentheses around it."""
        place = self.positions[node]
        return (
            self._starts[place.start.line - 1] + place.start.column,
            self._starts[place.end.line - 1] + place.end.column,
        )

    def full_span(self, node: cst.BaseExpression) -> tuple[int, int]:
        """The same with the parentheses around it."""
        start, end = self.span(node)
        if node.lpar:
            start, end = self.span(node.lpar[0])[0], self.span(node.rpar[-1])[1]
        return start, end

    def source(self, node: cst.CSTNode) -> str:
        """The text of a node, without the parentheses around it."""
        start, end = self.span(node)
        return self.text[start:end]

    def line(self, node: cst.CSTNode) -> int:
        """The line on which it starts."""
        return self.positions[node].start.line

    def line_at(self, offset: int) -> int:
        """The line of an offset."""
        return bisect_right(self._starts, offset)

    def line_start(self, line: int) -> int:
        """The offset of the first character of a line; of the end of the text, behind the last one."""
        return self._starts[line - 1] if line <= len(self._starts) else len(self.text)

    def newline(self, line: int) -> str:
        """What ends a line; of the last one, where nothing does, what ends the first."""
        for found in (line, 1):
            match = re.search(r"\r\n|\r|\n", self.text[self.line_start(found) : self.line_start(found + 1)])
            if match is not None:
                return match[0]
        return "\n"

    @cached_property
    def _calls(self) -> dict[tuple[int, int, int, int], cst.Call]:
        found = {}
        for node, where in self.positions.items():
            if isinstance(node, cst.Call):
                key = (where.start.line, where.start.column + 1, where.end.line, where.end.column + 1)
                found[key] = node
        return found

    def call_at(self, place: Place) -> cst.Call | None:
        """The call that stands exactly there."""
        return self._calls.get((place.line, place.column, place.end_line, place.end_column))

    def calls(self) -> Iterator[cst.Call]:
        """All calls of the file."""
        return iter(self._calls.values())

    # ---- around

    def parent(self, node: cst.CSTNode) -> cst.CSTNode:
        """The node that holds it; the module holds itself."""
        return self.parents.get(node, self.module)

    def around(self, node: cst.CSTNode) -> Iterator[cst.CSTNode]:
        """The nodes that hold it, from the inside out."""
        while node in self.parents:
            node = self.parents[node]
            yield node

    def function(self, node: cst.CSTNode) -> cst.FunctionDef | cst.Lambda | None:
        """The function whose body holds it."""
        for outer in self.around(node):
            if isinstance(outer, (cst.FunctionDef, cst.Lambda)):
                return outer
        return None

    def owner(self, function: cst.CSTNode) -> cst.ClassDef | None:
        """The class of which it is a method, or whose method holds it."""
        for outer in self.around(function):
            if isinstance(outer, cst.ClassDef):
                return outer
        return None

    def statement(self, node: cst.CSTNode) -> cst.BaseSmallStatement | cst.BaseCompoundStatement | None:
        """The innermost statement that holds it."""
        for outer in (node, *self.around(node)):
            if isinstance(outer, (cst.BaseSmallStatement, cst.BaseCompoundStatement)):
                return outer
        return None

    # ---- names

    def imported(self, node: cst.CSTNode) -> str | None:
        """The full name of what a name or attribute means, where it comes from an import."""
        if not isinstance(node, (cst.Name, cst.Attribute)):
            return None
        scope = self.scopes.get(node)
        if scope is None:
            return None
        names = {
            name.name
            for name in scope.get_qualified_names_for(node)
            if name.source is QualifiedNameSource.IMPORT
        }
        return names.pop() if len(names) == 1 else None

    def bindings(self, name: cst.Name) -> list[BaseAssignment]:
        """Everything in the file that may give this name its value, in whatever order."""
        scope = self._scope_of(name)
        return [] if scope is None else list(scope.assignments[name.value])

    def reads(self, binding: BaseAssignment) -> list[cst.Name]:
        """Everything in the file that reads the name of a binding, in whatever order."""
        return self._reads.get((binding.scope, binding.name), [])

    @cached_property
    def _reads(self) -> dict[tuple[Scope, str], list[cst.Name]]:
        # Not libcst's references: those leave out what stands above a binding, where a loop comes back to it.
        found: dict[tuple[Scope, str], list[cst.Name]] = {}
        for nodes in self._words.values():
            for node in nodes:
                if isinstance(node, cst.Name) and node not in self._by_target and self._is_read(node):
                    scope = self._scope_of(node)
                    if scope is not None:
                        found.setdefault((scope, node.value), []).append(node)
        return found

    def _is_read(self, name: cst.Name) -> bool:
        parent = self.parent(name)
        if isinstance(parent, cst.Attribute):
            return parent.value is name
        if isinstance(parent, cst.Arg):
            return parent.value is name
        if isinstance(parent, cst.Param):
            return parent.default is name
        return not isinstance(
            parent, (cst.ImportAlias, cst.ImportFrom, cst.AsName, cst.NameItem, cst.FunctionDef, cst.ClassDef)
        )

    def _scope_of(self, name: cst.Name) -> Scope | None:
        """The scope in which a name that is read is bound."""
        first = scope = self.scopes.get(name)
        while scope is not None and not isinstance(scope, BuiltinScope):
            if scope.assignments[name.value] and (scope is first or not isinstance(scope, ClassScope)):
                return scope
            scope = scope.parent
        return None

    def bound_at(self, target: cst.CSTNode) -> BaseAssignment | None:
        """The binding that a name (or parameter, or definition) in the place of a target makes."""
        return self._by_target.get(target)

    @cached_property
    def _by_target(self) -> dict[cst.CSTNode, BaseAssignment]:
        found: dict[cst.CSTNode, BaseAssignment] = {}
        for scope in {scope for scope in self.scopes.values() if scope is not None}:
            for binding in scope.assignments:
                if isinstance(binding, Assignment):
                    found[binding.node] = binding
        return found

    @cached_property
    def imports(self) -> list[ImportAssignment]:
        """All names that are bound by an import."""
        return [
            binding
            for scope in {scope for scope in self.scopes.values() if scope is not None}
            for binding in scope.assignments
            if isinstance(binding, ImportAssignment)
        ]

    @cached_property
    def stars(self) -> list[cst.ImportFrom]:
        """The statements that import all the names of a module."""
        return [
            node
            for node in self.positions
            if isinstance(node, cst.ImportFrom) and isinstance(node.names, cst.ImportStar)
        ]

    def mentions(self, identifier: str) -> Iterator[cst.CSTNode]:
        """Each name, attribute or string that is this word."""
        return iter(self._words.get(identifier, ()))

    @cached_property
    def _words(self) -> dict[str, list[cst.CSTNode]]:
        found: dict[str, list[cst.CSTNode]] = {}
        for node in self.positions:
            if isinstance(node, cst.Name):
                found.setdefault(node.value, []).append(node)
            elif isinstance(node, cst.SimpleString) and len(node.value) < 80:
                found.setdefault(node.raw_value, []).append(node)
        return found


class Project:
    """The given files, each parsed when it is first needed."""

    def __init__(self, sources: Mapping[str, str]) -> None:
        self.sources = sources
        self._codes: dict[str, Code | None] = {}

    def code(self, path: str) -> Code | None:
        """The file, or None where libcst cannot read it."""
        if path not in self._codes:
            try:
                code = Code(path, self.sources[path].removeprefix("\ufeff"))
                # Positions are of no use where the tree does not stand for the very text.
                self._codes[path] = code if code.module.code == code.text else None
            except (cst.ParserSyntaxError, cst.CSTValidationError, RecursionError):
                self._codes[path] = None
        return self._codes[path]

    def holding(self, word: str, hint: str = "", also: Container[str] = ()) -> Iterator[Code]:
        """The files in whose text this word stands, and the pattern `hint` too, or that are among `also`."""
        pattern = re.compile(rf"\b{re.escape(word)}\b")
        hinted = re.compile(hint)
        for path, text in self.sources.items():
            if pattern.search(text) and (path in also or hinted.search(text)):
                code = self.code(path)
                if code is not None:
                    yield code

    def module_files(self, dotted: str) -> list[str]:
        """The given files that an import of this module may mean, by their names: rather too many."""
        last = dotted.rpartition(".")[2]
        return [path for path in self.sources if self.module_name(path) == last]

    def is_imported(self, code: Code, name: str) -> bool:
        """Whether another file imports this name from the file, or all of its names."""
        module, word = re.escape(self.module_name(code.path)), re.escape(name)
        pattern = re.compile(rf"\bfrom[ \t]+[\w.]*\b{module}[ \t]+import\b([^#\n(]|\([^)]*)*(\b{word}\b|\*)")
        return any(path != code.path and pattern.search(text) for path, text in self.sources.items())

    @staticmethod
    def module_name(path: str) -> str:
        """The last word of the name by which a file is imported."""
        file = PurePath(path)
        return file.parent.name if file.name == "__init__.py" else file.stem

    @staticmethod
    def folder_name(path: str) -> str:
        """The last word of the name of the package that holds a file."""
        file = PurePath(path)
        return file.parent.parent.name if file.name == "__init__.py" else file.parent.name
