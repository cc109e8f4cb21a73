"""Send every row to the kernel of the long ones, in small blocks."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from likelihead.kernels.triton import plans, softmax_plan
from likelihead.kernels.triton.tunables import Tunable


def stream_all(patch: pytest.MonkeyPatch, block: int = 128) -> None:
    """What fits the registers too; a row of more than ``block`` classes in several blocks."""
    planned, look_up = softmax_plan.streamed_constexprs, softmax_plan.lookup

    def small(*given: Any) -> tuple[dict[str, Any], Tunable]:
        tile, row = planned(*given)
        return {**tile, "LANES": block // tile["VECTOR"]}, row

    def nothing_fits(kernel: str, bucket: str) -> Tunable:
        row = look_up(kernel, bucket)
        return replace(row, block=0) if kernel in ("softmax_resident", "softmax_rows") else row

    patch.setattr(softmax_plan, "streamed_constexprs", small)
    patch.setattr(softmax_plan, "lookup", nothing_fits)
    patch.setattr(plans, "_plans", {})
