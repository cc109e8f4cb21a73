"""The texts of a run as token ids, and what ``schema.json`` says of them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from likelihead.errors import DataError
from likelihead.train.config import TrainConfig
from likelihead.train.language.documents import Document, Documents, read_documents, split
from likelihead.train.language.tokens import ByteTokenizer, FileTokenizer, Ids, Tokenizer, open_tokenizer

__all__ = ["Corpus", "LanguageSchema", "Text", "load", "text_of"]


@dataclass(frozen=True)
class LanguageSchema:
    """What the texts look like.

    Attributes:
        tokenizer: ``bytes``, or the name of the tokenizer's file.
        tokenizer_content: that file, so that the run needs it no more.
        vocabulary: how many token ids there are.
        documents, train_bytes, test_bytes, train_tokens, test_tokens: sizes.
        digest: SHA-256 over the texts' names and bytes.
    """

    tokenizer: str
    tokenizer_content: str
    vocabulary: int
    documents: int
    train_bytes: int
    test_bytes: int
    train_tokens: int
    test_tokens: int
    digest: str

    def to_json(self) -> str:
        """As JSON, the same bytes for the same schema."""
        return json.dumps({"kind": "language", **asdict(self)}, indent=1, sort_keys=True) + "\n"

    @classmethod
    def from_json(cls, text: str) -> LanguageSchema:
        """The inverse of :meth:`to_json`.

        Raises:
            ValueError, TypeError: it is not that of a text.
        """
        values = json.loads(text)
        if values.pop("kind", None) != "language":
            raise ValueError("the schema is not that of a text")
        return cls(**values)

    def open_tokenizer(self) -> Tokenizer:
        """The run's tokenizer, from the schema alone."""
        if not self.tokenizer_content:
            return ByteTokenizer()
        return FileTokenizer(self.tokenizer_content, self.tokenizer)


@dataclass(frozen=True)
class Text:
    """Documents one after another as ids, each behind the id that stands between documents.

    Attributes:
        ids: all of them.
        starts: where each document's separator stands, and the end.
        names: of the documents.
        bytes: of all documents.
    """

    ids: Ids
    starts: np.ndarray[tuple[int], np.dtype[np.int64]]
    names: tuple[str, ...]
    bytes: int

    def __len__(self) -> int:
        return len(self.names)

    @property
    def tokens(self) -> int:
        """How many ids are predicted: those of the documents, and an end for each."""
        return len(self.ids)

    def document(self, index: int) -> Ids:
        """The ids of a document behind its separator."""
        return self.ids[self.starts[index] : self.starts[index + 1]]

    def counts(self, vocabulary: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        """How often each id is predicted."""
        return np.bincount(self.ids, minlength=vocabulary).astype(np.int64)


@dataclass(frozen=True)
class Corpus:
    """What to train and test on."""

    path: str
    tokenizer: Tokenizer
    train: Text
    test: Text
    schema: LanguageSchema
    notes: tuple[str, ...]

    def describe(self) -> str:
        """One line about the texts."""
        one = len(self.train) + len(self.test) == 2 and self.train.names == self.test.names
        size = "1 text" if one else f"{len(self.train) + len(self.test):,} documents"
        return (
            f"{self.path}: {size}, {self.train.bytes:,} bytes to train on, {self.test.bytes:,} bytes held "
            f"out; tokens: {self.tokenizer.name}, a vocabulary of {self.tokenizer.vocabulary:,}"
        )


def load(config: TrainConfig) -> Corpus:
    """Read, split and encode the texts of a run.

    Raises:
        DataError: they cannot be read or encoded, or there is no text.
    """
    documents = read_documents(config.data)
    tokenizer = open_tokenizer(config.tokenizer)
    training, held, note = split(documents, config.seed, config.test_fraction)
    notes = [*documents.notes, *([note] if note else [])]
    sides = [text_of(documents, side, tokenizer, notes) for side in (training, held)]
    train, test = sides
    schema = LanguageSchema(
        tokenizer=tokenizer.name,
        tokenizer_content=tokenizer.content,
        vocabulary=tokenizer.vocabulary,
        documents=len(documents.items),
        train_bytes=train.bytes,
        test_bytes=test.bytes,
        train_tokens=train.tokens,
        test_tokens=test.tokens,
        digest=_digest(documents),
    )
    return Corpus(documents.path, tokenizer, train, test, schema, tuple(notes))


def text_of(documents: Documents, items: Sequence[Document], tokenizer: Tokenizer, notes: list[str]) -> Text:
    """Encode some documents; ``notes`` are told where the tokens do not add up to the text's bytes.

    Raises:
        DataError: a document cannot be encoded, or none has a token.
    """
    separator = np.array([tokenizer.separator], dtype=tokenizer.dtype)
    sizes = tokenizer.sizes()
    parts: list[Ids] = []
    names: list[str] = []
    starts, total, unequal, left_out = [0], 0, list[str](), 0
    single = len(documents.items) == 1
    for item in items:
        path = documents.path if single else str(Path(documents.path) / item.name)
        ids = tokenizer.encode(item.content, path, item.start)
        if not len(ids):
            left_out += 1
            continue
        parts += [separator, ids]
        names.append(item.name)
        starts.append(starts[-1] + len(ids) + 1)
        total += len(item.content)
        found = int(sizes[ids].sum())
        if found != len(item.content):
            unequal.append(f"{item.name} ({found:,} of {len(item.content):,} bytes)")
    if not names:
        raise DataError("the tokenizer finds no token in it; give more text", path=documents.path)
    if left_out:
        notes.append(f"left out, without a token: {left_out} {'text' if left_out == 1 else 'texts'}")
    if unequal:
        more = f" and {len(unequal) - 3} more" if len(unequal) > 3 else ""
        notes.append(
            "the bytes of the tokens are not those of the text, so that bits per byte are rough: "
            f"{', '.join(unequal[:3])}{more}"
        )
    return Text(np.concatenate(parts), np.array(starts, dtype=np.int64), tuple(names), total)


def _digest(documents: Documents) -> str:
    digest = hashlib.sha256()
    for item in documents.items:
        name = item.name.encode("utf-8", "surrogateescape")
        digest.update(len(name).to_bytes(8, "big") + name)
        digest.update(len(item.content).to_bytes(8, "big") + item.content)
    return digest.hexdigest()
