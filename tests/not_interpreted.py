"""What the kernels' suite leaves out in Triton's interpreter, test by test, each with its reason."""

from __future__ import annotations

ONE_AT_A_TIME = "the interpreter patches triton.language for the whole process while a kernel runs"

NOT_INTERPRETED: dict[str, str] = {
    "test_linear_ways_to_call.py::test_four_callers_at_once": ONE_AT_A_TIME,
    "test_torch_ops.py::test_four_callers_at_once": ONE_AT_A_TIME,
}
