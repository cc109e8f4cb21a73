"""The files of a run folder: whose they are, and who may write them."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["clean_temporaries", "locked"]

# Of the files that a run writes, and of no others: somebody may keep files of their own in the folder.
_TEMPORARY = re.compile(
    r"\.(config\.toml|schema\.json|metrics\.jsonl|model\.safetensors|report\.(html|json)|step-\d+\.ckpt)\.\d+\.tmp"
)


def clean_temporaries(folder: Path) -> list[Path]:
    """Remove the temporary files that a killed process left in ``folder``, whose lock the caller holds."""
    removed = [path for path in folder.iterdir() if _TEMPORARY.fullmatch(path.name) and path.is_file()]
    for path in removed:
        path.unlink()
    return removed


@contextmanager
def locked(folder: Path) -> Iterator[bool]:
    """Hold a folder's lock, which the system lets go of when the process ends, however it ends.

    Gives False where another process holds it. Where the platform or the file system has no such locks
    (Windows, some network mounts) there is nothing to hold, and the folder counts as ours.
    """
    if os.name == "nt":
        yield True
        return
    import fcntl

    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            ours = error.errno not in (errno.EWOULDBLOCK, errno.EACCES)
        else:
            ours = True
        yield ours
    finally:
        os.close(descriptor)
