"""Comments that say: not here."""

from __future__ import annotations

import re
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass, field
from io import StringIO

from likelihead.lint.findings import Finding

__all__ = ["Suppressions", "suppressions"]

_CODES = r"[A-Z]+[0-9]+(?:[\s,]+[A-Z]+[0-9]+)*"
_COMMENT = re.compile(
    rf"#\s*(?:likelihead\s*:\s*(?P<what>ignore-file|ignore)(?:\[\s*(?P<ours>{_CODES})\s*,?\s*\])?(?=\s|\#|$)"
    rf"|noqa(?:\s*:\s*(?P<noqa>{_CODES}))?(?=\s|,|\#|$))",
    re.IGNORECASE,
)
_ALL = ("",)  # any code begins with it


@dataclass
class Suppressions:
    """The codes, or their beginnings, that the comments of a file name.

    Attributes:
        file: for all of it.
        lines: by the comment's line.
        ends: by each line of a statement the line on which it ends.
    """

    file: tuple[str, ...] = ()
    lines: dict[int, tuple[str, ...]] = field(default_factory=dict)
    ends: dict[int, int] = field(default_factory=dict)

    def hide(self, finding: Finding) -> bool:
        """Whether a comment on a line of the call, or at the end of its statement, is meant for it."""
        place = finding.place
        codes = list(self.file)
        for line in {*range(place.line, place.end_line + 1), self.ends.get(place.line, place.line)}:
            codes += self.lines.get(line, ())
        return any(finding.code.startswith(code) for code in codes)


def suppressions(text: str) -> Suppressions:
    """Find the comments of a source; what looks like one inside a string is none."""
    found = Suppressions()
    if not _COMMENT.search(text):
        return found
    first = 0  # line of the statement
    for token in _tokens(text):
        if token.type == tokenize.COMMENT:
            for comment in _COMMENT.finditer(token.string):
                codes = _codes(comment)
                if comment["what"] and comment["what"].lower() == "ignore-file":
                    found.file += codes
                else:
                    found.lines[token.start[0]] = found.lines.get(token.start[0], ()) + codes
        elif token.type == tokenize.NEWLINE:
            if first < token.start[0]:
                found.ends.update(dict.fromkeys(range(first, token.start[0]), token.start[0]))
            first = 0
        elif not first and token.type not in (tokenize.NL, tokenize.INDENT, tokenize.DEDENT):
            first = token.start[0]
    return found


def _codes(comment: re.Match[str]) -> tuple[str, ...]:
    named = comment["ours"] or comment["noqa"]
    return tuple(re.split(r"[\s,]+", named.upper())) if named else _ALL


def _tokens(text: str) -> Iterator[tokenize.TokenInfo]:
    try:
        yield from tokenize.generate_tokens(StringIO(text).readline)
    except (tokenize.TokenError, SyntaxError):
        return  # the comments before the fault still hold
