"""What the kit says in the end, and of a file that a cut-off run has left."""

from __future__ import annotations

from collections import Counter
from typing import Any

from rich.console import Console
from rich.text import Text

from benchmarks.gpu.device import REHEARSAL
from benchmarks.gpu.sweep import LIMIT
from likelihead.bench.results import Results
from likelihead.bench.show import markdown, print_table

MOST_TROUBLES = 25
ORDER = ("right", "wrong", "failed", "lost", "skipped")


def group_of(name: str) -> str:
    """The line of the summary that a step counts in."""
    parts = name.split("/")
    return (
        "/".join(parts[:3])
        if parts[0] == "correct"
        else "/".join(parts[:2])
        if parts[0] == "behaviour"
        else parts[0]
    )


def summary(results: Results) -> list[str]:
    """The steps in lines: how many of each group had which outcome, what was wrong, and what was found."""
    counts: dict[str, Counter[str]] = {}
    worst: dict[str, float] = {}
    for step in results.steps:
        if step["name"].startswith("tunable/"):
            continue
        group = group_of(step["name"])
        counts.setdefault(group, Counter())[step["status"]] += 1
        found = step.get("found", {})
        errors = [
            value for name, value in found.items() if name.endswith(" ulp") and isinstance(value, float)
        ]
        worst[group] = max([worst.get(group, 0.0), *errors])
    lines = []
    for group, count in counts.items():
        words = ", ".join(f"{count[status]} {status}" for status in ORDER if count[status])
        lines.append(f"{group}: {words}" + (f"; at most {worst[group]:.2f} ulp" if worst[group] else ""))
    troubles = [step for step in results.steps if step.get("status") in ("wrong", "failed", "lost")]
    lines += [
        f"{step['status'].upper()} {step['name']}: {step.get('message', '')}"
        for step in troubles[:MOST_TROUBLES]
    ]
    if len(troubles) > MOST_TROUBLES:
        lines.append(f"... and {len(troubles) - MOST_TROUBLES} more; the JSON file has all of them.")
    for step in results.steps:
        if step["name"].startswith("rates/") and "found" in step:
            lines.append(
                f"{step['name']}: " + ", ".join(f"{name} {value}" for name, value in step["found"].items())
            )
    lines += _swept(results)
    return lines


def _swept(results: Results) -> list[str]:
    """The sizes at which a call takes longer than torch's, the worst first, or that there is none."""
    ratios = {
        step["name"].removeprefix("sweep/"): step["found"]["times eager"]
        for step in results.steps
        if "times eager" in step.get("found", {})
    }
    slow = sorted((ratio, name) for name, ratio in ratios.items() if ratio > LIMIT)
    if not ratios:
        return []
    words = ", ".join(f"{name} {ratio:.2f}" for ratio, name in reversed(slow))
    about = f"sweep: {len(slow)} of {len(ratios)} sizes take more than {LIMIT:g} of torch eager's time"
    return [f"{about}: {words}" if slow else about]


def tunables(results: Results) -> list[str]:
    """The rows that the search has found, as `kernels/triton/tunables.py` has them."""
    machine = results.machine
    source = f"{machine.get('gpu')}, {results.date}"
    return [_row(step["found"], source) for step in results.steps if step["name"].startswith("tunable/")]


def _row(found: dict[str, Any], source: str) -> str:
    place, gain = found["place"], found["start_seconds"] / found["seconds"]
    fields = ", ".join(f"{name}={value}" for name, value in found["best"].items())
    return (
        f'("{place["kernel"]}", "{place["bucket"]}"): Tunable({fields}, source="{source}"),'
        f"  # {gain:.2f}x what was there, {place['case']} {place['route']}"
    )


def is_rehearsal(results: Results) -> bool:
    return results.machine.get("gpu") == "rehearsal"


def show(results: Results, console: Console) -> None:
    """The summary, the tunables, and the table last."""
    for line in summary(results):
        console.print(Text(line))
    rows = tunables(results)
    if rows:
        console.print("Rows for kernels/triton/tunables.py:")
        for row in rows:
            console.print(Text(f"    {row}"), soft_wrap=True)
    print_table(results, console)
    if is_rehearsal(results):
        console.print(Text(f"{REHEARSAL}."))


def page(results: Results) -> str:
    """The same as Markdown."""
    parts = [markdown(results), "## The steps of the run", "", *(f"- {line}" for line in summary(results))]
    rows = tunables(results)
    if rows:
        parts += ["", "## Rows for kernels/triton/tunables.py", "", "```python", *rows, "```"]
    return "\n".join(parts) + "\n"
