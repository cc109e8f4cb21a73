"""The host's part of a call on a GPU, through Triton's own launcher and a driver of no device."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HERE = sys.platform == "linux" and platform.machine() == "x86_64"

pytestmark = pytest.mark.skipif(
    not HERE or shutil.which("cc") is None, reason="needs Triton's wheel and a C compiler"
)


def _run(*arguments: str) -> str:
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    environment["PYTHONPATH"] = os.pathsep.join(
        [str(ROOT / "src"), str(ROOT), os.environ.get("PYTHONPATH", "")]
    )
    run = subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, timeout=300, env=environment, cwd=ROOT
    )
    assert run.returncode == 0, run.stderr[-3000:]
    return run.stdout


def test_the_table() -> None:
    rows = [line.split("|")[1:-1] for line in _run("-m", "benchmarks", "host").splitlines()[2:]]
    launches = {call.strip(): int(count) for call, count, _, _ in rows}
    assert launches["CE [32, 10] float32, mean"] == 1
    assert launches["CE [64, 1000] float32, mean"] == 2
    assert launches["CE [64, 1000] bfloat16, backward"] == 1
    assert launches["BCE [64, 1000] float32, mean, labels may be missing"] == 2
    assert all(float(again) > 0 for *_, again in rows)


# What the launcher is given where Triton has searched for the kernel, and where the kept one is launched.
BOTH_WAYS = """
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
import triton

from benchmarks.host import measure

with TemporaryDirectory() as folder:
    measure.no_device(Path(folder))
    seen = []
    driver = triton.runtime.driver.active
    launcher = driver.launcher_cls

    class Watching(launcher):
        def __call__(self, *arguments):
            first, rest = arguments[:5], arguments[9:]
            numbers = [a.data_ptr() if isinstance(a, torch.Tensor) else a for a in rest]
            seen.append((first, numbers))
            return super().__call__(*arguments)

    driver.launcher_cls = Watching
    for name, call in measure.calls():
        given = {a.data_ptr() for a in (*call.args, *call.keywords.values()) if isinstance(a, torch.Tensor)}
        found = []
        for _ in range(2):
            seen.clear()
            call()
            found.append(list(seen))
        assert found[0], name
        for searched, again in zip(*found, strict=True):
            assert searched[0] == again[0], name
            for one, other in zip(searched[1], again[1], strict=True):
                # What is made in the call is elsewhere the next time.
                same = one == other and type(one) is type(other)
                assert same or (one not in given and one > 2**32 < other), (name, one, other)
        assert given <= {value for _, values in found[1] for value in values}, name
        print(name)
"""


def test_what_is_kept_is_launched_as_triton_does() -> None:
    assert len(_run("-c", BOTH_WAYS).splitlines()) > 20
