"""The fixes at the letter: formatting, positions, imports, and what is not touched."""

from __future__ import annotations

import subprocess
import sys
from textwrap import dedent

import pytest

from likelihead.lint.findings import Finding, Place
from likelihead.lint.fix import FIXABLE, Fixed, fix_project, fix_source
from lint_findings import at

F = "import torch\nimport torch.nn as nn\nimport torch.nn.functional as F\n\n\n"


def fixed(text: str, code: str, place: str, made: str | None = None, *, unsafe: bool = False) -> Fixed:
    """Fix the one finding whose loss (and activation) begin with these words."""
    sources = {"a.py": text}
    finding = Finding(
        at(sources, place), code, "As planted.", made=None if made is None else at(sources, made)
    )
    return fix_source(text, [finding], path="a.py", unsafe=unsafe)


def changed(text: str, code: str, place: str, made: str | None = None, *, unsafe: bool = False) -> str:
    result = fixed(text, code, place, made, unsafe=unsafe)
    assert result.skipped == []
    assert len(result.applied) == 1
    return result.text


def reason(text: str, code: str, place: str, made: str | None = None, *, unsafe: bool = False) -> str:
    result = fixed(text, code, place, made, unsafe=unsafe)
    assert result.text == text
    assert result.applied == []
    (skipped,) = result.skipped
    assert "\n" not in skipped.reason
    return skipped.reason


# ---- the letter


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("indent", ["    ", "\t", "  "])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_line_ends_indents_and_marks_stay(newline: str, indent: str, mark: str) -> None:
    lines = [
        "import torch.nn.functional as F",
        "def größe(modell, x, y):",
        ">é = 'ä'; β = modell(x)  # ünïcode before the columns",
        ">p = F.softmax(β*2, dim = 1 )",
        ">return (é, p, F.cross_entropy( p,y ,)) # done",
    ]
    text = newline.join(lines).replace(">", indent)
    result = changed(text, "LH101", "F.cross", "F.softmax")
    expected = [
        *lines[:3],
        ">logits = β*2",
        ">p = F.softmax(logits, dim = 1 )",
        lines[4].replace("( p,", "( logits,"),
    ]
    assert result == newline.join(expected).replace(">", indent)
    marked = fix_source(
        mark + text,
        [Finding(at({"a.py": text}, "F.cross"), "LH101", "", made=at({"a.py": text}, "F.softmax"))],
        path="a.py",
    )
    assert marked.text == mark + result


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("nn.Sequential(body, nn.Softmax(dim=1))", "nn.Sequential(body)"),
        ("nn.Sequential(body, nn.Softmax(dim=1),)", "nn.Sequential(body,)"),
        ("nn.Sequential( body , nn.Softmax(dim=1) )", "nn.Sequential( body )"),
        ("nn.Sequential(nn.Softmax(dim=1))", "nn.Sequential()"),
        ("nn.Sequential(\n    body,  # a\n    nn.Softmax(1),  # b\n)", "nn.Sequential(\n    body,  # a\n)"),
        ("nn.Sequential(\n    b,  # a\n    # b\n    nn.Softmax(1)  # c\n)", "nn.Sequential(\n    b  # a\n    # b\n)"),  # noqa: E501
        ("nn.Sequential(\n    body, nn.Softmax(1),\n)", "nn.Sequential(\n    body,\n)"),
        ("nn.Sequential(\n    body,\n    nn.Softmax(\n        1,\n    ),\n)", "nn.Sequential(\n    body,\n)"),
        ("nn.Sequential(body,\n              nn.Softmax(1))", "nn.Sequential(body)"),
    ],
)  # fmt: skip
def test_the_last_layer_goes_and_the_list_keeps_its_form(before: str, after: str) -> None:
    text = F + "model = {}\n\n\ndef step(x, y):\n    return F.cross_entropy(model(x), y)\n"
    assert changed(text.replace("{}", before), "LH101", "F.cross", "nn.Softmax") == text.replace(
        "{}", after
    ).replace("import torch\n", "import torch\n")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("F.softmax(x, dim=1)", "x"),
        ("F.softmax(dim=1, input=x)", "x"),
        ("F.softmax((x), dim=1)", "x"),
        ("F.softmax(x + 1, dim=1)", "x + 1"),
        ("x.softmax(-1)", "x"),
        ("(x + 1).softmax(dim=-1)", "x + 1"),
        ("nn.Softmax(dim=1)(x)", "x"),
        ("F.softmax(x + 1, dim=1).squeeze(2)", "(x + 1).squeeze(2)"),
        ("F.softmax(x[0], dim=1).view(4, -1)", "x[0].view(4, -1)"),
        ("F.softmax(\n        x\n        .float(),\n        dim=1,\n    )", "x\n        .float()"),
        ("(F.softmax(x, dim=1))", "(x)"),
    ],
)
def test_the_activation_goes_and_its_input_stays(before: str, after: str) -> None:
    made = (
        before.removesuffix(".squeeze(2)").removesuffix(".view(4, -1)").strip("(")
        if before[0] == "("
        else before
    )
    made = {"(x + 1).softmax(dim=-1)": before, "(F.softmax(x, dim=1))": "F.softmax"}.get(
        before, made.split("\n")[0]
    )
    made = made.removesuffix(".squeeze(2)").removesuffix(".view(4, -1)")
    text = "import torch\nimport torch.nn as nn\nimport torch.nn.functional as F\nprint(torch, nn)\n"
    text += "def step(x, y):\n    return F.cross_entropy({}, y)\n"
    sources = {"a.py": text.replace("{}", before)}
    finding = Finding(at(sources, "F.cross"), "LH101", "", made=exact(sources, made))
    assert fix_source(sources["a.py"], [finding], path="a.py").text == text.replace("{}", after)


def exact(sources: dict[str, str], start: str) -> Place:
    """The shortest call that begins so."""
    found = [at(sources, start, number) for number in range(10) if has(sources, start, number)]
    return min(found, key=lambda place: (place.end_line, place.end_column))


def has(sources: dict[str, str], start: str, number: int) -> bool:
    try:
        at(sources, start, number)
    except IndexError:
        return False
    return True


def test_an_expression_over_several_lines_gets_its_brackets() -> None:
    text = "from torch import softmax, nn\nce = nn.CrossEntropyLoss()\n"
    text += "def step(a, b, y):\n    p = softmax(a +\n        b, dim=1)\n"
    text += "    return ce(p, y)\n"
    after = changed(text, "LH101", "ce(", "softmax")
    assert "    p = (a +\n        b)\n" in after
    assert after.startswith("from torch import nn\n")


def test_a_comment_within_the_call_is_lost_only_when_asked() -> None:
    text = F + "def step(x, y):\n    return F.cross_entropy(F.softmax(x,  # raw\n        dim=1), y)\n"
    assert reason(text, "LH101", "F.cross", "F.softmax") == (
        "only with --unsafe-fixes: the comment at a.py:7 would go with it"
    )
    after = changed(text, "LH101", "F.cross", "F.softmax", unsafe=True)
    assert "    return F.cross_entropy(x, y)\n" in after


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("    x = m(x); x = F.softmax(x, 1); z = 0\n", "    x = m(x); z = 0\n"),
        ("    x = m(x); x = F.softmax(x, 1)\n", "    x = m(x)\n"),
        ("    # why\n    x = F.softmax(x, 1)  # so\n", "    # why\n"),
        ("    if m: x = F.softmax(x, 1)\n", "    if m: pass\n"),
        ("    if m:\n        x = F.softmax(x, 1)\n", "    if m:\n        pass\n"),
    ],
)
def test_a_statement_that_is_left_without_a_meaning_goes(before: str, after: str) -> None:
    text = "import torch.nn.functional as F\ndef step(m, x, y):\n{}    return F.cross_entropy(x, y)\n"
    assert changed(text.replace("{}", before), "LH101", "F.cross", "F.softmax") == text.replace("{}", after)


# ---- imports


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("from FN import cross_entropy, softmax", "from FN import cross_entropy"),
        ("from FN import softmax, cross_entropy", "from FN import cross_entropy"),
        ("from FN import cross_entropy, softmax, relu", "from FN import cross_entropy, relu"),
        ("from FN import (cross_entropy,  # a\n  softmax,  # b\n)", "from FN import (cross_entropy,  # a\n)"),
        (
            "from FN import (cross_entropy,  # a\n  softmax)",
            "from FN import (cross_entropy,  # a\n  softmax)",
        ),
        ("from FN import (\n    cross_entropy,\n    softmax,\n)", "from FN import (\n    cross_entropy,\n)"),
        ("from torch import softmax\nfrom FN import cross_entropy", "from FN import cross_entropy"),
        (
            "from torch import nn, softmax  # a\nfrom FN import *",
            "from torch import nn  # a\nfrom FN import *",
        ),
    ],
)
def test_an_import_that_nothing_reads_any_more_goes(before: str, after: str) -> None:
    text = "{}\n\n\ndef step(x, y):\n    return cross_entropy(softmax(x, dim=1), y)\n"
    text = text.replace("{}", before).replace("FN", "torch.nn.functional")
    expected = after.replace("FN", "torch.nn.functional") + text[text.index("\n\n\n") :]
    assert changed(text, "LH101", "cross", "softmax") == expected.replace("softmax(x, dim=1)", "x")


def test_whose_softmax_a_star_brings_is_not_certain() -> None:
    text = (
        "from torch.nn.functional import *\ndef step(x, y):\n    return cross_entropy(softmax(x, dim=1), y)\n"
    )
    assert "not known to be an activation" in reason(text, "LH101", "cross", "softmax")


def test_an_import_that_others_may_read_stays() -> None:
    text = "from torch.nn.functional import cross_entropy, softmax\n__all__ = ['softmax']\n"
    text += "def step(x, y):\n    return cross_entropy(softmax(x, dim=1), y)\n"
    assert "import cross_entropy, softmax" in changed(text, "LH101", "cross", "softmax")
    sources = {
        "a.py": text.replace("__all__ = ['softmax']\n", ""),
        "b.py": "from a import softmax\n",
    }
    finding = Finding(at(sources, "cross"), "LH101", "", made=at(sources, "softmax"))
    assert "import cross_entropy, softmax" in fix_project(sources, [finding])["a.py"].text


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("from torch.nn import BCELoss\nbce = BCELoss()", "from torch.nn import NEW\nbce = NEW()"),
        ("from torch.nn import BCELoss as B\nbce = B()", "from torch.nn import NEW as B\nbce = B()"),
        (
            "from torch.nn import BCELoss\nold = BCELoss()\nbce = BCELoss()",
            "from torch.nn import BCELoss, NEW\nold = BCELoss()\nbce = NEW()",
        ),
        ("from torch.nn import BCELoss, NEW\nbce = BCELoss()", "from torch.nn import NEW\nbce = NEW()"),
        ("from torch import nn as n\nbce = n.BCELoss(None)", "from torch import nn as n\nbce = n.NEW(None)"),
    ],
)
def test_a_new_name_is_imported_where_the_old_one_was(before: str, after: str) -> None:
    text = "import torch\n{}\ndef step(x, y):\n    return bce(torch.sigmoid(x), y)\n".replace("{}", before)
    text = text.replace("NEW", "BCEWithLogitsLoss")
    expected = f"{after}\ndef step(x, y):\n    return bce(x, y)\n".replace("NEW", "BCEWithLogitsLoss")
    assert changed(text, "LH109", "bce(", "torch.sig") == expected


# ---- what is not touched


def test_a_stale_position_is_left_alone() -> None:
    text = F + "def step(x, y):\n    return F.cross_entropy(F.softmax(x, dim=1), y)\n"
    place, made = at({"a.py": text}, "F.cross"), at({"a.py": text}, "F.softmax")
    moved = text.replace("\n\n\n", "\n\n\n# a new line\n")
    (skipped,) = fix_source(moved, [Finding(place, "LH101", "", made=made)], path="a.py").skipped
    assert skipped.reason == "the call that was found is not there: has the file changed?"
    other = text.replace("F.softmax(", "F.sigmoid(")
    (skipped,) = fix_source(other, [Finding(place, "LH101", "", made=made)], path="a.py").skipped
    assert "a sigmoid stands where a softmax was found" in skipped.reason
    foreign = text.replace("F.softmax(", "G.softmax(")
    (skipped,) = fix_source(foreign, [Finding(place, "LH101", "", made=made)], path="a.py").skipped
    assert "not known to be an activation" in skipped.reason


def test_what_cannot_be_fixed_says_why() -> None:
    text = F + "def step(x, y):\n    return F.cross_entropy(F.softmax(x, dim=1), y)\n"
    place, made = at({"a.py": text}, "F.cross"), at({"a.py": text}, "F.softmax")
    assert "LH112" not in FIXABLE
    findings = [
        Finding(place, "LH112", "", made=made),
        Finding(place, "LH101", ""),
        Finding(place, "LH101", "", made=Place("b.py", *range(1, 5))),
        Finding(Place("a.py", 1, 1, 1, 9, cell=2), "LH101", "", made=made),
    ]
    result = fix_source(text, findings, path="a.py", unsafe=True)
    assert result.text == text
    assert [
        skipped.reason for skipped in sorted(result.skipped, key=lambda s: findings.index(s.finding))
    ] == [
        "LH112 has no fix: what is right depends on what is meant",
        "where the value is made is not known",
        "b.py is not among the files that may be changed",
        "cells of notebooks are not edited",
    ]


@pytest.mark.parametrize("reduction", ["'none'", "how"])
def test_a_loss_that_may_only_pick_an_entry_is_left_alone(reduction: str) -> None:
    text = F + f"def step(x, y, how):\n    return -F.nll_loss(x, y, reduction={reduction}) + x.logsumexp(1)\n"
    assert "pick its entry" in reason(text, "LH105", "F.nll", unsafe=True)
    assert "cross_entropy" in changed(text.replace(f"={reduction}", "='sum'"), "LH105", "F.nll")


def test_a_file_that_libcst_cannot_read_is_left_alone() -> None:
    text = "def step(x, y:\n    return F.cross_entropy(F.softmax(x, dim=1), y)\n"
    finding = Finding(Place("a.py", 2, 12, 2, 53), "LH101", "", made=Place("a.py", 2, 28, 2, 47))
    result = fix_source(text, [finding], path="a.py")
    assert (result.text, result.skipped[0].reason) == (text, "libcst cannot read the file")


def test_each_finding_is_either_applied_or_skipped_once() -> None:
    text = F + dedent(
        """\
        def step(x, y, z):
            a = F.cross_entropy(F.softmax(x, dim=1), y)
            b = F.nll_loss(x, y)
            c = F.binary_cross_entropy(torch.sigmoid(x), z)
            d = F.cross_entropy(unknown(x), y)
            return a + b + c + d
        """
    )
    sources = {"a.py": text}
    findings = [
        Finding(at(sources, "F.cross"), "LH101", "", made=at(sources, "F.softmax")),
        Finding(at(sources, "F.nll"), "LH105", ""),
        Finding(at(sources, "F.binary"), "LH109", "", made=at(sources, "torch.sig")),
        Finding(at(sources, "F.cross_entropy(unk"), "LH101", "", made=at(sources, "unknown")),
    ]
    result = fix_source(text, [*findings, *findings], path="a.py")
    assert sorted(result.applied) == sorted(findings[:3])
    assert [skipped.finding for skipped in result.skipped] == findings[3:]
    assert "a = F.cross_entropy(x, y)\n    b = F.cross_entropy(x, y)\n" in result.text
    assert "c = F.binary_cross_entropy_with_logits(x, z)\n" in result.text


def test_findings_that_want_different_things_of_one_value_are_left_to_the_user() -> None:
    text = (
        F + "def step(x, y):\n    p = F.softmax(x, 1)\n    return F.cross_entropy(p, y) + F.nll_loss(p, y)\n"
    )
    sources = {"a.py": text}
    made = at(sources, "F.softmax")
    findings = [
        Finding(at(sources, "F.cross"), "LH101", "", made=made),
        Finding(at(sources, "F.nll"), "LH104", "", made=made),
    ]
    result = fix_source(text, findings, path="a.py", unsafe=True)
    assert result.text == text
    assert {s.reason for s in result.skipped} == {
        "LH101 and LH104 meet here and want different things: fix one by hand"
    }


def run_python(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def test_libcst_is_imported_when_there_is_something_to_fix() -> None:
    code = """
import sys
from likelihead.lint.fix import FIXABLE, fix_source
from likelihead.lint.findings import Finding, Place
place = Place("a.py", 1, 1, 1, 2)
fix_source("", [Finding(place, "LH301", "")], path="a.py")
print("libcst" in sys.modules, "torch" in sys.modules)
sys.modules["libcst"] = None
try:
    fix_source("", [Finding(place, "LH101", "")], path="a.py")
except ModuleNotFoundError as error:
    print(error.name, "torch" in sys.modules)
"""
    assert run_python(code).split() == ["False", "False", "libcst", "False"]
