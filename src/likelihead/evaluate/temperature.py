"""One temperature for all logits."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from likelihead.core.links import at_least_float32
from likelihead.errors import OptionError
from likelihead.evaluate.calibrator import Calibrator, Objective, refuse_one_class
from likelihead.likelihoods.base import Likelihood
from likelihead.likelihoods.categorical import Categorical
from likelihead.likelihoods.counts import class_counts

__all__ = ["TemperatureScaling"]

_BOUND = math.log(1000.0)


class TemperatureScaling(Calibrator):
    r"""Logits divided by one positive temperature.

    .. math:: z' = z / T, \qquad T = e^{t}

    The predicted class does not change. The NLL is convex in :math:`1/T`; its minimum is found by the sign of
    the slope, to the last digits, in [1/1000, 1000]. A model that is no better than chance on the held-out
    rows ends at the upper bound, and the report says so.

    Shape:
        - logits: any that the likelihood takes.

    >>> from likelihead import Categorical
    >>> logits = torch.tensor([[4.0, 0.0], [4.0, 0.0], [0.0, 4.0], [4.0, 0.0]])
    >>> scaling = TemperatureScaling()
    >>> report = scaling.fit(Categorical(2), logits, torch.tensor([0, 0, 1, 1]), pseudo_count=0)
    >>> scaling.temperature  # right three times out of four: 4 / T is the log-odds of 3 to 1
    3.640956...
    >>> report.nll_after < report.nll_before
    True

    Raises:
        OptionError: a temperature that is not positive.

    References:
        Guo et al. (2017), On Calibration of Modern Neural Networks.
    """

    log_temperature: Tensor

    def __init__(self, temperature: float = 1.0) -> None:
        super().__init__()
        if not 0.0 < temperature < math.inf:
            raise OptionError(f"temperature is {temperature}; expected a positive number.")
        self.register_buffer("log_temperature", torch.tensor(math.log(temperature), dtype=torch.float64))

    @property
    def temperature(self) -> float:
        """T: above 1 the model was too sure of itself."""
        return math.exp(float(self.log_temperature))

    @property
    def num_parameters(self) -> int:
        return 1

    def forward(self, logits: Tensor) -> Tensor:
        z = at_least_float32(logits)
        return z * torch.exp(-self.log_temperature).to(z)

    def _check(self, likelihood: Likelihood, target: Tensor) -> None:
        if isinstance(likelihood, Categorical):
            refuse_one_class(class_counts(target, -1, likelihood.num_classes).sum(0), "target")
            return
        yes = target[~target.isnan()]
        refuse_one_class(torch.stack([(1 - yes).sum(), yes.sum()]), "target")

    def _fit(self, objective: Objective) -> bool:
        rows = objective.rows

        def slope(log_beta: float) -> float:
            """Of the objective, by the inverse temperature: rises with it."""
            beta = math.exp(log_beta)
            of_rows = float((objective.residual(rows * beta) * rows).sum())
            return of_rows + objective.hold_slope(beta) / objective.count

        low, high = -_BOUND, _BOUND
        at_low, at_high = slope(low), slope(high)
        if at_low >= 0 or at_high <= 0:
            log_beta, at_bound = (low if at_low >= 0 else high), True
        else:
            log_beta, at_bound = _root(slope, low, high, at_low, at_high), False
        # Replaced, not overwritten: a buffer that was made in inference mode cannot be.
        self.log_temperature = torch.full_like(self.log_temperature, -log_beta)
        return at_bound

    def extra_repr(self) -> str:
        """What ``print`` shows."""
        return f"temperature={self.temperature:.4g}"


def _root(slope: Callable[[float], float], low: float, high: float, at_low: float, at_high: float) -> float:
    """Where a rising function crosses 0: false position, with a bisection in every third step."""
    turn = 0
    while high - low > 4e-15 * max(1.0, abs(low), abs(high)):
        middle = 0.5 * (low + high)
        if turn % 3 != 2:
            middle = low + (high - low) * at_low / (at_low - at_high)
        if not low < middle < high:
            middle = 0.5 * (low + high)
            if not low < middle < high:
                break
        value = slope(middle)
        if value == 0:
            return middle
        # The end that stays weighs half, so that false position closes in from both sides.
        if value < 0:
            low, at_low, at_high = middle, value, at_high / 2
        else:
            high, at_high, at_low = middle, value, at_low / 2
        turn += 1
    return 0.5 * (low + high)
