"""Folders of images: what belongs together, and what is said where something is missing."""

from __future__ import annotations

import math
import os
import re
import sys
from pathlib import Path

import pytest
from PIL import Image

from likelihead.errors import DataError
from likelihead.train.images.folder import (
    class_folders,
    folder_task,
    labels_file,
    mask_pairs,
    only_images,
)


def image(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (2, 2)).save(path)
    return path


def test_masks_by_name(tmp_path: Path) -> None:
    for name in ("b.png", "a.jpg", "c.tif"):
        image(tmp_path / "images" / name)
        image(tmp_path / "masks" / f"{name[0]}.png")
    (tmp_path / "images" / "notes.txt").write_text("no image")
    (tmp_path / "images" / ".hidden.png").write_text("no image")
    listing = mask_pairs(tmp_path, "")
    assert [p.name for p in listing.images] == ["a.jpg", "b.png", "c.tif"]
    assert [p.name for p in listing.masks] == ["a.png", "b.png", "c.png"]
    assert folder_task(tmp_path, "") == "segmentation"
    elsewhere = tmp_path / "elsewhere"
    (tmp_path / "masks").rename(elsewhere)
    assert mask_pairs(tmp_path / "images", str(elsewhere)) == mask_pairs(tmp_path, str(elsewhere))


@pytest.mark.parametrize(
    ("images", "masks", "message"),
    [
        (["a.png"], [], "is not there; name the folder of masks"),
        ([], ["a.png"], "holds no image"),
        (["a.png", "b.png"], ["a.png"], "b.png: has no mask: there is no b.png, .tif or .tiff in"),
        (["a.png"], ["a.png", "b.png"], "b.png: is a mask without an image"),
        (["a.png", "a.jpg"], ["a.png"], "there are two images of the name 'a': a.jpg and a.png"),
        (["a.png"], ["a.png", "a.tif"], "there are two masks of the name 'a'"),
    ],
)
def test_masks_that_do_not_fit(tmp_path: Path, images: list[str], masks: list[str], message: str) -> None:
    (tmp_path / "images").mkdir()
    for name in images:
        image(tmp_path / "images" / name)
    for name in masks:
        image(tmp_path / "masks" / name)
    with pytest.raises(DataError, match=re.escape(message)):
        mask_pairs(tmp_path, "")


def test_classes_by_folder(tmp_path: Path) -> None:
    for name in ("cat/1.png", "cat/2.png", "ant/1.png"):
        image(tmp_path / name)
    listing = class_folders(tmp_path)
    assert listing.names == ("ant", "cat")
    assert listing.classes == (0, 1, 1)
    assert folder_task(tmp_path, "") == "multiclass"
    assert len(only_images(tmp_path).images) == 3
    (tmp_path / "bee").mkdir()
    with pytest.raises(DataError, match="bee: holds no image"):
        class_folders(tmp_path)


def test_one_class_and_none(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has no folders"):
        class_folders(tmp_path)
    with pytest.raises(DataError, match="holds no image"):
        only_images(tmp_path)
    with pytest.raises(DataError, match="has no masks folder"):
        folder_task(tmp_path, "")
    with pytest.raises(DataError, match="is not there; give a folder"):
        folder_task(tmp_path / "nowhere", "")
    image(tmp_path / "cat" / "1.png")
    with pytest.raises(DataError, match="has one folder, 'cat'"):
        class_folders(tmp_path)


def test_labels(tmp_path: Path) -> None:
    image(tmp_path / "a.png")
    image(tmp_path / "images" / "b.png")
    image(tmp_path / "images" / "c.png")
    (tmp_path / "labels.csv").write_text("image,red,green\na.png,1,0\n\nb.png,,1\n")
    listing = labels_file(tmp_path)
    assert listing.names == ("red", "green")
    assert listing.labels[0] == (1.0, 0.0)
    assert math.isnan(listing.labels[1][0])
    assert listing.notes == ("left out 1 images that labels.csv has no line for",)
    assert folder_task(tmp_path, "") == "multilabel"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected a first line `image,label,...`"),
        ("name,red\na.png,1\n", "expected a first line `image,label,...`"),
        ("image\na.png\n", "expected a first line `image,label,...`"),
        ("image,red,red\na.png,1,0\n", "the label 'red' is there twice"),
        ("image,red\n", "names no image"),
        ("image,red\na.png,1,0\n", "row 1: has 3 cells for 2 columns"),
        ("image,red\na.png,yes\n", "row 1, column 'red': 'yes' is no label"),
        ("image,red\na.png,1\nb.png,1\n", "row 2, column 'image': there is no image 'b.png'"),
        ("image,red\na.png,1\na.png,0\n", "names a.png twice"),
        ('image,red\n"a.png,1\n', "is not valid CSV"),
    ],
)
def test_labels_that_are_not_right(tmp_path: Path, text: str, message: str) -> None:
    image(tmp_path / "a.png")
    (tmp_path / "labels.csv").write_text(text)
    with pytest.raises(DataError, match=re.escape(message)):
        labels_file(tmp_path)


def test_images_and_masks_are_no_classes(tmp_path: Path) -> None:
    image(tmp_path / "images" / "a.png")
    image(tmp_path / "masks" / "a.png")
    with pytest.raises(DataError, match="images and masks, which are no classes; use --task segmentation"):
        class_folders(tmp_path)
    image(tmp_path / "others" / "a.png")
    assert class_folders(tmp_path).names == ("images", "masks", "others")


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
@pytest.mark.parametrize("name", [b"caf\xe9/a.png", b"cafe/\xe9.png"])
def test_names_that_are_no_unicode(tmp_path: Path, name: bytes) -> None:
    image(tmp_path / "tea" / "a.png")
    image(tmp_path / os.fsdecode(name))
    with pytest.raises(DataError, match=r"udce9.*is not valid Unicode.*rename it"):
        class_folders(tmp_path)
