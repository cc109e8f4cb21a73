"""What a data set looks like: everything that is needed to encode another file in the same way.

A schema is plain data and goes through JSON without loss (floats as their shortest exact decimal), so
that a model trained on one machine reads a file on another one exactly as it did in training.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal, cast

from likelihead.errors import RunError
from likelihead.train.table.data.reading import AUTO, Reading

if TYPE_CHECKING:
    import pyarrow as pa
    from torch import Tensor

__all__ = ["COUNTS", "EXCLUSIVE", "LATER_FIELDS", "Column", "Schema", "TargetSchema", "Task"]

Task = Literal[
    "binary",
    "multiclass",
    "multilabel",
    "ordinal",
    "regression",
    "robust-regression",
    "quantile",
    "count",
    "overdispersed-count",
]
#: The tasks whose targets are counts: whole numbers, 0 or more.
COUNTS = ("count", "overdispersed-count")
#: The tasks whose targets are classes, of which a row has one.
EXCLUSIVE = ("binary", "multiclass", "ordinal")
ColumnKind = Literal["number", "boolean", "date", "category"]
TargetForm = Literal["classes", "probs", "labels", "sets", "number"]

_VERSION = 1
#: What came after the first release; a schema without them is one of their defaults.
LATER_FIELDS = ("weight", "train_weight", "reading")
MISSING_CATEGORY = "(missing)"


@dataclass(frozen=True)
class Column:
    """One feature column of the file.

    Attributes:
        name: as in the file.
        kind: ``number``, ``boolean`` (0 and 1), ``date`` (days since 1970-01-01) or ``category`` (one-hot).
        mean: the training rows' mean, which stands in for a missing cell.
        std: the training rows' standard deviation (divisor n); 1 for booleans and categories.
        categories: the texts found in the training rows, sorted.
        missing_category: whether missing cells have a one-hot column of their own.
    """

    name: str
    kind: ColumnKind
    mean: float = 0.0
    std: float = 1.0
    categories: tuple[str, ...] = ()
    missing_category: bool = False

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The names of the encoded features, ``colour=red`` for a category."""
        if self.kind != "category":
            return (self.name,)
        missing = (MISSING_CATEGORY,) if self.missing_category else ()
        return tuple(f"{self.name}={category}" for category in (*self.categories, *missing))


@dataclass(frozen=True)
class TargetSchema:
    """The target.

    Attributes:
        form: ``classes`` (one column, exclusive), ``probs`` (a column of probabilities for each class),
            ``labels`` (0/1 columns), ``sets`` (one column of ``a;b;c``) or ``number``.
        columns: the target's column or columns in the file.
        values: how a class is written: ``number``, ``boolean`` or ``text``.
        names: the classes' or the labels' names in the order of the outputs.
        counts: how many training rows each class or label has, of ``probs`` the sum of their shares; empty
            for a regression.
        mean, std: of the training rows, for a regression: batches hold ``(y - mean) / std``. Of a robust
            regression and of quantiles the median, and the deviation that the quartiles tell; of counts 0
            and 1.
    """

    form: TargetForm
    columns: tuple[str, ...]
    values: Literal["number", "boolean", "text"]
    names: tuple[str, ...] = ()
    counts: tuple[float, ...] = ()
    mean: float = 0.0
    std: float = 1.0


@dataclass(frozen=True)
class Schema:
    """Columns, target and split of a data set.

    Attributes:
        task: one of :data:`Task`.
        columns: the feature columns that are used, in the file's order.
        target: the target.
        dropped: the columns that are not used, each with the reason.
        seed, test_fraction: of the split by row number.
        moved: rows that the split's hash puts on one side and a need of the data on the other: a class
            whose rows would all be test rows has its first row trained on.
        train_rows: how many rows the training statistics are taken from.
        calibration_fraction: the share of the rows not tested on that is held out of the training.
        weight: the column of sample weights; empty where each row counts once.
        train_weight: what the training rows weigh, where there is such a column.
        reading: how the file was read, for others to be read alike.
    """

    task: Task
    columns: tuple[Column, ...]
    target: TargetSchema
    dropped: tuple[tuple[str, str], ...] = ()
    seed: int = 0
    test_fraction: float = 0.2
    moved: tuple[int, ...] = ()
    train_rows: int = 0
    calibration_fraction: float = 0.0
    weight: str = ""
    train_weight: float = 0.0
    reading: Reading = AUTO

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The names of the encoded features, in the order of the tensor's columns."""
        return tuple(name for column in self.columns for name in column.feature_names)

    @property
    def num_features(self) -> int:
        """How many features the network sees, after one-hot encoding."""
        return len(self.feature_names)

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes in the order of their indices; empty where a row does not have one of them."""
        return self.target.names if self.task in EXCLUSIVE else ()

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels of a multilabel task; empty otherwise."""
        return self.target.names if self.task == "multilabel" else ()

    @property
    def train_total(self) -> float:
        """What the training rows count: their weight, or their number."""
        return self.train_weight if self.weight else self.train_rows

    @property
    def half_row(self) -> float:
        """What an outcome that no training row has counts as: half a row, or half of an average one.

        The latter where the rows weigh less than one on the average, so that it stays little beside them.
        """
        return 0.5 * min(1.0, self.train_total / self.train_rows) if self.train_rows else 0.5

    @property
    def numeric(self) -> bool:
        """Whether the target is a number."""
        return self.target.form == "number"

    @property
    def soft(self) -> bool:
        """Whether the targets are distributions over the classes."""
        return self.target.form == "probs"

    @property
    def num_outputs(self) -> int:
        """How many classes or labels the network tells apart; 1 for a yes or no, a number and a rank."""
        return len(self.target.names) if self.task in ("multiclass", "multilabel") else 1

    def encode(self, table: pa.Table | pa.RecordBatch) -> Tensor:
        """The features of a table held in memory, ``[rows, num_features]``, float64.

        Raises:
            DataError: a column is missing, or a cell cannot be read as in training.
        """
        from likelihead.train.table.data.encode import encode_table

        return encode_table(table, self)

    def restore(self, value: Tensor) -> Tensor:
        """A number as the network learns it in the target's own units: ``value * std + mean``."""
        return value * self.target.std + self.target.mean

    def to_json(self) -> str:
        """The schema as JSON text."""
        return json.dumps({"version": _VERSION, **asdict(self)}, indent=2, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Schema:
        """The schema that :meth:`to_json` wrote.

        Raises:
            RunError: the text is no schema, or of another version.
        """
        try:
            fields = cast("dict[str, Any]", json.loads(text))
            version = fields.pop("version")
            if version != _VERSION:
                raise RunError(
                    f"the schema has version {version}, this likelihead reads version {_VERSION}: "
                    "use the release that trained the run"
                )
            columns = tuple(
                Column(**{**column, "categories": tuple(column["categories"])})
                for column in fields.pop("columns")
            )
            target = fields.pop("target")
            target = TargetSchema(
                **{**target, **{name: tuple(target[name]) for name in ("columns", "names", "counts")}}
            )
            dropped = tuple((name, reason) for name, reason in fields.pop("dropped"))
            moved = tuple(fields.pop("moved"))
            # A run from before dialects has read its cells as they were.
            reading = Reading.from_dict(fields.pop("reading", {"as_written": True}))
            return cls(
                columns=columns, target=target, dropped=dropped, moved=moved, reading=reading, **fields
            )
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            if isinstance(error, RunError):
                raise
            raise RunError(f"it was altered or is no schema: {type(error).__name__}: {error}") from error
