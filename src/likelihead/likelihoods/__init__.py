"""Likelihoods: an output distribution with its link, loss, prediction and target, in one module each."""

from likelihead.likelihoods.base import REGISTRY, Likelihood
from likelihead.likelihoods.bernoulli import Bernoulli
from likelihead.likelihoods.categorical import Categorical
from likelihead.likelihoods.cumulative_link import CumulativeLink
from likelihead.likelihoods.focal import binary_focal_loss, focal_loss
from likelihead.likelihoods.gaussian import Gaussian
from likelihead.likelihoods.imbalance import ClassCounts, LabelCounts
from likelihead.likelihoods.multilabel import MultiLabel
from likelihead.likelihoods.negative_binomial import NegativeBinomial
from likelihead.likelihoods.poisson import Poisson
from likelihead.likelihoods.quantile import Quantile
from likelihead.likelihoods.sampler import BalancedSampler
from likelihead.likelihoods.student_t import StudentT
from likelihead.likelihoods.tasks import TaskGuess, for_task, infer_task

__all__ = [
    "REGISTRY",
    "BalancedSampler",
    "Bernoulli",
    "Categorical",
    "ClassCounts",
    "CumulativeLink",
    "Gaussian",
    "LabelCounts",
    "Likelihood",
    "MultiLabel",
    "NegativeBinomial",
    "Poisson",
    "Quantile",
    "StudentT",
    "TaskGuess",
    "binary_focal_loss",
    "focal_loss",
    "for_task",
    "infer_task",
]
