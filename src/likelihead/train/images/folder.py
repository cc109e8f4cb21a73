"""Folders of images: which files belong together."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from likelihead.errors import DataError
from likelihead.train.images.decode import IMAGE_SUFFIXES, MASK_SUFFIXES

__all__ = [
    "Listing",
    "class_folders",
    "folder_task",
    "image_files",
    "labels_file",
    "mask_pairs",
    "only_images",
]

LABELS = "labels.csv"


@dataclass(frozen=True)
class Listing:
    """Images and what is known of each.

    Attributes:
        images: the files, in the order of their names.
        masks: of each image; empty where there are none.
        names: the classes of a multiclass task, or the labels.
        classes: of each image, its class's index.
        labels: of each image, 0, 1 or NaN for each label.
        notes: what was left out.
    """

    images: tuple[Path, ...]
    masks: tuple[Path, ...] = ()
    names: tuple[str, ...] = ()
    classes: tuple[int, ...] = ()
    labels: tuple[tuple[float, ...], ...] = ()
    notes: tuple[str, ...] = ()


def folder_task(root: Path, masks: str) -> str:
    """The task that a folder's content asks for.

    Raises:
        DataError: it is no folder, or one of no known form.
    """
    if not root.is_dir():
        what = "is a file" if root.exists() else "is not there"
        raise DataError(f"{what}; give a folder of images, or digit-scenes", path=str(root))
    if masks or (root / "masks").is_dir():
        return "segmentation"
    if (root / LABELS).is_file():
        return "multilabel"
    if any(path.is_dir() and path.name != "images" and image_files(path) for path in root.iterdir()):
        return "multiclass"
    raise DataError(
        "has no masks folder (segmentation), no labels.csv (multilabel) and no folders of images "
        "(multiclass); arrange it as one of these, or name the masks with --masks (of text: --task language)",
        path=str(root),
    )


def image_files(folder: Path, suffixes: Sequence[str] = IMAGE_SUFFIXES) -> list[Path]:
    """The image files of a folder, by name.

    Raises:
        DataError: the folder cannot be read, or a file's name is no Unicode.
    """
    try:
        found = [path for path in folder.iterdir() if path.suffix.lower() in suffixes and path.is_file()]
    except OSError as error:
        raise DataError(
            f"cannot be read: {(error.strerror or str(error)).lower()}", path=str(folder)
        ) from error
    return sorted(_unicode(path) for path in found if not path.name.startswith("."))


def _unicode(path: Path) -> Path:
    # A name that is no UTF-8 on the disk comes with surrogates, which no report and no CSV can hold.
    if path.name.encode("utf-8", "replace").decode("utf-8") != path.name:
        raise DataError(
            f"the name {path.name!r} is not valid Unicode, and a run's files are UTF-8; rename it",
            path=str(path.parent),
        )
    return path


def _by_stem(folder: Path, suffixes: Sequence[str], what: str) -> dict[str, Path]:
    files: dict[str, Path] = {}
    for path in image_files(folder, suffixes):
        if path.stem in files:
            raise DataError(
                f"there are two {what} of the name {path.stem!r}: {files[path.stem].name} and {path.name}; "
                "keep one",
                path=str(folder),
            )
        files[path.stem] = path
    return files


def images_folder(root: Path) -> Path:
    """``images`` in a folder, or, without one, the folder itself."""
    return root / "images" if (root / "images").is_dir() else root


def mask_pairs(root: Path, masks: str) -> Listing:
    """Each image with the mask of its name.

    Args:
        root: a folder of images, or one with ``images`` in it.
        masks: the folder of masks; empty for ``masks`` in ``root``.

    Raises:
        DataError: a folder is not there or empty, or an image or a mask has no counterpart.
    """
    if not root.is_dir():
        raise DataError("is no folder; give a folder of images and masks", path=str(root))
    folder, mask_folder = images_folder(root), Path(masks) if masks else root / "masks"
    if not mask_folder.is_dir():
        raise DataError("is not there; name the folder of masks with --masks", path=str(mask_folder))
    images, found = _by_stem(folder, IMAGE_SUFFIXES, "images"), _by_stem(mask_folder, MASK_SUFFIXES, "masks")
    if not images:
        raise DataError(f"holds no image ({', '.join(IMAGE_SUFFIXES)})", path=str(folder))
    for stem, path in images.items():
        if stem not in found:
            raise DataError(
                f"has no mask: there is no {stem}.png, .tif or .tiff in {mask_folder}; add it, or remove the "
                "image",
                path=str(path),
            )
    for stem, path in found.items():
        if stem not in images:
            raise DataError(
                f"is a mask without an image: there is no {stem} in {folder}; add it, or remove the mask",
                path=str(path),
            )
    return Listing(tuple(images.values()), tuple(found[stem] for stem in images))


def class_folders(root: Path, *, least: int = 2) -> Listing:
    """The images of each folder in ``root``, which is named after their class.

    Args:
        root: the folder of folders.
        least: how many classes there must be.

    Raises:
        DataError: there are too few such folders, or one of them is empty.
    """
    try:
        folders = sorted(p for p in root.iterdir() if p.is_dir() and not p.name.startswith("."))
    except OSError as error:
        raise DataError(
            f"cannot be read: {(error.strerror or str(error)).lower()}", path=str(root)
        ) from error
    if len(folders) < least:
        what = f"has one folder, {folders[0].name!r}" if folders else "has no folders"
        raise DataError(
            f"{what}; a multiclass task takes a folder of images for each of at least two classes",
            path=str(root),
        )
    if {folder.name for folder in folders} == {"images", "masks"}:
        raise DataError(
            "holds images and masks, which are no classes; use --task segmentation, or name the folders "
            "after classes",
            path=str(root),
        )
    images: list[Path] = []
    classes: list[int] = []
    for index, folder in enumerate(folders):
        files = image_files(_unicode(folder))
        if not files:
            raise DataError(
                f"holds no image ({', '.join(IMAGE_SUFFIXES)}); add some, or remove it", path=str(folder)
            )
        images += files
        classes += [index] * len(files)
    return Listing(tuple(images), names=tuple(f.name for f in folders), classes=tuple(classes))


def labels_file(root: Path) -> Listing:
    """The images that ``labels.csv`` names: a header ``image,label,...``, cells 0, 1 or empty (not known).

    Raises:
        DataError: the file is not of that form, or an image is not there.
    """
    path = root / LABELS
    try:
        rows = list(csv.reader(io.StringIO(path.read_text(encoding="utf-8-sig")), strict=True))
    except OSError as error:
        raise DataError(
            f"cannot be read: {(error.strerror or str(error)).lower()}", path=str(path)
        ) from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"is not valid CSV in UTF-8 ({error})", path=str(path)) from error
    header = [cell.strip() for cell in rows[0]] if rows else []
    if len(header) < 2 or header[0].lower() != "image":
        raise DataError("expected a first line `image,label,...` with at least one label", path=str(path))
    names = tuple(header[1:])
    repeated = next((name for name in names if not name or names.count(name) > 1), None)
    if repeated is not None:
        raise DataError(
            f"the label {repeated!r} is {'there twice' if repeated else 'without a name'}", path=str(path)
        )
    images: list[Path] = []
    labels: list[tuple[float, ...]] = []
    for row, cells in enumerate(rows[1:], 1):
        if not cells:
            continue
        if len(cells) != len(header):
            raise DataError(f"has {len(cells)} cells for {len(header)} columns", path=str(path), row=row)
        images.append(_named(root, cells[0].strip(), path, row))
        labels.append(
            tuple(_label(cell, name, path, row) for name, cell in zip(names, cells[1:], strict=True))
        )
    if not images:
        raise DataError("names no image; give one line for each", path=str(path))
    if len(set(images)) < len(images):
        twice = next(image for image in images if images.count(image) > 1)
        raise DataError(f"names {twice.name} twice; give each image one line", path=str(path))
    others = set(image_files(images_folder(root))) - set(images)
    notes = (f"left out {len(others)} images that labels.csv has no line for",) if others else ()
    return Listing(tuple(images), names=names, labels=tuple(labels), notes=notes)


def _named(root: Path, name: str, path: Path, row: int) -> Path:
    for candidate in (root / name, root / "images" / name):
        if name and candidate.is_file():
            return candidate
    raise DataError(f"there is no image {name!r} in {root}", path=str(path), row=row, column="image")


def _label(cell: str, name: str, path: Path, row: int) -> float:
    values = {"0": 0.0, "1": 1.0, "": math.nan}
    if cell.strip() not in values:
        raise DataError(
            f"{cell!r} is no label; expected 0, 1 or an empty cell", path=str(path), row=row, column=name
        )
    return values[cell.strip()]


def only_images(root: Path) -> Listing:
    """All images to predict for: of a folder, of ``images`` in it, or of the folders in it.

    Raises:
        DataError: there is none.
    """
    if root.is_file():
        return Listing((_unicode(root),))
    if not root.is_dir():
        raise DataError("is not there; give an image, a folder of images, or digit-scenes", path=str(root))
    files = image_files(images_folder(root))
    if not files:
        files = [
            p for f in sorted(root.iterdir()) if f.is_dir() and f.name != "masks" for p in image_files(f)
        ]
    if not files:
        raise DataError(f"holds no image ({', '.join(IMAGE_SUFFIXES)})", path=str(root))
    return Listing(tuple(files))
