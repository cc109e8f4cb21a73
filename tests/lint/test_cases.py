"""The rules against their cases: what the marks in the source expect is found, and nothing else."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from likelihead.hazards import HAZARDS
from likelihead.lint.rules import all_rules
from lint.expectations import cases, outcome

CASES = Path(__file__).parent / "cases"
SECTIONS = ["Example", "Use instead", "Not reported"]


def every_case() -> list[Path]:
    return [case for folder in sorted(CASES.glob("LH*")) for case in cases(folder)]


@pytest.mark.parametrize("case", every_case(), ids=lambda case: f"{case.parent.name}-{case.stem}")
def test_found_is_what_is_expected(case: Path) -> None:
    result = outcome(case)
    assert (result.missed, result.false) == (set(), set())
    if case.stem.startswith("bad"):
        assert case.parent.name in {code for _, _, code in result.expected}
    elif case.stem.startswith("good"):
        assert result.expected == set()
    else:
        assert case.stem.startswith("fixed")


@pytest.mark.parametrize("code", [code for code, hazard in HAZARDS.items() if hazard.lint])
def test_each_hazard_of_the_source_has_a_rule_with_cases(code: str) -> None:
    assert code in all_rules()
    names = [case.stem for case in cases(CASES / code)]
    assert any(name.startswith("bad") for name in names)
    assert any(name.startswith("good") for name in names)


@pytest.mark.parametrize("code", sorted(all_rules()))
def test_the_page_of_a_rule(code: str) -> None:
    assert HAZARDS[code].lint
    module = __import__(all_rules()[code].__module__, fromlist=["__doc__"])
    page = module.__doc__ or ""
    assert re.match(r"[A-Z`][^\n]+\.\n", page), "the first line says what it is"
    found = re.findall(r"^## (.+)$", page, re.MULTILINE)
    assert [one for one in found if one in SECTIONS] == SECTIONS
    assert set(found) <= {*SECTIONS, "Conventions"}
    example, instead = (page.split(f"## {one}\n")[1].split("##")[0] for one in SECTIONS[:2])
    assert example.count("```") == instead.count("```") == 2
