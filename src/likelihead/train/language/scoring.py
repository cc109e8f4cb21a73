"""How well a network tells the next token of whole texts.

A document is read in windows of a fixed size, each token is scored once, and a window begins with tokens
that are read but not scored, so that little is scored without what came before. Windows and their batches
depend on the text, the network and the context alone: the figures are the same whatever the batch size of the
training.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from likelihead.evaluate.nll import NLL, BitsPerByte
from likelihead.functional import linear_cross_entropy
from likelihead.train.language.corpus import Text
from likelihead.train.language.models import GRU, LanguageModel

__all__ = ["Scores", "score"]

Floats = NDArray[np.float64]

_RECURRENT = 1024
"""Tokens that a window of a recurrent network scores: it carries what it read, however long ago."""
_AT_ONCE = 2**15
"""Tokens that the network reads at a time."""


@dataclass(frozen=True)
class Scores:
    """The NLL of each token of a text.

    Attributes:
        text: what was scored.
        nll: in nats, of each id of the text: at a document's first place that of its first token, at its last
            that of its end.
        seen: how many tokens the network had read, the separator included.
        sizes: how many bytes each scored token stands for; none for the end of a document.
    """

    text: Text
    nll: Floats
    seen: NDArray[np.int64]
    sizes: NDArray[np.int64]

    @property
    def tokens(self) -> int:
        """How many tokens were scored, the ends of documents included."""
        return len(self.nll)

    @property
    def mean(self) -> float:
        """The mean NLL of a token, in nats."""
        return self._nll().compute()

    @property
    def perplexity(self) -> float:
        """``exp`` of the mean NLL."""
        return self._nll().perplexity

    @property
    def bytes(self) -> int:
        """The bytes that the tokens stand for."""
        return int(self.sizes.sum())

    @property
    def bits_per_byte(self) -> float:
        """Bits that a byte takes: the NLL of the tokens that stand for bytes. NaN where none does."""
        return _bits_per_byte(self.nll, self.sizes)

    def _nll(self) -> NLL:
        figure = NLL()
        figure.update(torch.from_numpy(self.nll))
        return figure

    def by_document(self) -> list[tuple[str, int, float, float]]:
        """Name, tokens, mean NLL in nats and bits per byte of each document."""
        rows = []
        for i, name in enumerate(self.text.names):
            part = slice(int(self.text.starts[i]), int(self.text.starts[i + 1]))
            nll = self.nll[part]
            rows.append((name, len(nll), math.fsum(nll) / len(nll), _bits_per_byte(nll, self.sizes[part])))
        return rows

    def by_seen(self) -> list[tuple[int, int, int, float]]:
        """First and last number of tokens read, tokens and mean NLL in nats: in powers of two."""
        rows = []
        low = 1
        while low <= int(self.seen.max()):
            nll = self.nll[(self.seen >= low) & (self.seen < 2 * low)]
            if len(nll):
                rows.append((low, 2 * low - 1, len(nll), math.fsum(nll) / len(nll)))
            low *= 2
        return rows


def _bits_per_byte(nll: Floats, sizes: NDArray[np.int64]) -> float:
    # The map of bytes by token is in ``sizes`` already: here each token is its own id.
    figure = BitsPerByte(torch.from_numpy(sizes))
    figure.update(torch.from_numpy(nll), torch.arange(len(sizes)))
    return figure.compute()


@dataclass(frozen=True)
class _Window:
    """Ids ``begin`` to ``end`` of a text, of which those before ``scored`` are read alone."""

    begin: int
    scored: int
    end: int


def score(
    model: LanguageModel,
    text: Text,
    token_sizes: NDArray[np.int64],
    context: int,
    *,
    rows: int | None = None,
    pause: Callable[[], None] = lambda: None,
) -> Scores:
    """Score every token of a text, and the end of each document.

    A recurrent network scores 1024 tokens after it has read up to ``context`` before them; a transformer's
    window is ``context`` long, and all but the first of a document score its second half.

    Args:
        model: the network.
        text: what to score.
        token_sizes: how many bytes each id stands for.
        context: of the training.
        rows: windows that are read at a time; it changes the rounding alone.
        pause: called after each batch; may raise.
    """
    windows = sorted(_windows(text, model, context), key=lambda w: w.begin - w.end)
    # What is predicted: each id behind a separator, and the separator behind each document.
    targets = text.ids.astype(np.int64)
    targets = np.append(targets[1:], targets[0])
    nll = np.full(len(targets), math.nan)
    seen = np.zeros(len(targets), dtype=np.int64)
    longest = windows[0].end - windows[0].begin
    rows = max(_AT_ONCE // longest, 1) if rows is None else rows
    with torch.no_grad():
        for first in range(0, len(windows), rows):
            _score(model, text, windows[first : first + rows], targets, nll, seen)
            pause()
    return Scores(text, nll, seen, token_sizes[targets])


def _windows(text: Text, model: LanguageModel, context: int) -> list[_Window]:
    windows = []
    before, new = (context, _RECURRENT) if isinstance(model, GRU) else (context // 2, context - context // 2)
    first = new if isinstance(model, GRU) else context
    for start, end in zip(text.starts[:-1].tolist(), text.starts[1:].tolist(), strict=True):
        at = min(start + first, end)
        windows.append(_Window(start, start, at))
        while at < end:
            after = min(at + new, end)
            windows.append(_Window(max(start, at - before), at, after))
            at = after
    return windows


def _score(
    model: LanguageModel,
    text: Text,
    windows: list[_Window],
    targets: NDArray[np.int64],
    nll: Floats,
    seen: NDArray[np.int64],
) -> None:
    width = max(w.end - w.begin for w in windows)
    ids = np.full((len(windows), width), text.ids[0], dtype=np.int64)
    for i, w in enumerate(windows):
        ids[i, : w.end - w.begin] = text.ids[w.begin : w.end]
    hidden, _ = model.hidden(torch.from_numpy(ids))
    kept = torch.cat([hidden[i, w.scored - w.begin : w.end - w.begin] for i, w in enumerate(windows)])
    wanted = torch.from_numpy(np.concatenate([targets[w.scored : w.end] for w in windows]))
    head = model.head
    found = (
        linear_cross_entropy(kept, head.weight, wanted, linear_bias=head.bias, reduction="none")
        .double()
        .numpy()
    )
    at = 0
    for w in windows:
        count = w.end - w.scored
        nll[w.scored : w.end] = found[at : at + count]
        seen[w.scored : w.end] = np.arange(w.scored - w.begin, w.end - w.begin) + 1
        at += count
