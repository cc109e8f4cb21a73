"""The table of hazards: complete, in step with its pages, light to import; the examples do what they say."""

from __future__ import annotations

import re

import pytest
import torch

import likelihead
from likelihead.errors import LikelihoodWarning
from likelihead.hazards import FAMILIES, HAZARDS, SEVERITIES, Hazard, lookup

# Code, severity and what the guard looks at, stated a second time so that a row cannot get lost.
EXPECTED = """
LH101 E grad_fn; LH102 E grad_fn; LH103 I grad_fn; LH104 E grad_fn; LH105 E grad_fn, values; LH106 E
grad_fn; LH107 E grad_fn; LH108 E values; LH109 W grad_fn; LH110 W grad_fn; LH111 E grad_fn, values; LH112 E
grad_fn; LH113 E; LH114 E; LH115 E grad_fn; LH201 I x; LH202 E x; LH203 E values; LH204 E values; LH205 W
values; LH206 E; LH207 E values; LH208 E values; LH301 E shape; LH302 E shape; LH303 E shape; LH401 E; LH402
W; LH403 W x; LH501 W; LH502 E; LH503 W; LH601 E shape; LH602 E shape; LH603 E shape; LH701 E; LH702 E; LH703
W; LH704 W; LH801 E values
"""


def every_hazard() -> list[object]:
    return [pytest.param(hazard, id=code) for code, hazard in HAZARDS.items()]


def test_no_row_is_missing_and_none_is_twice() -> None:
    expected = [tuple(row.split(maxsplit=2)) for row in " ".join(EXPECTED.split()).split("; ")]
    actual = [tuple(f"{h.code} {h.severity} {h.guard}".split(maxsplit=2)) for h in HAZARDS.values()]
    assert actual == expected
    assert len({h.name for h in HAZARDS.values()}) == len(HAZARDS)


@pytest.mark.parametrize("hazard", every_hazard())
def test_a_row_is_complete(hazard: Hazard) -> None:
    assert re.fullmatch(r"LH\d{3}", hazard.code)
    assert hazard.severity in SEVERITIES
    assert hazard.family in FAMILIES.values()
    for sentence in (hazard.sentence, hazard.remedy):
        assert sentence[0].isupper() or sentence[0].isdigit()
        assert sentence.endswith(".")
        assert "\n" not in sentence
    assert len(hazard.why) > 100
    assert hazard.guard or hazard.watch or hazard.lint, "a hazard that nothing detects"


@pytest.mark.parametrize("hazard", every_hazard())
def test_a_page_holds_every_part(hazard: Hazard) -> None:
    page = hazard.page
    assert page.startswith(f"# {hazard.code}: {hazard.name}\n")
    for part in (hazard.sentence, hazard.remedy, hazard.why, hazard.wrong, hazard.right):
        assert part in page


@pytest.mark.parametrize("hazard", every_hazard())
def test_a_page_says_who_finds_it(hazard: Hazard) -> None:
    detection = hazard.page.split("## Detection\n")[1]
    assert ("The guard finds it" in detection) is bool(hazard.guard)
    assert ("The linter finds it" in detection) is bool(hazard.lint)


def test_the_pages_hold_no_stray_hazard() -> None:
    from importlib.resources import files

    for family in FAMILIES:
        text = (files("likelihead") / "hazard_pages" / f"{family}xx.md").read_text(encoding="utf-8")
        codes = re.findall(r"^# (LH\d{3})$", text, re.MULTILINE)
        assert codes == [code for code in HAZARDS if code.startswith(family)]


def run(example: str, functional: object = torch.nn.functional) -> None:
    torch.manual_seed(0)
    exec(compile(example, "<example>", "exec"), {"torch": torch, "F": functional, "likelihead": likelihead})


@pytest.mark.parametrize("hazard", every_hazard())
@pytest.mark.filterwarnings("ignore:Using a target size:UserWarning")  # torch's own word on LH302
def test_the_wrong_example_runs_in_torch_or_raises_as_it_says(hazard: Hazard) -> None:
    raises = re.search(r"# raises (\w+)", hazard.wrong)
    if raises is None:
        with likelihead.guard("off"):  # for the losses that torch does not have
            run(hazard.wrong)
    else:
        with pytest.raises({"RuntimeError": RuntimeError, "IndexError": IndexError}[raises[1]]):
            run(hazard.wrong)


@pytest.mark.parametrize("hazard", every_hazard())
def test_the_right_example_runs(hazard: Hazard) -> None:
    run(hazard.right)


class DropIns:
    """torch.nn.functional with likelihead's functions in place of torch's."""

    def __getattr__(self, name: str) -> object:
        from likelihead import functional

        return getattr(functional, name, None) or getattr(torch.nn.functional, name)


@pytest.mark.parametrize("hazard", [p for p in every_hazard() if p.values[0].guard])
def test_the_guard_names_the_hazard_of_the_wrong_example(hazard: Hazard) -> None:
    # Redundancies warn and never raise; warnings are errors here.
    raised = (ValueError, RuntimeError, IndexError, TypeError, LikelihoodWarning)
    with likelihead.guard("full", action="raise"), pytest.raises(raised) as caught:
        run(hazard.wrong, DropIns())
    assert hazard.code in str(caught.value)


@pytest.mark.parametrize("hazard", every_hazard())
def test_the_guard_lets_the_right_example_pass(hazard: Hazard) -> None:
    with likelihead.guard("full", action="raise"):
        run(hazard.right, DropIns())


@pytest.mark.parametrize("code", ["LH104", "lh104", " Lh104 "])
def test_lookup_takes_either_case(code: str) -> None:
    assert lookup(code) is HAZARDS["LH104"]


@pytest.mark.parametrize(
    ("code", "nearest"),
    [("LH116", "LH115"), ("LH209", "LH208"), ("999", "LH801"), ("LH1O4", "LH1"), ("", "LH")],
)
def test_lookup_names_the_nearest(code: str, nearest: str) -> None:
    with pytest.raises(LookupError, match=f"nearest code is {nearest}"):
        lookup(code)
