"""The GPU table's cases hold together on any device, and a rented machine would not be wasted on a typo."""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Callable
from dataclasses import replace
from unittest.mock import create_autospec

import pytest
import torch
from torch import Tensor

import likelihead
from benchmarks.gpu import correct, peer, planted
from benchmarks.gpu.cases import CASES
from benchmarks.gpu.correct import Check
from benchmarks.gpu.device import Cuda, Rehearsal
from benchmarks.gpu.inputs import LAYOUTS, fits, lay_out
from benchmarks.gpu.linear_softmax_nll import LinearCase
from benchmarks.gpu.search import Place, descend
from benchmarks.gpu.table import small
from benchmarks.gpu.work import Outcome, Task, Wrong
from likelihead.bench.case import EAGER, FLOOR, OURS, Case, Goal
from likelihead.bench.contenders import Contender, line_up
from likelihead.kernels import dispatch

IN_WORDS = {
    "ce-lm": "CE [8192, 128256] bf16",
    "ce-32k": "CE [8192, 32000] bf16",
    "ce-4k": "CE [32768, 4096] bf16",
    "ce-segmentation": "CE [4, 21, 1024, 1024] bf16",
    "ce-f32": "CE [8192, 50257] f32",
    "ce-few": "CE [4000000, 10] bf16",
    "ce-options": "CE [8192, 32000] bf16, weight, smoothing 0.1, 50% ignored",
    "ce-soft": "CE [32768, 4096] bf16, probability targets",
    "ce-small": "CE [1024, 1000] bf16",
    "ce-tiny": "CE [32, 10] bf16",
    "bce": "BCE-with-logits [65536, 1000] bf16",
    "bce-pos": "BCE-with-logits [65536, 1000] bf16, pos_weight",
    "bce-tiny": "BCE-with-logits [32, 1] bf16",
    "linear": "linear CE, hidden [8192, 4096] bf16, vocab 128256",
    "linear-sft": "linear CE, hidden [8192, 4096] bf16, vocab 128256, 75% ignored",
    "linear-frozen": "linear CE, hidden [8192, 4096] bf16, vocab 128256, frozen head",
    "linear-per-token": "linear CE, hidden [8192, 4096] bf16, vocab 128256, per token",
    "log-probs": "linear CE, hidden [8192, 4096] bf16, vocab 128256, log-probs and entropy",
    "linear-kl": "linear KL, two heads, hidden [8192, 4096] bf16, vocab 128256, forward",
    "linear-kl-reverse": "linear KL, two heads, hidden [8192, 4096] bf16, vocab 128256, reverse",
}


def test_the_cases() -> None:
    assert {case.name: case.what for case in CASES} == IN_WORDS


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_case_can_be_set_up_and_run(case: Case) -> None:
    line = line_up(small(case).build("cpu"), compiled=False, copies=2)
    names = [contender.name for contender in line.contenders]
    assert EAGER in names
    assert names[-1] == FLOOR
    assert OURS in names or OURS in line.absent
    for contender in line.contenders:
        contender.prepare()
        contender.step()
    known = {*names, *line.absent}
    ratios = [goal for goal in case.goals if isinstance(goal, Goal)]
    assert {goal.subject for goal in case.goals} | {goal.against for goal in ratios} <= known


def test_a_peer_that_is_not_installed_is_named() -> None:
    problem = small(CASES[0]).build("cpu")
    peer.add(problem, "Nobody", "no_such_package", "loss", lambda loss: loss)
    assert problem.absent["Nobody"] == "ModuleNotFoundError: No module named 'no_such_package'"
    peer.add(problem, "Somebody", "torch.nn.functional", "cross_entropy", lambda loss: loss)
    assert problem.losses["Somebody"] is torch.nn.functional.cross_entropy


def test_the_ignored_rows_leave_the_floor_fewer_products() -> None:
    case = LinearCase(name="x", shape=(16, 8), width=4, ignored=0.75)
    problem = case.build("cpu")
    assert int((problem.target == -100).sum()) == 12


CHECKS = list(correct.checks())


def test_the_checks_cover_the_contract() -> None:
    assert len({check.name for check in CHECKS}) == len(CHECKS)
    assert {check.layout for check in CHECKS} == set(LAYOUTS)
    for op, options in (("softmax", 11), ("sigmoid", 11)):
        of_op = [check for check in CHECKS if check.op == op]
        assert {check.dtype for check in of_op} == set(correct.DTYPES)
        routes = {"each", "value", "mean", "sum", "normalizer"} | ({"in place"} if op == "softmax" else set())
        assert {check.route for check in of_op} == routes
        alone = {check.options[0] for check in of_op if len(check.options) == 1}
        assert len(alone) == options
        assert any(len(check.options) > 2 for check in of_op)
    targets = {check.target for check in CHECKS if check.op == "softmax"}
    assert targets == {"int64", "int32", "int16", "int8", "uint8", "probabilities"}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("shape", [(3, 4), (2, 3, 5)])
def test_a_layout_holds_the_values_and_tells_its_memory_from_the_rest(
    layout: str, shape: tuple[int, ...]
) -> None:
    if not fits(layout, shape):
        return
    values = torch.randn(shape)
    laid = lay_out(values, layout, "cpu")
    assert torch.equal(laid.tensor, values)
    beside = laid.others()
    assert len(beside) == 4 * (laid.whole.numel() - values.numel())
    assert laid.whole.isnan().sum() == laid.whole.numel() - values.numel()
    laid.tensor.mul_(2)
    assert torch.equal(laid.others(), beside)
    if len(beside):
        laid.whole.fill_(0)
        assert not torch.equal(laid.others(), beside)


class Native(Rehearsal):
    """The checks hold of any right kernel."""

    kernels = dispatch.explain("softmax_nll", torch.zeros(2, 2)).backend


NATIVE = Native()
PLAIN = Check("softmax", (64, 40), torch.float32, "each")


@pytest.mark.parametrize(
    "check",
    [
        PLAIN,
        replace(PLAIN, dtype=torch.bfloat16, layout="padded"),
        replace(PLAIN, route="in place", options=("weight", "smoothing")),
        replace(PLAIN, op="sigmoid", target="shares", options=("pos_weight",)),
    ],
    ids=lambda check: check.name,
)
def test_what_is_right_passes(check: Check) -> None:
    found = correct.run(NATIVE, check, 3)
    assert found["gradient ulp"] <= 8


def _off_by_a_little(nll: Tensor, lse: Tensor, logits: Tensor) -> tuple[Tensor, Tensor]:
    return nll * (1 + 1e-6), lse


def _unwritten(nll: Tensor, lse: Tensor, logits: Tensor) -> tuple[Tensor, Tensor]:
    return torch.cat([nll[:-1], nll[-1:] * math.nan]), lse


def _short_sum(nll: Tensor, lse: Tensor, logits: Tensor) -> tuple[Tensor, Tensor]:
    """The last class is not in the sum: a mask that is off by one."""
    cut = torch.logsumexp(logits[:, :-1].float(), 1)
    return nll - lse + cut, cut


def _written_beside(nll: Tensor, lse: Tensor, logits: Tensor) -> tuple[Tensor, Tensor]:
    # By .data, for a kernel tells no version counter of its writes.
    whole = logits.data.as_strided((logits.untyped_storage().nbytes() // logits.element_size(),), (1,), 0)
    whole[-1] = 1
    return nll, lse


def _new_each_time(nll: Tensor, lse: Tensor, logits: Tensor) -> tuple[Tensor, Tensor]:
    return nll, lse + torch.rand(()) * torch.finfo(torch.float32).eps * lse.abs()


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (_off_by_a_little, "the value at .* expected"),
        (_unwritten, "the value at .63. is nan"),
        (_short_sum, "the (value|lse|gradient) at"),
        (_written_beside, "memory beside the logits was written"),
        (_new_each_time, "other bits in a second run"),
    ],
)
def test_a_wrong_kernel_is_found(
    wrong: Callable[..., tuple[Tensor, Tensor]], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = dispatch.softmax_nll

    def planted(logits: Tensor, target: Tensor, **options: object) -> tuple[Tensor, Tensor]:
        nll, lse = right(logits, target, **options)  # type: ignore[arg-type]
        return (nll, lse) if logits.dtype == torch.float64 else wrong(nll, lse, logits)

    monkeypatch.setattr(dispatch, "softmax_nll", planted)
    with pytest.raises(Wrong, match=words):
        correct.run(NATIVE, replace(PLAIN, layout="padded"), 3)


def test_the_search_keeps_what_is_faster_by_more_than_noise() -> None:
    cost = {1: 4.0, 2: 3.0, 4: 2.99, 8: 5.0}
    asked: list[dict[str, int]] = []

    def alone(task: Task) -> Outcome:
        _, values, _ = task.arguments
        asked.append(values)
        return Outcome(task.name, "right", found={"seconds": cost[values["warps"]] + 0.1 * values["stages"]})

    def together(tasks: list[Task]) -> list[Outcome]:
        # One of them does not compile.
        return [
            Outcome(task.name, "failed" if task.arguments[1]["warps"] == 8 else "right") for task in tasks
        ]

    place = Place("ce-lm", "loss", "rows", "wide")
    space = {"warps": [1, 2, 4, 8], "stages": [1, 2, 3]}
    found = descend(place, {"warps": 1, "stages": 2}, space, alone, together)
    assert found is not None
    assert found.best == {"warps": 2, "stages": 1}
    assert found.tried == len(asked) == 5
    assert all(values["warps"] != 8 for values in asked)


class OnTheCPU(Cuda):
    """Everything that a GPU is asked, of a torch.cuda that only has the right names and signatures."""

    name = "cpu"


def test_what_is_asked_of_cuda_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    source = inspect.getsource(inspect.getmodule(Cuda))
    names = set(re.findall(r"torch\.cuda\.(\w+)", source))
    assert names >= {"Event", "synchronize", "CUDAGraph", "set_sync_debug_mode", "max_memory_allocated"}
    asked = {name: create_autospec(getattr(torch.cuda, name)) for name in names}
    asked["is_available"].return_value = True
    asked["get_device_properties"].return_value.configure_mock(
        name="A Card", major=9, minor=0, multi_processor_count=132, L2_cache_size=2**20, total_memory=2**37
    )
    asked["Event"].return_value.elapsed_time.return_value = 3.0
    asked["memory_allocated"].return_value = 100
    asked["max_memory_allocated"].return_value = 350
    for name, fake in asked.items():
        monkeypatch.setattr(torch.cuda, name, fake)
    device = OnTheCPU()
    assert device.facts() == {
        "gpu": "A Card",
        "capability": "9.0",
        "multiprocessors": 132,
        "l2_mib": 1,
        "memory_gib": 128,
        "cuda": str(torch.version.cuda),
    }
    steps: list[str] = []
    contender = Contender("x", lambda: steps.append("step"), lambda: steps.append("prepare"))
    assert device.seconds(contender) == pytest.approx(3e-3)
    assert steps == ["prepare", "step"]
    assert asked["_sleep"].call_count == 1
    assert device.seconds(contender, 3) == pytest.approx(1e-3)
    assert asked["_sleep"].call_count == 1
    assert device.extra_bytes(lambda: torch.ones(3)) == 250
    asked["get_sync_debug_mode"].return_value = 0
    with device.forbid_waiting():
        asked["set_sync_debug_mode"].assert_called_with("error")
    asked["set_sync_debug_mode"].assert_called_with(0)
    replay, kept = device.capture(lambda: torch.ones(2))
    replay()
    assert torch.equal(kept, torch.ones(2))
    asked["CUDAGraph"].return_value.replay.assert_called_once_with()
    with device.aside():
        assert asked["stream"].call_count == 2
    device.poison()
    device.clear()
    asked["empty_cache"].assert_called_once_with()
    assert device.alive()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_poison_is_what_the_next_tensors_are_made_of() -> None:
    device = Cuda()
    device.poison()
    for size in (3, 1000, 100_000, 30_000_000):
        assert bool(torch.empty(size, device="cuda").isnan().all())


class LikeAGPU(Native):
    """Bad targets come to light after the call."""

    rehearsal = False


class Flagged:
    """The ops as on a GPU: a bad target gives NaN, and is told by the next call or by `synchronize`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, fault: str) -> None:
        self._nll, self._loss = dispatch.softmax_nll, dispatch.softmax_loss
        self._fault = fault
        self._found: list[str] = []
        monkeypatch.setattr(dispatch, "softmax_nll", self.nll)
        monkeypatch.setattr(dispatch, "softmax_loss", self.loss)
        monkeypatch.setattr(likelihead, "synchronize", self.synchronize)

    def synchronize(self) -> None:
        if self._found and self._fault != "never raises":
            raise IndexError(self._found.pop())

    def nll(self, logits: Tensor, target: Tensor, **options: object) -> tuple[Tensor, Tensor]:
        safe, bad = self._looked_at(logits, target)
        nll, lse = self._nll(logits, safe)
        if self._fault == "the others are wrong":
            nll = nll + bad.any()
        return (nll if self._fault == "no NaN" else nll.masked_fill(bad, math.nan)), lse

    def loss(self, logits: Tensor, target: Tensor, **options: object) -> Tensor:
        safe, bad = self._looked_at(logits, target)
        loss = self._loss(logits, safe, **options)  # type: ignore[arg-type]
        return loss.masked_fill(bad.any(), math.nan) if bad.any() else loss

    def _looked_at(self, logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        self.synchronize()
        wide = target.long()
        bad = (wide < 0) | (wide >= logits.shape[1])
        if bad.any():
            value = 0 if self._fault == "another is named" else int(wide[bad][0])
            self._found.append(f"target {value} is out of range")
            if self._fault == "waits":
                self.synchronize()
        return wide.masked_fill(bad, 0), bad


@pytest.mark.parametrize("route", ["each", "mean", "in place", "pixels"])
def test_targets_that_come_to_light_late(route: str, monkeypatch: pytest.MonkeyPatch) -> None:
    Flagged(monkeypatch, "")
    found = planted.out_of_range(LikeAGPU(), torch.int64, route)
    assert "12345" in found["message"]
    assert "-7" in planted.next_call_raises(LikeAGPU())["message"]


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("never raises", "did not raise"),
        ("no NaN", "expected NaN"),
        ("another is named", "names no target 12345"),
        ("the others are wrong", "the losses beside the bad one"),
        ("waits", "so it waited for the device"),
    ],
)
def test_a_bad_target_that_is_treated_wrongly(
    fault: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    Flagged(monkeypatch, fault)
    with pytest.raises(Wrong, match=words):
        planted.out_of_range(LikeAGPU(), torch.int64, "each")
