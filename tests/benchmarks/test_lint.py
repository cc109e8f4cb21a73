"""`python -m benchmarks lint`: what it measures, and what it makes of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks import lint
from benchmarks.__main__ import main
from likelihead.bench.case import OURS
from likelihead.bench.results import Results, Row, read


def planted(seconds_per_file: float, power: float = 1.0) -> Results:
    rows = [
        Row(
            case=f"{files} files",
            what="",
            op="lint",
            shape=[files, 200 * files],
            dtype="",
            backend="",
            runs=1,
            seconds={
                OURS: [seconds_per_file * 1000 * (files / 1000) ** power],
                lint.TWO: [1.0],
                lint.CACHED: [0.1],
            },
            extra_mib={},
        )
        for files in lint.SIZES
    ]
    return Results("lint", "2026-11-29", {"cpu": "A CPU"}, {}, {"threads": 1}, rows)


def test_files_are_linted_and_the_table_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sources = tmp_path / "package"
    sources.mkdir()
    for number in range(5):
        (sources / f"a{number}.py").write_text("import torch\n\n\ndef f(x):\n    return x.argmax(1)\n")
    (sources / "plain.py").write_text("x = 1\n")  # names neither torch nor Keras
    monkeypatch.setattr(lint, "SIZES", (2, 1000))
    monkeypatch.setattr(lint, "RUNS", 1)
    monkeypatch.setattr(lint, "find_spec", lambda name: None)
    result = CliRunner().invoke(main, ["lint", str(sources), "--save", str(tmp_path)])
    (table,), (page,) = tmp_path.glob("*.json"), tmp_path.glob("*.md")
    assert result.exit_code == (0 if lint.met(read(table)) else 1), (
        result.output
    )  # a start is much for two files
    rows = read(table).rows
    assert [row.shape for row in rows] == [[2, 10], [5, 25]]
    assert set(rows[0].seconds) == {OURS, lint.TWO, lint.CACHED}
    assert "of package" in page.read_text()


@pytest.mark.parametrize(("each", "met"), [(0.0099, True), (0.0101, False)])
def test_the_goal_is_ten_seconds_for_a_thousand_files(each: float, met: bool) -> None:
    assert lint.met(planted(each)) is met
    assert f"1000 files in 10 s: {'met' if met else 'missed'}" in lint.page(planted(each))


def test_the_growth_is_told() -> None:
    assert "power of 1.50" in lint.page(planted(0.005, power=1.5))


def test_too_few_files_are_one_line(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["lint", str(tmp_path)])
    assert result.exit_code == 2
    assert "hold 0 files" in result.output
