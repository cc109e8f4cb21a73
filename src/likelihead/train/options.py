"""The options of a training run, one row each: what it means, for which tasks, and what it is by default.

The command line, :class:`likelihead.train.TrainConfig` and the messages about an option that a task would
ignore are all made from this table. It imports no torch, so that ``likelihead train --help`` is quick.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

from likelihead.train.option import IMAGES, KINDS, LANGUAGE, TABLE, TASKS, TRANSFORMER, Option

__all__ = ["ACTIVATION_NAMES", "BY_NAME", "OPTIONS"]

ACTIVATION_NAMES = ("tanh", "relu", "gelu", "silu", "elu", "sigmoid")
_CLASSES = ("binary", "multiclass", "multilabel")


def _positive(value: float) -> bool:
    return math.isfinite(value) and value > 0


def _not_negative(value: float) -> bool:
    return math.isfinite(value) and value >= 0


def _to_100(value: float) -> bool:
    return 0 <= value <= 100


def _is_prior(value: str) -> bool:
    try:
        return value == "observed" or 0 <= float(value) <= 1
    except ValueError:
        return False


_AT_LEAST_1: dict[str, Any] = {"ok": lambda value: value >= 1, "expected": "at least 1"}
_WEIGHABLE: dict[str, Any] = {"tasks": (*_CLASSES, "segmentation"), "kinds": (TABLE, IMAGES)}
_ONE_OF_MANY: dict[str, Any] = {"tasks": ("binary", "multiclass"), "kinds": (TABLE,)}
_TEXT: dict[str, Any] = {"tasks": ("language",), "kinds": (LANGUAGE,)}
_MASKS: dict[str, Any] = {"tasks": ("segmentation",), "kinds": (IMAGES,)}
_DIALECT: dict[str, Any] = {"tasks": KINDS[TABLE], "kinds": (TABLE,)}
_PICTURES: dict[str, Any] = {"tasks": KINDS[IMAGES], "kinds": (IMAGES,)}

OPTIONS: tuple[Option, ...] = (
    Option(
        "target",
        "texts",
        "COL",
        "The target's column; several for multilabel 0/1 columns, or, with --task multiclass, for the "
        "probabilities of the classes.",
        None,
        kinds=(TABLE,),
    ),
    Option(
        "sample_weight",
        "text",
        "COL",
        "A column of weights: how much each row counts, in training and in every figure; 0 leaves a row out.",
        "",
        kinds=(TABLE,),
    ),
    Option(
        "strict",
        "flag",
        "",
        "Refuse rows without a target, which are left out and counted otherwise.",
        False,
        **_DIALECT,
    ),
    Option(
        "separator",
        "text",
        "CHAR",
        "Between the cells of a CSV file: a character, tab or space.",
        "auto",
        **_DIALECT,
    ),
    Option(
        "decimal",
        "text",
        "CHAR",
        "Before decimals in a CSV file.",
        "auto",
        allowed=("auto", ".", ","),
        **_DIALECT,
    ),
    Option(
        "missing",
        "texts",
        "TEXT",
        "Stands for a missing cell, besides an empty one, NA, nan, null, None and ?; may be repeated.",
        (),
        **_DIALECT,
    ),
    Option("encoding", "text", "NAME", "Of a CSV file: utf-8, cp1252, utf-16, ...", "auto", **_DIALECT),
    Option("task", "text", "TASK", f"{', '.join(TASKS[:-1])} or {TASKS[-1]}.", "auto", allowed=TASKS),
    Option(
        "levels",
        "numbers",
        "P,P",
        "The quantiles that --task quantile learns, rising, in (0, 1).",
        (0.1, 0.5, 0.9),
        ok=lambda levels: (
            bool(levels)
            and all(0 < level < 1 for level in levels)
            and all(a < b for a, b in pairwise(levels))
        ),
        expected="rising numbers in (0, 1), such as 0.1,0.5,0.9",
        tasks=("quantile",),
        kinds=(TABLE,),
    ),
    Option(
        "order",
        "texts",
        "A,B",
        "The classes of --task ordinal from the lowest to the highest; numbers have an order.",
        (),
        ok=lambda names: len(names) != 1 and len(set(names)) == len(names) and all(names),
        expected="at least two different names, such as low,medium,high",
        default_text="by number",
        tasks=("ordinal",),
        kinds=(TABLE,),
    ),
    Option(
        "output",
        "text",
        "KIND",
        "logits (CrossEntropyLoss) or log-probs (NLLLoss).",
        "logits",
        allowed=("logits", "log-probs"),
        **_ONE_OF_MANY,
    ),
    Option(
        "hidden",
        "widths",
        "N",
        "Widths of the hidden layers, repeated or 64,32; none for a linear model. Of a U-Net: channels of "
        "each level.",
        (32,),
        {LANGUAGE: (512,), TRANSFORMER: (128,) * 4, IMAGES: (16, 32, 64)},
        ok=lambda widths: all(width >= 1 for width in widths),
        expected="widths of at least 1 (or 'none' for a linear model)",
    ),
    Option(
        "activation",
        "text",
        "NAME",
        "tanh, relu, gelu, silu, elu or sigmoid.",
        "tanh",
        allowed=ACTIVATION_NAMES,
        tasks=KINDS[TABLE],
        kinds=(TABLE,),
    ),
    Option(
        "network",
        "text",
        "NAME",
        "What reads a text: gru or transformer.",
        "",
        {LANGUAGE: "gru"},
        ok=lambda name: name in ("", "gru", "transformer"),
        expected="gru or transformer",
        **_TEXT,
    ),
    Option(
        "epochs",
        "count",
        "N",
        "Passes over the training data; of a text, at most 500 steps each.",
        100,
        {LANGUAGE: 3, IMAGES: 10},
        **_AT_LEAST_1,
    ),
    Option(
        "steps",
        "count",
        "N",
        "End after so many steps; 0 for none.",
        0,
        kinds=(LANGUAGE, IMAGES),
        ok=lambda value: value >= 0,
        expected="0 or more",
    ),
    Option(
        "batch_size",
        "count",
        "N",
        "Rows, documents, images or tiles per step.",
        32,
        {IMAGES: 16},
        **_AT_LEAST_1,
    ),
    Option(
        "lr",
        "number",
        "X",
        "Learning rate.",
        0.01,
        {LANGUAGE: 0.002, IMAGES: 0.003},
        ok=_positive,
        expected="a positive number",
    ),
    Option(
        "optimizer",
        "text",
        "NAME",
        "adam, adamw or sgd (momentum 0.9).",
        "adam",
        {LANGUAGE: "adamw", IMAGES: "adamw"},
        allowed=("adam", "adamw", "sgd"),
    ),
    Option(
        "weight_decay",
        "number",
        "X",
        "Against learning by heart.",
        0.002,
        {LANGUAGE: 0.01, IMAGES: 0.01},
        ok=_not_negative,
        expected="0 or a positive number",
    ),
    Option(
        "label_smoothing",
        "number",
        "X",
        "In [0, 1): how much of each target is spread over the classes, or of a yes or no drawn towards "
        "--label-prior.",
        0.0,
        tasks=(*_CLASSES, "language", "segmentation"),
        ok=lambda value: 0 <= value < 1,
        expected="in [0, 1)",
    ),
    Option(
        "label_prior",
        "text",
        "P",
        "What smoothing draws a yes or no towards: a probability, or observed, its training frequency.",
        "0.5",
        ok=_is_prior,
        expected="a probability from 0 to 1, or observed",
        tasks=("binary", "multilabel", "segmentation"),
        kinds=(TABLE, IMAGES),
    ),
    Option(
        "overlap",
        "text",
        "LOSS",
        "Add an overlap loss to the NLL: none, dice, jaccard, tversky, focal-tversky or lovasz.",
        "none",
        allowed=("none", "dice", "jaccard", "tversky", "focal-tversky", "lovasz"),
        **_MASKS,
    ),
    Option(
        "overlap_weight",
        "number",
        "X",
        "Weight of the overlap loss beside the NLL.",
        0.5,
        ok=_positive,
        expected="a positive number",
        **_MASKS,
    ),
    Option(
        "class_weight",
        "text",
        "W",
        "none, balanced, effective, or a JSON or CSV file of class,weight.",
        "none",
        **_WEIGHABLE,
    ),
    Option(
        "logit_adjustment",
        "number",
        "TAU",
        "Add TAU times the log prior to the logits in training: learns for a balanced world.",
        0.0,
        ok=_to_100,
        expected="a number from 0 to 100",
        **_ONE_OF_MANY,
    ),
    Option(
        "resample",
        "text",
        "HOW",
        "balanced: draw each class as often as the others.",
        "none",
        allowed=("none", "balanced"),
        **_ONE_OF_MANY,
    ),
    Option(
        "focal",
        "number",
        "GAMMA",
        "Focal loss: less weight for what is known well.",
        0.0,
        ok=_to_100,
        expected="a number from 0 to 100",
        **_ONE_OF_MANY,
    ),
    Option(
        "calibrate",
        "text",
        "HOW",
        "none, temperature, vector or platt, fitted on training rows that are held out.",
        "none",
        allowed=("none", "temperature", "vector", "platt"),
        tasks=_CLASSES,
        kinds=(TABLE,),
    ),
    Option(
        "tune_thresholds",
        "flag",
        "",
        "Choose the threshold of each yes on held-out training rows.",
        False,
        tasks=("binary", "multilabel"),
        kinds=(TABLE,),
    ),
    Option(
        "teacher",
        "text",
        "RUN",
        "Learn from another run's probabilities (distillation).",
        "",
        tasks=("multiclass",),
        kinds=(TABLE,),
    ),
    Option(
        "temperature",
        "number",
        "T",
        "Of the teacher's and the student's softmax.",
        1.0,
        ok=lambda value: 0.001 <= value <= 1000,
        expected="a number from 0.001 to 1000",
        tasks=("multiclass",),
        kinds=(TABLE,),
    ),
    Option(
        "context",
        "count",
        "N",
        "Tokens in a row of a step, which the gradient goes back through.",
        128,
        **_AT_LEAST_1,
        **_TEXT,
    ),
    Option("tokenizer", "text", "FILE", "bytes, or a Hugging Face tokenizer.json.", "bytes", **_TEXT),
    Option(
        "packing",
        "text",
        "HOW",
        "Documents one after another (packed), or each in its own row (padded).",
        "packed",
        allowed=("packed", "padded"),
        **_TEXT,
    ),
    Option(
        "masks",
        "text",
        "DIR",
        "The folder of masks, of the images' names.",
        "",
        default_text="DATA/masks",
        **_MASKS,
    ),
    Option(
        "ignore_colour",
        "text",
        "COLOUR",
        "Mask pixels that are not labelled: #rrggbb, or a class index.",
        "",
        **_MASKS,
    ),
    Option(
        "tile",
        "count",
        "N",
        "Edge of the tiles that images are cut into.",
        128,
        **_AT_LEAST_1,
        **_MASKS,
    ),
    Option(
        "image_size",
        "count",
        "N",
        "Edge that images are scaled to.",
        48,
        **_AT_LEAST_1,
        tasks=("multiclass", "multilabel"),
        kinds=(IMAGES,),
    ),
    Option("skip_bad", "flag", "", "Leave out files that do not decode, and name them.", False, **_PICTURES),
    Option(
        "seed",
        "count",
        "N",
        "Of the weights, the split and the batches.",
        0,
        ok=lambda value: 0 <= value < 2**63,
        expected="in [0, 2**63)",
    ),
    Option(
        "test_fraction",
        "number",
        "X",
        "Share of the data held out.",
        0.2,
        {LANGUAGE: 0.05},
        ok=lambda value: 0 < value < 1,
        expected="in (0, 1)",
    ),
    Option(
        "memory",
        "size",
        "SIZE",
        "For the rows; larger files stream.",
        2**30,
        kinds=(TABLE,),
        default_text="1GiB",
        ok=lambda value: value >= 2**20,
        expected="at least 1MiB",
    ),
    Option("checkpoint_every", "count", "STEPS", "Steps between checkpoints.", 500, **_AT_LEAST_1),
    Option(
        "guard",
        "text",
        "LEVEL",
        "Checks on each loss call: off, cheap or full.",
        "cheap",
        allowed=("off", "cheap", "full"),
        default_text="LIKELIHEAD_GUARD, or cheap",
    ),
)
BY_NAME = {option.name: option for option in OPTIONS}
