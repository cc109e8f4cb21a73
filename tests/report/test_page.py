"""A page of sections, as any task makes it: each block shows what it holds, and text stays text."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from likelihead.errors import DomainError, OptionError, RunError, ShapeError
from likelihead.report.blocks import (
    Bars,
    Callout,
    Figure,
    Finding,
    Grid,
    Images,
    Legend,
    Lines,
    Matrix,
    Picture,
    Row,
    Table,
    Text,
    Tokens,
)
from likelihead.report.page import Card, Page, Section, html, write_page
from likelihead.report.pictures import png_of

BAD = "<script>alert(1)</script>"
DOT = png_of(np.zeros((4, 6), dtype=np.uint8))


def page(*blocks: Any, **changes: Any) -> Page:
    values: dict[str, Any] = {
        "title": "a run",
        "task": "language",
        "line": "language · GRU",
        "summary": ["It works."],
        "cards": [Card("Perplexity", "3.4", "per byte")],
        "sections": [Section("What is shown", list(blocks), "How to read it.")],
    }
    return Page(**{**values, **changes})


def words(text: str) -> str:
    body = text[text.index("<body>") :]
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", body)).split())


@pytest.mark.parametrize(
    "block",
    [
        Text(BAD),
        Lines([BAD]),
        Callout(BAD, BAD, [BAD]),
        Finding(BAD, BAD, [BAD], [(BAD, BAD)], BAD),
        Figure("<svg viewBox='0 0 1 1'></svg>", BAD),
        Table([BAD], [[BAD]], note=BAD, label=BAD, title=BAD),
        Table([BAD, "x"], [[BAD, BAD]], keys=True),
        Matrix([[1, 2], [0, 3]], [BAD, "b"], title=BAD, label=BAD),
        Bars([BAD], {BAD: [0.5], "b": [0.25]}, caption=BAD),
        Legend([(BAD, "accent")]),
        Images([Picture(DOT, BAD, BAD)]),
        Tokens([(BAD, 1.0)], title=BAD, caption=BAD),
        Row([Text(BAD)], title=BAD),
        Grid([Text(BAD)]),
    ],
    ids=lambda block: block.kind,
)
def test_each_block_shows_its_text_and_no_markup_in_it(block: Any) -> None:
    text = html(page(block))
    assert BAD in words(text)
    assert "<script" not in text


def test_a_table_rounds_numbers_and_marks_cells() -> None:
    table = Table(["run", "NLL"], [["a", 0.123456], ["b", None]], best={(0, 1)}, wrong={(1, 0)})
    text = html(page(table))
    assert table.right == {1}
    assert '<td class="figure best">0.1235</td>' in text
    assert '<td class="wrong">b</td>' in text
    assert '<td class="figure">–</td>' in text


def test_bars_have_the_length_of_their_values() -> None:
    bars = Bars(["a", "b"], {"before": [0.5, float("nan")], "after": [2.0, 1.0]})
    assert [[width for width, _, _ in values] for _, values in bars.rows] == [
        ["25.00", "100.00"],
        ["0.00", "50.00"],
    ]
    assert [[shown for _, shown, _ in values] for _, values in bars.rows][1][0] == "–"
    assert Bars(["a"], {"recall": [0.5]}, share=True).rows == [("a", [("50.00", "50.0%", "accent")])]


def test_pictures_are_in_the_page_with_their_size() -> None:
    text = html(page(Images([Picture(DOT, "the sixth")], per_line=3)))
    found = re.search(
        r'<img src="data:image/png;base64,[A-Za-z0-9+/=]+" width="6" height="4" alt="([^"]*)"', text
    )
    assert found
    assert found[1] == "the sixth"


def test_tokens_keep_their_spaces_and_are_as_strong_as_their_loss() -> None:
    tokens = Tokens([("a  b", 2.0), ("\n", float("nan")), ("\x00", 99.0)], full=4.0)
    assert tokens.spans == [
        ("a  b", "0.50", "2.00"),
        ("↵\n", "0", "–"),
        ("\N{REPLACEMENT CHARACTER}", "1.00", "99.0"),
    ]
    assert '<span style="--s: 0.50" title="2.00 nats">a  b</span>' in html(page(tokens))


def test_sections_beside_each_other_and_sections_left_out() -> None:
    both = Section("Before", [Text("x")], beside=Section("After", [Text("y")], id="later"))
    text = html(page(sections=[both], findings=None, notes=None))
    assert re.findall(r'<section id="([^"]*)"', text) == ["before", "later"]
    assert "The guard found nothing" not in text
    assert "The guard found nothing" in html(page())


def test_the_json_has_the_pages_part_and_the_tasks_part(tmp_path: Path) -> None:
    write_page(tmp_path, page(config={"lr": 0.1}), {"figures": {"nll": 1.5, "ece": float("nan")}})
    got = json.loads((tmp_path / "report.json").read_text("utf-8"))
    assert got["schema"] == "likelihead.report"
    assert (got["task"], got["run"], got["summary"]) == ("language", "a run", ["It works."])
    assert got["figures"] == {"nll": 1.5, "ece": None}
    assert got["config"] == {"lr": 0.1}
    assert (tmp_path / "report.html").read_text("utf-8") == html(page(config={"lr": 0.1}))


def test_the_task_may_not_overwrite_the_pages_part(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="entry 'task'"):
        write_page(tmp_path, page(), {"task": "x"})
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"cannot write .*report\.html"):
        write_page(tmp_path / "absent", page(), {})


def test_two_sections_of_one_id() -> None:
    with pytest.raises(OptionError, match="two have the id 'what-is-shown'"):
        replace(page(), sections=[*page().sections, *page().sections])
    with pytest.raises(OptionError, match="two have the id 'data'"):
        page(sections=[Section("Data", [])])


@pytest.mark.parametrize(
    ("make", "error", "says"),
    [
        (lambda: Table(["a"], [["x", "y"]]), ShapeError, r"rows\[0\] has 2 cells for 1 columns"),
        (lambda: Matrix([[1]], ["a", "b"]), ShapeError, "not 2 by 2"),
        (lambda: Bars(["a"], {"s": []}), ShapeError, "'s' has 0 values for 1 names"),
        (lambda: Bars(["a"], {"s": [-1.0]}), DomainError, "'s' holds -1.0"),
        (lambda: Bars([], dict.fromkeys("abcd", ())), OptionError, "4 entries for 3 colours"),
        (lambda: Picture(b"GIF89a"), OptionError, "expected the bytes of a PNG"),
        (lambda: Figure("<img>", "x"), OptionError, "expected an <svg> element"),
        (lambda: Tokens([], full=0.0), OptionError, "full is 0.0"),
    ],
)
def test_what_cannot_be_shown_is_refused(make: Any, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        make()
