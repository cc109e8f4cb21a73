"""Extra peak memory of one step: what the process holds at its worst beyond what it held before.

It is resident memory, so that scratch space counts whoever allocates it, torch or C++. Each case has a
process of its own, in which glibc returns every buffer over 64 KiB to the system when it is freed: what is
resident is then what is in use. Linux resets the high-water mark (5 written to ``/proc/self/clear_refs``);
where that is not permitted the figure is left out, with the reason.
"""

from __future__ import annotations

import gc
import json
import os
import re
import subprocess
import sys
from pathlib import Path

from likelihead.bench.contenders import Contender
from likelihead.errors import BackendError

__all__ = ["extra_mib", "in_own_process", "why_not"]

_STATUS = Path("/proc/self/status")
_CLEAR = Path("/proc/self/clear_refs")
_ALLOCATOR = {"MALLOC_MMAP_THRESHOLD_": str(64 * 1024), "MALLOC_TRIM_THRESHOLD_": "0"}


def why_not() -> str:
    """Why peak memory cannot be measured here; empty where it can."""
    try:
        _CLEAR.write_text("5")
        _resident("VmHWM")
    except (OSError, BackendError) as error:
        return f"this system does not reset its high-water mark ({type(error).__name__})"
    return ""


def extra_mib(contender: Contender, *, untimed: bool = True) -> float:
    """MiB at the peak of a step beyond the inputs; the gradient counts.

    The first run is not measured: it starts threads and pages code in. Where it has been made already it is
    left out, without ``untimed``.
    """
    if untimed:
        contender.prepare()
        contender.step()
    contender.prepare()
    gc.collect()
    _CLEAR.write_text("5")
    before = _resident("VmRSS")
    contender.step()
    peak = _resident("VmHWM")
    contender.prepare()
    return max(peak - before, 0) / 1024


def in_own_process(
    case: str, *, threads: int, compiled: bool = True, backend: str = "auto"
) -> dict[str, float]:
    """`extra_mib` of each contender of a case, measured in a fresh process.

    Raises:
        BackendError: the process failed.
    """
    arguments = [case, str(threads), str(int(compiled)), backend]
    command = [sys.executable, "-m", "likelihead.bench.memory", *arguments]
    done = subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, **_ALLOCATOR}, check=False
    )
    if done.returncode != 0:
        last = next(reversed(done.stderr.strip().splitlines()), "no word why")
        raise BackendError(f"the process that measures the memory of {case} failed: {last}")
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def _resident(field: str) -> int:
    match = re.search(rf"^{field}:\s+(\d+) kB$", _STATUS.read_text(encoding="ascii"), re.MULTILINE)
    if match is None:
        raise BackendError(f"/proc/self/status has no {field}.")
    return int(match[1])


def _main(name: str, threads: str, compiled: str, backend: str) -> None:
    import torch

    from likelihead.bench.cases import CASES
    from likelihead.bench.contenders import line_up
    from likelihead.kernels.dispatch import use_backend

    torch.set_num_threads(int(threads))
    use_backend(backend)
    (case,) = (case for case in CASES if case.name == name)
    line = line_up(case.build(), compiled=compiled == "1")
    untimed = case.rounds is None  # otherwise seconds, and each has run when it was checked
    print(json.dumps({one.name: extra_mib(one, untimed=untimed) for one in line.contenders}))


if __name__ == "__main__":
    _main(*sys.argv[1:])
