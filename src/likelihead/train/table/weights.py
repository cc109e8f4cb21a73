"""Class weights: none, balanced, by the effective number of examples, or from a file."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from likelihead.errors import OptionError
from likelihead.likelihoods.imbalance import ClassCounts
from likelihead.train.table.by_class import read_by_class
from likelihead.train.table.data import Schema

__all__ = ["class_weights"]


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
    # Rows that weigh less than one on the average still are as many as there are.
    scale = 0.5 / schema.half_row
    if option not in ("balanced", "effective"):
        what = "label" if schema.task == "multilabel" else "class"
        remedy = "--class-weight takes none, balanced, effective or a file"
        weights = read_by_class(Path(option), names, what=what, number="weight", remedy=remedy)
    elif schema.task == "multilabel":
        pairs = [(_rest(schema, n), n) for n in counts]
        by_label = [
            _by_count(option, pair, [name] * 2, scale) for pair, name in zip(pairs, names, strict=True)
        ]
        weights = [yes / no for no, yes in by_label]
    else:
        weights = _by_count(option, counts, names, scale)
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


def _rest(schema: Schema, yes: float) -> float:
    """What the rows without a label count; sums of weights in another order may differ by a rounding."""
    total = schema.train_total
    return 0.0 if math.isclose(total, yes, rel_tol=1e-12) else total - yes


def _by_count(option: str, counts: Sequence[float], names: Sequence[str], scale: float) -> list[float]:
    for count, name in zip(counts, names, strict=True):
        if not count:
            raise OptionError(
                f"--class-weight {option}: {name!r} has no training row, or no other one, so that a weight "
                "would be infinite; leave it out of the target, or give a file of weights"
            )
    known = ClassCounts.from_counts([count * scale for count in counts])
    weights = known.balanced_weights() if option == "balanced" else known.effective_number_weights()
    return weights.tolist()
