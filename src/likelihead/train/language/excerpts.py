"""Parts of a text as a reader sees them, with the loss of what stands there."""

from __future__ import annotations

from typing import Any

import numpy as np

from likelihead.report.blocks import Tokens
from likelihead.report.text import clean
from likelihead.train.language.scoring import Scores
from likelihead.train.language.tokens import Tokenizer, characters

__all__ = ["excerpt", "highest_tokens"]

HIGHEST = 12
EXCERPT = 300
"""Tokens of a coloured excerpt."""
BEFORE, AFTER = 48, 16
"""Tokens shown before and behind one with a high loss."""


def excerpt(scores: Scores, tokenizer: Tokenizer, name: str, what: str) -> Tokens:
    """The beginning of a document, each character coloured by its loss."""
    index = scores.text.names.index(name)
    start = int(scores.text.starts[index])
    ids = scores.text.document(index)[1 : EXCERPT + 1]
    tokens: list[tuple[str, float]] = []
    waiting = 0.0
    pieces = characters(tokenizer.bytes_of[int(i)] for i in ids)
    # A character that takes several tokens bears the loss of them all.
    for piece, nll in zip(pieces, [*scores.nll[start : start + len(ids)].tolist(), 0.0], strict=True):
        waiting += nll
        if piece:
            tokens.append((piece, waiting))
            waiting = 0.0
    return Tokens(tokens, title=f"{clean(name)}: {what}", caption="The darker, the less it was expected.")


def highest_tokens(scores: Scores, tokenizer: Tokenizer) -> list[dict[str, Any]]:
    """The tokens with the highest loss, each with the text around it: as ``report.json`` holds them."""
    text = scores.text
    order = np.argsort(-scores.nll, kind="stable")[:HIGHEST]
    rows = []
    for at in order.tolist():
        index = int(np.searchsorted(text.starts, at, side="right")) - 1
        begin, end = int(text.starts[index]), int(text.starts[index + 1])
        place = at + 1  # the loss at a place is that of the token behind it

        def read(ids: Any) -> str:
            return "".join(characters(tokenizer.bytes_of[int(i)] for i in ids))

        rows.append(
            {
                "document": text.names[index],
                "position": at - begin,
                "nll": float(scores.nll[at]),
                "token": read(text.ids[place : place + 1]) if place < end else "(end of document)",
                "before": read(text.ids[max(begin + 1, place - BEFORE) : place]),
                "after": read(text.ids[place + 1 : min(place + 1 + AFTER, end)]),
            }
        )
    return rows
