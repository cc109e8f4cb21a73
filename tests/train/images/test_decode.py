"""Image files as arrays, and what is said of those that are none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from likelihead.errors import DataError
from likelihead.train.images.decode import UndecodableError, read_image, scaled, unit


@pytest.mark.parametrize(
    ("mode", "shape"), [("1", 1), ("L", 1), ("LA", 1), ("RGB", 3), ("RGBA", 3), ("P", 3), ("CMYK", 3)]
)
def test_channels_by_mode(tmp_path: Path, mode: str, shape: int) -> None:
    path = tmp_path / "i.tif"
    Image.new(mode, (4, 3)).save(path)
    assert read_image(path).shape == (3, 4, shape)
    assert read_image(path, 1).shape == (3, 4, 1)
    assert read_image(path, 3).shape == (3, 4, 3)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_sixteen_bits_are_kept(tmp_path: Path, suffix: str) -> None:
    values = np.array([[0, 1, 256, 65535]], dtype=np.uint16)
    path = tmp_path / f"i{suffix}"
    Image.fromarray(values).save(path)
    image = read_image(path)
    assert image.dtype == np.uint16
    assert np.array_equal(image[..., 0], values)
    assert unit(image).max() == 1.0
    assert unit(np.array([0, 255], dtype=np.uint8)).tolist() == [0.0, 1.0]


def test_opacity_is_left_out(tmp_path: Path) -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 40, 50, 60])
    image.putdata([0, 1])
    image.save(tmp_path / "i.png", transparency=bytes([0, 128]))
    assert read_image(tmp_path / "i.png").tolist() == [[[10, 20, 30], [40, 50, 60]]]


def test_a_scale_keeps_the_mean_and_the_dtype() -> None:
    image = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    small = scaled(image, (10, 15))
    assert small.shape == (10, 15, 3)
    assert small.dtype == np.uint8
    assert abs(float(small.mean()) - float(image.mean())) < 2
    assert scaled(image, (20, 30)) is image


@pytest.mark.parametrize("cut", [0, 10, 40, 90])
def test_a_damaged_file_is_named(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "i.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (9, 9), dtype=np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(UndecodableError, match=r"i\.png: does not decode"):
        read_image(path)


def test_bytes_turned_over_anywhere_are_an_error_of_ours_or_an_image(tmp_path: Path) -> None:
    path = tmp_path / "i.tif"
    Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8)).save(path, compression="tiff_lzw")
    content, draw = path.read_bytes(), np.random.default_rng(0)
    failed = 0
    for _ in range(150):
        damaged = bytearray(content)
        damaged[int(draw.integers(len(content)))] ^= int(draw.integers(1, 256))
        path.write_bytes(damaged)
        try:
            read_image(path, 1)
        except DataError as error:
            failed += "i.tif" in str(error)
    assert failed > 20


def test_pages_and_kinds_of_pixels_that_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "i.tif"
    page = Image.new("L", (2, 2))
    page.save(path, save_all=True, append_images=[page, page])
    with pytest.raises(DataError, match="holds 3 pages"):
        read_image(path)
    Image.new("F", (2, 2)).save(path)
    with pytest.raises(DataError, match="mode F, whose range is not known"):
        read_image(path)
    with pytest.raises(DataError, match=r"gone\.png: cannot be read"):
        read_image(tmp_path / "gone.png")
