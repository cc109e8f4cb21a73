"""Each token is scored once; perplexity and bits per byte are those of the sums, whatever the batches."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from likelihead.train import TrainConfig
from likelihead.train.language import scoring
from likelihead.train.language.corpus import Text, load
from likelihead.train.language.models import GRU, LanguageModel, Transformer
from likelihead.train.language.problem import begin
from likelihead.train.language.scoring import Scores, score

CONTEXT = 10


def network(kind: str, vocabulary: int) -> LanguageModel:
    torch.manual_seed(2)
    head = nn.Linear(8, vocabulary)
    made: LanguageModel = (
        GRU(vocabulary, (8,), head) if kind == "gru" else Transformer(vocabulary, (8,), head)
    )
    nn.init.normal_(made.head.weight)
    return made.double()


def by_hand(model: LanguageModel, text: Text, before: int, new: int, first: int) -> list[float]:
    """A document at a time and a window at a time, by torch's log-softmax."""
    found = []
    for index in range(len(text)):
        ids = text.document(index).astype(int).tolist()
        targets = [*ids[1:], ids[0]]
        at = 0
        while at < len(ids):
            end = min(at + (new if at else first), len(ids))
            begin = max(0, at - before) if at else 0
            log_probs = torch.log_softmax(model(torch.tensor([ids[begin:end]]))[0][0], -1)
            found += [-float(log_probs[i - begin, targets[i]]) for i in range(at, end)]
            at = end
    return found


@pytest.mark.parametrize("kind", ["gru", "transformer"])
def test_the_windows_by_hand(
    make: Callable[..., TrainConfig], monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    corpus = load(make())
    model = network(kind, 257)
    monkeypatch.setattr(scoring, "_RECURRENT", 16)  # small enough that there are several windows
    with torch.no_grad():
        sizes = (CONTEXT, 16, 16) if kind == "gru" else (CONTEXT // 2, CONTEXT // 2, CONTEXT)
        want = by_hand(model, corpus.train, *sizes)
    for rows in (1, 3, 50):
        scores = score(model, corpus.train, corpus.tokenizer.sizes(), CONTEXT, rows=rows)
        np.testing.assert_allclose(scores.nll, want, rtol=1e-9)
        assert scores.tokens == len(want) == corpus.train.tokens
        assert scores.perplexity == pytest.approx(math.exp(math.fsum(want) / len(want)), rel=1e-9)


@pytest.mark.parametrize("kind", ["gru", "transformer"])
@pytest.mark.parametrize("tokens", ["bytes", "pairs"])
def test_the_figures_from_their_definitions(
    make: Callable[..., TrainConfig], byte_pairs: object, kind: str, tokens: str
) -> None:
    corpus = load(make(tokenizer="bytes" if tokens == "bytes" else str(byte_pairs)))
    model = network(kind, corpus.tokenizer.vocabulary)
    scores = score(model, corpus.test, corpus.tokenizer.sizes(), CONTEXT)
    total = math.fsum(scores.nll)
    assert scores.mean == pytest.approx(total / corpus.test.tokens, rel=1e-12)
    assert scores.perplexity == pytest.approx(math.exp(total / corpus.test.tokens), rel=1e-9)
    ends = math.fsum(scores.nll[int(end) - 1] for end in corpus.test.starts[1:])
    assert scores.bits_per_byte == pytest.approx((total - ends) / math.log(2) / corpus.test.bytes, rel=1e-9)
    assert scores.bytes == corpus.test.bytes


def test_bits_per_byte_do_not_count_the_ends() -> None:
    text = Text(np.array([2, 0, 1, 2, 1]), np.array([0, 3, 5]), ("a", "b"), 3)
    nll = np.array([1.0, 2.0, 100.0, 3.0, 100.0])
    scores = Scores(text, nll, np.ones(5, dtype=np.int64), np.array([1, 1, 0, 2, 0]))
    assert scores.bits_per_byte == pytest.approx(6 / math.log(2) / 4, rel=1e-12)
    assert scores.mean == pytest.approx(206 / 5)
    assert [row[:2] for row in scores.by_document()] == [("a", 3), ("b", 2)]
    assert scores.by_document()[1][3] == pytest.approx(3 / math.log(2) / 2)


def test_by_tokens_read() -> None:
    text = Text(np.array([2, 0, 1, 0, 1]), np.array([0, 5]), ("a",), 4)
    seen = np.array([1, 2, 3, 4, 5])
    scores = Scores(text, np.array([5.0, 4.0, 3.0, 2.0, 1.0]), seen, np.ones(5, dtype=np.int64))
    assert scores.by_seen() == [(1, 1, 1, 5.0), (2, 3, 2, 3.5), (4, 7, 2, 1.5)]


@pytest.mark.parametrize("kind", ["gru", "transformer"])
def test_the_batch_size_of_the_training_does_not_matter(make: Callable[..., TrainConfig], kind: str) -> None:
    found = []
    for batch_size in (1, 4):
        torch.manual_seed(0)
        problem = begin(make(network=kind, batch_size=batch_size))
        nn.init.normal_(problem.model.head.weight, generator=torch.Generator().manual_seed(3))
        measured = problem.measure({})
        scores = problem.scores()
        perplexity = measured.more["test_perplexity"]
        assert perplexity == pytest.approx(math.exp(math.fsum(scores.nll) / len(scores.nll)), rel=1e-9)
        found.append((measured.test_nll, measured.score, perplexity))
    assert found[0] == found[1]


def test_long_documents_are_read_with_what_was_before() -> None:
    # A window after the first begins with tokens that are read, not scored.
    text = Text(np.zeros(40, dtype=np.uint16), np.array([0, 40]), ("a",), 39)
    model = network("transformer", 5)
    scores = score(model, text, np.ones(5, dtype=np.int64), CONTEXT)
    assert scores.seen[:CONTEXT].tolist() == list(range(1, CONTEXT + 1))
    assert int(scores.seen[CONTEXT:].min()) == CONTEXT // 2 + 1
    assert int(scores.seen.max()) == CONTEXT
