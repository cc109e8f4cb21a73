"""The picture: drawn from a results file, always the same, without a colour that a page can hide."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from benchmarks.plot import INK, digest, draw, newest
from likelihead.bench.case import COMPILED, EAGER, FLOOR, IN_PLACE, OURS
from likelihead.bench.cases import CASES
from likelihead.bench.results import Results, Row, read, write
from likelihead.errors import DataError

ROOT = Path(__file__).parents[2]


@pytest.fixture
def results() -> Results:
    rows = [
        Row(
            case=case.name,
            what=case.what,
            op=case.op,
            shape=list(case.shape),
            dtype="float32",
            backend="native",
            runs=1,
            seconds={OURS: [2.0], EAGER: [12.0], FLOOR: [1.0]},
            goals=list(case.goals),
        )
        for case in CASES
    ]
    rows[0].seconds |= {IN_PLACE: [1.0], COMPILED: [6.0]}
    return Results("cpu", "2026-11-20", {"cpu": "A CPU"}, {"torch": "2.13.0"}, {"threads": 2}, rows)


def test_it_is_an_svg_with_a_title_every_case_and_every_function(results: Results) -> None:
    svg = draw(results)
    root = ElementTree.fromstring(svg)
    text = " ".join(root.itertext())
    assert root.tag.endswith("svg")
    assert "Time from the logits to their gradient on A CPU with 2 threads" in text
    for word in (*(case.name for case in CASES), OURS, IN_PLACE, COMPILED, EAGER, "goal"):
        assert word in text


def test_it_is_in_the_pages_colours_and_the_same_every_time(results: Results) -> None:
    svg = draw(results)
    assert INK not in svg
    assert "var(--color-foreground-primary, #777777)" in svg
    assert "#000000" not in svg
    assert svg == draw(results)


def test_nothing_to_draw(results: Results) -> None:
    with pytest.raises(DataError, match="nothing can be drawn"):
        draw(replace(results, rows=[]))


def test_the_newest_cpu_table(results: Results, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no CPU results are here"):
        newest(tmp_path)
    write(results, tmp_path / "b.json")
    write(replace(results, date="2026-11-21"), tmp_path / "a.json")
    write(replace(results, date="2026-11-22", suite="identity"), tmp_path / "c.json")
    assert newest(tmp_path).name == "a.json"


def test_the_documentation_shows_the_newest_results() -> None:
    path = newest(ROOT / "benchmarks" / "results")
    page = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    assert f"../benchmarks/results/{path.stem}.md" in page
    picture = (ROOT / "docs" / "_static" / "benchmarks.svg").read_text(encoding="utf-8")
    assert f'data-results="{digest(read(path))}"' in picture, "python -m benchmarks plot"


def test_other_results_have_another_digest(results: Results) -> None:
    before = digest(results)
    assert f'data-results="{before}"' in draw(results)
    results.rows[0].seconds[OURS] = [2.001]
    assert digest(results) != before
