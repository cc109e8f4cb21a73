"""Image files as arrays: what decodes is used as it is, what does not is named."""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from likelihead.errors import DataError

__all__ = [
    "IMAGE_SUFFIXES",
    "MASK_SUFFIXES",
    "UndecodableError",
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

# What Pillow's decoders raise on damaged files.
_DAMAGE = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    IndexError,
    KeyError,
    TypeError,
    AttributeError,
    OverflowError,
    NotImplementedError,
    struct.error,
    zlib.error,
)


class UndecodableError(DataError):
    """A file that is no image, or a damaged one: the only files that ``--skip-bad`` leaves out."""


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
        with warnings.catch_warnings():
            # Pillow warns of metadata that it cannot read, and of sizes at half of what it refuses.
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(content)) as image:
                pages = getattr(image, "n_frames", 1)
                if pages == 1:
                    image.load()
                # Photographs keep how the camera was held beside the pixels.
                upright = ImageOps.exif_transpose(image) if image.format == "JPEG" else image
    except Image.DecompressionBombError as error:
        raise DataError(
            "has more pixels than Pillow decodes at once (179 million); cut it into several files",
            path=str(path),
        ) from error
    except UnidentifiedImageError as error:
        raise UndecodableError(
            "does not decode: it is no image; replace or remove it, or train with --skip-bad",
            path=str(path),
        ) from error
    except _DAMAGE as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UndecodableError(
            f"does not decode ({reason}); replace or remove it, or train with --skip-bad",
            path=str(path),
        ) from error
    if pages != 1:
        raise DataError(f"holds {pages} pages; save each as a file of its own", path=str(path))
    # Opacity is left out, of which Pillow would warn.
    upright.info.pop("transparency", None)
    yield upright


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
    with opened(path) as image:
        grey = is_grey(image, path)
        wanted = channels or (1 if grey else 3)
        if _is_deep(image):
            deep = np.asarray(image).astype(np.uint16)
            return np.repeat(deep[..., None], wanted, axis=2)
        converted = image.convert("L" if wanted == 1 else "RGB")
        pixels: NDArray[Any] = np.array(converted).reshape(image.height, image.width, wanted)
        return pixels


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
