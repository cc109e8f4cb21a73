"""A finished run, read back to predict and to evaluate."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from likelihead.errors import CheckpointError, DataError
from likelihead.evaluate import adjust_prior
from likelihead.likelihoods import Categorical, Likelihood
from likelihead.train.config import TrainConfig
from likelihead.train.resolved import Resolved
from likelihead.train.run import MODEL
from likelihead.train.stored import finished
from likelihead.train.table.calibration import Fitted
from likelihead.train.table.data import Schema
from likelihead.train.table.models import MLP
from likelihead.train.table.network import baseline_of, build_model, plain, through_logits

__all__ = ["Trained", "load_run"]


@dataclass(frozen=True)
class Trained:
    """A trained network with its likelihood.

    Attributes:
        config, resolved, schema: of the run.
        model: the network, in evaluation mode.
        likelihood: the plain one, for the network's outputs.
        baseline: the likelihood of the constant prediction.
        fitted: what the rows held out of the training have taught; None where none were.
        priors: the frequencies of the classes that the run's probabilities stand for, and those that are
            predicted for instead; None where they are the same.
        prior_estimated: whether the latter were estimated from the rows.
    """

    config: TrainConfig
    resolved: Resolved
    schema: Schema
    model: MLP
    likelihood: Likelihood
    baseline: Likelihood
    fitted: Fitted | None = None
    priors: tuple[Tensor, Tensor] | None = None
    prior_estimated: bool = False

    def output(self, features: Tensor, rows: Tensor, path: str) -> Tensor:
        """The network's output, calibrated where the run was, for the prior that is asked for.

        Raises:
            DataError: it is not finite; the message names the row.
        """
        with torch.no_grad():
            output: Tensor = self.model(features)
            if self.fitted is not None:
                output = self.fitted.output(output)
        finite = torch.isfinite(output).reshape(len(output), -1).all(1)
        if not bool(finite.all()):
            raise DataError(
                "the network's output is not finite; check the row for cells far outside the training data",
                path=path,
                row=int(rows[~finite][0]),
            )
        return output if self.priors is None else self._deployed(output, *self.priors)

    def _deployed(self, output: Tensor, own: Tensor, deployed: Tensor) -> Tensor:
        if isinstance(self.likelihood, Categorical):
            return through_logits(self.likelihood, output, lambda z: adjust_prior(z, own, deployed))
        yes = float(own[1]), float(deployed[1])
        return through_logits(self.likelihood, output, lambda z: adjust_prior(z, *yes))

    @property
    def threshold(self) -> Tensor | None:
        """The tuned thresholds of a yes; None where there are none, or they are for other frequencies."""
        if self.fitted is None or not self.fitted.thresholds or self.priors is not None:
            return None
        return self.fitted.threshold

    def notes(self) -> list[str]:
        """What is to be known of its predictions."""
        notes = [] if self.fitted is None else [self.fitted.describe(self.schema)]
        if self.priors is not None:
            own, deployed = ([round(float(share), 4) for share in prior] for prior in self.priors)
            estimated = ", as estimated from these rows" if self.prior_estimated else ""
            notes.append(
                f"predicted for the class shares {deployed}{estimated}, where the run's own are {own}"
            )
            if self.fitted is not None and self.fitted.thresholds:
                notes.append(
                    "the tuned thresholds are for the training's class shares and are not used with --prior"
                )
        return notes


def load_run(folder: Path) -> Trained:
    """Read a run folder, with everything in it verified.

    Raises:
        RunError: it is no run folder, its training is not finished, or its files belong to different runs.
        CheckpointError: the model's file is damaged.
    """
    run = finished(folder)
    config, resolved, metadata = run.config, run.resolved, run.metadata
    schema = Schema.from_json(metadata["schema"])
    try:
        variance = float(metadata["variance"])
        if not (math.isfinite(variance) and variance > 0):
            raise ValueError(f"variance is {variance}")
        likelihood = plain(config, schema, variance)
        with torch.random.fork_rng(devices=[]):
            model = build_model(config, schema, likelihood)
        model.load_state_dict(run.tensors)
        fitted = Fitted.from_metadata(metadata, schema)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise CheckpointError(
            f"{folder / MODEL} does not fit {folder}/config.toml ({reason}); the files are of different "
            "runs, "
            "or config.toml was edited: restore them"
        ) from error
    model.eval()
    baseline = baseline_of(config, schema, resolved)
    return Trained(config, resolved, schema, model, likelihood, baseline, fitted)
