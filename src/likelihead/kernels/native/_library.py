"""The compiled library: found and loaded on import, or the reason why there is none.

It is not loaded later, at the first call, because that call may be one that ``torch.compile`` traces.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import torch

from likelihead.kernels.native.build import FOLDER, SHIPPED, places

__all__ = ["ABSENT", "PATH", "REMEDY", "absent", "instruction_set"]

# What makes the library available where it is absent; Windows has no compiler that its torch goes with.
REMEDY = None if sys.platform == "win32" else "run `likelihead build`, which compiles it"


def _candidates() -> Iterator[Path]:
    """The libraries that are there, the best first."""
    if override := os.environ.get("LIKELIHEAD_NATIVE_LIBRARY"):  # as `make sanitize` does
        yield Path(override)
        return
    shipped = FOLDER / SHIPPED
    if shipped.exists():
        yield shipped
    yield from (place for place in places() if place.exists())


def _load() -> tuple[Path | None, str | None]:
    """The library that has been loaded, or why none has."""
    reasons = []
    for library in _candidates():
        try:
            torch.ops.load_library(str(library))  # type: ignore[no-untyped-call]
        except OSError as error:
            reasons.append(f"{library.name} does not load into this torch ({error})")
            continue
        from likelihead.kernels.fused.registration import register

        register()
        return library, None
    if reasons:
        return None, "; ".join(reasons)
    note = FOLDER / "why_absent.txt"
    if note.exists():
        return None, note.read_text(encoding="utf-8").strip()
    return None, "it was not compiled when likelihead was installed, for want of torch or of a C++ compiler"


PATH, ABSENT = _load()


def absent() -> str | None:
    """Why the library cannot be used, or None once it is loaded."""
    return ABSENT


def instruction_set() -> str:
    """Which variant of the kernels this processor runs: ``baseline``, ``avx2`` or ``avx512``."""
    name: str = torch.ops.likelihead.isa()
    return name
