"""An engine of a few lines in the place of the linter's, for tests of what is around it.

It finds a softmax within the parentheses of ``F.cross_entropy(...)``, and one in the only statement of a function of
the project whose call stands there.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from likelihead.lint import analysis
from likelihead.lint.analysis import Report
from likelihead.lint.findings import Finding, Place
from likelihead.lint.project import Project

__all__ = ["ACROSS", "BAD", "GOOD", "MODEL", "install"]

HEAD = "import torch.nn.functional as F\n\n\n"
GOOD = HEAD + "def loss(x, y):\n    return F.cross_entropy(x, y)\n"
BAD = HEAD + "def loss(x, y):\n    return F.cross_entropy(F.softmax(x, dim=1), y)\n"
MODEL = HEAD + "def probabilities(x):\n    return F.softmax(x, dim=1)\n"
ACROSS = (
    "import torch.nn.functional as F\n\nfrom model import probabilities\n\n\n"
    "def loss(x, y):\n    return F.cross_entropy(probabilities(x), y)\n"
)


def install(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Put it in the place of the linter's; the list fills with the files that it is asked to look at."""
    asked: list[Path] = []

    def small(path: Path, project: Project, losses: dict[str, str] | None = None) -> Report:
        asked.append(path)
        return analyse(path, project)

    monkeypatch.setattr(analysis, "analyse", small)
    return asked


def analyse(path: Path, project: Project) -> Report:
    source = project.source(path)
    assert source is not None
    report = Report()
    functions: dict[str, tuple[Path, ast.FunctionDef]] = {}
    for node in ast.walk(source.tree):
        if isinstance(node, ast.ImportFrom) and (
            found := project.resolve_relative(node.level, node.module or "", path)
            if node.level
            else project.resolve(node.module or "", path)
        ):
            report.reads.append(found)
            functions |= {
                one.name: (found, one)
                for one in (read.tree.body if (read := project.source(found)) else ())
                if isinstance(one, ast.FunctionDef)
            }
        report.functions += isinstance(node, ast.FunctionDef)
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "F.cross_entropy":
            inner = node.args[0]
            calls: tuple[Place, ...] = ()
            where = path
            if isinstance(inner, ast.Call) and ast.unparse(inner.func) in functions:
                calls = (place(path, inner, f"the call of {ast.unparse(inner.func)}"),)
                where, function = functions[ast.unparse(inner.func)]
                returned = function.body[0]
                inner = returned.value if isinstance(returned, ast.Return) and returned.value else inner
            if isinstance(inner, ast.Call) and ast.unparse(inner.func).endswith("softmax"):
                made = place(where, inner, "softmax over dimension 1")
                said = "The input of cross_entropy is a softmax's output."
                report.findings.append(
                    Finding(place(path, node, "cross_entropy"), "LH101", said, made, calls)
                )
    return report


def place(path: Path, node: ast.expr, text: str) -> Place:
    end = node.end_lineno or 0, (node.end_col_offset or 0) + 1
    return Place(str(path), node.lineno, node.col_offset + 1, *end, text)
