"""Both outputs are one likelihood: the same weights, the same probabilities."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from likelihead.likelihoods import Bernoulli, Categorical, MultiLabel
from likelihead.train import Outcome, TrainConfig, train
from likelihead.train.run import read_model
from likelihead.train.table.data import load
from likelihead.train.table.network import DTYPE, build_model, criterion, plain
from likelihead.train.table.trained import load_run

ROUTES = ("logits", "log-probs")
TEXTBOOK = TrainConfig(data="iris", hidden=(7,), activation="tanh", epochs=8)


def both(config: TrainConfig, folder: Path) -> tuple[list[Outcome], float]:
    outcomes = [train(replace(config, output=output), out=folder / output) for output in ROUTES]
    first, second = (read_model(outcome.folder)[0] for outcome in outcomes)
    assert first.keys() == second.keys()
    return outcomes, max(float((first[name] - second[name]).abs().max()) for name in first)


@pytest.mark.parametrize(
    "config",
    [
        TEXTBOOK,
        replace(TEXTBOOK, label_smoothing=0.1, class_weight="balanced", optimizer="sgd"),
        replace(TEXTBOOK, data="wine", optimizer="adamw", weight_decay=0.01, epochs=5),
        replace(TEXTBOOK, data="breast-cancer", epochs=3),
        replace(TEXTBOOK, data="breast-cancer", epochs=3, class_weight="balanced"),
    ],
    ids=["iris", "smoothed-weighted", "wine", "breast-cancer", "breast-cancer-weighted"],
)
def test_both_outputs_give_the_same_weights(config: TrainConfig, tmp_path: Path) -> None:
    outcomes, difference = both(config, tmp_path)
    assert difference <= 1e-10
    assert outcomes[0].test_nll == pytest.approx(outcomes[1].test_nll, abs=1e-9)


def test_another_seed_gives_other_weights(tmp_path: Path) -> None:
    runs = [train(replace(TEXTBOOK, seed=seed, epochs=2), out=tmp_path / str(seed)) for seed in (0, 1)]
    first, second = (read_model(run.folder)[0] for run in runs)
    assert any(not torch.allclose(first[name], second[name]) for name in first)


def test_prediction_takes_softmax_of_logits_and_exp_of_log_probs(tmp_path: Path) -> None:
    outcomes, _ = both(replace(TEXTBOOK, epochs=3), tmp_path)
    features = torch.randn(5, 4, dtype=DTYPE)
    logits, log_probs = (load_run(outcome.folder) for outcome in outcomes)
    with torch.no_grad():
        z, a = logits.model(features), log_probs.model(features)
    assert not torch.allclose(z.exp().sum(1), torch.ones(5, dtype=DTYPE))
    torch.testing.assert_close(logits.likelihood.probs(z), torch.softmax(z, 1))
    torch.testing.assert_close(log_probs.likelihood.probs(a), torch.exp(a))
    torch.testing.assert_close(torch.softmax(z, 1), torch.exp(a))


def test_training_leaves_the_callers_generator_alone(tmp_path: Path) -> None:
    before = torch.get_rng_state()
    train(replace(TEXTBOOK, epochs=1), out=tmp_path / "run")
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize(
    ("data", "kind", "shape"),
    [("iris", Categorical, (2, 3)), ("breast-cancer", Bernoulli, (2,))],
)
@pytest.mark.parametrize("output", ROUTES)
def test_each_task_has_its_likelihood(data: str, kind: type, shape: tuple[int, ...], output: str) -> None:
    config, schema = TrainConfig(data=data, output=output), load(data).schema
    likelihood = criterion(config, schema, ())
    assert type(likelihood) is kind
    model = build_model(config, schema, likelihood)
    assert model(torch.zeros(2, schema.num_features, dtype=DTYPE)).shape == shape
    assert all(p.dtype == torch.float64 for p in model.parameters())


def test_multilabel_weights_are_those_of_a_yes(tmp_path: Path) -> None:
    path = tmp_path / "tags.csv"
    lines = [f"{i * i % 17},{i % 2},{int(i % 4 == 0)}" for i in range(40)]
    path.write_text("\n".join(["x,a,b", *lines]) + "\n")
    config = TrainConfig(data=str(path), target=("a", "b"))
    likelihood = criterion(config, load(str(path), target=["a", "b"]).schema, (1.0, 3.0))
    assert isinstance(likelihood, MultiLabel)
    assert likelihood.pos_weight is not None
    assert likelihood.pos_weight.tolist() == [1.0, 3.0]


def test_the_reported_likelihood_has_neither_weights_nor_smoothing() -> None:
    config = TrainConfig(data="iris", label_smoothing=0.2, class_weight="balanced")
    reported = plain(config, load("iris").schema)
    assert isinstance(reported, Categorical)
    assert reported.weight is None
    assert reported.label_smoothing == 0.0
