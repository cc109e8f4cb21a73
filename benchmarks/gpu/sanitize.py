"""Some checks under compute-sanitizer, which sees each access outside an allocation.

Each tensor has an allocation of its own there: with torch's caching one that runs over the end of a tensor
lands in the next, and nobody is told.
"""

from __future__ import annotations

import math
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import torch

from benchmarks.gpu import correct
from benchmarks.gpu.device import Device, open_device
from benchmarks.gpu.work import Task, Wrong, attempt

PROGRAM = "compute-sanitizer"
FOUND = 86  # the exit code for an access that it found
SECONDS = 240.0
MOST_ELEMENTS = 100_000


def tasks(seed: int) -> Iterator[Task]:
    yield Task(f"sanitizer/{PROGRAM}", run, (seed,), 100.0, SECONDS + 20)


def chosen() -> list[correct.Check]:
    """A small one of each op, layout, dtype and route, and each option."""
    seen: set[object] = set()
    found = []
    for check in correct.checks():
        size = math.prod(check.shape)
        kinds = {(check.op, check.layout, check.dtype), (check.op, check.route)}
        kinds |= {(check.op, len(check.shape), option) for option in check.options}
        if 0 < size <= MOST_ELEMENTS and not kinds <= seen:
            seen |= kinds
            found.append(check)
    return found


def run(device: Device, seed: int) -> dict[str, Any]:
    """The checks in a process that is watched.

    Raises:
        Wrong: an access outside an allocation.
    """
    program = shutil.which(PROGRAM)
    if program is None:
        return {"note": f"there is no {PROGRAM} here"}
    command = [program, "--tool", "memcheck", "--error-exitcode", str(FOUND), "--print-limit", "5"]
    try:
        done = subprocess.run(
            [*command, sys.executable, "-m", "benchmarks.gpu.sanitize", str(seed), str(SECONDS / 2)],
            capture_output=True,
            text=True,
            env={**os.environ, "PYTORCH_NO_CUDA_MEMORY_CACHING": "1"},
            timeout=SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return {"note": f"it took longer than {SECONDS:.0f} s"}
    told = [line.lstrip("= ") for line in done.stdout.splitlines() if line.startswith("=========")]
    if done.returncode == FOUND:
        raise Wrong(" | ".join(line for line in told[1:12] if line))
    if done.returncode:
        last = (done.stderr or done.stdout).strip().splitlines()[-1:]
        return {"note": f"it ended with exit code {done.returncode}: {''.join(last)[:300]}"}
    return {"checks": done.stdout.strip().splitlines()[-1]}


def main(seed: str, seconds: str) -> None:
    """Make as many of the checks as fit; the values are the other steps' business."""
    torch.set_num_threads(1)
    device, start, count = open_device(), time.monotonic(), 0
    checks = chosen()
    for check in checks:
        if time.monotonic() - start > float(seconds):
            break
        attempt(device, Task(check.name, correct.run, (check, int(seed))))
        count += 1
    device.synchronize()
    print(f"{count} of {len(checks)}")


if __name__ == "__main__":
    main(*sys.argv[1:])
