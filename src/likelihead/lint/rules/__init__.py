"""The rules, one file for each hazard that the source can show; found by their file names."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from pkgutil import iter_modules

from likelihead.lint.rules.base import Rule

__all__ = ["all_rules"]


@cache
def all_rules() -> dict[str, type[Rule]]:
    """The rules by code."""
    found: dict[str, type[Rule]] = {}
    for module in sorted(one.name for one in iter_modules(__path__) if one.name.startswith("lh")):
        rule = getattr(import_module(f"{__name__}.{module}"), module.upper())
        found[rule.code] = rule
    return found
