"""What the kernels' suite leaves out in Triton's interpreter, by file or by test, each with its reason."""

from __future__ import annotations

NOT_INTERPRETED = {}
