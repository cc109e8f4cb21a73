"""Arrays as PNGs keep their pixels."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from likelihead.errors import DomainError, DTypeError, ShapeError
from likelihead.report.pictures import CLASS_COLOURS, class_colours, heat_map, mask_picture, png_of


def pixels(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)))


@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 3), (5, 7, 4)])
def test_pixels_come_back(shape: tuple[int, ...]) -> None:
    array = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    assert (pixels(png_of(array)) == array).all()
    assert png_of(array) == png_of(array.copy())
    assert (pixels(png_of(array / 255.0)) == array).all()


def test_strides_and_booleans() -> None:
    array = np.arange(48, dtype=np.uint8).reshape(3, 4, 4).transpose(1, 2, 0)
    assert (pixels(png_of(array)) == array).all()
    assert pixels(png_of(np.eye(2, dtype=bool))).tolist() == [[255, 0], [0, 255]]


@pytest.mark.parametrize(
    ("array", "error", "says"),
    [
        (np.zeros(3), ShapeError, r"shape \[3\]"),
        (np.zeros((2, 2, 2)), ShapeError, r"shape \[2, 2, 2\]"),
        (np.zeros((0, 2)), ShapeError, r"shape \[0, 2\]"),
        (np.zeros((2, 2), dtype=np.int64), DTypeError, "int64"),
        (np.full((2, 2), 1.5), DomainError, "from 1.5 to 1.5"),
        (np.full((2, 2), np.nan), DomainError, "from nan"),
    ],
)
def test_what_is_no_image(array: Any, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        png_of(array)


def test_a_mask_in_the_colours_of_its_classes() -> None:
    picture = mask_picture(np.array([[0, 1], [255, 13]]), ignore_index=255)
    colours = ["#" + "".join(f"{v:02x}" for v in pixel[:3]) for pixel in picture.reshape(-1, 4)]
    assert colours == [*class_colours(2), "#ffffff", CLASS_COLOURS[1]]
    assert picture[..., 3].tolist() == [[255, 255], [0, 255]]
    with pytest.raises(ShapeError, match="float64"):
        mask_picture(np.zeros((2, 2)))


def test_the_highest_value_is_the_strongest() -> None:
    values = np.array([[0.0, 1.0, 2.0], [np.nan, np.inf, 2.0]])
    mixed = heat_map(np.full((2, 3), 128, dtype=np.uint8), values)
    redness = mixed[..., 0] - mixed[..., 2]
    assert redness[0, 0] == redness[1, 0] == 0
    assert 0 < redness[0, 1] < redness[0, 2] == redness[1, 1]
    assert (heat_map(np.zeros((1, 1, 3)), np.ones((1, 1)), full=2.0) < mixed[0, 2]).any()
    png_of(mixed)
    with pytest.raises(ShapeError, match=r"values has shape \[1, 2\]"):
        heat_map(np.zeros((2, 2)), np.zeros((1, 2)))
