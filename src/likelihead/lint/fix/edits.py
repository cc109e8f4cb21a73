"""Edits: pieces of a file's text that are replaced, so that all the rest stays to the letter as it was."""

from __future__ import annotations

import ast
import re
import tokenize
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from io import StringIO

import libcst as cst

from likelihead.lint.fix.code import Code, Project

__all__ = ["Clash", "Cut", "Edits", "in_expression"]


_Listed = cst.Arg | cst.Element | cst.ImportAlias


class Clash(Exception):
    """Two fixes want different things of the same place."""


@dataclass(frozen=True, order=True)
class Cut:
    """A piece of a text that is replaced."""

    start: int
    end: int
    text: str = ""


@dataclass(eq=False)
class Edits:
    """What one fix does, in any number of files.

    Attributes:
        cuts: by file.
        renamed: reads of a name that comes from an import, and the name that is to be imported in its place.
        losses: comments that would go, ``"path:line"``.
    """

    cuts: dict[Code, set[Cut]] = field(default_factory=dict)
    renamed: dict[Code, dict[cst.Name, str]] = field(default_factory=dict)
    losses: set[str] = field(default_factory=set)

    def cut(self, code: Code, start: int, end: int, text: str = "") -> None:
        """Replace a piece."""
        if start < end or text:
            self.cuts.setdefault(code, set()).add(Cut(start, end, text))

    def replace(self, code: Code, node: cst.CSTNode, text: str = "") -> None:
        """Put other text in the place of an expression that may hold a comment."""
        self.drop(code, *code.span(node), text)

    def drop(self, code: Code, start: int, end: int, text: str = "") -> None:
        """Replace a piece that may hold a comment."""
        self.cut(code, start, end, text)
        if _comments(code.text[start:end]):
            self.losses.add(f"{code.path}:{code.line_at(start)}")

    def merge(self, others: Iterable[Edits]) -> Edits:
        """All of them as one."""
        for other in others:
            for code, cuts in other.cuts.items():
                self.cuts.setdefault(code, set()).update(cuts)
            for code, names in other.renamed.items():
                self.renamed.setdefault(code, {}).update(names)
            self.losses |= other.losses
        return self

    # ---- what is done to a tree

    def unwrap(self, code: Code, call: cst.Call, inner: cst.BaseExpression) -> None:
        """Put one expression in the place of the call that it is a part of."""
        start, end = code.span(call)
        first, last = code.span(inner)
        left, right = ("(", ")") if _needs_brackets(code, call, inner) else ("", "")
        if _comments(code.text[start:first]) or _comments(code.text[last:end]):
            self.losses.add(f"{code.path}:{code.line(call)}")
        self.cut(code, start, first, left)
        self.cut(code, last, end, right)

    def rename(self, code: Code, func: cst.BaseExpression, new: str) -> bool:
        """Call another function of the same module; False where that cannot be."""
        if isinstance(func, cst.Attribute):
            self.cut(code, *code.span(func.attr), new)
            return True
        if isinstance(func, cst.Name):
            bindings = code.bindings(func)
            node = getattr(bindings[0], "node", None) if len(bindings) == 1 else None
            if isinstance(node, cst.ImportFrom) and not isinstance(node.names, cst.ImportStar):
                self.renamed.setdefault(code, {})[func] = new
                return True
        return False

    def remove_statement(self, code: Code, statement: cst.BaseSmallStatement) -> None:
        """Take a statement out, with its line and the comment behind it; comments above it stay."""
        line = code.parent(statement)
        start, end = code.span(statement)
        block = code.parents.get(line)
        alone = isinstance(line, cst.SimpleStatementLine) and len(line.body) == 1
        if alone and (
            isinstance(block, cst.Module) or (isinstance(block, cst.IndentedBlock) and len(block.body) > 1)
        ):
            self.cut(code, code.line_start(code.line_at(start)), code.line_start(code.line_at(end) + 1))
        elif isinstance(line, cst.SimpleStatementLine) and len(line.body) > 1:
            place = line.body.index(statement)
            after = line.body[place + 1 :]
            before = code.span(line.body[place - 1])[1]
            self.cut(code, *((start, code.span(after[0])[0]) if after else (before, end)))
        else:
            self.cut(code, start, end, "pass")

    def remove_elements(self, code: Code, removed: Sequence[_Listed], among: Sequence[_Listed]) -> None:
        """Take some out of a list of arguments, elements or imports, with the lines that they have alone."""
        kept = [e for e in among if e not in removed]
        inline = []
        for element in removed:
            start, end = code.span(element)
            lines = code.line_start(code.line_at(start)), code.line_start(code.line_at(end) + 1)
            rest = code.text[end : lines[1]]
            if code.text[lines[0] : start].strip() or not re.fullmatch(r"\s*,?\s*(#.*)?\s*", rest):
                inline.append(element)
                continue
            self.cut(code, *lines)
            last = kept[-1].comma if kept and element is among[-1] else None
            if isinstance(last, cst.Comma) and "," not in rest.split("#")[0]:
                self.cut(code, *code.span(last))
        for element in inline:
            place = among.index(element)
            start, end = code.span(element)
            if any(e in kept for e in among[place + 1 :]):
                self.drop(code, start, code.span(among[place + 1])[0])
            else:  # what follows the last that stays goes with it
                self.drop(code, code.span(among[place - 1])[1] if place else start, end)

    # ---- the texts

    def check(self, others: Edits) -> None:
        """Raise `Clash` where these edits and those cannot both be."""
        for code, cuts in self.cuts.items():
            for cut in cuts:
                for other in others.cuts.get(code, ()):
                    if cut != other and cut.start < other.end and other.start < cut.end:
                        raise Clash
                    if cut != other and cut.start == other.start == cut.end == other.end:
                        raise Clash
        for code, names in self.renamed.items():
            for name, new in others.renamed.get(code, {}).items():
                if names.get(name, new) != new:
                    raise Clash

    def text(self, code: Code, project: Project) -> str:
        """The file's text after them; raises `Clash` where it is no Python any more."""
        cuts = sorted(self.cuts.get(code, set()) | set(self._imports(code, project)))
        pieces, at = [], 0
        for cut in cuts:
            if cut.start < at:
                raise Clash
            pieces += [code.text[at : cut.start], cut.text]
            at = cut.end
        text = "".join([*pieces, code.text[at:]])
        try:
            ast.parse(text)
        except (SyntaxError, ValueError, RecursionError) as error:
            raise Clash from error
        return text

    @property
    def codes(self) -> set[Code]:
        """The files that change."""
        return {*self.cuts, *self.renamed}

    def _imports(self, code: Code, project: Project) -> Iterable[Cut]:
        """What becomes of the imports of torch: the new names come, what nothing reads any more goes."""
        cuts = self.cuts.get(code, set())
        renamed = self.renamed.get(code, {})
        inserted = " ".join(cut.text for cut in cuts)
        changes: dict[cst.ImportFrom | cst.Import, dict[cst.ImportAlias, list[str]]] = {}
        for binding in code.imports:
            statement = binding.node
            if not isinstance(statement, (cst.ImportFrom, cst.Import)) or isinstance(
                statement.names, cst.ImportStar
            ):
                continue
            alias = next((a for a in statement.names if _bound_name(a) == binding.name), None)
            reads = [access.node for access in binding.references]
            if alias is None or not reads or not _is_torch(code, statement, alias):
                continue
            gone = {read for read in reads if _inside(code, read, cuts)}
            new = {n: renamed[n] for n in reads if isinstance(n, cst.Name) and n in renamed and n not in gone}
            kept = len(reads) - len(new) - len(gone) or re.search(rf"\b{re.escape(binding.name)}\b", inserted)
            if new and alias.asname is not None and not kept:
                changes.setdefault(statement, {})[alias] = [f"{next(iter(new.values()))} as {binding.name}"]
                continue
            known = {a.evaluated_alias or a.evaluated_name for a in statement.names}
            for name, word in new.items():
                yield Cut(*code.span(name), word)
            names = [code.source(alias)] if kept else []
            names += sorted(set(new.values()) - known)
            if not kept and (_is_face(code) or project.is_imported(code, binding.name)):
                names.insert(0, code.source(alias))
            if names != [code.source(alias)]:
                changes.setdefault(statement, {})[alias] = names
        for node, replaced in changes.items():
            yield from self._import_cuts(code, node, replaced)

    def _import_cuts(
        self, code: Code, statement: cst.ImportFrom | cst.Import, replaced: dict[cst.ImportAlias, list[str]]
    ) -> Iterable[Cut]:
        names = list(statement.names) if not isinstance(statement.names, cst.ImportStar) else []
        if all(replaced.get(alias) == [] for alias in names):
            line = Edits()
            line.remove_statement(code, statement)
            yield from line.cuts[code]
            return
        gone = Edits()
        gone.remove_elements(code, [a for a in names if replaced.get(a) == []], names)
        if not gone.losses:  # an import too many does no harm
            yield from gone.cuts.get(code, ())
        for alias, words in replaced.items():
            if words:
                yield Cut(*code.span(alias), ", ".join(words))


def in_expression(text: str) -> str:
    """The text of an expression, in brackets where it needs them to stand on a line of its own."""
    try:
        ast.parse(text, mode="eval")
    except SyntaxError:
        return f"({text})"
    return text


def _needs_brackets(code: Code, call: cst.Call, inner: cst.BaseExpression) -> bool:
    if call.lpar or isinstance(code.parent(call), cst.Arg):
        return isinstance(inner, cst.GeneratorExp)
    if isinstance(inner, (cst.Name, cst.Attribute, cst.Call, cst.Subscript)):
        return in_expression(code.source(inner)) != code.source(inner)
    if isinstance(code.parent(call), (cst.Assign, cst.AnnAssign, cst.Return)):
        return isinstance(inner, cst.NamedExpr) or in_expression(code.source(inner)) != code.source(inner)
    return True


def _comments(text: str) -> bool:
    if "#" not in text:
        return False
    try:
        return any(t.type == tokenize.COMMENT for t in tokenize.generate_tokens(StringIO(text).readline))
    except (tokenize.TokenError, SyntaxError):
        return True


def _inside(code: Code, node: cst.CSTNode, cuts: Iterable[Cut]) -> bool:
    start, end = code.span(node)
    return any(cut.start <= start and end <= cut.end for cut in cuts)


def _bound_name(alias: cst.ImportAlias) -> str:
    return alias.evaluated_alias or alias.evaluated_name


def _is_torch(code: Code, statement: cst.ImportFrom | cst.Import, alias: cst.ImportAlias) -> bool:
    if isinstance(statement, cst.ImportFrom):
        return statement.module is not None and code.source(statement.module).split(".")[0] == "torch"
    return alias.evaluated_name.split(".")[0] == "torch"


def _is_face(code: Code) -> bool:
    """Whether others may read the file's imports: a package's face, or a file that says what it exports."""
    return code.path.endswith("__init__.py") or any(True for _ in code.mentions("__all__"))
