"""The report's sections on calibration, thresholds, soft targets and a teacher."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from likelihead.evaluate import SmoothECE
from likelihead.evaluate.inputs import stated
from likelihead.likelihoods import Likelihood
from likelihead.report.blocks import Block, Figure, Legend, Table
from likelihead.report.page import Section
from likelihead.report.text import number, percent
from likelihead.train.report import reliability
from likelihead.train.report.plots import reliability_lines, score_curve
from likelihead.train.table.calibration import Fitted
from likelihead.train.table.data import Schema
from likelihead.train.table.means import mean_of, weighing
from likelihead.train.table.metrics import target_entropy, weight_of_stated
from likelihead.train.table.teacher import Teacher

__all__ = ["calibration_section", "soft_section", "teacher_section", "threshold_section"]


def calibration_section(
    likelihood: Likelihood,
    schema: Schema,
    fitted: Fitted,
    before: Tensor,
    after: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
) -> tuple[Section, dict[str, Any]]:
    """Before and after the calibration, on the test rows."""
    figures: dict[str, dict[str, float]] = {}
    curves = []
    for when, output in (("before", before), ("after", after)):
        said, came = stated(likelihood, output, target)
        of_stated = weight_of_stated(schema, target, weight)
        weights = None if of_stated is None else of_stated.numpy()
        curve, smooth = reliability(said.numpy(), came.numpy(), weights=weights), SmoothECE()
        smooth.update(said, came, **weighing(of_stated))
        curves.append((curve, "second" if when == "before" else "accent"))
        nll = likelihood.nll(output, target)
        figures[when] = {
            "nll": mean_of(nll.flatten(1).sum(1) if nll.dim() > 1 else nll, weight),
            "ece": curve.ece,
            "smooth_ece": smooth.compute(),
        }
    first, last = (list(figures[when].values()) for when in ("before", "after"))
    best = [(int(z < a), c) for c, (a, z) in enumerate(zip(first, last, strict=True), 1) if a != z]
    blocks: list[Block] = [
        Table(
            ["", "NLL", "ECE", "smooth ECE"],
            [["before", *first], ["after", *last]],
            keys=True,
            best=best,
            label="Before and after the calibration",
            note="On the test rows, which the calibration has not seen. The learning curves are of the "
            "network before it; all other figures of this page are after it.",
        ),
        Figure(
            reliability_lines(curves, "stated probability", "share that came true", "calibration"),
            "How often what was stated came true. On the dashed line the model is as good as its word. "
            f"ECE {percent(figures['before']['ece'])} before, {percent(figures['after']['ece'])} after.",
        ),
        Legend([("before", "second"), ("after", "accent")]),
    ]
    section = Section("Calibration", blocks, _sentence(fitted.describe(schema)), id="calibration")
    return section, {"how": fitted.how, "rows": fitted.rows, **figures}


def threshold_section(
    schema: Schema, fitted: Fitted, probs: Tensor, target: Tensor, weight: Tensor | None = None
) -> tuple[Section, list[dict[str, Any]]]:
    """What the tuned thresholds decide beside one half, on the test rows."""
    several = target.dim() > 1
    names = schema.target.names if several else schema.target.names[1:]
    rows: list[list[Any]] = []
    figures = []
    for index, (name, threshold) in enumerate(zip(names, fitted.thresholds, strict=True)):
        said = probs[:, index] if several else probs
        truth = target[:, index] if several else target
        half, tuned = (_decided(said, truth, value, weight) for value in (0.5, threshold))
        figures.append({"name": name, "threshold": threshold, "at_half": half, "tuned": tuned})
        for shown, at in ((0.5, half), (threshold, tuned)):
            rows.append(
                [name, number(shown), at["precision"], at["recall"], at["f1"], at["balanced_accuracy"]]
            )
    table = Table(
        ["yes", "threshold", "precision", "recall", "F1", "balanced accuracy"],
        rows,
        figures={1, 2, 3, 4, 5},
        label="One half and the tuned thresholds",
        note="On the test rows. A threshold is the one with the highest F1 on the held-out rows; on few rows "
        "it is much a matter of chance.",
    )
    lead = (
        f"The threshold of each yes was chosen on {fitted.rows} rows held out of the training. `likelihead "
        "predict` and `likelihead evaluate` use it, unless --threshold, --cost or --prior is given; the "
        "other sections of this page decide at one half."
    )
    return Section("Thresholds", [table], lead, id="thresholds"), figures


def _decided(
    probs: Tensor, target: Tensor, threshold: float, weight: Tensor | None = None
) -> dict[str, float]:
    said, yes = probs > threshold, target > 0
    each = torch.ones(len(target), dtype=torch.float64) if weight is None else weight.double()
    pairs = ((said, yes), (said, ~yes), (~said, yes), (~said, ~yes))
    hit, over, miss, rest = (each[a & b].sum() for a, b in pairs)
    return {
        "precision": float(hit / (hit + over)),
        "recall": float(hit / (hit + miss)),
        "f1": float(2 * hit / (2 * hit + over + miss)),
        "balanced_accuracy": float((hit / (hit + miss) + rest / (rest + over)) / 2),
    }


def soft_section(
    likelihood: Likelihood, output: Tensor, target: Tensor, weight: Tensor | None = None
) -> tuple[Section, dict[str, float]]:
    """How far the predicted distributions are from the targets."""
    probs = likelihood.probs(output)
    nll = mean_of(likelihood.nll(output, target), weight)
    floor = mean_of(target_entropy(target), weight)
    right = probs.argmax(1) == target.argmax(1)
    figures = {
        "nll": nll,
        "entropy": floor,
        "kl": nll - floor,
        "brier": mean_of((probs - target).square().sum(1), weight),
        "accuracy": mean_of(right.double(), weight),
    }
    names = {
        "nll": "NLL (cross-entropy to the target)",
        "entropy": "entropy of the targets: no model is below it",
        "kl": "KL divergence from target to prediction: the difference",
        "brier": "Brier score against the target's probabilities",
        "accuracy": "accuracy against each target's most probable class",
    }
    table = Table(
        ["figure", "value"],
        [[names[key], value] for key, value in figures.items()],
        label="Distance from the targets",
        note="In nats per row.",
    )
    lead = (
        "The targets are distributions over the classes. Where this page speaks of right and wrong, of a "
        "confusion or of a class's recall, it takes the most probable class of each target for the true one."
    )
    return Section("Soft targets", [table], lead, id="soft"), figures


def teacher_section(
    likelihood: Likelihood,
    teacher: Teacher,
    output: Tensor,
    target: Tensor,
    rows: Tensor,
    epochs: Sequence[dict[str, Any]],
    weight: Tensor | None = None,
) -> tuple[Section, dict[str, float]]:
    """How near the student is to its teacher, and how both do on the test rows."""
    taught = teacher.logits[rows - 1]
    divergence = mean_of(teacher.kl(output, rows), weight)
    entropy = mean_of(teacher.entropy(rows), weight)
    truth = target.argmax(1) if target.dim() > 1 else target
    student_nll, teacher_nll = (mean_of(likelihood.nll(z, target), weight) for z in (output, taught))
    said, told = output.argmax(1), taught.argmax(1)
    figures = {
        "temperature": teacher.temperature,
        "kl": divergence,
        "teacher_entropy": entropy,
        "cross_entropy": divergence + entropy,
        "agreement": mean_of((said == told).double(), weight),
        "student_nll": student_nll,
        "teacher_nll": teacher_nll,
        "student_accuracy": mean_of((said == truth).double(), weight),
        "teacher_accuracy": mean_of((told == truth).double(), weight),
    }
    both = Table(
        ["", "student", "teacher"],
        [
            ["test accuracy", percent(figures["student_accuracy"]), percent(figures["teacher_accuracy"])],
            ["test NLL", student_nll, teacher_nll],
        ],
        keys=True,
        figures={1, 2},
        label="Student and teacher",
    )
    apart = Table(
        ["on the test rows", "value"],
        [
            ["cross-entropy to the teacher", divergence + entropy],
            ["entropy of the teacher, which no student can take away", entropy],
            ["KL divergence from the teacher: the difference", divergence],
            ["rows on which both predict the same class", percent(figures["agreement"])],
        ],
        figures={1},
        note=f"In nats per row, with both logits divided by the temperature {teacher.temperature:g}. The "
        f"loss is {teacher.temperature**2:g} (its square) times the cross-entropy.",
        label="Distance from the teacher",
    )
    curve = score_curve(
        [record["epoch"] for record in epochs],
        [record["test_teacher_kl"] for record in epochs],
        "KL to the teacher (nats)",
        share=False,
        name="teacher",
    )
    figure = Figure(curve, "KL divergence from the teacher on the test rows by epoch.")
    lead = "The network learnt another run's probabilities in place of the classes."
    return Section("Teacher", [both, apart, figure], lead, id="teacher"), figures


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."
