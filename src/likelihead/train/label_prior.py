"""What label smoothing draws a yes or no towards."""

from __future__ import annotations

from torch import Tensor

from likelihead.errors import OptionError
from likelihead.train.config import TrainConfig
from likelihead.train.options import BY_NAME

__all__ = ["OBSERVED", "label_prior", "label_prior_of"]

OBSERVED = "observed"


def label_prior_of(config: TrainConfig) -> str:
    """The option, ``0.5``, another probability or ``observed``.

    Raises:
        OptionError: it says what nothing is drawn towards.
    """
    if not config.label_smoothing and config.label_prior != BY_NAME["label_prior"].default:
        raise OptionError(
            f"--label-prior {config.label_prior} is what --label-smoothing draws a yes or no towards, and "
            "there is none; give --label-smoothing 0.1, or leave it out"
        )
    return config.label_prior


def label_prior(config: TrainConfig, summary: Tensor | None, count: int) -> tuple[float, ...]:
    """The probability of each yes or no; empty where it is one half, the likelihood's own default.

    Args:
        config: of the run.
        summary: how often each is a no and a yes in the training data, ``[2]`` or ``[count, 2]``; where the
            option is ``observed``.
        count: how many there are.
    """
    option = label_prior_of(config)
    if option != OBSERVED or summary is None:
        return () if float(option) == 0.5 else (float(option),) * count
    no, yes = summary.reshape(-1, 2).double().unbind(1)
    # What no row knows of is half a yes.
    return tuple(((yes + 0.5 * (no + yes == 0)) / (no + yes).clamp_min(1e-300)).tolist())
