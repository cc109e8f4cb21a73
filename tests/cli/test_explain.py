"""``likelihead explain``."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from likelihead.cli import main
from likelihead.hazards import FAMILIES, HAZARDS, lookup
from likelihead.lint.rules.pages import rule_page


@pytest.mark.parametrize("code", ["LH104", "lh104"])
def test_a_page(code: str) -> None:
    result = CliRunner().invoke(main, ["explain", code])
    assert result.exit_code == 0
    text = " ".join(result.stdout.split())
    hazard = lookup("LH104")
    for part in (
        hazard.name,
        hazard.sentence,
        hazard.remedy,
        *hazard.wrong.splitlines(),
        *hazard.right.splitlines(),
    ):
        assert part in text


@pytest.mark.parametrize("code", HAZARDS)
def test_every_page_renders(code: str) -> None:
    result = CliRunner().invoke(main, ["explain", code])
    assert result.exit_code == 0
    assert code in result.stdout
    assert ("In the source" in result.stdout) is bool(HAZARDS[code].lint)


def test_the_page_of_the_rule_is_at_the_end() -> None:
    page = rule_page(lookup("LH101"))
    assert page is not None
    shown = " ".join(CliRunner().invoke(main, ["explain", "LH101"]).stdout.split("In the source")[1].split())
    assert page.splitlines()[0] in shown
    for section in ("Example", "Use instead", "Conventions", "Not reported"):
        assert section in shown
    assert "a softmax as the target." in shown


def test_without_a_code_all_are_listed() -> None:
    result = CliRunner().invoke(main, ["explain"])
    assert result.exit_code == 0
    for code in HAZARDS:
        assert code in result.stdout
    for title in FAMILIES.values():
        assert title in result.stdout
    assert "[B, T, V]" in result.stdout  # not eaten as markup


def test_an_unknown_code_names_the_nearest() -> None:
    result = CliRunner().invoke(main, ["explain", "LH116"])
    assert result.exit_code == 2
    assert "LH115" in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert result.stdout == ""
