"""Which backends a test of the kernels runs on: it asks for `backend`, `fast` or `fused`.

Here those are the backends that serve the CPU. In a process with ``TRITON_INTERPRET=1`` it is triton alone,
and the same tests run in Triton's interpreter: test_interpreted.py starts them.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from kernel_cases import INTERPRETED
from likelihead.kernels.dispatch import backends, use_backend

OF_THE_CPU = [b.name for b in backends() if b.available and b.name != "triton"]
AVAILABLE = ["triton"] if INTERPRETED else OF_THE_CPU
FAST = [name for name in AVAILABLE if name != "reference"]
FUSED = [name for name in FAST if name != "portable"]

# Tests of the triton kernels themselves.
collect_ignore = [] if INTERPRETED else ["interpreted"]


def _in_force(request: pytest.FixtureRequest) -> Iterator[str]:
    with use_backend(request.param):
        yield request.param


@pytest.fixture(params=AVAILABLE)
def backend(request: pytest.FixtureRequest) -> Iterator[str]:
    """Every backend."""
    yield from _in_force(request)


@pytest.fixture(params=FAST)
def fast(request: pytest.FixtureRequest) -> Iterator[str]:
    """Every backend but the reference, which they are held to."""
    yield from _in_force(request)


@pytest.fixture(params=FUSED)
def fused(request: pytest.FixtureRequest) -> Iterator[str]:
    """The backends whose kernels are torch's custom ops."""
    yield from _in_force(request)
