"""What a run's options came to for its data."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from likelihead.errors import RunError

__all__ = ["LATER", "Resolved", "failure_words", "far_above"]

#: What came after the first release: the values of a run from before are the defaults.
LATER = ("constant_parameters", "count_per_row", "label_prior")


def far_above(nll: float, baseline: float) -> bool:
    """Whether an NLL is so far above the baseline that nothing was learnt but wrong certainty.

    >>> far_above(4312.0, 1.1), far_above(1.2, 1.1)
    (True, False)
    """
    return not nll <= baseline + max(10.0, abs(baseline))


def failure_words(nll: float, baseline: float, pair: str, name: str) -> str:
    """What a report says first of a run that has failed; empty of one that has not.

    Args:
        nll: of the test data.
        baseline: the NLL of the best constant prediction.
        pair: both in words.
        name: the baseline's.

    >>> failure_words(1.2, 1.1, "", "constant prediction")
    ''
    """
    if not math.isfinite(nll):
        value = "\N{INFINITY}" if math.isinf(nll) else "not a number"
        return f"The model's mean NLL is {value}: it has diverged, or is certain of a wrong answer."
    if math.isfinite(baseline) and far_above(nll, baseline):
        what = f"it is certain of wrong answers, far worse than the {name}"
        return f"The model has failed: {what}: {pair} (LH704)."
    return ""


@dataclass(frozen=True)
class Resolved:
    """What the options came to for the data at hand.

    Attributes:
        task: never ``auto``.
        likelihood: its name in the registry of likelihoods.
        layers: the widths of all layers.
        parameters: how many numbers are trained.
        dtype: of the weights and of the training.
        threads: how many the training takes; a run that goes on elsewhere takes as many, to sum in the same
            order.
        baseline_nll: the mean NLL of the best constant prediction on the test data, in nats.
        class_weights: one per class (multiclass), one for the positive class (binary), one per label
            (multilabel); empty where none were asked for.
        constant: of a table, the output that makes that best constant prediction of the training targets.
        constant_parameters: what the likelihood's own parameters, where it has some, are in it.
        prior_shift: of a table's classes, what the training has taken off their log prior in the network's
            logits; empty where there are no classes or it is not known.
        teacher: SHA-256 of the teacher's model file, of a distillation.
        count_per_row: what a training row counts in the loss, on the average: its weight, where a column of a
            table says one; 1 without.
        label_prior: what a smoothed yes or no is drawn towards, one for each; empty where that is one half.
    """

    task: str
    likelihood: str
    layers: tuple[int, ...]
    parameters: int
    dtype: str
    threads: int
    baseline_nll: float
    class_weights: tuple[float, ...] = ()
    constant: tuple[float, ...] = ()
    constant_parameters: tuple[float, ...] = ()
    prior_shift: tuple[float, ...] = ()
    teacher: str = ""
    count_per_row: float = 1.0
    label_prior: tuple[float, ...] = ()

    @property
    def numbers(self) -> tuple[float, ...]:
        """All the lists of numbers as one."""
        return (
            *self.class_weights,
            *self.constant,
            *self.constant_parameters,
            *self.prior_shift,
            *self.label_prior,
        )

    def to_dict(self) -> dict[str, Any]:
        """As plain values."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], *, origin: str) -> Resolved:
        """The inverse of :meth:`to_dict`.

        Raises:
            RunError: the values are not those of a run.
        """
        try:
            taken: dict[str, Any] = {key: tuple(v) if isinstance(v, list) else v for key, v in values.items()}
            resolved = cls(**taken)
            if not all(isinstance(v, (int, float)) for v in resolved.numbers):
                raise TypeError("weights are numbers")
        except TypeError as error:
            raise RunError(
                f"{origin}: [resolved] is not that of a run ({error}); restore it, or train again"
            ) from error
        return resolved
