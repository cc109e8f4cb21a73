"""Image files as arrays: what decodes is used as it is, what does not is named.

Pillow decodes an image whole; a large TIFF is decoded piece by piece (``large.py``).
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from likelihead.errors import DataError
from likelihead.train.images.damage import DAMAGE, UndecodableError, several_pages, undecodable
from likelihead.train.images.large import mapped_tiff, roomy, row_bands, without_limit

__all__ = [
    "IMAGE_SUFFIXES",
    "MASK_SUFFIXES",
    "Bands",
    "UndecodableError",
    "bands_of",
    "is_grey",
    "opened",
    "read_image",
    "scaled",
    "unit",
]


IMAGE_SUFFIXES = (".png", ".tif", ".tiff", ".jpg", ".jpeg", ".bmp")
MASK_SUFFIXES = (".png", ".tif", ".tiff")  # a mask must come back as it was saved, so not as a JPEG

_GREY = ("1", "L", "LA", "I;16", "I;16B", "I;16L")
_COLOUR = ("RGB", "RGBA", "RGBX", "P", "PA", "CMYK", "YCbCr")


@contextmanager
def opened(path: Path) -> Iterator[Image.Image]:
    """An image file, decoded.

    Raises:
        DataError: it cannot be read, is too large, or holds several pages.
        UndecodableError: it is no image, or a damaged one.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(
            f"cannot be read: {(error.strerror or str(error)).lower()}", path=str(path)
        ) from error
    try:
        with without_limit(), Image.open(io.BytesIO(content)) as image:
            pages = getattr(image, "n_frames", 1)
            _check_room(image, path)
            if pages == 1:
                image.load()
            # Photographs keep how the camera was held beside the pixels.
            upright = ImageOps.exif_transpose(image) if image.format == "JPEG" else image
    except DataError:
        raise
    except UnidentifiedImageError as error:
        raise UndecodableError(
            "does not decode: it is no image; replace or remove it, or train with --skip-bad",
            path=str(path),
        ) from error
    except DAMAGE as error:
        raise undecodable(error, path) from error
    if pages != 1:
        raise several_pages(pages, path)
    # Opacity is left out, of which Pillow would warn.
    upright.info.pop("transparency", None)
    yield upright


def _check_room(image: Image.Image, path: Path) -> None:
    """Refuse what cannot be decoded in this machine's memory, before it is tried."""
    # Pillow's pixels, and an array of them.
    need, have = 2 * image.width * image.height * max(len(image.getbands()), 2), _memory()
    if need > have:
        raise DataError(
            f"has {image.width} by {image.height} pixels, which take {need / 2**30:.1f} GiB to decode; there "
            f"are {have / 2**30:.1f}: save it as a TIFF, which is read in pieces",
            path=str(path),
        )


def _memory() -> int:
    """Bytes of memory that the machine has."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return 2**33  # Windows


@dataclass(frozen=True)
class Bands:
    """An image file as bands of rows.

    Attributes:
        size: height and width.
        mode: Pillow's.
        palette: red, green and blue of each index; empty where it has none.
    """

    size: tuple[int, int]
    mode: str
    palette: tuple[int, ...]
    _band: Callable[[slice], Image.Image]

    def __iter__(self) -> Iterator[tuple[slice, Image.Image]]:
        for rows in row_bands(*self.size):
            yield rows, self._band(rows)


def bands_of(path: Path) -> Bands:
    """An image file, to be looked at band by band.

    Raises:
        DataError: as :func:`opened`.
    """
    mapped = mapped_tiff(path)
    if mapped is not None:
        return _bands_of_mapped(*mapped)
    with opened(path) as image:
        whole = image
    palette = tuple(whole.getpalette("RGB") or ()) if whole.mode == "P" else ()

    def crop(rows: slice) -> Image.Image:
        if rows.stop - rows.start == whole.height:
            return whole
        return whole.crop((0, rows.start, whole.width, rows.stop))

    return Bands((whole.height, whole.width), whole.mode, palette, crop)


def _bands_of_mapped(pixels: NDArray[Any], palette: tuple[int, ...]) -> Bands:
    def cut(rows: slice) -> Image.Image:
        band = Image.fromarray(np.ascontiguousarray(pixels[rows]))
        if palette:
            band.putpalette(list(palette))
        return band

    height, width = pixels.shape[:2]
    return Bands((height, width), cut(slice(0, 1)).mode, palette, cut)


def _is_deep(image: Image.Image) -> bool:
    # Pillow before 11 opens PNGs of 16 bits as mode I.
    return image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PNG")


def is_grey(image: Image.Image, path: Path) -> bool:
    """Whether an image has one channel.

    Raises:
        DataError: its pixels are of a kind that has no known range.
    """
    if image.mode in _GREY or _is_deep(image):
        return True
    if image.mode in _COLOUR:
        return False
    raise DataError(
        f"its pixels are of Pillow's mode {image.mode}, whose range is not known; save it with 8 or 16 bits",
        path=str(path),
    )


def read_image(path: Path, channels: int | None = None) -> NDArray[Any]:
    """An image as ``[H, W, channels]``, uint8 or (16-bit grey) uint16; opacity is left out.

    Args:
        path: the file.
        channels: 1 or 3; None takes what the file has.

    Raises:
        DataError: it cannot be read or decoded.
    """
    mapped = mapped_tiff(path)
    if mapped is not None:
        return _channels(mapped[0], _bands_of_mapped(*mapped), channels)
    with opened(path) as image:
        grey = is_grey(image, path)
        wanted = channels or (1 if grey else 3)
        if _is_deep(image):
            deep = np.asarray(image).astype(np.uint16)
            return np.repeat(deep[..., None], wanted, axis=2)
        converted = image.convert("L" if wanted == 1 else "RGB")
        pixels: NDArray[Any] = np.array(converted).reshape(image.height, image.width, wanted)
        return pixels


def _channels(pixels: NDArray[Any], bands: Bands, channels: int | None) -> NDArray[Any]:
    """The pixels of a large image as ``[H, W, channels]``; copied, into a file, where colours change."""
    grey = pixels.ndim == 2 and not bands.palette
    wanted = channels or (1 if grey else 3)
    if grey:
        return np.broadcast_to(pixels[..., None], (*pixels.shape, wanted))
    if wanted == 3 and not bands.palette:
        return pixels
    array = roomy((*bands.size, wanted), np.uint8)
    for rows, band in bands:
        converted = np.asarray(band.convert("L" if wanted == 1 else "RGB"))
        array[rows] = converted.reshape(*converted.shape[:2], wanted)
    return array


def scaled(image: NDArray[Any], edges: tuple[int, int]) -> NDArray[Any]:
    """An image of another height and width, smoothed before it is made smaller; its dtype is kept."""
    if image.shape[:2] == edges:
        return image
    channels = [
        Image.fromarray(image[..., c].astype(np.float32)).resize(edges[::-1], Image.Resampling.BILINEAR)
        for c in range(image.shape[2])
    ]
    result: NDArray[Any] = np.round(np.stack([np.asarray(c) for c in channels], axis=2)).astype(image.dtype)
    return result


def unit(image: NDArray[Any]) -> NDArray[np.float32]:
    """Pixels on a scale where white is 1."""
    pixels: NDArray[np.float32] = image.astype(np.float32) / np.float32(np.iinfo(image.dtype).max)
    return pixels
