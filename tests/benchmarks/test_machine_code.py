"""Machine code of the kernels, compiled for GPUs that are not here; and of kernels planted to be refused."""

from __future__ import annotations

import platform
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from itertools import chain, combinations
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import torch

from benchmarks.machine_code import calls, options
from benchmarks.machine_code.calls import Kernel
from benchmarks.machine_code.checks import Intended, faults
from benchmarks.machine_code.compiler import TARGETS
from benchmarks.machine_code.flow import Instruction, regions
from benchmarks.machine_code.intended import intended
from benchmarks.machine_code.parallel import compile_all

HERE = sys.platform == "linux" and platform.machine() == "x86_64"

pytestmark = pytest.mark.skipif(
    not HERE and find_spec("triton") is None,
    reason="triton, which compiles the kernels, has no wheel for this machine",
)

TWO_PASSES = Intended(instructions=7, passes=2, programs=6)
COMPENSATED = Intended(instructions=12.5)
ONE_PASS = Intended(instructions=17, programs=6)


def planted() -> dict[str, tuple[Any, tuple[str, ...]]]:
    """Kernels, and what must be said of each: nothing of those that are right."""
    if find_spec("triton") is None:  # a test of its own fails of that
        return {}
    from planted_code import Planted

    right = Planted("right", TWO_PASSES)
    straight = Planted("straight", ONE_PASS, block=4096)
    return {
        "right": (right, ()),
        "right in one pass": (straight, ()),
        "rows of odd length": (
            replace(right, classes=4091),
            ("instructions", "instructions", "reads of 2", "reads of 2", "writes of 2"),
        ),
        "a view off the grid": (
            replace(right, offset=2),
            ("instructions", "reads of 2", "reads of 2"),
        ),
        "an exponential too many": (
            Planted("two_exponentials", TWO_PASSES),
            ("2 exponentials per element; 1 intended", "instructions", "instructions"),
        ),
        "a pass too many": (
            replace(right, intended=ONE_PASS),
            ("2 passes over the elements; 1 are intended",),
        ),
        "a division": (
            Planted("division", Intended(instructions=40)),
            ("integer divisions in the loop, such as I2F",),
        ),
        "a division of 64 bits": (
            Planted("wide_division", Intended(instructions=100, exponentials=2)),
            ("calls in the loop, such as CALL",),
        ),
        "more than the registers hold": (
            Planted("straight", ONE_PASS, classes=32768, block=32768, num_warps=4),
            ("of stack per thread", "2 programs fit on a multiprocessor with 255 registers"),
        ),
        "compensated": (Planted("compensated", COMPENSATED), ()),
        "compensated, fused": (
            Planted("compensated", COMPENSATED, options={"enable_fp_fusion": True}),
            ("sums and products may be fused (add.f32, sub.f32); none should be",),
        ),
    }


PLANTED = planted()


@pytest.fixture(scope="module")
def cached() -> Iterator[Callable[..., Any]]:
    with TemporaryDirectory(prefix="machine-code-") as cache:
        yield partial(compile_all, cache=cache)


@pytest.fixture(scope="module")
def said(cached: Callable[..., Any]) -> dict[str, list[str]]:
    from planted_code import found

    return dict(zip(PLANTED, cached(found, [kernel for kernel, _ in PLANTED.values()]), strict=True))


def test_loops_are_found_where_control_flows_back() -> None:
    """Two loops, one in the other, and part of the inner one moved behind the end."""

    def at(text: str, label: str = "", target: str = "", *, continues: bool = True) -> Instruction:
        labels, targets = (label,) if label else (), (target,) if target else ()
        return Instruction(text, text, labels, targets, continues)

    code = [
        at("before"),
        at("outer", label="A"),
        at("inner", label="B", target="far"),
        at("inner", label="C"),
        at("back", target="B"),
        at("outer back", target="A"),
        at("end", continues=False),
        at("inner, moved", label="far", target="C", continues=False),
        at("nobody comes here", label="D", target="D", continues=False),
    ]
    outside, outer, inner = regions(code)
    assert [at.text for at in outside.instructions] == ["before", "end"]
    assert [at.text for at in outer.instructions] == ["outer", "outer back"]
    assert [at.text for at in inner.instructions] == ["inner", "inner", "back", "inner, moved"]
    assert inner.parent is outer
    assert outer.parent is outside


@pytest.mark.parametrize("name", PLANTED)
def test_what_is_wrong_with_a_planted_kernel_is_said(name: str, said: dict[str, list[str]]) -> None:
    _, wanted = PLANTED[name]
    sentences = sorted(said[name])
    missing = [part for part in wanted if not any(part in sentence for sentence in sentences)]
    assert not missing, sentences
    assert len(sentences) == len(wanted), sentences


@pytest.mark.parametrize("target", [target for target in TARGETS if target != "sm_90"])
def test_spills_and_fusion_are_seen_on_other_targets(target: str, cached: Callable[..., Any]) -> None:
    from planted_code import compiled

    names = ("right", "more than the registers hold", "a division", "rows of odd length")
    kernels = [replace(PLANTED[name][0], target=target) for name in names]
    if target == "gfx942":  # twice the threads in a warp
        kernels = [replace(kernel, num_warps=kernel.num_warps // 2) for kernel in kernels]
    (right, good), (spilling, bad), (dividing, worse), (odd, narrow) = cached(compiled, kernels)
    assert not right.resources.stack
    assert not good.spills
    assert spilling.resources.registers > 2 * right.resources.registers
    assert target == "gfx942" or spilling.resources.stack > 0
    assert target == "gfx942" or bad.spills
    assert target == "gfx942" or worse.passes[0].divisions
    assert not faults(right, good, TWO_PASSES)
    assert any(" bytes" in sentence or "bytes " in sentence for sentence in faults(odd, narrow, TWO_PASSES))
    assert dividing.resources.threads == right.resources.threads


CALLS = calls.CALLS
BCE = next(call for call in CALLS if call.name == "bce: sigmoid_loss")
# Labels that may be missing, as the likelihoods have them; of torch's losses none is.
MISSING = replace(BCE, case="bce-missing", options={**BCE.options, "skip_nan_target": True})
ELSEWHERE = [
    call
    for call in CALLS
    if (call.case in ("ce-lm", "ce-4k", "ce-segmentation", "bce") and call.op.endswith(("_loss", "scale_")))
    or call.case in ("scores", "kl-forward")
]


def found(kernels: list[Kernel]) -> list[str]:
    assert kernels
    return [
        f"{kernel.call.name}, {kernel.code.name}: {sentence}"
        for kernel in kernels
        for sentence in faults(kernel.code, kernel.reading, intended(kernel))
    ]


@pytest.fixture(scope="module")
def on_h200(cached: Callable[..., Any]) -> dict[str, list[Kernel]]:
    found = cached(partial(calls.compiled, target="sm_90"), [*CALLS, MISSING])
    return {call.name: kernels for call, kernels in zip([*CALLS, MISSING], found, strict=True)}


@pytest.mark.parametrize("name", [call.name for call in (*CALLS, MISSING)])
def test_each_call_runs_what_is_intended(name: str, on_h200: dict[str, list[Kernel]]) -> None:
    kernels = on_h200[name]
    assert any(kernel.elements for kernel in kernels)
    assert not found(kernels)


def test_labels_that_may_be_missing_are_read_once(on_h200: dict[str, list[Kernel]]) -> None:
    main, closing = on_h200[MISSING.name]
    (plain, _) = on_h200[BCE.name]
    assert main.work.read == plain.work.read
    assert closing.work.read < 0.01 * main.work.read  # the parts alone, where none is missing
    assert closing.work.written == 4


@pytest.mark.parametrize("target", [target for target in TARGETS if target != "sm_90"])
def test_each_kind_of_kernel_on_other_targets(target: str, cached: Callable[..., Any]) -> None:
    kernels = chain.from_iterable(cached(partial(calls.compiled, target=target), ELSEWHERE))
    assert not found(list(kernels))


@pytest.mark.parametrize(
    ("module", "names"), [("softmax_nll", options.SOFTMAX), ("sigmoid_nll", options.SIGMOID)]
)
def test_every_two_options_meet(module: str, names: tuple[str, ...]) -> None:
    def allowed(one: frozenset[str]) -> bool:
        return options.together(one, module)

    found = options.covering(names, allowed)
    assert len(found) < 12
    for a, b in combinations(names, 2):
        for wanted in ({a, b}, {a}, {b}, set()):
            possible = any(
                allowed(frozenset(wanted | set(more))) for more in [(), *combinations(set(names) - {a, b}, 1)]
            )
            assert possible == any(one & {a, b} == wanted for one in found), (a, b, wanted)


def test_all_options_at_once_fit_the_registers(cached: Callable[..., Any]) -> None:
    """Those that go together; `python -m benchmarks predict --all-options` has every two of them."""
    most = list(options.calls([torch.bfloat16], most=1))
    kernels = list(chain.from_iterable(cached(partial(calls.compiled, target="sm_90"), most)))
    assert not options.spilling(kernels)
    names = {kernel.code.name for kernel in kernels}
    assert {"softmax_resident", "softmax_streamed", "sigmoid_kernel"} <= names


def test_divergences_fit_the_registers(cached: Callable[..., Any]) -> None:
    """Of each dtype those that hold most: a mixture with caps, and rows that begin anywhere."""
    of = [calls.kl("jsd", (1024, 50257), dtype, 30.0) for dtype in (torch.bfloat16, torch.float32)]
    of += [calls.kl("jsd", (1024, 50257), torch.float64), calls.kl("forward", (1024, 50257), cap=30.0)]
    kernels = list(chain.from_iterable(cached(partial(calls.compiled, target="sm_90"), of)))
    assert [kernel.code.name for kernel in kernels] == ["softmax_kl"] * len(of)
    assert not options.spilling(kernels)


def test_scores_with_a_cap_fit_the_registers(cached: Callable[..., Any]) -> None:
    scores = next(call for call in CALLS if call.case == "scores")
    target = {"target": ((1024,), torch.int64), "softcap": 30.0}
    dtypes = (torch.bfloat16, torch.float32, torch.float64)
    capped = [replace(scores, shape=(1024, 50257), dtype=dtype, options=target) for dtype in dtypes]
    assert not options.spilling(chain.from_iterable(cached(partial(calls.compiled, target="sm_90"), capped)))


def test_sizes_that_only_count_compile_nothing_anew(cached: Callable[..., Any]) -> None:
    """The number of examples and of calls before: a step of training does not wait for the compiler again."""
    loss = next(call for call in CALLS if call.name == "ce-4k: softmax_loss")
    variants = set()
    for sizes in ((32768, 32767, 32752, 17000), (17, 32, 1000)):  # many, and few that are counted on the way
        others = []
        for rows in sizes:
            target = {"target": ((rows,), torch.int64)}
            others.append(replace(loss, shape=(rows, 4096), options={**loss.options, **target}))
        compiled = cached(partial(calls.compiled, target="sm_90"), others)
        variants |= {tuple(kernel.code.variant for kernel in kernels) for kernels in compiled}
    assert len(variants) == 2
