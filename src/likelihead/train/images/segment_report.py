"""The report of a segmentation: figures by class, images beside their masks, and where the loss is high."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from likelihead.report.blocks import Bars, Block, Figure, Images, Legend, Picture, Row, Table
from likelihead.report.page import Card, Page, Section, write_page
from likelihead.report.pictures import class_colours, heat_map, mask_picture, png_of
from likelihead.report.text import clean, number, percent
from likelihead.train.images.decode import unit
from likelihead.train.images.large import row_bands
from likelihead.train.images.overlap import overlap_words
from likelihead.train.images.schema import IGNORE
from likelihead.train.images.segment import SegmentationProblem
from likelihead.train.images.tally import PixelTally
from likelihead.train.images.tiles import pieces
from likelihead.train.report import Curves
from likelihead.train.report.plots import learning_curves, score_curve
from likelihead.train.resolved import failure_words

__all__ = ["write_segmentation"]

_GALLERY, _HEATED, _PIXELS, _CONFUSIONS = 6, 4, 12, 10
_EDGE = 256  # of a picture; larger images are shown in part
_BASELINE = "class-prior baseline"


@dataclass(frozen=True)
class _Worst:
    """The least likely pixel of an image, and the image's own loss."""

    index: int
    nll: float
    top: int
    left: int
    true: int
    said: int
    mean: float


def write_segmentation(
    folder: Path,
    problem: SegmentationProblem,
    curves: Curves,
    score: list[float],
    common: dict[str, Any],
    overlap: list[float],
) -> None:
    """Write ``report.html`` and ``report.json``; ``overlap`` is the overlap loss of each epoch, if any.

    Raises:
        RunError: they cannot be written.
    """
    tally, worst = _scored(problem)
    figures = tally.figures(problem.resolved.constant)
    schema = problem.data.schema
    rows = figures.pop("per_class")
    line = (
        f"segmentation · {type(problem.plain).__name__} · {len(schema.names)} classes · "
        f"{schema.test_images:,} test images · {figures['pixels']:,} labelled pixels"
    )
    more = overlap_words(problem.config)
    if more:
        line += f" · trained on the NLL + {more}"
    page = Page(
        title=folder.name,
        task="segmentation",
        line=line,
        summary=_summary(figures, rows),
        cards=_cards(figures, common["headline"]),
        sections=[
            _learning(curves, score, overlap, more),
            _classes(rows, tally, schema.names),
            _gallery(problem),
            _losses(problem, worst),
        ],
        findings=common["findings"],
        data=common["data"],
        notes=common["notes"],
        config=common["config"],
        versions=common["versions"],
    )
    content = {
        "likelihood": type(problem.plain).__name__,
        "classes": list(schema.names),
        "unit": "pixel",
        "figures": figures,
        "headline": common["headline"],
        "curves": {
            **asdict(curves),
            "test_mean_iou": score,
            **({"train_overlap": overlap} if overlap else {}),
        },
        "per_class": rows,
        "confusion": {"matrix": tally.pairs},
        "highest_loss": [
            {
                "image": problem.data.test.names[w.index],
                "x": w.left,
                "y": w.top,
                "target": schema.names[w.true],
                "prediction": schema.names[w.said],
                "nll": w.nll,
                "image_nll": w.mean,
            }
            for w in worst[:_PIXELS]
        ],
    }
    write_page(folder, page, content)


def _scored(problem: SegmentationProblem) -> tuple[PixelTally, list[_Worst]]:
    """All figures on the test images, and the least likely pixel of each, the worst first."""
    test, schema = problem.data.test, problem.data.schema
    tally = PixelTally(problem.plain, schema)
    sums, counts = np.zeros(len(test)), np.zeros(len(test), dtype=np.int64)
    worst: dict[int, tuple[float, int, int, int, int]] = {}
    problem.model.eval()
    for piece in pieces(problem.model, test, range(len(test)), schema.edges, schema.mean, schema.std):
        classes = piece.classes(test)
        predicted, nll = tally.add(piece.logits, classes)
        for index, true, said, lost in zip(piece.indices, classes, predicted, nll.double(), strict=True):
            known = true != IGNORE
            sums[index] += float(lost.sum())
            counts[index] += int(known.sum())
            at = int(lost.argmax())
            y, x = divmod(at, lost.shape[1])
            value = float(lost[y, x])
            if bool(known[y, x]) and value > worst.get(index, (-1.0,))[0]:
                place = (y + piece.rows.start, x + piece.columns.start)
                worst[index] = (value, *place, int(true[y, x]), int(said[y, x]))
    found = [_Worst(i, *w, mean=float(sums[i] / counts[i])) for i, w in worst.items()]
    return tally, sorted(found, key=lambda w: (-w.nll, w.index))


def _summary(figures: dict[str, Any], rows: list[dict[str, Any]]) -> list[str]:
    nll, baseline = figures["nll"], figures["baseline_nll"]
    pair = f"{number(nll)} nats per pixel against {number(baseline)}"
    first = f"The model does no better than the {_BASELINE}: {pair} (LH704)."
    failed = failure_words(math.nan if nll is None else nll, baseline, pair, _BASELINE)
    if failed:
        first = failed
    elif nll < baseline:
        first = f"The model explains {percent(1 - nll / baseline)} of the {_BASELINE}'s NLL: {pair}."
    scored = [row for row in rows if row["iou"] is not None]
    worst = min(scored, key=lambda row: float(row["iou"]))
    return [
        first,
        f"It is right on {percent(figures['pixel_accuracy'])} of the labelled test pixels; its mean IoU is "
        f"{number(figures['mean_iou'], 3)}, and lowest, {number(worst['iou'], 3)}, for "
        f"{clean(worst['name'], 40)}.",
    ]


def _cards(figures: dict[str, Any], headline: dict[str, Any]) -> list[Card]:
    nll = Card(
        "NLL", number(figures["nll"], 3), f"nats per pixel; baseline {number(figures['baseline_nll'])}"
    )
    return [
        Card("Mean IoU", number(figures["mean_iou"], 3), "mean over classes"),
        Card("Mean Dice", number(figures["mean_dice"], 3), "mean over classes"),
        Card(
            "Pixel accuracy", percent(figures["pixel_accuracy"]), f"of {figures['pixels']:,} labelled pixels"
        ),
        nll,
        *(Card(name, number(value)) for name, value in headline.items()),
    ]


def _learning(curves: Curves, score: list[float], overlap: list[float], added: str) -> Section:
    blocks = [
        Figure(
            learning_curves(curves, _BASELINE, unit="pixel"),
            "Mean negative log-likelihood by epoch, in nats per labelled pixel; lower is better. The "
            f"dashed line is the {_BASELINE}, {number(curves.baseline_nll)} nats.",
        ),
        Figure(
            score_curve(curves.epoch, score, "mean IoU", share=False),
            "Mean intersection over union of the classes, on the test images, by epoch.",
        ),
    ]
    if overlap:
        lead = (
            f"The network was trained on the NLL + {added}. The NLL is reported without it, to compare with "
            "that of other runs."
        )
        figure = Figure(
            score_curve(curves.epoch, overlap, "overlap loss", share=False, of="training set"),
            "Mean overlap loss of the training batches by epoch, not weighed; lower is better.",
        )
        return Section("Learning curves", [Row(blocks), figure], lead, id="curves")
    return Section("Learning curves", [Row(blocks)], id="curves")


def _classes(rows: list[dict[str, Any]], tally: PixelTally, names: tuple[str, ...]) -> Section:
    columns = ["class", "pixels", "IoU", "Dice", "precision", "recall", "NLL"]
    keys = ["name", "support", "iou", "dice", "precision", "recall", "nll"]
    cells: list[list[Any]] = [[clean(row["name"], 60), *(row[key] for key in keys[1:])] for row in rows]
    table = Table(columns, cells, figures=range(1, len(columns)), label="Figures of each class", keys=True)
    ious = [float("nan") if row["iou"] is None else row["iou"] for row in rows]
    blocks: list[Block] = [table, Bars([row["name"] for row in rows], {"IoU": ious}, maximum=1.0)]
    wrong = tally.pairs.copy()
    np.fill_diagonal(wrong, 0)
    order = np.argsort(-wrong, axis=None, kind="stable")[:_CONFUSIONS]
    pairs = [divmod(int(place), len(names)) for place in order if wrong.flat[place]]
    if pairs:
        support = tally.support
        lines: list[list[Any]] = [
            [clean(names[t], 60), clean(names[p], 60), int(wrong[t, p]), percent(wrong[t, p] / support[t])]
            for t, p in pairs
        ]
        heads = ["true", "predicted", "pixels", "share of the true class"]
        blocks.append(Table(heads, lines, figures=(2, 3), title="Most frequent confusions"))
    lead = (
        "On the labelled pixels of the test images. IoU is the pixels that are of the class and predicted "
        "so, over those that are either; Dice is twice the first over the sum of both. A dash stands where a "
        "figure has no denominator. NLL is the mean over the class's own pixels, in nats."
    )
    return Section("Classes", blocks, lead, id="classes")


def _answer(
    problem: SegmentationProblem, index: int, part: tuple[slice, slice]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Predicted classes and NLLs of a part of a test image; NaN where a pixel is not labelled."""
    test, schema = problem.data.test, problem.data.schema
    mask = test.mask(index)[part]
    predicted, nll = np.zeros(mask.shape, dtype=np.int64), np.zeros(mask.shape)
    tally = PixelTally(problem.plain, schema)
    for piece in pieces(problem.model, test, [index], schema.edges, schema.mean, schema.std, part):
        said, lost = tally.add(piece.logits, piece.classes(test))
        rows, row = _overlap(part[0], piece.rows)
        columns, column = _overlap(part[1], piece.columns)
        predicted[rows, columns] = said[0].numpy()[row, column]
        nll[rows, columns] = lost[0].double().numpy()[row, column]
    nll[mask == IGNORE] = np.nan
    return predicted, nll


def _overlap(part: slice, piece: slice) -> tuple[slice, slice]:
    """What two stretches have in common, as seen from the beginning of each."""
    low, high = max(part.start, piece.start), min(part.stop, piece.stop)
    return slice(low - part.start, high - part.start), slice(low - piece.start, high - piece.start)


def _part(size: tuple[int, int], top: int, left: int) -> tuple[slice, slice]:
    """The part of an image that a picture shows, around a place."""
    starts = [
        min(max(at - _EDGE // 2, 0), max(full - _EDGE, 0)) for at, full in zip((top, left), size, strict=True)
    ]
    rows, columns = (slice(at, min(at + _EDGE, full)) for at, full in zip(starts, size, strict=True))
    return rows, columns


def _ground(problem: SegmentationProblem, index: int, part: tuple[slice, slice]) -> NDArray[np.float32]:
    image = unit(problem.data.test.image(index)[part])
    return image[..., 0] if image.shape[2] == 1 else image


def _chosen(problem: SegmentationProblem) -> list[int]:
    """Some test images, evenly spread; an image of one class gives way to one of several further on."""
    test = problem.data.test
    spread = np.unique(np.linspace(0, len(test) - 1, min(4 * _GALLERY, len(test))).astype(int)).tolist()
    several = [index for index in spread if _several_classes(test.mask(index))]
    others = [index for index in spread if index not in several]
    return sorted((several + others)[:_GALLERY])


def _several_classes(mask: NDArray[np.int16]) -> bool:
    found: set[int] = set()
    for rows in row_bands(*mask.shape):
        found |= set(np.unique(mask[rows]).tolist()) - {IGNORE}
        if len(found) > 1:
            return True
    return False


def _gallery(problem: SegmentationProblem) -> Section:
    test, names = problem.data.test, problem.data.schema.names
    chosen = _chosen(problem)
    items = []
    for index in chosen:
        height, width = test.size(index)
        part = _part((height, width), height // 2, width // 2)
        predicted, _ = _answer(problem, index, part)
        items += [
            Picture(png_of(_ground(problem, index, part)), test.names[index]),
            Picture(png_of(mask_picture(test.mask(index)[part], ignore_index=IGNORE)), "mask"),
            Picture(png_of(mask_picture(predicted)), "prediction"),
        ]
    legend = Legend(list(zip(names, class_colours(len(names)), strict=True)))
    lead = (
        f"{len(chosen)} of the {len(test)} test images, preferably of several classes: the image, its mask "
        "(pixels that are not labelled are clear) and the prediction."
    )
    return Section("Images, masks and predictions", [legend, Images(items, per_line=3)], lead, id="gallery")


def _losses(problem: SegmentationProblem, worst: list[_Worst]) -> Section:
    test, names = problem.data.test, problem.data.schema.names
    heated = sorted(worst, key=lambda w: (-w.mean, w.index))[:_HEATED]
    items = []
    for w in heated:
        part = _part(test.size(w.index), w.top, w.left)
        predicted, nll = _answer(problem, w.index, part)
        heat = heat_map(_ground(problem, w.index, part), nll)
        caption = f"{test.names[w.index]}: {number(w.mean, 3)} nats per pixel, {number(w.nll, 3)} at most"
        items += [
            Picture(png_of(heat), caption),
            Picture(png_of(mask_picture(test.mask(w.index)[part], ignore_index=IGNORE)), "mask"),
            Picture(png_of(mask_picture(predicted)), "prediction"),
        ]
    rows: list[list[Any]] = [
        [
            clean(test.names[w.index], 60),
            w.left,
            w.top,
            clean(names[w.true], 40),
            clean(names[w.said], 40),
            w.nll,
        ]
        for w in worst[:_PIXELS]
    ]
    table = Table(
        ["image", "x", "y", "true", "predicted", "NLL"],
        rows,
        figures=(1, 2, 5),
        title="The least likely pixels, one of each image",
        wrong={(r, 4) for r, w in enumerate(worst[:_PIXELS]) if w.true != w.said},
    )
    lead = (
        f"The {len(heated)} test images with the highest NLL per pixel, and where in them it is high: the "
        "stronger the orange, the less likely the model finds the pixel's class; each picture has its own "
        "scale. Masks that are wrong or shifted end up here."
    )
    return Section("Highest loss", [Images(items, per_line=3), table], lead, id="losses")
