"""Reading a file: what stands in the way is one line, and never an exception."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest

from likelihead.lint import source
from likelihead.lint.findings import Place, Problem
from likelihead.lint.source import Source, Text, digest_of, read, read_text


@pytest.mark.parametrize(
    ("data", "words", "line"),
    [
        (b"def f(:\n", "not Python 3: invalid syntax", 1),
        (b"x = 1\nprint 'Python 2'\n", "not Python 3: Missing parentheses", 2),
        (b"# caf\xe9\nx = 1\n", "cannot be decoded", 0),
        (b"# -*- coding: no-such -*-\n", "cannot be decoded", 0),
        (b"x = 1\x00\n", "not Python 3", 0),
        (b"x = " + b"-" * 20_000 + b"1\n", "nested too deeply", 0),
        (b"x = " + b"(" * 5_000 + b")" * 5_000, "too many nested parentheses", 1),
    ],
)
def test_a_file_that_cannot_be_parsed(data: bytes, words: str, line: int, tmp_path: Path) -> None:
    path = tmp_path / "a.py"
    path.write_bytes(data)
    problem = read(path)
    assert isinstance(problem, Problem)
    assert words in problem.reason
    assert "\n" not in problem.reason
    assert problem.line == line
    assert problem.path == str(path)


def test_expressions_nested_five_thousand_deep(tmp_path: Path) -> None:
    """Whichever Python: read, or one line."""
    path = tmp_path / "a.py"
    for text in ("x" + " + x" * 5_000, "x" + ".x" * 5_000, "f(" * 99 + ")" * 99):
        path.write_text(text)
        got = read(path)
        assert isinstance(got, Source) or "nested too deeply" in got.reason


def test_a_file_that_is_gone_or_a_folder(tmp_path: Path) -> None:
    for path in (tmp_path / "none.py", tmp_path):
        for reader in (read, read_text):
            problem = reader(path)
            assert isinstance(problem, Problem)
            assert problem.path == str(path)


def test_a_declared_encoding_and_a_mark_of_the_byte_order(tmp_path: Path) -> None:
    latin = tmp_path / "latin.py"
    latin.write_bytes("# coding: latin-1\nx = 'é'\r\n".encode("latin-1"))
    text = read_text(latin)
    assert isinstance(text, Text)
    assert (text.text, text.encoding) == ("# coding: latin-1\nx = 'é'\r\n", "iso-8859-1")
    marked = read_text(latin, "x = 'é'\n".encode("utf-8-sig"))
    assert isinstance(marked, Text)
    assert (marked.text, marked.encoding) == ("x = 'é'\n", "utf-8-sig")


def test_lines_are_those_that_the_tree_counts() -> None:
    data = "a = 1\r\nb = '\u2028\x0c'\rc = 3\n\x0cd = 4\n".encode()
    got = read(Path("a.py"), data)
    assert isinstance(got, Source)
    assert [got.lines[node.lineno - 1].strip()[0] for node in got.tree.body] == ["a", "b", "c", "d"]
    assert got.digest == digest_of(data)


def test_a_place_in_a_file_of_python_stays_as_it_is() -> None:
    place = Place("a.py", 3, 1, 3, 2)
    assert Text(Path("a.py"), "\n\nx").place_in_cells(place) is place


def test_other_peoples_escapes_are_not_our_warnings() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert isinstance(read(Path("a.py"), b"x = '\\d'\n"), Source)


def test_memory_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(source.ast, "parse", fail)
    problem = read(Path("a.py"), b"x = 1")
    assert isinstance(problem, Problem)
    assert "nested too deeply" in problem.reason
