"""The model behind `python -m benchmarks predict`, against figures worked out by hand."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks import predict
from benchmarks.__main__ import main
from benchmarks.machine_code.calls import CALLS
from benchmarks.machine_code.compiler import Resources
from benchmarks.machine_code.prediction import Work, floor
from benchmarks.machine_code.prediction import predict as predicted
from benchmarks.machine_code.rates import Card, Multiprocessor, unit
from benchmarks.machine_code.reading import Pass, Reading

ROUND = Card("round", "sm_90", multiprocessors=100, hertz=1e9, bytes_per_second=1e12, l2_bytes=50 * 2**20)
TWO_PASSES = Reading(
    passes=(
        Pass("k.py:1", True, 16, 8, {"LDG.E.128": 2, "FADD": 80, "MUFU.EX2": 16}, (16, 16), ()),
        Pass("k.py:2", True, 8, 8, {"LDG.E.128": 1, "FADD": 40, "STG.E.128": 1}, (16,), (16,)),
    ),
    around=0,
)
BF16 = Work(
    kernel="k",
    programs=10_000,
    rows=10_000,
    classes=20_480,
    by_rows=True,
    itemsize=2,
    read=2 * 10_000 * 20_480,
    written=2 * 10_000 * 20_480,
    resources=Resources(registers=64, stack=0, local=0, shared=1024, threads=256),
    reading=TWO_PASSES,
)


def test_bytes_take_the_time_of_the_bandwidth_that_a_copy_reaches() -> None:
    found = predicted(BF16, ROUND)
    assert found.bytes == 4 * 10_000 * 20_480
    assert found.seconds["memory"] == pytest.approx(819.2e6 / 0.9e12)
    assert not found.reads_again  # 400 programs at once, of 40 KiB each: 16 MiB
    assert floor(BF16.read, ROUND) == found.seconds["memory"]


def test_rows_that_do_not_stay_in_the_cache_are_read_twice() -> None:
    long = replace(BF16, rows=1000, classes=204_800)
    found = predicted(long, ROUND)
    assert found.reads_again
    assert found.bytes == 6 * 1000 * 204_800


def test_each_unit_takes_its_time() -> None:
    found = predicted(BF16, ROUND).seconds
    elements = 10_000 * 20_480
    assert found["mufu"] == pytest.approx(elements / (16 * 100 * 1e9))
    assert found["fma"] == pytest.approx(10 * elements / (128 * 100 * 1e9))
    # (98 / 16 + 42 / 8) per element, four instructions of 32 lanes per clock
    assert found["issue"] == pytest.approx(11.375 * elements / (128 * 100 * 1e9))
    assert found["l2"] == pytest.approx(6 * elements / (0.6 * 5120 * 1e9))
    # 400 programs of 256 threads with 32 and 16 bytes each on their way
    first, second = BF16.read / (400 * 256 * 32) * 0.8e-6, BF16.read / (400 * 256 * 16) * 0.3e-6
    assert found["latency"] == pytest.approx(first + second)


@pytest.mark.parametrize(
    ("classes", "granule", "covered"),
    [
        (1000, 1024, 100 * 1024),  # a row in a block
        (1000, 512, 100 * 1024),  # in two
        (10, 2048, 1 * 2048),  # 128 rows in a block: 16 lanes each
        (4096, 4096, 100 * 4096),
    ],
)
def test_lanes_without_an_element_are_counted(classes: int, granule: int, covered: int) -> None:
    assert replace(BF16, rows=100, classes=classes).covered(granule) == covered


def test_pixels_and_elements_fill_their_blocks() -> None:
    assert replace(BF16, rows=100, classes=21, by_rows=False).covered(2048) == 2100


@pytest.mark.parametrize(
    ("registers", "threads", "shared", "programs"),
    [
        (32, 256, 0, 8),
        (33, 256, 0, 6),
        (64, 128, 0, 8),
        (255, 128, 0, 2),
        (32, 64, 0, 32),
        (32, 128, 57344, 4),
    ],
)
def test_programs_that_fit_on_a_multiprocessor(
    registers: int, threads: int, shared: int, programs: int
) -> None:
    assert Multiprocessor().resident(registers, shared, threads) == programs


def test_an_opcode_that_nobody_knows_is_taken_for_a_slow_one() -> None:
    assert unit("FROBNICATE.X") == "alu"


def test_what_is_committed_is_of_all_calls_and_says_what_it_is() -> None:
    folder = Path(__file__).parents[2] / "benchmarks" / "results" / "predicted"
    content = json.loads((folder / "predicted.json").read_text(encoding="utf-8"))
    assert content["predicted"] is True
    assert {card["name"] for card in content["cards"]} == {"H100 SXM", "H200"}
    for card in content["cards"]:
        of_card = [(row["case"], row["op"]) for row in content["rows"] if row["card"] == card["name"]]
        assert sorted(of_card) == sorted((call.case, call.op) for call in CALLS)
    table = (folder / "predicted.md").read_text(encoding="utf-8")
    assert table.startswith(f"# {predict.TITLE}")
    assert "No GPU was at hand" in table


def test_calls_are_chosen_by_their_case(monkeypatch: pytest.MonkeyPatch) -> None:
    of_a_chunk = replace(CALLS[0], case="a chunk", op="softmax_nll_")
    monkeypatch.setattr(predict, "CALLS", (*CALLS, of_a_chunk))
    assert predict.calls_found(None) == [*CALLS, of_a_chunk]
    assert predict.calls_found("a chunk") == [of_a_chunk]
    assert {call.case for call in predict.calls_found("^lm")} == {"lm", "lm-bf16"}


def test_without_triton_it_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(predict, "find_spec", lambda name: None)
    result = CliRunner().invoke(main, ["predict"])
    assert result.exit_code == 2
    assert result.stderr.startswith("likelihead: there is no triton")
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(["--only", "zzz"], "which finds no case; there are "), (["--save", "no/such"], "does not exist")],
)
def test_bad_arguments(arguments: list[str], words: str) -> None:
    result = CliRunner().invoke(main, ["predict", *arguments])
    assert result.exit_code == 2
    assert words in result.stderr
