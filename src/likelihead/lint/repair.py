"""The fixes of a whole run: made on copies, looked at again, and only then written."""

from __future__ import annotations

import difflib
import os
import re
import shutil
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from likelihead.core.atomic import replacing
from likelihead.core.shown import shown
from likelihead.errors import RunError
from likelihead.lint.cache import Cache
from likelihead.lint.discover import discover
from likelihead.lint.findings import Finding, Problem
from likelihead.lint.fix import fix_project
from likelihead.lint.notebooks import NOTEBOOK
from likelihead.lint.project import top_of
from likelihead.lint.run import Result, Texts, lint_paths
from likelihead.lint.settings import Configuration, Settings

__all__ = ["Repair", "diff", "repair", "write"]

# A fix may bring the next one within reach: a sigmoid that is gone leaves a loss that wants no weight.
_ROUNDS = 5


@dataclass
class Repair:
    """What the fixes come to.

    Attributes:
        result: of the linter on the fixed files.
        fixed: the findings that are gone.
        changed: the new bytes of each file that changes, and the old ones.
    """

    result: Result
    fixed: list[Finding] = field(default_factory=list)
    changed: dict[Path, tuple[bytes, bytes]] = field(default_factory=dict)


class _Rejected(Exception):
    """Fixes that must not be made, and why."""


def repair(
    paths: Iterable[str | os.PathLike[str]],
    *,
    settings: Settings | Configuration | None = None,
    jobs: int = 1,
    cache: Cache | None = None,
    unsafe: bool = False,
) -> Repair:
    """Lint, and fix what is found in the paths, in memory: nothing is written.

    The fixed files are looked at again. Fixes after which a file cannot be parsed, or an error is found that
    was not there, or which reach into a file that is not in the paths, are taken back. `Result.unfixed` says
    of what is left why it is.

    Args:
        paths: files and folders.
        settings: as `lint_paths` takes them.
        jobs: as `lint_paths` takes them.
        cache: as `lint_paths` takes it.
        unsafe: whether fixes that may change more than the loss are wanted too.

    Raises:
        UserDataError: a path is not there, or is neither a file nor a folder.
        OptionError: a pyproject.toml is not one.
    """
    bench = _Bench(list(paths), settings, jobs, cache or Cache(on_disk=False), unsafe)
    for _ in range(_ROUNDS):
        if not bench.step():
            break
    return Repair(bench.result, bench.fixed, bench.changed())


class _Bench:
    """The files under repair."""

    def __init__(
        self,
        paths: list[str | os.PathLike[str]],
        settings: Settings | Configuration | None,
        jobs: int,
        cache: Cache,
        unsafe: bool,
    ) -> None:
        self._paths, self._settings, self._jobs, self._cache, self._unsafe = (
            paths,
            settings,
            jobs,
            cache,
            unsafe,
        )
        self._overlay: dict[Path, bytes] = {}
        self._before: dict[Path, bytes] = {}
        self.fixed: list[Finding] = []
        self.result = self._lint({})
        self._given = set(discover(paths).files)
        self._around = _files_around(self._given) if self.result.findings else []

    def _lint(self, overlay: Mapping[Path, bytes]) -> Result:
        return lint_paths(
            self._paths, settings=self._settings, jobs=self._jobs, cache=self._cache, overlay=overlay
        )

    def step(self) -> bool:
        """Make the fixes that are in reach; whether there were any."""
        if not self.result.findings:
            return False
        try:
            return self._make(self.result.findings)
        except _Rejected as rejected:
            # One of them is to blame: they are tried alone, and the good ones are made together.
            reasons: dict[Finding, str] = {}
            good = []
            for finding in self.result.findings:
                try:
                    self._tried([finding])
                except _Rejected as alone:
                    reasons[finding] = str(alone)
                else:
                    good.append(finding)
            try:
                made = len(good) < len(self.result.findings) and self._make(good)
            except _Rejected as together:
                made, reasons = False, dict.fromkeys(good, str(together)) | reasons
            self.result.unfixed |= reasons or dict.fromkeys(self.result.findings, str(rejected))
            return made

    def _make(self, findings: list[Finding]) -> bool:
        applied, new, after = self._tried(findings)
        if not new:
            return False
        self._overlay |= new
        self.fixed += applied
        self.result = after
        return True

    def _tried(self, findings: list[Finding]) -> tuple[list[Finding], dict[Path, bytes], Result]:
        """The findings that would be gone, the new bytes of files, and what is found then."""
        texts = {path: text for path in self._around if (text := self.result.texts.of(path)) is not None}
        self.result.unfixed |= {
            one: "cells of notebooks are not edited" for one in findings if one.place.cell
        }
        fixes = fix_project(
            {str(path): text.text for path, text in texts.items()}, findings, unsafe=self._unsafe
        )
        new: dict[Path, bytes] = {}
        applied: list[Finding] = []
        for path, text in texts.items():
            fixed = fixes[str(path)]
            applied += fixed.applied
            self.result.unfixed |= {one.finding: one.reason for one in fixed.skipped}
            if fixed.text != text.text:
                new[path] = fixed.text.encode(text.encoding)
        if beyond := sorted(set(new) - self._given):
            raise _Rejected(f"the fix changes {shown(str(beyond[0]))} too, which is not in the given paths")
        if not new:
            return applied, new, self.result
        after = self._lint({**self._overlay, **new})
        broken = {problem.path for problem in after.problems} - {one.path for one in self.result.problems}
        worse = _errors(after) - _errors(self.result)
        if broken or worse:
            brought = f"leave {shown(min(broken))} broken" if broken else f"bring {min(worse)[1]}"
            raise _Rejected(f"the fix would {brought}")
        for path in new:
            self._before.setdefault(path, texts[path].text.encode(texts[path].encoding))
        return applied, new, after

    def changed(self) -> dict[Path, tuple[bytes, bytes]]:
        return {path: (self._before[path], new) for path, new in sorted(self._overlay.items())}


def _errors(result: Result) -> Counter[tuple[str, str]]:
    return Counter((one.path, one.code) for one in result.findings if one.hazard.severity == "E")


def _files_around(given: set[Path]) -> list[Path]:
    """The Python files of the projects: a value that is changed may be used in any of them."""
    tops = {top_of(path.parent) or path.parent for path in given}
    files = given | set(discover(tops).files)
    return sorted(path for path in files if path.suffix != NOTEBOOK)


def write(repaired: Repair) -> list[Problem]:
    """Write the changed files, each whole or not at all, with the rights that they had.

    Returns:
        The files that could not be written, or that somebody else has changed meanwhile.
    """
    problems = []
    for path, (old, new) in repaired.changed.items():
        real = Path(os.path.realpath(path))  # a link stays one
        try:
            if real.read_bytes() != old:
                problems.append(Problem(str(path), "not fixed: it was changed meanwhile; run again"))
            elif not os.access(real, os.W_OK):
                problems.append(Problem(str(path), "not fixed: it is read-only"))
            else:
                with replacing(real, settle=_with_mode) as file:
                    file.write(new)
        except (OSError, RunError) as error:
            problems.append(Problem(str(path), f"not fixed: {error}"))
    return problems


def _with_mode(temporary: Path, path: Path) -> None:
    shutil.copymode(path, temporary)
    os.replace(temporary, path)


def diff(repaired: Repair) -> str:
    """The changes as a unified diff."""
    texts = Texts()
    after = Texts({path: new for path, (_, new) in repaired.changed.items()})
    parts: list[str] = []
    for path in repaired.changed:
        old, new = texts.of(path), after.of(path)
        if old is None or new is None:
            continue
        name = shown(str(path))
        lines = difflib.unified_diff(_lines(old.text), _lines(new.text), name, name)
        parts += [
            line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines
        ]
    return "".join(parts)


def _lines(text: str) -> list[str]:
    """The lines as `patch` counts them: a form feed ends none."""
    return re.findall(r"[^\n]*\n|[^\n]+", text)


def summary(repaired: Repair, failed: list[Problem]) -> str:
    """What was written, in one line."""
    files = len(repaired.changed)
    if failed:
        return f"Wrote {files - len(failed)} of {files} changed files."
    found = len(repaired.fixed) + len(repaired.result.findings)
    return (
        f"Fixed {len(repaired.fixed)} of {found} findings; changed {files} file{'' if files == 1 else 's'}."
    )
