"""What the calibrators share: held-out data are checked, a few numbers fitted, and both ends measured."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from likelihead.errors import OptionError, TargetError
from likelihead.evaluate.accuracy import example_weight
from likelihead.evaluate.calibration_error import CalibrationError
from likelihead.evaluate.inputs import likelihood_rows, stated_rows, total
from likelihead.likelihoods.base import Likelihood
from likelihead.likelihoods.categorical import Categorical
from likelihead.likelihoods.checks import check_tensor

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["CalibrationReport", "Calibrator"]


@dataclass(frozen=True)
class CalibrationReport:
    """What a calibration did on the held-out data it was fitted on.

    Attributes:
        count: how many targets (of labels: labels) it was fitted on; with weights their sum.
        nll_before, nll_after: mean NLL, in nats.
        ece_before, ece_after: expected calibration error, in 10 bins of equal width.
        parameters: how many free numbers were fitted.
        at_bound: whether a temperature came to rest at an end of its range, where it means little.
    """

    count: float
    nll_before: float
    nll_after: float
    ece_before: float
    ece_after: float
    parameters: int
    at_bound: bool = False

    @property
    def gain(self) -> float:
        """What the fit gained on its own rows, in nats in all."""
        return self.count * (self.nll_before - self.nll_after)

    @property
    def by_chance(self) -> bool:
        """Whether the gain is at most a nat for each free number: no evidence that other rows gain as well.

        That is Akaike's criterion. Numbers that are fitted to noise gain half a nat each on the rows that
        they are fitted on, in the mean, and lose as much on others. A weight of 2 counts as two rows: weights
        that say how much a row matters should have a mean of 1.
        """
        return self.gain <= self.parameters

    def __str__(self) -> str:
        return (
            f"NLL {self.nll_before:.4f} -> {self.nll_after:.4f}, ECE {self.ece_before:.4f} -> "
            f"{self.ece_after:.4f} on {self.count:.10g} held-out targets"
        )


class Calibrator(nn.Module, ABC):
    """A function of the logits with a few numbers, fitted on held-out data by the likelihood's own NLL.

    Calling it gives logits, for the same likelihood: ``likelihood.probs(calibrator(logits))``. Its numbers
    are buffers in float64: saved and loaded with ``state_dict``, and no optimizer of the model touches them.
    """

    @property
    @abstractmethod
    def num_parameters(self) -> int:
        """How many free numbers it has."""

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        # half(), to(torch.float32) and their like move the numbers and do not round them. MPS has no float64.
        def keep_dtype(values: Tensor) -> Tensor:
            moved = fn(values)
            if moved.dtype is values.dtype or moved.device.type == "mps":
                return moved
            return values.to(moved.device)

        super()._apply(keep_dtype, recurse)  # type: ignore[no-untyped-call]
        return self

    @abstractmethod
    def forward(self, logits: Tensor) -> Tensor:
        """The calibrated logits, in the logits' shape, in float32 at least."""

    @abstractmethod
    def _check(self, likelihood: Likelihood, target: Tensor) -> None:
        """Refuse a likelihood, or targets (of those that count), that this calibrator does not fit."""

    @abstractmethod
    def _fit(self, objective: Objective) -> bool:
        """Set the numbers to the best; whether one came to rest at a bound."""

    def fit(
        self,
        likelihood: Likelihood,
        logits: Tensor,
        target: Tensor,
        *,
        mask: Tensor | None = None,
        sample_weight: Tensor | None = None,
        pseudo_count: float = 1.0,
    ) -> CalibrationReport:
        """Fit on held-out data: rows that the model was not trained on.

        The NLL is minimised in float64. Give the likelihood that predicts: class weights, smoothing or a
        logit offset of the training would be calibrated for, too.

        Args:
            likelihood: a Categorical, a Bernoulli or a MultiLabel.
            logits: what the model puts out for the held-out rows.
            target: what was observed there; ignored and NaN targets are left out.
            mask: False where a target is left out.
            sample_weight: how often each target counts: ``[N]``, or the shape of the NLLs.
            pseudo_count: how many further examples the model's own predictions count as, and how many nats a
                scale may gain for each unit that it is above 1. It keeps a few held-out rows, predicted
                right by a hair or all of them right, from making the model sure of everything; of
                thousands of rows it is not felt. 0 is maximum likelihood.

        Raises:
            OptionError: no target counts, a negative ``pseudo_count``, a likelihood that does not fit, or no
                finite optimum.
            TargetError: the targets hold one class only, of which nothing can be learnt.
            DomainError: logits that are not finite (LH801).
        """
        if not 0.0 <= pseudo_count < math.inf:
            raise OptionError(f"pseudo_count is {pseudo_count}; expected a finite number, not negative.")
        check_tensor("logits", logits)
        check_tensor("target", target)
        with torch.inference_mode(False):
            # Clones, as no gradient may pass through tensors that were made in inference mode.
            rows, truth, weight = likelihood_rows(
                likelihood, logits.clone(), target.clone(), mask=mask, sample_weight=sample_weight
            )
            count = _examples(truth, weight)
            if not count:
                raise OptionError(
                    "target holds nothing that counts, so that there is no held-out row to calibrate on; "
                    "hold out some."
                )
            self._check(likelihood, truth)
            objective = Objective(likelihood, rows, truth, pseudo_count, count, weight)
            before = _measured(likelihood, rows, truth, weight)
            at_bound = self._fit(objective)
            after = _measured(likelihood, self(rows), truth, weight)
        return CalibrationReport(
            _targets(likelihood, truth, weight),
            before[0],
            after[0],
            before[1],
            after[1],
            self.num_parameters,
            at_bound,
        )


def _examples(truth: Tensor, weight: Tensor | None) -> float:
    """How many rows ``[M, ...]`` have a target; with weights their sum, of labels the mean of a row's."""
    if not truth.dim() > 1:
        return len(truth) if weight is None else float(weight.sum())
    known = ~truth.isnan()
    each = example_weight(weight, known)
    return int(known.any(1).sum()) if each is None else float(each.sum())


def _targets(likelihood: Likelihood, truth: Tensor, weight: Tensor | None) -> float:
    """How many targets, or labels, there are; with weights their sum."""
    if weight is not None:
        return float(weight.sum())
    return len(truth) if isinstance(likelihood, Categorical) else int(likelihood.count(truth))


class Objective:
    """The NLL of held-out rows, and a little that speaks for the model as it is, per row.

    Args:
        likelihood, rows, truth: what is scored.
        pseudo_count: how many examples the model's own predictions count as, and the weight of `hold`.
        count: how many rows have a target; with weights their sum.
        weight: of each NLL.
    """

    def __init__(
        self,
        likelihood: Likelihood,
        rows: Tensor,
        truth: Tensor,
        pseudo_count: float,
        count: float,
        weight: Tensor | None,
    ) -> None:
        self.likelihood, self.rows, self.truth, self.weight = likelihood, rows, truth, weight
        self.pseudo_count, self.own_share, self.count = pseudo_count, pseudo_count / count, count
        self.own = likelihood.probs(rows)
        if not isinstance(likelihood, Categorical):
            self.own = torch.where(truth.isnan(), torch.nan, self.own)

    def _weighed(self, values: Tensor) -> Tensor:
        """Values of each row, or label, times its weight."""
        if self.weight is None:
            return values
        return values * self.weight.reshape(*self.weight.shape, *[1] * (values.dim() - self.weight.dim()))

    def __call__(self, logits: Tensor) -> Tensor:
        """The objective for these logits in place of the rows."""
        nll = self.likelihood.nll(logits, self.truth)
        if self.own_share:
            nll = nll + self.own_share * self.likelihood.nll(logits, self.own)
        return self._weighed(nll).sum() / self.count

    def residual(self, logits: Tensor) -> Tensor:
        """The gradient of the objective with respect to the logits."""
        gradient = self.likelihood.residual(logits, self.truth)
        if self.own_share:
            gradient = gradient + self.own_share * self.likelihood.residual(logits, self.own)
        return self._weighed(gradient) / self.count

    def hold(self, scale: Tensor) -> Tensor:
        r"""What scales other than 1 cost, per row: :math:`\sqrt{1 + (a - 1)^2} - 1` each, convex.

        The model's own predictions alone do not hold a scale where the logits are close together: they hardly
        differ then from those of the double. This does, whatever the logits are.
        """
        return self.pseudo_count * (torch.sqrt(1 + (scale - 1).square()) - 1).sum() / self.count

    def hold_slope(self, scale: float) -> float:
        """The derivative of `hold` by one scale, for the sum over the rows."""
        return self.pseudo_count * (scale - 1) / math.hypot(1.0, scale - 1)

    def minimise(
        self,
        start: tuple[Tensor, ...],
        logits: Callable[..., Tensor],
        scale: Callable[..., Tensor],
    ) -> tuple[Tensor, ...]:
        """The parameters at the minimum of a convex objective.

        Args:
            start: where to begin.
            logits: the logits that the parameters make.
            scale: the scales among the parameters.

        Raises:
            OptionError: there is none that is finite.
        """
        parameters = [value.detach().clone().requires_grad_() for value in start]
        descent = torch.optim.LBFGS(
            parameters,
            max_iter=1000,
            tolerance_grad=1e-9,
            tolerance_change=1e-16,
            history_size=20,
            line_search_fn="strong_wolfe",
        )

        def closure() -> Any:
            descent.zero_grad()
            with torch.enable_grad():
                value = self(logits(*parameters)) + self.hold(scale(*parameters))
            value.backward()  # type: ignore[no-untyped-call]
            return value.detach()

        descent.step(closure)  # type: ignore[no-untyped-call]
        # Without a mistake the slope goes to 0 only as the NLL itself does, out at infinity.
        nothing_left = float(closure()) < 1e-7
        steepest = max(float(p.grad.abs().max()) for p in parameters if p.grad is not None)
        if nothing_left or not steepest < 1e-5:
            raise OptionError(
                "the held-out rows have no finite optimum: one side separates them without a mistake. Hold "
                "out more rows, or give a positive pseudo_count."
            )
        return tuple(p.detach() for p in parameters)


def _measured(
    likelihood: Likelihood, logits: Tensor, target: Tensor, weight: Tensor | None
) -> tuple[float, float]:
    """Mean NLL and ECE."""
    error = CalibrationError()
    said, came, weights = stated_rows(likelihood, logits, target, sample_weight=weight)
    error.update(said, came, sample_weight=weights)
    options = {} if weight is None else {"sample_weight": weight}
    nll, count = total(likelihood.nll(logits, target), weight), likelihood.count(target, **options)
    return float(nll / count), error.compute()


def refuse_one_class(seen: Tensor, what: str) -> None:
    """Refuse targets of one outcome.

    Args:
        seen: how often each outcome occurs.
        what: "target" or "label 3 of target".

    Raises:
        TargetError: fewer than two outcomes occur.
    """
    if int((seen > 0).sum()) < 2:
        only = int(seen.argmax())
        raise TargetError(
            f"{what} holds class {only} only; expected at least two classes in the held-out rows. Hold out "
            "more rows, or draw them by class."
        )
