"""The injector by itself: what it makes can be read, stands where it says, and is a hazard indeed."""

from __future__ import annotations

import ast
import contextlib
import io
import re
import runpy
import sys
from collections import Counter
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from likelihead.hazards import HAZARDS
from lint.mutation.inject import mutants, scripts
from lint.mutation.source import Edit, Mutant, Script
from lint.mutation.uses import uses

SCRIPTS = scripts()
MUTANTS = mutants()
CODES = {code for code, hazard in HAZARDS.items() if hazard.lint} - {"LH115"}
REDUNDANT = {"LH103", "LH109", "LH110", "LH201"}
"""These change no number beyond rounding."""
ONE_RANK = {"LH503"}
"""These change a number only where there are several ranks."""

Numbers = list[float] | str


def missing(script: Script) -> list[str]:
    """The packages that a script imports and that are not installed."""
    text = "\n".join(source.text for source in script.sources)
    paths = [Path(source.path) for source in script.sources]
    own = {path.stem for path in paths} | {path.parent.name for path in paths}
    imported = {first or second for first, second in re.findall(r"^(?:from (\w+)|import (\w+))", text, re.M)}
    return sorted(name for name in imported - own if find_spec(name) is None)


RUNNABLE = {script.name: script for script in SCRIPTS if not missing(script)}


def run(files: dict[str, str], folder: Path) -> Numbers:
    """The numbers that a script prints, or the name of the error in which it ends."""
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")
    start = next(folder / path for path, text in files.items() if "__name__ ==" in text or len(files) == 1)
    before, printed = set(sys.modules), io.StringIO()
    sys.path.insert(0, str(start.parent))
    torch.manual_seed(0)
    try:
        with contextlib.redirect_stdout(printed):
            runpy.run_path(str(start), run_name="__main__")
    except Exception as error:
        return type(error).__name__
    finally:
        sys.path.pop(0)
        for name in set(sys.modules) - before:
            if str(folder) in str(getattr(sys.modules[name], "__file__", "")):
                del sys.modules[name]
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()
    return [float(number) for number in re.findall(r"-?\d+(?:\.\d+)?|nan|inf", printed.getvalue())]


def correct(script: str, folder: Path) -> Numbers:
    return run({source.path: source.text for source in RUNNABLE[script].sources}, folder)


def test_there_are_forty_scripts_and_enough_mutants_of_each_hazard() -> None:
    assert len(SCRIPTS) == 40
    counted = Counter(mutant.code for mutant in MUTANTS)
    assert set(counted) == CODES
    assert min(counted.values()) >= 3
    assert len(MUTANTS) >= 500


def test_what_cannot_run_here_wants_another_framework() -> None:
    frameworks = {"monai", "pytorch_lightning", "segmentation_models_pytorch", "transformers"}
    assert {name for script in SCRIPTS for name in missing(script)} <= frameworks
    assert len(RUNNABLE) >= 35


@pytest.mark.parametrize("script", RUNNABLE)
def test_a_correct_script_runs(script: str, tmp_path: Path) -> None:
    numbers = correct(script, tmp_path)
    assert isinstance(numbers, list), numbers
    assert numbers
    assert all(number == number for number in numbers)


def test_a_mutant_can_be_read_and_differs_in_the_lines_that_were_edited() -> None:
    sources = {source.path: source.text for script in SCRIPTS for source in script.sources}
    for mutant in MUTANTS:
        edited = [path for path, text in mutant.files.items() if text != sources[path]]
        assert edited, mutant
        for path, text in mutant.files.items():
            lines = text.splitlines()
            assert len(lines) == len(sources[path].splitlines()), mutant
            if path in edited:
                ast.parse(text)
        for path, line in mutant.expected:
            assert mutant.files[path].splitlines()[line - 1].strip(), mutant


def sample() -> list[Mutant]:
    """Two mutants of each hazard that can run here, of two scripts."""
    text_of = {script.name: "".join(source.text for source in script.sources) for script in SCRIPTS}
    chosen: dict[str, dict[str, Mutant]] = {code: {} for code in sorted(CODES)}
    for mutant in MUTANTS:
        of_code = chosen[mutant.code]
        # Elsewhere a redundant activation reaches a threshold too, or the loss loses its weights.
        harmless = "call" in mutant.how and "pos_weight" not in text_of[mutant.script]
        if mutant.script in RUNNABLE and (mutant.code not in REDUNDANT or harmless) and len(of_code) < 2:
            of_code.setdefault(mutant.script, mutant)
    return [mutant for of_code in chosen.values() for mutant in of_code.values()]


@pytest.mark.parametrize("mutant", sample(), ids=lambda mutant: f"{mutant.code}-{mutant.script}")
def test_a_hazard_changes_the_numbers_or_only_their_rounding(mutant: Mutant, tmp_path: Path) -> None:
    expected, numbers = correct(mutant.script, tmp_path / "correct"), run(mutant.files, tmp_path / "mutant")
    if mutant.code in ONE_RANK:
        assert numbers == expected, str(mutant)
    elif mutant.code in REDUNDANT:
        assert numbers == pytest.approx(expected, rel=1e-2), str(mutant)
    else:
        assert numbers != expected, str(mutant)


def test_an_edit_that_moves_a_line_or_overlaps_another_is_refused() -> None:
    script = next(script for script in SCRIPTS if script.name == "digits_mlp")
    use = uses(script, "ce")[0]
    path, end = script.sources[0].path, len(script.sources[0].text)
    with pytest.raises(ValueError, match="moves lines"):
        script.mutant("LH101", "a new line", [Edit(path, end, end, "\n")], [use.call])
    edits = [script.replace(use.call, "0"), script.replace(use.input, "1")]
    with pytest.raises(ValueError, match="overlap"):
        script.mutant("LH101", "twice", edits, [use.call])
