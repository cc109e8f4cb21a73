"""``likelihead compare``: runs side by side, a warning where data differ, one line where it cannot be."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from html import unescape
from pathlib import Path

import pytest

from command import run
from likelihead.train import TrainConfig, train


def refused(*argv: object) -> str:
    """The one line on standard error."""
    lines = run("compare", *argv, code=2).stderr.splitlines()
    assert len(lines) == 1, lines
    return lines[0]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    for name, options in {
        "short": {"epochs": 3},
        "long": {"epochs": 12, "lr": 0.02},
        "seeded": {"epochs": 3, "seed": 5},
    }.items():
        train(TrainConfig(data="iris", **options), out=folder / name)
    train(TrainConfig(data="breast-cancer", epochs=1), out=folder / "binary")
    return folder


@pytest.fixture
def edited(runs: Path, tmp_path: Path) -> Callable[..., Path]:
    """A copy of a run whose report.json holds other figures."""

    def edit(name: str, **figures: float | None) -> Path:
        folder = tmp_path / f"{name}-edited"
        shutil.copytree(runs / name, folder)
        report = json.loads((folder / "report.json").read_text())
        report["figures"].update(figures)
        (folder / "report.json").write_text(json.dumps(report))
        return folder

    return edit


def words(page: Path) -> str:
    text = page.read_text("utf-8")
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", text[text.index("<body>") :])).split())


def best(page: Path, figure: str) -> list[str]:
    """The cells of a line of the first table that are set in bold."""
    line = re.search(rf"<tr><td>{figure}[^<]*</td>(.*?)</tr>", page.read_text("utf-8"), re.DOTALL)
    assert line is not None
    return re.findall(r'class="figure best">([^<]*)<', line[1])


def test_side_by_side(runs: Path, tmp_path: Path) -> None:
    out = tmp_path / "c.html"
    shown = run("compare", runs / "short", runs / "long", "--out", out)
    assert shown.stderr == ""
    nll = [json.loads((runs / n / "report.json").read_text())["figures"]["nll"] for n in ("short", "long")]
    assert nll[1] < nll[0]
    assert shown.stdout.startswith(f"long has the lowest NLL on the test set: {nll[1]:.4g}")
    text = words(out)
    for section in ("Figures", "Learning curves", "Classes", "Calibration", "Options that differ", "Data"):
        assert section in text
    assert best(out, "NLL") == [f"{nll[1]:#.4g}"]
    assert best(out, "baseline NLL") == best(out, "rows") == []
    assert "All runs have the same data." in text
    assert "The data differ" not in text
    # Only the options that differ.
    options = text[text.index("Options that differ") : text.index("The digest is of")]
    assert "epochs 3 12" in options
    assert "lr 0.01 0.02" in options
    assert "hidden" not in options
    assert not re.search(r"https?:|<script|@import", out.read_text("utf-8"))


def test_the_same_bytes_for_the_same_runs(runs: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        run("compare", runs / "short", runs / "long", "--out", tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]


def test_the_page_is_compare_html_unless_named(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert "compare.html" in run("compare", runs / "short", runs / "long").stdout
    assert [path.name for path in tmp_path.iterdir()] == ["compare.html"]


def test_runs_of_the_same_options_and_names(runs: Path, tmp_path: Path) -> None:
    shutil.copytree(runs / "short", tmp_path / "short")
    out = tmp_path / "c.html"
    shown = run("compare", runs / "short", tmp_path / "short", "--out", out)
    assert "No run has a lower NLL" in shown.stdout
    text = words(out)
    assert "All options are the same." in text
    # Folders of one name are told apart by their paths.
    assert str(runs / "short") in text
    assert str(tmp_path / "short") in text
    assert best(out, "NLL") == []


def test_other_test_rows_are_warned_of_and_no_best_is_named(runs: Path, tmp_path: Path) -> None:
    out = tmp_path / "c.html"
    shown = run("compare", runs / "short", runs / "seeded", "--out", out)
    assert shown.stderr.startswith("warning: seeded has other data than short: ")
    assert "seed" in shown.stderr
    assert "data differ" in shown.stdout
    assert "The data differ" in words(out)
    assert best(out, "NLL") == []


def test_the_same_schema_but_another_baseline_is_other_data(
    runs: Path, tmp_path: Path, edited: Callable[..., Path]
) -> None:
    shown = run("compare", runs / "short", edited("short", baseline_nll=0.5), "--out", tmp_path / "c")
    assert "short-edited has other data than short: baseline NLL of the test set differ" in shown.stderr


def test_the_best_is_the_lowest_or_the_highest_by_the_figure(
    runs: Path, tmp_path: Path, edited: Callable[..., Path]
) -> None:
    out = tmp_path / "c.html"
    other = edited("long", accuracy=0.125, ece=0.0625, macro_f1=None)
    run("compare", runs / "long", other, "--out", out)
    own = json.loads((runs / "long" / "report.json").read_text())["figures"]
    assert own["accuracy"] > 0.125
    assert best(out, "accuracy") == [f"{own['accuracy']:#.4g}"]
    assert best(out, "ECE") == [f"{min(own['ece'], 0.0625):#.4g}"]
    assert best(out, "macro F1") == []


def test_binary_runs(runs: Path, tmp_path: Path) -> None:
    shutil.copytree(runs / "binary", tmp_path / "copy")
    assert "No run has" in run("compare", runs / "binary", tmp_path / "copy", "--out", tmp_path / "c").stdout


def test_runs_without_classes_calibration_and_with_another_unit(runs: Path, tmp_path: Path) -> None:
    folders = []
    for name, perplexity in (("short", 3.5), ("long", 2.5)):
        folder = tmp_path / name
        shutil.copytree(runs / name, folder)
        report = json.loads((folder / "report.json").read_text())
        report |= {"task": "language", "unit": "token", "per_class": [], "calibration": None}
        report["figures"] = {"nll": None, "perplexity": perplexity, "tokens": 1200}
        (folder / "report.json").write_text(json.dumps(report))
        folders.append(folder)
    log = (folders[0] / "metrics.jsonl").read_text().splitlines()
    last = {**json.loads(log[-1]), "test_nll": None}
    (folders[0] / "metrics.jsonl").write_text("\n".join([*log[:-1], json.dumps(last)]) + "\n")
    out = tmp_path / "c.html"
    run("compare", *folders, "--out", out)
    text = words(out)
    assert "nats per token" in text
    assert "Classes" not in text
    assert "Calibration" not in text
    assert "tokens 1,200 1,200" in text
    assert best(out, "perplexity") == ["2.500"]
    assert best(out, "NLL") == []


def test_other_tasks(runs: Path, tmp_path: Path) -> None:
    line = refused(runs / "short", runs / "binary", "--out", tmp_path / "c")
    assert "short is a multiclass run" in line
    assert "binary a binary run" in line
    assert not (tmp_path / "c").exists()


def test_too_few_too_many_and_twice(runs: Path) -> None:
    assert "1 run given" in refused(runs / "short")
    assert "9 runs given" in refused(*[runs / "short"] * 9)
    assert "is given twice" in refused(runs / "short", runs / "long" / ".." / "short")
    assert "Missing argument" in refused()


def test_no_run_unfinished_and_damaged(runs: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert "is not a run folder" in refused(runs / "short", tmp_path / "empty")
    assert "is not there" in refused(runs / "short", tmp_path / "absent")
    assert "is a file" in refused(runs / "short", runs / "long" / "report.html")
    broken = tmp_path / "broken"
    shutil.copytree(runs / "short", broken)
    report = json.loads((broken / "report.json").read_text())
    for content, says in (
        ('{"schema": ', "report.json cannot be read"),
        ("[]", "holds a list"),
        (json.dumps({**report, "schema_version": 99}), "of version 99"),
        (json.dumps({**report, "figures": [1]}), "not those of a finished run"),
        (json.dumps({**report, "calibration": {"ece": 0}}), "not those of a finished run"),
    ):
        (broken / "report.json").write_text(content)
        assert says in refused(runs / "long", broken)
    (broken / "report.json").unlink()
    assert "training is not finished" in refused(runs / "long", broken)
    (broken / "report.json").write_text(json.dumps(report))
    (broken / "metrics.jsonl").unlink()
    assert "metrics.jsonl" in refused(runs / "long", broken)


def test_a_page_that_cannot_be_written(runs: Path, tmp_path: Path) -> None:
    assert "cannot write" in refused(runs / "short", runs / "long", "--out", tmp_path / "absent" / "c.html")
    assert "that is a folder" in refused(runs / "short", runs / "long", "--out", tmp_path)


def test_a_page_never_takes_the_place_of_a_runs_file(runs: Path, tmp_path: Path) -> None:
    folders = (runs / "short", runs / "seeded")
    before = {path: path.read_bytes() for f in folders for path in f.iterdir() if path.is_file()}
    two = (runs / "short", runs / "long")
    for folder, name in (("short", "config.toml"), ("short", "report.html"), ("seeded", "model.safetensors")):
        assert "is a file of a run" in refused(*two, "--out", runs / folder / name)
    assert all(path.read_bytes() == content for path, content in before.items())
