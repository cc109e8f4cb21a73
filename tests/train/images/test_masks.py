"""Masks: values, palettes and colours to classes and back; what fits no class is named."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from likelihead.errors import DataError, OptionError
from likelihead.train.images.masks import (
    RawMask,
    encoded,
    mask_image,
    mask_kind,
    parse_ignore,
    raw_mask,
    read_palette,
)
from likelihead.train.images.schema import IGNORE, Coding

PALETTE = [0, 0, 0, 255, 0, 0, 0, 255, 0] + [7] * (253 * 3)
COLOURS = (0x000000, 0xFF0000, 0x00FF00)


@st.composite
def codings(draw: st.DrawFn) -> Coding:
    kind = draw(st.sampled_from(["index", "colour"]))
    top = 0xFFFFFF if kind == "colour" else draw(st.sampled_from([255, 65535]))
    codes = draw(st.lists(st.integers(0, top), min_size=2, max_size=9, unique=True))
    palette = tuple(PALETTE) if kind == "index" and draw(st.booleans()) else ()
    return Coding(kind, tuple(codes), "", palette)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(coding=codings(), seed=st.integers(0, 1000))
def test_a_written_mask_is_read_as_it_was(tmp_path: Path, coding: Coding, seed: int) -> None:
    classes = np.random.default_rng(seed).integers(0, len(coding.codes), (5, 7))
    path = tmp_path / "mask.png"
    mask_image(classes, coding).save(path)
    raw = raw_mask(path, coding.kind, "")
    assert np.array_equal(encoded(raw, coding, ["x"] * len(coding.codes), str(path)), classes)
    if coding.palette and max(coding.codes) < 256:
        assert raw.palette[:9] == tuple(PALETTE[:9])


def codes(raw: RawMask) -> list[list[int]]:
    found: list[list[int]] = np.concatenate([band for _, band in raw.bands()]).tolist()
    return found


def paletted(path: Path, values: list[list[int]]) -> Path:
    image = Image.fromarray(np.array(values, dtype=np.uint8))
    image.putpalette(PALETTE)
    image.save(path)
    return path


def test_a_palette_s_index_or_its_colour(tmp_path: Path) -> None:
    path = paletted(tmp_path / "m.png", [[0, 1], [2, 2]])
    assert mask_kind(path) == "index"
    assert codes(raw_mask(path, "index", "")) == [[0, 1], [2, 2]]
    assert codes(raw_mask(path, "colour", "")) == [[0, 0xFF0000], [0x00FF00, 0x00FF00]]


@pytest.mark.parametrize("ignore", ["2", "#00ff00"])
@pytest.mark.parametrize("kind", ["index", "colour"])
def test_pixels_that_are_not_labelled(tmp_path: Path, kind: str, ignore: str) -> None:
    path = paletted(tmp_path / "m.png", [[0, 1], [2, 2]])
    raw = raw_mask(path, kind, ignore)  # type: ignore[arg-type]
    known = (0, 1) if kind == "index" else COLOURS[:2]
    classes = encoded(raw, Coding(kind, known, ignore), ["a", "b"], "m.png")  # type: ignore[arg-type]
    assert classes.tolist() == [[0, 1], [IGNORE, IGNORE]]


def test_an_unknown_colour_is_named_with_its_place(tmp_path: Path) -> None:
    path = paletted(tmp_path / "m.png", [[0, 1, 0], [0, 0, 2]])
    with pytest.raises(
        DataError, match=r"m\.png: the pixel at x=2, y=1 has the colour #00ff00, which is not"
    ):
        encoded(raw_mask(path, "colour", ""), Coding("colour", COLOURS[:2]), ["sky", "sea"], str(path))
    with pytest.raises(DataError, match=r"the value 2, .* 0 \(sky\), 1 \(sea\)"):
        encoded(raw_mask(path, "index", ""), Coding("index", (0, 1)), ["sky", "sea"], str(path))


def test_a_colour_mask_among_masks_of_values(tmp_path: Path) -> None:
    path = tmp_path / "m.png"
    Image.new("RGB", (2, 2)).save(path)
    with pytest.raises(DataError, match="is a colour image"):
        raw_mask(path, "index", "")
    with pytest.raises(DataError, match="write the colour as #rrggbb"):
        raw_mask(path, "colour", "255")


def test_a_palette_file(tmp_path: Path) -> None:
    assert read_palette([tmp_path]) is None
    (tmp_path / "palette.csv").write_text("class,colour\nsky,#0000ff\nsea,#00FFFF\n")
    palette = read_palette([tmp_path / "nowhere", tmp_path])
    assert palette is not None
    assert (palette.kind, palette.names, palette.codes) == ("colour", ("sky", "sea"), (0x0000FF, 0x00FFFF))
    (tmp_path / "palette.csv").write_text("sky,0\nsea,7\n")
    palette = read_palette([tmp_path])
    assert palette is not None
    assert (palette.kind, palette.codes) == ("index", (0, 7))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sky,#0000ff\n", "names 1 classes"),
        ("sky,#0000ff\nsea,3\n", "some classes have a colour and some a value"),
        ("sky,blue\n", "'blue' is no colour"),
        ("sky,0,0\n", "row 1: expected `class,#rrggbb`"),
        ("sky,0\nsky,1\n", "row 2: the class 'sky' or 1 is there twice"),
        ("sky,0\nsea,0\n", "'sea' or 0 is there twice"),
        (",0\nsea,1\n", "has no name"),
        ('"sky,0\n', "is not valid CSV"),
    ],
)
def test_a_palette_file_that_is_not_right(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "palette.csv").write_text(text)
    with pytest.raises(DataError, match=re.escape(message)):
        read_palette([tmp_path])


@pytest.mark.parametrize("text", ["red", "#12345", "-1", "1.5"])
def test_an_ignore_colour_that_is_none(text: str) -> None:
    with pytest.raises(OptionError, match="--ignore-colour"):
        parse_ignore(text)
