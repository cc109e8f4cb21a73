"""What an option of a training run is: a row of the table in `likelihead.train.options`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from likelihead.errors import OptionError

__all__ = [
    "IMAGES",
    "IMAGE_SETS",
    "KINDS",
    "LANGUAGE",
    "TABLE",
    "TASKS",
    "TEXT_SETS",
    "TRANSFORMER",
    "Option",
    "kind_of",
    "with_article",
]

Form = Literal["number", "numbers", "count", "text", "texts", "flag", "widths", "size"]

KINDS: dict[str, tuple[str, ...]] = {
    "table": (
        "binary",
        "multiclass",
        "multilabel",
        "ordinal",
        "regression",
        "robust-regression",
        "quantile",
        "count",
        "overdispersed-count",
    ),
    "language": ("language",),
    "images": ("segmentation", "multilabel", "multiclass"),
}
"""The kinds of data, and the tasks of each."""

TASKS = ("auto", *KINDS["table"], "language", "segmentation")
TEXT_SETS = ("stdlib",)
IMAGE_SETS = ("digit-scenes",)

TABLE, LANGUAGE, IMAGES = "table", "language", "images"
TRANSFORMER = "transformer"


def kind_of(data: str, task: str) -> str:
    """Which kind of data a run is about: ``table``, ``language`` or ``images``.

    >>> kind_of("stdlib", "language"), kind_of("digit-scenes", "auto"), kind_of("iris", "auto")
    ('language', 'images', 'table')
    """
    if task == "language" or data in TEXT_SETS:
        return LANGUAGE
    if task == "segmentation" or data in IMAGE_SETS or Path(data).is_dir():
        return IMAGES
    return TABLE


@dataclass(frozen=True)
class Option:
    """One option.

    Attributes:
        name: the field's; the command line writes it with hyphens.
        form: what it looks like: a whole number (count), a number, several numbers, a text, several texts, a
            flag, layer widths or a size in bytes.
        metavar, help: as the command line shows them.
        default: what it is where nothing else is said, or where it does not apply.
        defaults: what it is for a kind of data, where that differs, or for a network.
        tasks: those that it means something for.
        kinds: the kinds of data that it means something for.
        allowed: the values, of a text that is one of a few.
        ok, expected: whether a value is in range, and the range in words.
        default_text: the default in words, where the value does not say it.
    """

    name: str
    form: Form
    metavar: str
    help: str
    default: Any
    defaults: Mapping[str, Any] = field(default_factory=dict)
    tasks: tuple[str, ...] = TASKS[1:]
    kinds: tuple[str, ...] = tuple(KINDS)
    allowed: tuple[str, ...] = ()
    ok: Callable[[Any], bool] = lambda _: True
    expected: str = ""
    default_text: str = ""

    @property
    def flag(self) -> str:
        """As it is written on the command line."""
        return f"--{self.name.replace('_', '-')}"

    @property
    def full_help(self) -> str:
        """The help with the defaults behind it."""
        shown = self.default_text or _shown(self.default)
        parts = [shown] if shown else []
        words = {LANGUAGE: "text", IMAGES: "images", TRANSFORMER: "a transformer"}
        parts += [f"{words[kind]} {_shown(value)}" for kind, value in self.defaults.items()]
        return f"{self.help} [{'; '.join(parts)}]" if parts else self.help

    def default_for(self, kind: str, network: str = "") -> Any:
        """What it is for a kind of data, and a network where it has one, where it is not given."""
        return self.defaults.get(network, self.defaults.get(kind, self.default))

    def check(self, value: Any) -> None:
        """Verify that a value is in range.

        Raises:
            OptionError: it is not.
        """
        if self.allowed and value not in self.allowed:
            raise OptionError(f"{self.name} is {value!r}; expected one of {', '.join(self.allowed)}")
        if not self.ok(value):
            shown = _shown(value) if isinstance(value, tuple) else repr(value)
            raise OptionError(f"{self.name} is {shown}; expected {self.expected}")

    def applies(self, kind: str, task: str) -> bool:
        """Whether it means something for a task on a kind of data."""
        return kind in self.kinds and task in self.tasks

    def check_for(self, value: Any, kind: str, task: str) -> None:
        """Refuse a value that the task would ignore.

        Raises:
            OptionError: it was given, and means nothing for the task.
        """
        if self.applies(kind, task) or value == self.default_for(kind):
            return
        shown = _shown(value)
        tasks = [name for name in self.tasks if any(name in KINDS[k] for k in self.kinds)]
        where = {"table": "tables", "language": "text", "images": "images"}
        on = "" if len(self.kinds) == len(KINDS) else f" on {' and '.join(where[k] for k in self.kinds)}"
        raise OptionError(
            f"{self.flag}{'' if value is True else f' {shown}'} does not apply to {with_article(task)} task "
            f"on {where[kind]}; it is for {', '.join(tasks)}{on}"
        )


def with_article(task: str) -> str:
    """A task's name in a sentence.

    >>> with_article("ordinal"), with_article("count")
    ('an ordinal', 'a count')
    """
    return f"an {task}" if task[0] in "aeiou" else f"a {task}"


def _shown(value: object) -> str:
    """A value as it is written on the command line.

    >>> _shown((64, 32)), _shown(0.01), _shown(False)
    ('64,32', '0.01', '')
    """
    if isinstance(value, tuple):
        return ",".join(str(part) for part in value) or "none"
    if isinstance(value, bool) or value is None:
        return ""
    return f"{value:g}" if isinstance(value, float) else str(value)
