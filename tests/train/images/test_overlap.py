"""An overlap loss beside the NLL of a segmentation: what is added, what is reported, what is refused."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from likelihead import functional
from likelihead.errors import OptionError
from likelihead.train import TrainConfig, train
from likelihead.train.images.begin import begin
from likelihead.train.images.overlap import overlap_words
from likelihead.train.images.schema import IGNORE

LOSSES = {
    "dice": functional.dice_loss,
    "jaccard": functional.jaccard_loss,
    "tversky": functional.tversky_loss,
    "focal-tversky": functional.focal_tversky_loss,
    "lovasz": functional.lovasz_loss,
}


@pytest.fixture(scope="module", params=[2, 3])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images with masks of two and of three classes."""
    root, draw = tmp_path_factory.mktemp("masked"), np.random.default_rng(0)
    for index in range(6):
        mask = np.zeros((16, 16), dtype=np.uint8)
        for value in range(1, request.param):
            mask[3 * value : 3 * value + 5, index : index + 7] = value
        image = np.clip(mask * 60.0 + draw.normal(40, 5, mask.shape), 0, 255).astype(np.uint8)
        for name, pixels in (("images", image), ("masks", mask)):
            (root / name).mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(root / name / f"{index}.png")
    return root


@pytest.mark.parametrize("name", LOSSES)
def test_the_loss_is_the_nll_and_the_weighed_overlap(folder: Path, name: str) -> None:
    common = {"data": str(folder), "hidden": (4, 6), "guard": "off"}
    plain = begin(TrainConfig(**common).check())
    torch.manual_seed(0)
    learned = begin(TrainConfig(**common, overlap=name, overlap_weight=2.0).check())
    plain.model.load_state_dict(learned.model.state_dict())
    images, classes = next(learned.batches(0, 0))
    classes[:, :2] = IGNORE
    sums: dict[str, float] = {}
    loss = learned.loss((images, classes), sums).detach()
    nll = plain.loss((images, classes), {}).detach()
    with torch.no_grad():
        logits = learned.model(images)[..., 2:, :]
    kept = classes[:, 2:]  # the oracle never sees a pixel that is not labelled
    options = {"alpha": 0.3, "beta": 0.7} if name == "tversky" else {}
    task = "binary" if learned.schema.is_binary else "multiclass"
    overlap = LOSSES[name](logits, kept, from_logits=True, task=task, **options)
    torch.testing.assert_close(loss, nll + 2 * overlap)
    assert sums["nll"] / sums["count"] == pytest.approx(float(nll), rel=1e-5)  # the NLL alone
    assert sums["overlap"] == pytest.approx(float(overlap), rel=1e-5)


def test_a_batch_without_a_label_adds_nothing(folder: Path) -> None:
    learned = begin(TrainConfig(data=str(folder), hidden=(4, 6), guard="off", overlap="dice").check())
    images, classes = next(learned.batches(0, 0))
    sums: dict[str, float] = {}
    loss = learned.loss((images, torch.full_like(classes, IGNORE)), sums)
    assert float(loss.detach()) == 0
    loss.backward()
    assert all(bool((p.grad == 0).all()) for p in learned.model.parameters() if p.grad is not None)
    assert "overlap" not in sums
    assert math.isnan(learned.train_nll(sums))


@pytest.mark.parametrize("folder", [3], indirect=True)
def test_the_report_says_what_was_trained(folder: Path, tmp_path: Path) -> None:
    for name in ("none", "focal-tversky"):
        config = TrainConfig(data=str(folder), hidden=(4, 6), epochs=2, tile=16, overlap=name)
        outcome = train(config, out=tmp_path / name)
        report = json.loads((tmp_path / name / "report.json").read_text())
        page = (tmp_path / name / "report.html").read_text()
        log = [json.loads(line) for line in (tmp_path / name / "metrics.jsonl").read_text().splitlines()]
        epochs = [record for record in log if record["kind"] == "epoch"]
        assert report["config"]["overlap"] == name
        if name == "none":
            assert "overlap loss" not in page.lower()
            assert not any("train_overlap" in record for record in epochs)
            assert "train_overlap" not in report["curves"]
        else:
            assert "trained on the NLL + 0.5 focal Tversky loss" in page
            curve = [record["train_overlap"] for record in epochs]
            assert report["curves"]["train_overlap"] == curve
            assert all(0 < value < 1 for value in curve)
            assert outcome.test_nll == pytest.approx(report["figures"]["nll"])


def test_refusals(folder: Path) -> None:
    with pytest.raises(OptionError, match="--overlap-weight 2 weighs an overlap loss, and there is none"):
        begin(TrainConfig(data=str(folder), overlap_weight=2.0).check())
    with pytest.raises(OptionError, match="expected one of none, dice"):
        TrainConfig(data=str(folder), overlap="iou").check()
    with pytest.raises(OptionError, match="a positive number"):
        TrainConfig(data=str(folder), overlap="dice", overlap_weight=0.0).check()
    with pytest.raises(OptionError, match="--overlap dice does not apply to a multiclass task"):
        TrainConfig(data="iris", overlap="dice").check_for("multiclass")


def test_words() -> None:
    assert overlap_words(TrainConfig(data="digit-scenes")) == ""
    words = overlap_words(TrainConfig(data="digit-scenes", overlap="lovasz", overlap_weight=2.0))
    assert words == "2 Lovász loss"
