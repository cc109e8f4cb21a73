"""The sentences that tell the user what was done to the data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from likelihead.train.table.data.encode import Encoder
from likelihead.train.table.data.schema import Column, Schema
from likelihead.train.table.data.sides import Part

__all__ = ["encoding_notes", "imputed", "left_out", "listed", "split_notes"]


def listed(names: Sequence[str]) -> str:
    """The first names, and how many more there are."""
    return ", ".join(names[:12]) + (f" and {len(names) - 12} more" if len(names) > 12 else "")


def imputed(column: Column, count: int) -> str:
    """How the missing cells of a column are filled."""
    cells = f"{column.name}: {count} missing {'cell' if count == 1 else 'cells'}"
    if column.kind == "category":
        return f"{cells}, encoded as {'a category of its own' if column.missing_category else 'no category'}"
    return f"{cells}, replaced by the training mean {column.mean:g}"


def left_out(count: int, rows: int, target: Sequence[str]) -> str:
    """How many rows have no target."""
    are = "row is" if count == 1 else "rows are"
    return (
        f"{count} of {rows} {are} left out, without a target ({listed(target)}); --strict refuses such rows"
    )


def encoding_notes(encoder: Encoder) -> list[str]:
    """What an encoder met: missing cells and unknown categories."""
    columns = {column.name: column for column in encoder.schema.columns}
    notes = [imputed(columns[name], count) for name, count in encoder.missing.items() if count]
    notes += [
        f"{name}: {count} {'cell' if count == 1 else 'cells'} with a text that training did not have, "
        "encoded as no category"
        for name, count in encoder.unknown.items()
        if count
    ]
    return notes


def split_notes(schema: Schema, rows: int, sizes: Mapping[Part, int]) -> list[str]:
    """What is to be known about the split."""
    notes = []
    left_out = rows - sum(sizes.values())
    if left_out:
        notes.append(f"{left_out} rows are left out of the training to thin the classes, as the set is meant")
    if sizes["calibration"]:
        notes.append(
            f"{sizes['calibration']} rows are held out of the training, to calibrate and to choose "
            "thresholds on"
        )
    test_rows = sizes["test"]
    if schema.moved:
        moved = listed([str(row) for row in schema.moved])
        notes.append(
            f"rows moved between training and test so that neither lacks a class or is empty: {moved}"
        )
    if 0 < test_rows < 20:
        notes.append(f"only {test_rows} test rows: the test figures are rough")
    return notes
