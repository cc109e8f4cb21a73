"""`python -m benchmarks scaling`: what it measures, writes and makes of it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from benchmarks import scaling
from benchmarks.__main__ import main
from likelihead.bench.case import OURS
from likelihead.bench.linear_memory import Sizes, ours
from likelihead.bench.memory import why_not
from likelihead.bench.results import Results, Row, read
from likelihead.errors import BackendError


def planted(power: float, peak: float = 1.0) -> Results:
    """As if the time were that power of the logits, and the peak so many times its formula."""
    rows = [
        Row(
            case=f"{sizes.tokens} x {sizes.classes}",
            what="",
            op="linear_softmax_nll",
            shape=[sizes.tokens, sizes.classes],
            dtype="float32",
            backend="",
            runs=1,
            seconds={OURS: [1e-9 * (sizes.tokens * sizes.classes) ** power] * 3},
            extra_mib={OURS: peak * ours(sizes).backward / 2**20},
        )
        for sizes in (*scaling.TOKENS, *scaling.CLASSES)
    ]
    return Results("scaling", "2026-11-28", {"cpu": "A CPU"}, {}, {"threads": 2, "width": 768}, rows)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_each_size_is_measured_and_written(
    dtype: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def measured(what: scaling.What, sizes: Sizes, threads: int) -> list[float]:
        if what == "memory":
            return [ours(sizes).backward / 2**20]
        return list(scaling._steps(what, sizes))

    monkeypatch.setattr(scaling, "_measured", measured)
    monkeypatch.setattr(scaling, "WIDTH", 8)
    monkeypatch.setattr(scaling, "TOKENS", (Sizes(70, 300, 8), Sizes(90, 300, 8)))
    monkeypatch.setattr(scaling, "CLASSES", (Sizes(70, 500, 8),))
    monkeypatch.setattr("likelihead.bench.memory.why_not", lambda: "")
    arguments = ["scaling", "--threads", "1", "--dtype", dtype, "--save", str(tmp_path)]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    (table,), (page,) = tmp_path.glob("*.json"), tmp_path.glob("*.md")
    assert table.stem == page.stem
    assert table.stem.endswith("scaling" if dtype == "float32" else "scaling-bf16")
    rows = read(table).rows
    assert [row.shape for row in rows] == [[70, 300], [90, 300], [70, 500]]
    assert {row.dtype for row in rows} == {dtype}
    assert all(len(row.seconds[OURS]) == scaling.MOST for row in rows)
    assert page.read_text(encoding="utf-8") in result.stdout
    assert "\n| 70 | 500 | " in result.stdout


def test_no_more_than_two_runs_where_they_take_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scaling, "SECONDS", 0.0)
    assert len(list(scaling._steps("time", Sizes(7, 30, 8)))) == scaling.FEWEST


@pytest.mark.skipif(bool(why_not()), reason=why_not())
@pytest.mark.skipif(
    os.environ.get("LIKELIHEAD_HYPOTHESIS") == "sanitize", reason="its allocator keeps no pages"
)
def test_the_peak_is_measured_in_a_process_of_its_own() -> None:
    sizes = Sizes(1500, 24001, 96)
    (mib,) = scaling._measured("memory", sizes, 1)
    assert mib == pytest.approx(ours(sizes).backward / 2**20, rel=scaling.SHARE)


def test_the_growth_is_that_of_the_times() -> None:
    linear, square = scaling.page(planted(1)), scaling.page(planted(2))
    for words in ("From 1024 to 32768 tokens (50257 classes)", "From 4096 to 262144 classes (2048 tokens)"):
        for page, power in ((linear, 1), (square, 2)):
            assert f"{words} the time grows by their power of {power}.000: " in page
    assert "1.00 µs per token and 1000 classes, the largest 1.00 times the smallest." in linear
    assert "the largest 32.00 times the smallest." in square


@pytest.mark.parametrize(("peak", "wrong"), [(1.0, 0), (1.04, 0), (0.96, 0), (1.06, 8), (0.94, 8)])
def test_a_peak_that_is_not_its_formulas_is_named(
    peak: float, wrong: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = planted(1, peak)
    assert len(scaling.off(results)) == wrong
    assert ("formula, but 1024 x 50257, " in scaling.page(results)) == bool(wrong)
    monkeypatch.setattr(scaling, "measure", lambda *_: results)
    monkeypatch.setattr("likelihead.bench.memory.why_not", lambda: "")
    assert CliRunner().invoke(main, ["scaling", "--threads", "1"]).exit_code == int(bool(wrong))


def test_threads_that_are_not_there_and_a_system_without_the_mark(monkeypatch: pytest.MonkeyPatch) -> None:
    result = CliRunner().invoke(main, ["scaling", "--threads", "0"])
    assert result.exit_code == 2
    assert "--threads is 0" in result.stderr
    monkeypatch.setattr("likelihead.bench.memory.why_not", lambda: "it is told so")
    result = CliRunner().invoke(main, ["scaling", "--threads", "1"])
    assert result.exit_code == 2
    assert "memory cannot be measured here: it is told so" in result.stderr


def test_a_size_that_fails_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scaling, "TOKENS", (Sizes(5, 0, 4),))
    with pytest.raises(BackendError, match="measures the time of 5 x 0 failed: "):
        scaling.measure(torch.float32, 1, lambda sizes: None)
