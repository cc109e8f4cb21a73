"""The compiled library: found and loaded on import, or the reason why there is none.

It is not loaded later, at the first call, because that call may be one that ``torch.compile`` traces.
"""

from __future__ import annotations

import os
from pathlib import Path

import torch

from likelihead.kernels.fused.registration import INTERPRETED, register

__all__ = ["ABSENT", "absent", "instruction_set"]


def _load(folder: Path) -> str | None:
    if INTERPRETED:
        return "TRITON_INTERPRET=1 is set: Triton's interpreter runs the triton backend's kernels on the CPU"
    override = os.environ.get(
        "LIKELIHEAD_NATIVE_LIBRARY"
    )  # another build of the same sources: `make sanitize`
    found = (
        [Path(override)]
        if override
        else sorted(path for path in folder.glob("_kernels*") if path.suffix in (".so", ".dylib", ".pyd"))
    )
    if not found:
        note = folder / "why_absent.txt"
        if note.exists():
            return note.read_text(encoding="utf-8").strip()
        return "it was not built: torch or a C++ compiler was missing when likelihead was installed"
    try:
        torch.ops.load_library(str(found[0]))  # type: ignore[no-untyped-call]
    except OSError as error:
        return f"{found[0].name} does not load into this torch ({error})"
    register()
    return None


ABSENT = _load(Path(__file__).parent)


def absent() -> str | None:
    """Why the library cannot be used, or None once it is loaded."""
    return ABSENT


def instruction_set() -> str:
    """Which variant of the kernels this processor runs: ``baseline``, ``avx2`` or ``avx512``."""
    name: str = torch.ops.likelihead.isa()
    return name
