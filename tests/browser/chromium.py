"""A headless Chromium from the system's packages; nothing is fetched from anywhere."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any, NoReturn

import pytest

__all__ = ["start"]

FLAGS = (
    "--headless=new",
    "--no-sandbox",  # the sandbox does not start for root, as whom containers run
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--disable-background-networking",
    "--no-first-run",
)


def start(profile: Path) -> Any:
    """A browser with its console and requests logged; where there is none a skip, with CI set a failure."""
    try:
        from selenium import webdriver
    except ModuleNotFoundError:
        _absent("selenium is not installed: pip install -e '.[dev]'")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    chromedriver = shutil.which("chromedriver")
    if chromium is None or chromedriver is None:
        _absent("there is no chromium with its chromedriver: apt-get install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in (*FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    # With its path given, selenium does not go looking for a driver on the network.
    return webdriver.Chrome(options=options, service=webdriver.ChromeService(executable_path=chromedriver))


def _absent(reason: str) -> NoReturn:
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)
