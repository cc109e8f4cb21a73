"""Score a trained run on another text."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from likelihead.errors import DataError
from likelihead.train.language.corpus import text_of
from likelihead.train.language.documents import read_documents
from likelihead.train.language.problem import baseline
from likelihead.train.language.scoring import score
from likelihead.train.language.trained import load_run

__all__ = ["evaluate"]


def evaluate(run: Path, data: str, *, memory: int = 2**30) -> dict[str, Any]:
    """The figures of a run on a text, by name; undefined ones are None.

    All of the text is scored, also what the run was trained on. NLLs are in nats per token, the end of a
    document being one; bits per byte leave it out. The baseline always says the tokens' frequencies in the
    training text.

    Args:
        run: the run's folder.
        data: a text file, a folder of text or ``stdlib``.
        memory: of tables; a text is read whole.

    Raises:
        RunError: no finished run folder.
        CheckpointError: the model's file is damaged.
        DataError: the text cannot be read or encoded, or the network's output is not finite on it.
    """
    trained = load_run(run)
    tokenizer = trained.tokenizer
    documents = read_documents(data)
    notes = list(documents.notes)
    text = text_of(documents, documents.items, tokenizer, notes)
    scores = score(trained.model, text, tokenizer.sizes(), trained.config.context)
    if not math.isfinite(scores.mean):
        raise DataError("the network's output is not finite on this text; train again", path=data)
    bits = scores.bits_per_byte
    return {
        "run": str(run),
        "data": data,
        "task": "language",
        "documents": len(text),
        "bytes": text.bytes,
        "tokens": scores.tokens,
        "nll": scores.mean,
        "baseline_nll": baseline(trained.model, text.counts(tokenizer.vocabulary)),
        "perplexity": scores.perplexity,
        "bits_per_token": scores.mean / math.log(2),
        "bits_per_byte": None if math.isnan(bits) else bits,
        "notes": notes,
    }
