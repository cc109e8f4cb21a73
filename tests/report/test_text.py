"""Figures and foreign text as shown."""

from __future__ import annotations

import numpy as np
import pytest

from likelihead.report.text import MINUS, MISSING, cell, clean, jsonable, number, percent


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.0, "0"),
        (1.0, "1.000"),
        (59, "59"),
        (1234567, "1,234,567"),
        (1234.4, "1234"),
        (-0.25, f"{MINUS}0.2500"),
        (1.5e-9, f"1.500e{MINUS}09"),
        (float("-inf"), f"{MINUS}∞"),
        (float("nan"), MISSING),
        (None, MISSING),
    ],
)
def test_numbers(value: float | None, shown: str) -> None:
    assert number(value) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.5, "50.0%"), (0.0, "0%"), (0.9996, ">99.9%"), (-0.0301, f"{MINUS}3.0%"), (-1e-6, "0.0%")],
)
def test_percentages_never_round_to_certainty(value: float, shown: str) -> None:
    assert percent(value) == shown


def test_text_is_cut_and_cleaned_but_scripts_are_left_alone() -> None:
    assert clean("a\tb\r\n c") == "a b c"
    assert clean("\ud800x\x07") == "?x\N{REPLACEMENT CHARACTER}"
    family = "\N{MAN}\N{ZERO WIDTH JOINER}\N{WOMAN}"
    assert clean(family) == family
    assert len(clean("x" * 10**6)) == 80


def test_cells() -> None:
    assert [cell(v) for v in (None, float("nan"), True, np.float32(0.5), 7, [], [1, "b"])] == [
        MISSING,
        MISSING,
        "true",
        "0.5",
        "7",
        MISSING,
        "1, b",
    ]


def test_json_values() -> None:
    assert jsonable({1: np.int64(2), "x": np.array([np.nan, 1.0]), "s": "\ud800"}) == {
        "1": 2,
        "x": [None, 1.0],
        "s": "?",
    }
