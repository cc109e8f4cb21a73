"""What every test shares."""

from __future__ import annotations

import os

import pytest
import torch
from hypothesis import settings

# For other processes: forces a backend when it is imported; imports triton.
collect_ignore = ["native_forced.py", "planted_kernels.py", "planted_code.py"]

settings.register_profile("likelihead", deadline=None, derandomize=True, print_blob=True)
# `make sanitize`, where an example takes many times as long.
settings.register_profile("sanitize", parent=settings.get_profile("likelihead"), max_examples=30)
settings.load_profile(os.environ.get("LIKELIHEAD_HYPOTHESIS", "likelihead"))


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)
