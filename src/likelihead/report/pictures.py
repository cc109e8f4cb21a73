"""Arrays as PNGs: an image, a mask of classes, a heat map over an image."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from likelihead.errors import DomainError, DTypeError, ShapeError

__all__ = ["CLASS_COLOURS", "class_colours", "heat_map", "mask_picture", "png_of"]

# Okabe and Ito's colours, told apart by people with any colour vision, then a few more of the same lightness.
CLASS_COLOURS = (
    "#5b6670", "#e69f00", "#56b4e9", "#009e73", "#f0e442", "#0072b2",
    "#d55e00", "#cc79a7", "#8c6bb1", "#a6761d", "#66a61e", "#e7298a",
)  # fmt: skip

_IGNORED = (255, 255, 255, 0)


def class_colours(count: int) -> list[str]:
    """A colour for each class as ``#rrggbb``; class 0, which is mostly the background, is grey.

    >>> class_colours(2)
    ['#5b6670', '#e69f00']
    """
    return [CLASS_COLOURS[c % len(CLASS_COLOURS)] for c in range(count)]


def png_of(array: NDArray[Any]) -> bytes:
    """An image as a PNG: the same bytes for the same pixels.

    Shape:
        - array: ``[H, W]`` grey, ``[H, W, 3]`` colour or ``[H, W, 4]`` colour with opacity; uint8 in
          [0, 255], bool, or floating point in [0, 1].

    Raises:
        ShapeError: no such shape, or no pixel.
        DTypeError: integers other than uint8, whose range is not known.
        DomainError: a floating-point value outside [0, 1], or NaN.

    >>> png_of(np.zeros((2, 3), dtype=np.uint8))[1:4]
    b'PNG'
    """
    array = np.asarray(array)
    colour = array.ndim == 3 and array.shape[2] in (3, 4)
    if not (array.ndim == 2 or colour) or 0 in array.shape:
        raise ShapeError(f"array has shape {list(array.shape)}; expected [H, W], [H, W, 3] or [H, W, 4]")
    if array.dtype == np.bool_:
        array = array.astype(np.uint8) * 255
    elif np.issubdtype(array.dtype, np.floating):
        low, high = float(array.min()), float(array.max())
        if not (low >= 0 and high <= 1):
            raise DomainError(f"array holds values from {low} to {high}; expected floating point in [0, 1]")
        array = np.round(array * 255).astype(np.uint8)
    elif array.dtype != np.uint8:
        raise DTypeError(f"array is {array.dtype}; expected uint8, bool or floating point in [0, 1]")
    out = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(array)).save(out, format="PNG", optimize=True)
    return out.getvalue()


def mask_picture(mask: NDArray[Any], *, ignore_index: int | None = -100) -> NDArray[np.uint8]:
    """A mask of class indices in the colours of :func:`class_colours`; ignored pixels are clear.

    Shape:
        - mask: ``[H, W]``, integers.
        - returns: ``[H, W, 4]``.

    >>> mask_picture(np.array([[0, -100]])).tolist()
    [[[91, 102, 112, 255], [255, 255, 255, 0]]]
    """
    mask = np.asarray(mask)
    if mask.ndim != 2 or not np.issubdtype(mask.dtype, np.integer):
        raise ShapeError(f"mask is {mask.dtype} of shape {list(mask.shape)}; expected integers [H, W]")
    colours = np.array([_rgb(colour) for colour in CLASS_COLOURS], dtype=np.uint8)
    pixels = np.empty((*mask.shape, 4), dtype=np.uint8)
    pixels[..., :3] = colours[mask % len(colours)]
    pixels[..., 3] = 255
    if ignore_index is not None:
        pixels[mask == ignore_index] = _IGNORED
    return pixels


def heat_map(image: NDArray[Any], values: NDArray[Any], *, full: float | None = None) -> NDArray[np.float64]:
    """An image, made pale, with a value for each pixel over it in orange: the stronger, the higher.

    Args:
        image: ``[H, W]`` or ``[H, W, 3]``, uint8 or floating point in [0, 1].
        values: ``[H, W]``, at least 0: the NLL of each pixel; NaN (ignored) leaves the image as it is.
        full: the value of the strongest colour; None takes the largest.

    Returns:
        ``[H, W, 3]`` in [0, 1], for :func:`png_of`.

    >>> heat_map(np.zeros((1, 2)), np.array([[0.0, 1.0]]))[0, 1].round(2).tolist()
    [0.85, 0.32, 0.0]
    """
    image, values = np.asarray(image), np.asarray(values, dtype=np.float64)
    if image.shape[:2] != values.shape or image.ndim not in (2, 3):
        raise ShapeError(
            f"values has shape {list(values.shape)}; expected {list(image.shape[:2])}, the image's"
        )
    ground = image / 255.0 if image.dtype == np.uint8 else np.asarray(image, dtype=np.float64)
    grey = ground if ground.ndim == 2 else ground[..., :3].mean(axis=2)
    known = np.isfinite(values)
    top = float(values[known].max(initial=0.0)) if full is None else full
    strength = np.where(np.isnan(values), 0.0, values) / (top or 1.0)
    strength = np.clip(strength, 0, 1)[..., None]
    # Halfway to mid-grey, so that the colour is seen on black and on white.
    pale = np.repeat((0.3 + 0.4 * grey)[..., None], 3, axis=2)
    mixed: NDArray[np.float64] = (1 - strength) * pale + strength * np.array([0.85, 0.32, 0.0])
    return mixed


def _rgb(colour: str) -> tuple[int, ...]:
    return tuple(int(colour[i : i + 2], 16) for i in (1, 3, 5))
