"""Plans are kept for calls that are alike in all that they depend on, and for no other."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor

pytest.importorskip("triton")
from likelihead.kernels.triton import plans, tunables
from likelihead.kernels.triton.launch import H200, Device, Launch, record
from likelihead.kernels.triton.plans import Room, launch

CPU = torch.device("cpu")


class Given(NamedTuple):
    x: Tensor
    y: Tensor | None = None


class Compiled:
    """What Triton compiled, by the arguments that it was compiled for."""

    def __init__(self, seen: list[Any]) -> None:
        self.seen = seen

    def __getitem__(self, grid: tuple[int, ...]) -> Callable[..., None]:
        return lambda *values: self.seen.append(("again", grid, values))


class Kernel:
    __name__ = "a_kernel"
    arg_names = ("x", "y", "sums", "more", "size", "FIRST", "SECOND")

    def __init__(self) -> None:
        self.seen: list[Any] = []

    def __getitem__(self, grid: tuple[int, ...]) -> Callable[..., Compiled]:
        def start(*args: Any, **options: Any) -> Compiled:
            self.seen.append(("first", grid, args, options))
            return Compiled(self.seen)

        return start


class Planner:
    def __init__(self) -> None:
        self.calls = 0
        self.kernel = Kernel()

    def __call__(self, tensors: Given, numbers: Any, device: Device, room: Room) -> list[Launch] | None:
        self.calls += 1
        if numbers == "nothing":
            return None
        tensors = Given(*tensors)
        sums, more = room.take(3), room.take(2)
        args = (tensors.x, tensors.y, sums, more, tensors.x.numel())
        return [
            Launch(self.kernel, (4,), args, {"SECOND": 2, "FIRST": 1, "maxnreg": 32}, num_warps=2),
            Launch(self.kernel, (0,), (tensors.x, None, None, None, 0), {"FIRST": 1, "SECOND": 2}),
        ]


@pytest.fixture
def planner(monkeypatch: pytest.MonkeyPatch) -> Planner:
    monkeypatch.setattr("triton.compiler.CompiledKernel", Compiled)
    monkeypatch.setattr(plans, "_plans", {})
    monkeypatch.setattr(plans, "INTERPRETED", False)
    # Of no device at all: whether it is one for this machine is not what is asked here.
    monkeypatch.setattr(Device, "of", lambda device: H200)
    return Planner()


def test_a_second_call_is_launched_without_a_search(planner: Planner) -> None:
    x, y = torch.zeros(4, 5), torch.zeros(5)
    assert launch(planner, Given(x, y), ())
    assert launch(planner, Given(y=y, x=x), ())
    assert planner.calls == 1
    (how, grid, args, options), (again, padded, values) = planner.kernel.seen  # none of a grid of 0
    assert (how, grid, again, padded) == ("first", (4,), "again", (4, 1, 1))
    assert args[0] is x
    assert args[1] is y
    assert options["maxnreg"] == 32
    assert [part.numel() for part in args[2:4]] == [3, 2]
    assert args[3].data_ptr() == args[2].data_ptr() + 4 * 8  # its parts begin where 16 bytes do
    assert args[2].data_ptr() % 16 == 0
    assert values[:2] == (x.data_ptr(), y.data_ptr())
    assert values[3] == values[2] + 4 * 8
    assert values[4:] == (20, 1, 2)  # all of the kernel's own order, and nothing of the compiler's


def test_other_tensors_are_the_next_call_s(planner: Planner) -> None:
    """Also where one stood in two places."""
    x, y = torch.zeros(8), torch.zeros(8)
    launch(planner, Given(x, x), ())
    launch(planner, Given(x, y), ())
    launch(planner, Given(y, x), ())
    assert planner.calls == 1
    _, second, third = planner.kernel.seen
    assert second[2][:2] == (x.data_ptr(), y.data_ptr())
    assert third[2][:2] == (y.data_ptr(), x.data_ptr())


def test_a_plan_holds_no_tensor(planner: Planner) -> None:
    x = torch.zeros(8)
    gone = weakref.ref(x)
    launch(planner, Given(x, x), ())
    planner.kernel.seen.clear()
    del x
    gc.collect()
    assert gone() is None


MEMORY = torch.zeros(1000)
BEFORE = Given(MEMORY[:64].view(8, 8), MEMORY[64:128].view(8, 8))
CHANGES: dict[str, tuple[Given, Any]] = {
    "shape": (BEFORE._replace(x=MEMORY[:128].view(16, 8)), ()),  # of the same strides
    "stride": (BEFORE._replace(x=BEFORE.x.T), ()),
    "dtype": (BEFORE._replace(x=BEFORE.x.view(torch.int32)), ()),
    "alignment": (BEFORE._replace(x=MEMORY[1:65].view(8, 8)), ()),
    "presence": (BEFORE._replace(y=None), ()),
    "numbers": (BEFORE, (1.5,)),
    "tunables": (BEFORE, ()),
    "device": (Given(*(torch.empty(8, 8, device="meta") for _ in range(2))), ()),
}


OF_CALLS = ("planner", "numbers", "device", "tunables")  # the order of a key
OF_TENSORS = ("shape", "stride", "dtype", "alignment")


def check(planner: Planner, change: str) -> None:
    """Whether the changed call gets its own plan, and the first one is still there."""
    tensors, numbers = CHANGES[change]
    launch(planner, BEFORE, ())
    with tunables.override("scale", block=64) if change == "tunables" else nullcontext():
        launch(planner, tensors, numbers)
        assert planner.calls == 2
        launch(planner, tensors, numbers)
    assert planner.calls == 2
    if change != "tunables":
        launch(planner, BEFORE, ())
        assert planner.calls == 2


@pytest.mark.parametrize("change", CHANGES)
def test_another_call_has_another_plan(change: str, planner: Planner) -> None:
    check(planner, change)


@pytest.mark.parametrize("change", CHANGES)
def test_a_key_without_it_is_found(change: str, planner: Planner, monkeypatch: pytest.MonkeyPatch) -> None:
    key_of = plans._key

    def planted(*given: Any) -> tuple[Any, ...]:
        head, of_tensors = list(key_of(*given)[:4]), list(key_of(*given)[4:])
        if change == "presence":
            return (*head, of_tensors[0])
        if change in OF_TENSORS:
            place = OF_TENSORS.index(change)
            return (*head, *(part[:place] + part[place + 1 :] for part in of_tensors))
        del head[OF_CALLS.index(change)]
        return (*head, *of_tensors)

    monkeypatch.setattr(plans, "_key", planted)
    with pytest.raises(AssertionError):
        check(planner, change)


def test_what_has_no_plan_is_kept_too(planner: Planner) -> None:
    assert not launch(planner, BEFORE, "nothing")
    assert not launch(planner, BEFORE, "nothing")
    assert planner.calls == 1
    assert not planner.kernel.seen


def test_a_tensor_of_one_call_alone_is_refused(planner: Planner) -> None:
    def own(tensors: Given, numbers: Any, device: Device, room: Room) -> list[Launch]:
        return [Launch(planner.kernel, (1,), (tensors[0], torch.zeros(1)), {})]

    with pytest.raises(ValueError, match="argument 1 of a_kernel is a tensor of this call alone"):
        launch(own, BEFORE, ())


def test_the_reports_of_a_device_stay(planner: Planner) -> None:
    def reporting(tensors: Given, numbers: Any, device: Device, room: Room) -> list[Launch]:
        return [Launch(planner.kernel, (1,), (tensors[0], *room.reports, None, 0), {"FIRST": 1, "SECOND": 2})]

    for _ in range(2):
        launch(reporting, BEFORE, ())
    first, again = planner.kernel.seen
    assert again[2][1:3] == first[2][1:3]


def test_plans_do_not_grow_without_end(planner: Planner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plans, "MOST", 3)
    for size in range(1, 9):
        launch(planner, Given(MEMORY[:size]), ())
        assert len(plans._plans) <= 3
    assert planner.calls == 8


def test_what_is_recorded_is_not_kept(planner: Planner) -> None:
    with record(H200) as recorded:
        launch(planner, BEFORE, ())
    assert not plans._plans
    assert len(recorded) == 1
    assert recorded[0].args[0] is BEFORE.x


def test_what_picks_kernels_by_more_is_asked_each_time(
    planner: Planner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plans, "_PICKS_BY_MORE", True)
    for _ in range(2):
        launch(planner, BEFORE, ())
    assert [how for how, *_ in planner.kernel.seen] == ["first", "first"]
    assert planner.calls == 1
