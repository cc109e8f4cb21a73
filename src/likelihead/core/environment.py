"""Environment variables that name one of some choices; LIKELIHEAD_GUARD is read by guard/switch.py."""

from __future__ import annotations

import os

from likelihead.errors import OptionError

__all__ = ["CHOICES", "check_environment"]

CHOICES: dict[str, tuple[str, ...]] = {
    # Read by the native library, which takes no notice of what it does not know.
    "LIKELIHEAD_ISA": ("baseline", "avx2", "avx512"),
    "LIKELIHEAD_STORES": ("cached", "past"),
}


def check_environment() -> None:
    """Raise an OptionError for the first of these variables that is set to no choice of its own."""
    for name, values in CHOICES.items():
        given = os.environ.get(name)
        if given and given not in values:
            raise OptionError(
                f"environment variable {name} is {given!r}; expected one of {', '.join(values)}. "
                "Unset it, and the best is found."
            )
