"""How many kernels a call launches, and which: on a small loss each costs more than what it computes."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

pytest.importorskip("triton")
from likelihead.kernels.triton import scale, sigmoid_nll, softmax_kl, softmax_nll, softmax_scores
from likelihead.kernels.triton.launch import H200, record

FLOAT, HALF, INDEX = torch.float32, torch.bfloat16, torch.int64
# weight, smoothing, ignore_index, z_loss, softcap, offset, torch_nonfinite, where, gamma, sample_weight
CLASSES: tuple[Any, ...] = (None, 0.0, -100, 0.0, 0.0, None, True, None, 0.0, None)


def _labels(*, mask: Tensor | None = None, missing: bool = False) -> tuple[Any, ...]:
    return (None, None, mask, missing, True, 0.0, None, 0.0, -1.0, None)


def _meta(*shape: int, dtype: torch.dtype = FLOAT) -> Tensor:
    return torch.empty(shape, dtype=dtype, device="meta")


def _launched(op: Any, *arguments: Any) -> list[str]:
    with record(H200) as launches:
        op(*arguments)
    assert all(0 not in launch.grid for launch in launches)
    return [launch.kernel.__name__ for launch in launches]


@pytest.mark.parametrize(
    ("shape", "mean", "kernels"),
    [
        ((32, 10), True, ["softmax_rows"]),
        ((1, 1000), True, ["softmax_resident"]),
        ((64, 1000), True, ["softmax_resident", "_second_stage"]),
        ((64, 1000), False, ["softmax_resident", "_second_stage"]),
        ((8192, 1000), True, ["_count", "softmax_resident", "_second_stage"]),
        ((100_000, 10), True, ["_count", "_close", "softmax_rows", "_second_stage"]),
        ((0, 10), True, ["_count", "_second_stage"]),
    ],
)
def test_a_categorical_loss(shape: tuple[int, int], mean: bool, kernels: list[str]) -> None:
    given = (_meta(*shape), _meta(shape[0], dtype=INDEX), *CLASSES)
    assert _launched(softmax_nll.softmax_loss, *given, mean, None, True) == kernels


def test_values_of_examples_are_one_launch() -> None:
    given = (_meta(64, 1000), _meta(64, dtype=INDEX), *CLASSES)
    assert _launched(softmax_nll.softmax_nll, *given) == ["softmax_resident"]
    backward = _launched(softmax_nll.softmax_nll_backward, _meta(64), None, 1.0, False, *given)
    assert backward == ["softmax_resident"]


@pytest.mark.parametrize("up", [None, _meta(64)])
def test_scores_of_a_chunk_are_one_launch(up: Tensor | None) -> None:
    for classes in (1, 1000, 50_257):
        given = (None, up, up, _meta(64, classes), _meta(64, dtype=INDEX), -100, 0.0, True)
        assert _launched(softmax_scores.softmax_scores_, *given) == ["softmax_scores"]
    assert _launched(softmax_scores.softmax_scores_, *given[:3], _meta(0, 5), *given[4:]) == []


def test_a_backward_pass_is_one_launch() -> None:
    x, one = _meta(64, 1000), _meta()
    assert _launched(scale.scale_, x, one, True) == ["_scale"]
    x = x.to(HALF)
    given = (x, one, x, _meta(64, dtype=INDEX), *CLASSES, True, None)
    assert _launched(softmax_nll.softmax_loss_backward_, *given) == ["softmax_resident"]
    given = (x, one, x, x, *_labels(), True, None)
    assert _launched(sigmoid_nll.sigmoid_loss_backward_, *given) == ["sigmoid_again_kernel"]
    given = (x, one, x, x, *_labels(missing=True), True, None)
    assert _launched(sigmoid_nll.sigmoid_loss_backward_, *given) == ["count_kernel", "sigmoid_again_kernel"]


@pytest.mark.parametrize(
    ("rows", "options", "kernels"),
    [
        (64, {}, ["sigmoid_kernel", "_second_stage"]),
        (64, {"missing": True}, ["sigmoid_kernel", "sigmoid_close_kernel"]),
        (0, {"missing": True}, ["sigmoid_close_kernel"]),
        (64, {"mask": _meta(1000)}, ["count_kernel", "sigmoid_kernel", "_second_stage"]),
        (8192, {"mask": _meta(1000)}, ["count_kernel", "_second_stage", "sigmoid_kernel", "_second_stage"]),
    ],
)
def test_a_binary_loss(rows: int, options: dict[str, Any], kernels: list[str]) -> None:
    x = _meta(rows, 1000)
    assert _launched(sigmoid_nll.sigmoid_loss, x, x, *_labels(**options), True, None, True) == kernels


@pytest.mark.parametrize("direction", ["forward", "reverse", "jsd"])
def test_a_divergence_is_one_launch(direction: str) -> None:
    for rows, classes in ((4096, 128256), (3, 7)):
        given = (_meta(rows, classes), _meta(rows, classes), direction, 0.5, 0.0, 0.0)
        for up in (None, _meta(), _meta(rows)):
            assert _launched(softmax_kl.softmax_kl_, up, *given) == ["softmax_kl"]
    given = (_meta(0, 7), _meta(0, 7), direction, 0.5, 0.0, 0.0)
    assert _launched(softmax_kl.softmax_kl_, None, *given) == []
