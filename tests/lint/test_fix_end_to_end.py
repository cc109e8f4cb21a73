"""Lint, fix, lint again: the linter's own findings lead to the fixed file, and nothing is found in it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from likelihead.lint.fix import FIXABLE, fix_project
from likelihead.lint.rules import all_rules
from likelihead.lint.run import lint_paths
from lint_findings import EXPECTATION

CASES = Path(__file__).parent / "cases"


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param(p, id=f"{p.parent.name}-{p.stem}")
        for p in sorted(CASES.glob("LH*/bad*"))
        if p.with_name("fixed" + p.name[3:]).exists()
    ],
)
def test_a_fixed_case_lints_clean(bad: Path, tmp_path: Path) -> None:
    code = bad.parent.name
    if code not in all_rules():
        pytest.skip(f"{code} has no rule yet")
    fixed = bad.with_name("fixed" + bad.name[3:])
    case = tmp_path / "case"
    if bad.is_dir():
        shutil.copytree(bad, case)
    else:
        case.mkdir()
        shutil.copy(bad, case / bad.name)
    files = sorted(case.glob("*.py"))
    sources = {str(file): file.read_text() for file in files}
    findings = lint_paths([case]).findings
    assert {finding.code for finding in findings} == {code}
    result = fix_project(sources, findings, unsafe=FIXABLE[code] == "unsafe")
    assert [skipped.reason for one in result.values() for skipped in one.skipped] == []
    for file in files:
        expected = fixed / file.name if fixed.is_dir() else fixed
        file.write_text(EXPECTATION.sub("", result[str(file)].text))
        assert file.read_text() == expected.read_text()
    assert lint_paths([case]).findings == []
