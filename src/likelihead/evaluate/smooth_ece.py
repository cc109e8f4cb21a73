"""The calibration error without bins: smooth ECE, with bootstrap intervals."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from likelihead.errors import OptionError
from likelihead.evaluate.accumulator import Accumulator
from likelihead.evaluate.inputs import check_probs, label_values

__all__ = ["BootstrapInterval", "SmoothECE"]


@dataclass(frozen=True)
class BootstrapInterval:
    """A figure with the interval in which it lies.

    Attributes:
        estimate: the figure on all rows.
        low, high: the ends of the interval.
        level: how often such intervals hold the true figure, about.
    """

    estimate: float
    low: float
    high: float
    level: float


class SmoothECE(Accumulator):
    r"""Smooth expected calibration error: residuals smoothed by a kernel whose width is the error itself.

    .. math:: \mathrm{smECE}_\sigma = \int_0^1 \Bigl|\frac{1}{N} \sum_i (y_i - p_i)\,
              \tilde K_\sigma(t, p_i)\Bigr|\,dt, \qquad \mathrm{smECE} = \mathrm{smECE}_{\sigma^*} = \sigma^*

    with the Gaussian kernel that is reflected at 0 and 1. The fixed point is the one choice of width that
    makes the figure a consistent measure of calibration: there are no bins to choose.

    Each residual is kept on a grid, shared between its two neighbours, so that the state is one sum for each
    grid point; the kernel is applied by a Fourier transform. Against the sum over all pairs this is off by
    :math:`(h / \sigma)^2 / 8` relative at most, with h = 1 / ``grid``: 0.02% at an error of 0.01 with the
    default. An error below 2 / ``grid`` is reported as what a kernel of that width gives.

    Args:
        grid: the number of steps of the grid.
        keep_rows: keep every prediction, 16 bytes each: `interval` needs them.

    >>> figure = SmoothECE()
    >>> figure.update(torch.full((100,), 0.7), torch.tensor([1.0] * 50 + [0.0] * 50))
    >>> round(figure.compute(), 3)
    0.2

    References:
        Błasiok and Nakkiran (2023), Smooth ECE: Principled Reliability Diagrams via Kernel Smoothing.
    """

    def __init__(self, grid: int = 4096, *, keep_rows: bool = False) -> None:
        super().__init__(grid=grid, keep_rows=keep_rows)
        if grid < 8:
            raise OptionError(f"grid is {grid}; expected at least 8 steps.")
        self.grid, self.keep_rows = grid, keep_rows
        self._keep(
            totals={"residual": (grid + 1,)},
            counts={"count": ()},
            rows=("confidence", "outcome") if keep_rows else (),
        )

    def update(
        self,
        confidence: Tensor,
        outcome: Tensor,
        *,
        mask: Tensor | None = None,
        sample_weight: Tensor | None = None,
    ) -> None:
        """Take in predictions.

        Args:
            confidence: stated probabilities, any shape. For several classes take the predicted one's.
            outcome: whether they came true, in the same shape: 0 and 1, or a probability; NaN is left out.
            mask: False where a prediction is left out.
            sample_weight: how often each counts: ``[N]``, or a longer beginning of the shape.

        Raises:
            DomainError: a confidence outside [0, 1].
        """
        said, came, weight = label_values(
            confidence, outcome, mask=mask, sample_weight=sample_weight, name="confidence"
        )
        check_probs("confidence", said)
        cell, lower, upper = _shared(said, came, self.grid, weight)
        self._add("residual", _on_grid(cell, lower, upper, self.grid))
        self._count("count", len(said) if weight is None else weight.sum())
        if self.keep_rows:
            self._append(weight, confidence=said, outcome=came)

    def compute(self) -> float:
        """The error; NaN over nothing."""
        count = self._number("count").item()
        return _fixed_point(self._total("residual") / count) if count else math.nan

    def at_width(self, sigma: float) -> float:
        """The smoothed error for a width of one's own choice; it falls with the width.

        Raises:
            OptionError: a width below 2 / ``grid``, which the grid does not resolve.
        """
        if not 2 / self.grid <= sigma < math.inf:
            raise OptionError(f"sigma is {sigma}; expected at least {2 / self.grid:.3g} on this grid.")
        count = self._number("count").item()
        return _smoothed(_spectrum(self._total("residual") / count), sigma) if count else math.nan

    def interval(self, *, level: float = 0.95, resamples: int = 200, seed: int = 0) -> BootstrapInterval:
        """A bootstrap interval of the error, the same for the same rows in any order.

        Noise only ever adds to a calibration error, so that the quantiles of resampled errors would lie
        above the truth. Drawn with replacement is therefore the noise itself: how far, in the smoothed error
        of the estimate's own width, resampled residuals are from the rows' own. By the triangle inequality
        the true error is no farther from the estimate. The interval is the estimate plus and minus that
        quantile, cut off at 0: a lower end of 0 means that no error is shown.

        Rows are drawn with their weights: a weight says how much a row counts, not that it was seen often.

        Args:
            level: how often such an interval should hold the true figure.
            resamples: how many times to draw.
            seed: of the draws.

        Raises:
            OptionError: no rows were kept, or a level outside (0, 1).
        """
        if not self.keep_rows:
            raise OptionError("the predictions were not kept; make it with SmoothECE(keep_rows=True).")
        if not 0.0 < level < 1.0:
            raise OptionError(f"level is {level}; expected a share in (0, 1), such as 0.95.")
        if resamples < 2:
            raise OptionError(f"resamples is {resamples}; expected at least 2.")
        said, came = self._column("confidence"), self._column("outcome")
        number = len(said)
        if not number:
            return BootstrapInterval(math.nan, math.nan, math.nan, level)
        weight = self._row_weight()
        order = torch.arange(number) if weight is None else torch.argsort(weight)
        order = order[torch.argsort(came[order], stable=True)]
        order = order[torch.argsort(said[order], stable=True)]
        weight = None if weight is None else weight[order]
        cell, lower, upper = _shared(said[order], came[order], self.grid, weight)
        estimate, own = self.compute(), _on_grid(cell, lower, upper, self.grid)
        mean = own / (number if weight is None else weight.sum())
        width = max(estimate, 2 / self.grid)
        generator = torch.Generator().manual_seed(seed)
        drawn = []
        for _ in range(resamples):
            rows = torch.randint(number, (number,), generator=generator)
            sums = _on_grid(cell[rows], lower[rows], upper[rows], self.grid)
            noise = sums / (number if weight is None else weight[rows].sum()) - mean
            drawn.append(_smoothed(_spectrum(noise), width))
        reach = float(torch.quantile(torch.tensor(drawn, dtype=torch.float64), level))
        return BootstrapInterval(estimate, max(0.0, estimate - reach), min(1.0, estimate + reach), level)


def _shared(said: Tensor, came: Tensor, grid: int, weight: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    """Of each residual the grid point below, and the parts that it and the next one take."""
    place = said * grid
    cell = place.floor().clamp_max(grid - 1)
    residual = came - said if weight is None else (came - said) * weight
    upper = residual * (place - cell)
    return cell.long(), residual - upper, upper


def _on_grid(cell: Tensor, lower: Tensor, upper: Tensor, grid: int) -> Tensor:
    sums = torch.bincount(cell, weights=lower, minlength=grid + 1)
    return sums + torch.bincount(cell + 1, weights=upper, minlength=grid + 1)


def _spectrum(residual: Tensor) -> Tensor:
    """The Fourier transform of the residuals and their mirror image, round a circle of length 2."""
    circle = torch.cat([residual, residual[1:-1].flip(0)])
    circle[0] *= 2  # each end is its own image
    circle[len(residual) - 1] *= 2
    spectrum: Tensor = torch.fft.rfft(circle).real
    return spectrum


def _smoothed(spectrum: Tensor, sigma: float) -> float:
    """The integral of the smoothed residuals' absolute value."""
    grid = len(spectrum) - 1
    frequency = math.pi * torch.arange(grid + 1, dtype=torch.float64)
    damped = spectrum * torch.exp(-0.5 * (sigma * frequency) ** 2)
    density = grid * torch.fft.irfft(damped.to(torch.complex128), n=2 * grid)[: grid + 1].abs()
    return float(density.sum() - (density[0] + density[-1]) / 2) / grid


def _fixed_point(residual: Tensor) -> float:
    """The error that equals the width it was smoothed with, by bisection: the error falls with the width."""
    spectrum, low, high = _spectrum(residual), 2 / (len(residual) - 1), 1.0
    smallest = _smoothed(spectrum, low)
    if smallest <= low:
        return smallest
    while high - low > 1e-13:
        middle = (low + high) / 2
        low, high = (middle, high) if _smoothed(spectrum, middle) > middle else (low, middle)
    return (low + high) / 2
