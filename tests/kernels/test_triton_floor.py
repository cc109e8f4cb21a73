"""What the Triton kernels stand on, as far as it needs neither a GPU nor the interpreter."""

from __future__ import annotations

from itertools import product

import pytest
import torch

import likelihead
from likelihead.kernels.triton import flags, library, tunables
from likelihead.kernels.triton.launch import H200, Device, Launch, record, run
from likelihead.kernels.triton.layout import EACH, NUMBER, PER_COLUMN, PER_ROW, Layout, lay_out

CPU = torch.device("cpu")


def places(layout: Layout, tensor: int) -> list[int]:
    """The offsets of a tensor's elements, by rows and columns, as a kernel takes them apart."""
    strides = layout.strides[tensor]
    assert strides is not None
    found = []
    for row, column in product(range(layout.rows), range(layout.columns)):
        offset, rest = column * strides[-1], row
        for size, stride in zip(layout.sizes, strides, strict=False):
            rest, place = divmod(rest, size)
            offset += place * stride
        found.append(offset)
    return found


TENSORS = {
    "dense": torch.empty(2, 3, 4, 5),
    "channels last": torch.empty(2, 4, 5, 3).permute(0, 3, 1, 2),
    "gaps": torch.empty(4, 3, 4, 10)[::2, ..., ::2],
    "number": torch.empty(()).expand(2, 3, 4, 5),
    "per example": torch.empty(2, 1, 1, 1).expand(2, 3, 4, 5),
    "per column": torch.empty(5).expand(2, 3, 4, 5),
}


@pytest.mark.parametrize(("first", "second"), list(product(TENSORS, repeat=2)))
def test_rows_and_columns_are_the_elements(first: str, second: str) -> None:
    tensors = TENSORS[first], TENSORS[second]
    layout = lay_out((2, 3, 4, 5), [t.stride() for t in tensors], tensors[0].stride())
    dims = sorted(range(4), key=lambda d: -tensors[0].stride()[d])
    for i, tensor in enumerate(tensors):
        count = 1 + sum((n - 1) * s for n, s in zip(tensor.shape, tensor.stride(), strict=True))
        numbered = torch.arange(count).as_strided(tensor.shape, tensor.stride())
        assert places(layout, i) == numbered.permute(dims).flatten().tolist()


def test_dense_tensors_are_one_row() -> None:
    dense = torch.empty(7, 5).stride()
    layout = lay_out((7, 5), [dense, None, (0, 0), dense], dense)
    assert (layout.rows, layout.columns, layout.flat) == (1, 35, True)
    assert layout.modes == (EACH, 0, NUMBER, EACH)


def test_a_weight_for_each_column_keeps_the_rows() -> None:
    layout = lay_out((6, 8), [(8, 1), (0, 1), (1, 0)], (8, 1))
    assert (layout.rows, layout.columns, layout.flat) == (6, 8, False)
    assert layout.modes == (EACH, PER_COLUMN, PER_ROW)
    assert layout.vectors == (8, 16, 1, 8)


def test_a_step_is_not_taken_for_dense() -> None:
    layout = lay_out((5,), [(2,), (1,)], (1,))
    assert not layout.flat
    assert places(layout, 0) == [0, 2, 4, 6, 8]


def test_a_launch_names_the_fusion() -> None:
    launch = Launch(None, (1,), (), {"BLOCK": 8})
    assert launch.options() == {"BLOCK": 8, "num_warps": 4, "num_stages": 1, "enable_fp_fusion": False}


def test_recorded_launches_are_not_made() -> None:
    class Kernel:
        def __getitem__(self, grid: object) -> object:
            raise AssertionError("it was launched")

    launches = [Launch(Kernel(), grid, (), {}) for grid in ((2,), (3, 0))]
    with record(H200) as recorded:
        assert Device.of(torch.device("meta")) is H200
        run(launches)
    assert recorded == launches[:1]  # nothing to do for a grid of 0
    with pytest.raises(AssertionError, match="it was launched"):
        run(launches[:1])


@pytest.fixture
def fresh_flags(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flags, "_buffers", {})
    monkeypatch.setattr(flags, "_calls", {})


def reported(slot: int, call: int, position: int, value: int) -> None:
    """As a kernel does it."""
    _, slots = flags.of(CPU)
    slots[slot * flags.WORDS : (slot + 1) * flags.WORDS] = torch.tensor([1, call, position, value])


@pytest.mark.usefixtures("fresh_flags")
def test_the_first_report_is_raised_once() -> None:
    first, second = flags.register((4, 5), 10, -100), flags.register((7,), 3, -1)
    assert flags.register((4, 5), 10, -100) == first
    reported(0, second, 6, -2)
    reported(1, first, 1, 11)
    reported(2, second, 4, 3)
    with pytest.raises(IndexError, match=r"Target 3 is out of bounds: target\[4\] is 3, .* 3 classes"):
        flags.check(CPU)
    flags.check(CPU)


@pytest.mark.usefixtures("fresh_flags")
def test_synchronize_raises_what_was_found() -> None:
    reported(0, flags.register((4, 5), 10, -100), 8, 11)
    with pytest.raises(IndexError, match=r"target\[1, 3\] is 11"):
        likelihead.synchronize("cpu")
    likelihead.synchronize("cpu")


@pytest.mark.usefixtures("fresh_flags")
def test_a_device_without_reports_has_nothing_to_raise() -> None:
    flags.check(CPU)
    flags.check(torch.device("meta"))


def test_an_override_holds_for_its_block() -> None:
    before, generation = tunables.lookup("sigmoid", "16-bit"), tunables.generation()
    with tunables.override("sigmoid", block=64), tunables.override("sigmoid", num_warps=2):
        row = tunables.lookup("sigmoid", "16-bit")
        assert (row.block, row.num_warps) == (64, 2)
        assert tunables.generation() != generation
    assert tunables.lookup("sigmoid", "16-bit") == before
    with pytest.raises(ValueError, match="no such tunable"), tunables.override("sigmoid", warps=2):
        pass
    with pytest.raises(ValueError, match="'hinge'"), tunables.override("hinge", block=2):
        pass


def test_looked_up_rows_are_recorded() -> None:
    with tunables.record() as used:
        row = tunables.lookup("scale", "any")
    tunables.lookup("scale", "any")
    assert used == [("scale", "any", row)]


def test_every_kernel_of_the_space_has_rows() -> None:
    fields = set(tunables.Tunable.__dataclass_fields__)
    for kernel, space in tunables.SPACE.items():
        assert any(name == kernel for name, _ in tunables.TUNABLES)
        assert set(space) <= fields


@pytest.mark.parametrize("found", ["3.4.0", "4.0.1"])
def test_another_triton_is_said(monkeypatch: pytest.MonkeyPatch, found: str) -> None:
    monkeypatch.setattr(library, "_LIBRARY", object())
    monkeypatch.setattr(library, "version", lambda _: found)
    assert f"triton is {found}, and the kernels are written for 3.5 to 3.9" in str(library._why_absent())
