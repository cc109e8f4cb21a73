"""Findings as the linter would report them, made from the text of a call: the fixes are tested without it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping

from likelihead.lint.findings import Finding, Place

EXPECTATION = re.compile(r"[ \t]*# expect: (LH\d{3}(?:, LH\d{3})*)")

_ACTIVATIONS = {
    "LH101": ("softmax", "Softmax"),
    "LH102": ("sigmoid", "Sigmoid"),
    "LH103": ("log_softmax", "LogSoftmax"),
    "LH104": ("softmax", "Softmax"),
    "LH106": ("sigmoid", "Sigmoid"),
    "LH109": ("sigmoid", "Sigmoid"),
    "LH110": ("softmax", "Softmax"),
}


def expected(sources: Mapping[str, str]) -> list[Finding]:
    """What the comments ``# expect: LH101`` announce; the value is made by the only activation."""
    found = []
    for path, text in sources.items():
        for line, content in enumerate(re.split(r"\r\n|\r|\n", text), 1):
            match = EXPECTATION.search(content)
            for code in match[1].split(", ") if match else ():
                # Of the calls that begin on the line, the one that takes the value.
                taking = [
                    place
                    for name, place in calls(path, text)
                    if place.line == line and (name == "log" if code == "LH110" else _is_loss(name))
                ]
                found.append(Finding(taking[0], code, "As planted.", made=made(sources, code)))
    return found


def made(sources: Mapping[str, str], code: str) -> Place | None:
    """The call that makes the value: the only activation of the kind, but for the calls of a layer."""
    names = _ACTIVATIONS.get(code)
    if names is None:
        return None
    places = [
        place
        for path, text in sources.items()
        for name, place in calls(path, text)
        if name in names and not place.text.startswith("self.")
    ]
    assert len(places) == 1, f"{len(places)} activations for {code}: say which one is meant"
    return places[0]


def at(sources: Mapping[str, str], text: str, number: int = 0) -> Place:
    """The call whose source begins with `text`."""
    places = [p for path, t in sources.items() for _, p in calls(path, t) if p.text.startswith(text)]
    return places[number]


def calls(path: str, text: str) -> Iterator[tuple[str, Place]]:
    """Each call of a file, with the last word of what is called and the source in the place's text."""
    lines = re.split(r"\r\n|\r|\n", text)
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Call) and node.end_lineno is not None and node.end_col_offset is not None:
            first = lines[node.lineno - 1].encode()[: node.col_offset].decode()
            last = lines[node.end_lineno - 1].encode()[: node.end_col_offset].decode()
            place = Place(
                path,
                node.lineno,
                len(first) + 1,
                node.end_lineno,
                len(last) + 1,
                ast.get_source_segment(text, node),
            )
            yield ast.unparse(node.func).rpartition(".")[2], place


def _is_loss(name: str) -> bool:
    return any(word in name for word in ("loss", "criterion", "cross_entropy", "bce", "nll"))
