"""Data for training: a file or a bundled set in, batches of tensors out.

:func:`load` finds out what a file holds and splits it; :func:`load_for_schema` reads another file in
the same way for predicting and evaluating. pyarrow is imported here, scikit-learn when a bundled set is
asked for; neither by ``import likelihead``.
"""

from __future__ import annotations

from likelihead.train.table.data.bundled import BUNDLED
from likelihead.train.table.data.dataset import Dataset, Split
from likelihead.train.table.data.load import MEMORY_FLOOR, load, load_for_schema
from likelihead.train.table.data.reading import Reading
from likelihead.train.table.data.scan import CATEGORY_LIMIT
from likelihead.train.table.data.schema import Column, Schema, TargetSchema, Task

__all__ = [
    "BUNDLED",
    "CATEGORY_LIMIT",
    "MEMORY_FLOOR",
    "Column",
    "Dataset",
    "Reading",
    "Schema",
    "Split",
    "TargetSchema",
    "Task",
    "load",
    "load_for_schema",
]
