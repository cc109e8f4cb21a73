"""Predictions for a world whose classes have other frequencies than the training rows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

from likelihead.errors import OptionError
from likelihead.train.table.by_class import read_by_class
from likelihead.train.table.calibration import shift_of
from likelihead.train.table.network import DTYPE
from likelihead.train.table.objective import log_prior
from likelihead.train.table.trained import Trained

__all__ = ["for_prior"]

_REMEDY = "--prior takes a=0.1,b=0.9 or a file"


def for_prior(trained: Trained, prior: str) -> Trained:
    """The run, with outputs for other frequencies of the classes.

    Args:
        trained: the run.
        prior: ``a=0.1,b=0.9``, or a file: a JSON object of shares by class, or CSV lines ``class,share``.

    Raises:
        OptionError: the task has no exclusive classes; a share is no number; the shares do not sum to one; or
            the run's own prior is not known.
        DataError: the file cannot be read, or names other classes.
    """
    schema = trained.schema
    if schema.task not in ("binary", "multiclass"):
        raise OptionError(f"--prior does not apply to a {schema.task} run; it is for exclusive classes")
    names = schema.target.names
    if "=" in prior and not Path(prior).exists():
        shares = _inline(prior, names)
    else:
        shares = read_by_class(Path(prior), names, what="class", number="share", remedy=_REMEDY)
    if abs(sum(shares) - 1) > 1e-6:
        raise OptionError(f"--prior sums to {sum(shares):.6g}; the shares of the classes sum to 1")
    shift = shift_of(trained.config, schema, trained.resolved)
    if shift is None:
        raise OptionError(
            "--prior needs the frequencies that the run's probabilities stand for, and its --class-weight "
            "gives a class the weight 0; train with positive weights"
        )
    own = torch.softmax(log_prior(schema) - shift, 0)
    deployed = torch.tensor(shares, dtype=DTYPE)
    return replace(trained, priors=(own, deployed / deployed.sum()))


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
