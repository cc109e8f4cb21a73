"""What is counted of a linear head on a GPU, against figures worked out by hand."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from benchmarks.machine_code import heads
from benchmarks.machine_code.rates import CARDS

H100, H200 = CARDS
EACH = {"softmax_nll": 0.5e-7, "softmax_nll_": 1e-7}
NUMBERS = 128256 * 4096
BANDWIDTH = 0.9 * 4.8e12
BY_NAME = {route.name: route for route in heads.ROUTES}


def row(name: str, tokens: int = 8192) -> heads.HeadRow:
    return heads.row_of(BY_NAME[name], tokens, H200, EACH)


def test_products_have_the_rate_of_the_published_ones() -> None:
    assert heads.rate(H200) == pytest.approx(6 * 4096 * 4096 * 128256 / 13.0e-3)
    assert heads.rate(H100) == pytest.approx(6 * 8192 * 4096 * 151936 / 42e-3)
    assert row("linear", 4096).products == pytest.approx(13.0)


@pytest.mark.parametrize(("tokens", "chunks"), [(4096, 1), (8192, 1), (8448, 3), (32768, 8)])
def test_a_sum_is_written_once_and_then_read_and_written(tokens: int, chunks: int) -> None:
    found = row("linear", tokens)
    assert found.chunks == chunks
    moved = 0 if chunks == 1 else 4 + 8 * (chunks - 1) - 2
    assert found.sums == pytest.approx(1e3 * moved * NUMBERS / BANDWIDTH)
    assert found.rounding == pytest.approx(0 if chunks == 1 else 1e3 * 6 * NUMBERS / BANDWIDTH)
    assert found.kernels == pytest.approx(1e3 * 1e-7 * tokens)
    launches, masked = 12 + 8 * chunks, 2 * 2 * 4096 * tokens
    assert found.rest == pytest.approx(2e-3 * launches + 1e3 * masked / BANDWIDTH)
    assert found.most == pytest.approx(
        found.products + found.kernels + found.sums + found.rounding + found.rest
    )
    assert found.least == pytest.approx(found.most - found.sums)  # they take less than the products


def test_the_peak_and_what_it_is_held_to() -> None:
    for tokens, chunk in ((4096, 4096), (8192, 8192)):
        found = row("linear", tokens)
        assert found.peak == 2 * (chunk * 128256 + NUMBERS + tokens * 4096)
        assert found.room == 2 * (NUMBERS + tokens * 4096) + 2**30
    many = row("linear", 32768)
    assert many.peak == 2 * (4096 * 128256 + 2 * NUMBERS + 32768 * 4096)
    assert row("linear-frozen").peak == 2 * (4096 * 128256 + 8192 * 4096)


def test_the_products_of_each_route() -> None:
    each = {name: round(row(name).products / row("linear").products * 3, 6) for name in BY_NAME}
    assert each == {
        "linear": 3,
        "linear-sft, masked": 3,
        "linear-sft, compacted": 0.75,
        "linear-frozen": 2,
        "linear-per-token": 4,
        "log-probs": 4,
        "linear-kl": 4,
    }
    for name in BY_NAME:
        assert row(name).floor == pytest.approx(row(name).products / (4 if "masked" in name else 1))


def test_a_kernel_without_a_row_has_a_stand_in_that_is_named() -> None:
    kl = row("linear-kl")
    assert kl.kernels == pytest.approx(1e3 * 1.5e-7 * 8192)
    assert kl.stand_in == "softmax_kl_: softmax_nll_ x 1.5"
    with_kernel = heads.row_of(BY_NAME["linear-kl"], 8192, H200, {**EACH, "softmax_kl_": 3e-7})
    assert with_kernel.kernels == pytest.approx(1e3 * 3e-7 * 8192)
    assert with_kernel.stand_in == ""
    assert row("linear").stand_in == ""


def kernel(op: str, case: str = "x", total: float = 100.0, classes: int = 128256) -> SimpleNamespace:
    return SimpleNamespace(case=case, op=op, shape=(1000, classes), dtype="bf16", card="H200", total=total)


def test_kernels_are_found_by_their_op_and_the_classes() -> None:
    table = [
        kernel("softmax_nll"),
        kernel("softmax_nll_"),
        kernel("softmax_nll_", total=1.0, classes=32000),
        kernel("softmax_scores_", "scores", total=300.0),
        kernel("softmax_scores_", "scores-capped", total=900.0),
        kernel("softmax_scores_", "scores-values", total=200.0),
    ]
    found = {row.case: row for row in heads.head_rows(table, CARDS) if row.tokens == 8192}
    assert {row.card for row in found.values()} == {"H200"}
    assert found["linear"].kernels == pytest.approx(1e-4 * 8192)
    assert found["log-probs"].kernels == pytest.approx(5e-4 * 8192)
    assert heads.head_rows(table[:1], CARDS) == []


def test_the_verdict_says_whether_the_goal_is_met() -> None:
    slow = {name: 10 * seconds for name, seconds in EACH.items()}
    for each, tokens, words in (
        (EACH, 4096, "yes (1.0"),
        (EACH, 32768, "only where the sums hide (1.0"),
        (slow, 4096, "no (1.3"),
    ):
        (line,) = heads.verdict([heads.row_of(BY_NAME["linear"], tokens, H200, each)])
        assert f"within 1.05 of its three products? {words}" in line


def test_what_is_committed_has_them() -> None:
    folder = Path(__file__).parents[2] / "benchmarks" / "results" / "predicted"
    content = json.loads((folder / "predicted.json").read_text(encoding="utf-8"))
    for card in CARDS:
        cases = [head["case"] for head in content["heads"] if head["card"] == card.name]
        assert cases == ["linear"] * len(heads.TOKENS) + [route.name for route in heads.ROUTES[1:]]
    page = (folder / "predicted.md").read_text(encoding="utf-8")
    assert "## Linear heads" in page
    assert "Assumed: products at the rate that published times" in page
