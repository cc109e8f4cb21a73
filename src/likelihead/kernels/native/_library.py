"""The compiled library: found and loaded on import, or the reason why there is none.

It is not loaded later, at the first call, because that call may be one that ``torch.compile`` traces.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import torch

from likelihead.core.environment import check_environment
from likelihead.kernels.fused.registration import INTERPRETED, register
from likelihead.kernels.native.build import FOLDER, SHIPPED, places

__all__ = ["ABSENT", "PATH", "absent", "instruction_set", "stores"]


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
    if INTERPRETED:
        return None, "TRITON_INTERPRET=1 is set: Triton's interpreter runs the triton backend on the CPU"
    check_environment()
    reasons = []
    for library in _candidates():
        try:
            torch.ops.load_library(str(library))  # type: ignore[no-untyped-call]
        except OSError as error:
            reasons.append(f"{library.name} does not load into this torch ({error})")
            continue
        register()
        return library, None
    note = FOLDER / "why_absent.txt"
    if not reasons and note.exists():
        reasons.append(note.read_text(encoding="utf-8").strip())
    why = "; ".join(reasons) or "it was not compiled with the installation, for want of torch or a compiler"
    return None, f"{why} (`likelihead build` compiles it)"


PATH, ABSENT = _load()


def absent() -> str | None:
    """Why the library cannot be used, or None once it is loaded."""
    return ABSENT


def instruction_set() -> str:
    """Which variant of the kernels this processor runs: ``baseline``, ``avx2`` or ``avx512``."""
    name: str = torch.ops.likelihead.isa()
    return name


def stores() -> str:
    """How large gradients are written: ``cached``, ``past`` the caches, or ``not measured yet``."""
    name: str = torch.ops.likelihead.stores()
    return name
