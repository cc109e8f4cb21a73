"""What is said of image files that do not decode."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

from likelihead.errors import DataError

__all__ = ["DAMAGE", "UndecodableError", "several_pages", "undecodable"]

DAMAGE = (
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


"""What decoders raise on damaged files."""


class UndecodableError(DataError):
    """A file that is no image, or a damaged one: the only files that ``--skip-bad`` leaves out."""


def undecodable(error: Exception, path: Path) -> UndecodableError:
    """A file that a decoder stopped at."""
    reason = " ".join(str(error).split()) or type(error).__name__
    return UndecodableError(
        f"does not decode ({reason}); replace or remove it, or train with --skip-bad", path=str(path)
    )


def several_pages(pages: int, path: Path) -> DataError:
    """A file of several images."""
    return DataError(f"holds {pages} pages; save each as a file of its own", path=str(path))
