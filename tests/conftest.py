"""What every test shares."""

from __future__ import annotations

import pytest
import torch
from hypothesis import settings

settings.register_profile("likelihead", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("likelihead")


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)
