"""How findings are written down."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
import pytest

from likelihead.hazards import HAZARDS
from likelihead.lint import lint_paths
from likelihead.lint.findings import Finding, Place, Problem
from likelihead.lint.formats import FORMATS, message_of, render, where
from likelihead.lint.formats.text import render_statistics
from likelihead.lint.run import Result
from likelihead.lint.settings import RULES
from lint_projects import ACROSS, MODEL, write


@pytest.fixture
def result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Result:
    write(tmp_path, {"a b/model.py": MODEL, "a b/train.py": ACROSS, "bad.py": "import torch\nprint 'x'\n"})
    monkeypatch.chdir(tmp_path)
    return lint_paths(["."])


def test_text_shows_both_places_the_calls_and_the_remedy(result: Result) -> None:
    (finding,) = result.findings
    lines = click.unstyle(render(result, "text")).splitlines()
    assert lines == [
        f"a b/train.py:10:12: LH101 error: {finding.detail}",
        "     10 | return criterion(net(x), y)",
        "        |        ^^^^^^^^^^^^^^^^^^^^",
        f"  made at a b/model.py:11:16: {finding.made.text if finding.made else ''}",
        "     11 | return torch.softmax(self.body(x), dim=1)",
        "        |        ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^",
        f"  by way of a b/train.py:10:22: {finding.calls[0].text}",
        f"  remedy: {HAZARDS['LH101'].remedy}",
        "",
        "Found 1 error in 1 of 3 files; 1 file could not be read.",
    ]


def test_text_has_colours_for_a_terminal(result: Result) -> None:
    assert "\x1b[31m" in render(result, "text")


def test_an_excerpt_of_any_line(tmp_path: Path) -> None:
    path = tmp_path / "a.py"
    path.write_text(f"\tf(x)\n{'x' * 500}f(y){'z' * 500}\nf(\n  1)\n")
    places = [(1, 2, 1, 6), (2, 501, 2, 505), (3, 1, 4, 5), (99, 1, 99, 2)]
    result = Result([Finding(Place(str(path), *place), "LH101", "x") for place in places])
    text = click.unstyle(render(result, "text"))
    marked = [
        [over[column] for column, mark in enumerate(under) if mark == "^"]
        for over, under in zip(text.splitlines(), text.splitlines()[1:], strict=False)
        if "^" in under
    ]
    assert ["".join(one) for one in marked] == ["f(x)", "f(y)", "f("]
    assert max(map(len, text.splitlines())) < 150 + len(str(tmp_path))


def test_why_a_finding_was_not_fixed(result: Result) -> None:
    result.unfixed[result.findings[0]] = "it is used elsewhere"
    assert "  not fixed: it is used elsewhere\n" in click.unstyle(render(result, "text"))


def test_nothing_found() -> None:
    result = Result()
    result.statistics.files = 12
    assert render(result, "text") == "No hazards found in 12 files.\n"


def test_statistics(result: Result) -> None:
    result.statistics.exhausted = [f"{Path.cwd()}/a b/train.py:8 step"]
    lines = render_statistics(result).splitlines()
    assert lines[0] == f"1  LH101  {HAZARDS['LH101'].name}"
    assert lines[2] == "Found 1 error in 1 of 3 files; 1 file could not be read."
    assert lines[3].startswith("3 files interpreted, 0 as before, 0 without torch or Keras; ")
    assert lines[4].startswith("1 function given up, too long to interpret")
    assert lines[5] == "  a b/train.py:8 step"


def test_json(result: Result) -> None:
    document = json.loads(render(result, "json"))
    (finding,) = document["findings"]
    assert (finding["code"], finding["severity"], finding["level"]) == ("LH101", "E", "error")
    assert (finding["place"]["path"], finding["place"]["line"], finding["place"]["column"]) == (
        "a b/train.py",
        10,
        12,
    )
    assert (finding["made"]["path"], finding["made"]["line"]) == ("a b/model.py", 11)
    assert [call["line"] for call in finding["calls"]] == [10]
    assert finding["remedy"] == HAZARDS["LH101"].remedy
    assert document["problems"] == [
        {"path": "bad.py", "line": 2, "reason": result.problems[0].reason},
    ]
    assert document["statistics"]["files"] == 3


def test_sarif(result: Result) -> None:
    document = json.loads(render(result, "sarif"))
    assert document["version"] == "2.1.0"
    (run,) = document["runs"]
    assert [rule["id"] for rule in run["tool"]["driver"]["rules"]] == list(RULES)
    assert all(rule["help"]["markdown"] for rule in run["tool"]["driver"]["rules"])
    (found,) = run["results"]
    assert run["tool"]["driver"]["rules"][found["ruleIndex"]]["id"] == found["ruleId"] == "LH101"
    assert found["level"] == "error"
    (location,) = found["locations"]
    assert physical(location) == ("a%20b/train.py", 10, 12)
    assert [physical(one) for one in found["relatedLocations"]] == [
        ("a%20b/model.py", 11, 16),
        ("a%20b/train.py", 10, 22),
    ]
    ((flow,),) = [one["threadFlows"] for one in found["codeFlows"]]
    assert [physical(one["location"]) for one in flow["locations"]] == [
        ("a%20b/model.py", 11, 16),
        ("a%20b/train.py", 10, 22),
        ("a%20b/train.py", 10, 12),
    ]
    (invocation,) = run["invocations"]
    assert invocation["executionSuccessful"] is True
    (note,) = invocation["toolExecutionNotifications"]
    assert note["locations"][0]["physicalLocation"]["region"] == {"startLine": 2}
    assert run["originalUriBaseIds"]["SRCROOT"]["uri"] == f"{Path.cwd().as_uri()}/"


def physical(location: dict[str, Any]) -> tuple[str, int, int]:
    inner = location["physicalLocation"]
    assert inner["artifactLocation"]["uriBaseId"] == "SRCROOT"
    return inner["artifactLocation"]["uri"], inner["region"]["startLine"], inner["region"]["startColumn"]


def test_a_fingerprint_stays_when_lines_come_before(result: Result, tmp_path: Path) -> None:
    def fingerprints() -> list[str]:
        log = json.loads(render(lint_paths(["a b"]), "sarif"))
        return [one["partialFingerprints"]["likelihead/v1"] for one in log["runs"][0]["results"]]

    before = fingerprints()
    write(tmp_path, {"a b/train.py": f"# one more\n{ACROSS}"})
    assert fingerprints() == before
    write(tmp_path, {"a b/train.py": f"{ACROSS}\n\ndef again(x, y):\n    return criterion(net(x), y)\n"})
    after = fingerprints()
    assert before[0] in after
    assert len(set(after)) == 2


def test_github(result: Result) -> None:
    found, problem = render(result, "github").splitlines()
    assert found.startswith(
        "::error title=likelihead LH101,file=a b/train.py,line=10,col=12,endLine=10,endColumn=32::"
        "a b/train.py:10:12: LH101 "
    )
    assert "Made at a b/model.py:11:16" in found
    assert problem == f"::error title=likelihead,file=bad.py,line=2::bad.py: {result.problems[0].reason}"


def test_githubs_commands_are_escaped() -> None:
    place = Place("/x/a,b:c%d.py", 1, 1, 2, 3)
    (line,) = render(Result([Finding(place, "LH109", "50% of\nit\r.")]), "github").splitlines()
    properties, _, text = line.removeprefix("::warning ").partition("::")
    assert properties == "title=likelihead LH109,file=/x/a%2Cb%3Ac%25d.py,line=1,col=1,endLine=2"
    assert text.startswith("/x/a,b:c%25d.py:1:1: LH109 50%25 of%0Ait%0D. ")


def test_a_note_is_a_notice() -> None:
    result = Result([Finding(Place("a.py", 1, 1, 1, 2), "LH103", "x")])
    assert render(result, "github").startswith("::notice ")


def test_places_in_notebooks() -> None:
    place = Place("/x/a.ipynb", 4, 8, 4, 9, "softmax", cell=3)
    result = Result([Finding(place, "LH101", "Said.", place)])
    assert where(place) == "/x/a.ipynb:cell 3:4:8"
    assert "::error title=likelihead LH101,file=/x/a.ipynb::/x/a.ipynb:cell 3:4:8: " in render(
        result, "github"
    )
    (found,) = json.loads(render(result, "sarif"))["runs"][0]["results"]
    assert found["message"]["text"].startswith("/x/a.ipynb:cell 3:4:8: Said. Made at /x/a.ipynb:cell 3:4:8 (")
    assert found["locations"][0]["physicalLocation"] == {"artifactLocation": {"uri": "file:///x/a.ipynb"}}
    assert json.loads(render(result, "json"))["findings"][0]["place"]["cell"] == 3


def test_a_message_without_a_detail_is_the_hazards_sentence() -> None:
    finding = Finding(Place("a.py", 1, 1, 1, 2), "LH101", "")
    assert message_of(finding) == f"{HAZARDS['LH101'].sentence} {HAZARDS['LH101'].remedy}"


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_stands_a_file_that_is_gone(form: str) -> None:
    gone = Place("/gone/a.py", 3, 1, 3, 9, "softmax")
    result = Result([Finding(gone, "LH101", "x", gone, (gone,))], [Problem("/gone/b.py", "gone")])
    assert "/gone/a.py" in render(result, form)
