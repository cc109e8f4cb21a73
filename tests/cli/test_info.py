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


def test_the_memory_of_a_head_is_shown_for_each_route() -> None:
    result = CliRunner().invoke(main, ["info", "--memory", "2048", "50257", "768", "--chunk", "100"])
    assert result.exit_code == 0, result.output
    rows = {line[:24].strip(): line[24:].split() for line in result.stdout.splitlines()}
    assert result.stdout.startswith("linear head and cross-entropy: N = 2048, V = 50257, D = 768, float32,")
    assert "a chunk is of 100 tokens" in result.stdout
    logits = 2048 * 50257 * 4
    assert rows["logits"][0] == f"{logits:,}"
    assert rows["gradients alone"] == [f"{(2048 + 50257) * 768 * 4:,}", "(153.2", "MiB)"]
    assert rows["torch eager"] == [f"{2 * logits:,}", "(785.3", "MiB)", f"{3 * logits:,}", "(1.2", "GiB)"]
    assert set(rows) > {"torch eager, logits kept", "torch chunked", "ours"}
    assert max(map(len, result.stdout.splitlines())) <= 80


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--memory", "0", "1", "1"], "N is '0'; expected a whole number from 1"),
        (["--memory", "1", "x", "1"], "V is 'x'; expected a whole number from 1"),
        (["--memory", "1", "1", "1.5"], "D is '1.5'; expected a whole number from 1"),
        (["--memory", "1", "1", "9" * 5000], "D is '99"),
        (["--memory", "1", "1", str(2**63)], "to 2**63 - 1"),
        (["--memory", "1", "1"], "requires 3 arguments"),
        (["--memory", "1", "1", "1", "--dtype", "int8"], "--dtype is 'int8'; expected one of float32, "),
        (["--memory", "1", "1", "1", "--chunk", "0"], "chunk is '0'"),
        (["--dtype", "float32"], "--dtype is given without --memory"),
        (["--chunk", "8"], "--chunk is given without --memory"),
    ],
)
def test_a_head_that_cannot_be(arguments: list[str], words: str) -> None:
    result = CliRunner().invoke(main, ["info", *arguments])
    assert result.exit_code == 2
    assert words in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert result.stdout == ""


def test_the_largest_head_has_a_figure_and_the_help_fits_the_terminal() -> None:
    result = CliRunner().invoke(main, ["info", "--memory", *[str(2**63 - 1)] * 3, "--dtype", "float64"])
    assert result.exit_code == 0, result.output
    result = CliRunner().invoke(main, ["info", "--help"], terminal_width=78)
    assert max(map(len, result.stdout.splitlines())) <= 78
