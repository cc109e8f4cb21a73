"""How a file is asked to be read, and what was found of it: part of a schema."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

__all__ = ["AUTO", "Reading"]


@dataclass(frozen=True)
class Reading:
    """How a file is read. What is ``auto`` is told from the head of the file.

    Attributes:
        separator: what stands between the cells of a text file.
        decimal: ``,`` or ``.``.
        encoding: a codec's name.
        missing: texts or numbers that stand for a missing cell, in every column.
        forms: how the numbers of a column are written, by the column's name: as found.
        marks: columns in which dashes and the like stand for a missing number: as found.
        as_written: whether forms and marks are not looked for.
    """

    separator: str = "auto"
    decimal: str = "auto"
    encoding: str = "auto"
    missing: tuple[str, ...] = ()
    forms: tuple[tuple[str, str], ...] = ()
    marks: tuple[str, ...] = ()
    as_written: bool = False

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Reading:
        """The inverse of ``dataclasses.asdict``, after JSON."""
        return cls(
            values.get("separator", "auto"),
            values.get("decimal", "auto"),
            values.get("encoding", "auto"),
            tuple(values.get("missing", ())),
            tuple((str(name), str(form)) for name, form in values.get("forms", ())),
            tuple(values.get("marks", ())),
            bool(values.get("as_written", False)),
        )

    def with_options(
        self,
        separator: str | None = None,
        decimal: str | None = None,
        encoding: str | None = None,
        missing: Sequence[str] = (),
    ) -> Reading:
        """The same with what is given for another file."""
        return replace(
            self,
            separator=separator or self.separator,
            decimal=decimal or self.decimal,
            encoding=encoding or self.encoding,
            missing=(*self.missing, *(m for m in missing if m not in self.missing)),
        )


#: All of it told from the file.
AUTO = Reading()
