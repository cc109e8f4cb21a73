from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from browser.chromium import start


@pytest.fixture(scope="session")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """One browser for all pages."""
    browser = start(tmp_path_factory.mktemp("chromium"))
    yield browser
    browser.quit()
