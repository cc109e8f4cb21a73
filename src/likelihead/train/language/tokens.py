"""Text as token ids, and which bytes each id stands for."""

from __future__ import annotations

import codecs
import json
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from likelihead.errors import DataError

__all__ = ["ByteTokenizer", "FileTokenizer", "Ids", "Tokenizer", "characters", "open_tokenizer"]

Ids = NDArray[np.integer[Any]]

_BYTE = re.compile(r"<0x[0-9A-Fa-f]{2}>")
"""A token that stands for a byte, where a vocabulary falls back on bytes."""


class Tokenizer(ABC):
    """Text to ids and back; the id after the tokenizer's own stands between documents.

    Attributes:
        name: ``bytes``, or the file's.
        bytes_of: what each id stands for; nothing for the id between documents, and for special tokens.
        content: the tokenizer's file as text, which a run keeps; empty for bytes.
    """

    name: str
    bytes_of: Sequence[bytes]
    content: str = ""

    @property
    def separator(self) -> int:
        """The id between documents."""
        return len(self.bytes_of) - 1

    @property
    def vocabulary(self) -> int:
        """How many ids there are, the one between documents included."""
        return len(self.bytes_of)

    @property
    def dtype(self) -> type[np.integer[Any]]:
        """The narrowest that holds the ids."""
        return np.uint16 if self.vocabulary <= 2**16 else np.uint32

    @abstractmethod
    def encode(self, content: bytes, path: str, start: int = 0) -> Ids:
        """The ids of a text, which begins at byte ``start`` of its file.

        Raises:
            DataError: the text cannot be encoded; the message names ``path`` and the offset.
        """

    def sizes(self) -> NDArray[np.int64]:
        """How many bytes each id stands for."""
        return np.array([len(part) for part in self.bytes_of], dtype=np.int64)


class ByteTokenizer(Tokenizer):
    """A byte is a token: takes any text, in any encoding.

    >>> tokenizer = ByteTokenizer()
    >>> tokenizer.encode("é".encode(), "").tolist(), tokenizer.vocabulary
    ([195, 169], 257)
    """

    name = "bytes"

    def __init__(self) -> None:
        self.bytes_of = [bytes([value]) for value in range(256)] + [b""]

    def encode(self, content: bytes, path: str, start: int = 0) -> Ids:
        """The bytes themselves."""
        return np.frombuffer(content, dtype=np.uint8).astype(self.dtype)


class FileTokenizer(Tokenizer):
    """A Hugging Face ``tokenizer.json``.

    Args:
        content: the file's text.
        path: the file, for messages.

    Raises:
        DataError: it is not such a file.
    """

    def __init__(self, content: str, path: str) -> None:
        from tokenizers import Tokenizer as Library

        try:
            self._library = Library.from_str(content)
            settings = json.loads(content)
        except Exception as error:  # the library raises bare Exceptions for whatever is wrong with a file
            reason = " ".join(str(error).split())[:200]
            raise DataError(
                f"is no tokenizer.json of Hugging Face's tokenizers ({reason})", path=path
            ) from error
        self._library.no_truncation()
        self._library.no_padding()
        self.name, self.content = Path(path).name, content
        names = self._library.get_vocab(with_added_tokens=True)
        if not names:
            raise DataError("its vocabulary is empty", path=path)
        self.bytes_of = [*_bytes_of(self._library, settings, names), b""]

    def encode(self, content: bytes, path: str, start: int = 0) -> Ids:
        """The ids of a text in UTF-8, without special tokens around it."""
        try:
            text = content.decode("utf-8")
        except UnicodeDecodeError as error:
            raise DataError(
                f"is not UTF-8 text at byte {start + error.start} (0x{content[error.start]:02x}), which the "
                "tokenizer needs; convert the file, or leave --tokenizer out to train on bytes",
                path=path,
            ) from error
        return np.array(self._library.encode(text, add_special_tokens=False).ids, dtype=self.dtype)


def open_tokenizer(option: str) -> Tokenizer:
    """What ``--tokenizer`` asks for: ``bytes``, or a file.

    Raises:
        DataError: the file cannot be read, or is no tokenizer.
    """
    if option == "bytes":
        return ByteTokenizer()
    if not option:
        raise DataError("the tokenizer has no name; --tokenizer takes bytes or a Hugging Face tokenizer.json")
    try:
        content = Path(option).read_text(encoding="utf-8")
    except OSError as error:
        raise DataError(
            f"cannot be read as a tokenizer ({(error.strerror or str(error)).lower()}); --tokenizer takes "
            "bytes or a Hugging Face tokenizer.json",
            path=option,
        ) from error
    except UnicodeDecodeError as error:
        raise DataError("is no tokenizer.json: it is not UTF-8 text", path=option) from error
    return FileTokenizer(content, option)


def _alphabet() -> dict[str, int]:
    """GPT-2's letters for the 256 bytes: printable ones stand for themselves, the others follow at 256."""
    own = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    other = [value for value in range(256) if value not in own]
    return {chr(value): value for value in own} | {chr(256 + i): value for i, value in enumerate(other)}


def _bytes_of(library: Any, settings: dict[str, Any], names: dict[str, int]) -> list[bytes]:
    """What each id stands for, as the tokenizer's decoder has it."""
    special = {token["id"] for token in settings.get("added_tokens", []) if token.get("special")}
    added = {token["id"]: token["content"] for token in settings.get("added_tokens", [])}
    level = "ByteLevel" in json.dumps(settings.get("decoder"))
    letters = _alphabet()
    parts = [b""] * (max(names.values()) + 1)
    # Many decoders treat the first token in a way of its own, so that each is decoded behind another.
    anchor = next((i for i in sorted(names.values()) if i not in special and library.decode([i])), None)
    before = "" if anchor is None else library.decode([anchor])
    for name, i in names.items():
        if i in special:
            continue
        if i in added:
            parts[i] = str(added[i]).encode()
        elif level and all(letter in letters for letter in name):
            parts[i] = bytes(letters[letter] for letter in name)
        elif _BYTE.fullmatch(name):
            parts[i] = bytes([int(name[3:5], 16)])
        else:
            both = library.decode([i] if anchor is None else [anchor, i])
            parts[i] = both.removeprefix(before).encode()
    return parts


def characters(parts: Iterable[bytes]) -> Iterator[str]:
    """The text of pieces that may end within a character: the character comes with its last piece.

    What is no UTF-8 is replaced. After the pieces, what was left open comes as one more piece.

    >>> list(characters([b"a", "é".encode()[:1], "é".encode()[1:]]))
    ['a', '', 'é', '']
    """
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    for part in parts:
        yield decoder.decode(part)
    yield decoder.decode(b"", final=True)
