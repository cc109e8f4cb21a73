"""Variables of running frames: what is read of them, and that nothing is changed or asked by that."""

from __future__ import annotations

import sys
import weakref
from typing import Any

import numpy as np
import pytest
import torch

from likelihead.watch.frames import variables


class Meter:
    def __init__(self) -> None:
        self.sum, self.count, self.avg = 0.0, 0, 0.0


class Answering:
    """An object that counts what is asked of it."""

    asked = 0

    def __getattribute__(self, name: str) -> Any:
        Answering.asked += 1
        return object.__getattribute__(self, name)


def holding(snapshot: bool) -> dict[str, float]:
    total, meter, answering, history = 1.5, Meter(), Answering(), {"loss": [0.25]}
    tensor, array = torch.tensor(2.5), np.float64(3.5)
    held = locals if snapshot else None
    found = variables()
    del total, meter, answering, history, tensor, array, held
    return {one.name: one.value for one in found if one.code is holding.__code__}


def without_locals() -> dict[str, float]:
    total, meter, answering, history = 1.5, Meter(), Answering(), {"loss": [0.25]}
    tensor, array = torch.tensor(2.5), np.float64(3.5)
    found = variables()
    del total, meter, answering, history, tensor, array
    return {one.name: one.value for one in found if one.code is without_locals.__code__}


def test_each_way_of_keeping_a_number_is_read_without_asking_an_object() -> None:
    found = without_locals()
    assert Answering.asked == 0
    assert {"total": 1.5, "tensor": 2.5, "array": 3.5, "history['loss'][-1]": 0.25}.items() <= found.items()
    assert found["meter.sum"] == 0.0


@pytest.mark.skipif(sys.version_info >= (3, 13), reason="f_locals is no copy any more")
def test_a_frame_that_may_have_handed_out_its_locals_is_left_alone() -> None:
    assert holding(snapshot=True) == {}


def test_no_tensor_is_kept_alive() -> None:
    big = torch.zeros(1000)
    alive = weakref.ref(big)
    variables()
    del big
    assert alive() is None
