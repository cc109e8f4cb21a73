"""The watch finds, within three steps, the hazards that a program puts into right scripts, and no others.

This runs a few mutants of each hazard; ``python -m watch.score --seeds 20`` runs all. What only a whole run
shows (LH704, averages, predictions) is judged at its end.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from likelihead.hazards import HAZARDS
from lint.mutation.source import Mutant
from watch.mutation import texts
from watch.mutation.calls import calls
from watch.mutation.drive import told
from watch.mutation.inject import WATCHED, chosen, mutants
from watch.mutation.inject import scripts as injected
from watch.running import SCRIPTS, true_hazards
from watch.score import false_alarms, outcomes, right_names

OF_EACH = 2
IN_A_CLUSTER = {"LH503"}
"""Needs several ranks: its mutants are those of `test_ranks`."""
SILENT = [name for name in right_names() if name != "compiled_step"]  # compiling takes its time
CODES = sorted(WATCHED - IN_A_CLUSTER)


def test_every_hazard_of_the_watch_is_injected_into_several_scripts() -> None:
    assert {code for code, hazard in HAZARDS.items() if hazard.watch} - WATCHED == {"LH115"}
    assert sum(map(len, mutants().values())) >= 300
    for code in CODES:
        assert len(mutants()[code]) >= (6 if code == "LH401" else 8), code


@pytest.mark.parametrize("code", CODES)
def test_a_hazard_is_caught_at_its_place(code: str, tmp_path: Path) -> None:
    done = outcomes([*chosen(code, OF_EACH)], tmp_path)
    wrong = [one for one in done if not one.caught or one.others or one.faults]
    assert not wrong, "\n".join(map(str, wrong))


@pytest.mark.parametrize("script", SILENT)
def test_a_right_script_is_silent(script: str, tmp_path: Path) -> None:
    assert false_alarms(script, 0, tmp_path) == []


def test_a_mutant_is_not_caught_by_another_code_nor_in_another_place(tmp_path: Path) -> None:
    right = next(script for script in injected() if script.name == "iris_logits")
    call = calls(right)[0]
    mutant = right.mutant("LH101", "softmax", call.with_input("z.softmax(1)"), [call.node])
    assert mutant is not None
    assert told(mutant, tmp_path / "there").caught
    away = Mutant(mutant.script, "LH101", mutant.how, mutant.files, frozenset({("iris_logits.py", 1)}))
    assert not told(away, tmp_path / "away").caught
    other = Mutant(mutant.script, "LH102", mutant.how, mutant.files, mutant.expected)
    outcome = told(other, tmp_path / "other")
    assert not outcome.caught
    assert outcome.others


def test_a_right_script_is_no_mutant(tmp_path: Path) -> None:
    right = SCRIPTS / "iris_logits.py"
    lines = frozenset((right.name, line) for line in range(1, 60))
    mutant = Mutant("iris_logits", "LH101", "nothing", {right.name: right.read_text()}, lines)
    outcome = told(mutant, tmp_path, true=true_hazards(right))
    assert not outcome.caught
    assert not outcome.others


def test_a_text_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    script = next(script for script in injected() if script.name == "iris_logits")
    gone = texts.Text("iris_logits", "LH704", (("lr=12345", "lr=0"),), ("criterion",))
    monkeypatch.setattr(texts, "TEXTS", (gone,))
    with pytest.raises(ValueError, match="holds 0 times: lr=12345"):
        list(texts.by_text(script))
