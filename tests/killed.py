"""Runs that are killed and resumed, and what is compared of them.

As a program, it is the process that imports torch once and forks a child for each attempt. Jobs come as JSON
on the standard input; an attempt ends where its kill says, inside a step, the log or a checkpoint's write.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from likelihead.train import checkpoint

__all__ = ["exit_codes", "job", "state", "work"]

Kills = list[list[Any]]
"""Where each attempt ends: ``["step", 3]`` is in the third step; the last attempt goes to the end."""


def job(name: str, options: dict[str, Any], kills: Kills, folder: Path) -> dict[str, Any]:
    """A run into a folder of its name."""
    return {"name": name, "options": options, "kills": kills, "out": str(folder / name)}


def work(jobs: list[dict[str, Any]], problem: str) -> tuple[dict[str, list[int]], list[str]]:
    """Do the jobs: the exit codes of their attempts by name, and the errors that the library raised.

    Args:
        jobs: see `job`.
        problem: ``module:class`` of the problem. Its report is not written, which takes longer than training
            here.
    """
    done = subprocess.run(
        [sys.executable, __file__, problem],
        input=json.dumps(jobs),
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    lines = [line.split(" ", 1) for line in done.stdout.splitlines()]
    codes = dict(json.loads(rest) for kind, rest in lines if kind == "CODES")
    return codes, [rest for kind, rest in lines if kind == "ERROR"]


def exit_codes(kills: Kills) -> list[int]:
    """The codes that the attempts should end with."""
    return [*(43 if kind == "stop" else -signal.SIGKILL for kind, _ in kills), 0]


def state(run: Path) -> dict[str, bytes]:
    """Weights, optimizer state, position and log at the end, as the files hold them.

    Of the checkpoints the last: which earlier ones are still there depends on where the run was killed.
    """
    files = [checkpoint.paths(run / "checkpoints")[-1], run / "model.safetensors", run / "metrics.jsonl"]
    return {path.name: path.read_bytes() for path in files}


class _Kill:
    """Ends the process at the n-th call of a function of os, or at the n-th step or epoch."""

    def __init__(self, kind: str, left: int) -> None:
        self.kind, self.left = kind, left
        if kind in ("fsync", "replace"):
            original = getattr(os, kind)
            setattr(os, kind, lambda *a: (self._count(), original(*a))[1])

    def _count(self) -> None:
        self.left -= 1
        if self.left:
            return
        if self.kind == "limit":
            import resource

            hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
            resource.setrlimit(resource.RLIMIT_FSIZE, (600, hard))
        else:
            os.kill(os.getpid(), signal.SIGKILL)

    def begin(self, trainer: object) -> None:
        """Part of an observer."""

    def step(self, trainer: object) -> None:
        if self.kind in ("step", "limit"):
            self._count()

    def epoch(self, trainer: object, record: object) -> None:
        if self.kind == "epoch":
            self._count()

    def stop(self) -> int | None:
        if self.kind != "stop":
            return None
        self.left -= 1
        return signal.SIGTERM if self.left == 0 else None


def _in_a_child(attempt: Callable[[], None]) -> int:
    from likelihead.errors import LikelihoodError
    from likelihead.train import Interrupted

    pid = os.fork()
    if pid:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    code = 99
    try:
        attempt()
        code = 0
    except Interrupted:
        code = 43
    except LikelihoodError as error:
        print("ERROR", " ".join(str(error).split()), flush=True)
        code = 2
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def _main(problem: str) -> None:
    import torch

    from likelihead.train import TrainConfig, resume, train

    # The parent imports, the children train: torch imports its compiler with the first optimizer.
    torch.optim.AdamW([torch.zeros(1, requires_grad=True)])
    module, name = problem.split(":")
    getattr(import_module(module), name).write_report = lambda self, trainer: None

    def attempt(options: dict[str, Any], out: Path, kind: str, left: int) -> None:
        kill = _Kill(kind, left)
        if out.exists():
            resume(out, observer=kill, stop=kill.stop)
        else:
            train(TrainConfig(**options), out=out, observer=kill, stop=kill.stop)

    for each in json.loads(sys.stdin.read()):
        run = partial(attempt, each["options"], Path(each["out"]))
        codes = [_in_a_child(partial(run, *kill)) for kill in [*each["kills"], ["none", 0]]]
        print("CODES", json.dumps([each["name"], codes]), flush=True)


if __name__ == "__main__":
    _main(sys.argv[1])
