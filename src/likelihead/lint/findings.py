"""What the linter says: a finding, with the place that takes a value and the place that made it."""

from __future__ import annotations

from dataclasses import dataclass

from likelihead.hazards import HAZARDS, Hazard

__all__ = ["Finding", "Place", "Problem"]


@dataclass(frozen=True, order=True)
class Place:
    """A piece of source code.

    Attributes:
        path: the file, as it was given or found.
        line: of its first character, from 1.
        column: of its first character, from 1, in characters.
        end_line: of the character behind its last one.
        end_column: of the character behind its last one.
        text: what happens there, in a few words: ``"softmax over dimension 1"``.
        cell: of a notebook, from 1; lines then count within the cell. 0 for a file of Python.
    """

    path: str
    line: int
    column: int
    end_line: int
    end_column: int
    text: str = ""
    cell: int = 0


@dataclass(frozen=True, order=True)
class Finding:
    """One hazard in the source.

    Attributes:
        place: where the loss (or comparison, or exponential) takes the value: the place that is reported.
        code: of the hazard.
        detail: what is known of this case, as a full sentence.
        made: where the value was made, if there is such a place.
        calls: the calls that the value passes between `made` and `place`, in order.
    """

    place: Place
    code: str
    detail: str
    made: Place | None = None
    calls: tuple[Place, ...] = ()

    @property
    def hazard(self) -> Hazard:
        """The hazard's row of the table."""
        return HAZARDS[self.code]

    @property
    def path(self) -> str:
        """The file of `place`."""
        return self.place.path

    @property
    def line(self) -> int:
        """The line of `place`."""
        return self.place.line


@dataclass(frozen=True, order=True)
class Problem:
    """A file that could not be looked at, and why, in one line."""

    path: str
    reason: str
    line: int = 0
