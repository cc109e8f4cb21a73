"""Links: what stands between the head's output and the distribution's mean.

A link maps the mean of a distribution to the real line (``link``); its inverse maps what the head
puts out back to the mean (``inverse``). The logarithms have functions of their own, because the
logarithm of a rounded probability has lost what the logits still know.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from likelihead.errors import DTypeError

__all__ = [
    "IDENTITY",
    "LOG",
    "LOG_MEAN",
    "SIGMOID",
    "SOFTMAX",
    "IdentityLink",
    "Link",
    "LogLink",
    "LogMeanLink",
    "ProbabilityLink",
    "SigmoidLink",
    "SoftmaxLink",
    "at_least_float32",
    "log1mexp",
    "with_spare_digits",
]


def at_least_float32(values: Tensor) -> Tensor:
    """``values`` in the dtype that a likelihood computes in: float64 stays, half precision becomes float32.

    Raises:
        DTypeError: the values are not floating-point.
    """
    if not values.is_floating_point():
        raise DTypeError(f"logits are {values.dtype}; expected floating-point, as a linear layer puts out.")
    return values if values.dtype in (torch.float32, torch.float64) else values.float()


def with_spare_digits(values: Tensor) -> Tensor:
    """``values`` in float64, for a difference that must not cancel; as they are on MPS, which has none."""
    return values if values.device.type == "mps" else values.double()


def log1mexp(log_p: Tensor) -> Tensor:
    r"""The logarithm of the complement, :math:`\log(1 - e^{a})` for :math:`a \le 0`, to the last digit.

    The branches meet at :math:`-\log 2`, as in Mächler (2012), *Accurately computing* ``log(1 - exp(-|a|))``.

    >>> log1mexp(torch.tensor([-1e-10, -50.0], dtype=torch.float64))
    tensor([-2.3026e+01, -1.9287e-22], dtype=torch.float64)
    """
    near_zero = log_p > -math.log(2.0)
    # Each branch sees a harmless value where the other one is taken, so that no NaN enters its gradient.
    half = torch.full_like(log_p, -math.log(2.0))
    small = torch.log(-torch.expm1(torch.where(near_zero, log_p, half)))
    large = torch.log1p(-torch.exp(torch.where(near_zero, half, log_p)))
    return torch.where(near_zero, small, large)


@dataclass(frozen=True)
class Link(ABC):
    """A link and its inverse.

    Attributes:
        name: the link's name, as in the table of the documentation.
    """

    name: str

    @abstractmethod
    def link(self, mean: Tensor, dim: int = -1) -> Tensor:
        """What a head must put out for this mean."""

    @abstractmethod
    def inverse(self, outputs: Tensor, dim: int = -1) -> Tensor:
        """The mean for what a head put out, in float32 at least."""


class ProbabilityLink(Link):
    """A link whose means are probabilities."""

    @abstractmethod
    def log_inverse(self, outputs: Tensor, dim: int = -1) -> Tensor:
        r"""The log-probabilities :math:`\log p`."""

    @abstractmethod
    def complement(self, outputs: Tensor, dim: int = -1) -> Tensor:
        r"""The complements :math:`1 - p`, without subtracting."""

    @abstractmethod
    def log_complement(self, outputs: Tensor, dim: int = -1) -> Tensor:
        r"""The logarithms of the complements, :math:`\log(1 - p)`."""


class IdentityLink(Link):
    """The mean itself."""

    def link(self, mean: Tensor, dim: int = -1) -> Tensor:
        return mean

    def inverse(self, outputs: Tensor, dim: int = -1) -> Tensor:
        return at_least_float32(outputs)


class LogMeanLink(Link):
    r"""A positive mean by its logarithm: :math:`z = \log \mu`."""

    def link(self, mean: Tensor, dim: int = -1) -> Tensor:
        return torch.log(mean)

    def inverse(self, outputs: Tensor, dim: int = -1) -> Tensor:
        return torch.exp(at_least_float32(outputs))


class SigmoidLink(ProbabilityLink):
    r"""One logit for each probability: :math:`z = \log p - \log(1 - p)`."""

    def link(self, mean: Tensor, dim: int = -1) -> Tensor:
        return torch.logit(mean)

    def inverse(self, outputs: Tensor, dim: int = -1) -> Tensor:
        return torch.sigmoid(at_least_float32(outputs))

    def log_inverse(self, outputs: Tensor, dim: int = -1) -> Tensor:
        return F.logsigmoid(at_least_float32(outputs))

    def complement(self, outputs: Tensor, dim: int = -1) -> Tensor:
        return torch.sigmoid(-at_least_float32(outputs))

    def log_complement(self, outputs: Tensor, dim: int = -1) -> Tensor:
        return F.logsigmoid(-at_least_float32(outputs))


class SoftmaxLink(ProbabilityLink):
    r"""A logit for each class, up to a constant: :math:`p_c = e^{z_c} / \sum_k e^{z_k}` along ``dim``.

    The largest logit's own term is left out of the sum, so that its log-probability and its
    complement keep every digit when the prediction is confident:

    >>> SOFTMAX.log_inverse(torch.tensor([20.0, 0.0]))
    tensor([-2.0612e-09, -2.0000e+01])
    >>> torch.log_softmax(torch.tensor([20.0, 0.0]), 0)
    tensor([  0., -20.])
    """

    def link(self, mean: Tensor, dim: int = -1) -> Tensor:
        return torch.log(mean)

    def inverse(self, outputs: Tensor, dim: int = -1) -> Tensor:
        return torch.softmax(at_least_float32(outputs), dim)

    def log_inverse(self, outputs: Tensor, dim: int = -1) -> Tensor:
        offsets, _, rest, _ = _around_largest(at_least_float32(outputs), dim)
        return offsets - torch.log1p(rest)

    def complement(self, outputs: Tensor, dim: int = -1) -> Tensor:
        _, others, rest, is_largest = _around_largest(at_least_float32(outputs), dim)
        # Every other probability is at most 1/2, so that 1 + rest - other does not cancel.
        return torch.where(is_largest, rest, 1 + (rest - others)) / (1 + rest)

    def log_complement(self, outputs: Tensor, dim: int = -1) -> Tensor:
        return torch.log(self.complement(outputs, dim))


class LogLink(ProbabilityLink):
    """Ready log-probabilities, as ``log_softmax`` and ``logsigmoid`` put out."""

    def link(self, mean: Tensor, dim: int = -1) -> Tensor:
        return torch.log(mean)

    def inverse(self, outputs: Tensor, dim: int = -1) -> Tensor:
        return torch.exp(at_least_float32(outputs))

    def log_inverse(self, outputs: Tensor, dim: int = -1) -> Tensor:
        return at_least_float32(outputs)

    def complement(self, outputs: Tensor, dim: int = -1) -> Tensor:
        return -torch.expm1(at_least_float32(outputs))

    def log_complement(self, outputs: Tensor, dim: int = -1) -> Tensor:
        return log1mexp(at_least_float32(outputs))


def _around_largest(logits: Tensor, dim: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Logits seen from the largest one along ``dim``.

    Returns:
        the differences to the largest logit; their exponentials, 0 at the largest; the sum of
        these; and where the largest is.
    """
    largest = logits.argmax(dim, keepdim=True)
    is_largest = torch.zeros_like(logits, dtype=torch.bool).scatter(dim, largest, True)
    top = logits.gather(dim, largest)
    # At the largest the difference is a constant: no gradient that would have to cancel. It is 0, or
    # NaN for an infinite logit, and spreads from there.
    constant = (top - top).detach()
    offsets = torch.where(is_largest, constant, logits - top)
    others = torch.where(is_largest, constant, torch.exp(offsets))
    return offsets, others, others.sum(dim, keepdim=True), is_largest


IDENTITY = IdentityLink("identity")
SIGMOID = SigmoidLink("sigmoid")
SOFTMAX = SoftmaxLink("softmax")
LOG = LogLink("log")
LOG_MEAN = LogMeanLink("log of the mean")
