"""What a check found, in words, and its way to the user: a warning once per call site, or an exception."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterable
from dataclasses import dataclass, field
from types import FrameType
from typing import Literal

from likelihead.errors import (
    DomainError,
    DTypeError,
    LikelihoodError,
    LikelihoodWarning,
    MisuseError,
    ShapeError,
    TargetError,
)
from likelihead.guard import switch
from likelihead.hazards import lookup

__all__ = ["Finding", "LossName", "report", "shape_text"]

LossName = Literal[
    "cross_entropy", "nll", "bce", "bce_with_logits", "multilabel_soft_margin", "mse", "gaussian_nll"
]

_ERRORS: dict[str, type[LikelihoodError]] = {
    "LH202": DTypeError,
    "LH203": TargetError,
    "LH205": DomainError,
    "LH207": TargetError,
    "LH208": TargetError,
    "LH301": ShapeError,
    "LH302": ShapeError,
    "LH303": ShapeError,
    "LH601": ShapeError,
    "LH602": ShapeError,
    "LH603": ShapeError,
    "LH801": DomainError,
}
# A class index out of range is not misuse that may pass: torch raises too, or on a GPU loses the process.
_IMPOSSIBLE = frozenset({"LH203"})


@dataclass(frozen=True)
class Finding:
    """One hazard found in one call.

    Attributes:
        code: the hazard's code; None for sizes that fit nothing and match no hazard.
        detail: what was seen in this call, as a full sentence.
        made_at: where the input was made (``"model.py:12"``), where anomaly mode recorded it.
    """

    code: str | None
    detail: str
    made_at: str | None = field(default=None)

    @property
    def message(self) -> str:
        """What is wrong, what was seen, and the remedy; without the call's place."""
        parts = [self.detail]
        if self.made_at is not None:
            parts.append(f"It was made at {self.made_at}.")
        if self.code is not None:
            hazard = lookup(self.code)
            parts = [hazard.sentence, *parts, hazard.remedy]
        return " ".join(parts)

    def error(self, at: str | None = None) -> LikelihoodError:
        """The exception that fits this finding (not raised here)."""
        kind = ShapeError if self.code is None else _ERRORS.get(self.code, MisuseError)
        return kind(self._told(at), code=self.code)

    def warning(self, at: str | None = None) -> LikelihoodWarning:
        """The warning for this finding (not issued here)."""
        return LikelihoodWarning(self._told(at), code=self.code)

    def _told(self, at: str | None) -> str:
        return self.message if at is None else f"{self.message} (loss call at {at})"


def shape_text(shape: Iterable[int]) -> str:
    """A shape as the documentation writes it.

    >>> shape_text((3, 1))
    '[3, 1]'
    """
    return f"[{', '.join(str(int(size)) for size in shape)}]"


def report(finding: Finding, default_action: Literal["warn", "raise"]) -> None:
    """Warn or raise, as the switch, the caller's default and the severity have it.

    Raises:
        LikelihoodError: of the kind that fits the hazard, where the action is to raise.
    """
    module, file, line = _call_site()
    at = f"{file}:{line}"
    if finding.code is None or _raises(finding.code, default_action):
        raise finding.error(at)
    site = (finding.code, file, line)
    if not switch.first_report(site):
        return
    try:
        warnings.warn_explicit(finding.warning(at), LikelihoodWarning, file, line, module=module)
    except LikelihoodWarning:
        # A filter made it an exception: then it is one each time, as with any other warning.
        switch.forget_report(site)
        raise


def _raises(code: str, default_action: Literal["warn", "raise"]) -> bool:
    if code in _IMPOSSIBLE:
        return True
    severity = lookup(code).severity
    if severity == "I":
        return False
    asked = switch.current().action
    if asked is None:
        return default_action == "raise" and severity == "E"
    return asked == "raise"


def _call_site() -> tuple[str, str, int]:
    """Module, file and line of the first frame outside likelihead and torch, from the loss outwards."""
    frame = sys._getframe(1)
    while frame.f_back is not None and _is_ours(_module(frame)):
        frame = frame.f_back
    return _module(frame), frame.f_code.co_filename, frame.f_lineno


def _module(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", "<unknown>"))


def _is_ours(module: str) -> bool:
    return module.partition(".")[0] in ("likelihead", "torch")
