"""The wheel in an empty environment without a compiler, or the source distribution with one.

    python tests/packaging/install.py dist/*.whl --python python3.10 --torch torch==2.11.0 --conformance

`make test-wheel` and .ci/run call it. It is no part of `make test`: an environment with torch is gigabytes.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ROOT.parent / "shared" / "conformance"

# Every warning is an error: neither a slow backend nor a missing numpy is spoken of.
SMOKE = """
import likelihead
from likelihead import functional as F
from likelihead import nn
from likelihead.kernels.dispatch import backends, explain
import importlib.util, torch
assert importlib.util.find_spec("numpy") is None
native = {b.name: b for b in backends()}["native"]
assert native.available, native.reason
generator = torch.Generator().manual_seed(0)
for dtype in (torch.float32, torch.float64, torch.bfloat16, torch.float16):
    for shape in ((64, 10), (64, 1000), (2, 21, 9, 9)):
        logits = torch.randn(shape, generator=generator).to(dtype).requires_grad_()
        target = torch.randint(shape[1], (shape[0], *shape[2:]), generator=generator)
        labels = torch.rand(shape, generator=generator).to(dtype)
        assert explain("softmax_nll", logits).backend == explain("sigmoid_nll", logits).backend == "native"
        for ours, theirs, t, options in (
            (F.cross_entropy, torch.nn.functional.cross_entropy, target, {}),
            (F.cross_entropy, torch.nn.functional.cross_entropy, target, {"label_smoothing": 0.1}),
            (nn.BCEWithLogitsLoss(), torch.nn.BCEWithLogitsLoss(), labels, {}),
        ):
            loss = ours(logits, t, **options)
            gradient, = torch.autograd.grad(loss, logits)
            wide = logits.detach().double().requires_grad_()
            right = theirs(wide, t.double() if t.is_floating_point() else t, **options)
            slope, = torch.autograd.grad(right, wide)
            for got, expected in ((loss, right), (gradient, slope)):
                error = (got.double() - expected).abs().max() / expected.abs().max()
                assert error < {8: 1e-13, 4: 2e-6, 2: 4e-3}[dtype.itemsize], (dtype, shape, options, error)
print("torch", torch.__version__, "on", torch.ops.likelihead.isa())
"""
CLASSES = ("CrossEntropyLoss", "NLLLoss", "BCELoss", "BCEWithLogitsLoss", "MultiLabelSoftMarginLoss")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("archive", type=Path, help="a wheel, or a source distribution")
    parser.add_argument("--python", default=sys.executable, help="the interpreter of the environment")
    parser.add_argument("--torch", default="torch==2.13.0", help="the torch to install first")
    parser.add_argument(
        "--conformance", action="store_true", help="also the shared conformance tools, or the tests"
    )
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="likelihead-installed-") as folder:
        environment = Environment(Path(folder), given.python)
        environment.run("-m", "pip", "install", "--quiet", given.torch)
        environment.run("-m", "pip", "install", "--quiet", str(given.archive.resolve()))
        command = str(environment.python.with_name("likelihead"))
        if given.archive.suffix != ".whl":
            info = environment.run(command, "info")
            assert re.search(r"native +not available: .*`likelihead build`", info), info
            environment.give_compiler()
            print(environment.run(command, "build").strip(), flush=True)
            environment.take_compiler()
        environment.check_library()
        environment.check_files()
        told = environment.run("-W", "error", "-c", SMOKE)
        info = environment.run("-W", "error", command, "info")
        assert re.search(r"native +available", info), info
        built = environment.run(command, "build")
        assert "there already" in built, built
        print(f"{given.archive.name}, {Path(given.python).name}, {told.strip()}: it works", flush=True)
        if given.conformance:
            environment.conform()


class Environment:
    """An empty virtual environment, without a compiler on its path."""

    def __init__(self, folder: Path, python: str) -> None:
        self.folder = folder
        subprocess.run([python, "-m", "venv", str(folder / "venv")], check=True)
        self.python = folder / "venv" / "bin" / "python"
        self.variables = {
            name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "LIKELIHEAD"))
        }
        self.take_compiler()

    def take_compiler(self) -> None:
        self.variables |= {"PATH": str(self.python.parent), "CXX": "/bin/false", "CC": "/bin/false"}

    def give_compiler(self) -> None:
        del self.variables["CXX"], self.variables["CC"]
        self.variables["PATH"] = os.pathsep.join([str(self.python.parent), os.environ["PATH"]])

    def run(self, *arguments: str) -> str:
        """What a Python prints on its standard output; it must end well, silently where -W is given."""
        done = subprocess.run(
            [str(self.python), *arguments],
            cwd=self.folder,
            env=self.variables,
            capture_output=True,
            text=True,
            check=False,
        )
        noise = done.stderr if "-W" in arguments else ""
        if done.returncode or noise:
            raise SystemExit(f"{' '.join(arguments)[:200]}: {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout

    def check_library(self) -> None:
        """It links what a system has and torch brings, and names no folder of the machine that built it."""
        from_torch = {"libc10.so", "libtorch_cpu.so"}
        system = {"libstdc++.so.6", "libm.so.6", "libgcc_s.so.1", "libc.so.6", "ld-linux-x86-64.so.2"}
        (library,) = self.folder.glob("venv/lib/*/site-packages/likelihead/kernels/native/*.so")
        dynamic = subprocess.run(
            ["readelf", "-d", str(library)], capture_output=True, text=True, check=True
        ).stdout
        needed = set(re.findall(r"\(NEEDED\).*\[(.*)\]", dynamic))
        assert from_torch <= needed <= from_torch | system, needed
        assert not re.search(r"\((RPATH|RUNPATH)\)", dynamic), dynamic
        assert not (library.parents[3] / "likelihead.libs").exists()

    def check_files(self) -> None:
        """Nothing of the sources is missing, and nothing of an earlier build is there."""
        (package,) = self.folder.glob("venv/lib/*/site-packages/likelihead")
        assert _files(package) == _files(ROOT / "src" / "likelihead")

    def conform(self) -> None:
        """The shared conformance tools, or, for a torch that they do not know, the tests of the losses."""
        tools = ("numpy", "expecttest", "hypothesis", "pytest", "mpmath")
        self.run("-m", "pip", "install", "--quiet", *tools)
        version = self.run("-c", "import torch; print(torch.__version__)").split(".")
        if (int(version[0]), int(version[1])) < (2, 13) or not TOOLS.is_dir():
            tests = [str(ROOT / "tests" / folder) for folder in ("functional", "kernels")]
            told = self.run("-m", "pytest", "-q", "-p", "no:cacheprovider", *tests)
            print(told.strip().splitlines()[-1], flush=True)
            return
        overrides = [w for name in CLASSES for w in ("--override", f"torch.nn.{name}=likelihead.nn:{name}")]
        told = self.run(str(TOOLS / "run.py"), "--package", "likelihead.functional", *overrides)
        passed, failed = map(int, re.findall(r"(\d+) passed, (\d+) failed", told)[-1])
        print(f"conformance: {passed} passed, {failed} failed", flush=True)
        assert failed == 0, told
        assert passed > 3000, told


def _files(package: Path) -> set[str]:
    made = {"__pycache__", "why_absent.txt"}
    return {
        str(path.relative_to(package))
        for path in package.rglob("*")
        if path.is_file() and path.suffix != ".so" and not made & set(path.parts)
    }


if __name__ == "__main__":
    main()
