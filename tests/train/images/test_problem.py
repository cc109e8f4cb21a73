"""What a step learns from: labelled pixels and known labels alone."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from likelihead.errors import OptionError
from likelihead.train import TrainConfig
from likelihead.train.images.begin import begin
from likelihead.train.images.schema import IGNORE, Coding, ImageSchema


def masked_folder(root: Path, values: tuple[int, ...], count: int = 6, size: int = 16) -> Path:
    draw = np.random.default_rng(0)
    for index in range(count):
        mask = np.zeros((size, size + index % 2), dtype=np.uint8)
        for value in values:
            y, x = draw.integers(0, size - 6, 2)
            mask[y : y + 6, x : x + 6] = value
        image = np.clip(mask * 60.0 + draw.normal(40, 5, mask.shape), 0, 255).astype(np.uint8)
        for name, pixels in (("images", image), ("masks", mask)):
            (root / name).mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(root / name / f"{index}.png")
    return root


def problem(data: object, **options: Any) -> Any:
    config = TrainConfig(data=str(data), **{"hidden": (4, 6), "guard": "off", **options})
    return begin(config.check())


@pytest.mark.parametrize("values", [(1,), (1, 2)])
def test_the_first_loss_is_the_baseline(tmp_path: Path, values: tuple[int, ...]) -> None:
    learned = problem(masked_folder(tmp_path, values), ignore_colour="7")
    assert learned.schema.is_binary == (len(values) == 1)
    assert learned.measure({}).test_nll == pytest.approx(learned.resolved.baseline_nll, rel=1e-5)
    counts = np.array(learned.schema.counts) / sum(learned.schema.counts)
    tests = np.array(learned.data.test_counts)
    assert learned.resolved.baseline_nll == pytest.approx(-(tests @ np.log(counts)) / tests.sum(), rel=1e-6)


@pytest.mark.parametrize("values", [(1,), (1, 2)])
def test_a_batch_without_a_label_has_loss_0_and_no_gradient(tmp_path: Path, values: tuple[int, ...]) -> None:
    learned = problem(masked_folder(tmp_path, values))
    images, classes = next(learned.batches(0, 0))
    sums: dict[str, float] = {}
    loss = learned.loss((images, torch.full_like(classes, IGNORE)), sums)
    assert float(loss.detach()) == 0
    loss.backward()
    assert all(bool((p.grad == 0).all()) for p in learned.model.parameters() if p.grad is not None)
    assert sums == {"nll": 0.0, "count": 0}
    assert math.isnan(learned.train_nll(sums))


@pytest.mark.parametrize("values", [(1,), (1, 2)])
def test_pixels_without_a_label_do_not_count(tmp_path: Path, values: tuple[int, ...]) -> None:
    """The loss with half of the pixels cut off is that of the other half alone."""
    learned = problem(masked_folder(tmp_path, values))
    images, classes = next(learned.batches(0, 0))
    half = classes.clone()
    half[:, :8] = IGNORE
    sums: dict[str, float] = {}
    loss = float(learned.loss((images, half), sums).detach())
    with torch.no_grad():
        logits = learned.model(images)[:, :, 8:].double()
    if logits.shape[1] == 1:
        logits = torch.cat([torch.zeros_like(logits), logits], 1)
    known = half[:, 8:] != IGNORE
    nll = -torch.log_softmax(logits, 1).gather(1, half[:, 8:].clamp_min(0).unsqueeze(1)).squeeze(1)
    assert loss == pytest.approx(float(nll[known].mean()), rel=1e-5)
    assert sums["count"] == int(known.sum())
    assert learned.train_nll(sums) == pytest.approx(loss, rel=1e-6)


@pytest.fixture(scope="module")
def scenes() -> Any:
    return problem("digit-scenes", task="multilabel", epochs=2, batch_size=100)


def test_missing_labels_do_not_count(scenes: Any) -> None:
    learned = scenes
    images, target = next(learned.batches(0, 0))
    assert bool(target.isnan().any())
    loss = learned.loss((images, target), {})
    loss.backward()
    gradient = learned.model.head.weight.grad.clone()
    known = ~target.isnan()
    with torch.no_grad():
        logits = learned.model(images).double()
    y = target.double()
    terms = torch.nn.functional.softplus(logits) - logits * y
    assert float(loss.detach()) == pytest.approx(float(terms[known].mean()), rel=1e-5)
    # What stands in a missing place changes nothing.
    learned.model.zero_grad()
    only = learned.criterion.nll(learned.output(images), target.nan_to_num(1.0))
    (only[known].sum() / known.sum()).backward()
    assert torch.allclose(learned.model.head.weight.grad, gradient, atol=1e-7)


@pytest.mark.parametrize("data", ["folder", "digit-scenes"])
def test_batches_begin_anywhere(tmp_path: Path, scenes: Any, data: str) -> None:
    tiled = problem(masked_folder(tmp_path, (1, 2), size=40), batch_size=3, tile=16)
    learned = tiled if data == "folder" else scenes
    all_batches = list(learned.batches(1, 0))
    assert len(all_batches) == learned.steps_per_epoch
    for start in (1, len(all_batches) - 1):
        rest = list(learned.batches(1, start))
        assert len(rest) == len(all_batches) - start
        for (a, b), (c, d) in zip(rest, all_batches[start:], strict=True):
            assert torch.equal(a, c)
            assert torch.equal(b.nan_to_num(9.0), d.nan_to_num(9.0))
    assert not torch.equal(next(learned.batches(2, 0))[0], all_batches[0][0])


def test_the_rate_rises_and_falls(scenes: Any) -> None:
    rates = [scenes.lr(step) for step in range(scenes.total_steps)]
    top = rates.index(max(rates))
    assert 0 < top < 0.1 * len(rates)
    assert rates[0] > 0
    assert rates[-1] < 0.01 * max(rates)


def test_weights_by_class(tmp_path: Path) -> None:
    learned = problem(masked_folder(tmp_path, (1, 2)), class_weight="balanced", label_smoothing=0.1)
    counts = np.array(learned.schema.counts)
    assert learned.resolved.class_weights == pytest.approx((counts.sum() / (3 * counts)).tolist())
    batch = next(learned.batches(0, 0))
    sums: dict[str, float] = {}
    loss = float(learned.loss(batch, sums).detach())
    # The figures are those of the plain likelihood; the first weights say nothing but the weighted prior.
    assert learned.train_nll(sums) != pytest.approx(loss, rel=1e-3)


def test_weights_of_labels_count_what_is_known() -> None:
    from likelihead.train.images.classify import targets_of

    learned = problem("digit-scenes", task="multilabel", class_weight="balanced")
    y = targets_of(learned.data.train).numpy()
    expected = (y == 0).sum(0) / (y == 1).sum(0)
    assert learned.resolved.class_weights == pytest.approx(expected.tolist())


@pytest.mark.parametrize("prior", ["0.5", "0.2", "observed"])
def test_the_pixels_of_two_classes_are_smoothed(tmp_path: Path, prior: str) -> None:
    """By hand, and started at the best constant of the smoothed training pixels."""
    learned = problem(masked_folder(tmp_path, (1,)), label_smoothing=0.2, label_prior=prior)
    no, yes = learned.data.schema.counts
    towards = yes / (no + yes) if prior == "observed" else float(prior)
    share = 0.8 * yes / (no + yes) + 0.2 * towards
    assert float(learned.model.head.bias.detach()) == pytest.approx(math.log(share / (1 - share)), rel=1e-5)
    images, classes = next(learned.batches(0, 0))
    sums: dict[str, float] = {}
    loss = float(learned.loss((images, classes), sums).detach())
    known = classes != IGNORE
    z, y = learned.output(images).detach().double()[:, 0][known], classes[known].double()

    def nll(t: torch.Tensor) -> torch.Tensor:
        return -t * torch.log(torch.sigmoid(z)) - (1 - t) * torch.log(torch.sigmoid(-z))

    assert loss == pytest.approx(float(nll(0.8 * y + 0.2 * towards).mean()), rel=1e-5)
    assert sums["nll"] == pytest.approx(float(nll(y).sum()), rel=1e-5)
    # What is reported knows of no smoothing.
    assert learned.plain.label_smoothing == 0


def test_a_prior_of_labels_is_refused_where_nothing_is_drawn_to_it(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="give --label-smoothing"):
        problem(masked_folder(tmp_path / "a", (1,)), label_prior="observed")
    with pytest.raises(OptionError, match="these masks have 3 classes"):
        problem(masked_folder(tmp_path / "b", (1, 2)), label_smoothing=0.1, label_prior="0.2")


def test_a_schema_goes_through_json() -> None:
    schema = ImageSchema(
        "segmentation", ("a", "b"), (3, 4), 1, (0.1,), (1 / 3,), (8, 16), 2, 1, 5, 0.2, "x",
        Coding("colour", (1, 2), "#000000", (1, 2, 3)),
    )  # fmt: skip
    assert ImageSchema.from_json(schema.to_json()) == schema


def test_the_labels_of_an_image_are_smoothed() -> None:
    """Drawn towards one half, a missing one left missing; the log's NLL is of the labels as they are."""
    learned = problem("digit-scenes", task="multilabel", batch_size=20, label_smoothing=0.2)
    images, labels = next(learned.batches(0, 0))
    labels[0, 0] = torch.nan
    known = ~labels.isnan()
    z = learned.output(images).detach().double()
    sums: dict[str, float] = {}
    loss = float(learned.loss((images, labels), sums).detach())

    def each(target: torch.Tensor) -> torch.Tensor:
        t = target[known].double()
        return -t * torch.log(torch.sigmoid(z[known])) - (1 - t) * torch.log(torch.sigmoid(-z[known]))

    assert loss == pytest.approx(float(each(0.8 * labels + 0.1).mean()), rel=1e-5)
    assert sums["nll"] == pytest.approx(float(each(labels).sum()), rel=1e-5)
