"""The figures made of samples, the file that keeps them, and the table that shows them."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from likelihead.bench.case import EAGER, FLOOR, IN_PLACE, OURS, Goal, Room
from likelihead.bench.results import Results, Row, read, write
from likelihead.bench.show import markdown, print_table, verdict
from likelihead.errors import DataError


@pytest.fixture
def results() -> Results:
    row = Row(
        case="lm",
        what="CE [4, 9] f32",
        op="softmax_nll",
        shape=[4, 9],
        dtype="float32",
        backend="reference",
        runs=2,
        # the second round is ten times slower for all
        seconds={
            OURS: [0.01, 0.01, 0.1, 0.1, 0.01, 0.01],
            EAGER: [0.06, 0.06, 0.6, 0.6, 0.07, 0.07],
            FLOOR: [0.004, 0.004, 0.04, 0.04, 0.004, 0.004],
        },
        extra_mib={OURS: 196.04},
        absent={IN_PLACE: "not | there"},
        goals=[
            Goal(OURS, EAGER, "faster", 5),
            Goal(OURS, FLOOR, "within", 2.3),
            Goal(IN_PLACE, EAGER, "faster", 10),
        ],
    )
    return Results(
        suite="cpu",
        date="2026-11-20",
        machine={"cpu": "A CPU", "cores": 2},
        versions={"torch": "2.13.0"},
        settings={"threads": 2, "rounds": 3, "caches": "cold"},
        rows=[row],
        notes=["The machine was busy."],
    )


def test_ratios_are_taken_within_a_round(results: Results) -> None:
    (row,) = results.rows
    assert row.ratio(EAGER, OURS) == pytest.approx(6)
    assert row.ratio(OURS, FLOOR) == pytest.approx(2.5)
    assert row.ratio(EAGER, IN_PLACE) is None
    assert row.medians[EAGER] == pytest.approx(0.07)


def test_what_slows_one_round_of_one_function_alone_does_not_decide(results: Results) -> None:
    (row,) = results.rows
    row.seconds[OURS][2:4] = [100.0, 100.0]
    assert row.ratio(EAGER, OURS) == pytest.approx(6)


def test_goals_are_judged_by_the_ratio(results: Results) -> None:
    assert [met for _, _, met in results.rows[0].outcomes()] == [True, False, None]
    assert verdict(results) == "1 of 3 goals met, 1 not measured."


def test_a_goal_of_memory_is_judged_by_the_memory(results: Results, tmp_path: Path) -> None:
    (row,) = results.rows
    row.goals = [Room(OURS, 196.1), Room(OURS, 196), Room(EAGER, 200)]
    assert [met for _, _, met in row.outcomes()] == [True, False, None]
    assert "| ≤ 196 MiB: yes, ≤ 196 MiB: no |" in markdown(results)
    path = tmp_path / "r.json"
    write(results, path)
    assert read(path).rows[0].goals == row.goals


def test_what_was_timed_once_is_compared_within_its_round(results: Results) -> None:
    (row,) = results.rows
    row.seconds["slow"] = [0.2, 0.2]
    assert row.ratio("slow", OURS) == pytest.approx(20)
    row.seconds[OURS][:2] = [0.02, 0.02]
    assert row.ratio("slow", OURS) == pytest.approx(10)


def test_what_disagrees_is_told_below_its_times(results: Results, tmp_path: Path) -> None:
    (row,) = results.rows
    row.disagreeing = {EAGER: "its loss is off by 0.5 where torch's largest element is 11.2"}
    words = f"{EAGER} ({row.disagreeing[EAGER]}); timed all the same"
    assert f"| {EAGER} | 70.0" in markdown(results)
    assert f"\nDisagrees: {words}.\n" in markdown(results)
    text = io.StringIO()
    print_table(results, Console(file=text, width=200))
    assert f"disagrees: {words}" in text.getvalue()
    path = tmp_path / "r.json"
    write(results, path)
    assert read(path).rows[0].disagreeing == row.disagreeing


def test_the_file_comes_back(results: Results, tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    write(results, path)
    back = read(path)
    results.rows[0].extra_mib = {OURS: 196.0}
    assert back == results


def test_the_schema_of_the_file(results: Results, tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    write(results, path)
    content = json.loads(path.read_text(encoding="utf-8"))
    assert content["schema"] == 1
    assert set(content) == {
        "schema", "suite", "date", "machine", "versions", "settings", "rows", "notes",
    }  # fmt: skip
    assert set(content["rows"][0]) == {
        "case", "what", "op", "shape", "dtype", "backend", "runs", "seconds", "extra_mib", "absent",
        "disagreeing", "goals", "medians",
    }  # fmt: skip
    # a list of samples is a line, so that a change of the results can be read
    assert '"ours": [0.01, 0.01, 0.1, 0.1, 0.01, 0.01]' in path.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "no JSON"),
        ("[]", "no benchmark results"),
        ("{}", "no benchmark results"),
        ('{"schema": 0}', "not version 1"),
        ('{"schema": 1}', "missing"),
        ('{"schema": 1, "rows": [3]}', "missing"),
        ('{"schema": 1, "rows": [{"medians": {}, "goals": []}]}', "missing"),
    ],
)
def test_another_file_is_refused(text: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=words):
        read(path)


def test_the_table_fits_eighty_columns_and_says_it_all(results: Results) -> None:
    text = io.StringIO()
    print_table(results, Console(file=text, width=80))
    shown = text.getvalue()
    assert max(map(len, shown.splitlines())) <= 80
    for words in (
        "ours",
        "torch eager",
        "6.00",
        "2.50",
        "196",
        "≥ 5x eager: yes",
        "≤ 2.3x floor: no",
        "busy",
    ):
        assert words in shown
    assert "ours in place (not | there)" in shown


def test_the_page_has_a_line_per_function(results: Results) -> None:
    line = next(line for line in markdown(results).splitlines() if line.startswith("| ours |"))
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    assert cells[:2] == ["ours", "10.0\N{NO-BREAK SPACE}ms"]
    assert cells[3:] == ["6.00", "", "2.50", "196", "≥ 5x torch eager: yes, ≤ 2.3x floor: no"]


def test_the_page_tells_what_is_missing_and_where_it_was_measured(results: Results) -> None:
    page = markdown(results)
    assert "Not measured: ours in place" in page
    assert "1 of 3 goals met" in page
    assert "cpu A CPU; cores 2; threads 2" in page
