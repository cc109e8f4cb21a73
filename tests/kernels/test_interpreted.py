"""The kernels' suite on triton in its interpreter, in processes of their own: it is chosen on import."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from not_interpreted import NOT_INTERPRETED

TESTS = Path(__file__).resolve().parents[1]
# Two processes side by side, of about the same length.
PARTS = {
    "first": [
        "kernels/test_against_reference.py",
        "kernels/test_torch_ops.py",
        "kernels/test_sigmoid_nll.py",
        "kernels/test_bad_input.py",
        "kernels/test_no_waiting.py",
        "kernels/test_sweep.py",
        "kernels/test_focal.py",
        "functional/test_devices.py",
        "functional/test_in_place.py",
        "functional/test_ways_to_call.py",
    ],
    "second": [
        "kernels/interpreted",
        "kernels/test_differentiation.py",
        "kernels/test_softmax_nll.py",
        "kernels/test_softmax_extremes.py",
        "kernels/test_options.py",
        "kernels/test_linear_softmax_nll.py",
        "kernels/test_linear_edges.py",
    ],
}
# Of the tests of the kernels, those that are about something else than the numbers of a kernel.
ELSEWHERE = {
    "test_build.py", "test_dispatch.py", "test_head_products.py", "test_interpreted.py",
    "test_linear_kernels.py", "test_linear_memory.py", "test_linear_products.py",
    "test_linear_ways_to_call.py", "test_native.py", "test_native_scores.py", "test_plain.py",
    "test_portable.py", "test_portable_against_reference.py", "test_portable_small.py",
    "test_registration.py", "test_sharding.py", "test_softmax_kl.py",
}  # fmt: skip

pytestmark = pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="triton is not installed")


@dataclass
class Part:
    process: subprocess.Popen[bytes]
    results: Path
    output: Path


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Part]]:
    folder = tmp_path_factory.mktemp("interpreted")
    environment = {
        **os.environ,
        "TRITON_INTERPRET": "1",
        "LIKELIHEAD_HYPOTHESIS": "interpreter",
        "OMP_NUM_THREADS": "1",
    }
    started: dict[str, Part] = {}
    for name, files in PARTS.items():
        results, output = folder / f"{name}.xml", folder / f"{name}.txt"
        with output.open("wb") as stream:
            process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "not gpu"),
                    *(f"--junitxml={results}", f"--rootdir={TESTS.parent}"),
                    *(str(TESTS / file) for file in files),
                ],
                stdout=stream,
                stderr=subprocess.STDOUT,
                cwd=TESTS.parent,
                env=environment,
            )
        started[name] = Part(process, results, output)
    yield started
    for part in started.values():
        part.process.kill()
        part.process.wait()


def test_every_test_of_the_kernels_has_its_place() -> None:
    listed = {Path(file).name for files in PARTS.values() for file in files}
    here = {path.name for path in Path(__file__).parent.glob("test_*.py")}
    here = {name for name in here if not name.startswith("test_triton")}  # of plans, which nothing runs
    assert here - listed <= ELSEWHERE
    assert not listed & ELSEWHERE


@pytest.mark.parametrize("name", PARTS)
def test_triton_passes_the_suite_of_the_kernels(name: str, parts: dict[str, Part]) -> None:
    part = parts[name]
    part.process.wait(timeout=900)
    output = part.output.read_text(encoding="utf-8", errors="replace")
    assert part.process.returncode == 0, output[-6000:]
    suite = ElementTree.parse(part.results).getroot().find("testsuite")
    assert suite is not None
    properties = {p.get("name"): p.get("value") for p in suite.iter("property")}
    # It was triton that ran.
    assert int(properties["launches"] or 0) > 500, properties
    skipped = {_test(case) for case in suite.iter("testcase") if case.find("skipped") is not None}
    files = {Path(file).name for file in PARTS[name]}
    assert skipped == {test for test in NOT_INTERPRETED if test.partition("::")[0] in files}


def _test(case: ElementTree.Element) -> str:
    module, function = case.get("classname", ""), case.get("name", "")
    return f"{module.rpartition('.')[2]}.py::{function.partition('[')[0]}"
