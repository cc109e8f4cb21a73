"""Compile a launch for a GPU that is not here, exactly as a call on that GPU would."""

from __future__ import annotations

import struct
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from benchmarks.machine_code import amdgcn, ptx, sass
from benchmarks.machine_code.flow import Instruction

TARGETS = {
    "sm_80": ("cuda", 80, 32),
    "sm_90": ("cuda", 90, 32),
    "sm_100": ("cuda", 100, 32),
    "gfx942": ("hip", "gfx942", 64),
}


@dataclass(frozen=True)
class Resources:
    """What a program of the kernel holds on to.

    Attributes:
        registers: per thread.
        stack: bytes per thread.
        local: bytes per thread of device memory for what fits in no register.
        shared: bytes per program.
        threads: per program.
    """

    registers: int
    stack: int
    local: int
    shared: int
    threads: int


@dataclass(frozen=True)
class MachineCode:
    """A kernel for one target.

    Attributes:
        name: of the kernel.
        target: a key of `TARGETS`.
        pointers: the parameters that are pointers, with what they point to as Triton writes it ("bf16").
        resources: of a program.
        variant: the same for the same code: what the launcher compiles once.
        code: the instructions.
        ptx: what ptxas was given; empty for AMD.
    """

    name: str
    target: str
    pointers: Mapping[str, str]
    resources: Resources
    variant: str
    code: list[Instruction]
    ptx: str = ""


class _Address:
    """A tensor as far as the compiler looks at one: its dtype, and the alignment of its first element."""

    def __init__(self, tensor: Tensor) -> None:
        self.dtype = tensor.dtype
        self._offset = int(tensor.storage_offset()) * tensor.element_size()

    def data_ptr(self) -> int:
        return self._offset  # allocations are aligned to more than what the compiler asks about


def _addressed(arg: object) -> object:
    if isinstance(arg, Tensor):
        return _Address(arg)
    return tuple(map(_addressed, arg)) if isinstance(arg, tuple) else arg


def flattened(arguments: Mapping[str, object]) -> dict[str, object]:
    """Arguments by name, those of a tuple by its name and their number, as the machine code has them.

    >>> flattened({"x": 1, "strides": (2, (3, 4))})
    {'x': 1, 'strides.0': 2, 'strides.1.0': 3, 'strides.1.1': 4}
    """
    found: dict[str, object] = {}
    for name, value in arguments.items():
        if isinstance(value, tuple):
            found |= flattened({f"{name}.{number}": one for number, one in enumerate(value)})
        else:
            found[name] = value
    return found


class _Driver:
    """The driver of a device that is only described."""

    def __init__(self, target: object) -> None:
        self._target = target

    def get_current_target(self) -> object:
        return self._target

    def get_current_device(self) -> object:
        return self._target  # a launcher keeps its compiled kernels by device: one for each target

    def get_current_stream(self, device: object) -> int:
        return 0


def machine_code(
    kernel: Any, args: Sequence[object], options: Mapping[str, object], target: str
) -> MachineCode:
    """The code that ``kernel[grid](*args, **options)`` would run on the target.

    The launcher's own path compiles it (its warm-up, which needs no device), so that arguments are
    specialised as they would be: pointers and integers that 16 divides, integers that are 1. For that the
    described device becomes the process's: call this in a process of its own.

    Args:
        kernel: a function under `triton.jit`.
        args: tensors may be meta tensors.
        options: constants of the kernel by name, and the compiler's options.
        target: a key of `TARGETS`.
    """
    from triton.backends.compiler import GPUTarget
    from triton.runtime.driver import driver

    driver.set_active(_Driver(GPUTarget(*TARGETS[target])))
    compiled = kernel.warmup(*map(_addressed, args), grid=(1,), **options)
    if compiled.hash not in _READ:
        _READ[compiled.hash] = _disassembled(compiled, target)
    return _READ[compiled.hash]


_READ: dict[str, MachineCode] = {}


def _disassembled(compiled: Any, target: str) -> MachineCode:
    types = flattened(compiled.src.signature)
    signature = {name: str(type_) for name, type_ in types.items() if type_ != "constexpr"}
    pointers = {name: type_[1:] for name, type_ in signature.items() if type_.startswith("*")}
    threads = compiled.metadata.num_warps * TARGETS[target][2]
    if TARGETS[target][0] == "hip":
        text = compiled.asm["amdgcn"]
        resources = Resources(*amdgcn.resources(text), threads=threads)
        return MachineCode(compiled.name, target, pointers, resources, compiled.hash, amdgcn.parse(text))
    assembly = compiled.asm["ptx"]
    lines = ptx.read(assembly, list(signature), frozenset(pointers))
    with tempfile.TemporaryDirectory(prefix="machine-code-") as folder:
        launched, traced = Path(folder, "launched.cubin"), Path(folder, "traced.cubin")
        launched.write_bytes(compiled.asm["cubin"])
        traced.write_bytes(_assemble(ptx.numbered(assembly), compiled))
        if _instructions(traced.read_bytes()) != _instructions(launched.read_bytes()):
            raise RuntimeError(f"{compiled.name}: line numbers changed the code of {target}")
        code = sass.parse(_run("nvdisasm", "-c", "-g", str(traced)), lines)
        registers, stack, local, reserved = sass.resources(
            _run("cuobjdump", "--dump-resource-usage", str(launched)), compiled.name
        )
    resources = Resources(registers, stack, local, reserved + compiled.metadata.shared, threads)
    return MachineCode(compiled.name, target, pointers, resources, compiled.hash, code, assembly)


def _instructions(binary: bytes) -> bytes:
    """The executable sections of an ELF file."""
    table, size, count = struct.unpack_from("<Q", binary, 40) + struct.unpack_from("<2H", binary, 58)
    found = []
    for number in range(count):
        flags, _, start, length = struct.unpack_from("<4Q", binary, table + number * size + 8)
        if flags & 4:
            found.append(binary[start : start + length])
    return b"".join(found)


def _tool(name: str) -> str:
    import triton.backends.nvidia

    return str(Path(triton.backends.nvidia.__file__).parent / "bin" / name)


def _run(tool: str, *arguments: str) -> str:
    done = subprocess.run([_tool(tool), *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{tool} failed: {done.stderr.strip()}")
    return done.stdout


def _assemble(text: str, compiled: Any) -> bytes:
    """Assemble with Triton's own last stage, and the options that the kernel was compiled with."""
    from triton.backends.compiler import Language
    from triton.compiler.compiler import make_backend

    metadata = compiled.metadata._asdict()
    backend = make_backend(compiled.metadata.target)
    stages: dict[str, Any] = {}
    backend.add_stages(stages, backend.parse_options(dict(metadata)), Language.TRITON)
    assembled = stages["cubin"](text, dict(metadata))
    assert isinstance(assembled, bytes)
    return assembled
