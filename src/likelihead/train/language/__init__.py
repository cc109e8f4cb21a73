"""Text: byte-level or tokenized language models, a GRU or a small transformer."""

from __future__ import annotations

from likelihead.train.language.evaluate import evaluate
from likelihead.train.language.predict import predict
from likelihead.train.language.problem import LanguageProblem, again, begin

__all__ = ["LanguageProblem", "again", "begin", "evaluate", "predict"]
