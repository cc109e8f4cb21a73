"""The fixes: what a finding's remedy is in the source, where that is certain.

A fix is one of two kinds. A *safe* one is certain to give the loss that was meant and to leave every other
number of the given sources as it is: the value has no other use, or the other uses keep it. An *unsafe* one
does what its remedy says, but something else may see it: another use of the value, or a way through the
program that was not followed. Whatever cannot be decided is left alone, with the reason. libcst is imported
when the first finding is to be fixed, and `ModuleNotFoundError` says that it is missing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from likelihead.lint.findings import Finding

__all__ = ["FIXABLE", "Fixed", "Skipped", "fix_project", "fix_source"]

# What can be fixed at all, and the best that can be said of it: LH102 may also mean labels that occur
# together, and LH108 a sigmoid that the model was to have.
FIXABLE: dict[str, Literal["safe", "unsafe"]] = {
    "LH101": "safe",
    "LH102": "unsafe",
    "LH103": "safe",
    "LH104": "safe",
    "LH105": "safe",
    "LH106": "safe",
    "LH108": "unsafe",
    "LH109": "safe",
    "LH110": "safe",
}


@dataclass(frozen=True, order=True)
class Skipped:
    """A finding that was left alone, and why, in one line."""

    finding: Finding
    reason: str


@dataclass
class Fixed:
    """One file after the fixes.

    Attributes:
        text: of the whole file.
        applied: the findings, reported in this file, that are gone; their edits may lie in another one.
        skipped: those that are still there.
    """

    text: str
    applied: list[Finding] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)


def fix_source(text: str, findings: Sequence[Finding], *, path: str, unsafe: bool = False) -> Fixed:
    """Fix what was found in one file, as far as that file alone can tell.

    Args:
        text: of the file.
        findings: of the linter, in this very text.
        path: of the file, as the findings name it.
        unsafe: whether fixes that may change more than the loss are wanted too.
    """
    return fix_project({path: text}, findings, unsafe=unsafe)[path]


def fix_project(
    sources: Mapping[str, str], findings: Sequence[Finding], *, unsafe: bool = False
) -> dict[str, Fixed]:
    """Fix what was found in a project: a model may be in one file, its loss in another, its use in a third.

    Args:
        sources: path and text of each file, as the findings name them. What is not among them is taken not to
            use anything that is.
        findings: of the linter, in these very texts.
        unsafe: whether fixes that may change more than the loss are wanted too.

    Returns:
        Each file of `sources`, whether anything was fixed in it or not. Findings of a file that is not among
        them, a notebook for one, are in none.
    """
    result = {path: Fixed(text) for path, text in sources.items()}
    wanted = []
    for finding in dict.fromkeys(findings):
        reason = _out_of_reach(finding, sources)
        if reason is None:
            wanted.append(finding)
        elif finding.path in result:
            result[finding.path].skipped.append(Skipped(finding, reason))
    if wanted:
        from likelihead.lint.fix.plan import fix

        fix(sources, wanted, result, unsafe=unsafe)
    return result


def _out_of_reach(finding: Finding, sources: Mapping[str, str]) -> str | None:
    if finding.code not in FIXABLE:
        return f"{finding.code} has no fix: what is right depends on what is meant"
    for place in (finding.place, finding.made):
        if place is None:
            continue
        if place.cell:
            return "cells of notebooks are not edited"
        if place.path not in sources:
            return f"{place.path} is not among the files that may be changed"
    return None
