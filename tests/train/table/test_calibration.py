"""What is fitted on the rows held out of the training, and how a run keeps it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from likelihead.errors import CheckpointError, DataError
from likelihead.likelihoods import Bernoulli, Categorical
from likelihead.train import TrainConfig, train
from likelihead.train.run import read_model, write_model
from likelihead.train.table.calibration import Fitted, fit, shift_of
from likelihead.train.table.objective import log_prior
from likelihead.train.table.problem import TableProblem, begin
from likelihead.train.table.trained import load_run

TAIL: dict[str, Any] = {
    "data": "digits-long-tail",
    "hidden": (32,),
    "activation": "relu",
    "epochs": 12,
    "weight_decay": 0.0,
}


@pytest.fixture(autouse=True)
def no_report(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing takes longer than training here; test_imbalance.py looks at the reports."""
    monkeypatch.setattr(TableProblem, "write_report", lambda self, trainer: None)


def test_a_temperature_is_kept_with_the_model_and_used(tmp_path: Path) -> None:
    outcome = train(TrainConfig(calibrate="temperature", **TAIL), out=tmp_path / "run")
    more = outcome.more
    assert outcome.test_nll < more["test_nll_uncalibrated"]
    assert more["test_ece"] < more["test_ece_uncalibrated"]
    trained = load_run(tmp_path / "run")
    assert trained.fitted is not None
    assert trained.fitted.how == "temperature"
    assert trained.fitted.calibrator is not None
    temperature = math.exp(float(trained.fitted.calibrator.state_dict()["log_temperature"]))
    assert temperature > 1
    assert f"temperature {temperature:.4g}" in trained.fitted.describe(trained.schema)
    features = torch.zeros(2, trained.schema.num_features, dtype=torch.float64)
    plain: Tensor = trained.model(features)
    torch.testing.assert_close(
        trained.output(features, torch.tensor([1, 2]), "") * temperature, plain.detach()
    )


def test_the_fit_is_the_minimum_on_the_held_out_rows() -> None:
    """A grid of temperatures finds no better one, and the training rows have no say."""
    problem = begin(TrainConfig(calibrate="temperature", **{**TAIL, "epochs": 1}))
    with torch.no_grad():
        problem.model.head.weight.normal_(0, 3, generator=torch.Generator().manual_seed(0))
    held = problem.data.calibration
    assert held is not None
    problem.complete({})
    assert problem.fitted is not None
    assert problem.fitted.rows == len(held)
    found = problem.fitted.calibrator
    assert found is not None
    features, target = next(held.batches(10_000, dtype=torch.float64, shuffle=False))
    z = problem.model(features).detach()

    def objective(temperature: float) -> float:
        own = Categorical(10).probs(z)
        likelihood, logits = Categorical(10), z / temperature
        nll = likelihood.nll(logits, target).sum() + likelihood.nll(logits, own).sum() / len(z)
        return float(nll) + math.hypot(1.0, 1 / temperature - 1)

    at = float(torch.exp(found.state_dict()["log_temperature"]))
    best = objective(at)
    assert all(best <= objective(at * by) for by in (0.5, 0.9, 0.99, 1.01, 1.1, 2.0))


def test_with_logit_adjustment_the_calibration_keeps_the_flat_prior() -> None:
    """With the offset put back the calibrated output fits the held-out rows, and without it is balanced."""
    for data, how in (
        ("digits-long-tail", "temperature"),
        ("digits-long-tail", "vector"),
        ("digits-one-vs-rest", "temperature"),
        ("digits-one-vs-rest", "platt"),
    ):
        config = TrainConfig(data=data, hidden=(4,), epochs=1, calibrate=how, logit_adjustment=1.0)
        problem = begin(config)
        with torch.no_grad():
            problem.model.head.weight.normal_(0, 1, generator=torch.Generator().manual_seed(0))
        problem.complete({})
        held = problem.data.calibration
        assert held is not None
        features, target = next(held.batches(10_000, dtype=torch.float64, shuffle=False))
        with torch.no_grad():
            calibrated = problem.calibrated(problem.model(features))
        shift = shift_of(config, problem.schema, problem.resolved, problem.fitted)
        assert shift is not None
        torch.testing.assert_close(shift, log_prior(problem.schema))
        if data == "digits-one-vs-rest":
            said = Bernoulli().probs(calibrated + shift[1] - shift[0])
            flat = Bernoulli().probs(calibrated).mean()
            came = target
        else:
            said = Categorical(10).probs(calibrated + shift)
            flat = Categorical(10).probs(calibrated)[:, -1].mean()
            said, came = said[:, -1], (target == 9).double()
        assert flat > 1.5 * came.mean()
        # An offset is fitted by vector and Platt scaling: the mean probability is the frequency.
        if how != "temperature":
            assert float(said.mean()) == pytest.approx(float(came.mean()), abs=0.02)


def test_platt_takes_back_what_class_weights_did() -> None:
    problem = begin(
        TrainConfig(
            data="digits-one-vs-rest", hidden=(4,), epochs=1, calibrate="platt", class_weight="balanced"
        )
    )
    with torch.no_grad():
        problem.model.head.weight.normal_(0, 0.3, generator=torch.Generator().manual_seed(0))
    problem.complete({})
    held = problem.data.calibration
    assert held is not None
    features, target = next(held.batches(10_000, dtype=torch.float64, shuffle=False))
    with torch.no_grad():
        raw = problem.model(features)
    assert float(torch.sigmoid(raw).mean()) > 0.3
    assert float(torch.sigmoid(problem.calibrated(raw)).mean()) == pytest.approx(
        float(target.mean()), abs=0.01
    )
    shift = shift_of(problem.config, problem.schema, problem.resolved, problem.fitted)
    assert shift is not None
    assert not shift.any()


@pytest.mark.parametrize("how", ["platt", "temperature"])
def test_labels(tmp_path: Path, how: str) -> None:
    """Twenty columns that mean nothing, to learn by heart."""
    path = tmp_path / "labels.csv"
    lines = [",".join([*(f"x{k}" for k in range(20)), "a", "b"])]
    for i in range(300):
        x = [math.sin(3.7 * i * (k + 1)) for k in range(20)]
        cells = [*(f"{v:.4f}" for v in x), int(x[0] + 2 * math.sin(i * i) > 0), int(math.cos(i * i) > 0.6)]
        lines.append(",".join(map(str, cells)))
    path.write_text("\n".join(lines) + "\n")
    config = TrainConfig(
        data=str(path), target=("a", "b"), hidden=(64,), epochs=60, lr=0.01, weight_decay=0.0, calibrate=how
    )
    outcome = train(config, out=tmp_path / "run")
    assert outcome.test_nll < outcome.more["test_nll_uncalibrated"] - 0.1
    fitted = load_run(tmp_path / "run").fitted
    assert fitted is not None
    assert fitted.how == how


def test_metadata_goes_there_and_back() -> None:
    config = TrainConfig(data="iris", hidden=(4,), epochs=1, calibrate="vector")
    problem = begin(config)
    fitted = fit(config, problem.data, problem.plain, problem.model)
    assert fitted is not None
    again = Fitted.from_metadata(fitted.metadata(), problem.schema)
    assert again is not None
    assert again.metadata() == fitted.metadata()
    z = torch.randn(5, 3, dtype=torch.float64)
    assert torch.equal(again.output(z), fitted.output(z))
    assert Fitted.from_metadata({}, problem.schema) is None


@pytest.mark.parametrize(
    "damage", ["{", "[]", '{"rows": 3}', '{"rows": 1, "how": "magic", "at_bound": false}']
)
def test_a_damaged_calibration_is_one_clear_error(tmp_path: Path, damage: str) -> None:
    run = tmp_path / "run"
    train(TrainConfig(data="iris", hidden=(2,), epochs=1, calibrate="temperature"), out=run)
    tensors, metadata = read_model(run)
    (run / "model.safetensors").unlink()
    write_model(run, tensors, {**metadata, "held_out": damage})
    with pytest.raises(CheckpointError, match="does not fit"):
        load_run(run)


def test_held_out_rows_of_one_class_are_refused_before_the_training(tmp_path: Path) -> None:
    path = tmp_path / "rare.csv"
    path.write_text(
        "x,y\n" + "".join(f"{math.sin(i)},{'yes' if i in (3, 40) else 'no'}\n" for i in range(60))
    )
    # Of two yeses none is among the held-out rows of this split.
    with pytest.raises(DataError, match="held out for calibration are all of the class 'no'"):
        train(TrainConfig(data=str(path), epochs=1, calibrate="temperature"), out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_label_that_never_changes_in_the_held_out_rows(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    rows = [f"{math.sin(i)},{i % 2},{int(i == 40)}" for i in range(100)]
    path.write_text("\n".join(["x,a,rare", *rows]) + "\n")
    options: dict[str, Any] = {"data": str(path), "target": ("a", "rare"), "epochs": 1}
    with pytest.raises(DataError, match="label 'rare' is always a no"):
        begin(TrainConfig(calibrate="platt", **options))
    assert begin(TrainConfig(calibrate="temperature", **options)).data.calibration is not None
