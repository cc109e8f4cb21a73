"""Notebooks: what becomes of magics, and of files that are no notebooks."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

import pytest

from likelihead.lint.findings import Place, Problem
from likelihead.lint.notebooks import NotebookError, read_notebook
from likelihead.lint.source import read, read_text


def notebook(*cells: str | tuple[str, str], **metadata: Any) -> bytes:
    """Cells of code, or of another kind where it is named."""
    listed = [
        {
            "cell_type": cell[0] if isinstance(cell, tuple) else "code",
            "source": (cell[1] if isinstance(cell, tuple) else cell).splitlines(True),
        }
        for cell in cells
    ]
    return json.dumps({"cells": listed, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}).encode()


@pytest.mark.parametrize(
    ("cell", "python"),
    [
        ("x = 1", "x = 1"),
        ("%matplotlib inline\nx = 1", "pass\nx = 1"),
        ("!pip install torch", "pass"),
        ("!pip install \\\n  torch\nx = 1", "pass\n\nx = 1"),
        ("pip install torch", "pass"),
        ("?print", "pass"),
        ("torch.softmax??", "pass"),
        ("if x:\n    %timeit f()\n    y = 1", "if x:\n    pass\n    y = 1"),
        ("files = !ls\nt = %time f()", "files = None\nt = None"),
        ("%%time\nx = 1", "\nx = 1"),
        ("%%capture out\n!ls\nx = 1", "\npass\nx = 1"),
        ("\n%%bash\nls", "\n\n"),
        ("%%html\n<b>", "\n"),
        # Python that looks like magics
        ("x = (7\n% 4)", "x = (7\n% 4)"),
        ("x = '''\n%matplotlib\n!ls\n'''\n%time y", "x = '''\n%matplotlib\n!ls\n'''\npass"),
        ("x = f(1,  # a ( in a comment\n%s)\n!ls", "x = f(1,  # a ( in a comment\n%s)\npass"),
        ("x = y \\\n% z\n!ls", "x = y \\\n% z\npass"),
        ("x = 'it''s ('\n!ls", "x = 'it''s ('\npass"),
        ("x = '\\'('\n!ls", "x = '\\'('\npass"),
        ("x != 3\n!ls", "x != 3\npass"),
        ("x %= 3\n!ls", "x %= 3\npass"),
        ("ls = 3\ncd = ls\n!ls", "ls = 3\ncd = ls\npass"),
    ],
)
def test_magics_become_plain_python_line_for_line(cell: str, python: str) -> None:
    text, cells = read_notebook(notebook(cell))
    assert text == python + "\n"
    assert cells == ((1, 1),)


def test_lines_lead_back_to_the_cell() -> None:
    text, cells = read_notebook(notebook(("markdown", "# Title\n\nWords."), "a = 1\nb = 2", "", "c = 3"))
    assert text == "a = 1\nb = 2\n\nc = 3\n"
    assert cells == ((1, 2), (3, 3), (4, 4))


def test_a_place_is_given_by_cell(tmp_path: Path) -> None:
    path = tmp_path / "a.ipynb"
    path.write_bytes(notebook("a = 1\nb = 2", ("markdown", "x"), "c = (\n3)"))
    text = read_text(path)
    assert not isinstance(text, Problem)
    place = text.place_in_cells(Place(str(path), 3, 5, 4, 2))
    assert (place.cell, place.line, place.column, place.end_line, place.end_column) == (3, 1, 5, 2, 2)


def test_text_may_be_one_string_and_line_ends_those_of_windows() -> None:
    data = json.dumps({"cells": [{"cell_type": "code", "source": "a = 1\r\nb = 2"}]}).encode("utf-8-sig")
    assert read_notebook(data)[0] == "a = 1\nb = 2\n"


@pytest.mark.parametrize(
    "metadata", [{"kernelspec": {"language": "R"}}, {"language_info": {"name": "julia"}}, {}]
)
def test_another_language_is_left_alone(metadata: dict[str, Any]) -> None:
    text, _ = read_notebook(notebook("x <- 1", **metadata))
    assert text == ("" if metadata else "x <- 1\n")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "its JSON cannot be read"),
        (b"not json", "its JSON cannot be read"),
        (b"\xff\xfe\x00", "its JSON cannot be read"),
        (b"[" * 100_000, "its JSON cannot be read"),
        (b"[]", "not a notebook of format 4"),
        (b'{"worksheets": []}', "nbconvert"),
        (b'{"cells": 3}', "not a notebook of format 4"),
        (b'{"cells": [{"cell_type": "code", "source": 3}]}', "the source of cell 1 is no text"),
        (b'{"cells": [{"cell_type": "code", "source": [3]}]}', "the source of cell 1 is no text"),
    ],
)
def test_what_is_no_notebook(data: bytes, words: str) -> None:
    with pytest.raises(NotebookError, match=words) as caught:
        read_notebook(data)
    assert "\n" not in str(caught.value)


def test_odd_cells_and_metadata_are_passed_over() -> None:
    assert read_notebook(b'{"cells": [3, {}, {"cell_type": "raw"}], "metadata": 3}') == ("", ())


def test_a_cell_that_is_not_python_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.ipynb"
    path.write_bytes(notebook("a = 1", "b = 2\nprint 'x'"))
    problem = read(path)
    assert isinstance(problem, Problem)
    assert problem.reason.startswith("cell 2, line 2: not Python 3: ")


def test_a_tree_has_the_lines_of_the_text(tmp_path: Path) -> None:
    path = tmp_path / "a.ipynb"
    path.write_bytes(notebook("%time\na = 1", "b = 2"))
    source = read(path)
    assert not isinstance(source, Problem)
    assert [type(node) for node in source.tree.body] == [ast.Pass, ast.Assign, ast.Assign]
    assert source.lines == ["pass", "a = 1", "b = 2", ""]
