"""No command writes over its input, nor over a file that it did not make, and every byte stays as it was."""

from __future__ import annotations

import json
import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from command import run
from likelihead.core import output as output_module
from likelihead.core.atomic import replacing
from likelihead.core.output import Output, OutputFolder, check_stream
from likelihead.errors import OptionError, RunError
from likelihead.train import TrainConfig, train

TABLE = "a,b,target\n" + "".join(f"{i},{i % 7},{'xy'[i % 2]}\n" for i in range(40))
COST = "true,x,y\nx,0,1\ny,1,0\n"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs on a table, a run on images with masks, the data and a cost file."""
    here = tmp_path_factory.mktemp("made")
    (here / "in.csv").write_text(TABLE)
    (here / "cost.csv").write_text(COST)
    for name in ("one", "two"):
        train(TrainConfig(data=str(here / "in.csv"), epochs=1), out=here / name)
    images = here / "images"
    (images / "masks").mkdir(parents=True)
    for i in range(4):
        pixels = np.full((16, 16, 3), 20 * i, dtype=np.uint8)
        pixels[4:12, 4:12] = 200
        Image.fromarray(pixels).save(images / f"p{i}.png")
        Image.fromarray((pixels[..., 0] == 200).astype(np.uint8)).save(images / "masks" / f"p{i}.png")
    options: dict[str, Any] = {"task": "segmentation", "epochs": 1, "hidden": (4,), "tile": 16}
    train(TrainConfig(data=str(images), **options), out=here / "masks-run")
    return here


@pytest.fixture
def here(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of all of it, which is the working folder."""
    shutil.copytree(made, tmp_path / "w")
    monkeypatch.chdir(tmp_path / "w")
    return tmp_path / "w"


def everything(folder: Path) -> dict[str, Any]:
    """Every name below a folder, with the bytes of files and the destination of links."""
    found: dict[str, Any] = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_symlink():
            found[name] = ("link", os.readlink(path))
        elif path.is_file():
            found[name] = (path.stat().st_ino, path.read_bytes())
        else:
            found[name] = stat.S_IFMT(path.stat().st_mode)
    return found


# Each writes to the output that it is given, with in.csv among what it reads where it reads a file.
COMMANDS: dict[str, Callable[[str], list[str]]] = {
    "predict": lambda out: ["predict", "one", "in.csv", "--out", out],
    "predict --cost": lambda out: ["predict", "one", "in.csv", "--cost", "cost.csv", "--out", out],
    "compare": lambda out: ["compare", "one", "two", "--out", out],
    "bench": lambda out: ["bench", "--only", "^tiny-ce$", "--repeat", "2", "--json", out],
    "train": lambda out: ["train", "in.csv", "--epochs", "1", "--out", out],
    "masks": lambda out: ["predict", "masks-run", "images", "--out", out],
}


def refused(here: Path, *argv: str) -> str:
    """The one line of a command that leaves everything below the folder as it was."""
    before = everything(here)
    lines = run(*argv, code=2).stderr.splitlines()
    assert len(lines) == 1, lines
    assert everything(here) == before
    return lines[0]


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("more", [[], ["--overwrite"]], ids=["", "overwrite"])
def test_an_output_that_is_its_own_input(here: Path, name: str, more: list[str]) -> None:
    if name == "train":
        assert "is a file" in refused(here, *COMMANDS[name]("in.csv"))
        assert "is a folder with files in it" in refused(here, *COMMANDS[name]("one"))
        assert "is a folder with files in it" in refused(here, "train", "images", "--out", "images")
        teacher = ["train", "in.csv", "--task", "multiclass", "--teacher", "one", "--out", "one"]
        assert "is a folder with files in it" in refused(here, *teacher)
        return
    if name == "masks":
        for out in ("images", "./images/../images", "images/masks"):
            assert "input" in refused(here, *COMMANDS[name](out), *more)
        assert "the folder of a run" in refused(here, *COMMANDS[name]("masks-run"), *more)
        return
    inputs = {
        "predict": ["in.csv", "./images/../in.csv", str(here / "in.csv")],
        "predict --cost": ["in.csv", "cost.csv"],
        "compare": ["one/report.html", "one/config.toml", "two/model.safetensors"],
        "bench": ["one/report.json", "two/metrics.jsonl"],
    }[name]
    for out in [*inputs, *(["one/metrics.jsonl"] if name == "predict" else [])]:
        line = refused(here, *COMMANDS[name](out), *more)
        assert "is the input" in line or "is a file of a run" in line


@pytest.mark.parametrize("name", ["predict", "compare", "bench"])
@pytest.mark.parametrize("kind", ["symlink", "hard link", "link to a link"])
def test_a_link_to_the_input(here: Path, name: str, kind: str) -> None:
    source = "in.csv" if name == "predict" else "one/report.json"
    if kind == "hard link":
        os.link(source, "link.csv")
    else:
        os.symlink(source, "link.csv")
        if kind == "link to a link":
            os.rename("link.csv", "first.csv")
            os.symlink("first.csv", "link.csv")
    for more in ([], ["--overwrite"]):
        if kind == "hard link" and name != "predict" and more:
            continue  # not an input of theirs: the name is replaced, the run's file is not touched
        line = refused(here, *COMMANDS[name]("link.csv"), *more)
        assert "link.csv" in line


@pytest.mark.parametrize("name", ["predict", "predict --cost", "compare", "bench", "train"])
def test_a_foreign_file(here: Path, name: str) -> None:
    for content in ("mine\n", "row,of,mine\n", "<!doctype html>\n<p>mine</p>\n", ""):
        (here / "out.csv").write_text(content)
        line = refused(here, *COMMANDS[name]("out.csv"))
        assert "is there already" in line or "is a file" in line
    if name not in ("bench", "train"):
        run(*COMMANDS[name]("out.csv"), "--overwrite")
        assert (here / "out.csv").stat().st_size > 20
        assert not [path for path in here.iterdir() if path.name.endswith(".tmp")]


def test_a_foreign_file_that_looks_like_predictions(here: Path) -> None:
    (here / "p.csv").write_text("row,prediction\n1,corrected by hand\n")
    assert "holds something else" in refused(here, *COMMANDS["predict"]("p.csv"))


def test_a_foreign_mask(here: Path) -> None:
    (here / "out").mkdir()
    (here / "out" / "p2.png").write_text("mine")
    assert "has a file p2.png already" in refused(here, *COMMANDS["masks"]("out"))
    (here / "out" / "note.txt").write_text("mine too")
    run(*COMMANDS["masks"]("out"), "--overwrite")
    assert sorted(path.name for path in (here / "out").iterdir()) == [
        "note.txt",
        *(f"p{i}.png" for i in range(4)),
    ]
    assert (here / "out" / "note.txt").read_text() == "mine too"
    assert (here / "out" / "p2.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("name", COMMANDS)
def test_a_folder_a_broken_link_and_no_folder(here: Path, name: str) -> None:
    (here / "folder.csv").mkdir()
    (here / "folder.csv" / "file").write_text("mine")
    os.symlink("nowhere", "broken.csv")
    if name not in ("masks",):  # which writes into folders
        assert "folder" in refused(here, *COMMANDS[name]("folder.csv"))
    assert "link that leads nowhere" in refused(here, *COMMANDS[name]("broken.csv"))
    assert "in.csv" in refused(here, *COMMANDS[name]("in.csv/out.csv"))
    if name not in ("train", "masks"):  # which make their folders
        assert "no/such" in refused(here, *COMMANDS[name]("no/such/out.csv"))


@pytest.mark.parametrize("name", ["predict", "compare", "bench", "train"])
def test_a_read_only_folder(here: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "locked").mkdir()
    (here / "locked").chmod(0o500)
    # The superuser may write everywhere; what the system would tell anybody else is told here.
    may = os.access
    monkeypatch.setattr(
        os,
        "access",
        lambda path, mode, **k: "locked" not in str(path) and may(path, mode, **k),
    )
    try:
        assert "permission denied" in refused(here, *COMMANDS[name]("locked/out.csv"))
    finally:
        (here / "locked").chmod(0o700)


@pytest.mark.parametrize("kind", ["symlink", "hard link"])
def test_a_log_that_is_a_link_when_a_run_goes_on(here: Path, kind: str) -> None:
    """What is cut off after the checkpoint, and written behind it, is not another file's."""
    log, checkpoints = here / "one" / "metrics.jsonl", here / "one" / "checkpoints"
    max(checkpoints.iterdir()).unlink()
    log.rename(here / "mine.jsonl")
    mine = (here / "mine.jsonl").read_bytes()
    if kind == "symlink":
        log.symlink_to(here / "mine.jsonl")
        assert "is a link" in refused(here, "train", "--resume", "--out", "one")
    else:
        os.link(here / "mine.jsonl", log)
        run("train", "--resume", "--out", "one")
        assert log.read_bytes() == mine
        assert not log.samefile(here / "mine.jsonl")
    assert (here / "mine.jsonl").read_bytes() == mine


def test_the_drawing_of_a_benchmark(here: Path) -> None:
    from benchmarks.__main__ import main

    source = min((Path(__file__).parents[2] / "benchmarks" / "results").glob("*.json"))
    shutil.copy(source, "r.json")
    (here / "mine.svg").write_text("mine")
    (here / "folder").mkdir()
    os.symlink("nowhere", "broken.svg")
    os.symlink("r.json", "link.svg")
    before = everything(here)
    for name, words in {
        "r.json": "is the input",
        "link.svg": "is the input",
        "mine.svg": "is there already",
        "folder": "is a folder",
        "broken.svg": "leads nowhere",
    }.items():
        result = CliRunner().invoke(main, ["plot", "r.json", "--out", name])
        assert result.exit_code == 2
        assert words in result.stderr
        assert len(result.stderr.splitlines()) == 1
        assert everything(here) == before


def test_a_folder_of_results_that_is_read_only(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Known before the minutes of measuring."""
    (here / "locked").mkdir()
    monkeypatch.setattr(os, "access", lambda _, mode, **__: not mode & os.W_OK)
    argv = ("bench", "--only", "^tiny-ce$", "--repeat", "2", "--save", "locked")
    line = refused(here, *argv)
    assert "permission denied" in line


def test_a_folder_that_turns_out_to_be_read_only(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(path: Path) -> Path:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("likelihead.core.atomic._free_temporary", fail)
    for name in ("predict", "compare"):
        assert "permission denied" in refused(here, *COMMANDS[name]("out.csv"))


def test_the_same_again_is_no_loss_and_another_is(here: Path) -> None:
    run(*COMMANDS["predict"]("p.csv"))
    first = (here / "p.csv").read_bytes()
    run(*COMMANDS["predict"]("p.csv"))
    assert (here / "p.csv").read_bytes() == first
    assert "holds something else" in refused(here, *COMMANDS["predict"]("p.csv"), "--probs")
    run(*COMMANDS["predict"]("p.csv"), "--probs", "--overwrite")
    assert (here / "p.csv").read_bytes() != first
    for end in ("jsonl", "parquet"):
        run(*COMMANDS["predict"](f"p.{end}"))
        run(*COMMANDS["predict"](f"p.{end}"))


def test_a_page_that_compare_made_is_replaced(here: Path) -> None:
    run("compare", "one", "two", "--out", "c.html")
    run("compare", "two", "one", "--out", "c.html")
    shutil.copy("one/report.html", "saved.html")
    assert "is there already" in refused(here, "compare", "one", "two", "--out", "saved.html")


def test_a_link_goes_on_leading_to_the_file(here: Path) -> None:
    (here / "real.csv").write_text("old\n")
    os.symlink("real.csv", "p.csv")
    assert "is there already" in refused(here, *COMMANDS["predict"]("p.csv"))
    run(*COMMANDS["predict"]("p.csv"), "--overwrite")
    assert os.readlink("p.csv") == "real.csv"
    assert (here / "real.csv").read_text().startswith("row,prediction\n")


def test_standard_output_and_pipes(here: Path) -> None:
    shown = run("predict", "one", "in.csv").stdout
    for name in ("-", "/dev/stdout"):
        assert run("predict", "one", "in.csv", "--out", name).stdout == shown
    page = run("compare", "one", "two", "--out", "-")
    assert page.stdout.lower().startswith("<!doctype html>")
    assert page.stdout.rstrip().endswith("</html>")
    assert not (here / "-").exists()
    before = os.stat("/dev/null")
    run("compare", "one", "two", "--out", "/dev/null")
    assert os.stat("/dev/null").st_rdev == before.st_rdev


def test_standard_output_that_goes_on_in_the_input(here: Path) -> None:
    with (here / "in.csv").open("a") as end, pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.stdout", end)
        with pytest.raises(OptionError, match="standard output is the input"):
            check_stream(["in.csv"])
        check_stream(["cost.csv", "iris"])


def test_a_file_that_comes_while_working_is_left_alone(here: Path) -> None:
    output = Output(Path("p.csv"))
    opened = output.open()
    opened.__enter__().write(b"ours")
    (here / "p.csv").write_bytes(b"theirs")
    with pytest.raises(OptionError, match="is there already"):
        opened.__exit__(None, None, None)
    assert (here / "p.csv").read_bytes() == b"theirs"
    assert not [path for path in here.iterdir() if path.name.endswith(".tmp")]


def test_without_hard_links(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise PermissionError(1, "not here")

    monkeypatch.setattr(output_module.os, "link", fail)
    run(*COMMANDS["predict"]("p.csv"))
    run(*COMMANDS["predict"]("p.csv"))
    (here / "p.csv").write_text("row,prediction\n")
    assert "holds something else" in refused(here, *COMMANDS["predict"]("p.csv"))


def test_what_is_interrupted_leaves_the_old_file_or_none(here: Path) -> None:
    def half(opened: Any, *names: str) -> None:
        with opened as write:
            write(*names, b"half") if names else write.write(b"half")
            raise KeyboardInterrupt

    (here / "p.csv").write_bytes(b"old")
    with pytest.raises(KeyboardInterrupt):
        half(Output(Path("p.csv"), overwrite=True).open())
    assert (here / "p.csv").read_bytes() == b"old"
    with pytest.raises(KeyboardInterrupt):
        half(OutputFolder(Path("new"), ["a", "b"]).open(), "a")
    assert not (here / "new").exists()
    assert not [path for path in here.iterdir() if path.name.endswith(".tmp")]


def test_a_temporary_name_that_is_taken(here: Path) -> None:
    theirs = here / f".p.csv.{os.getpid()}.tmp"
    theirs.write_bytes(b"theirs")
    with replacing(here / "p.csv") as file:
        file.write(b"ours")
    assert theirs.read_bytes() == b"theirs"
    assert (here / "p.csv").read_bytes() == b"ours"


def test_folders_of_others_are_not_cleared_away(here: Path) -> None:
    theirs = here / ".notes.1.tmp"
    theirs.mkdir()
    (theirs / "diary.txt").write_text("mine")
    run("train", "in.csv", "--epochs", 1, "--out", "three")
    assert (theirs / "diary.txt").read_text() == "mine"
    (here / "three" / ".diary.7.tmp").write_text("mine")
    run("train", "--resume", "--out", "three")
    assert (here / "three" / ".diary.7.tmp").read_text() == "mine"


def test_a_run_is_refused_before_its_data_are_read(here: Path) -> None:
    (here / "full").mkdir()
    (here / "full" / "a").write_text("mine")
    assert "is a folder with files" in refused(here, "train", "absent.csv", "--out", "full")


def test_results_of_a_benchmark_are_kept_beside_each_other(tmp_path: Path) -> None:
    from likelihead.bench.results import Results
    from likelihead.cli.bench import check_outputs, deliver

    results = Results("cpu", "2026-01-01", {"cpu": "none"}, {}, {"threads": 1}, [])
    out = tmp_path / "r.json"
    check_outputs(out, tmp_path)
    for _ in range(2):
        deliver(results, None, tmp_path)
    assert len(list(tmp_path.iterdir())) == 4
    deliver(results, out, None)
    assert json.loads(out.read_text())["suite"] == "cpu"
    for check in (lambda: check_outputs(out, None), lambda: deliver(results, out, None)):
        with pytest.raises((OptionError, RunError), match="is there already"):
            check()
    check_outputs(out, None, overwrite=True)
