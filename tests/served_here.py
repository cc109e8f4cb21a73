"""The backends that serve a CPU here: in the interpreter of Triton triton alone, elsewhere the others."""

from __future__ import annotations

import os

from likelihead.kernels.dispatch import backends

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"

_OF_THE_CPU = [b.name for b in backends() if b.available and b.name != "triton"]
AVAILABLE = ["triton"] if INTERPRETED else _OF_THE_CPU
# What is held to the reference, and what of that has kernels: torch's custom ops.
FAST = [name for name in AVAILABLE if name != "reference"]
FUSED = [name for name in FAST if name != "portable"]
# As a user has it, and each of the others by name.
AUTO_AND_OTHERS = ["auto", *AVAILABLE[1:]]
