"""One set of ops for all devices: the same schemas with and without the C++ library; who serves a call."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch

from likelihead.cli import info
from likelihead.errors import BackendError
from likelihead.kernels.dispatch import backends, use_backend
from likelihead.kernels.fused.registration import SCHEMAS
from likelihead.kernels.triton import library

NATIVE = {b.name: b for b in backends()}["native"]


@pytest.mark.skipif(not NATIVE.available, reason=f"native is absent: {NATIVE.reason}")
def test_the_library_declares_the_same_ops() -> None:
    for name, schema in SCHEMAS.items():
        declared = getattr(torch.ops.likelihead, name).default._schema
        assert declared == torch._C.parse_schema(f"likelihead::{name}{schema}"), name


@pytest.mark.skipif(not NATIVE.available, reason=f"native is absent: {NATIVE.reason}")
def test_a_schema_that_differs_would_show() -> None:
    other = SCHEMAS["sigmoid_nll"].replace("bool torch_nonfinite", "int torch_nonfinite")
    declared = torch.ops.likelihead.sigmoid_nll.default._schema
    assert declared != torch._C.parse_schema(f"likelihead::sigmoid_nll{other}")


WITHOUT = """
import sys
{before}
import torch, likelihead
from likelihead.kernels.dispatch import backends, explain
x, y = torch.randn(4, 3, requires_grad=True), torch.tensor([0, 1, 2, 0])
loss = likelihead.functional.cross_entropy(x, y) + likelihead.functional.binary_cross_entropy_with_logits(x, x.detach().sigmoid())
loss.backward()
torch.testing.assert_close(loss, torch.nn.functional.cross_entropy(x, y) + torch.nn.functional.binary_cross_entropy_with_logits(x, x.detach().sigmoid()))
print(explain("softmax_nll", x).backend, explain("sigmoid_nll", x).backend, bool(sys.modules.get("triton")))
print(*(f"{{b.name}}:{{b.available}}" for b in backends()))
"""  # noqa: E501


def _without(before: str, **environment: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", WITHOUT.format(before=before)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "LIKELIHEAD_NATIVE_LIBRARY": "/nowhere/_kernels.so", **environment},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_without_native_and_triton_a_call_runs_on_portable() -> None:
    served, there = _without("sys.modules['triton'] = None")
    assert served == "portable portable False"
    assert "native:False triton:False portable:True" in there


def test_a_triton_that_is_not_there_is_said_and_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library, "_LIBRARY", object())
    monkeypatch.setattr(library, "find_spec", lambda name: None)
    monkeypatch.setattr(library, "_absent", library._why_absent())
    rows = dict(info.report()["kernel backends"])
    assert rows["triton"] == (
        "not available: there is no triton package beside this torch (pip install triton)"
    )
    with pytest.raises(BackendError, match="'triton' is not available: there is no triton package"):
        use_backend("triton")


@pytest.mark.parametrize("found", ["3.4.0", "3.10.1", "2.1", "4.0"])
def test_a_triton_of_another_version_is_said(found: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library, "_LIBRARY", object())
    monkeypatch.setattr(library, "find_spec", lambda name: object())
    monkeypatch.setattr(library, "version", lambda name: found)
    assert f"triton is {found}, and the kernels are written for 3.5 to 3.9" in (library._why_absent() or "")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_no_gpu_is_said() -> None:
    assert any(
        words in (library.absent() or "")
        for words in ("is built without CUDA and HIP", "torch finds no CUDA or HIP device")
    )
    with pytest.raises(BackendError, match="'triton' is not available"):
        use_backend("triton")


def test_an_old_gpu_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda index: (6, 1))
    monkeypatch.setattr(library, "_BUILDS", {"cuda"})
    assert library._why_unfit(0) == "the device is of compute capability 6.1, and Triton needs 7.0"
