"""A run's network and likelihoods, made anew in the same way each time."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from likelihead.core.links import LogLink
from likelihead.likelihoods import Bernoulli, Categorical, Gaussian, Likelihood, MultiLabel, for_task
from likelihead.likelihoods.imbalance import ClassCounts
from likelihead.train.config import TrainConfig
from likelihead.train.resolved import Resolved
from likelihead.train.table.data import Schema
from likelihead.train.table.models import MLP

__all__ = [
    "DTYPE",
    "EVAL_BATCH",
    "baseline_of",
    "build_model",
    "criterion",
    "plain",
    "row_nll",
    "through_logits",
]

# docs/decisions/0003-training-in-float64.md says why.
DTYPE = torch.float64

EVAL_BATCH = 1024


def criterion(
    config: TrainConfig, schema: Schema, class_weights: tuple[float, ...], label_prior: tuple[float, ...] = ()
) -> Likelihood:
    """The likelihood that is trained: with class weights, label smoothing and the offset of logit adjustment.

    A smoothed yes or no is drawn towards its ``label_prior``, one half where there is none. Logits
    go through the softmax cross-entropy; log-probabilities through the NLL of ready log-probabilities.
    """
    weights = torch.tensor(class_weights, dtype=DTYPE) if class_weights else None
    log_probs = config.output == "log-probs"
    if schema.task == "multiclass" and config.logit_adjustment:
        offset = ClassCounts.from_counts(schema.target.counts).logit_offset(config.logit_adjustment)
        smoothing = config.label_smoothing
        return Categorical(schema.num_outputs, weight=weights, label_smoothing=smoothing, logit_offset=offset)
    if schema.task == "multiclass":
        make = Categorical.from_log_probs if log_probs else Categorical
        return make(schema.num_outputs, weight=weights, label_smoothing=config.label_smoothing)
    if schema.task == "binary":
        binary = Bernoulli.from_log_probs if log_probs else Bernoulli
        return binary(
            pos_weight=None if weights is None else weights[0],
            label_smoothing=config.label_smoothing,
            prior=label_prior[0] if label_prior else None,
        )
    if schema.task == "multilabel":
        return MultiLabel(
            schema.num_outputs,
            pos_weight=weights,
            label_smoothing=config.label_smoothing,
            prior=label_prior or None,
        )
    if schema.task == "regression":
        return Gaussian()
    options: dict[str, dict[str, Any]] = {
        # Quantiles that cross would contradict each other.
        "quantile": {"levels": config.levels, "ordered": len(config.levels) > 1},
        "ordinal": {"num_classes": len(schema.classes)},
        "robust-regression": {"scale": "predicted"},
        "overdispersed-count": {"dispersion": "predicted"},
    }
    return for_task(schema.task, **options.get(schema.task, {}))


def plain(config: TrainConfig, schema: Schema, variance: float = 1.0) -> Likelihood:
    """The likelihood that is reported: without weights, smoothing and offset, so that all NLLs compare.

    Of a regression with this variance, in the training's units; the squared error does not depend on it.
    """
    if schema.task == "regression":
        return Gaussian(variance)
    return criterion(replace(config, label_smoothing=0.0, logit_adjustment=0.0), schema, ())


def baseline_of(config: TrainConfig, schema: Schema, resolved: Resolved) -> Likelihood:
    """The likelihood of the best constant prediction."""
    likelihood = plain(config, schema)
    if resolved.constant_parameters:
        values = torch.tensor(resolved.constant_parameters, dtype=DTYPE)
        nn.utils.vector_to_parameters(values, likelihood.to(DTYPE).parameters())
    return likelihood


def build_model(config: TrainConfig, schema: Schema, likelihood: Likelihood) -> MLP:
    """The network, with random hidden layers and a head of zeros.

    Draws from torch's global generator.
    """
    link: nn.Module | None = None
    if config.output == "log-probs":
        link = nn.LogSoftmax(dim=1) if schema.task == "multiclass" else nn.LogSigmoid()
    hidden = config.hidden
    head = likelihood.head(hidden[-1] if hidden else schema.num_features)
    model = MLP(
        schema.num_features,
        hidden,
        head,
        activation=config.activation,
        link=link,
        flat=likelihood.num_parameters == 1 and schema.task not in ("multiclass", "multilabel"),
        likelihood=likelihood,
    )
    return model.to(DTYPE)


def through_logits(likelihood: Likelihood, output: Tensor, change: Callable[[Tensor], Tensor]) -> Tensor:
    """A network's output of classes with its logits changed: log-probabilities become logits and back."""
    link = likelihood.link
    if not isinstance(link, LogLink):
        return change(output)
    if isinstance(likelihood, Categorical):
        # Log-probabilities are logits that happen to sum to one.
        return torch.log_softmax(change(output), 1)
    return logsigmoid(change(output - link.log_complement(output)))


def row_nll(likelihood: Likelihood, schema: Schema, output: Tensor, target: Tensor) -> Tensor:
    """The NLL of each row, ``[N]``, in nats: summed over labels.

    A number's is in the target's own units.
    """
    nll = likelihood.nll(output, target)
    if schema.numeric:
        # A density's NLL shifts by the logarithm of the scale; each quantile has a density of its own.
        densities: int = getattr(likelihood, "num_levels", 1)
        return nll + densities * math.log(schema.target.std)
    return nll.flatten(1).sum(1) if nll.dim() > 1 else nll
