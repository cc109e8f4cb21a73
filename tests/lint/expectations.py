"""What the sources of the corpus and of the rules' cases say should be found in them, and what was found."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from likelihead.lint.analysis import analyse
from likelihead.lint.project import Project

_MARK = re.compile(r"#\s*(expect|allow):\s*(LH\d{3}(?:\s*,\s*LH\d{3})*)")

Mark = tuple[str, int, str]  # file, line, code


@dataclass
class Outcome:
    """Of one case: what was expected, what was allowed besides, and what was found."""

    expected: set[Mark] = field(default_factory=set)
    allowed: set[Mark] = field(default_factory=set)
    found: set[Mark] = field(default_factory=set)

    @property
    def missed(self) -> set[Mark]:
        return self.expected - self.found

    @property
    def false(self) -> set[Mark]:
        return self.found - self.expected - self.allowed


def marks(path: Path, name: str) -> tuple[set[Mark], set[Mark]]:
    """The expectations and allowances in a file."""
    found: dict[str, set[Mark]] = {"expect": set(), "allow": set()}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        for kind, codes in _MARK.findall(line):
            found[kind] |= {(name, number, code) for code in re.findall(r"LH\d{3}", codes)}
    return found["expect"], found["allow"]


def outcome(case: Path, losses: dict[str, str] | None = None) -> Outcome:
    """Lint a file or a folder, and set it beside its expectations."""
    files = sorted(case.rglob("*.py")) if case.is_dir() else [case]
    root = case if case.is_dir() else case.parent
    result = Outcome()
    project = Project()
    for path in files:
        name = str(path.relative_to(root))
        expected, allowed = marks(path, name)
        result.expected |= expected
        result.allowed |= allowed
        for finding in analyse(path, project, losses).findings:
            result.found.add((str(Path(finding.path).relative_to(root)), finding.line, finding.code))
    if project.problems:  # a file that cannot be read would be as silent as a correct one
        raise ValueError("; ".join(f"{path}: {one.reason}" for path, one in project.problems.items()))
    return result


def cases(folder: Path) -> Iterable[Path]:
    """The cases of a folder: its files and its folders."""
    return sorted(
        one
        for one in folder.iterdir()
        if (one.is_dir() and one.name != "__pycache__") or (one.suffix == ".py" and one.name != "conftest.py")
    )
