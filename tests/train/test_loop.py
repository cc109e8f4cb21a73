"""The loop: divergence is told, findings are kept, and a run stops where it is asked to."""

from __future__ import annotations

import math
import signal
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from sklearn.datasets import load_diabetes
from torch import Tensor

from likelihead.errors import CheckpointError, DomainError, LikelihoodWarning, OptionError, RunError
from likelihead.train import Interrupted, TrainConfig, resume, train
from likelihead.train.checkpoint import paths, read
from likelihead.train.loop import Trainer
from likelihead.train.run import CHECKPOINTS, CONFIG, METRICS, SCHEMA, opened, read_metrics
from likelihead.train.start import stored
from likelihead.train.table.data import load

IRIS = TrainConfig(data="iris", hidden=(7,), epochs=2, checkpoint_every=3)


class Each:
    """An observer that calls a function at each step."""

    def __init__(self, function: Any) -> None:
        self.step = function

    def begin(self, trainer: Trainer) -> None:
        pass

    def epoch(self, trainer: Trainer, record: dict[str, Any]) -> None:
        pass


def stopping_at(step: int) -> Any:
    """Asks to stop after a step; between the epochs, of 4 steps each, the evaluation asks once as well."""
    asked = iter(range(1, 10**6))
    number = step + (step - 1) // 4
    return lambda: signal.SIGTERM if next(asked) == number else None


@pytest.fixture
def stopped(tmp_path: Path) -> Path:
    with pytest.raises(Interrupted):
        train(IRIS, out=tmp_path / "run", stop=stopping_at(5))
    return tmp_path / "run"


def test_the_first_loss_is_the_baseline(tmp_path: Path) -> None:
    losses: list[float] = []
    config = replace(IRIS, batch_size=1000, epochs=1)
    outcome = train(config, out=tmp_path / "run", observer=Each(lambda t: losses.append(t.last_loss)))
    counts = torch.tensor(load("iris").class_counts, dtype=torch.float64)
    prior = counts / counts.sum()
    assert losses == [pytest.approx(float(-(prior * prior.log()).sum()))]
    _, resolved = stored(outcome.folder)
    assert resolved.constant == pytest.approx(prior.log().tolist())


def test_divergence_names_step_and_lr_and_keeps_the_checkpoint(tmp_path: Path) -> None:
    config = replace(IRIS, optimizer="sgd", lr=1e200)
    with pytest.raises(DomainError, match=r"at step \d+ .*--lr.*step-000000000\.ckpt, is intact"):
        train(config, out=tmp_path / "run")
    saved = paths(tmp_path / "run" / CHECKPOINTS)
    assert [path.name for path in saved] == ["step-000000000.ckpt"]
    assert all(bool(torch.isfinite(t).all()) for n, t in read(saved[0]).tensors.items() if n != "rng.torch")


def test_weights_that_are_not_finite_are_never_saved(tmp_path: Path) -> None:
    def spoil(trainer: Trainer) -> None:
        if trainer.position.step == 5:
            with torch.no_grad():
                trainer.model.head.bias.fill_(math.nan)

    # Only the check before saving can see it: the next thing after step 5 is a stop.
    with pytest.raises(DomainError, match="weights are not finite"):
        train(IRIS, out=tmp_path / "run", observer=Each(spoil), stop=stopping_at(5))
    assert [path.name for path in paths(tmp_path / "run" / CHECKPOINTS)] == [
        "step-000000000.ckpt",
        "step-000000003.ckpt",
    ]


def test_a_stop_saves_at_the_step(stopped: Path) -> None:
    newest = read(paths(stopped / CHECKPOINTS)[-1])
    assert newest.header["position"]["step"] == 5
    outcome = resume(stopped)
    assert outcome.score > 0.3
    assert [r["epoch"] for r in read_metrics(stopped) if r["kind"] == "epoch"] == [1, 2]


def test_a_finished_run_resumes_to_itself(tmp_path: Path) -> None:
    first = train(IRIS, out=tmp_path / "run")
    model = (tmp_path / "run" / "model.safetensors").read_bytes()
    assert resume(tmp_path / "run") == first
    assert (tmp_path / "run" / "model.safetensors").read_bytes() == model


def test_the_guards_warnings_are_findings_and_others_pass(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = Trainer.step

    def step(self: Trainer, batch: tuple[Tensor, Tensor]) -> None:
        warnings.warn(LikelihoodWarning("planted", code="LH205"), stacklevel=1)
        if self.position.step == 0:
            warnings.warn("another", UserWarning, stacklevel=1)
        original(self, batch)

    monkeypatch.setattr(Trainer, "step", step)
    with pytest.warns(UserWarning, match="another") as caught:
        outcome = train(IRIS, out=tmp_path / "run")
    assert not [w for w in caught if isinstance(w.message, LikelihoodWarning)]
    [finding] = [f for f in outcome.findings if f[0] == "LH205"]
    assert "planted" in finding[1]
    assert "LH205" in (tmp_path / "run" / "report.json").read_text()


def test_a_model_that_learns_nothing_is_reported(tmp_path: Path) -> None:
    outcome = train(replace(IRIS, lr=1e-300), out=tmp_path / "run")
    assert [code for code, _ in outcome.findings] == ["LH704"]
    outcome = train(replace(IRIS, lr=1e-300, guard="off"), out=tmp_path / "off")
    assert outcome.findings == ()


def test_the_defaults_beat_the_baseline_on_a_small_regression(tmp_path: Path) -> None:
    data = load_diabetes()
    rows = zip(data.data.tolist(), data.target.tolist(), strict=True)
    lines = [f"{','.join(map(repr, row))},{value}\n" for row, value in rows]
    (tmp_path / "diabetes.csv").write_text("".join([f"{','.join(data.feature_names)},target\n", *lines]))
    config = TrainConfig(data=str(tmp_path / "diabetes.csv"))
    outcome = train(config, out=tmp_path / "run")
    assert outcome.test_nll < outcome.baseline_nll
    assert outcome.findings == ()
    outcome = train(replace(config, weight_decay=0.0), out=tmp_path / "by-heart")
    assert outcome.test_nll > outcome.baseline_nll
    [(code, message)] = outcome.findings
    assert code == "LH704"
    assert "by heart" in message


# -- what may be wrong with a folder that is to be resumed ----------------------------------------


def test_a_damaged_checkpoint_is_not_passed_over(stopped: Path) -> None:
    before, newest = paths(stopped / CHECKPOINTS)
    newest.write_bytes(newest.read_bytes()[:-20])
    with pytest.raises(CheckpointError, match=f"{newest.name}.*{before.name}"):
        resume(stopped)
    newest.unlink()
    assert resume(stopped).folder == stopped


def test_a_checkpoint_of_another_run(stopped: Path, tmp_path: Path) -> None:
    with pytest.raises(Interrupted):
        train(replace(IRIS, seed=1), out=tmp_path / "other", stop=stopping_at(5))
    foreign = paths(tmp_path / "other" / CHECKPOINTS)[-1]
    paths(stopped / CHECKPOINTS)[-1].write_bytes(foreign.read_bytes())
    with pytest.raises(CheckpointError, match="another run"):
        resume(stopped)


def test_an_edited_configuration(stopped: Path) -> None:
    text = (stopped / CONFIG).read_text()
    (stopped / CONFIG).write_text(text.replace("lr = 0.01", "lr = 0.02"))
    with pytest.raises(CheckpointError, match=r"config\.toml was edited"):
        resume(stopped)
    (stopped / CONFIG).write_text(text.replace("[resolved]", "[resolved"))
    with pytest.raises(RunError, match="damaged"):
        resume(stopped)


def test_a_log_that_was_cut(stopped: Path) -> None:
    (stopped / METRICS).write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"metrics\.jsonl has 0 bytes"):
        resume(stopped)


def test_data_that_changed(tmp_path: Path) -> None:
    lines = [f"{i * i % 17},{'ab'[i % 2]}" for i in range(60)]
    path = tmp_path / "data.csv"
    path.write_text("\n".join(["x,y", *lines]) + "\n")
    config = replace(IRIS, data=str(path))
    with pytest.raises(Interrupted):
        train(config, out=tmp_path / "run", stop=stopping_at(2))
    path.write_text("\n".join(["x,y", *lines, "3,a"]) + "\n")
    with pytest.raises(RunError, match="changed since the run began"):
        resume(tmp_path / "run")


def test_a_missing_schema(stopped: Path) -> None:
    (stopped / SCHEMA).unlink()
    with pytest.raises(RunError, match=r"schema\.json"):
        resume(stopped)


def test_no_two_at_once(stopped: Path) -> None:
    with opened(stopped), pytest.raises(RunError, match="another process"):
        resume(stopped)


def test_options_of_another_run(stopped: Path) -> None:
    with pytest.raises(OptionError, match="--task is regression"):
        resume(stopped, given={"task": "regression"})
