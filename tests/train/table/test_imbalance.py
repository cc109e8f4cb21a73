"""Rare classes: what the options do to recall and to calibration, and that the report says so."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import balanced_accuracy_score, recall_score

from likelihead.errors import DataError, OptionError, RunError
from likelihead.likelihoods import Bernoulli, Categorical
from likelihead.train import TrainConfig, train
from likelihead.train.evaluate import evaluate
from likelihead.train.predict import predict
from likelihead.train.table.balance import TAUS, worlds
from likelihead.train.table.calibration import shift_of
from likelihead.train.table.data import load_for_schema
from likelihead.train.table.deployment import for_prior
from likelihead.train.table.trained import load_run

TAIL: dict[str, Any] = {
    "data": "digits-long-tail",
    "hidden": (32,),
    "activation": "relu",
    "epochs": 15,
    "batch_size": 16,
    "weight_decay": 0.0,
    "calibrate": "temperature",
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("tail")
    return {
        "plain": train(TrainConfig(**TAIL), out=folder / "plain").folder,
        "adjusted": train(TrainConfig(logit_adjustment=1.0, **TAIL), out=folder / "adjusted").folder,
        "yes": train(
            TrainConfig(
                data="digits-one-vs-rest", hidden=(8,), epochs=2, calibrate="platt", tune_thresholds=True
            ),
            out=folder / "yes",
        ).folder,
    }


def report(run: Path) -> dict[str, Any]:
    figures: dict[str, Any] = json.loads((run / "report.json").read_text())
    return figures


def test_logit_adjustment_lifts_balanced_accuracy(runs: dict[str, Path]) -> None:
    """In training, and after it on the same network: the report has both."""
    plain, adjusted = (report(runs[name]) for name in ("plain", "adjusted"))
    by_tau = {row["tau"]: row for row in plain["balance"]}
    assert by_tau[1.0]["balanced_accuracy"] > by_tau[0.0]["balanced_accuracy"] + 0.03
    trained = {row["tau"]: row for row in adjusted["balance"]}[None]
    assert trained["balanced_accuracy"] > by_tau[None]["balanced_accuracy"] + 0.03
    assert adjusted["figures"]["balanced_accuracy"] == pytest.approx(trained["balanced_accuracy"])
    page = (runs["plain"] / "report.html").read_text()
    assert "Class frequencies" in page
    assert "The training did nothing about it." in page
    assert "logit adjustment with a tau of 1 in the loss" in (runs["adjusted"] / "report.html").read_text()


def test_temperature_lowers_the_calibration_error(runs: dict[str, Path]) -> None:
    for name in ("plain", "adjusted"):
        figures = report(runs[name])["calibrated"]
        for key in ("nll", "ece", "smooth_ece"):
            assert figures["after"][key] < figures["before"][key]
    page = (runs["plain"] / "report.html").read_text()
    assert 'id="calibration"' in page
    assert "rows held out of the training: temperature" in page


def test_the_report_and_evaluate_say_the_same(runs: dict[str, Path], tmp_path: Path) -> None:
    """What the run itself is, is the row of the table that the training's tau is at."""
    rows = {row["tau"]: row for row in report(runs["adjusted"])["balance"]}
    for key in ("accuracy", "balanced_accuracy", "ece", "nll"):
        assert rows[1.0][key] == pytest.approx(rows[None][key], rel=1e-9)
    assert rows[0.0]["balanced_accuracy"] < rows[1.0]["balanced_accuracy"]
    figures = evaluate(runs["adjusted"], "digits")
    assert figures["top_5_accuracy"] > figures["accuracy"]
    assert figures["nll_explained"] == pytest.approx(1 - figures["nll"] / figures["baseline_nll"])
    assert figures["gain_over_prior"] == pytest.approx(figures["baseline_nll"] - figures["nll"])
    assert any(note.startswith("calibrated on") for note in figures["notes"])


def test_worlds_against_scikit_learn() -> None:
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(200, 3, dtype=torch.float64, generator=generator)
    target = torch.randint(3, (200,), generator=generator)
    log_prior = torch.log(torch.tensor([0.7, 0.2, 0.1], dtype=torch.float64))
    for shift in (None, 0.5 * log_prior):
        own, *rows = worlds(Categorical(3), z, target, log_prior, shift)
        assert own.tau is None
        assert tuple(row.tau for row in rows) == TAUS
        for row in rows:
            moved = z + (0 if shift is None else shift) - float(row.tau or 0) * log_prior
            said = moved.argmax(1)
            assert row.balanced_accuracy == pytest.approx(balanced_accuracy_score(target, said))
            assert row.recall == pytest.approx(tuple(recall_score(target, said, average=None)))
            nll = -torch.log_softmax(moved, 1)[torch.arange(200), target].mean()
            assert row.nll == pytest.approx(float(nll))


def test_worlds_of_one_logit_are_those_of_two() -> None:
    generator = torch.Generator().manual_seed(1)
    z = torch.randn(100, dtype=torch.float64, generator=generator)
    target = (torch.rand(100, generator=generator) < 0.3).double()
    log_prior = torch.log(torch.tensor([0.8, 0.2], dtype=torch.float64))
    two = torch.stack([torch.zeros_like(z), z], 1)
    of_one = worlds(Bernoulli(), z, target, log_prior, None)
    of_logs = worlds(Bernoulli.from_log_probs(), torch.nn.functional.logsigmoid(z), target, log_prior, None)
    for one, logs, both in zip(
        of_one, of_logs, worlds(Categorical(2), two, target.long(), log_prior, None), strict=True
    ):
        assert one.recall == pytest.approx(both.recall)
        assert one.nll == pytest.approx(both.nll)
        assert logs.nll == pytest.approx(both.nll)
        assert logs.recall == pytest.approx(both.recall)


def test_balanced_sets_have_no_section(tmp_path: Path) -> None:
    run = train(TrainConfig(data="iris", hidden=(2,), epochs=1), out=tmp_path / "run").folder
    assert "balance" not in report(run)
    assert "calibrated" not in report(run)


def columns(run: Path, out: Path, **options: Any) -> tuple[list[str], dict[str, np.ndarray[Any, Any]]]:
    notes = predict(run, "digits-one-vs-rest", out=out, probs=True, **options)
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    return notes, {key: np.array([line[key] for line in lines]) for key in lines[0]}


def test_the_tuned_threshold_is_used_and_said(runs: dict[str, Path], tmp_path: Path) -> None:
    fitted = load_run(runs["yes"]).fitted
    assert fitted is not None
    (threshold,) = fitted.thresholds
    ((best, at_half),) = fitted.f1
    assert best >= at_half
    notes, found = columns(runs["yes"], tmp_path / "tuned.jsonl")
    assert any(f"{threshold:.4g} for eight" in note for note in notes)
    assert (found["prediction"] == np.where(found["prob_eight"] > threshold, "eight", "any other")).all()
    _, at = columns(runs["yes"], tmp_path / "at.jsonl", threshold=0.9)
    assert (at["prediction"] == np.where(at["prob_eight"] > 0.9, "eight", "any other")).all()
    section = report(runs["yes"])["thresholds"]
    assert section[0]["threshold"] == threshold
    assert "was chosen on" in (runs["yes"] / "report.html").read_text()


def test_a_prior_of_the_deployment(runs: dict[str, Path], tmp_path: Path) -> None:
    run, trained = runs["yes"], load_run(runs["yes"])
    no, yes = trained.schema.target.counts
    _, own = columns(run, tmp_path / "own.jsonl", threshold=0.5)
    notes, moved = columns(run, tmp_path / "moved.jsonl", prior="any other=0.6,eight=0.4")
    assert any("are not used with --prior" in note for note in notes)
    odds = own["prob_eight"] / own["prob_any other"] * (no / yes) * (0.4 / 0.6)
    np.testing.assert_allclose(moved["prob_eight"], odds / (1 + odds), rtol=1e-9)
    assert (moved["prediction"] == np.where(moved["prob_eight"] > 0.5, "eight", "any other")).all()
    same = f"any other={no / (no + yes)!r},eight={yes / (no + yes)!r}"
    _, unmoved = columns(run, tmp_path / "same.jsonl", prior=same)
    np.testing.assert_allclose(unmoved["prob_eight"], own["prob_eight"], rtol=1e-9)
    (tmp_path / "prior.csv").write_text("class,share\neight,0.4\nany other,0.6\n")
    _, of_file = columns(run, tmp_path / "file.jsonl", prior=str(tmp_path / "prior.csv"))
    np.testing.assert_array_equal(of_file["prob_eight"], moved["prob_eight"])
    figures = evaluate(run, "digits-one-vs-rest", prior="any other=0.6,eight=0.4")
    assert figures["nll"] != evaluate(run, "digits-one-vs-rest")["nll"]


def test_an_estimated_prior_is_the_fixed_point_of_its_own_predictions(
    runs: dict[str, Path], tmp_path: Path
) -> None:
    """At the most likely prior the mean of the probabilities is that prior; for one logit and for classes."""
    notes, found = columns(runs["yes"], tmp_path / "yes.jsonl", prior="estimate")
    assert any("as estimated from these rows" in note for note in notes)
    trained = load_run(runs["yes"])
    data = load_for_schema("digits-one-vs-rest", trained.schema, need_target=False)
    moved = for_prior(trained, "estimate", lambda: data)
    assert moved.priors is not None
    estimated = moved.priors[1]
    assert found["prob_eight"].mean() == pytest.approx(float(estimated[1]), abs=1e-6)
    assert float(estimated.sum()) == pytest.approx(1, abs=1e-12)
    assert float((estimated - moved.priors[0]).abs().max()) > 1e-3
    classes = load_run(runs["adjusted"])
    digits = load_for_schema("digits", classes.schema, need_target=False)
    shifted = for_prior(classes, "estimate", lambda: digits)
    assert shifted.priors is not None
    features, rows = next(iter(digits.all.feature_batches(10_000, dtype=torch.float64)))
    mean = Categorical(10).probs(shifted.output(features, rows, "")).mean(0)
    torch.testing.assert_close(mean, shifted.priors[1], rtol=0, atol=1e-6)
    with pytest.raises(OptionError, match="more than half of the memory"):
        for_prior(classes, "estimate", lambda: digits, memory=1000)
    assert "nll" in evaluate(runs["yes"], "digits-one-vs-rest", prior="estimate")


def test_an_adjusted_run_is_moved_from_equal_classes(runs: dict[str, Path]) -> None:
    trained = load_run(runs["adjusted"])
    equal = ",".join(f"{digit}=0.1" for digit in range(10))
    same = for_prior(trained, equal, lambda: load_for_schema("digits", trained.schema, need_target=False))
    features = torch.randn(4, trained.schema.num_features, dtype=torch.float64)
    rows = torch.arange(1, 5)
    probs = [Categorical(10).probs(run.output(features, rows, "")) for run in (trained, same)]
    torch.testing.assert_close(*probs)


BAD_PRIORS = [
    ("eight=0.5", OptionError, "no share for the class 'any other'"),
    ("eight=0.5,any other=0.6", OptionError, "sums to 1.1"),
    ("eight=0.5,nine=0.5", OptionError, "'nine=0.5' is no class=share"),
    ("eight=0.5,eight=0.5", OptionError, "twice"),
    ("eight=half,any other=0.5", OptionError, "'half'; expected a number"),
    ("eight=1.5,any other=-0.5", OptionError, r"expected a number in \[0, 1\]"),
    ("eight=nan,any other=0.5", OptionError, r"expected a number in \[0, 1\]"),
    ("absent.csv", DataError, "--prior takes a=0.1,b=0.9, a file or estimate"),
]


@pytest.mark.parametrize(("prior", "error", "message"), BAD_PRIORS)
def test_bad_priors(
    runs: dict[str, Path], tmp_path: Path, prior: str, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        predict(runs["yes"], "digits-one-vs-rest", out=tmp_path / "out.csv", prior=prior)


def test_a_prior_of_numbers_and_of_nothing(tmp_path: Path) -> None:
    path = tmp_path / "numbers.csv"
    path.write_text("x,y\n" + "".join(f"{math.sin(i)},{math.cos(i)}\n" for i in range(50)))
    run = train(TrainConfig(data=str(path), epochs=1), out=tmp_path / "run").folder
    with pytest.raises(OptionError, match="does not apply to a regression run"):
        predict(run, str(path), out=tmp_path / "out.csv", prior="a=1")
    with pytest.raises(RunError):
        predict(tmp_path, str(path), out=tmp_path / "out.csv", prior="a=1")


def test_a_calibration_that_gains_no_more_than_chance_is_left_out(tmp_path: Path) -> None:
    """With `digits-long-tail` as it is, eighty held-out rows say nothing against the network's own word."""
    path = tmp_path / "easy.csv"
    path.write_text("x,y\n" + "".join(f"{i % 2 + math.sin(i) / 10},{'ab'[i % 2]}\n" for i in range(80)))
    easy = TrainConfig(data=str(path), epochs=10, lr=0.05, calibrate="temperature")
    tail = TrainConfig(
        data="digits-long-tail", epochs=20, seed=2, calibrate="vector", class_weight="balanced"
    )
    for name, config in (("easy", easy), ("tail", tail)):
        outcome = train(config, out=tmp_path / name)
        assert outcome.more["test_nll_uncalibrated"] == outcome.test_nll
        trained = load_run(tmp_path / name)
        assert trained.fitted is not None
        assert trained.fitted.calibrator is None
        assert trained.fitted.gain < 19
        page = (tmp_path / name / "report.html").read_text()
        assert "nats in all, no more than chance gives" in page
        # The output stands for the shares that the training made, not for those that a calibration would.
        shift = shift_of(config, trained.schema, trained.resolved, trained.fitted)
        assert (shift is not None and bool(shift.any())) == (name == "tail")
