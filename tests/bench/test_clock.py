"""Interleaving and the figures made of it. Nothing here looks at a clock."""

from __future__ import annotations

import gc
import itertools
from dataclasses import replace
from pathlib import Path

import pytest

from likelihead.bench import clock
from likelihead.bench.clock import Stopwatch, interleave, order, spread
from likelihead.bench.contenders import Contender


class Journal:
    """Contenders that write down what is done to them."""

    def __init__(self, *names: str) -> None:
        self.lines: list[str] = []
        self.contenders = [
            Contender(name, lambda n=name: self.lines.append(n), lambda n=name: self.lines.append(f"({n})"))
            for name in names
        ]


def test_the_order_alternates() -> None:
    contenders = Journal("a", "b", "c").contenders
    names = ["".join(contender.name for contender in order(contenders, turn)) for turn in range(3)]
    assert names == ["abc", "cba", "abc"]


def test_a_turn_is_one_untimed_run_and_then_the_timed_ones() -> None:
    journal, ticks, timed = Journal("a", "b"), itertools.count(), []

    def timer(contender: Contender, loops: int) -> float:
        assert loops == 7
        assert not gc.isenabled()
        timed.append(contender.name)
        return float(next(ticks))

    samples = interleave(journal.contenders, timer, rounds=2, runs=2, loops=7)
    assert "".join(timed) == "aaabbb" + "bbbaaa"
    # the first of each three is not among the samples
    assert samples == {"a": [1, 2, 10, 11], "b": [4, 5, 7, 8]}
    assert gc.isenabled()


def test_turns_without_an_untimed_run_and_a_function_that_is_timed_once() -> None:
    journal, timed = Journal("a", "b", "slow"), []
    contenders = [*journal.contenders[:2], replace(journal.contenders[2], once=True)]

    def timer(contender: Contender, loops: int) -> float:
        timed.append(contender.name[0])
        return float(len(timed))

    samples = interleave(contenders, timer, rounds=3, untimed=False)
    assert "".join(timed) == "abs" + "ba" + "ab"
    assert samples == {"a": [1, 5, 6], "b": [2, 4, 7], "slow": [3]}


def test_the_collector_is_on_again_after_a_failure() -> None:
    def timer(contender: Contender, loops: int) -> float:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        interleave(Journal("a").contenders, timer, rounds=1)
    assert gc.isenabled()


@pytest.mark.parametrize("cold", [True, False])
def test_the_stopwatch_prepares_before_each_step(cold: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("likelihead.bench.clock.SCRATCH_MIB", 1)
    journal = Journal("a")
    monkeypatch.setattr("likelihead.bench.clock._waited", lambda: 0.0)
    stopwatch = Stopwatch(cold=cold)
    assert stopwatch(journal.contenders[0], 1) > 0
    assert journal.lines == ["(a)", "a"]
    journal.lines.clear()
    assert stopwatch(journal.contenders[0], 2) > 0
    assert journal.lines == ["(a)", "(a)", "a", "(a)", "a"]


@pytest.mark.parametrize(
    ("waited", "runs", "counts"),
    [([0.0], 1, 1), ([0.01], 1, 1), ([0.5, 0.0], 2, 2), ([0.3, 0.2, 0.1, 0.3, 0.4], 5, 3)],
)
def test_a_run_that_waited_for_a_core_is_made_again(
    waited: list[float], runs: int, counts: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each run has waited for a share of the time it took."""
    made = []

    def once(self: Stopwatch, contender: Contender, loops: int) -> tuple[float, float]:
        made.append(float(len(made) + 1))
        return made[-1], waited[len(made) - 1] * made[-1]

    monkeypatch.setattr(Stopwatch, "_once", once)
    taken = Stopwatch(cold=False)(Journal("a").contenders[0], 1)
    assert len(made) == runs
    assert taken == counts


def test_waiting_is_counted_over_all_threads_and_an_ended_one_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("likelihead.bench.clock._TASKS", tmp_path)
    assert clock._waited() == 0
    for number, line in enumerate(["5 1000000000 1", "7 500000000 2"]):
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / "schedstat").write_text(line)
    (tmp_path / "2").mkdir()
    (tmp_path / "2" / "schedstat").symlink_to(tmp_path / "gone")
    assert clock._waited() == 1.5


def test_the_spread_is_the_quartiles() -> None:
    assert spread([5.0]) == (5, 5, 5)
    assert spread([1.0, 2.0]) == (1.25, 1.5, 1.75)
    assert spread([5.0, 1.0, 4.0, 2.0, 3.0]) == (2, 3, 4)
