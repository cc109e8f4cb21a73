"""The pass that finds out what a file holds, before anything is encoded."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

import numpy as np

from likelihead.errors import DataError, OptionError
from likelihead.train.table.data.notes import imputed, left_out, listed
from likelihead.train.table.data.probabilities import ProbabilityScan
from likelihead.train.table.data.row_weights import Total, kept_rows
from likelihead.train.table.data.scan import ColumnScan
from likelihead.train.table.data.schema import Column, Schema
from likelihead.train.table.data.sentinel import suspected
from likelihead.train.table.data.sides import Part, Sides
from likelihead.train.table.data.source import Source, nearest
from likelihead.train.table.data.target import Tally, TargetScan

__all__ = ["Survey", "ask_for_target", "choose_target"]

_TARGET_NAMES = ("target", "label", "class", "y")


#: Names of columns that say how much a row counts.
_WEIGHTS = ("w", "weight", "weights", "wt", "sample_weight", "freq", "frequency", "fnlwgt")
#: Other names that a target is often called: where one of them is not the column that would be taken, we ask.
_OFTEN = ("survived", "outcome", "species", "diagnosis", "churn", "response", "income", "quality")


def choose_target(source: Source, asked: str | Sequence[str] | None) -> tuple[tuple[str, ...], list[str]]:
    """The target's columns, and a note on the choice where it was not asked for.

    Raises:
        DataError: there is no such column, or no other one, or several may be meant.
        OptionError: the names are empty or repeated.
    """
    note: list[str] = []
    if asked is not None:
        # A name with a comma in it is taken as it stands where the file has it.
        whole = [asked] if isinstance(asked, str) else list(asked)
        names = [
            part
            for name in whole
            for part in ([name] if name in source.names else [piece.strip() for piece in name.split(",")])
            if part
        ]
        if not names:
            raise OptionError("target is empty: name the target's column")
        for name in names:
            if name not in source.names:
                raise DataError(f"no target column {name!r}: {nearest(name, source.names)}", path=source.path)
        repeated = [name for index, name in enumerate(names) if name in names[:index]]
        if repeated:
            raise OptionError(f"target names {repeated[0]!r} twice: name each column once")
        chosen = tuple(names)
    elif source.default_target is not None:
        chosen = (source.default_target,)
    else:
        by_name = [name for wanted in _TARGET_NAMES for name in source.names if name.lower() == wanted]
        chosen = (by_name[0] if by_name else source.names[-1],)
        often = [name for name in source.names if name.lower() in _OFTEN]
        rivals = [name for name in often if name != chosen[0]]
        if rivals:
            what = "by its name" if by_name else "as the last column"
            raise ask_for_target(
                source, f"{chosen[0]!r} would be taken {what}, but {rivals[0]!r} may be meant as well"
            )
        if not by_name and chosen[0].lower() in _WEIGHTS:
            raise ask_for_target(source, f"the last column, {chosen[0]!r}, may be --sample-weight")
        why = "by its name" if by_name else "the last column; choose another with --target"
        note = [f"target: {chosen[0]} ({why})"]
    if len(source.names) == len(chosen):
        text = "; of running text: --task language" if source.path.lower().endswith(".txt") else ""
        raise DataError(
            f"no column is left for features beside the target ({listed(chosen)}): "
            f"add columns (separated by comma, semicolon or tab in CSV), or check --target{text}",
            path=source.path,
        )
    return chosen, note


def ask_for_target(source: Source, why: str) -> DataError:
    """The error that asks for the target's name."""
    names = [repr(name) for name in source.names]
    shown = ", ".join(names[:30]) + (f" and {len(names) - 30} more" if len(names) > 30 else "")
    return DataError(
        f"no target is named, and {why}: name it with --target; the columns are {shown}", path=source.path
    )


class Survey:
    """The pass that finds out what the file holds.

    Args:
        source: the file.
        target: its columns.
        task: as asked for.
        sides: of the split.
        strict: whether a row without a target is an error; otherwise it is left out and counted.
        guessed: whether the target is the last column because nobody has named it.
        weight: the column of sample weights; empty where each row counts once.
        order: the classes of an ordinal task from the lowest to the highest.
    """

    def __init__(
        self,
        source: Source,
        target: tuple[str, ...],
        task: str,
        sides: Sides,
        *,
        strict: bool = False,
        guessed: bool = False,
        weight: str = "",
        order: Sequence[str] = (),
    ) -> None:
        self.left_out, self.first_row, self.last_row, self.all_rows = 0, 0, 0, 0
        self.source, self.task, self.sides, self.weight = source, task, sides, weight
        self.columns = [ColumnScan(name) for name in source.names if name not in (*target, weight)]
        soft = task == "multiclass" and len(target) > 1
        self.target: ProbabilityScan | TargetScan
        if soft:
            self.target = ProbabilityScan(target, source.path)
        else:
            self.target = TargetScan(target, source.path, task=task, order=tuple(order))
        self.rows = 0
        self.sizes: dict[Part, int] = {"train": 0, "test": 0, "calibration": 0}
        self.weights: dict[Part, Total] = {part: Total() for part in self.sizes}
        needed = () if strict else target
        for whole in source.batches():
            numbers = np.arange(self.all_rows + 1, self.all_rows + 1 + whole.num_rows, dtype=np.int64)
            self.all_rows += whole.num_rows
            batch, numbers, weights, lacking = kept_rows(whole, numbers, needed, weight, source.path)
            self.left_out += lacking
            if not len(numbers):
                continue
            self.first_row, self.last_row = self.first_row or int(numbers[0]), int(numbers[-1])
            train = sides.of(numbers, "train")
            self.target.update(batch, numbers, train, weights)
            for column in self.columns:
                column.update(batch.column(column.name), numbers, train, weights)
            self.rows += len(numbers)
            for part, total in self.weights.items():
                chosen = sides.of(numbers, part)
                self.sizes[part] += int(chosen.sum())
                if weights is not None:
                    total.add(weights[chosen])
        if self.all_rows > 1 and self.rows < 2 and self.weightless:
            raise DataError(
                f"{self.weightless} of {self.all_rows} rows have the weight 0, which leaves them out: "
                "give at least two rows a positive one",
                path=source.path,
                column=weight,
            )
        if self.all_rows > 1 and self.rows < 2 and guessed:
            raise ask_for_target(source, f"the last column, {target[0]!r}, is empty")
        if self.all_rows > 1 and self.rows < 2:
            raise DataError(
                f"{self.left_out} of the {self.all_rows} rows have no target: check --target",
                path=source.path,
                column=", ".join(target),
            )
        if self.rows < 2:
            raise DataError(
                "the file has one row only: give at least two"
                if self.rows
                else "the file has no rows, only column names: add rows below the header",
                path=source.path,
            )

    def schema(self) -> Schema:
        """The schema, and the reason for the task in ``self.reason``."""
        chosen, target, self.reason = self.target.finish(self.task)
        columns: list[Column] = []
        dropped: list[tuple[str, str]] = []
        for scan in self.columns:
            found = scan.finish(self.source.path)
            if isinstance(found, Column):
                columns.append(found)
            else:
                dropped.append((scan.name, found))
        if not columns:
            reasons = "; ".join(f"{name}: {reason}" for name, reason in dropped[:4])
            raise DataError(
                f"no column can be used as a feature ({reasons}): check the file", path=self.source.path
            )
        return Schema(
            chosen,
            tuple(columns),
            target,
            tuple(dropped),
            self.sides.seed,
            self.sides.test_fraction,
            self.sides.moved,
            self.sizes["train"],
            self.sides.calibration_fraction,
            self.weight,
            self.weights["train"].weight,
        )

    def rows_to_move(self) -> tuple[int, ...]:
        """Rows whose side the hash gets wrong: no class without a training row, no side without a row."""
        tallies = self.target.classes(self.task)
        moved = [tally.first for tally in tallies.values() if tally.train == 0]
        from_test = self.sides.of(np.array(moved, dtype=np.int64), "test")
        if self.sizes["train"] + len(moved) == 0:
            moved.append(self.first_row)
        elif self.sizes["test"] == int(from_test.sum()) and self.sides.test_fraction > 0:
            # The last training row of the largest class: no class loses its only training row by it.
            largest: Tally | None = max(tallies.values(), key=lambda tally: tally.train, default=None)
            row = self.last_row if largest is None else largest.last
            moved = [other for other in moved if other != row] if row in moved else [*moved, row]
        return tuple(sorted(moved))

    def notes(self, schema: Schema) -> list[str]:
        """What was inferred, imputed and left out."""
        notes = [f"task: {self.reason}", *self._weight_notes()]
        if self.left_out:
            sets = "; ';' says that no label applies" if schema.target.form == "sets" else ""
            notes.append(left_out(self.left_out, self.all_rows, schema.target.columns) + sets)
        target = schema.target
        if schema.task == "binary":
            notes.append(
                f"the positive class is {target.names[1]!r} (of {', '.join(map(repr, target.names))})"
            )
        if schema.task == "multilabel":
            constant = self.target.constant_labels(target)
            if constant:
                notes.append(f"labels that never change in the training rows: {listed(constant)}")
        if schema.numeric:
            notes += self.target.number_notes(schema)
        if schema.task == "ordinal":
            notes.append(f"the classes from the lowest to the highest: {listed(target.names)}")
        kinds = {column.name: column for column in schema.columns}
        for scan in self.columns:
            column = kinds.get(scan.name)
            if column is not None and scan.missing:
                notes.append(imputed(column, scan.missing))
            if column is not None and scan.blame:
                notes.append(f"{scan.name}: {scan.blame}")
                if scan.mark:
                    marker = shlex.quote(scan.mark)
                    notes.append(f"{scan.name}: if {scan.mark} means a missing cell: --missing {marker}")
        texts = [f"{c.name} ({len(c.feature_names)})" for c in schema.columns if c.kind == "category"]
        if texts:
            notes.append(f"text, one feature for each of its values: {listed(texts)}")
        notes += [f"{name}: not used ({reason})" for name, reason in schema.dropped]
        scans = [*self.columns, *(self.target.scans.values() if isinstance(self.target, TargetScan) else ())]
        return notes + suspected([(scan.name, scan.ends) for scan in scans], self.rows)

    @property
    def weightless(self) -> int:
        """How many rows weigh nothing."""
        return self.all_rows - self.left_out - self.rows

    def _weight_notes(self) -> list[str]:
        if not self.weight:
            return []
        notes = [
            f"{self.weight}: the rows' weights; the {total.rows} {what} rows weigh {total.weight:.6g}, and "
            f"tell as much as {total.effective:.6g} rows of equal weight"
            for what, total in (("training", self.weights["train"]), ("test", self.weights["test"]))
            if total.rows
        ]
        if self.weightless:
            notes.append(f"rows left out for their weight of 0: {self.weightless}")
        return notes

    def doubt(self) -> str:
        """Why the target, where nobody has named it, may not be what is meant; empty where it may well be."""
        if not isinstance(self.target, TargetScan) or len(self.target.columns) > 1:
            return ""
        scan = self.target.scans[self.target.columns[0]]
        last = f"the last column, {scan.name!r},"
        if self.left_out:
            return f"{last} lacks {self.left_out} {'cell' if self.left_out == 1 else 'cells'}"
        if scan.counts_rows and scan.rows > 2:
            return f"{last} counts the rows"
        if scan.kind == "date":
            return f"{last} holds dates"
        return ""
