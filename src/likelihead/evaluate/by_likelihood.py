"""Which figures belong to which likelihood."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from likelihead.errors import OptionError
from likelihead.evaluate.metrics import Metrics
from likelihead.evaluate.number_metrics import CountMetrics, NumberMetrics, QuantileMetrics
from likelihead.evaluate.ordinal_metrics import OrdinalMetrics, class_log_shares
from likelihead.evaluate.task_metrics import BinaryMetrics, ClassMetrics
from likelihead.likelihoods.base import Likelihood, Targets
from likelihead.likelihoods.binary import BinaryLikelihood
from likelihead.likelihoods.categorical import Categorical
from likelihead.likelihoods.cumulative_link import CumulativeLink
from likelihead.likelihoods.gaussian import Gaussian
from likelihead.likelihoods.poisson import CountLikelihood
from likelihead.likelihoods.quantile import Quantile
from likelihead.likelihoods.student_t import StudentT

__all__ = ["for_likelihood"]

_KINDS: tuple[tuple[type[Likelihood], type[Metrics]], ...] = (
    (Categorical, ClassMetrics),
    (CumulativeLink, OrdinalMetrics),
    (BinaryLikelihood, BinaryMetrics),
    (Gaussian, NumberMetrics),
    (StudentT, NumberMetrics),
    (CountLikelihood, CountMetrics),
    (Quantile, QuantileMetrics),
)


def for_likelihood(
    likelihood: Likelihood,
    *,
    train_targets: Targets | None = None,
    train_sample_weight: Targets | None = None,
    num_bins: int = 10,
    top_k: int = 5,
    keep_scores: bool = False,
) -> Metrics:
    """The figures that belong to a likelihood's task.

    Every task: the NLL and, if the training targets are known, its split into what the prior explains and
    what the model adds. Classes: perplexity, accuracy, top-k, balanced accuracy, macro F1, Brier score and
    its parts, ECE and smooth ECE of the predicted class, and precision, recall, F1 and IoU of each class.
    A yes or no, and labels: the same of a yes, and for labels the share of examples that are right in all.
    Classes in an order: those of classes, how many classes the prediction is off (``rank_mae``), and Cohen's
    kappa with quadratic weights. Numbers: RMSE, MAE, R^2. Counts: these, the deviance, and the means of
    prediction and target. Quantiles: the pinball loss and the coverage of each level.

    Args:
        likelihood: of the model; give the plain one, without the class weights or the offset of training.
        train_targets: the training targets, for the split of the loss; by default those that
            ``likelihood.from_targets`` saw, if any.
        train_sample_weight: how often each of them counts.
        num_bins: bins of the ECE and of the Brier score's parts.
        top_k: of the top-k accuracy, where there are more classes than that.
        keep_scores: keep every score, for ROC AUC, average precision, ECE of equal mass and an interval of
            the smooth ECE.

    >>> metrics = for_likelihood(Categorical(3))
    >>> metrics.update(torch.tensor([[2.0, 0.0, 0.0], [0.0, 1.0, 0.0]]), torch.tensor([0, 2]))
    >>> figures = metrics.compute()
    >>> figures["accuracy"], round(figures["nll"], 4)
    (0.5, 0.8955)
    """
    metrics: Any = next((metrics for kind, metrics in _KINDS if isinstance(likelihood, kind)), None)
    if metrics is None:
        raise OptionError(
            f"likelihood is a {type(likelihood).__name__}; expected a Categorical, a Bernoulli, a MultiLabel "
            "or a CumulativeLink, or one of numbers: a Gaussian, StudentT, Poisson, NegativeBinomial or "
            "Quantile. For others use the accumulators one by one."
        )
    if train_targets is None and train_sample_weight is not None:
        raise OptionError(
            "train_sample_weight is given without train_targets; give the targets it belongs to."
        )
    constant: Tensor | None = None
    if train_targets is not None or likelihood.summary is not None:
        if isinstance(likelihood, CumulativeLink):
            constant = class_log_shares(likelihood, train_targets, train_sample_weight)
        else:
            constant = likelihood.best_constant(train_targets, sample_weight=train_sample_weight)
    made: Metrics = metrics(
        likelihood, constant=constant, num_bins=num_bins, top_k=top_k, keep_scores=keep_scores
    )
    return made
