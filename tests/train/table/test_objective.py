"""What the training minimises, option by option."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from likelihead.errors import OptionError
from likelihead.train import TrainConfig
from likelihead.train.table.choices import check_together
from likelihead.train.table.data import Schema, TargetSchema, load
from likelihead.train.table.network import criterion, plain
from likelihead.train.table.objective import Objective, log_prior, prior_shift
from likelihead.train.table.problem import begin
from likelihead.train.table.weights import class_weights

ROWS = torch.arange(1, 7)
COUNTS = (60, 30, 10)


def classes(task: str = "multiclass", counts: tuple[float, ...] = COUNTS, form: str = "classes") -> Schema:
    names = tuple("abcdefgh"[: len(counts)])
    target = TargetSchema(form, ("y",), "text", names, counts)  # type: ignore[arg-type]
    return Schema(task, (), target, train_rows=int(sum(counts)))  # type: ignore[arg-type]


def objective(schema: Schema, **options: Any) -> tuple[TrainConfig, Objective, tuple[float, ...]]:
    config = TrainConfig(data="iris", **options)
    weights = class_weights(config.class_weight, schema)
    return config, Objective(config, schema, criterion(config, schema, weights)), weights


def nll(logits: Tensor, target: Tensor) -> Tensor:
    return -torch.log_softmax(logits, 1)[torch.arange(len(target)), target]


@pytest.fixture
def logits() -> Tensor:
    return torch.randn(6, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


TARGET = torch.tensor([0, 1, 2, 0, 0, 1])


def test_logit_adjustment_adds_the_log_prior(logits: Tensor) -> None:
    _, loss, _ = objective(classes(), logit_adjustment=1.5)
    offset = 1.5 * torch.log(torch.tensor(COUNTS, dtype=torch.float64) / 100)
    torch.testing.assert_close(loss(logits, TARGET, ROWS), nll(logits + offset, TARGET).mean())


def test_logit_adjustment_of_two_classes_is_that_of_one_logit() -> None:
    two = torch.randn(6, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    target = torch.tensor([0, 1, 1, 0, 0, 1])
    _, of_two, _ = objective(classes(counts=(90, 10)), logit_adjustment=0.7)
    _, of_one, _ = objective(classes("binary", (90, 10)), logit_adjustment=0.7)
    torch.testing.assert_close(
        of_two(two, target, ROWS), of_one(two[:, 1] - two[:, 0], target.double(), ROWS)
    )


@pytest.mark.parametrize("output", ["logits", "log-probs"])
def test_label_smoothing_of_a_yes_is_that_of_two_classes(output: str) -> None:
    z = torch.tensor([2.0, -1.0, 0.5], dtype=torch.float64, requires_grad=True)
    target = torch.tensor([1, 1, 0])
    _, of_one, _ = objective(classes("binary", (90, 10)), label_smoothing=0.2, output=output)
    said = torch.nn.functional.logsigmoid(z) if output == "log-probs" else z
    loss = of_one(said, target.double(), ROWS)
    two = torch.stack([torch.zeros_like(z), z], 1)
    expected = torch.nn.functional.cross_entropy(two, target, label_smoothing=0.2)
    torch.testing.assert_close(loss, expected)
    gradients = [torch.autograd.grad(value, z, retain_graph=True)[0] for value in (loss, expected)]
    torch.testing.assert_close(*gradients)


def test_label_smoothing_of_labels_with_their_weights() -> None:
    """By hand: a yes counts its pos_weight, and a smoothed one nine tenths of it."""
    z = torch.tensor([[2.0, -1.0], [0.5, 1.0]], dtype=torch.float64)
    y = torch.tensor([[1.0, 0.0], [1.0, 1.0]], dtype=torch.float64)
    schema = classes("multilabel", (60, 30))
    _, loss, weights = objective(schema, label_smoothing=0.2, class_weight="balanced")
    t, w = 0.8 * y + 0.1, torch.tensor(weights, dtype=torch.float64)
    each = -w * t * torch.log(torch.sigmoid(z)) - (1 - t) * torch.log(torch.sigmoid(-z))
    torch.testing.assert_close(loss(z, y, ROWS), each.mean())


@pytest.mark.parametrize(("prior", "towards"), [("0.25", 0.25), ("observed", None)])
@pytest.mark.parametrize("weighted", [False, True])
def test_labels_are_drawn_towards_a_prior_of_choice(
    tmp_path: Path, prior: str, towards: float | None, weighted: bool
) -> None:
    """The training's own frequencies, each row by its weight; against a sum by hand."""
    rng = np.random.default_rng(0)
    lines = ["x,a,b,w"]
    for i in range(60):
        a = int(rng.random() < 0.2)
        lines.append(f"{rng.normal():.3f},{a},{int(rng.random() < 0.7)},{i % 3 + 1}")
    path = tmp_path / "labels.csv"
    path.write_text("\n".join(lines) + "\n")
    options: dict[str, Any] = {"sample_weight": "w"} if weighted else {}
    problem = begin(
        TrainConfig(
            data=str(path), target=("a", "b"), task="multilabel", hidden=(), batch_size=1000,
            label_smoothing=0.2, label_prior=prior, **options,
        )
    )  # fmt: skip
    batch = next(problem.batches(0, 0))
    y = batch.target
    w = torch.ones(len(y)) if batch.weight is None else batch.weight
    known = ~y.isnan()
    shares = (w[:, None] * y.nan_to_num()).sum(0) / (w[:, None] * known).sum(0)
    t = 0.8 * y + 0.2 * (shares if towards is None else towards)
    expected = torch.zeros((), dtype=torch.float64)
    for label in range(2):
        share = (w * t[:, label].nan_to_num()).sum() / (w * known[:, label]).sum()
        bias = torch.log(share / (1 - share))
        torch.testing.assert_close(problem.model.head.bias[label].detach(), bias)
        each = -t[:, label] * torch.log(torch.sigmoid(bias)) - (1 - t[:, label]) * torch.log(
            torch.sigmoid(-bias)
        )
        expected += (w * each.nan_to_num()).sum()
    loss = problem.loss(batch, {}).detach()
    torch.testing.assert_close(loss, expected / (w[:, None] * known).sum())


def test_a_prior_without_smoothing_is_refused() -> None:
    with pytest.raises(OptionError, match="--label-prior observed is what --label-smoothing draws"):
        begin(TrainConfig(data="breast-cancer", label_prior="observed"))


def test_a_smoothed_run_starts_at_its_least_constant_loss() -> None:
    problem = begin(TrainConfig(data="breast-cancer", hidden=(4,), batch_size=10_000, label_smoothing=0.3))
    batch = next(problem.batches(0, 0))
    t = 0.7 * batch.target + 0.15
    share = float(t.mean())
    least = -share * math.log(share) - (1 - share) * math.log(1 - share)
    assert float(problem.loss(batch, {}).detach()) == pytest.approx(least, rel=1e-9)
    # What is reported knows of no smoothing.
    plain = float(batch.target.mean())
    nll = problem.plain.baseline_nll(batch.target)
    assert float(nll) == pytest.approx(-plain * math.log(plain) - (1 - plain) * math.log(1 - plain))


def test_focal_and_smoothing_exclude_each_other() -> None:
    with pytest.raises(OptionError, match="--label-smoothing gives it several"):
        check_together(TrainConfig(data="iris", focal=2.0, label_smoothing=0.1), classes())


@pytest.mark.parametrize("weight", ["none", "balanced"])
def test_focal(logits: Tensor, weight: str) -> None:
    _, loss, weights = objective(classes(), focal=2.0, class_weight=weight)
    of_row = nll(logits, TARGET)
    w = torch.tensor(weights or (1.0, 1.0, 1.0), dtype=torch.float64)[TARGET]
    expected = (w * (1 - torch.exp(-of_row)) ** 2 * of_row).sum() / w.sum()
    torch.testing.assert_close(loss(logits, TARGET, ROWS), expected)


@pytest.mark.parametrize("task", ["binary", "multiclass"])
def test_focal_of_weighted_rows_is_that_of_repeated_ones(logits: Tensor, task: str) -> None:
    counts: tuple[float, ...] = (90, 10) if task == "binary" else COUNTS
    config, loss, weights = objective(classes(task, counts), focal=1.5, class_weight="balanced")
    z, y = (logits[:, 0], (TARGET > 0).double()) if task == "binary" else (logits, TARGET)
    s = torch.tensor([2, 0, 1, 3, 1, 1])
    each = torch.repeat_interleave(torch.arange(6), s)
    schema = classes(task, counts)
    # A batch of B rows counts B times the average, whatever it weighs; of these rows that is the mean's own.
    mean = Objective(config, schema, criterion(config, schema, weights), count_per_row=float(s.sum()) / 6)
    w = torch.tensor(weights)[TARGET] if task == "multiclass" else torch.ones(6)
    counted = float((w[each]).sum()) / len(each)
    torch.testing.assert_close(
        mean(z, y, ROWS, s.double()), loss(z[each], y[each], each) * counted, rtol=1e-6, atol=0
    )


def test_focal_of_a_yes_and_a_no() -> None:
    z = torch.tensor([2.0, -1.0, 0.5], dtype=torch.float64)
    y = torch.tensor([1.0, 1.0, 0.0], dtype=torch.float64)
    _, loss, (weight,) = objective(classes("binary", (90, 10)), focal=1.5, class_weight="balanced")
    p = torch.where(y == 1, torch.sigmoid(z), torch.sigmoid(-z))
    expected = (torch.where(y == 1, weight, 1.0) * (1 - p) ** 1.5 * -torch.log(p)).mean()
    torch.testing.assert_close(loss(z, y, ROWS), expected)


@pytest.mark.parametrize("task", ["binary", "multiclass"])
@pytest.mark.parametrize(
    ("options", "lacking"),
    [
        ({}, 0.0),
        ({"logit_adjustment": 1.0}, 1.0),
        ({"logit_adjustment": 0.4}, 0.4),
        ({"class_weight": "balanced"}, 1.0),
        ({"resample": "balanced"}, 1.0),
    ],
)
def test_what_the_training_takes_off_the_prior(task: str, options: dict[str, Any], lacking: float) -> None:
    counts: tuple[float, ...] = (90, 10) if task == "binary" else COUNTS
    schema = classes(task, counts)
    config, _, weights = objective(schema, **options)
    shift = prior_shift(config, schema, weights)
    assert shift is not None
    # A constant over the classes is nothing.
    centred = shift - shift.mean()
    prior = log_prior(schema)
    torch.testing.assert_close(centred, lacking * (prior - prior.mean()))


def test_the_shift_undoes_weights_at_the_minimum() -> None:
    """The best constant under class weights, shifted, is the log prior."""
    schema = classes()
    config, loss, weights = objective(schema, class_weight="balanced")
    z = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    target = torch.repeat_interleave(torch.arange(3), torch.tensor(COUNTS))
    optimizer = torch.optim.LBFGS([z], max_iter=100, line_search_fn="strong_wolfe")

    def step() -> Tensor:
        optimizer.zero_grad()
        value = loss(z.expand(100, 3), target, target)
        torch.autograd.backward(value)
        return value

    optimizer.step(step)
    shift = prior_shift(config, schema, weights)
    assert shift is not None
    found = torch.softmax(z.detach() + shift, 0)
    np.testing.assert_allclose(found.numpy(), np.array(COUNTS) / 100, atol=1e-4)


def test_a_weight_of_zero_leaves_the_prior_unknown() -> None:
    assert prior_shift(TrainConfig(data="iris"), classes(), (1.0, 0.0, 2.0)) is None
    assert prior_shift(TrainConfig(data="iris"), classes("multilabel"), ()) is None


@pytest.mark.parametrize("task", ["digits-one-vs-rest", "digits-long-tail"])
def test_the_first_loss_of_an_adjusted_run_is_the_baseline_of_its_training_rows(task: str) -> None:
    losses = []
    for options in ({}, {"logit_adjustment": 1.0}):
        problem = begin(TrainConfig(data=task, epochs=1, hidden=(4,), batch_size=100_000, **options))
        batch = next(problem.batches(0, 0))
        losses.append(float(problem.loss(batch, {}).detach()))
    assert losses[1] == pytest.approx(losses[0], rel=1e-9)


def test_resampled_batches_hold_every_class_equally_often() -> None:
    problem = begin(TrainConfig(data="digits-long-tail", epochs=1, hidden=(4,), resample="balanced"))
    drawn = torch.cat([target for _, target, _, _ in problem.batches(0, 0)])
    counts = torch.bincount(drawn)
    assert int(counts.max() - counts.min()) <= 1
    assert len(drawn) == len(problem.data.train)
    rest = [target.tolist() for _, target, _, _ in problem.batches(0, 5)]
    assert rest == [target.tolist() for _, target, _, _ in problem.batches(0, 0)][5:]
    other = [target.tolist() for _, target, _, _ in problem.batches(1, 5)]
    assert other != rest


def test_a_streamed_file_is_not_resampled() -> None:
    config = TrainConfig(data="digits-long-tail", hidden=(4,), resample="balanced", memory=1 << 20)
    with pytest.raises(OptionError, match="streamed from the file; give more --memory"):
        next(begin(config).batches(0, 0))


def test_the_reported_likelihood_is_plain() -> None:
    config = TrainConfig(data="iris", label_smoothing=0.1, logit_adjustment=1.0)
    reported = plain(config, classes())
    assert reported.logit_offset is None
    assert reported.label_smoothing == 0


SOFT = classes(form="probs")
TOGETHER: list[tuple[Schema, dict[str, Any], str]] = [
    (
        classes(),
        {"class_weight": "balanced", "resample": "balanced"},
        "--class-weight balanced and --resample",
    ),
    (classes(), {"class_weight": "effective", "logit_adjustment": 1.0}, "effective and --logit-adjustment 1"),
    (classes(), {"resample": "balanced", "logit_adjustment": 1.0}, "--resample balanced and --logit-adj"),
    (classes(), {"output": "log-probs", "logit_adjustment": 1.0}, "--logit-adjustment acts on logits"),
    (classes(), {"output": "log-probs", "focal": 1.0}, "--focal acts on logits"),
    (classes(), {"output": "log-probs", "calibrate": "temperature"}, "--calibrate acts on logits"),
    (classes(), {"output": "log-probs", "teacher": "x"}, "--teacher acts on logits"),
    (classes(), {"temperature": 2.0}, "give --teacher RUN"),
    (classes(), {"teacher": "x", "label_smoothing": 0.1}, "--label-smoothing does not go with --teacher"),
    (classes(), {"teacher": "x", "class_weight": "balanced"}, "--class-weight does not go with --teacher"),
    (classes(), {"teacher": "x", "logit_adjustment": 1.0}, "--logit-adjustment does not go with --teacher"),
    (classes(), {"teacher": "x", "focal": 1.0}, "--focal does not go with --teacher"),
    (SOFT, {"resample": "balanced"}, "these targets are probabilities"),
    (SOFT, {"focal": 1.0}, "these targets are probabilities"),
    (classes(), {"calibrate": "platt"}, "takes temperature or vector"),
    (classes("binary", (5, 5)), {"calibrate": "vector"}, "takes temperature or platt"),
    (classes("multilabel"), {"calibrate": "vector"}, "takes temperature or platt"),
    (classes(counts=(5, 0, 5), form="probs"), {"logit_adjustment": 1.0}, "no training row has the class 'b'"),
]


@pytest.mark.parametrize(("schema", "options", "message"), TOGETHER)
def test_options_that_contradict_each_other(schema: Schema, options: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        check_together(TrainConfig(data="iris", **options), schema)


@pytest.mark.parametrize(
    "options",
    [
        {"class_weight": "weights.csv", "resample": "balanced"},
        {"focal": 2.0, "class_weight": "balanced"},
        {"teacher": "x", "resample": "balanced", "temperature": 3.0},
        {"calibrate": "vector", "logit_adjustment": 1.0},
    ],
)
def test_options_that_go_together(options: dict[str, Any]) -> None:
    check_together(TrainConfig(data="iris", **options), classes())


def test_the_long_tail_has_a_prior() -> None:
    schema = load("digits-long-tail").schema
    torch.testing.assert_close(torch.exp(log_prior(schema)).sum(), torch.tensor(1.0, dtype=torch.float64))
