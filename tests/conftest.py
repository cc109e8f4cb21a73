"""What every test shares."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import pytest
import torch
from hypothesis import settings

from not_interpreted import NOT_INTERPRETED

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
pytest.register_assert_rewrite("kernel_cases", "kernel_sweep")

# For other processes: they force a backend when they are imported, or import triton.
collect_ignore = [
    "native_forced.py",
    "portable_blocks_forced.py",
    "portable_forced.py",
    "triton_forced.py",
    "planted_kernels.py",
    "planted_code.py",
]

settings.register_profile("likelihead", deadline=None, derandomize=True, print_blob=True)
# `make sanitize`, where an example takes many times as long.
settings.register_profile("sanitize", parent=settings.get_profile("likelihead"), max_examples=30)
# By hand, for what `make test` samples alone.
settings.register_profile("thorough", parent=settings.get_profile("likelihead"), max_examples=4000)
# The kernels in Triton's interpreter: a thousand times.
settings.register_profile("interpreter", parent=settings.get_profile("likelihead"), max_examples=1)
settings.load_profile(os.environ.get("LIKELIHEAD_HYPOTHESIS", "likelihead"))


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


if INTERPRETED:

    @pytest.fixture(scope="session", autouse=True)
    def _strictly(record_testsuite_property: Callable[[str, object], None]) -> Iterator[None]:
        """Kernels that reach out of bounds, or leave out what they should write, are found by any test."""
        from strict_interpreter import LAUNCHES, strict

        with strict():
            yield
        record_testsuite_property("launches", LAUNCHES.total())

    @pytest.fixture(autouse=True)
    def _poisoned() -> Iterator[None]:
        """What is allocated without values is NaN."""
        torch.use_deterministic_algorithms(True)
        yield
        torch.use_deterministic_algorithms(False)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """In the interpreter, leave out what is listed, and nothing else."""
    for item in items if INTERPRETED else ():
        name = f"{item.path.name}::{item.name.partition('[')[0]}"
        if name in NOT_INTERPRETED:
            item.add_marker(pytest.mark.skip(reason=NOT_INTERPRETED[name]))
