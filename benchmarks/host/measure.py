"""`python -m benchmarks host`: the host's part of a call on a GPU, up to the driver.

Triton's own launcher runs, and all of ours; only the driver behind it is one that does nothing
(``no_device.c``), and the tensors lie in the CPU's memory. So what is missing is the driver's time, 2 to 3
microseconds a launch, what torch's allocator takes on a GPU more than on a CPU, and autograd and the
dispatcher above the ops. It changes the process that it runs in: see `no_device`.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

import torch

from likelihead.errors import BackendError

ROUNDS, LOOPS = 100, 20

# weight, smoothing, ignore_index, z_loss, softcap, offset, torch_nonfinite, where, gamma, sample_weight
_CLASSES = (None, 0.0, -100, 0.0, 0.0, None, True, None, 0.0, None)
# weight, pos_weight, mask, skip_nan_target, torch_nonfinite, smoothing, prior, gamma, alpha, sample_weight
_LABELS = (None, None, None, False, True, 0.0, None, 0.0, -1.0, None)
_MAYBE_LABELS = (*_LABELS[:3], True, *_LABELS[4:])


@dataclass(frozen=True)
class Row:
    """A call of an op.

    Attributes:
        call: in words.
        launches: of kernels.
        first: microseconds where its plan has to be worked out, as of a new shape; its kernels are there.
        again: microseconds of a call like an earlier one.
    """

    call: str
    launches: int
    first: float
    again: float


def no_device(folder: Path) -> Callable[[], int]:
    """Put a driver of no device under Triton, for the rest of this process; returns the count of launches.

    Raises:
        BackendError: there is no C compiler to build it.
    """
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise BackendError("there is no C compiler (cc), which builds a driver of no device to measure with.")
    library = folder / "libcuda.so.1"
    source = Path(__file__).with_name("no_device.c")
    build = (compiler, "-O2", "-shared", "-fPIC", "-Wl,-soname,libcuda.so.1", "-o", str(library), str(source))
    subprocess.run(build, check=True, capture_output=True)
    (folder / "libcuda.so").symlink_to(library.name)  # by which Triton 3.5 links
    os.environ["TRITON_LIBCUDA_PATH"] = str(folder)
    driver = ctypes.CDLL(str(library), mode=ctypes.RTLD_GLOBAL)

    import triton
    from triton.backends.nvidia.driver import CudaDriver

    from likelihead.kernels.triton import launch

    active = CudaDriver()
    active.get_current_device = lambda: 0
    active.get_current_stream = lambda device: 0
    active.get_device_capability = lambda device: launch.H200.capability
    triton.runtime.driver.set_active(active)
    launch.Device.of = staticmethod(lambda device: launch.H200)  # type: ignore[assignment,method-assign]
    driver.launchesSoFar.restype = ctypes.c_uint64
    count: Callable[[], int] = driver.launchesSoFar
    return count


def calls() -> Iterator[tuple[str, Callable[[], Any]]]:
    """Small losses and a large one, forward and backward."""
    from likelihead.kernels.triton import scale, sigmoid_nll, softmax_nll, softmax_scores

    one = torch.ones(())
    for shape, dtype in (
        ((32, 10), torch.float32),
        ((64, 1000), torch.float32),
        ((64, 1000), torch.bfloat16),
        ((8192, 1000), torch.bfloat16),
        ((256, 32000), torch.bfloat16),
    ):
        name = f"CE {list(shape)} {str(dtype).removeprefix('torch.')}"
        x, y = torch.zeros(shape, dtype=dtype), torch.zeros(shape[0], dtype=torch.int64)
        grad, up = torch.empty_like(x), torch.ones(shape[0])
        given = (x, y, *_CLASSES)
        yield f"{name}, mean", partial(softmax_nll.softmax_loss, *given, True, None, True)
        if dtype == torch.float32:
            yield f"{name}, backward", partial(scale.scale_, grad, one, False)
        else:
            anew = partial(softmax_nll.softmax_loss_backward_, grad, one, *given, True, None)
            yield f"{name}, backward", anew
        yield f"{name}, none", partial(softmax_nll.softmax_nll, *given)
        each = partial(softmax_nll.softmax_nll_backward, up, None, 1.0, False, *given)
        yield f"{name}, none, backward", each
    for classes in (1000, 50257):
        x, up = torch.zeros(64, classes, dtype=torch.bfloat16), torch.ones(64)
        chunk = (x, torch.zeros(64, dtype=torch.int64), -100, 0.0, True)
        yield (
            f"scores [64, {classes}] bfloat16, in place",
            partial(softmax_scores.softmax_scores_, one, None, up, *chunk),
        )
    for dtype in (torch.float32, torch.bfloat16):
        name = f"BCE [64, 1000] {str(dtype).removeprefix('torch.')}"
        x = torch.zeros(64, 1000, dtype=dtype)
        grad = torch.empty_like(x)
        yield f"{name}, mean", partial(sigmoid_nll.sigmoid_loss, x, x, *_LABELS, True, None, True)
        maybe = partial(sigmoid_nll.sigmoid_loss, x, x, *_MAYBE_LABELS, True, None, True)
        yield f"{name}, mean, labels may be missing", maybe
        if dtype == torch.float32:
            yield f"{name}, backward", partial(scale.scale_, grad, one, False)
        else:
            anew = partial(sigmoid_nll.sigmoid_loss_backward_, grad, one, x, x, *_LABELS, True, None)
            yield f"{name}, backward", anew
        yield f"{name}, none", partial(sigmoid_nll.sigmoid_nll, x, x, *_LABELS)


def measure(folder: Path) -> Iterator[Row]:
    """Every call, the least of many rounds."""
    launches = no_device(folder)
    from likelihead.kernels.triton import plans

    def anew(call: Callable[[], Any]) -> None:
        plans._plans.clear()
        call()

    for name, call in calls():
        call()
        before = launches()
        call()
        count = launches() - before
        yield Row(name, count, _least(partial(anew, call), ROUNDS // 10), _least(call, ROUNDS))


def _least(call: Callable[[], Any], rounds: int) -> float:
    """Microseconds."""
    call()
    least = float("inf")
    for _ in range(rounds):
        start = perf_counter()
        for _ in range(LOOPS):
            call()
        least = min(least, perf_counter() - start)
    return 1e6 * least / LOOPS


def table_of(found: list[Row]) -> str:
    """As Markdown."""
    lines = [
        "| call | launches | new, µs | again, µs |",
        "| --- | --: | --: | --: |",
        *(f"| {row.call} | {row.launches} | {row.first:.0f} | {row.again:.1f} |" for row in found),
    ]
    return "\n".join(lines) + "\n"
