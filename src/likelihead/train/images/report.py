"""What the reports of runs on images have in common, and that of classes and labels."""

from __future__ import annotations

import platform
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from numpy.typing import NDArray

from likelihead.report.blocks import Figure, Images, Picture
from likelihead.report.page import Section
from likelihead.report.pictures import png_of
from likelihead.report.text import number
from likelihead.train.images.classify import ClassifyProblem, image_batches
from likelihead.train.images.decode import unit
from likelihead.train.images.problem import ImageProblem
from likelihead.train.images.segment import SegmentationProblem
from likelihead.train.images.segment_report import write_segmentation
from likelihead.train.report import Curves, ReportContent, TestSet, highest_loss_rows, write_report
from likelihead.train.report.plots import score_curve
from likelihead.train.run import read_metrics
from likelihead.train.table.metrics import known_rows
from likelihead.train.table.network import row_nll

if TYPE_CHECKING:
    from likelihead.train.loop import Trainer
    from likelihead.train.report import Task

__all__ = ["write"]

_SHOWN = 12


def write(problem: ImageProblem, trainer: Trainer) -> None:
    """Write ``report.html`` and ``report.json`` into the run's folder.

    Raises:
        RunError: they cannot be written.
    """
    epochs = [record for record in read_metrics(trainer.folder) if record["kind"] == "epoch"]
    score = [_number(record[problem.score_name]) for record in epochs]
    common = _common(problem, trainer)
    if isinstance(problem, SegmentationProblem):
        overlap = [_number(record.get("train_overlap")) for record in epochs]
        if problem.config.overlap == "none":
            overlap = []
        write_segmentation(trainer.folder, problem, _curves(problem, epochs), score, common, overlap)
    elif isinstance(problem, ClassifyProblem):
        _write_classes(problem, trainer, _curves(problem, epochs), score, common)


def _curves(problem: ImageProblem, epochs: list[dict[str, Any]]) -> Curves:
    return Curves(
        [record["epoch"] for record in epochs],
        [_number(record["train_nll"]) for record in epochs],
        [_number(record["test_nll"]) for record in epochs],
        problem.resolved.baseline_nll,
    )


def _common(problem: ImageProblem, trainer: Trainer) -> dict[str, Any]:
    return {
        "config": {**problem.config.applying(problem.resolved.task), "resolved": problem.resolved.to_dict()},
        "data": [problem.describe()],
        "notes": list(problem.notes),
        "versions": {
            "likelihead": version("likelihead"),
            "torch": torch.__version__,
            "python": platform.python_version(),
        },
        "findings": [
            {"code": code, "message": message, "count": 1} for code, message in trainer.position.findings
        ],
        "headline": {"parameters": problem.resolved.parameters, "steps": trainer.position.step},
    }


def _number(value: Any) -> float:
    return float("nan") if value is None else float(value)


def _write_classes(
    problem: ClassifyProblem, trainer: Trainer, curves: Curves, score: list[float], common: dict[str, Any]
) -> None:
    schema, test = problem.data.schema, _test_set(problem)
    is_labels = schema.task == "multilabel"
    worst = highest_loss_rows(test)
    content = ReportContent(
        run_name=trainer.folder.name,
        task=cast("Task", schema.task),
        likelihood=type(problem.plain).__name__,
        classes=schema.names,
        curves=Curves(
            curves.epoch,
            curves.train_nll,
            curves.test_nll,
            curves.baseline_nll,
            None if is_labels else score,
        ),
        test=test,
        config=common["config"],
        data=common["data"],
        notes=[
            *common["notes"],
            "a row of this report is a test image; they are counted in the files' order",
        ],
        headline=common["headline"],
        raw_rows={row: {"image": problem.data.test.names[row - 1]} for row in worst},
        guard_findings=common["findings"],
        versions=common["versions"],
    )
    sections = [_gallery(problem, test, worst[:_SHOWN])]
    if is_labels:
        caption = "Mean F1 over the labels, on the test images, by epoch."
        figure = Figure(score_curve(curves.epoch, score, "macro F1", share=False), caption)
        sections.insert(0, Section("Macro F1", [figure], id="macro-f1"))
    write_report(trainer.folder, content, more=sections)


def _test_set(problem: ClassifyProblem) -> TestSet:
    side, schema = problem.data.test, problem.data.schema
    parts: list[tuple[NDArray[Any], ...]] = []
    problem.model.eval()
    with torch.no_grad():
        for images, numbers in image_batches(side, schema):
            logits = problem.model(images)
            target = torch.from_numpy(np.stack([side.target(index) for index in numbers]))
            nll = row_nll(problem.plain, problem.table, logits, target)
            probs = problem.plain.probs(logits)
            target = target if target.dim() == 1 else target.double()
            part = np.array(numbers) + 1, target.numpy(), probs.double().numpy(), nll.double().numpy()
            some = known_rows(target)
            parts.append(part if some is None else tuple(column[some.numpy()] for column in part))
    return TestSet(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def _gallery(problem: ClassifyProblem, test: TestSet, rows: list[int]) -> Section:
    names = problem.data.schema.names
    items = []
    place = {int(row): index for index, row in enumerate(test.row_numbers)}
    for row in rows:
        index = place[row]
        if test.targets.ndim == 1:
            true = names[int(test.targets[index])]
            said = names[int(test.predictions[index].argmax())]
        else:
            true = _labels(names, test.targets[index] == 1)
            said = _labels(names, test.predictions[index] > 0.5)
        image = unit(problem.data.test.image(row - 1))
        shown = image[..., 0] if image.shape[2] == 1 else image
        nll = number(float(test.nll[index]), 3)
        caption = f"{problem.data.test.names[row - 1]}: {true}; predicted {said}; {nll} nats"
        items.append(Picture(png_of(shown), caption))
    lead = (
        f"The {len(items)} test images that the model finds least likely, as the network sees them. "
        "Images with a wrong target end up here."
    )
    return Section("Images of the highest loss", [Images(items)], lead, id="gallery")


def _labels(names: tuple[str, ...], has: NDArray[np.bool_]) -> str:
    return ", ".join(name for name, yes in zip(names, has, strict=True) if yes) or "none"
