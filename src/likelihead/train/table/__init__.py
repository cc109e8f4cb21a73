"""Tables: CSV, Parquet and JSON-lines files and scikit-learn's small sets, one row per example."""

from __future__ import annotations

from likelihead.train.table.evaluate import evaluate
from likelihead.train.table.predict import predict
from likelihead.train.table.problem import TableProblem, again, begin

__all__ = ["TableProblem", "again", "begin", "evaluate", "predict"]
