"""Options of a table's run that do not go together, each with the reason."""

from __future__ import annotations

from likelihead.errors import OptionError
from likelihead.train.config import TrainConfig
from likelihead.train.table.data import Schema

__all__ = ["CALIBRATION_FRACTION", "calibration_fraction", "check_together"]

CALIBRATION_FRACTION = 0.2
"""The share of the rows not tested on that --calibrate and --tune-thresholds hold out of the training."""

_COUNTED = ("balanced", "effective")


def calibration_fraction(config: TrainConfig) -> float:
    """The share of the training rows that the options hold out."""
    return CALIBRATION_FRACTION if config.calibrate != "none" or config.tune_thresholds else 0.0


def check_together(config: TrainConfig, schema: Schema) -> None:
    """Refuse options that contradict each other, or that the targets give no meaning to.

    Raises:
        OptionError: names both, and which to leave out.
    """
    _check_balance(config)
    _check_output(config)
    _check_targets(config, schema)
    _check_teacher(config)
    if config.focal and config.label_smoothing:
        raise OptionError(
            f"--focal {config.focal:g} weighs a row by the probability of its one true class, and "
            "--label-smoothing gives it several; leave one of them out"
        )
    if config.sample_weight and config.resample != "none":
        raise OptionError(
            f"--resample {config.resample} draws each class equally often, which --sample-weight would undo; "
            "use --class-weight balanced, which balances what the classes weigh"
        )
    if config.logit_adjustment and not all(schema.target.counts):
        absent = schema.target.names[schema.target.counts.index(0)]
        raise OptionError(
            f"--logit-adjustment {config.logit_adjustment:g}: no training row has the class {absent!r}, so "
            "that its log prior is infinite; leave its column out of --target"
        )
    wrong = {"multiclass": "platt", "binary": "vector", "multilabel": "vector"}.get(schema.task)
    if config.calibrate == wrong:
        right = "temperature or vector" if schema.task == "multiclass" else "temperature or platt"
        what = (
            "a slope and an offset for each yes"
            if wrong == "platt"
            else "a scale for each of several classes"
        )
        raise OptionError(f"--calibrate {wrong} is {what}; a {schema.task} task takes {right}")


def _check_balance(config: TrainConfig) -> None:
    """One correction for the classes' frequencies is enough: two of them favour the rare classes instead."""
    given = []
    if config.class_weight in _COUNTED:
        given.append(f"--class-weight {config.class_weight}")
    if config.resample != "none":
        given.append(f"--resample {config.resample}")
    if config.logit_adjustment:
        given.append(f"--logit-adjustment {config.logit_adjustment:g}")
    if len(given) > 1:
        raise OptionError(
            f"{given[0]} and {given[1]} both make up for the classes' frequencies, and together they would "
            "favour the rare ones; give one of them"
        )


def _check_output(config: TrainConfig) -> None:
    if config.output != "log-probs":
        return
    needing = {
        "--logit-adjustment": config.logit_adjustment,
        "--focal": config.focal,
        "--calibrate": config.calibrate != "none",
        "--teacher": config.teacher,
    }
    for option, is_given in needing.items():
        if is_given:
            raise OptionError(f"{option} acts on logits; leave out --output log-probs")


def _check_targets(config: TrainConfig, schema: Schema) -> None:
    if not schema.soft:
        return
    if config.resample != "none":
        raise OptionError(
            "--resample balanced draws rows by their class, and these targets are probabilities; use "
            "--class-weight balanced"
        )
    if config.focal:
        raise OptionError(
            "--focal weighs a row by the probability of its one true class, and these targets are "
            "probabilities; leave it out"
        )


def _check_teacher(config: TrainConfig) -> None:
    if not config.teacher:
        if config.temperature != 1:
            raise OptionError("--temperature is the teacher's; give --teacher RUN as well")
        return
    refused = {
        "--label-smoothing": (config.label_smoothing, "the teacher's probabilities are smooth already"),
        "--class-weight": (config.class_weight != "none", "the least loss would not be the teacher's"),
        "--logit-adjustment": (config.logit_adjustment, "the least loss would not be the teacher's"),
        "--focal": (config.focal, "the least loss would not be the teacher's"),
    }
    for option, (is_given, why) in refused.items():
        if is_given:
            raise OptionError(f"{option} does not go with --teacher: {why}; leave one of them out")
