"""Which kernels a categorical loss would launch on a GPU, from meta tensors: nothing is compiled or run."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

pytest.importorskip("triton")
from likelihead.kernels.triton.launch import H200, Launch, record
from likelihead.kernels.triton.plans import Room
from likelihead.kernels.triton.softmax_plan import Numbers, Tensors, layout_of, plan
from likelihead.kernels.triton.softmax_scores import softmax_scores_


def _meta(*shape: int, dtype: torch.dtype = torch.bfloat16) -> Tensor:
    return torch.empty(shape, dtype=dtype, device="meta")


def _planned(logits: Tensor, **tensors: Any) -> list[Launch]:
    target = _meta(logits.shape[0], *logits.shape[2:], dtype=torch.int64)
    tensors = {"grad": torch.empty_like(logits), "loss": _meta(dtype=torch.float32), **tensors}
    launches = plan(Tensors(logits, target, **tensors), Numbers(mean=True), H200, Room(torch.device("meta")))
    assert launches is not None
    return launches


def _main(logits: Tensor, **tensors: Any) -> Launch:
    launches = _planned(logits, **tensors)
    return next(one for one in launches if one.kernel.__name__.startswith("softmax_"))


@pytest.mark.parametrize(
    ("shape", "strides", "merged"),
    [
        ((8, 5), (5, 1), [(1, 1, 8), (0, 0, 5, 1)]),
        ((8, 5, 4, 6), (120, 24, 6, 1), [(1, 8, 24), (0, 120, 1, 24)]),
        ((8, 5, 4, 6), (120, 1, 30, 5), [(1, 1, 192), (0, 0, 5, 1)]),  # channels_last
        ((8, 5, 4, 6), (1000, 100, 10, 1), [(8, 4, 6), (1000, 10, 1, 100)]),  # a part of larger pictures
        ((1, 5, 4, 1), (7, 4, 1, 9), [(1, 1, 4), (0, 0, 1, 4)]),
    ],
)
def test_examples_merge(
    shape: tuple[int, ...], strides: tuple[int, ...], merged: list[tuple[int, ...]]
) -> None:
    layout = layout_of([torch.empty_strided(shape, strides, device="meta")])
    assert layout is not None
    assert [(layout.outer, layout.middle, layout.inner), layout.strides[0]] == merged


def test_examples_merge_only_where_all_tensors_allow_it() -> None:
    x = _meta(4, 3, 5, 6)
    cut = _meta(4, 3, 7, 8)[:, :, :5, :6]
    one, both = layout_of([x]), layout_of([x, cut])
    assert one is not None
    assert both is not None
    assert (one.inner, both.inner) == (30, 6)
    assert layout_of([_meta(3, 4, 7, 8, 9)[:, :, 1:, 1:, 1:]]) is None


@pytest.mark.parametrize(("classes", "unit"), [(4096, 16), (1000, 8), (50257, 1), (6, 2)])
def test_what_divides_the_strides_of_rows(classes: int, unit: int) -> None:
    layout = layout_of([_meta(8, classes)])
    assert layout is not None
    assert layout.rows(0)
    assert layout.unit(0) == unit


def test_offsets_beyond_2_to_the_31_are_64_bit() -> None:
    assert not _main(_meta(1 << 20, 4096)).constexprs["INT64"]  # a tile is small; where it begins is int64
    assert _main(_meta(2, 32, 1 << 13, 1 << 13)).constexprs["INT64"]
    assert _main(_meta(32768, 1 << 20).T).constexprs["INT64"]
    # A long row of pixels ends beyond, though none of its blocks does.
    assert _main(_meta(1, 20_000, 500, 400)).constexprs["INT64"]


@pytest.mark.parametrize(
    ("classes", "dtype", "rows"),
    [
        (10, torch.bfloat16, 4),
        (10, torch.float32, 2),
        (7, torch.bfloat16, 8),
        (2, torch.bfloat16, 8),
        (16, torch.bfloat16, 2),
        (32, torch.float64, 1),
    ],
)
def test_rows_of_few_classes_end_with_a_vector(classes: int, dtype: torch.dtype, rows: int) -> None:
    x = _meta(100_000, classes, dtype=dtype)
    main = _main(x)
    assert main.kernel.__name__ == "softmax_rows"
    assert main.constexprs["ROWS"] == rows
    assert rows * classes * dtype.itemsize % 16 == 0
    assert main.grid == (-(-100_000 // (main.constexprs["THREADS"] * rows)),)
    # Elsewhere than side by side, or beside another gradient, rows are a tile's.
    for other in (x.T.contiguous().T, _meta(100_000, classes + 1, dtype=dtype)[:, :classes]):
        assert _main(other).kernel.__name__ == "softmax_resident"
    assert _main(x, grad=_meta(classes, 100_000, dtype=dtype).T).kernel.__name__ == "softmax_resident"


@pytest.mark.parametrize("classes", [20_000, 32_000, 50_257, 128_256])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_rows_in_flight_fit_the_cache(classes: int, dtype: torch.dtype) -> None:
    main = _main(_meta(8192, classes, dtype=dtype))
    assert main.kernel.__name__ == "softmax_streamed"
    assert main.grid[0] % H200.multiprocessors == 0
    if main.grid[0] > H200.multiprocessors:
        assert main.grid[0] * classes * dtype.itemsize <= 0.7 * H200.l2_bytes


def test_a_gradient_that_may_stay_is_looked_at_by_few_programs() -> None:
    x = _meta(32768, 4096)
    anew = _main(x, whole=_meta(dtype=torch.float32), loss=None)
    assert anew.kernel.__name__ == "softmax_resident"
    assert anew.grid[0] < 32768 == _main(x).grid[0]


def test_products_are_not_contracted() -> None:
    assert _main(_meta(64, 1000)).options()["enable_fp_fusion"] is False


@pytest.mark.parametrize("softcap", [0.0, 30.0])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("classes", [1, 100, 1001, 4096, 32_000, 50_257, 128_256])
def test_scores_of_short_rows_keep_all_threads_busy(classes: int, dtype: torch.dtype, softcap: float) -> None:
    target, up = _meta(8192, dtype=torch.int64), _meta(dtype=torch.float32)
    with record(H200) as launches:
        softmax_scores_(up, None, None, _meta(8192, classes, dtype=dtype), target, -100, softcap, False)
    (one,) = launches
    block = one.constexprs["LANES"] * one.constexprs["VECTOR"]
    # No more warps than a row has work for, and as many on a multiprocessor as of long rows.
    assert one.num_warps == 1 or block < 2 * classes
    assert one.num_warps * one.grid[0] == 16 * H200.multiprocessors
    assert one.constexprs["VECTOR"] * dtype.itemsize == 16


def test_offsets_in_a_row_of_scores_are_64_bit_where_they_have_to_be() -> None:
    for classes, wide in ((1 << 20, False), ((1 << 30) + 1, True)):
        with record(H200) as launches:
            softmax_scores_(
                None, None, None, _meta(2, classes), _meta(2, dtype=torch.int64), -100, 0.0, False
            )
        assert launches[0].constexprs["INT64"] == wide
