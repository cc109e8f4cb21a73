"""From probabilities to a decision: thresholds and cost matrices.

Ties always go to the lowest index: a probability that equals its threshold is not above it, and of two
decisions with the same expected cost the first is taken. So thresholds, cost matrices and the mode agree.
"""

from __future__ import annotations

import torch
from torch import Tensor

from likelihead.core.links import with_spare_digits
from likelihead.errors import OptionError, ShapeError

__all__ = ["check_cost", "check_threshold", "least_cost", "refuse_both"]


def refuse_both(threshold: object, cost: object) -> None:
    """Refuse a threshold beside a cost matrix.

    Raises:
        OptionError: both are given.
    """
    if threshold is not None and cost is not None:
        raise OptionError(
            "predict was given threshold= and cost=; a cost matrix sets the threshold: give one."
        )


def check_threshold(threshold: float | Tensor, like: Tensor, num_labels: int | None) -> float | Tensor:
    """A threshold ready to be compared with probabilities of the shape of ``like``.

    Args:
        threshold: a number, or one for each label.
        like: the probabilities; the labels lie along dimension 1.
        num_labels: how many labels there are, or None where there is one output only.

    Raises:
        OptionError: a number outside [0, 1].
        ShapeError: a tensor that is neither 0-d nor ``[num_labels]``.
    """
    if not isinstance(threshold, Tensor):
        if not 0.0 <= threshold <= 1.0:
            raise OptionError(
                f"threshold is {threshold}; expected a probability in [0, 1]. "
                "To compare logits, compare them yourself: logits > 0 is a threshold of 0.5."
            )
        return threshold
    if threshold.dim() == 0:
        return threshold.to(like.device)
    if num_labels is None or threshold.shape != (num_labels,):
        expected = (
            "one number" if num_labels is None else f"one number, or one for each label: [{num_labels}]"
        )
        raise ShapeError(f"threshold has shape {list(threshold.shape)}; expected {expected}.")
    return threshold.to(like.device).view(1, -1, *[1] * (like.dim() - 2))


def check_cost(cost: Tensor, shapes: tuple[tuple[int | None, ...], ...]) -> Tensor:
    """A cost matrix whose shape is one of ``shapes`` (None stands for any size) and whose entries are finite.

    Raises:
        ShapeError: another shape.
        OptionError: an entry that is NaN or infinite.
    """
    fits = any(
        len(shape) == cost.dim()
        and all(want is None or want == have for want, have in zip(shape, cost.shape, strict=True))
        for shape in shapes
    )
    if not fits:
        wanted = " or ".join("[" + ", ".join("any" if n is None else str(n) for n in s) + "]" for s in shapes)
        raise ShapeError(
            f"cost has shape {list(cost.shape)}; expected {wanted}: cost[true, predicted], one row for each "
            "outcome and one column for each decision."
        )
    if not bool(torch.isfinite(cost).all()):
        raise OptionError(
            "cost holds NaN or infinity; expected finite costs. Give a forbidden decision a large one."
        )
    return cost


def least_cost(probs: Tensor, cost: Tensor) -> Tensor:
    """The decision with the least expected cost; outcomes lie along the last dimension.

    >>> least_cost(torch.tensor([[0.9, 0.1]]), torch.tensor([[0.0, 1.0], [20.0, 0.0]]))
    tensor([1])
    """
    # float64 is what neither autocast nor TF32 rounds in a product of matrices.
    probs = with_spare_digits(probs)
    cost = cost.to(probs)
    if cost.dim() == 2:
        return torch.argmin(probs @ cost, dim=-1)
    # One matrix for each label, with the labels along the last dimension but one.
    return torch.argmin(torch.einsum("...li,lij->...lj", probs, cost), dim=-1)
