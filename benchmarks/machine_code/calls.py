"""The calls that are compiled: each case of the benchmarks, as the ops of `likelihead.kernels` get it."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from importlib import import_module
from math import prod
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.gpu.cases import CASES as ON_GPU
from benchmarks.machine_code.compiler import MachineCode, flattened, machine_code
from benchmarks.machine_code.prediction import Work
from benchmarks.machine_code.reading import Reading, read
from likelihead.bench.cases import CASES as ON_CPU
from likelihead.bench.sigmoid_nll import SigmoidCase
from likelihead.bench.softmax_nll import SoftmaxCase
from likelihead.kernels import triton as kernels

DEVICES = {"sm_80": "A100", "sm_90": "H200", "sm_100": "B200", "gfx942": "MI300X"}
"""Of `likelihead.kernels.triton.launch`, by the target that they are of."""

_NEUTRAL: Mapping[str, Any] = {
    "label_smoothing": 0.0,
    "ignore_index": -100,
    "z_loss": 0.0,
    "softcap": 0.0,
    "torch_nonfinite": True,  # as torch's own functions have it
    "focal_gamma": 0.0,
    "focal_alpha": -1.0,
    "skip_nan_target": False,
    "scale": 1.0,
    "mean": True,
    "with_grad": True,
    "whatever_rounding": True,
    "beta": 0.5,
    "prediction": True,
}


@dataclass(frozen=True)
class Call:
    """One call of an op.

    Attributes:
        case: that it is of.
        op: of ``torch.ops.likelihead``.
        module: of `likelihead.kernels.triton`, that has it.
        shape: of the logits.
        dtype: of the logits.
        options: that are not neutral; tensors by shape and dtype.
    """

    case: str
    op: str
    module: str
    shape: tuple[int, ...]
    dtype: torch.dtype
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return f"{self.case}: {self.op}"

    @property
    def by_example(self) -> bool:
        """Whether there is one value for all the classes of an example."""
        return self.module.startswith("softmax")

    @property
    def nll_shape(self) -> tuple[int, ...]:
        return (self.shape[0], *self.shape[2:]) if self.by_example else self.shape

    def arguments(self) -> tuple[list[Any], Tensor]:
        """In the order of the op's schema, tensors on the meta device; and the logits among them."""
        logits = torch.empty(self.shape, dtype=self.dtype, device="meta")
        float_ = torch.float64 if self.dtype == torch.float64 else torch.float32
        given: dict[str, Any] = {
            "logits": logits,
            "grad": logits if self.op == "scale_" else torch.empty_like(logits),
            "grad_nll": torch.empty(self.nll_shape, dtype=float_, device="meta"),
            "grad_entropy": torch.empty(self.nll_shape, dtype=float_, device="meta"),
            "upstream": torch.empty((), dtype=float_, device="meta"),
            **self.options,
        }
        arguments = []
        for argument in getattr(torch.ops.likelihead, self.op).default._schema.arguments:
            value = given.get(argument.name, _NEUTRAL.get(argument.name))
            if isinstance(value, tuple):
                value = torch.empty(value[0], dtype=value[1], device="meta")
            arguments.append(value)
        return arguments, logits


def _tensors(case: SoftmaxCase | SigmoidCase) -> dict[str, Any]:
    """The options of a case of the benchmarks."""
    classes = case.shape[1]
    if isinstance(case, SigmoidCase):
        pos_weight = ((classes,), case.dtype) if case.pos_weighted else None
        return {"target": (case.shape, case.dtype), "pos_weight": pos_weight}
    indices = ((case.shape[0], *case.shape[2:]), torch.int64)
    return {
        "target": indices if case.target == "indices" else (case.shape, case.dtype),
        "weight": ((classes,), case.dtype) if case.weighted else None,
        "label_smoothing": case.label_smoothing,
    }


def calls_of(case: SoftmaxCase | SigmoidCase) -> Iterator[Call]:
    """The loss with its gradient; per example, forward and backward; of some what is seldom asked for."""
    module = "sigmoid_nll" if isinstance(case, SigmoidCase) else "softmax_nll"
    ops = [f"{module.removesuffix('_nll')}_loss", module, f"{module}_backward"]
    if case.name in ("ce-lm", "ce-4k", "bce"):
        ops.insert(1, f"{module.removesuffix('_nll')}_loss_backward_")
    if case.name == "ce-lm":
        ops[1:1] = ["softmax_loss_", "softmax_nll_"]
    for op in ops:
        yield Call(case.name, op, module, case.shape, case.dtype, _tensors(case))
    if case.name == "bce":
        yield Call(case.name, "scale_", "scale", case.shape, case.dtype)


# What the chunks of two heads' divergence call beside their products: a chunk of 4096 tokens.
def kl(
    direction: str,
    shape: tuple[int, int] = (4096, 128256),
    dtype: torch.dtype = torch.bfloat16,
    cap: float = 0.0,
) -> Call:
    """The divergence of a student's logits from its teacher's, with the gradient in their place."""
    upstream = ((), torch.float64 if dtype == torch.float64 else torch.float32)
    options = {"teacher": (shape, dtype), "grad": upstream, "direction": direction}
    caps = {"softcap": cap, "teacher_softcap": cap}
    return Call(f"kl-{direction}", "softmax_kl_", "softmax_kl", shape, dtype, {**options, **caps})


KL = tuple(kl(direction) for direction in ("forward", "reverse", "jsd"))

# Those of linear heads are matrix products of the vendor's, and the same ops.
# Those called in loops are of a call's overhead.
CASES = tuple(
    case for case in (*ON_GPU, *ON_CPU) if isinstance(case, SoftmaxCase | SigmoidCase) and case.loops == 1
)
# A chunk of a head's logits, in place and scored only.
_SCORES = (("scores", (4096, 128256), torch.bfloat16), ("scores-f32", (4096, 50257), torch.float32))
_NO_GRADIENT = {"grad_nll": None, "grad_entropy": None}


def _scores() -> Iterator[Call]:
    for case, shape, dtype in _SCORES:
        target = {"target": (shape[:1], torch.int64)}
        yield Call(case, "softmax_scores_", "softmax_scores", shape, dtype, target)
        values = {**target, **_NO_GRADIENT}
        yield Call(f"{case}-values", "softmax_scores_", "softmax_scores", shape, dtype, values)


CALLS = (*(call for case in CASES for call in calls_of(case)), *_scores(), *KL)


@dataclass(frozen=True)
class Kernel:
    """A launch of a call, compiled.

    Attributes:
        call: that launches it.
        number: of the launch in the call, from 0.
        code: for one target, without the instructions.
        reading: of the code.
        work: that it is launched for.
        elements: whether it handles every logit, and not only what is left of each example.
        multiprocessors: of the device.
    """

    call: Call
    number: int
    code: MachineCode
    reading: Reading
    work: Work
    elements: bool
    multiprocessors: int


def compiled(call: Call, target: str) -> list[Kernel]:
    """What the call launches on the device of a target, in order. For a process of its own."""
    from likelihead.kernels.triton import launch

    op = getattr(import_module(f"likelihead.kernels.triton.{call.module}"), call.op)
    arguments, logits = call.arguments()
    with launch.record(getattr(launch, DEVICES[target])) as launches:
        op(*arguments)
    return [_kernel(call, number, one, logits, target) for number, one in enumerate(launches)]


def _kernel(call: Call, number: int, launch: Any, logits: Tensor, target: str) -> Kernel:
    from likelihead.kernels.triton import launch as launches

    device = getattr(launches, DEVICES[target])
    code = machine_code(launch.kernel, launch.args, launch.options(), target)
    names = [name for name in launch.kernel.arg_names if name not in launch.constexprs]
    tensors = {
        name: value
        for name, value in flattened(dict(zip(names, launch.args, strict=True))).items()
        if isinstance(value, Tensor) and name in code.pointers
    }
    read_: set[str] = set()
    written: set[str] = set()
    for at in code.code:
        if at.access is not None and not any(place in rare_places() for place in at.where):
            (read_ if at.access.kind == "load" else written).update(at.access.parameters & set(tensors))
    whole = [name for name, value in tensors.items() if value.numel() == logits.numel()]
    of_logits = [name for name in whole if _same_memory(tensors[name], logits)]
    reading = read(
        code,
        [name for name in of_logits if name in read_],
        [name for name in whole if name in written],
        least=16,
        rare=rare_places(),
    )
    work = Work(
        kernel=code.name,
        programs=prod(launch.grid),
        rows=prod(call.nll_shape) if call.by_example else call.shape[0],
        classes=call.shape[1],
        by_rows=call.by_example and len(call.shape) == 2 and code.name != "softmax_rows",
        itemsize=logits.element_size(),
        tensors=max(1, sum(1 for name in whole if name in read_)) if call.by_example else 1,
        read=sum(_bytes(tensors[name]) for name in read_),
        written=sum(_bytes(tensors[name]) for name in written),
        resources=code.resources,
        reading=reading,
    )
    # The instructions have been read; to hand them to another process takes longer than that.
    code = replace(code, code=[], ptx="")
    return Kernel(call, number, code, reading, work, bool(whole), device.multiprocessors)


@cache
def rare_places() -> frozenset[str]:
    """The calls that the kernels' source marks as rare, line by line: the code names any line of one."""
    found = set()
    for path in Path(kernels.__path__[0]).glob("*.py"):
        text = path.read_text(encoding="utf-8")
        marked = [number for number, line in enumerate(text.splitlines(), 1) if "# rare: " in line]
        around = [node for node in ast.walk(ast.parse(text)) if marked and isinstance(node, ast.Call)]
        for number in marked:
            calls = [one for one in around if one.lineno <= number <= (one.end_lineno or one.lineno)]
            if not calls:
                raise ValueError(f"{path.name}:{number}: no call is marked as rare here")
            closest = min(calls, key=lambda one: (one.end_lineno or one.lineno) - one.lineno)
            lines = range(closest.lineno, (closest.end_lineno or closest.lineno) + 1)
            found |= {f"{path.name}:{line}" for line in lines}
    return frozenset(found)


def _bytes(tensor: Tensor) -> int:
    return int(tensor.numel()) * tensor.element_size()


def _same_memory(one: Tensor, other: Tensor) -> bool:
    return bool(one.untyped_storage()._cdata == other.untyped_storage()._cdata)
