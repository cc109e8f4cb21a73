"""The sweep: which shapes it has, and what it says of those where ours is slower."""

from __future__ import annotations

from math import prod
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks import sweep
from benchmarks.__main__ import main
from likelihead.bench.case import EAGER, FLOOR, OURS
from likelihead.bench.results import read


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("likelihead.bench.clock.SCRATCH_MIB", 1)


def test_sixty_shapes_of_every_kind() -> None:
    cases = sweep.CASES
    assert len(cases) == len({case.name for case in cases}) == 60
    shapes = {op: [case.shape for case in cases if case.op == op] for op in ("softmax_nll", "sigmoid_nll")}
    for of_op in shapes.values():
        assert (1, 2) in of_op
        assert (1024, 50257) in of_op
        assert sum(len(shape) > 2 for shape in of_op) >= 4
    assert min(prod(case.shape) * case.loops for case in cases if case.loops < sweep._CALLS) > 2**18


def _run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, ours: dict[str, float]) -> tuple[int, str, Path]:
    monkeypatch.setattr(sweep, "CASES", tuple(case.shrunk(6) for case in sweep.CASES))
    cases = iter(sweep.CASES)

    def timed(*arguments: object, **options: object) -> dict[str, list[float]]:
        name = next(cases).name
        return {OURS: [ours.get(name, 1.0)], EAGER: [1.0], FLOOR: [0.5]}

    monkeypatch.setattr("likelihead.bench.run.interleave", timed)
    monkeypatch.setattr("likelihead.bench.results.Row._rounds", lambda row, name: row.seconds[name])
    out = tmp_path / "sweep.json"
    command = ["sweep", "--threads", "1", "--repeat", "1", "--json", str(out), "--save", str(tmp_path)]
    result = CliRunner().invoke(main, command)
    return result.exit_code, result.output, out


def test_a_shape_where_ours_is_slower_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    code, output, out = _run(monkeypatch, tmp_path, {"CE [10, 3]": 1.06, "BCE [10, 1]": 1.04})
    assert code == 1, output
    assert read(out).suite == "sweep"
    (page,) = tmp_path.glob("*-sweep.md")
    text = page.read_text(encoding="utf-8")
    assert "59 of 60 goals met. Missed: CE [10, 3]." in text
    assert "| CE [10, 3] | 1060 ms | 1000 ms | 1.06 | 2.12 | no |" in text.replace("\N{NO-BREAK SPACE}", " ")


def test_otherwise_it_succeeds(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    code, output, _ = _run(monkeypatch, tmp_path, {})
    assert code == 0, output
    assert "60 of 60 goals met." in output
    assert "Missed" not in output
