"""``digit-scenes``: scikit-learn's handwritten digits, put together into scenes with masks and labels.

The digits are real: 1797 of them, 8 by 8 pixels, each written by a person. A scene has none to four of
them on a noisy ground, at places, sizes and strengths drawn at random. Scenes to train on hold digits of
their own, which no test scene has.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from likelihead.train.images.schema import IGNORE

__all__ = ["EDGE", "MASK_NAMES", "SCENES", "DigitScenes"]

EDGE = 48
SCENES = 5000
"""Scenes to train on and to test on, together."""

LABELS = tuple(str(digit) for digit in range(10))
MASK_NAMES = ("background", *LABELS)

_MOST = 4  # digits in a scene
_SIZES = (13, 20)  # the edge of a digit, in pixels
_INK = 0.45  # the share of a digit's full strength that counts as the digit
_PALE = 0.25  # and below which it counts as the ground; between the two a pixel is not labelled
_TRIES = 20
_MISSING = 0.1  # share of the training labels that are not known


@lru_cache(maxsize=1)
def _digits() -> tuple[NDArray[Any], NDArray[Any]]:
    from sklearn.datasets import load_digits

    bunch = load_digits()
    return bunch.images.astype(np.float32) / 16, bunch.target


class DigitScenes:
    """The scenes of one side of the split.

    A scene is a function of the seed, the side and its number alone.

    Args:
        side: whose digits: ``train`` or ``test``.
        count: how many scenes.
        seed: of the split of the digits and of the scenes.
        test_fraction: share of the digits that test scenes are made of.
        partial: whether some labels are missing, as in the training set.
    """

    def __init__(
        self,
        side: Literal["train", "test"],
        count: int,
        *,
        seed: int,
        test_fraction: float,
        partial: bool = False,
    ) -> None:
        images, classes = _digits()
        order = np.random.default_rng([seed, 2]).permutation(len(images))
        held_out = max(1, round(test_fraction * len(images)))
        chosen = order[:held_out] if side == "test" else order[held_out:]
        self._digits = images[chosen]
        self._classes = classes[chosen]
        self.digit_numbers = np.sort(chosen)
        self._key = [seed, 0 if side == "train" else 1]
        self._partial = partial
        self.names: Sequence[str] = [f"scene-{number:05d}.png" for number in range(count)]
        self._images = np.empty((count, EDGE, EDGE, 1), dtype=np.uint8)
        self._masks = np.empty((count, EDGE, EDGE), dtype=np.int8)
        self._labels = np.zeros((count, len(LABELS)), dtype=np.float32)
        for number in range(count):
            self._compose(number)

    def __len__(self) -> int:
        return len(self.names)

    def size(self, index: int) -> tuple[int, int]:
        """Height and width."""
        return EDGE, EDGE

    def image(self, index: int) -> NDArray[Any]:
        """``[H, W, 1]``, uint8."""
        image: NDArray[np.uint8] = self._images[index]
        return image

    def mask(self, index: int) -> NDArray[np.int16]:
        """``[H, W]``: 0 for the ground, a digit's class is its value plus one, or :data:`IGNORE`."""
        mask: NDArray[np.int16] = self._masks[index].astype(np.int16)
        mask[mask < 0] = IGNORE
        return mask

    def labels(self, index: int) -> NDArray[np.float32]:
        """``[10]``: which digits are in the scene; NaN where that is not known."""
        labels: NDArray[np.float32] = self._labels[index]
        return labels

    def _compose(self, number: int) -> None:
        draw = np.random.default_rng([*self._key, number])
        light, slope = draw.uniform(0.05, 0.3), draw.uniform(-0.1, 0.1, 2)
        ramp = np.linspace(-1, 1, EDGE)
        ground = light + slope[0] * ramp[:, None] + slope[1] * ramp[None, :]
        scene = ground + draw.normal(0, draw.uniform(0.01, 0.05), (EDGE, EDGE))
        mask = np.zeros((EDGE, EDGE), dtype=np.int8)
        taken: list[tuple[int, int, int]] = []
        for _ in range(draw.integers(0, _MOST + 1)):
            place = self._place(draw, taken)
            if place is None:
                break
            top, left, edge = place
            taken.append(place)
            which = int(draw.integers(len(self._digits)))
            ink = _enlarged(self._digits[which], edge)
            strength = draw.uniform(0.5, 0.9)
            there = (slice(top, top + edge), slice(left, left + edge))
            scene[there] += strength * ink
            part = mask[there]
            part[(ink > _PALE) & (part == 0)] = -1
            part[ink > _INK] = self._classes[which] + 1
            self._labels[number, self._classes[which]] = 1
        self._images[number, :, :, 0] = np.round(255 * np.clip(scene, 0, 1))
        self._masks[number] = mask
        unknown = draw.random(len(LABELS)) < _MISSING
        if self._partial:
            self._labels[number, unknown] = np.nan

    def _place(
        self, draw: np.random.Generator, taken: list[tuple[int, int, int]]
    ) -> tuple[int, int, int] | None:
        """A square for a digit; the empty margins of two digits may lie over each other, their ink hardly."""
        for _ in range(_TRIES):
            edge = int(draw.integers(_SIZES[0], _SIZES[1] + 1))
            top, left = (int(v) for v in draw.integers(0, EDGE - edge + 1, 2))
            if all(
                top + edge <= t + 1 or t + e <= top + 1 or left + edge <= x + 3 or x + e <= left + 3
                for t, x, e in taken
            ):
                return top, left, edge
        return None


def _enlarged(digit: NDArray[Any], edge: int) -> NDArray[Any]:
    image = Image.fromarray(digit).resize((edge, edge), Image.Resampling.BICUBIC)
    return np.clip(np.asarray(image, dtype=np.float64), 0, 1)
