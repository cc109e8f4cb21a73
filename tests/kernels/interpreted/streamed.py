"""Send every row to the kernel of the long ones, in small blocks."""

from __future__ import annotations

from typing import Any

import pytest

from likelihead.kernels.triton import softmax_plan


def stream_all(patch: pytest.MonkeyPatch, block: int = 128) -> None:
    """What fits the registers too; a row of more than ``block`` classes in several blocks."""
    planned = softmax_plan.streamed_constexprs

    def small(layout: Any, itemsize: int, num_warps: int) -> dict[str, Any]:
        constexprs = planned(layout, itemsize, num_warps)
        return {**constexprs, "LANES": block // constexprs["VECTOR"]}

    patch.setattr(softmax_plan, "_RESIDENT", 0)
    patch.setattr(softmax_plan, "streamed_constexprs", small)
