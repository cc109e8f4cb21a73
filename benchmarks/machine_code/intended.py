"""What each kernel was built to need, and is held to by tests/benchmarks/test_machine_code.py."""

from __future__ import annotations

from benchmarks.machine_code.calls import Kernel
from benchmarks.machine_code.checks import Intended

EXPONENTIALS = 1.75  # one for each element, and a few for each example
_OF_TWO = 3.25  # of two rows, and of a mixture the logarithm's division
THREADS = 512  # on a multiprocessor at least, each with 16 to 64 bytes on their way

# The most instructions per element of a pass, by kernel and by the bytes of a logit. While it copies an
# element an H200 can issue 31 for 2 bytes and 62 for 4: over all passes.
_INSTRUCTIONS = {
    ("softmax_resident", 2): 28.0,
    ("softmax_resident", 4): 52.0,
    ("softmax_streamed", 2): 16.0,
    ("softmax_streamed", 4): 48.0,
    ("softmax_kl", 2): 50.0,
    ("softmax_scores", 2): 18.0,
    ("softmax_scores", 4): 46.0,
    ("sigmoid_kernel", 2): 34.0,
    ("sigmoid_kernel", 4): 68.0,
    ("sigmoid_again_kernel", 2): 34.0,
    ("_scale", 2): 10.0,
}
TUNED = "sm_90"  # what the tunables are for
_PASSES = {"softmax_streamed": 3, "softmax_scores": 2, "softmax_kl": 3, "sigmoid_again_kernel": 2}
# Their programs stay until all is done: as many are launched as shall fit side by side.
_RESIDENT = (
    "softmax_streamed",
    "softmax_scores",
    "softmax_kl",
    "sigmoid_kernel",
    "sigmoid_again_kernel",
    "_scale",
)
# Where more is intended: tiles of pixels change their layout in shared memory; 10 classes are few to share
# what an example costs; a weight or a probability for each class is one more read; a label that may be
# missing is asked for that, and counted; a mixture has a logarithm for each class.
_MORE = {
    "ce-segmentation": 40.0,
    "few-classes": 52.0,
    "ce-few": 38.0,
    "ce-options": 40.0,
    "ce-soft": 62.0,
    "bce-pos": 62.0,
    "bce-missing": 44.0,
    "options": 66.0,
    "kl-jsd": 116.0,
    "soft": 62.0,
}


def intended(kernel: Kernel) -> Intended:
    """Of one launch of a call."""
    # What closes a loss goes over the elements once in a while, and in the code of the others.
    if not kernel.elements or kernel.code.name == "sigmoid_close_kernel":
        return Intended(instructions=0, passes=0)
    call, threads = kernel.call, kernel.code.resources.threads
    programs = -(-THREADS // threads)
    if kernel.code.name in _RESIDENT and kernel.code.target == TUNED:
        programs = max(programs, -(-kernel.work.programs // kernel.multiprocessors))
    width = call.dtype.itemsize
    row_bytes = width * (call.shape[-1] if call.by_example else kernel.work.elements)
    return Intended(
        instructions=_MORE.get(call.case, _INSTRUCTIONS.get((kernel.code.name, width), 0.0)),
        passes=_PASSES.get(kernel.code.name, 1),
        exponentials=_OF_TWO if call.module == "softmax_kl" else EXPONENTIALS,
        programs=programs,
        wide=row_bytes % 16 == 0 or kernel.code.name in ("softmax_streamed", "softmax_scores", "softmax_kl"),
    )
