"""The conformance tools that the project keeps beside its checkout, where they are there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from likelihead.kernels.dispatch import backends

TOOLS = Path(__file__).resolve().parents[2] / "shared" / "conformance"
FUNCTIONS = {
    "cross_entropy": "CrossEntropyLoss",
    "nll_loss": "NLLLoss",
    "binary_cross_entropy": "BCELoss",
    "binary_cross_entropy_with_logits": "BCEWithLogitsLoss",
    "multilabel_soft_margin_loss": "MultiLabelSoftMarginLoss",
}
# Planted wrong functions, and what each pretends to be.
WRONG = {
    "mean_over_n": "cross_entropy",
    "no_double_backward": "cross_entropy",
    "grad_off_2e5": "cross_entropy",
    "float32_inside": "cross_entropy",
    "naive_no_max": "cross_entropy",
    "all_ignored_zero": "cross_entropy",
    "custom_op_no_fake": "cross_entropy",
    "nll_mean_over_n": "nll_loss",
    "bce_logits_naive": "binary_cross_entropy_with_logits",
}

pytestmark = pytest.mark.skipif(not TOOLS.is_dir(), reason="the shared tools are not beside this checkout")


HERE = Path(__file__).resolve().parent
NATIVE = {b.name: b for b in backends()}["native"]
# Where the functions and the modules come from: as they are, and with a backend forced.
SOURCES = pytest.mark.parametrize(
    ("functions", "modules"),
    [
        ("likelihead.functional", "likelihead.nn"),
        pytest.param(
            "native_forced",
            "native_forced",
            marks=pytest.mark.skipif(not NATIVE.available, reason=f"native is absent: {NATIVE.reason}"),
        ),
        ("portable_forced", "portable_forced"),
        ("portable_blocks_forced", "portable_blocks_forced"),
    ],
)


def _run(tool: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join(filter(None, [str(HERE), os.environ.get("PYTHONPATH")]))
    return subprocess.run(
        [sys.executable, str(TOOLS / tool), *arguments],
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
        env={**os.environ, "PYTHONPATH": path},
    )


@SOURCES
def test_functions_and_modules_fail_nothing(functions: str, modules: str) -> None:
    classes = [
        argument
        for name in FUNCTIONS.values()
        for argument in ("--override", f"torch.nn.{name}={modules}:{name}")
    ]
    # That of a linear head has half of torch's own samples, and a test of its own.
    done = _run("run.py", "--package", functions, *classes, "--only", "^(?!.*linear_?cross)(?i:.*)")
    passed, failed = map(int, re.findall(r"(\d+) passed, (\d+) failed", done.stdout)[-1])
    assert failed == 0, done.stdout
    assert passed > 3000


@pytest.mark.skipif(not hasattr(torch.nn.functional, "linear_cross_entropy"), reason="from torch 2.13 on")
def test_the_linear_head_fails_nothing_in_chunks_of_7_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHUNK_TOKENS", "7")
    override = "torch.nn.functional.linear_cross_entropy=linear_chunks_forced:linear_cross_entropy"
    phases = "fwd,gradcheck,fwdad,gradgrad,errors,edges,contracts"
    done = _run("run.py", "--override", override, "--only", "linear_cross", "--phase", phases)
    passed, failed = map(int, re.findall(r"(\d+) passed, (\d+) failed", done.stdout)[-1])
    assert failed == 0, done.stdout
    assert passed > 4000


@pytest.mark.parametrize("wrong", WRONG)
def test_each_wrong_function_still_fails(wrong: str) -> None:
    done = _run("run.py", "--override", f"torch.nn.functional.{WRONG[wrong]}=wrongfns:{wrong}")
    found = re.findall(r"(\d+) passed, (\d+) failed", done.stdout)
    assert found, done.stderr  # it ran to its end
    assert int(found[-1][1]) > 0


@SOURCES
def test_accuracy_is_within_the_bounds(functions: str, modules: str) -> None:
    names = ("cross_entropy", "binary_cross_entropy_with_logits")
    overrides = [
        argument
        for name in names
        for argument in ("--override", f"torch.nn.functional.{name}={functions}:{name}")
    ]
    done = _run("accuracy.py", *overrides)
    assert done.returncode == 0, done.stderr
    tables = done.stdout.split("binary_cross_entropy_with_logits:")
    assert _worst(tables[0], wide=4.0, narrow=1.0) == []
    assert _worst(tables[1].split("accumulation")[0], wide=2.0, narrow=1.0) == []


def _worst(table: str, *, wide: float, narrow: float) -> list[str]:
    rows = [line for line in table.splitlines() if "->" in line]
    assert len(rows) >= 12
    bad = []
    for row in rows:
        dtype = row.split()[0]
        bound = wide if dtype in ("f64", "f32") else narrow
        if any(float(value) > bound for value in row.split("->")[1].split()):
            bad.append(row)
    return bad
