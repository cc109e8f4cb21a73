from __future__ import annotations

from collections.abc import Iterator

import pytest

from likelihead.guard import switch


@pytest.fixture(autouse=True)
def fresh_guard() -> Iterator[None]:
    """Each test starts at the built-in setting, whatever the environment says, and with nothing reported."""
    before = switch._everywhere
    switch.set_guard(level="cheap", action=None)
    yield
    switch._everywhere = before
