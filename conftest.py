"""For the doctests of src/: what a reader of an example takes as imported."""

from __future__ import annotations

from typing import Any

import pytest
import torch


@pytest.fixture(autouse=True)
def _imported(doctest_namespace: dict[str, Any]) -> None:
    doctest_namespace["torch"] = torch
