"""The numbers that each kernel is tuned by: one table, which a search on a card is pasted into.

A bucket is a range of sizes and dtypes that the plan of the kernel names. ``python -m benchmarks gpu`` tries
the values of `SPACE` and prints the rows that it found best.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace

__all__ = ["SPACE", "TUNABLES", "Tunable", "generation", "lookup", "override", "record"]


@dataclass(frozen=True)
class Tunable:
    """A row of the table.

    Attributes:
        block: elements that a program handles at once.
        num_warps, num_stages: as Triton has them.
        programs_per_multiprocessor: how many programs a launch of resident ones has for each.
        source: the card and the date of the measurement, or "predicted".
    """

    block: int
    num_warps: int
    num_stages: int = 1
    programs_per_multiprocessor: int = 8
    source: str = "predicted"


TUNABLES: dict[tuple[str, str], Tunable] = {
    # Resident programs share the elements out among them: no more than a multiprocessor holds at once, for
    # a second wave of them would leave most idle. Buckets by the dtype of the logits.
    ("sigmoid", "16-bit"): Tunable(block=2048, num_warps=4, programs_per_multiprocessor=8),
    # One warp a program: whether a tile has soft labels is then asked without a barrier.
    ("sigmoid", "float32"): Tunable(block=256, num_warps=1, programs_per_multiprocessor=20),
    ("sigmoid", "float64"): Tunable(block=128, num_warps=1, programs_per_multiprocessor=16),
    # With weights, a mask or a prior beside the labels, which take registers.
    ("sigmoid", "16-bit, more"): Tunable(block=2048, num_warps=4, programs_per_multiprocessor=5),
    ("sigmoid", "float32, more"): Tunable(block=256, num_warps=1, programs_per_multiprocessor=20),
    ("sigmoid", "float64, more"): Tunable(block=128, num_warps=1, programs_per_multiprocessor=16),
    # With labels that may be missing, which are counted.
    ("sigmoid", "16-bit, missing"): Tunable(block=2048, num_warps=4, programs_per_multiprocessor=5),
    ("sigmoid", "float32, missing"): Tunable(block=256, num_warps=1, programs_per_multiprocessor=16),
    ("sigmoid", "float64, missing"): Tunable(block=128, num_warps=1, programs_per_multiprocessor=12),
    # Rows that a program holds: block is what a warp of it holds, num_warps the most of them.
    ("softmax_resident", "16-bit"): Tunable(block=1024, num_warps=16),
    ("softmax_resident", "float32"): Tunable(block=1024, num_warps=16),
    ("softmax_resident", "float64"): Tunable(block=512, num_warps=16),
    # The same where each class has more than its logit: a weight, a probability, a mask, the slope of a cap.
    ("softmax_resident", "16-bit, more"): Tunable(block=512, num_warps=16),
    ("softmax_resident", "float32, more"): Tunable(block=512, num_warps=16),
    ("softmax_resident", "float64, more"): Tunable(block=256, num_warps=16),
    # Few classes: block is the most that a thread has of them.
    ("softmax_rows", "16-bit"): Tunable(block=128, num_warps=4),
    ("softmax_rows", "float32"): Tunable(block=64, num_warps=4),
    ("softmax_rows", "float64"): Tunable(block=32, num_warps=4),
    # Longer rows, read twice: block is what a thread has of one at once. "wide": two for each multiprocessor
    # would not fit the L2.
    ("softmax_streamed", "16-bit"): Tunable(block=32, num_warps=8, programs_per_multiprocessor=2),
    ("softmax_streamed", "16-bit, wide"): Tunable(block=32, num_warps=16, programs_per_multiprocessor=1),
    ("softmax_streamed", "float32"): Tunable(block=8, num_warps=8, programs_per_multiprocessor=2),
    ("softmax_streamed", "float32, wide"): Tunable(block=8, num_warps=16, programs_per_multiprocessor=1),
    ("softmax_streamed", "float64"): Tunable(block=4, num_warps=8, programs_per_multiprocessor=2),
    ("softmax_streamed", "float64, wide"): Tunable(block=4, num_warps=16, programs_per_multiprocessor=1),
    # A divergence reads two such rows, and has more to hold of each class.
    ("softmax_kl", "16-bit"): Tunable(block=16, num_warps=16, programs_per_multiprocessor=1),
    ("softmax_kl", "float32"): Tunable(block=8, num_warps=16, programs_per_multiprocessor=1),
    ("softmax_kl", "float64"): Tunable(block=2, num_warps=16, programs_per_multiprocessor=1),
    # The same of a mixture, or of logits with caps.
    ("softmax_kl", "16-bit, more"): Tunable(block=8, num_warps=16, programs_per_multiprocessor=1),
    ("softmax_kl", "float32, more"): Tunable(block=4, num_warps=16, programs_per_multiprocessor=1),
    ("softmax_kl", "float64, more"): Tunable(block=2, num_warps=8, programs_per_multiprocessor=1),
    # One program that counts the targets, or several that share them out among them.
    ("softmax_count", "few"): Tunable(block=4096, num_warps=8),
    ("softmax_count", "many"): Tunable(block=2048, num_warps=4, programs_per_multiprocessor=4),
    # The gradient of the forward pass times the upstream gradient.
    ("scale", "any"): Tunable(block=2048, num_warps=4, programs_per_multiprocessor=8),
}

# What is worth trying, field by field.
SPACE: dict[str, dict[str, tuple[int, ...]]] = {
    "sigmoid": {
        "block": (256, 512, 1024, 2048, 4096),
        "num_warps": (1, 2, 4, 8),
        "programs_per_multiprocessor": (4, 6, 8, 12, 16, 24, 32),
    },
    "softmax_resident": {"block": (256, 512, 1024, 2048), "num_warps": (8, 16, 32)},
    "softmax_rows": {"block": (32, 64, 128), "num_warps": (1, 2, 4, 8)},
    "softmax_streamed": {
        "block": (8, 16, 32),
        "num_warps": (4, 8, 16, 32),
        "programs_per_multiprocessor": (1, 2, 3, 4),
    },
    "scale": {"block": (1024, 2048, 4096), "num_warps": (4, 8), "programs_per_multiprocessor": (4, 8, 16)},
}

_overrides: dict[str, dict[str, int]] = {}
_records: list[list[tuple[str, str, Tunable]]] = []
_generation = 0


def lookup(kernel: str, bucket: str) -> Tunable:
    """The row of a kernel and bucket, as it is in force."""
    row = TUNABLES[kernel, bucket]
    if kernel in _overrides:
        row = replace(row, **_overrides[kernel])  # type: ignore[arg-type]
    for used in _records:
        used.append((kernel, bucket, row))
    return row


def generation() -> int:
    """Changes whenever `lookup` may answer differently, or is being recorded: what plans are cached by."""
    return _generation


@contextmanager
def override(kernel: str, **values: int) -> Iterator[None]:
    """Replace these fields in every bucket of a kernel.

    Raises:
        ValueError: there is no such kernel or field.
    """
    global _generation
    if not any(name == kernel for name, _ in TUNABLES):
        raise ValueError(f"kernel is {kernel!r}; expected one of {sorted({name for name, _ in TUNABLES})}.")
    known = {field.name for field in fields(Tunable)} - {"source"}
    unknown = sorted(set(values) - known)
    if unknown:
        raise ValueError(f"{', '.join(unknown)}: no such tunable; expected {', '.join(sorted(known))}.")
    before = _overrides.get(kernel)
    _overrides[kernel] = {**(before or {}), **values}
    _generation += 1
    try:
        yield
    finally:
        if before is None:
            del _overrides[kernel]
        else:
            _overrides[kernel] = before
        _generation += 1


@contextmanager
def record() -> Iterator[list[tuple[str, str, Tunable]]]:
    """The list of (kernel, bucket, row) that plans look up meanwhile."""
    global _generation
    used: list[tuple[str, str, Tunable]] = []
    _records.append(used)
    _generation += 1
    try:
        yield used
    finally:
        _records.remove(used)
        _generation += 1
