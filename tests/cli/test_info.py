"""``likelihead info``."""

from __future__ import annotations

import pytest
import torch
from click.testing import CliRunner

import likelihead
from likelihead.cli import info, main


def test_it_shows_versions_backends_threads_and_the_guard() -> None:
    result = CliRunner().invoke(main, ["info"])
    assert result.exit_code == 0
    for word in ("likelihead", torch.__version__, "reference", "available", "threads", "cheap"):
        assert word in result.stdout


def test_an_absent_package_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(info, "OPTIONAL_PACKAGES", {"no-such-package": "train"})
    assert ("no-such-package", "not installed (pip install 'likelihead[train]')") in info.report()["versions"]


def test_what_the_native_kernels_run_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    from likelihead.kernels.native import _library

    monkeypatch.setattr(_library, "absent", lambda: None)
    monkeypatch.setattr(_library, "instruction_set", lambda: "avx512")
    monkeypatch.setattr(_library, "stores", lambda: "past")
    machine = dict(info.report()["machine"])
    assert machine["native kernels"].startswith("avx512 ")
    assert machine["large gradients"].startswith("stores: past ")
    monkeypatch.setattr(_library, "absent", lambda: "no compiler was found")
    assert "native kernels" not in dict(info.report()["machine"])


def test_an_absent_backend_is_given_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    from likelihead.kernels import dispatch

    monkeypatch.setattr(
        dispatch, "backends", lambda: [dispatch.BackendStatus("native", False, "no compiler was found")]
    )
    assert info.report()["kernel backends"] == [("native", "not available: no compiler was found")]


def test_the_guard_in_force_is_shown() -> None:
    with likelihead.guard("full", action="raise"):
        guard = dict(info.report()["guard"])
    assert guard["level"].startswith("full ")
    assert guard["action"] == "raise"
