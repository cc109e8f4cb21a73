"""Files that are there whole or not at all."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from likelihead.errors import RunError

__all__ = ["replacing", "sync_folder", "unwritable", "write_bytes"]

_REMEDIES = {
    errno.ENOSPC: "no space left on the device; free some space",
    errno.EDQUOT: "the disk quota is used up; free some space",
    errno.EFBIG: "the file would be larger than is allowed; raise the limit",
    errno.EACCES: "permission denied; choose a folder that you can write to",
    errno.EPERM: "permission denied; choose a folder that you can write to",
    errno.EROFS: "the file system is read-only; choose another folder",
    errno.ENOTDIR: "a part of the path is a file, not a folder; choose another folder",
    errno.ENOENT: "there is no such folder; create it, or choose another",
    errno.EISDIR: "that is a folder; give the name of a file",
    errno.ENOTEMPTY: "another run took the folder meanwhile; choose another",
    errno.ENAMETOOLONG: "the name is too long; choose a shorter one",
}


def unwritable(path: Path, error: OSError) -> RunError:
    """The one-line error for a path that could not be written."""
    reason = _REMEDIES.get(error.errno or 0, (error.strerror or str(error)).lower())
    return RunError(f"cannot write {path}: {reason}")


@contextmanager
def replacing(
    path: Path, *, durable: bool = True, settle: Callable[[Path, Path], object] | None = None
) -> Iterator[BinaryIO]:
    """Open a temporary file beside ``path``, which takes its name when the block ends without an exception.

    Whatever happens, ``path`` is either what it was or the whole new file.

    Args:
        path: the file.
        durable: whether to wait until the bytes and the name are on the disk.
        settle: gives the finished temporary file its name, or removes it and raises; by default it takes
            the name whatever has it.

    Raises:
        RunError: the file cannot be written; the temporary file is gone then.
    """
    try:
        temporary = _free_temporary(path)
        with _removed_on_failure(temporary):
            with temporary.open("wb") as file:
                yield file
                file.flush()
                if durable:
                    os.fsync(file.fileno())
            (settle or os.replace)(temporary, path)
            if durable:
                sync_folder(path.parent)
    except OSError as error:
        raise unwritable(path, error) from error


def _free_temporary(path: Path) -> Path:
    """An empty new file beside ``path``, of a name that nothing had."""
    number = os.getpid()
    while True:
        temporary = path.with_name(f".{path.name}.{number}.tmp")
        try:
            temporary.open("xb").close()
        except FileExistsError:
            number += 1
        else:
            return temporary


@contextmanager
def _removed_on_failure(path: Path) -> Iterator[None]:
    try:
        yield
    except BaseException:
        if os.path.lexists(path):
            path.unlink()
        raise


def write_bytes(path: Path, content: bytes) -> None:
    """Write a whole file atomically and durably.

    Raises:
        RunError: the file cannot be written.
    """
    with replacing(path) as file:
        file.write(content)


def sync_folder(folder: Path) -> None:
    """Wait until the folder's entries are on the disk, where the platform can open a folder for that."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
