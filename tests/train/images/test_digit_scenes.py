"""The bundled scenes: the same from the same seed, and no digit on both sides."""

from __future__ import annotations

import numpy as np
import pytest

from likelihead.train.images.digit_scenes import EDGE, DigitScenes
from likelihead.train.images.schema import IGNORE


def scenes(side: str, count: int = 40, seed: int = 0, partial: bool = False) -> DigitScenes:
    return DigitScenes(side, count, seed=seed, test_fraction=0.2, partial=partial)  # type: ignore[arg-type]


def test_a_scene_is_a_function_of_seed_side_and_number() -> None:
    first, longer, other = scenes("train"), scenes("train", 60), scenes("train", seed=1)
    for number in range(40):
        assert np.array_equal(first.image(number), longer.image(number))
        assert np.array_equal(first.mask(number), longer.mask(number))
    assert not np.array_equal(first.image(0), other.image(0))
    assert not np.array_equal(first.image(0), scenes("test").image(0))


@pytest.mark.parametrize("seed", [0, 1])
def test_no_digit_is_on_both_sides(seed: int) -> None:
    train, test = scenes("train", 1, seed).digit_numbers, scenes("test", 1, seed).digit_numbers
    assert not set(train) & set(test)
    assert len(train) + len(test) == 1797
    assert len(test) == round(0.2 * 1797)


def test_masks_and_labels_say_the_same() -> None:
    some = scenes("test", 120)
    seen: set[int] = set()
    for number in range(len(some)):
        mask, labels = some.mask(number), some.labels(number)
        assert mask.shape == (EDGE, EDGE)
        classes = set(np.unique(mask).tolist()) - {IGNORE, 0}
        assert classes == {digit + 1 for digit in np.flatnonzero(labels)}
        seen |= {len(classes)}
    assert {0, 1, 2, 3} <= seen  # none, one and many


def test_some_pixels_are_not_labelled_and_some_training_labels_are_missing() -> None:
    train, whole = scenes("train", 100, partial=True), scenes("train", 100)
    share = np.mean([(train.mask(n) == IGNORE).mean() for n in range(100)])
    assert 0.005 < share < 0.05
    partial, full = (np.stack([s.labels(n) for n in range(100)]) for s in (train, whole))
    missing = np.isnan(partial)
    assert 0.05 < missing.mean() < 0.15
    assert not np.isnan(full).any()
    assert np.array_equal(partial[~missing], full[~missing])
