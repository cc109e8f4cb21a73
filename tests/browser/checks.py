"""Open a page in a real browser and list what a reader would stumble over."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

__all__ = ["VIEWS", "View", "faults", "show"]

SCRIPT = (Path(__file__).parent / "checks.js").read_text("utf-8")


class View(NamedTuple):
    """How the page is looked at."""

    width: int
    scheme: str

    @property
    def telephone(self) -> bool:
        return self.width < 600


VIEWS = [View(width, scheme) for width in (1200, 375) for scheme in ("light", "dark")]


def show(driver: Any, page: Path, view: View) -> None:
    """Load the page as a device of that width and with that preference shows it."""
    driver.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": view.width, "height": 812, "deviceScaleFactor": 1, "mobile": view.telephone},
    )
    features = [{"name": "prefers-color-scheme", "value": view.scheme}]
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "screen", "features": features})
    for log in ("browser", "performance"):
        driver.get_log(log)  # reading empties it
    driver.get(page.absolute().as_uri())


def faults(driver: Any, page: Path, view: View) -> list[str]:
    """``kind: where`` for each fault; empty for a page that is fit to be read.

    The kinds: ``console`` (an error or a warning there), ``request`` (anything but the file itself and data
    in it), ``image``, ``figure``, ``overflow`` (text outside its place), ``hidden``, ``scroll`` (the page is
    wider than the screen), ``contrast``.
    """
    show(driver, page, view)
    found = [
        f"{kind}: {where}" for kind, where in driver.execute_script(f"const WIDTH = {view.width};\n{SCRIPT}")
    ]
    found += [f"request: {url}" for url in _requests(driver) if not url.startswith(("file:", "data:"))]
    found += [f"console: {entry['message']}" for entry in driver.get_log("browser")]
    return found


def _requests(driver: Any) -> list[str]:
    messages = [json.loads(entry["message"])["message"] for entry in driver.get_log("performance")]
    return [
        message["params"].get("request", message["params"]).get("url", "")
        for message in messages
        if message["method"] in ("Network.requestWillBeSent", "Network.webSocketCreated")
    ]
