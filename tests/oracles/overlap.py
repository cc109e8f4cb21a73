"""The overlap losses by their definitions: Python floats, one pixel after the other, exact sums.

An image is a list of pixels; a pixel is (numbers of its classes, target, weight), with None as the target
where it is missing. A target is a class index, or a list of one share for each class (None: it is missing).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

Pixel = tuple[Sequence[float], Any, float]


def softmax(z: Sequence[float]) -> list[float]:
    top = max(z)
    e = [math.exp(x - top) for x in z]
    return [x / math.fsum(e) for x in e]


def sigmoid(z: Sequence[float]) -> list[float]:
    return [1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x)) for x in z]


def identity(p: Sequence[float]) -> list[float]:
    return list(p)


def shares(
    pixel: Pixel, link: Callable[[Sequence[float]], list[float]]
) -> list[tuple[float, float, float] | None]:
    """For each class the prediction, the truth and the weight; None where it is missing."""
    numbers, target, weight = pixel
    if target is None or weight == 0:
        return [None] * len(numbers)
    truth = [float(c == target) for c in range(len(numbers))] if isinstance(target, int) else list(target)
    # Where a label is missing its logit may be anything, and is not read.
    if None in truth:
        return [None if t is None else (link([z])[0], t, weight) for z, t in zip(numbers, truth, strict=True)]
    return [(p, t, weight) for p, t in zip(link(numbers), truth, strict=True)]


def tversky(terms: list[tuple[float, float, float]], alpha: float, beta: float, smooth: float) -> float:
    tp = math.fsum(w * p * t for p, t, w in terms)
    fp = math.fsum(w * p * (1 - t) for p, t, w in terms)
    fn = math.fsum(w * (1 - p) * t for p, t, w in terms)
    below = tp + alpha * fp + beta * fn + smooth
    return 0.0 if below == 0 else 1 - (tp + smooth) / below


def jaccard_of_mistakes(terms: list[tuple[float, float, float]], mistaken: set[int]) -> float:
    """One minus intersection over union, where the prediction is the truth but for the mistaken pixels."""
    predicted = [t if i not in mistaken else 1 - t for i, (_, t, _) in enumerate(terms)]
    both = math.fsum(w for (_, t, w), q in zip(terms, predicted, strict=True) if t and q)
    either = math.fsum(w for (_, t, w), q in zip(terms, predicted, strict=True) if t or q)
    return 0.0 if either == 0 else 1 - both / either


def lovasz(terms: list[tuple[float, float, float]], hinge: bool = False) -> float:
    """Berman et al.: the extension of the set function, by the sets of the k largest mistakes."""
    if hinge:
        errors = [max(0.0, 1 - z) if t else max(0.0, 1 + z) for z, t, _ in terms]
    else:
        errors = [1 - p if t else p for p, t, _ in terms]
    order = sorted(range(len(terms)), key=lambda i: -errors[i])
    levels = [jaccard_of_mistakes(terms, set(order[:k])) for k in range(len(order) + 1)]
    return math.fsum(errors[i] * (levels[k + 1] - levels[k]) for k, i in enumerate(order))


def loss(
    images: Sequence[Sequence[Pixel]],
    value: Callable[[list[tuple[float, float, float]]], float],
    *,
    link: Callable[[Sequence[float]], list[float]] = softmax,
    per_image: bool = False,
    classes: str = "present",
    weight: Sequence[float] | None = None,
    image_weight: Sequence[float] | None = None,
) -> float:
    """The mean over the classes that count, then over the images that count."""
    groups = list(images) if per_image else [[pixel for image in images for pixel in image]]
    scales = [1.0] * len(groups) if image_weight is None else list(image_weight)
    total = count = 0.0
    for group, scale in zip(groups, scales, strict=True):
        if scale == 0 or not group:
            continue
        table = [shares(pixel, link) for pixel in group]
        sums = shared = 0.0
        for c in range(len(table[0])):
            terms = [row[c] for row in table]
            terms = [term for term in terms if term is not None]
            there = bool(terms) if classes == "all" else any(t > 0 for _, t, _ in terms)
            of_class = 1.0 if weight is None else weight[c]
            if there and of_class:
                sums += of_class * value(terms)
                shared += of_class
        if shared:
            total += scale * sums / shared
            count += scale
    return total / count if count else 0.0
