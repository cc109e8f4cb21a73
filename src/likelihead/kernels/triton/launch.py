"""What a call launches: kernels with all that they are compiled and run with, planned without a device.

A plan is a pure function of shapes, strides, dtypes, options and a `Device`. So what a call would run on an
H200 can be compiled and counted without one, from meta tensors and the `Device` described by hand.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch

from likelihead.kernels.fused.registration import INTERPRETED

__all__ = [
    "A100",
    "B200",
    "H100",
    "H200",
    "INTERPRETER",
    "MI300X",
    "Device",
    "Launch",
    "is_recording",
    "record",
    "run",
    "start",
]


@dataclass(frozen=True)
class Device:
    """What a plan asks of a GPU.

    Attributes:
        target: backend and architecture as Triton names them: ``cuda:90``, ``hip:gfx942``.
        capability: CUDA's compute capability; of HIP what torch reports.
        multiprocessors: compute units of AMD's.
        l2_bytes: of the last cache that all of them share.
        warp_size: threads.
        registers: 32-bit registers of a multiprocessor.
        threads: that a multiprocessor holds at once.
    """

    target: str
    capability: tuple[int, int]
    multiprocessors: int
    l2_bytes: int
    warp_size: int = 32
    registers: int = 65536
    threads: int = 2048

    @staticmethod
    def of(device: torch.device) -> Device:
        """The device as torch describes it; of the CPU, the interpreter's. Within `record`, its own."""
        if _recording is not None:
            return _recording[0]
        if device.type == "cpu":
            return INTERPRETER
        return _of_index(torch.cuda.current_device() if device == torch.device("cuda") else device.index)


# As their makers and torch describe them. For plans without a device; a plan on a device asks torch.
A100 = Device("cuda:80", (8, 0), 108, 40 << 20)
H100 = Device("cuda:90", (9, 0), 132, 50 << 20)
H200 = Device("cuda:90", (9, 0), 132, 50 << 20)
B200 = Device("cuda:100", (10, 0), 148, 126 << 20)
MI300X = Device("hip:gfx942", (9, 4), 304, 4 << 20, warp_size=64, registers=131072)
# The interpreter runs one program after the other: few programs, so that each has several blocks to do.
INTERPRETER = Device("cuda:90", (9, 0), 1, 1 << 20)


@cache
def _of_index(index: int) -> Device:
    properties: Any = torch.cuda.get_device_properties(index)
    major, minor = torch.cuda.get_device_capability(index)
    if torch.version.hip:
        target = f"hip:{properties.gcnArchName.partition(':')[0]}"
    else:
        target = f"cuda:{10 * major + minor}"
    return Device(
        target=target,
        capability=(major, minor),
        multiprocessors=properties.multi_processor_count,
        l2_bytes=properties.L2_cache_size,
        warp_size=properties.warp_size,
        registers=getattr(properties, "regs_per_multiprocessor", 65536),
        threads=properties.max_threads_per_multi_processor,
    )


@dataclass
class Launch:
    """One kernel launch, in full.

    Attributes:
        kernel: of ``triton.jit``.
        grid: programs in up to three dimensions; one of 0 launches nothing.
        args: in the kernel's order, those before its constexprs: tensors, numbers, None.
        constexprs: by name.
        num_warps, num_stages: as Triton has them.
        enable_fp_fusion: whether the compiler may make one multiply-add of two operations. Never left to its
            default, which has changed before: compensated sums need it off, and the kernels write the
            multiply-adds that they want.
    """

    kernel: Any
    grid: tuple[int, ...]
    args: tuple[Any, ...]
    constexprs: dict[str, Any]
    num_warps: int = 4
    num_stages: int = 1
    enable_fp_fusion: bool = False

    def options(self) -> dict[str, Any]:
        """All that goes by name: ``kernel[grid](*args, **options)``."""
        return {
            **self.constexprs,
            "num_warps": self.num_warps,
            "num_stages": self.num_stages,
            "enable_fp_fusion": self.enable_fp_fusion,
        }


def run(launches: Iterable[Launch]) -> None:
    """Launch them in order, on the current device and stream."""
    wanted = [launch for launch in launches if 0 not in launch.grid]
    if _recording is not None:
        _recording[1].extend(wanted)
        return
    for launch in wanted:
        start(launch)


def start(launch: Launch) -> Any:
    """Launch one by Triton's own way, which finds the kernel by the arguments or compiles it; it is returned.

    The interpreter takes no note of the warps, and returns nothing.
    """
    with _as_on_a_gpu() if INTERPRETED else nullcontext():
        return launch.kernel[launch.grid](*launch.args, **launch.options())


def _as_on_a_gpu() -> Any:
    """Infinities and NaN without a word: the interpreter computes with numpy, which warns of them."""
    import numpy

    _mend_interpreter()
    return numpy.errstate(all="ignore")


@cache
def _mend_interpreter() -> None:
    """What Triton's interpreter does otherwise than a GPU, or not at all."""
    import numpy
    from triton.runtime import interpreter

    # Loops over a kernel's numbers: it has them in arrays of one, which are no index since numpy 2.4.
    scope: Any = getattr(interpreter, "_LangPatchScope", None)
    if scope is not None:
        set_as_given = scope.set_attr

        def set_attr(self: Any, target: Any, name: str, value: Any) -> None:
            set_as_given(self, target, name, _index if name == "__index__" else value)

        scope.set_attr = set_attr

    # float32 to bfloat16: it cuts the digits off.
    builder: Any = interpreter.InterpreterBuilder
    cast_as_given = builder.cast_impl

    def cast_impl(self: Any, source: Any, dtype: Any) -> Any:
        if source.dtype.scalar.is_fp32() and dtype.scalar.is_bf16():
            bits = source.data.view(numpy.uint32)
            rounded = (bits + (0x7FFF + ((bits >> 16) & 1)).astype(numpy.uint32)) >> 16
            rounded = numpy.where(numpy.isnan(source.data), 0x7FC0, rounded).astype(numpy.uint16)
            return interpreter.TensorHandle(rounded, dtype.scalar)
        return cast_as_given(self, source, dtype)

    builder.cast_impl = cast_impl


def _index(number: Any) -> int:
    return int(number.handle.data.item())


@contextmanager
def record(device: Device) -> Iterator[list[Launch]]:
    """The launches that calls would make on this device, in place of their execution; for tensors on meta."""
    global _recording
    launches: list[Launch] = []
    before = _recording
    _recording = (device, launches)
    try:
        yield launches
    finally:
        _recording = before


def is_recording() -> bool:
    """Whether launches are taken down in place of their execution."""
    return _recording is not None


_recording: tuple[Device, list[Launch]] | None = None
