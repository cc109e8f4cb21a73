"""`python -m benchmarks watch`: what it measures, and what it makes of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks import watch
from benchmarks.__main__ import main
from benchmarks.watch import BARE, FOLLOWED, REPORTED, WATCHED
from likelihead.bench.results import Results, Row, read


def planted(case: str = "convnet", asleep: float = 1.01, followed: float = 1.5, mib: float = 10.0) -> Results:
    row = Row(
        case=case,
        what="",
        op="watch",
        shape=[],
        dtype="float32",
        backend="",
        runs=watch.WINDOW,
        seconds={
            BARE: [0.01] * 40,
            WATCHED: [0.01 * asleep] * 40,
            BARE + FOLLOWED: [0.01] * 16,
            WATCHED + FOLLOWED: [0.01 * followed] * 16,
        },
        extra_mib={BARE: 400.0, WATCHED: 405.0, BARE + REPORTED: 400.0, WATCHED + REPORTED: 400.0 + mib},
    )
    return Results("watch", "2026-11-29", {"cpu": "A CPU"}, {}, {"threads": 1}, [row])


def test_a_script_is_timed_bare_and_watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "LEAST", 2 * watch.WINDOW)
    monkeypatch.setattr(watch, "MOST", 2 * watch.WINDOW)
    arguments = ["watch", "--only", "tabular", "--threads", "1", "--save", str(tmp_path)]
    result = CliRunner().invoke(main, arguments)
    (table,), (page,) = tmp_path.glob("*-watch.json"), tmp_path.glob("*-watch.md")
    assert result.exit_code == (0 if watch.met(read(table)) else 1), result.output
    (row,) = read(table).rows
    lengths = {name: len(seconds) for name, seconds in row.seconds.items()}
    first = watch.FIRST_STEPS - watch.UNMEASURED
    assert lengths == {BARE: 16, WATCHED: 16, BARE + FOLLOWED: first, WATCHED + FOLLOWED: first}
    assert set(row.extra_mib) == {BARE, WATCHED, BARE + REPORTED, WATCHED + REPORTED}
    assert "| tabular: three small layers" in page.read_text()


def test_a_followed_step_counts_with_its_share() -> None:
    (row,) = planted(asleep=1.01, followed=1.64).rows
    assert watch.share(row) == pytest.approx(0.01 + 0.63 / watch.EVERY)


@pytest.mark.parametrize(
    ("results", "met"),
    [
        (planted(), True),
        (planted(asleep=1.04), False),
        (planted(followed=3.0), False),
        (planted(mib=51.0), False),
        (planted("tabular", asleep=1.3), True),
        (planted("tabular", mib=51.0), False),
    ],
)
def test_the_goals(results: Results, met: bool) -> None:
    assert watch.met(results) is met
    assert f"50 MiB: {'met' if met else 'missed'}" in watch.page(results)


def test_a_script_that_fails_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "CASES", (watch.Script("nothing", ""),))
    result = CliRunner().invoke(main, ["watch"])
    assert result.exit_code == 2
    assert "the script nothing failed: KeyError: 'nothing'" in result.stderr
