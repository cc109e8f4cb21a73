"""The frozen corpus: nothing false in it, and nine of ten of its mistakes are found, across files too."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

from likelihead.hazards import HAZARDS
from lint.expectations import Mark, Outcome, cases, outcome

CORPUS = Path(__file__).parent / "corpus"
FOLDERS = ("single", "project", "frameworks", "figures")
CASES = [case for folder in FOLDERS for case in cases(CORPUS / folder)]
# The activation does not fit the loss: what the corpus is first of all about.
MISMATCHES = tuple(f"LH1{number:02}" for number in range(1, 9))

outcome_of = cache(outcome)


def recall(folders: tuple[str, ...], codes: tuple[str, ...]) -> float:
    expected, found = 0, 0
    for case in CASES:
        if case.parent.name in folders:
            result = outcome_of(case)
            wanted = {mark for mark in result.expected if mark[2] in codes}
            expected += len(wanted)
            found += len(wanted & result.found)
    assert expected > 5
    return found / expected


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.parent.name}-{case.stem}")
def test_nothing_is_reported_but_what_is_wrong(case: Path) -> None:
    assert outcome_of(case).false == set()


def test_the_corpus_is_as_large_as_was_asked() -> None:
    right = [case for case in CASES if not any(map(_is_error, outcome_of(case).expected))]
    assert len(CASES) >= 120
    assert len(right) >= len(CASES) * 0.45
    assert sum(case.is_dir() for case in CASES) >= len(CASES) / 3


def _is_error(mark: Mark) -> bool:
    return HAZARDS[mark[2]].severity == "E"


def test_mismatches_of_activation_and_loss_are_found() -> None:
    assert recall(FOLDERS, MISMATCHES) >= 0.95


def test_mismatches_across_files_are_found() -> None:
    assert recall(("project",), MISMATCHES) >= 0.95


def test_all_hazards_are_found() -> None:
    assert recall(FOLDERS, tuple(HAZARDS)) >= 0.95


def test_a_miss_and_a_false_alarm_are_seen() -> None:
    """Whether this test can fail: an outcome with both."""
    result = Outcome({("a.py", 1, "LH101")}, set(), {("a.py", 2, "LH104")})
    assert result.missed == {("a.py", 1, "LH101")}
    assert result.false == {("a.py", 2, "LH104")}
