"""What each kernel was built to need, and is held to by tests/benchmarks/test_machine_code.py."""

from __future__ import annotations

from benchmarks.machine_code.calls import Kernel
from benchmarks.machine_code.checks import Intended

THREADS = (
    512  # on a multiprocessor at least: what keeps the memory busy with 16 to 64 bytes of each on their way
)

# The most instructions per element and pass, by op and by the bytes of a logit. What an H200 can
# issue while it copies the element is 31 for 2 bytes and 62 for 4.
_INSTRUCTIONS = {
    ("softmax_nll", 2): 40.0,
    ("softmax_nll", 4): 70.0,
    ("sigmoid_nll", 2): 40.0,
    ("sigmoid_nll", 4): 60.0,
}
_PASSES: dict[str, int] = {}


def intended(kernel: Kernel) -> Intended:
    """Of one launch of a call."""
    if not kernel.elements:
        return Intended(instructions=())
    most = _INSTRUCTIONS[kernel.call.module, kernel.call.dtype.itemsize]
    row_bytes = kernel.call.shape[-1] * kernel.call.dtype.itemsize
    return Intended(
        instructions=(most,) * _PASSES.get(kernel.code.name, 1),
        programs=-(-THREADS // kernel.code.resources.threads),
        wide=row_bytes % 16 == 0,
    )
