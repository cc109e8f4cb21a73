"""Runs that were made before an option or a field was there go on, predict and are evaluated."""

from __future__ import annotations

import dataclasses
import json
import shutil
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import torch

from command import run
from likelihead.train import TrainConfig, config, resume, toml, train
from likelihead.train.resolved import LATER, Resolved
from likelihead.train.run import read_model, read_toml
from likelihead.train.table.data.read_as import open_as
from likelihead.train.table.data.schema import LATER_FIELDS, Schema, TargetSchema

# What the first release wrote: the names are written out, so that a field that is added must be thought of.
OPTIONS = {
    *("data", "target", "task", "output", "hidden", "activation", "network", "epochs", "steps", "batch_size"),
    *("lr", "optimizer", "weight_decay", "label_smoothing", "class_weight", "logit_adjustment", "resample"),
    *("focal", "calibrate", "tune_thresholds", "teacher", "temperature", "context", "tokenizer", "packing"),
    *("masks", "ignore_colour", "tile", "image_size", "skip_bad", "seed", "test_fraction", "memory"),
    *("checkpoint_every", "guard", "kind"),
}
RESOLVED = {
    *("task", "likelihood", "layers", "parameters", "dtype", "threads", "baseline_nll", "class_weights"),
    *("constant", "prior_shift", "teacher"),
}
SCHEMA = {
    *("version", "task", "columns", "target", "dropped", "seed", "test_fraction", "moved", "train_rows"),
    "calibration_fraction",
}


def test_every_later_field_is_known_as_such() -> None:
    assert {field.name for field in fields(TrainConfig)} - OPTIONS == set(config._LATER)
    assert {field.name for field in fields(Resolved)} - RESOLVED == set(LATER)
    assert {field.name for field in fields(Schema)} | {"version"} == SCHEMA | set(LATER_FIELDS)


def written_before(folder: Path, monkeypatch: pytest.MonkeyPatch, data: str, **options: Any) -> Path:
    """A run's folder as the first release would have left it."""

    def old_toml(values: dict[str, Any]) -> str:
        kept = {"options": OPTIONS, "resolved": RESOLVED}
        return dumps({part: {k: v for k, v in values[part].items() if k in kept[part]} for part in kept})

    def old_json(schema: Schema) -> str:
        values = json.loads(to_json(schema))
        return json.dumps({name: value for name, value in values.items() if name in SCHEMA})

    dumps, to_json = toml.dumps, Schema.to_json
    with monkeypatch.context() as patch:
        patch.setattr(toml, "dumps", old_toml)
        patch.setattr(Schema, "to_json", old_json)
        train(TrainConfig(data=data, **options), out=folder)
    assert set(read_toml(folder)["options"]) <= OPTIONS
    assert "reading" not in (folder / "schema.json").read_text()
    return folder


@pytest.mark.parametrize("data", ["iris", "breast-cancer"])
def test_an_old_run_goes_on_predicts_and_is_evaluated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data: str
) -> None:
    old = written_before(tmp_path / "old", monkeypatch, data, epochs=2, hidden=(4,), checkpoint_every=5)
    before = run("predict", old, data, "--probs").stdout
    figures = run("evaluate", old, data).stdout
    shutil.copytree(old, tmp_path / "again")
    again = tmp_path / "again"
    for name in ("model.safetensors", "report.html", "report.json"):
        (again / name).unlink()
    last = max((again / "checkpoints").iterdir())
    last.unlink()
    resume(again)
    for name, tensor in read_model(old)[0].items():
        assert torch.equal(tensor, read_model(again)[0][name])
    assert run("predict", again, data, "--probs").stdout == before
    assert run("evaluate", again, data).stdout.replace(str(again), str(old)) == figures
    run("compare", old, again, "--out", tmp_path / "c.html")


def test_the_digest_is_that_of_the_first_release() -> None:
    """As the first release computed it, over the options that it had."""
    first = "0de182267c2f010dff0087992e1ea693a724f0cb56754028c535e666a5155346"
    assert TrainConfig(data="iris").digest() == first
    smooth = TrainConfig(data="iris", label_smoothing=0.1)
    assert dataclasses.replace(smooth, label_prior="0.2").digest() != smooth.digest()


def test_an_old_run_reads_cells_as_they_are_written(tmp_path: Path) -> None:
    """It learnt times as texts; read as hours, each of them would be an unknown category."""
    path = tmp_path / "t.csv"
    rows = (f"{('06.30.00', '18.00.00')[i % 2]},{'ab'[i % 2]}\n" for i in range(40))
    path.write_text("at,y\n" + "".join(rows))
    values = json.loads(Schema("binary", (), TargetSchema("classes", ("y",), "text")).to_json())
    for name in LATER_FIELDS:
        del values[name]
    source, _, notes = open_as(str(path), Schema.from_json(json.dumps(values)).reading)
    assert next(iter(source.batches())).column(0).to_pylist()[:2] == ["06.30.00", "18.00.00"]
    assert not notes
