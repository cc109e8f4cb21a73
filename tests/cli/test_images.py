"""Images from a folder to a report, to masks and to lines; and what is said of folders that are not right."""

from __future__ import annotations

import csv
import io
import itertools
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from command import run
from likelihead.train import TrainConfig
from likelihead.train.evaluate import evaluate
from likelihead.train.images.survey import split

SMALL = ("--hidden", "8,12", "--epochs", 8, "--batch-size", 4, "--lr", 0.02)


def refused(*argv: object) -> str:
    """The one line on standard error."""
    result = run(*argv, code=2)
    assert result.stdout == ""
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1, lines
    return lines[0]


def save(path: Path, pixels: NDArray[Any], palette: list[int] | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(pixels)
    if palette:
        image.putpalette(palette)
    image.save(path)
    return path


def shapes(seed: int, classes: int, size: int = 16) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """A picture of two bright squares, each with a strength of its class, and its mask."""
    draw = np.random.default_rng(seed)
    mask = np.zeros((size, size), dtype=np.uint8)
    for value in range(1, classes):
        y, x = draw.integers(0, size - 6, 2)
        mask[y : y + 6, x : x + 6] = value
    image = 30 + 200 / (classes - 1) * mask + draw.normal(0, 4, mask.shape)
    return np.clip(image, 0, 255).astype(np.uint8), mask


PALETTE = [10, 20, 30, 200, 0, 0, 0, 200, 0]


@pytest.fixture(scope="module")
def masked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve pictures of three classes with palette masks, in which 9 is a pixel without a label."""
    root = tmp_path_factory.mktemp("data") / "masked"
    for index in range(12):
        image, mask = shapes(index, 3)
        mask[0] = 9
        save(root / "images" / f"p{index:02d}.png", image)
        save(root / "masks" / f"p{index:02d}.png", mask, PALETTE + [0] * 21 + [255, 255, 255])
    return root


@pytest.fixture(scope="module")
def trained(masked: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "masked"
    result = run("train", masked, *SMALL, "--epochs", 40, "--ignore-colour", 9, "--out", out)
    assert "segmentation, 10 grey images to train on and 2 to test on, 3 classes" in result.stderr
    assert re.search(r"epoch 40/40: train NLL .*, test mean iou [01]\.\d+", result.stderr)
    assert re.match(r"test mean iou [01]\.\d+, test NLL", result.stdout)
    return out


def test_the_run_and_its_report(trained: Path) -> None:
    figures = json.loads((trained / "report.json").read_text())
    assert figures["unit"] == "pixel"
    assert figures["figures"]["mean_iou"] > 0.8
    assert figures["figures"]["nll"] < 0.5 * figures["figures"]["baseline_nll"]
    assert [row["name"] for row in figures["per_class"]] == ["class 0", "class 1", "class 2"]
    assert len(figures["curves"]["test_mean_iou"]) == 40
    page = (trained / "report.html").read_text()
    for anchor in ("curves", "classes", "gallery", "losses"):
        assert f'id="{anchor}"' in page
    assert page.count("data:image/png") == 3 * 2 + 3 * 2


def test_evaluate_agrees_with_the_masks_that_predict_writes(
    trained: Path, masked: Path, tmp_path: Path
) -> None:
    from sklearn import metrics

    figures = json.loads(run("evaluate", trained, masked, "--json").stdout)
    assert figures["images"] == 12
    result = run("predict", trained, masked, "--out", tmp_path / "out")
    assert "wrote" in result.stderr
    true, said = [], []
    for path in sorted((masked / "masks").iterdir()):
        with Image.open(path) as mask, Image.open(tmp_path / "out" / path.name) as predicted:
            assert predicted.mode == "P"
            assert (predicted.getpalette() or [])[:9] == PALETTE
            true.append(np.asarray(mask).flatten())
            said.append(np.asarray(predicted).flatten())
    y, p = np.concatenate(true), np.concatenate(said)
    y, p = y[y != 9], p[y != 9]
    iou = metrics.jaccard_score(y, p, average=None)
    assert figures["pixels"] == len(y)
    assert figures["mean_iou"] == pytest.approx(iou.mean(), abs=1e-9)
    assert [row["iou"] for row in figures["per_class"]] == pytest.approx(iou.tolist(), abs=1e-9)
    assert figures["pixel_accuracy"] == pytest.approx(float((y == p).mean()), abs=1e-9)
    table = run("evaluate", trained, masked).stdout
    assert "mean iou" in table
    assert "class 2" in table


def test_a_large_image_is_predicted_in_tiles_without_a_seam(trained: Path, tmp_path: Path) -> None:
    image = np.concatenate([np.concatenate([shapes(9 * r + c, 3)[0] for c in range(9)], 1) for r in range(7)])
    save(tmp_path / "large" / "a.png", image)
    run("predict", trained, tmp_path / "large", "--out", tmp_path / "out")
    import torch

    from likelihead.train.images.pictures import as_batch
    from likelihead.train.images.trained import load_run

    loaded = load_run(trained)
    schema = loaded.schema
    assert schema.edges == (16, 16)
    with torch.no_grad():
        whole = loaded.model(as_batch([image[..., None]], schema.mean, schema.std))[0]
    top = whole.topk(2, 0).values
    clear = ((top[0] - top[1]) > 1e-3).numpy()
    with Image.open(tmp_path / "out" / "a.png") as predicted:
        assert np.array_equal(np.asarray(predicted)[clear], whole.argmax(0).numpy()[clear])
    assert clear.mean() > 0.99


def test_two_classes_have_one_logit(tmp_path: Path) -> None:
    for index in range(10):
        image, mask = shapes(index, 2)
        save(tmp_path / "d" / "images" / f"{index}.tif", np.repeat(image[..., None], 3, 2))
        save(tmp_path / "d" / "masks" / f"{index}.png", mask * 255)
    result = run("train", tmp_path / "d", *SMALL, "--out", tmp_path / "run", "--guard", "full")
    assert "two classes: one logit, of 'class 255', which is the positive class" in result.stderr
    assert "bernoulli" in result.stderr
    assert "colour images" in result.stderr
    figures = json.loads(run("evaluate", tmp_path / "run", tmp_path / "d", "--json").stdout)
    assert figures["mean_iou"] > 0.9
    shares = []
    for threshold in (0.0001, 0.9999):
        out = tmp_path / f"out-{threshold}"
        run("predict", tmp_path / "run", tmp_path / "d", "--out", out, "--threshold", threshold)
        with Image.open(out / "0.png") as predicted:
            shares.append(float((np.asarray(predicted) == 255).mean()))
            assert set(np.unique(np.asarray(predicted))) <= {0, 255}
    assert shares[0] > shares[1]


def test_colours_with_a_palette_file(tmp_path: Path) -> None:
    colours = np.array([[0, 0, 255], [0, 255, 0]], dtype=np.uint8)
    for index in range(8):
        image, mask = shapes(index, 2)
        save(tmp_path / "images" / f"{index}.png", image)
        save(tmp_path / "segments" / f"{index}.png", colours[mask])
    (tmp_path / "segments" / "palette.csv").write_text("sea,#0000ff\nland,#00ff00\n")
    data = (tmp_path / "images", "--masks", tmp_path / "segments", "--task", "segmentation")
    out = tmp_path / "run"
    result = run("train", *data, *SMALL, "--epochs", 2, "--out", out)
    assert "one logit, of 'land'" in result.stderr
    run("predict", out, tmp_path / "images", "--out", tmp_path / "predicted")
    with Image.open(tmp_path / "predicted" / "0.png") as predicted:
        assert predicted.mode == "RGB"
        assert {tuple(c) for c in np.asarray(predicted).reshape(-1, 3)} <= {(0, 0, 255), (0, 255, 0)}
    # The run's own images find their masks where they were; others need them beside.
    assert json.loads(run("evaluate", out, tmp_path / "images", "--json").stdout)["images"] == 8
    save(tmp_path / "segments" / "3.png", np.zeros((16, 16, 3), dtype=np.uint8))
    assert "3.png: the pixel at x=0, y=0 has the colour #000000" in refused(
        "evaluate", out, tmp_path / "images"
    )


def lines(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_classes_by_folder(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    for name, level in (("dark", 60), ("light", 190)):
        for index in range(10):
            pixels = np.clip(draw.normal(level, 20, (12, 20, 3)), 0, 255).astype(np.uint8)
            save(tmp_path / "d" / name / f"{index}.png", pixels)
    out = tmp_path / "run"
    result = run("train", tmp_path / "d", *SMALL, "--image-size", 8, "--out", out)
    assert (
        "multiclass, 16 colour images to train on and 4 to test on, 2 classes: dark, light" in result.stderr
    )
    figures = json.loads(run("evaluate", out, tmp_path / "d", "--json").stdout)
    assert figures["accuracy"] == 1.0
    assert figures["images"] == 20
    found = lines(run("predict", out, tmp_path / "d", "--probs").stdout)
    assert list(found[0]) == ["image", "prediction", "prob_dark", "prob_light"]
    assert all(row["image"].startswith(row["prediction"]) for row in found)
    assert len(found) == 20
    page = (out / "report.html").read_text()
    assert 'id="gallery"' in page
    assert page.count("data:image/png") == 4
    only = tmp_path / "d" / "light"
    shutil.copytree(only, tmp_path / "e" / "grey")
    assert "has the class 'grey', which training did not have" in refused("evaluate", out, tmp_path / "e")
    assert "--threshold does not apply to a multiclass run" in refused(
        "predict", out, only, "--threshold", 0.5
    )


def test_labels_of_images(tmp_path: Path) -> None:
    draw, rows = np.random.default_rng(0), ["image,red,green"]
    for index in range(24):
        has = draw.random(2) < 0.5
        pixels = draw.normal(30, 5, (16, 16, 3))
        pixels[2:7, 2:7, 0] += 200 * has[0]
        pixels[9:14, 9:14, 1] += 200 * has[1]
        save(tmp_path / "d" / "images" / f"{index}.png", np.clip(pixels, 0, 255).astype(np.uint8))
        cells = ["" if draw.random() < 0.15 else str(int(yes)) for yes in has]
        rows.append(f"{index}.png,{cells[0]},{cells[1]}")
    (tmp_path / "d" / "labels.csv").write_text("\n".join(rows) + "\n")
    out = tmp_path / "run"
    result = run("train", tmp_path / "d", *SMALL, "--epochs", 15, "--image-size", 16, "--out", out)
    assert re.match(r"test macro f1 [01]\.\d+, .*test exact match", result.stdout)
    figures = json.loads(run("evaluate", out, tmp_path / "d", "--json").stdout)
    assert figures["macro_f1"] > 0.9
    assert [row["name"] for row in figures["per_label"]] == ["red", "green"]
    sure = lines(run("predict", out, tmp_path / "d", "--threshold", 0.999).stdout)
    ever = lines(run("predict", out, tmp_path / "d", "--threshold", 0.001).stdout)
    assert list(sure[0]) == ["image", "prediction_red", "prediction_green"]
    assert sum(int(r["prediction_red"]) for r in sure) < sum(int(r["prediction_red"]) for r in ever)
    run("predict", out, tmp_path / "d", "--probs", "--out", tmp_path / "p.jsonl")
    assert len((tmp_path / "p.jsonl").read_text().splitlines()) == 24
    assert 'id="macro-f1"' in (out / "report.html").read_text()


# -- bad input --------------------------------------------------------------------------------------


Change = Callable[[Path], object]


def all_ignored(root: Path) -> None:
    for path in (root / "masks").iterdir():
        save(path, np.full((16, 16), 9, dtype=np.uint8))


def one_class(root: Path) -> None:
    for path in (root / "masks").iterdir():
        save(path, np.full((16, 16), 1, dtype=np.uint8))


def photograph(root: Path) -> None:
    for path in (root / "masks").iterdir():
        save(path, np.random.default_rng(0).integers(0, 2**14, (48, 48)).astype(np.uint16))
        save(root / "images" / path.name, np.zeros((48, 48), dtype=np.uint8))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: (d / "masks" / "p03.png").unlink(), "images/p03.png: has no mask"),
        (lambda d: (d / "images" / "p03.png").unlink(), "masks/p03.png: is a mask without an image"),
        (
            lambda d: save(d / "masks" / "p03.png", np.zeros((16, 17), dtype=np.uint8)),
            "masks/p03.png: is 17 pixels wide and 16 high, but its image p03.png is 16 wide and 16 high",
        ),
        (lambda d: (d / "images" / "p03.png").write_bytes(b"nothing"), "images/p03.png: does not decode"),
        (lambda d: (d / "masks" / "p00.png").write_bytes(b""), "masks/p00.png: does not decode"),
        (all_ignored, "no pixel of any mask is labelled"),
        (one_class, "every labelled pixel is of one class, 'class 1'"),
        (photograph, "different values: it looks like a picture"),
        (lambda d: [p.unlink() for f in ("images", "masks") for p in (d / f).iterdir()], "holds no image"),
        (
            lambda d: (d / "palette.csv").write_text("a,0\nb,1\nc,5\n"),
            "has the value 2, which is not in the palette: 0 (a), 1 (b), 5 (c)",
        ),
        (
            lambda d: (d / "palette.csv").write_text("a,0\nb,1\nc,2\nd,3\n"),
            "class 'd' is in no mask, so that it cannot be learnt",
        ),
        (lambda d: shutil.rmtree(d / "masks"), "has no masks folder"),
        (
            lambda d: [p.unlink() for f in ("images", "masks") for p in (d / f).iterdir() if p.stem != "p01"],
            "has 1 image that can be used; at least two are needed",
        ),
    ],
)
def test_masks_that_are_not_right(masked: Path, tmp_path: Path, change: Change, message: str) -> None:
    data = tmp_path / "d"
    shutil.copytree(masked, data)
    change(data)
    line = refused("train", data, *SMALL, "--ignore-colour", 9, "--out", tmp_path / "run")
    assert message in line
    assert not (tmp_path / "run").exists()


def test_a_class_in_test_images_alone(masked: Path, tmp_path: Path) -> None:
    from likelihead.train import TrainConfig
    from likelihead.train.images.load import load

    data = tmp_path / "d"
    shutil.copytree(masked, data)
    config = TrainConfig(data=str(data), hidden=(8, 12), ignore_colour="9")
    name = load(config).test.names[0]
    pixels = shapes(0, 3)[1]
    pixels[5, 5] = 77
    save(data / "masks" / name, pixels)
    line = refused("train", data, *SMALL, "--ignore-colour", 9, "--out", tmp_path / "run")
    assert f"class 'class 77' is only among the test images ({name})" in line


def test_bad_files_are_left_out_when_that_is_asked_for(masked: Path, tmp_path: Path) -> None:
    data = tmp_path / "d"
    shutil.copytree(masked, data)
    (data / "images" / "p03.png").write_bytes(b"nothing")
    (data / "masks" / "p00.png").write_bytes(b"")
    argv = (
        "train",
        data,
        *SMALL,
        "--steps",
        2,
        "--ignore-colour",
        9,
        "--skip-bad",
        "--out",
        tmp_path / "run",
    )
    result = run(*argv)
    assert result.stderr.count("left out: ") == 2
    assert "p03.png: does not decode" in " ".join(result.stderr.split())
    assert "8 grey images to train on and 2 to test on" in result.stderr
    assert json.loads(run("evaluate", tmp_path / "run", data, "--json").stdout)["images"] == 10


def test_labels_that_no_training_image_has(tmp_path: Path) -> None:
    rows = ["image,red,blue"]
    for index in range(6):
        save(tmp_path / "d" / f"{index}.png", np.full((8, 8), 40 * index, dtype=np.uint8))
        rows.append(f"{index}.png,{index % 2},0")
    (tmp_path / "d" / "labels.csv").write_text("\n".join(rows))
    line = refused("train", tmp_path / "d", *SMALL, "--out", tmp_path / "run")
    assert "label 'blue' has no yes among the 5 training images" in line


def labelled(root: Path, red: str) -> Path:
    """Eight pictures; the cells of ``labels.csv``, of one label, are the characters of ``red``."""
    for index in range(8):
        save(root / f"{index}.png", np.full((8, 8), 30 * index, dtype=np.uint8))
    lines = [f"{index}.png,{cell.strip()}" for index, cell in enumerate(red)]
    (root / "labels.csv").write_text("\n".join(["image,red", *lines]))
    return root


def test_labels_of_which_none_is_known(tmp_path: Path) -> None:
    out, options = tmp_path / "run", (*SMALL, "--epochs", 1, "--image-size", 8)
    data = labelled(tmp_path / "d", "01010101")
    run("train", data, *options, "--out", out)
    line = refused("evaluate", out, labelled(tmp_path / "none", " " * 8))
    assert "knows no label of any image; there is nothing to score" in line
    _, held = split(TrainConfig(data=str(data)), np.zeros(8, dtype=np.int64))
    labelled(data, "".join(" " if index in held else str(index // 2 % 2) for index in range(8)))
    message = refused("train", data, *options, "--out", tmp_path / "again")
    assert "no label of the 2 test images is known" in message


def test_an_image_without_a_known_label_is_in_no_figure(tmp_path: Path) -> None:
    """With it or without it the figures are the same; none counts it as right, or at an NLL of 0."""
    out, options = tmp_path / "run", (*SMALL, "--epochs", 1, "--image-size", 8)
    run("train", labelled(tmp_path / "d", "01010101"), *options, "--out", out)
    partly, fewer = labelled(tmp_path / "partly", "0 1 0101"), labelled(tmp_path / "fewer", "0 1 0101")
    for index in (1, 3):
        (fewer / f"{index}.png").unlink()
    lines = (fewer / "labels.csv").read_text().splitlines()
    (fewer / "labels.csv").write_text("\n".join(line for line in lines if not line.endswith(",")))
    figures = [evaluate(out, str(data)) for data in (partly, fewer)]
    for found in figures:
        del found["data"], found["notes"]
    assert figures[0] == figures[1]
    assert figures[0]["images"] == 6


def test_a_report_leaves_out_images_without_a_known_label(tmp_path: Path) -> None:
    data, out = labelled(tmp_path / "d", "01010101"), tmp_path / "run"
    _, held = split(TrainConfig(data=str(data)), np.zeros(8, dtype=np.int64))
    labelled(data, "".join(" " if index == held[0] else str(index // 2 % 2) for index in range(8)))
    shown = run("train", data, *SMALL, "--epochs", 1, "--image-size", 8, "--out", out)
    report = json.loads((out / "report.json").read_text())
    assert evaluate(out, str(data))["images"] == 7
    # Of two test images the second, of which something is known.
    assert [row["row"] for row in report["highest_loss"]] == [2]
    assert f"test NLL {report['figures']['nll']:.4f}" in shown.stdout


def test_labels_that_changed_since(tmp_path: Path) -> None:
    out, data = tmp_path / "run", labelled(tmp_path / "d", "01100110")
    run("train", data, *SMALL, "--epochs", 1, "--image-size", 8, "--out", out)
    labelled(data, "10011001")  # as many of each
    assert "changed since the run began" in refused("train", "--resume", "--out", out)


@pytest.mark.filterwarnings("ignore:overflow")
@pytest.mark.parametrize("task", ["segmentation", "multiclass", "multilabel"])
def test_a_run_that_diverges(masked: Path, tmp_path: Path, task: str) -> None:
    data = masked
    if task == "multiclass":
        for name, index in itertools.product("ab", range(4)):
            save(tmp_path / "d" / name / f"{index}.png", shapes(index, 3)[0])
        data = tmp_path / "d"
    elif task == "multilabel":
        data = labelled(tmp_path / "d", "01100110")
    ignore = ("--ignore-colour", 9) if task == "segmentation" else ()
    argv = ("train", data, "--hidden", "8,12", "--epochs", 1, "--batch-size", 64, "--lr", 1e30, *ignore)
    result = run(*argv, "--out", tmp_path / "run", code=2)
    assert "likelihead: the network's output on the test images is not finite" in result.stderr
    assert "lower --lr, such as 1e+29" in result.stderr


def test_masks_of_which_no_pixel_is_labelled(trained: Path, masked: Path, tmp_path: Path) -> None:
    data = shutil.copytree(masked, tmp_path / "d")
    all_ignored(data)
    assert "no pixel of any mask is labelled" in refused("evaluate", trained, data)


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (("--task", "binary"), "--task binary does not apply to a folder of images"),
        (("--target", "x"), "--target x does not apply to a segmentation task on images"),
        (("--image-size", 32), "--image-size 32 does not apply to a segmentation task"),
        (("--tile", 15), "--tile is 15; with the 2 levels of --hidden it must be a multiple of 2"),
        (("--ignore-colour", "white"), "--ignore-colour is 'white'"),
        (("--masks", "nowhere"), "nowhere: is not there"),
        (("--calibrate", "temperature"), "--calibrate temperature does not apply"),
    ],
)
def test_options_that_do_not_apply(
    masked: Path, tmp_path: Path, argv: tuple[object, ...], message: str
) -> None:
    assert message in refused("train", masked, *SMALL, *argv, "--out", tmp_path / "run")


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (("--task", "multiclass"), "--task multiclass does not apply to digit-scenes"),
        (("--masks", "x"), "--masks does not apply to digit-scenes"),
        (("--skip-bad",), "--skip-bad does not apply to digit-scenes"),
    ],
)
def test_options_that_do_not_apply_to_scenes(tmp_path: Path, argv: tuple[str, ...], message: str) -> None:
    assert message in refused("train", "digit-scenes", *argv, "--out", tmp_path / "run")


def test_a_net_without_a_level(masked: Path, tmp_path: Path) -> None:
    line = refused("train", masked, "--hidden", "none", "--out", tmp_path / "run")
    assert "--hidden none leaves a network of images without a level" in line


def test_predictions_that_are_refused(trained: Path, masked: Path, tmp_path: Path) -> None:
    assert "name the folder for them with --out" in refused("predict", trained, masked)
    out = ("--out", tmp_path / "out")
    assert "--probs does not apply" in refused("predict", trained, masked, "--probs", *out)
    assert "--threshold does not apply" in refused("predict", trained, masked, "--threshold", 0.5, *out)
    assert "is not there" in refused("predict", trained, tmp_path / "nowhere", *out)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "p03.png").write_text("mine")
    assert "has a file p03.png already" in refused("predict", trained, masked, *out)
    assert (tmp_path / "out" / "p03.png").read_text() == "mine"
