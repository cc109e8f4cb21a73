"""What the loop around a line goes over, by its text: the losses of several tasks add up, of batches not."""

from __future__ import annotations

import linecache
import re

from likelihead.watch.places import Spot

__all__ = ["goes_over_terms", "loop_around"]

_HEADER = re.compile(r"\s*(async\s+)?(for|while)\b")
_DEFINITION = re.compile(r"\s*(async\s+)?(def|class)\b")
# Of these the losses are terms of one sum, or each is a number of its own.
_TERMS = re.compile(
    r"task|meta|domain|view|head|client|agent|episode|fold|expert|modalit|language|scale|level|branch|augment"
    r"|discriminator|critic|fake",
    re.IGNORECASE,
)
# What is carried from one part of a sequence to the next.
_CARRIED = re.compile(
    r"\b(h|hx|cx|hidden\w*|states?|carry|mem|mems|memory|memories|past\w*)\s*(,[^=]*)?=[^=]|repackage|episode"
)


def loop_around(spot: Spot) -> tuple[str, str]:
    """The header of the innermost loop around a line, and the loop's text down to that line; "" for none."""
    file, line = spot
    text = linecache.getline(file, line)
    if not text.strip():
        return "", ""
    indent = _indent(text)
    body = [text]
    for number in range(line - 1, max(line - 400, 0), -1):
        above = linecache.getline(file, number)
        if not above.strip() or above.lstrip().startswith("#"):
            continue
        body.append(above)
        if _indent(above) < indent:
            indent = _indent(above)
            if _HEADER.match(above):
                return above.strip(), "".join(reversed(body))
            if _DEFINITION.match(above):
                break
    return "", ""


def goes_over_terms(spot: Spot) -> bool:
    """Whether the loop around this line seems to go over tasks, heads or the parts of a sequence."""
    header, body = loop_around(spot)
    return bool(_TERMS.search(header) or _CARRIED.search(body))


def _indent(text: str) -> int:
    expanded = text.expandtabs()
    return len(expanded) - len(expanded.lstrip())
