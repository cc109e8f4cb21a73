"""Where a text comes from: a file, a folder of files, or the sources of Python's standard library."""

from __future__ import annotations

import hashlib
import os
import sysconfig
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from likelihead.errors import DataError
from likelihead.train.option import TEXT_SETS

__all__ = ["Document", "Documents", "read_documents", "split"]

_LOOKED_AT = 8192
"""Bytes at the head of a file in which a zero byte says that it is no text, as git has it."""

# Some installations leave Python's own tests out; without them the set is about the same everywhere.
_NOT_STDLIB = frozenset({"site-packages", "dist-packages", "test", "tests", "idle_test", "__pycache__"})


@dataclass(frozen=True)
class Document:
    """One text.

    Attributes:
        name: its path below the folder, or the file's name.
        content: its bytes; never empty.
        start: where in its file it begins, in bytes: 0, or behind the cut of a single file.
    """

    name: str
    content: bytes
    start: int = 0


@dataclass(frozen=True)
class Documents:
    """All texts of a run, in the order of their names.

    Attributes:
        path: where they come from.
        items: the texts.
        notes: lines on what was left out.
    """

    path: str
    items: tuple[Document, ...]
    notes: tuple[str, ...]


def read_documents(data: str) -> Documents:
    """Read a text file, the text files of a folder and of the folders in it, or ``stdlib``.

    Hidden files are left out of a folder, and so are those with a zero byte near their beginning, with a
    note. A single file is taken as it is.

    Raises:
        DataError: nothing is there, a file cannot be read, or there is no text.
    """
    notes: list[str] = []
    if data in TEXT_SETS:
        root = Path(sysconfig.get_paths()["stdlib"])
        paths = _below(root, data)
        paths = [p for p in paths if p.suffix == ".py" and not _NOT_STDLIB & set(p.relative_to(root).parts)]
    elif os.path.isdir(data):
        root = Path(data)
        paths = _below(root, data)
    elif os.path.isfile(data):
        root, paths = Path(data).parent, [Path(data)]
    else:
        raise DataError(
            "is not a text file or a folder"
            if os.path.exists(data)
            else f"is not there; give a text file, a folder of text, or {' or '.join(TEXT_SETS)}",
            path=data,
        )
    if not paths:
        raise DataError("holds no file; give a folder with text files", path=data)
    items: list[Document] = []
    empty: list[str] = []
    binary: list[str] = []
    for path in paths:
        content = _content(path)
        name = path.relative_to(root).as_posix()
        if not content:
            empty.append(name)
        elif len(paths) > 1 and b"\0" in content[:_LOOKED_AT]:
            binary.append(name)
        else:
            items.append(Document(name, content))
    if not items:
        raise DataError(_why_none(len(paths), binary), path=data)
    for names, why in ((empty, "empty"), (binary, "no text: a zero byte near the beginning")):
        if names:
            notes.append(f"left out, {why}: {_listed(names)}")
    return Documents(data, tuple(items), tuple(notes))


def _why_none(files: int, binary: Sequence[str]) -> str:
    if binary:
        return "holds no text: its files are empty, or have a zero byte near the beginning"
    return (
        "is empty; give a file with text" if files == 1 else "holds empty files alone; give files with text"
    )


def _below(root: Path, data: str) -> list[Path]:
    def fail(error: OSError) -> None:
        raise DataError(
            f"cannot be read ({(error.strerror or str(error)).lower()})", path=error.filename or data
        ) from error

    found = []
    for folder, folders, files in os.walk(root, onerror=fail):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [Path(folder, name) for name in files if not name.startswith(".")]
    return sorted((p for p in found if p.is_file()), key=lambda p: p.relative_to(root).as_posix())


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise DataError(f"cannot be read ({reason})", path=str(path)) from error


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")


def split(documents: Documents, seed: int, fraction: float) -> tuple[list[Document], list[Document], str]:
    """Training and held-out texts, and a note where there was but one.

    Whole texts are held out, in the order of a hash of their names and the seed, until their share of the
    bytes is ``fraction``; one that would go beyond it is passed over. A single text is cut in two, behind a
    line where there is one near: its end is held out.

    Raises:
        DataError: a single text that is too short to be cut.
    """
    items = documents.items
    if len(items) == 1:
        return _cut(documents, fraction)
    budget = fraction * sum(len(item.content) for item in items)
    order = sorted(range(len(items)), key=lambda i: _hash(items[i].name, seed))
    held: set[int] = set()
    taken = 0
    for i in order:
        size = len(items[i].content)
        if taken + size <= budget:
            held.add(i)
            taken += size
    if not held:
        held = {min(order, key=lambda i: len(items[i].content))}
    train = [item for i, item in enumerate(items) if i not in held]
    return train, [item for i, item in enumerate(items) if i in held], ""


def _hash(name: str, seed: int) -> bytes:
    return hashlib.sha256(f"{seed}\0{name}".encode("utf-8", "surrogateescape")).digest()


def _cut(documents: Documents, fraction: float) -> tuple[list[Document], list[Document], str]:
    (item,) = documents.items
    content = item.content
    if len(content) < 2:
        raise DataError("is one byte long, and cannot be split in two; give more text", path=documents.path)
    at = min(max(round(len(content) * (1 - fraction)), 1), len(content) - 1)
    line = content.find(b"\n", at, at + 1000) + 1
    if 0 < line < len(content):
        at = line
    while at < len(content) - 1 and content[at] & 0xC0 == 0x80:
        at += 1  # not inside a character of UTF-8
    note = f"one text: its last {len(content) - at:,} of {len(content):,} bytes are held out"
    return [Document(item.name, content[:at])], [Document(item.name, content[at:], at)], note
