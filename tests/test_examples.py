"""The examples run as a reader would run them, say what they are there to say, and lint clean."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

from likelihead.lint import lint_paths

EXAMPLES = Path(__file__).parents[1] / "examples"
NAMES = ["imbalance", "iris", "language_model", "multilabel", "segmentation"]


def run(name: str, capsys: pytest.CaptureFixture[str]) -> tuple[list[str], list[float]]:
    """The lines that an example prints, and the numbers in them."""
    runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="__main__")
    text = capsys.readouterr().out
    return text.splitlines(), [float(number) for number in re.findall(r"\d+\.\d+", text)]


def test_all_are_tested_and_told_of() -> None:
    assert sorted(path.stem for path in EXAMPLES.glob("*.py")) == NAMES
    told = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    assert sorted(re.findall(r"\((\w+)\.py\)", told)) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_an_example_is_short(name: str) -> None:
    assert 40 <= len((EXAMPLES / f"{name}.py").read_text(encoding="utf-8").splitlines()) <= 90


def test_lint_finds_nothing_in_them() -> None:
    result = lint_paths([EXAMPLES])
    assert result.findings == []
    assert (result.statistics.analysed, result.statistics.exhausted) == (len(NAMES), [])


def test_iris_is_the_same_both_ways(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("sklearn")
    lines, (by_logits, by_log_probs, accuracy) = run("iris", capsys)
    assert by_logits == by_log_probs < 0.1
    assert accuracy > 0.9
    assert lines[-1].endswith("yes")


def test_labels_are_learnt_beyond_their_frequencies(capsys: pytest.CaptureFixture[str]) -> None:
    lines, (baseline, network, *_) = run("multilabel", capsys)
    assert network < baseline / 4
    assert len(lines) == 6


def test_the_things_in_a_scene_are_found(capsys: pytest.CaptureFixture[str]) -> None:
    _, overlaps = run("segmentation", capsys)
    assert len(overlaps) == 3
    assert min(overlaps) > 0.7


def test_the_perplexity_falls_from_that_of_chance(capsys: pytest.CaptureFixture[str]) -> None:
    _, (before, after) = run("language_model", capsys)
    assert 15 < before < 30
    assert 1 < after < 1.7


def test_weights_buy_recall_and_the_prior_puts_the_probabilities_right(
    capsys: pytest.CaptureFixture[str],
) -> None:
    _, numbers = run("imbalance", capsys)
    (_, plain_nll, *_), (_, weighted_nll, said, true), (_, right_nll, said_right, _) = (
        numbers[at : at + 4] for at in (0, 4, 8)
    )
    assert numbers[4] > numbers[0] + 0.2  # recall
    assert weighted_nll > 2 * plain_nll
    assert said > 2 * true
    assert right_nll < 1.1 * plain_nll
    assert said_right == pytest.approx(true, rel=0.2)
