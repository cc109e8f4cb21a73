"""Class weights: none, balanced, by the effective number of examples, or from a file."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from likelihead.errors import DataError, OptionError
from likelihead.likelihoods.imbalance import ClassCounts
from likelihead.train.table.data import Schema
from likelihead.train.table.data.source import nearest

__all__ = ["class_weights"]

# Sums and ratios of weights within these are finite.
_LOWEST, _HIGHEST = 1e-100, 1e100


def class_weights(option: str, schema: Schema) -> tuple[float, ...]:
    r"""The weights that ``--class-weight`` asks for.

    ``balanced`` gives class k the weight :math:`N / (C n_k)`, as scikit-learn does; ``effective`` a weight
    proportional to :math:`(1 - \beta) / (1 - \beta^{n_k})` with :math:`\beta` 0.999, which is nearly that for
    rare classes and levels off for frequent ones. A binary task has one weight, of a yes against a no:
    :math:`w_1 / w_0`; a multilabel task one of this kind for each label.

    Args:
        option: ``none``, ``balanced``, ``effective``, or a file: a JSON object of weights by class, or CSV
            lines ``class,weight``.
        schema: with the classes and their counts.

    Returns:
        What the likelihood takes: ``weight`` (multiclass) or ``pos_weight`` (otherwise); empty for ``none``.

    Raises:
        DataError: the file cannot be read; a class is unknown, missing or repeated; a weight is no number,
            negative, NaN or infinite.
        OptionError: the weights cannot be used with the data.

    References:
        Cui et al. (2019), Class-Balanced Loss Based on Effective Number of Samples.
    """
    if option == "none":
        return ()
    names, counts = schema.target.names, schema.target.counts
    if option not in ("balanced", "effective"):
        weights = _read(Path(option), names, "label" if schema.task == "multilabel" else "class")
    elif schema.task == "multilabel":
        pairs = [(schema.train_rows - n, n) for n in counts]
        by_label = [_by_count(option, pair, [name] * 2) for pair, name in zip(pairs, names, strict=True)]
        weights = [yes / no for no, yes in by_label]
    else:
        weights = _by_count(option, counts, names)
    if schema.task == "binary":
        if weights[0] == 0:
            raise OptionError(
                f"--class-weight {option}: the weight of class {names[0]!r} is 0; a binary task needs a "
                "positive one"
            )
        return (weights[1] / weights[0],)
    if not any(weights):
        raise OptionError(
            f"--class-weight {option}: every weight is 0; give at least one class a positive one"
        )
    return tuple(weights)


def _by_count(option: str, counts: Sequence[float], names: Sequence[str]) -> list[float]:
    for count, name in zip(counts, names, strict=True):
        if not count:
            raise OptionError(
                f"--class-weight {option}: {name!r} has no training row, or no other one, so that a weight "
                "would be infinite; leave it out of the target, or give a file of weights"
            )
    known = ClassCounts.from_counts(counts)
    weights = known.balanced_weights() if option == "balanced" else known.effective_number_weights()
    return weights.tolist()


def _read(path: Path, names: tuple[str, ...], what: str) -> list[float]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise DataError(
            f"cannot be read as class weights ({(error.strerror or str(error)).lower()}); "
            "--class-weight takes none, balanced, effective or a file",
            path=str(path),
        ) from error
    except UnicodeDecodeError as error:
        raise DataError("is not UTF-8 text; give JSON or CSV lines `class,weight`", path=str(path)) from error
    pairs = _from_json(text, path) if text.lstrip().startswith("{") else _from_csv(text, path)
    weights: dict[str, float] = {}
    for row, name, value in pairs:
        if name not in names:
            raise DataError(f"there is no {what} {name!r}; {_known(name, names)}", path=str(path), row=row)
        if name in weights:
            raise DataError(f"{what} {name!r} is there twice; give it once", path=str(path), row=row)
        weights[name] = _number(value, name, path, row)
    missing = [name for name in names if name not in weights]
    if missing:
        raise DataError(f"no weight for {what} {missing[0]!r}; give one for each {what}", path=str(path))
    return [weights[name] for name in names]


def _known(name: str, names: tuple[str, ...]) -> str:
    return nearest(name, names).replace("the columns are", "there are")


def _from_json(text: str, path: Path) -> Iterable[tuple[int | None, str, object]]:
    try:
        values = json.loads(text, object_pairs_hook=list)
    except (ValueError, RecursionError) as error:
        raise DataError(f"is not valid JSON ({error})", path=str(path)) from error
    return [(None, str(name), value) for name, value in values]


def _from_csv(text: str, path: Path) -> Iterable[tuple[int | None, str, object]]:
    pairs: list[tuple[int | None, str, object]] = []
    try:
        lines = [line for line in csv.reader(io.StringIO(text), strict=True) if line]
    except csv.Error as error:
        raise DataError(f"is not valid CSV ({error})", path=str(path)) from error
    for row, line in enumerate(lines, 1):
        if len(line) != 2:
            raise DataError(f"expected `class,weight`, not {len(line)} cells", path=str(path), row=row)
        if row == 1 and [cell.strip().lower() for cell in line] in (["class", "weight"], ["label", "weight"]):
            continue
        pairs.append((row, line[0].strip(), line[1].strip()))
    return pairs


def _number(value: object, name: str, path: Path, row: int | None) -> float:
    expected = f"the weight of {name!r} is {value!r}; expected 0 or a number from {_LOWEST:g} to {_HIGHEST:g}"
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise DataError(expected, path=str(path), row=row)
    try:
        number = float(value)
    except (ValueError, OverflowError) as error:
        raise DataError(expected, path=str(path), row=row) from error
    if number and not _LOWEST <= number <= _HIGHEST:
        raise DataError(expected, path=str(path), row=row)
    return number
