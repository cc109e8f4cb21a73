"""What the report says in words, and the text around a loss."""

from __future__ import annotations

import numpy as np
import pytest

from likelihead.train.language.corpus import Text
from likelihead.train.language.excerpts import excerpt, highest_tokens
from likelihead.train.language.report import _summary
from likelihead.train.language.scoring import Scores
from likelihead.train.language.tokens import ByteTokenizer


def scores(nll: list[float], content: bytes, sizes: list[int] | None = None) -> Scores:
    """One document of bytes; a loss for each, and for its end."""
    ids = np.array([256, *content])
    text = Text(ids, np.array([0, len(ids)]), ("doc",), len(content))
    seen = np.arange(1, len(ids) + 1)
    return Scores(text, np.array(nll), seen, np.array(sizes or [1] * len(content) + [0]))


def test_a_character_bears_the_loss_of_all_its_bytes() -> None:
    block = excerpt(scores([1.0, 2.0, 4.0, 8.0, 16.0], "aéb".encode()), ByteTokenizer(), "doc", "a text")
    assert list(block.tokens) == [("a", 1.0), ("é", 6.0), ("b", 8.0)]


def test_the_highest_losses_with_what_stands_around() -> None:
    found = highest_tokens(scores([0.1, 0.2, 9.0, 0.3, 5.0], b"wxyz"), ByteTokenizer())
    assert [row["nll"] for row in found] == [9.0, 5.0, 0.3, 0.2, 0.1]
    assert (found[0]["before"], found[0]["token"], found[0]["after"]) == ("wx", "y", "z")
    assert (found[1]["before"], found[1]["token"]) == ("wxyz", "(end of document)")
    assert found[4]["before"] == ""


@pytest.mark.parametrize(
    ("nll", "sizes", "words"),
    [
        (0.5, None, "bits for a byte"),
        (0.5, [0, 0, 0], "nats for a token"),
        (3.0, None, "of no use yet"),
    ],
)
def test_the_summary(nll: float, sizes: list[int] | None, words: str) -> None:
    lines = _summary(scores([nll] * 3, b"ab", sizes), 2.0, 4.0)
    assert len(lines) == 3
    assert words in " ".join(lines)
    assert "nan" not in " ".join(lines)


@pytest.mark.parametrize(
    ("nll", "words"), [(4000.0, "The model has failed"), (np.inf, "NLL is ∞"), (np.nan, "is not a number")]
)
def test_a_run_that_has_failed_says_so_first(nll: float, words: str) -> None:
    lines = _summary(scores([nll] * 3, b"ab"), 2.0, 4.0)
    assert words in lines[0]
    assert "no better" not in " ".join(lines)
