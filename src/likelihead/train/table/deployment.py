"""Predictions for a world whose classes have other frequencies than the training rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import cast

import torch
from torch import Tensor
from torch.distributions import Bernoulli

from likelihead.core.rounding import PRIOR_TOLERANCE
from likelihead.errors import OptionError
from likelihead.evaluate import estimate_prior
from likelihead.likelihoods import Categorical
from likelihead.train.option import with_article
from likelihead.train.table.by_class import read_by_class
from likelihead.train.table.calibration import shift_of
from likelihead.train.table.data import Dataset
from likelihead.train.table.network import DTYPE, EVAL_BATCH
from likelihead.train.table.objective import log_prior
from likelihead.train.table.trained import Trained

__all__ = ["for_prior"]

_REMEDY = "--prior takes a=0.1,b=0.9, a file or estimate"


def for_prior(trained: Trained, prior: str, rows: Callable[[], Dataset], memory: int = 2**30) -> Trained:
    """The run, with outputs for other frequencies of the classes.

    Args:
        trained: the run.
        prior: ``a=0.1,b=0.9``, or a file: a JSON object of shares by class, or CSV lines ``class,share``; or
            ``estimate``: the most likely one for the rows, whose targets are not looked at.
        rows: reads the data; called for an estimate only, and after all else is checked.
        memory: bytes; half of them may hold the outputs that an estimate needs.

    Raises:
        OptionError: the task has no exclusive classes; a share is no number; the shares do not sum to one;
            the run's own prior is not known; or an estimate does not fit the memory.
        DataError: the file cannot be read, or names other classes.
    """
    schema = trained.schema
    if schema.task not in ("binary", "multiclass"):
        raise OptionError(
            f"--prior does not apply to {with_article(schema.task)} run; it is for exclusive classes"
        )
    names = schema.target.names
    shares: list[float] | None
    if prior == "estimate":
        shares = None
    elif "=" in prior and not Path(prior).exists():
        shares = _inline(prior, names)
    else:
        shares = read_by_class(Path(prior), names, what="class", number="share", remedy=_REMEDY)
    if shares is not None and abs(sum(shares) - 1) > PRIOR_TOLERANCE:
        raise OptionError(f"--prior sums to {sum(shares):.6g}; the shares of the classes sum to 1")
    shift = shift_of(trained.config, schema, trained.resolved, trained.fitted)
    if shift is None:
        raise OptionError(
            "--prior needs the frequencies that the run's probabilities stand for, and its --class-weight "
            "gives a class the weight 0; train with positive weights"
        )
    own = torch.softmax(log_prior(schema) - shift, 0)
    if shares is None:
        return replace(trained, priors=(own, _estimated(trained, own, rows(), memory)), prior_estimated=True)
    deployed = torch.tensor(shares, dtype=DTYPE)
    return replace(trained, priors=(own, deployed / deployed.sum()))


def _estimated(trained: Trained, own: Tensor, dataset: Dataset, memory: int) -> Tensor:
    """The most likely frequencies of the classes in the rows, ``[C]``."""
    likelihood, size = trained.likelihood, 8 * len(own) * len(dataset.all)
    if size > memory // 2:
        raise OptionError(
            f"--prior estimate: the outputs for {len(dataset.all)} rows take {size / 2**20:.1f} MiB, more "
            "than half of the memory for the rows; estimate it on fewer, and give the shares"
        )
    outputs, weights = [], []
    for features, rows, each in dataset.all.weighted_features(EVAL_BATCH, dtype=DTYPE):
        outputs.append(trained.output(features, rows, dataset.path))
        weights += [] if each is None else [each]
    if not outputs:
        raise OptionError(f"--prior estimate: {dataset.path} has no row to estimate from")
    output, weight = torch.cat(outputs), torch.cat(weights) if weights else None
    if isinstance(likelihood, Categorical):
        return estimate_prior(output, own, sample_weight=weight)
    # The distribution has the log-odds, of a network of log-probabilities too.
    yes = estimate_prior(
        cast(Bernoulli, likelihood.distribution(output)).logits, float(own[1]), sample_weight=weight
    )
    return torch.stack([1 - yes, yes])


def _inline(prior: str, names: tuple[str, ...]) -> list[float]:
    shares: dict[str, float] = {}
    for part in prior.split(","):
        name, equals, value = part.rpartition("=")
        name = name.strip()
        if not equals or name not in names:
            known = ", ".join(map(repr, names[:12])) + (", ..." if len(names) > 12 else "")
            raise OptionError(f"--prior: {part.strip()!r} is no class=share; the classes are {known}")
        if name in shares:
            raise OptionError(f"--prior: the class {name!r} is there twice; give it once")
        try:
            shares[name] = float(value)
        except ValueError as error:
            raise OptionError(f"--prior: the share of {name!r} is {value!r}; expected a number") from error
        if not 0 <= shares[name] <= 1:
            raise OptionError(f"--prior: the share of {name!r} is {value}; expected a number in [0, 1]")
    missing = [name for name in names if name not in shares]
    if missing:
        raise OptionError(f"--prior: no share for the class {missing[0]!r}; give one for each class")
    return [shares[name] for name in names]
