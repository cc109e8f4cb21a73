"""The linter finds the hazards that a program injects into correct scripts, and is silent on these."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pytest

from likelihead.lint import lint_paths
from lint.mutation.inject import mutants, scripts
from lint.mutation.source import Mutant

SCRIPTS = scripts()
MUTANTS = mutants()


def findings(files: dict[str, str], folder: Path) -> set[tuple[str, str, int]]:
    """Code, path and line of all that the linter says about a script."""
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")
    result = lint_paths([folder], jobs=1)
    assert result.problems == []
    root = folder.resolve()
    return {(f.code, Path(f.path).resolve().relative_to(root).as_posix(), f.line) for f in result.findings}


def is_found(mutant: Mutant, found: Iterable[tuple[str, str, int]]) -> bool:
    return any(code == mutant.code and (path, line) in mutant.expected for code, path, line in found)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_a_correct_script_is_silent(script, tmp_path: Path) -> None:
    assert findings({source.path: source.text for source in script.sources}, tmp_path) == set()


@pytest.fixture(scope="module")
def missed(tmp_path_factory: pytest.TempPathFactory) -> list[Mutant]:
    folder = tmp_path_factory.mktemp("mutants")
    return [
        mutant
        for number, mutant in enumerate(MUTANTS)
        if not is_found(mutant, findings(mutant.files, folder / str(number)))
    ]


def test_nine_of_ten_hazards_are_found(missed: list[Mutant]) -> None:
    share = 1 - len(missed) / len(MUTANTS)
    assert share >= 0.9, f"{share:.1%} of {len(MUTANTS)} are found; missed:\n" + "\n".join(map(str, missed))


@pytest.mark.parametrize("code", sorted({mutant.code for mutant in MUTANTS}))
def test_two_of_three_of_each_hazard_are_found(code: str, missed: list[Mutant]) -> None:
    made = Counter(mutant.code for mutant in MUTANTS)[code]
    of_code = [mutant for mutant in missed if mutant.code == code]
    share = 1 - len(of_code) / made
    assert share >= 2 / 3, f"{share:.1%} of {made} are found; missed:\n" + "\n".join(map(str, of_code))


def test_a_finding_counts_only_with_its_code_and_place() -> None:
    mutant = Mutant("script", "LH101", "softmax at the call", {}, frozenset({("script.py", 3)}))
    assert is_found(mutant, {("LH101", "script.py", 3)})
    for other in (("LH102", "script.py", 3), ("LH101", "script.py", 4), ("LH101", "other.py", 3)):
        assert not is_found(mutant, {other})
