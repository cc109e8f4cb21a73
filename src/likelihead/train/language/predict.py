"""There is nothing to predict row by row in a text: say what to do instead."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO, NoReturn

from likelihead.errors import OptionError

__all__ = ["predict"]


def predict(
    run: Path,
    data: str,
    *,
    out: Path | None,
    stream: BinaryIO | None,
    probs: bool,
    threshold: float | None,
    cost: Path | None,
    memory: int,
    overwrite: bool = False,
) -> NoReturn:
    """Refuse.

    Raises:
        OptionError: always.
    """
    raise OptionError(
        f"{run} is the run of a language task, which predicts no rows; write text with `likelihead sample "
        f"{run}`, or score {data} with `likelihead evaluate {run} {data}`"
    )
