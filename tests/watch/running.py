"""Run a training script in this process, as `python SCRIPT --seed N` would, and leave nothing behind.

>>> from pathlib import Path
>>> ran = run(SCRIPTS / "iris_logits.py", ["--seed", "3"])
>>> print(ran.stdout.splitlines()[-1][:8])
accuracy
"""

from __future__ import annotations

import contextlib
import io
import os
import random
import re
import runpy
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

__all__ = ["SCRIPTS", "Ran", "run", "scripts", "true_hazards"]

SCRIPTS = Path(__file__).parent / "scripts"
# Where scripts put functions of their own in place of torch's.
_PATCHED = (torch, torch.nn, torch.nn.functional, torch.Tensor)
_TRUE = re.compile(r"^# true: (.*)$", re.MULTILINE)


@dataclass(frozen=True)
class Ran:
    """What a script printed, and the names it left at its top level."""

    stdout: str
    names: dict[str, Any]


def scripts() -> list[Path]:
    """All of them, in the order of their names."""
    return sorted(path for path in SCRIPTS.glob("*.py") if path.name != "conftest.py")


def true_hazards(path: Path) -> frozenset[str]:
    """The codes that a script says hold for it by its nature: `# true: LH109`."""
    return frozenset(code for line in _TRUE.findall(path.read_text()) for code in re.findall(r"LH\d+", line))


def run(path: Path, argv: Sequence[str] = ()) -> Ran:
    """Run `path` as ``__main__`` with fresh globals.

    Standard output is kept. Arguments, working folder, random generators, the settings of torch and
    its functions are afterwards what they were before: so a script may be run bare, and then again under a
    context manager that has put its own functions there.
    """
    printed = io.StringIO()
    with _as_it_was(), contextlib.redirect_stdout(printed):
        sys.argv = [str(path), *argv]
        torch.manual_seed(0)
        random.seed(0)
        names = runpy.run_path(str(path), run_name="__main__")
    return Ran(printed.getvalue(), names)


@contextmanager
def _as_it_was() -> Iterator[None]:
    argv, folder, dtype = sys.argv, os.getcwd(), torch.get_default_dtype()
    python, generator, threads = random.getstate(), torch.get_rng_state(), torch.get_num_threads()
    deterministic, grad = torch.are_deterministic_algorithms_enabled(), torch.is_grad_enabled()
    functions = [(place, dict(vars(place))) for place in _PATCHED]
    try:
        with warnings.catch_warnings():
            yield
    finally:
        for place, before in functions:
            for name, value in before.items():
                if vars(place).get(name) is not value:
                    setattr(place, name, value)
        torch.use_deterministic_algorithms(deterministic)
        torch.set_grad_enabled(grad)
        torch.set_num_threads(threads)
        torch.set_default_dtype(dtype)
        torch.set_rng_state(generator)
        random.setstate(python)
        os.chdir(folder)
        sys.argv = argv
