"""Options: each is checked, kept, and compared with a run's."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from likelihead.errors import OptionError, RunError
from likelihead.train import TrainConfig, toml
from likelihead.train.config import contradictions

IRIS = TrainConfig(data="iris")

WRONG = [
    ("task", "guess"),
    ("output", "probs"),
    ("hidden", (0,)),
    ("hidden", (7, -1)),
    ("activation", "swoosh"),
    ("epochs", 0),
    ("batch_size", 0),
    ("lr", 0.0),
    ("lr", float("nan")),
    ("lr", float("inf")),
    ("optimizer", "magic"),
    ("weight_decay", -0.1),
    ("weight_decay", float("nan")),
    ("label_smoothing", 1.0),
    ("label_smoothing", -0.1),
    ("seed", -1),
    ("test_fraction", 0.0),
    ("test_fraction", 1.0),
    ("memory", 10),
    ("checkpoint_every", 0),
    ("guard", "high"),
]


@pytest.mark.parametrize(("name", "value"), WRONG)
def test_a_wrong_value_is_named(name: str, value: object) -> None:
    with pytest.raises(OptionError, match=name):
        replace(IRIS, **{name: value}).check()  # type: ignore[arg-type]


NOT_APPLICABLE = [
    ("regression", {"output": "log-probs"}),
    ("multilabel", {"output": "log-probs"}),
    ("regression", {"label_smoothing": 0.1}),
    ("regression", {"class_weight": "balanced"}),
]


@pytest.mark.parametrize(("task", "options"), NOT_APPLICABLE)
def test_no_option_is_ignored(task: str, options: dict[str, object]) -> None:
    with pytest.raises(OptionError, match=f"{task} task"):
        replace(IRIS, **options).check_for(task)  # type: ignore[arg-type]


CONFIGS = [
    IRIS,
    TrainConfig(data='we"ird\\ na\nme.csv', target=("a b", 'c"')),
    TrainConfig(data="x.csv", target="y", hidden=(), lr=1e-7, label_smoothing=0.1, seed=2**63 - 1),
]


@pytest.mark.parametrize("config", CONFIGS)
def test_round_trip_through_toml(config: TrainConfig) -> None:
    back = TrainConfig.from_dict(toml.loads(toml.dumps(config.to_dict())), origin=Path("c"))
    assert back == config
    assert back.digest() == config.digest()


@pytest.mark.parametrize("name", [field for field in IRIS.to_dict() if field != "target"])
def test_the_digest_covers_each_option(name: str) -> None:
    value = getattr(IRIS, name)
    other = (*value, 1) if isinstance(value, tuple) else value + (type(value)(1))
    assert replace(IRIS, **{name: other}).digest() != IRIS.digest()


@pytest.mark.parametrize(
    "change",
    [{"epochs": "many"}, {"epochs": True}, {"hidden": ["a"]}, {"lr": "0.1"}, {"unknown": 1}, {"lr": -1.0}],
)
def test_an_edited_file_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(RunError, match=r"config\.toml"):
        TrainConfig.from_dict({**IRIS.to_dict(), **change}, origin=Path("config.toml"))


def test_a_missing_option_is_refused() -> None:
    values = IRIS.to_dict()
    del values["lr"]
    with pytest.raises(RunError, match="'lr' is missing"):
        TrainConfig.from_dict(values, origin=Path("config.toml"))


def test_a_contradiction_names_both() -> None:
    contradictions(IRIS, {"epochs": 100, "hidden": (32,)})
    with pytest.raises(OptionError, match=r"--batch-size is 8.*started with 32"):
        contradictions(IRIS, {"batch_size": 8})
