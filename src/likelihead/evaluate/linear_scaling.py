"""A slope and an intercept for each class, or for each label."""

from __future__ import annotations

import torch
from torch import Tensor

from likelihead.core.links import at_least_float32
from likelihead.errors import OptionError, ShapeError
from likelihead.evaluate.calibrator import Calibrator, Objective, refuse_one_class
from likelihead.kernels.ops import along_classes
from likelihead.likelihoods.base import Likelihood
from likelihead.likelihoods.binary import BinaryLikelihood
from likelihead.likelihoods.categorical import Categorical
from likelihead.likelihoods.counts import class_counts

__all__ = ["PlattScaling", "VectorScaling"]


class _LinearScaling(Calibrator):
    """Logits times a scale, plus a shift: a convex fit."""

    scale: Tensor
    shift: Tensor

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.register_buffer("scale", torch.ones(shape, dtype=torch.float64))
        self.register_buffer("shift", torch.zeros(shape, dtype=torch.float64))

    def forward(self, logits: Tensor) -> Tensor:
        z = at_least_float32(logits)
        scale, shift = self.scale.to(z), self.shift.to(z)
        if scale.dim():
            if z.dim() < 2 or z.shape[1] != len(scale):
                raise ShapeError(f"logits has shape {list(z.shape)}; expected [N, {len(scale)}, ...].")
            scale, shift = along_classes(scale, z), along_classes(shift, z)
        return z * scale + shift

    def _fit(self, objective: Objective) -> bool:
        rows = objective.rows
        # On logits of mean 0 and spread 1 the two numbers do not pull at each other, nor do the classes.
        dims = (0,) if rows.dim() > 1 else None
        centre, spread = rows.mean(dim=dims), rows.std(dim=dims, correction=0)
        spread = torch.where(spread > 1e-12 * (1 + centre.abs()), spread, torch.ones_like(spread))
        unit = (rows - centre) / spread
        scale, shift = objective.minimise(
            (spread, centre), lambda scale, shift: unit * scale + shift, lambda scale, _: scale / spread
        )
        scale = scale / spread
        # Replaced, not overwritten: buffers that were made in inference mode cannot be.
        self.shift = self._settled(shift - scale * centre).to(self.scale.device)
        self.scale = scale.to(self.scale.device)
        return False

    def _settled(self, shift: Tensor) -> Tensor:
        """One of the shifts that mean the same."""
        return shift


class VectorScaling(_LinearScaling):
    r"""A scale and a shift for each class.

    .. math:: z'_c = a_c z_c + b_c

    The shifts are given with mean 0, as a common one changes nothing. Two numbers for each class want some
    dozens of held-out rows of each; a temperature wants fewer.

    Args:
        num_classes: C.

    Shape:
        - logits: ``[N, C]`` or ``[N, C, d1, ...]``.

    >>> from likelihead import Categorical
    >>> logits = torch.randn(200, 3, generator=torch.Generator().manual_seed(0))
    >>> target = (logits + torch.tensor([0.0, 0.0, 2.0])).argmax(1)
    >>> report = VectorScaling(3).fit(Categorical(3), logits, target)
    >>> report.nll_after < report.nll_before
    True

    References:
        Guo et al. (2017), On Calibration of Modern Neural Networks.
    """

    def __init__(self, num_classes: int) -> None:
        if num_classes < 2:
            raise OptionError(f"num_classes is {num_classes}; expected at least 2.")
        super().__init__((num_classes,))

    @property
    def num_parameters(self) -> int:
        return 2 * len(self.scale) - 1

    def _check(self, likelihood: Likelihood, target: Tensor) -> None:
        if not isinstance(likelihood, Categorical) or likelihood.num_classes != len(self.scale):
            raise OptionError(
                f"likelihood is {likelihood}; VectorScaling({len(self.scale)}) fits a Categorical of as many "
                "classes. For yes or no use PlattScaling."
            )
        refuse_one_class(class_counts(target, -1, likelihood.num_classes).sum(0), "target")

    def _settled(self, shift: Tensor) -> Tensor:
        return shift - shift.mean()


class PlattScaling(_LinearScaling):
    r"""A slope and an intercept for a yes or no, or for each label.

    .. math:: z'_l = a_l z_l + b_l

    Args:
        num_labels: L, of a MultiLabel; None for a Bernoulli.

    Shape:
        - logits: any, or ``[N, L]`` and ``[N, L, d1, ...]`` with labels.

    >>> from likelihead import Bernoulli
    >>> logits = torch.tensor([3.0, 3.0, 3.0, 3.0, -3.0, -3.0])
    >>> platt = PlattScaling()
    >>> report = platt.fit(Bernoulli(), logits, torch.tensor([1, 1, 1, 0, 0, 1]), pseudo_count=0)
    >>> Bernoulli().probs(platt(logits))[[0, 5]]
    tensor([0.7500, 0.5000])

    References:
        Platt (1999), Probabilistic Outputs for Support Vector Machines.
    """

    def __init__(self, num_labels: int | None = None) -> None:
        if num_labels is not None and num_labels < 1:
            raise OptionError(f"num_labels is {num_labels}; expected at least 1, or None.")
        super().__init__(() if num_labels is None else (num_labels,))

    @property
    def num_parameters(self) -> int:
        return 2 * self.scale.numel()

    def _check(self, likelihood: Likelihood, target: Tensor) -> None:
        labels = len(self.scale) if self.scale.dim() else None
        if not isinstance(likelihood, BinaryLikelihood) or likelihood.num_labels_or_none != labels:
            raise OptionError(
                f"likelihood is {likelihood}; PlattScaling({'' if labels is None else labels}) fits a "
                f"{'Bernoulli' if labels is None else f'MultiLabel of {labels} labels'}. For classes use "
                "VectorScaling."
            )
        for index, column in enumerate(target.T if labels else [target]):
            yes = column[~column.isnan()]
            seen = torch.stack([(1 - yes).sum(), yes.sum()])
            refuse_one_class(seen, f"label {index} of target" if labels else "target")
