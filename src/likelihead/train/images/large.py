"""Images and masks that may be larger than memory: arrays in temporary files, looked at in bands of rows.

A TIFF that would take more than `LARGE` bytes is decoded by tifffile, strip by strip or tile by tile, into a
temporary file that is mapped into memory; Pillow would decode it whole.
"""

from __future__ import annotations

import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from likelihead.errors import DataError
from likelihead.train.images.damage import DAMAGE, several_pages, undecodable

__all__ = ["LARGE", "in_file", "mapped_tiff", "roomy", "row_bands", "without_limit"]

LARGE = 2**28
"""Arrays of more bytes are kept in a file."""

_BAND_PIXELS = 2**22


def roomy(shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
    """An array of zeros; a large one in a temporary file that goes when the array does."""
    if int(np.prod(shape)) * np.dtype(dtype).itemsize <= LARGE:
        return np.zeros(shape, dtype=dtype)
    with tempfile.TemporaryFile() as file:  # the mapping outlives it
        mapped: NDArray[Any] = np.memmap(file, dtype=dtype, mode="w+", shape=shape)
    return mapped


def in_file(array: NDArray[Any]) -> bool:
    """Whether an array's numbers are in a file, as those of `roomy` and `mapped_tiff` are."""
    part: object = array
    while isinstance(part, np.ndarray):
        if isinstance(part, np.memmap):
            return True
        part = part.base
    return False


def row_bands(height: int, width: int) -> Iterator[slice]:
    """The rows of an image in bands of some million pixels.

    >>> list(row_bands(3, 2**21))
    [slice(0, 2, None), slice(2, 3, None)]
    """
    step = max(_BAND_PIXELS // max(width, 1), 1)
    for top in range(0, height, step):
        yield slice(top, min(top + step, height))


@contextmanager
def without_limit() -> Iterator[None]:
    """Pillow without its limit on pixels, which guards against files from strangers, and its warnings."""
    limit = Image.MAX_IMAGE_PIXELS
    try:
        with warnings.catch_warnings():
            # Of metadata that it cannot read, and of large sizes.
            warnings.simplefilter("ignore")
            Image.MAX_IMAGE_PIXELS = None
            yield
    finally:
        Image.MAX_IMAGE_PIXELS = limit


def _is_large_tiff(path: Path) -> bool:
    if path.suffix.lower() not in (".tif", ".tiff"):
        return False
    try:
        with without_limit(), Image.open(path) as image:
            size = image.width * image.height * len(image.getbands()) * (2 if "16" in image.mode else 1)
            return bool(image.format == "TIFF" and size > LARGE)
    except (UnidentifiedImageError, *DAMAGE):
        return False  # for Pillow to say


def _free_space() -> int:
    return shutil.disk_usage(tempfile.gettempdir()).free


def mapped_tiff(path: Path) -> tuple[NDArray[Any], tuple[int, ...]] | None:
    """The pixels of a large TIFF, ``[H, W]`` or ``[H, W, 3]``, in a file; and its palette. None of any other.

    Raises:
        DataError: it holds several pages, or pixels that are read whole alone.
        UndecodableError: it is damaged.
    """
    if not _is_large_tiff(path):
        return None
    import tifffile

    try:
        with tifffile.TiffFile(path) as tiff:
            page = tiff.pages[0]
            if len(tiff.pages) != 1:
                raise several_pages(len(tiff.pages), path)
            photometric = page.photometric.name
            deep = page.dtype == np.uint16
            fits = page.dtype == np.uint8 or (deep and photometric == "MINISBLACK")
            channels = page.shape[2] if len(page.shape) == 3 else 1
            known = {"MINISBLACK": (1,), "RGB": (3, 4), "PALETTE": (1,)}.get(photometric, ())
            if not fits or len(page.shape) > 3 or channels not in known:
                raise DataError(
                    f"is a large TIFF of {page.dtype} {photometric} with {channels} channels; save it with 8 "
                    "bits, grey, RGB or with a palette, or as grey of 16 bits",
                    path=str(path),
                )
            if page.nbytes > _free_space():
                raise DataError(
                    f"takes {page.nbytes / 2**30:.1f} GiB in the folder of temporary files, and "
                    f"{_free_space() / 2**30:.1f} are free there: set TMPDIR to another",
                    path=str(path),
                )
            pixels: NDArray[Any] = page.asarray(out="memmap")
            colours: tuple[int, ...] = ()
            if photometric == "PALETTE":
                colours = tuple((np.asarray(page.colormap).T >> 8).astype(int).ravel().tolist())
    except (*DAMAGE, tifffile.TiffFileError) as error:
        if isinstance(error, DataError):
            raise
        if "requires the 'imagecodecs' package" in str(error):
            how = page.compression.name
            raise DataError(
                f"is a large TIFF compressed by {how}; save it with deflate, or uncompressed", path=str(path)
            ) from error
        raise undecodable(error, path) from error
    if channels == 1:
        return pixels.reshape(pixels.shape[:2]), colours
    return pixels[..., :3], colours
