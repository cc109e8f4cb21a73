"""The TOML writer: what it writes, the standard reader reads back."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from likelihead.errors import OptionError
from likelihead.train import toml

WEIRD = [
    "",
    'a"b',
    "back\\slash",
    "tab\there",
    "two\nlines",
    "\r\n",
    "\x00\x01\x7f\x85",
    "é 中 🎉",
    "# no comment",
    "'''",
    "\u2028\ufeff",
    "[table]",
]


@pytest.mark.parametrize("text", WEIRD)
def test_weird_strings_round_trip(text: str) -> None:
    values = {"plain": text, "list": [text, "x"], text: 1, "table": {text: text}}
    assert toml.loads(toml.dumps(values)) == values


scalars = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"])),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False),
    st.booleans(),
)


@given(
    st.dictionaries(
        st.text(st.characters(exclude_categories=["Cs"])),
        st.one_of(scalars, st.lists(scalars), st.dictionaries(st.text("ab. \n"), scalars)),
    )
)
def test_any_values_round_trip_with_their_types(values: dict[str, object]) -> None:
    back = toml.loads(toml.dumps(values))
    assert back == values
    assert repr(sorted(back.items(), key=str)) == repr(sorted(values.items(), key=str))


def test_nan_round_trips() -> None:
    assert math.isnan(toml.loads(toml.dumps({"x": math.nan}))["x"])


def test_none_is_left_out() -> None:
    assert toml.dumps({"a": None, "b": 1}) == "b = 1\n"


@pytest.mark.parametrize("value", [object(), b"bytes", "\ud800"])
def test_what_toml_cannot_hold_is_refused(value: object) -> None:
    with pytest.raises(OptionError):
        toml.dumps({"x": value})
