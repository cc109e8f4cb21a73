"""Every fast backend on one call of each kind."""

from __future__ import annotations

import pytest

from kernel_sweep import sigmoid_checks, softmax_checks

pytestmark = pytest.mark.usefixtures("fast")


@pytest.mark.parametrize("name", softmax_checks())
def test_softmax(name: str) -> None:
    softmax_checks()[name]()


@pytest.mark.parametrize("name", sigmoid_checks())
def test_sigmoid(name: str) -> None:
    sigmoid_checks()[name]()
