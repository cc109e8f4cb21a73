"""Checkpoints: one file with a checksum, there whole or not at all.

A file is ``magic | SHA-256 of all that follows | length of the header | header (JSON) | safetensors``.
Nothing is unpickled, and a flipped bit anywhere is found before anything is used.
"""

from __future__ import annotations

import hashlib
import json
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from likelihead.core.atomic import write_bytes
from likelihead.errors import CheckpointError
from likelihead.train.atomic import clean_temporaries

__all__ = ["KEEP", "Checkpoint", "latest", "paths", "read", "write"]

KEEP = 2

_MAGIC = b"LHCKPT01"
_LENGTH = struct.Struct("<Q")
_DIGEST = hashlib.sha256().digest_size
_PREFIX = len(_MAGIC) + _DIGEST + _LENGTH.size
_NAME = re.compile(r"step-(\d{9,})\.ckpt")


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint holds.

    Attributes:
        tensors: weights, optimizer state and generator states, by a dotted name.
        header: the rest, as JSON: the position in the data, the length of the log, the configuration's hash.
    """

    tensors: Mapping[str, Tensor]
    header: Mapping[str, Any]


def paths(folder: Path) -> list[Path]:
    """The checkpoints of a folder, the newest last."""
    if not folder.is_dir():
        return []
    found = [(int(match[1]), path) for path in folder.iterdir() if (match := _NAME.fullmatch(path.name))]
    return [path for _, path in sorted(found)]


def write(folder: Path, step: int, checkpoint: Checkpoint) -> Path:
    """Write a checkpoint, then remove all but the last :data:`KEEP`.

    Raises:
        RunError: it cannot be written; the checkpoints before it are as they were.
    """
    header = json.dumps(checkpoint.header, sort_keys=True, separators=(",", ":")).encode()
    payload = save_tensors({name: t.detach().contiguous() for name, t in checkpoint.tensors.items()})
    body = _LENGTH.pack(len(header)) + header + payload
    path = folder / f"step-{step:09d}.ckpt"
    write_bytes(path, _MAGIC + hashlib.sha256(body).digest() + body)
    for old in paths(folder)[:-KEEP]:
        old.unlink()
    return path


def read(path: Path) -> Checkpoint:
    """Read a checkpoint and verify its checksum.

    Raises:
        CheckpointError: it is truncated or altered, or is no checkpoint; the message names the one before it.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"cannot read checkpoint {path}: {error.strerror}. {_remedy(path)}") from error
    if len(content) < _PREFIX or not content.startswith(_MAGIC):
        what = "is truncated" if _MAGIC.startswith(content[: len(_MAGIC)]) else "is not a checkpoint"
        raise CheckpointError(f"{path} {what} ({len(content)} bytes). {_remedy(path)}")
    digest = content[len(_MAGIC) : len(_MAGIC) + _DIGEST]
    body = memoryview(content)[len(_MAGIC) + _DIGEST :]
    if hashlib.sha256(body).digest() != digest:
        raise CheckpointError(f"{path} is damaged: its checksum does not match. {_remedy(path)}")
    (length,) = _LENGTH.unpack_from(body)
    end = _LENGTH.size + length
    try:
        header = json.loads(bytes(body[_LENGTH.size : end]))
        tensors = load_tensors(bytes(body[end:]))
    except (ValueError, SafetensorError) as error:
        # The checksum holds, so the file is as it was written: by another version.
        raise CheckpointError(f"{path} is of a format that this version cannot read: {error}") from error
    return Checkpoint(tensors, header)


def latest(folder: Path) -> Path:
    """The newest checkpoint, after clearing away what a killed process left half-written.

    Raises:
        CheckpointError: there is none.
    """
    found = paths(folder)
    if not found:
        raise CheckpointError(f"{folder} holds no checkpoint to resume from; start the training again")
    clean_temporaries(folder)
    return found[-1]


def _remedy(path: Path) -> str:
    others = [other for other in paths(path.parent) if other != path]
    if others:
        return f"Delete it to resume from the one before, {others[-1].name}"
    return "There is no other checkpoint in its folder; start the training again"
