"""What is fitted after the training on the rows held out of it: a calibration, and thresholds."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from likelihead.errors import DataError
from likelihead.evaluate import Calibrator, PlattScaling, TemperatureScaling, VectorScaling, tune_thresholds
from likelihead.likelihoods import Bernoulli, Categorical, Likelihood
from likelihead.train.config import TrainConfig
from likelihead.train.resolved import Resolved
from likelihead.train.table.choices import calibration_fraction
from likelihead.train.table.data import Dataset, Schema
from likelihead.train.table.network import DTYPE, EVAL_BATCH
from likelihead.train.table.objective import log_prior

__all__ = ["Fitted", "check_held_out", "fit", "shift_of"]

# Where the model's metadata has it.
_KEY = "held_out"


@dataclass(frozen=True)
class Fitted:
    """What the held-out rows have taught.

    Attributes:
        rows: how many there were.
        how: ``none``, ``temperature``, ``vector`` or ``platt``.
        calibrator: of the network's output; None without a calibration, or where it gained no more on the
            held-out rows than chance gives.
        gain: what it gained, or would have, on the held-out rows, in nats in all.
        at_bound: whether a temperature came to rest at an end of its range.
        thresholds: the best of each yes: one number, or one for each label; empty where none were tuned.
        f1: what each gives on the held-out rows, and what one half gives there.
        labels: whether there are several labels, each with a threshold of its own.
    """

    rows: int
    how: str = "none"
    calibrator: Calibrator | None = None
    gain: float = 0.0
    at_bound: bool = False
    thresholds: tuple[float, ...] = ()
    f1: tuple[tuple[float, float], ...] = ()
    labels: bool = False

    @property
    def threshold(self) -> Tensor | None:
        """The thresholds as ``likelihood.predict`` takes them: 0-d for one yes."""
        if not self.thresholds:
            return None
        values = torch.tensor(self.thresholds, dtype=DTYPE)
        return values if len(values) > 1 or self.labels else values[0]

    def output(self, output: Tensor) -> Tensor:
        """The network's output, calibrated."""
        return output if self.calibrator is None else self.calibrator(output)

    def describe(self, schema: Schema) -> str:
        """What was fitted, as a sentence."""
        tuned = ""
        if self.thresholds:
            names = schema.target.names if schema.task == "multilabel" else schema.target.names[1:]
            shown = [f"{value:.4g} for {name}" for name, value in zip(names, self.thresholds, strict=True)]
            more = f" and {len(shown) - 6} more" if len(shown) > 6 else ""
            tuned = f"; a yes is said above the tuned threshold: {', '.join(shown[:6])}{more}"
        return self._calibration() + tuned

    def _calibration(self) -> str:
        on = f"on {self.rows} rows held out of the training"
        if isinstance(self.calibrator, TemperatureScaling):
            bound = (
                ", the end of its range: the model is no better than chance there" if self.at_bound else ""
            )
            return f"calibrated {on}: temperature {self.calibrator.temperature:.4g}{bound}"
        if self.calibrator is None and self.how != "none":
            what = "a temperature" if self.how == "temperature" else f"{self.how} scaling"
            return (
                f"not calibrated: {on} {what} would gain {self.gain:.2g} nats in all, no more than chance "
                "gives; more rows would tell more"
            )
        if self.calibrator is None:
            return f"not calibrated; {self.rows} rows were held out of the training"
        each = "a slope and an offset" if self.how == "platt" else "a scale and a shift for each class"
        return f"calibrated {on}: {self.how} scaling, {each}"

    def metadata(self) -> dict[str, str]:
        """What the model's file says of it; floats go through JSON without loss."""
        values = {} if self.calibrator is None else self.calibrator.state_dict()
        content = {
            "rows": self.rows,
            "how": self.how,
            "gain": self.gain,
            "at_bound": self.at_bound,
            "values": {name: value.tolist() for name, value in values.items()},
            "thresholds": list(self.thresholds),
            "f1": [list(pair) for pair in self.f1],
            "labels": self.labels,
        }
        return {_KEY: json.dumps(content)}

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, str], schema: Schema) -> Fitted | None:
        """The inverse of :meth:`metadata`; None where nothing was fitted.

        Raises:
            KeyError, ValueError, TypeError, RuntimeError: it was not written by this version.
        """
        if _KEY not in metadata:
            return None
        content = json.loads(metadata[_KEY])
        calibrator = _calibrator(content["how"], schema) if content["values"] else None
        if calibrator is not None:
            values = {
                name: torch.tensor(value, dtype=torch.float64) for name, value in content["values"].items()
            }
            calibrator.load_state_dict(values)
            if not all(bool(torch.isfinite(value).all()) for value in values.values()):
                raise ValueError("the calibration is not finite")
        thresholds = tuple(float(value) for value in content["thresholds"])
        if thresholds and len(thresholds) != schema.num_outputs:
            raise ValueError(f"{len(thresholds)} thresholds for {schema.num_outputs} outputs")
        if not all(0 <= value <= 1 for value in thresholds):
            raise ValueError("a threshold is no probability")
        return cls(
            int(content["rows"]),
            str(content["how"]),
            calibrator,
            float(content["gain"]),
            bool(content["at_bound"]),
            thresholds,
            tuple((float(tuned), float(half)) for tuned, half in content["f1"]),
            bool(content["labels"]),
        )


def check_held_out(config: TrainConfig, data: Dataset) -> None:
    """Refuse held-out rows that cannot calibrate, before the training is begun.

    Raises:
        DataError: all of them are of one class; of several labels, one never changes.
    """
    if not calibration_fraction(config) or data.calibration is None:
        return
    low: Tensor | None = None
    high: Tensor | None = None
    for _, target in data.calibration.batches(EVAL_BATCH, dtype=DTYPE, shuffle=False):
        if data.schema.soft:
            target = target.argmax(1)
        first, last = target.amin(0), target.amax(0)
        low = first if low is None else torch.minimum(low, first)
        high = last if high is None else torch.maximum(high, last)
    if low is None or high is None:
        return
    constant = low == high
    names = data.schema.target.names
    rows = f"the {len(data.calibration)} rows held out for calibration"
    remedy = "hold out others with another --seed, give more rows, or leave out the option"
    if constant.dim() == 0 and bool(constant):
        raise DataError(
            f"{rows} are all of the class {names[int(low)]!r}, of which nothing can be learnt: {remedy}",
            path=data.path,
        )
    by_label = constant.dim() and (config.calibrate == "platt" or config.tune_thresholds)
    if (by_label and bool(constant.any())) or (constant.dim() and bool(constant.all())):
        label = int(constant.long().argmax())
        answer = "a yes" if bool(low[label]) else "a no"
        raise DataError(f"in {rows} the label {names[label]!r} is always {answer}: {remedy}", path=data.path)


def fit(
    config: TrainConfig,
    data: Dataset,
    likelihood: Likelihood,
    output_of: Callable[[Tensor], Tensor],
) -> Fitted | None:
    """Fit what the options ask for.

    The held-out rows have the training's frequencies of the classes. A network that logit adjustment trained
    is calibrated with its offset put back, which is exact, and its output then keeps the flatter prior. What
    class weights and resampling do to the probabilities is not known exactly: vector and Platt scaling take
    it back, as they fit an offset; a temperature cannot.

    Args:
        config: of the run.
        data: with the held-out rows.
        likelihood: the plain one.
        output_of: the network.

    Returns:
        None where nothing was asked for.
    """
    if data.calibration is None:
        return None
    outputs, targets, weights = [], [], []
    with torch.no_grad():
        for features, target, _, each in data.calibration.weighted_batches(EVAL_BATCH, dtype=DTYPE):
            outputs.append(output_of(features))
            targets.append(target)
            weights += [] if each is None else [each]
    output, target = torch.cat(outputs), torch.cat(targets)
    weight = torch.cat(weights) if weights else None
    if weight is not None:
        # Rows that weigh less than one on the average still are as many observations as there are rows: what
        # a calibration has to gain to be no chance is told in nats.
        weight = weight / weight.mean().clamp_max(1.0)
    fitted = Fitted(len(data.calibration), labels=data.task == "multilabel")
    if config.calibrate != "none":
        fitted = _calibrated(config, data.schema, fitted, likelihood, output, target, weight)
    if config.tune_thresholds:
        tuned = tune_thresholds(likelihood.probs(fitted.output(output)), target, sample_weight=weight)
        columns = (t.reshape(-1).tolist() for t in (tuned.thresholds, tuned.value, tuned.value_at_half))
        thresholds, best, half = columns
        fitted = replace(fitted, thresholds=tuple(thresholds), f1=tuple(zip(best, half, strict=True)))
    return fitted


def _calibrated(
    config: TrainConfig,
    schema: Schema,
    fitted: Fitted,
    likelihood: Likelihood,
    output: Tensor,
    target: Tensor,
    weight: Tensor | None,
) -> Fitted:
    fitted = replace(fitted, how=config.calibrate)
    shift = config.logit_adjustment * log_prior(schema) if config.logit_adjustment else None
    calibrator = _calibrator(config.calibrate, schema)
    if shift is None:
        report = calibrator.fit(likelihood, output, target, sample_weight=weight)
    elif isinstance(likelihood, Categorical):
        shifted = Categorical(likelihood.num_classes, logit_offset=shift)
        report = calibrator.fit(shifted, output, target, sample_weight=weight)
    elif isinstance(calibrator, PlattScaling):
        report = calibrator.fit(Bernoulli(), output + shift[1] - shift[0], target, sample_weight=weight)
        # a (z + s) + b is the log-odds with the prior put back, and the run's own lacks s.
        calibrator.shift.add_((calibrator.scale - 1) * (shift[1] - shift[0]))
    else:
        # One logit is the second of two whose first is 0; the temperature is the same.
        two = torch.stack([torch.zeros_like(output), output], 1)
        report = calibrator.fit(Categorical(2, logit_offset=shift), two, target.long(), sample_weight=weight)
    fitted = replace(fitted, gain=report.gain)
    return fitted if report.by_chance else replace(fitted, calibrator=calibrator, at_bound=report.at_bound)


def shift_of(config: TrainConfig, schema: Schema, resolved: Resolved, fitted: Fitted | None) -> Tensor | None:
    """What the run's output, calibrated or not, lacks of the log prior, ``[C]``; None where not known."""
    offset_fitted = fitted is not None and isinstance(fitted.calibrator, (PlattScaling, VectorScaling))
    if offset_fitted and schema.task != "multilabel":
        return config.logit_adjustment * log_prior(schema)
    return torch.tensor(resolved.prior_shift, dtype=DTYPE) if resolved.prior_shift else None


def _calibrator(how: str, schema: Schema) -> Calibrator:
    if how == "vector":
        return VectorScaling(schema.num_outputs)
    if how == "platt":
        return PlattScaling(schema.num_outputs if schema.task == "multilabel" else None)
    if how != "temperature":
        raise ValueError(f"a calibration by {how!r} is not known")
    return TemperatureScaling()
