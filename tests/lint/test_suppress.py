"""Comments that say: not here."""

from __future__ import annotations

import pytest

from likelihead.lint.findings import Finding, Place
from likelihead.lint.suppress import suppressions


def hidden(text: str, line: int = 1, end_line: int = 0, code: str = "LH101") -> bool:
    place = Place("a.py", line, 1, end_line or line, 9)
    return suppressions(text).hide(Finding(place, code, "x"))


@pytest.mark.parametrize(
    ("comment", "hides"),
    [
        ("# likelihead: ignore", True),
        ("#likelihead:ignore", True),
        ("# likelihead: ignore[LH101]", True),
        ("# likelihead: ignore[LH109, LH101]", True),
        ("# likelihead: ignore[lh101]", True),
        ("# likelihead: ignore[LH1]", True),
        ("# likelihead: ignore[LH109]", False),
        ("# likelihead: ignore[LH101", False),
        ("# likelihead: ignore[]", False),
        ("# likelihead: ignored", False),
        ("# likelihead: ignore because it is meant", True),
        ("# noqa", True),
        ("# NOQA", True),
        ("# noqa: LH101", True),
        ("# noqa:LH101,E501", True),
        ("# noqa: E501 LH101", True),
        ("# noqa: E501", False),
        ("# noqa: LH", False),
        ("# noqa: of no use", False),
        ("# a word  # noqa: LH101", True),
        ("# type: ignore  # likelihead: ignore[LH101]  # words", True),
        ("# flake8: noqa", False),
        ("# type: ignore", False),
    ],
)
def test_what_a_comment_hides(comment: str, hides: bool) -> None:
    assert hidden(f"f(x)  {comment}\n") is hides


def test_what_looks_like_a_comment_in_a_string_is_none() -> None:
    assert not hidden("f('# noqa')\n")
    assert not hidden("x = '''\n# likelihead: ignore-file\n'''\nf(x)\n", line=4)


def test_a_call_of_many_lines_is_meant_by_a_comment_on_any_of_them() -> None:
    text = "loss = f(\n    x,  # noqa: LH101\n    y,\n)\n"
    assert hidden(text, 1, 4)
    assert not hidden(text, 1, 1)


def test_the_end_of_the_statement_counts_and_a_line_between_does_not() -> None:
    text = "losses = [\n    f(x),\n    f(y),{}\n]{}\n"
    assert hidden(text.format("", "  # noqa"), 2)
    assert not hidden(text.format("  # noqa", ""), 2)
    assert hidden(text.format("  # noqa", ""), 3)


def test_the_line_before_does_not_count() -> None:
    assert not hidden("# likelihead: ignore\nf(x)\n", 2)
    assert not hidden("g(x)  # noqa\nf(x)\n", 2)


def test_a_whole_file() -> None:
    assert hidden("f(x)\n\n# likelihead: ignore-file\n")
    assert hidden("f(x)\n# likelihead: ignore-file[LH101]\n")
    assert not hidden("f(x)\n# likelihead: ignore-file[LH109]\n")


def test_comments_before_a_fault_hold() -> None:
    assert hidden("f(x)  # noqa\n'''\n")
