"""What the kit has found so far, written to its files after each step, so that a cut-off loses nothing."""

from __future__ import annotations

import json
import math
import os
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from benchmarks.gpu.search import Found
from benchmarks.gpu.work import Outcome
from likelihead.bench.results import Results, Row, text_of


class Book:
    """Results under way.

    Args:
        results: with the machine and the settings; rows and steps come as they are found.
        path: of the JSON file.
    """

    def __init__(self, results: Results, path: Path) -> None:
        self.results = results
        self.path = path
        self._lines: list[str] = []
        self.write()

    def add(self, outcome: Outcome) -> None:
        """Keep an outcome; a row of the table goes to the others."""
        if isinstance(outcome.found, Row):
            self.results.rows.append(outcome.found)
            outcome.found = {"row": outcome.found.case}
        self._step({key: value for key, value in asdict(outcome).items() if value not in ("", None)})

    def add_tunable(self, found: Found) -> None:
        """Keep what a search found for a row of `tunables.py`."""
        self._step({"name": f"tunable/{found.place.kernel} {found.place.bucket}", "found": asdict(found)})

    def _step(self, step: dict[str, Any]) -> None:
        step = _plain(step)
        self.results.steps.append(step)
        self._lines.append(json.dumps(step, allow_nan=False))
        self.write()

    def write(self) -> None:
        """Write the file, whole or not at all; a step is one line, and is not put into words again."""
        text = text_of(replace(self.results, steps=[])).rstrip()
        if self._lines:
            steps = ",\n  ".join(self._lines)
            text = f'{text.removesuffix("}").rstrip()},\n "steps": [\n  {steps}\n ]\n}}'
        aside = self.path.with_name(self.path.name + ".part")
        aside.write_text(text + "\n", encoding="utf-8")
        os.replace(aside, self.path)


def _plain(value: Any) -> Any:
    """As JSON can have it."""
    if isinstance(value, dict):
        return {str(name): _plain(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value if isinstance(value, (str, int, float, bool, type(None))) else str(value)
