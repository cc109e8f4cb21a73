"""The analysis of one file, together with what it imports: from a path to findings."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from likelihead.lint.findings import Finding
from likelihead.lint.project import Project

__all__ = ["Report", "analyse"]


@dataclass
class Report:
    """What the analysis of one file found.

    Attributes:
        findings: of any code, in this file or (reached from it) in another one of the project, unsuppressed.
        reads: the other files that were looked at; the findings stand as long as they and the file stay as they are.
        functions: how many functions were interpreted.
        exhausted: functions that were given up because their budget was used up, ``"path:line name"``.
    """

    findings: list[Finding] = field(default_factory=list)
    reads: list[Path] = field(default_factory=list)
    functions: int = 0
    exhausted: list[str] = field(default_factory=list)


def analyse(path: Path, project: Project, losses: dict[str, str] | None = None) -> Report:
    """Interpret the file as a program and each of its functions, and let the rules look at every loss call.

    Args:
        path: the file.
        project: the files around it.
        losses: names of wrappers and the loss that they stand for, ``{"mylib.ce": "cross_entropy"}``.
    """
    raise NotImplementedError
