"""The static doctor: mistakes in how losses are fed, found in the source of a whole project.

Nothing is imported or run, and torch is not loaded: the files are read and interpreted. `lint_paths` is what
``likelihead lint`` calls.

>>> from likelihead.lint import lint_paths
>>> lint_paths(["src/likelihead/hazards.py"]).findings
[]
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from likelihead.lint.findings import Finding, Place, Problem
    from likelihead.lint.run import Result, lint_paths
    from likelihead.lint.settings import Settings

__all__ = ["Finding", "Place", "Problem", "Result", "Settings", "lint_paths"]

_HOME = {
    "Finding": "findings",
    "Place": "findings",
    "Problem": "findings",
    "Result": "run",
    "Settings": "settings",
    "lint_paths": "run",
}


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(f"likelihead.lint.{_HOME[name]}"), name)
    raise AttributeError(f"module 'likelihead.lint' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
