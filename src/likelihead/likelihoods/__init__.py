"""Likelihoods: an output distribution with its link, loss, prediction and target, in one module each."""

from likelihead.likelihoods.base import REGISTRY, Likelihood
from likelihead.likelihoods.bernoulli import Bernoulli
from likelihead.likelihoods.categorical import Categorical
from likelihead.likelihoods.gaussian import Gaussian
from likelihead.likelihoods.multilabel import MultiLabel
from likelihead.likelihoods.tasks import TaskGuess, for_task, infer_task

__all__ = [
    "REGISTRY",
    "Bernoulli",
    "Categorical",
    "Gaussian",
    "Likelihood",
    "MultiLabel",
    "TaskGuess",
    "for_task",
    "infer_task",
]
