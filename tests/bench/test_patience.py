"""Turns are made again while others are busy and patience lasts."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from likelihead.bench import patience
from likelihead.bench.patience import Patience


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    """A clock that a sleep moves, and processor time of others that a test moves."""
    now = {"time": 0.0, "others": 0.0, "others per second": 0.0}

    def sleep(seconds: float) -> None:
        now["time"] += seconds
        now["others"] += seconds * now["others per second"]

    monkeypatch.setattr(patience.time, "sleep", sleep)
    monkeypatch.setattr(patience.time, "perf_counter", lambda: now["time"])
    monkeypatch.setattr(patience, "_others", lambda: now["others"])
    monkeypatch.setattr(patience._STAT.__class__, "is_file", lambda self: True)
    return now


def turns(clock: dict[str, float], others: list[float]) -> Iterator[int]:
    """Turns of a second each, during which others use so much."""
    for number in itertools.count(1):
        clock["time"] += 1
        clock["others"] += others[number - 1]
        yield number


def test_a_disturbed_turn_is_made_again(clock: dict[str, float]) -> None:
    patient, turn = Patience(60), turns(clock, [1.0, 0.5, 0.05])
    assert patient.undisturbed(lambda: next(turn)) == 3
    assert patient.left == pytest.approx(58)


def test_patience_ends(clock: dict[str, float]) -> None:
    patient, turn = Patience(1.5), turns(clock, [1.0, 1.0, 1.0])
    assert patient.undisturbed(lambda: next(turn)) == 3
    assert patient.left < 0


def test_without_patience_all_is_as_it_comes(clock: dict[str, float]) -> None:
    turn = turns(clock, [1.0])
    assert Patience(0).undisturbed(lambda: next(turn)) == 1


def test_it_waits_for_the_others_to_end(clock: dict[str, float]) -> None:
    clock["others per second"] = 2.0
    patient = Patience(1.0)
    assert patient.undisturbed(lambda: "done") == "done"
    assert patient.left <= 0
    assert clock["time"] == pytest.approx(1.0, abs=0.06)


def test_what_others_use_is_read_from_the_system() -> None:
    first, second = patience._others(), patience._others()
    assert second >= first - 0.05
