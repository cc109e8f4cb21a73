"""Which backends a test of the kernels runs on: it asks for `backend`, `fast` or `fused`.

Here those are the backends that serve the CPU. In a process with ``TRITON_INTERPRET=1`` it is triton alone,
and the same tests run in Triton's interpreter: test_interpreted.py starts them.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from likelihead.kernels.dispatch import use_backend
from served_here import AVAILABLE, FAST, FUSED, INTERPRETED

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
