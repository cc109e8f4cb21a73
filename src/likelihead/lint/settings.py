"""What is reported where: ``[tool.likelihead.lint]`` of the nearest pyproject.toml, and the command line."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from fnmatch import fnmatchcase
from importlib import import_module
from pathlib import Path
from typing import Any

from likelihead.errors import OptionError
from likelihead.hazards import HAZARDS
from likelihead.lint.knowledge.losses import FUNCTIONS

__all__ = ["LOSS_NAMES", "RULES", "Configuration", "Settings", "parse_settings"]

#: The hazards that the linter looks for.
RULES: tuple[str, ...] = tuple(hazard.code for hazard in HAZARDS.values() if hazard.lint)
#: The losses that a wrapper may stand for, by torch's names.
LOSS_NAMES = tuple(sorted(FUNCTIONS))
_EVERY = "ALL"
_TABLE = "[tool.likelihead.lint]"
_KEYS = ("select", "ignore", "per-file-ignores", "losses")


@dataclass(frozen=True)
class Settings:
    """Which findings are reported.

    A selector is a code (``"LH101"``), the beginning of some (``"LH1"``) or ``"ALL"``. The longest one that
    fits a code decides on it; of equally long ones `ignore` does.

    Attributes:
        select: selectors of what is reported.
        ignore: selectors of what is not.
        per_file_ignores: patterns of paths, relative to `folder`, and selectors that are ignored there. A
            pattern also fits a file of its name in any folder, and turns round where it begins with ``!``.
        losses: names of wrappers, ``"mylib.ce"``, and the loss that they stand for, ``"cross_entropy"``.
        folder: of the pyproject.toml.

    Raises:
        OptionError: a selector that fits no rule, or a loss that is not known.

    >>> Settings(select=("LH1",), ignore=("LH109",)).reports("LH109", "train.py")
    False
    """

    select: tuple[str, ...] = (_EVERY,)
    ignore: tuple[str, ...] = ()
    per_file_ignores: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    losses: Mapping[str, str] = field(default_factory=dict)
    folder: Path = Path()

    def __post_init__(self) -> None:
        for name, selectors in (
            ("select", self.select),
            ("ignore", self.ignore),
            *(
                (f"per-file-ignores of {pattern!r}", codes)
                for pattern, codes in self.per_file_ignores.items()
            ),
        ):
            for selector in selectors:
                _check_selector(name, selector)
        for wrapper, loss in self.losses.items():
            if not all(part.isidentifier() for part in wrapper.split(".")):
                raise OptionError(f"losses has {wrapper!r}; expected the dotted name of a function or class")
            if loss not in LOSS_NAMES:
                near = get_close_matches(loss, LOSS_NAMES, n=1)
                hint = f"did you mean {near[0]!r}?" if near else f"expected one of {', '.join(LOSS_NAMES)}"
                raise OptionError(
                    f"losses takes {wrapper!r} for {loss!r}, which is no loss known here; {hint}"
                )

    def over(self, select: Iterable[str] = (), ignore: Iterable[str] = ()) -> Settings:
        """These settings under those of a command line: its `select` replaces, its `ignore` comes on top."""
        return replace(self, select=tuple(select) or self.select, ignore=(*self.ignore, *ignore))

    def rules(self, path: str | os.PathLike[str]) -> frozenset[str]:
        """The codes that are reported in a file."""
        ignored = [*self.ignore]
        for pattern, codes in self.per_file_ignores.items():
            if self._fits(pattern, Path(path)):
                # A file's own word is the last, however short it is.
                ignored += [code for code in RULES if any(_fits(selector, code) for selector in codes)]
        return frozenset(code for code in RULES if _length(self.select, code) > _length(ignored, code))

    def reports(self, code: str, path: str | os.PathLike[str]) -> bool:
        """Whether a finding of this code in this file is reported."""
        return code in self.rules(path)

    def _fits(self, pattern: str, path: Path) -> bool:
        turned = pattern.startswith("!")
        name = Path(os.path.relpath(path, self.folder)).as_posix()
        plain = [one.removeprefix("./") for one in _alternatives(pattern.removeprefix("!"))]
        fits = any(
            fnmatchcase(name, one) or fnmatchcase(path.name, one) or fnmatchcase(name, f"{one.rstrip('/')}/*")
            for one in plain
        )
        return fits is not turned


def _fits(selector: str, code: str) -> bool:
    return selector == _EVERY or code.startswith(selector)


def _length(selectors: Iterable[str], code: str) -> int:
    """How closely the closest selector fits; -1 if none does."""
    return max(
        (0 if selector == _EVERY else len(selector) for selector in selectors if _fits(selector, code)),
        default=-1,
    )


def _check_selector(name: str, selector: str) -> None:
    if selector and any(_fits(selector, code) for code in RULES):
        return
    if selector in HAZARDS:
        reason = "is told by the data and not by the source, so lint has no such rule"
    else:
        near = get_close_matches(selector.upper(), RULES, n=1)
        reason = f"fits no rule{f'; did you mean {near[0]}?' if near else ''}"
    raise OptionError(
        f"{name} holds {selector!r}, which {reason}; expected codes such as LH101, "
        "beginnings such as LH1, or ALL"
    )


def _alternatives(pattern: str) -> list[str]:
    """The patterns that one with braces stands for.

    >>> _alternatives("{src,tests}/*.py")
    ['src/*.py', 'tests/*.py']
    """
    found = re.search(r"\{([^{}]*)\}", pattern)
    if found is None:
        return [pattern]
    before, after = pattern[: found.start()], pattern[found.end() :]
    return [one for part in found[1].split(",") for one in _alternatives(before + part + after)]


class Configuration:
    """The settings of each file, by the nearest pyproject.toml that has some; each is read once.

    Args:
        select: takes the place of any file's `select`, unless it is empty.
        ignore: on top of any file's `ignore`.
        fixed: the settings of all files; no pyproject.toml is read.

    Raises:
        OptionError: a selector that fits no rule.
    """

    def __init__(
        self, select: Iterable[str] = (), ignore: Iterable[str] = (), *, fixed: Settings | None = None
    ) -> None:
        self._select, self._ignore = tuple(select), tuple(ignore)
        self._default = (fixed or Settings()).over(self._select, self._ignore)
        self._fixed = fixed is not None
        self._folders: dict[Path, Settings] = {}

    def of(self, path: Path) -> Settings:
        """The settings of a file.

        Raises:
            OptionError: its pyproject.toml is not one, or has a key or a value that is not known.
        """
        return self._default if self._fixed else self._of_folder(path.parent)

    def _of_folder(self, folder: Path) -> Settings:
        if folder not in self._folders:
            found = _of_file(folder / "pyproject.toml")
            if found is not None:
                self._folders[folder] = found.over(self._select, self._ignore)
            elif folder.parent == folder:
                self._folders[folder] = self._default
            else:
                self._folders[folder] = self._of_folder(folder.parent)
        return self._folders[folder]


def _of_file(path: Path) -> Settings | None:
    try:
        data = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise OptionError(f"{path}: cannot be read: {error.strerror or error}") from error
    if sys.version_info < (3, 11) and b"likelihead" not in data:
        return None  # nothing for us, and no need of a package that reads it
    try:
        toml = import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
    except ModuleNotFoundError as error:
        raise OptionError(
            f"{path}: Python 3.10 cannot read TOML by itself; run: pip install 'likelihead[lint]'"
        ) from error
    try:
        document = toml.loads(data.decode())
    except ValueError as error:  # TOMLDecodeError and UnicodeDecodeError are
        raise OptionError(f"{path}: not TOML: {error}") from error
    section = document
    for key in ("tool", "likelihead", "lint"):
        section = section.get(key, {}) if isinstance(section, dict) else {}
    if section == {}:
        return None
    try:
        return parse_settings(section, path.parent)
    except OptionError as error:
        raise OptionError(f"{path}: {_TABLE}: {error}") from error


def parse_settings(section: Any, folder: Path) -> Settings:
    """The settings that a table of a pyproject.toml in `folder` holds.

    Raises:
        OptionError: a key or a value that is not known.
    """
    if not isinstance(section, dict):
        raise OptionError(f"is {_shown(section)}; expected a table")
    for key in section:
        if key not in _KEYS:
            near = get_close_matches(key, _KEYS, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"the keys are {', '.join(_KEYS)}"
            raise OptionError(f"there is no key {key!r}; {hint}")
    per_file = _table(section, "per-file-ignores", "a list of codes for each pattern")
    losses = _table(section, "losses", "a loss for each name of a wrapper")
    for wrapper, loss in losses.items():
        if not isinstance(loss, str):
            raise OptionError(f"losses has {_shown(loss)} for {wrapper!r}; expected the name of a loss")
    return Settings(
        select=_selectors("select", section["select"]) if "select" in section else (_EVERY,),
        ignore=_selectors("ignore", section.get("ignore", [])),
        per_file_ignores={
            pattern: _selectors(f"per-file-ignores of {pattern!r}", codes)
            for pattern, codes in per_file.items()
        },
        losses=losses,
        folder=folder,
    )


def _selectors(name: str, value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise OptionError(f'{name} is {_shown(value)}; expected a list of codes, such as ["LH101", "LH2"]')
    return tuple(one.strip().upper() for one in value)


def _table(section: dict[str, Any], name: str, expected: str) -> dict[str, Any]:
    value = section.get(name, {})
    if not isinstance(value, dict):
        raise OptionError(f"{name} is {_shown(value)}; expected a table with {expected}")
    return value


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
