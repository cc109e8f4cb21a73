"""The three faces of a watched run's report, each made of its :class:`likelihead.watch.record.Record` alone.

- :mod:`likelihead.watch.pages.terminal`: for people, at once;
- :mod:`likelihead.watch.pages.html`: for people, with the curves; needs matplotlib and jinja2;
- :mod:`likelihead.watch.pages.json`: for programs.

:mod:`likelihead.watch.pages.words` holds the sentences that all of them begin with.
"""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from likelihead.watch.pages.html import html_text
    from likelihead.watch.pages.json import json_text
    from likelihead.watch.pages.terminal import print_report, render

__all__ = ["check_html", "html_text", "json_text", "print_report", "render"]

_HOME = {"html_text": "html", "json_text": "json", "print_report": "terminal", "render": "terminal"}


def __getattr__(name: str) -> Any:
    if name in _HOME:  # each with its libraries, when it is asked for
        return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def check_html() -> None:
    """Say before a run, which may take hours, that its HTML page could not be made.

    Nothing is imported: the script is to find what it would find without the watch.

    Raises:
        ModuleNotFoundError: for jinja2 or matplotlib, which the extra ``train`` brings.
    """
    for name in ("jinja2", "matplotlib"):
        if sys.modules.get(name) is None and find_spec(name) is None:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
