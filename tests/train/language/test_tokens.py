"""Ids and the bytes that they stand for."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from likelihead.errors import DataError
from likelihead.train import TrainConfig
from likelihead.train.language.corpus import load
from likelihead.train.language.tokens import ByteTokenizer, Tokenizer, characters, open_tokenizer

TEXT = "the cat ate café 日本\n\n  the"


def restored(tokenizer: Tokenizer, content: bytes) -> bytes:
    return b"".join(tokenizer.bytes_of[i] for i in tokenizer.encode(content, "p"))


@settings(max_examples=30, deadline=None)
@given(st.binary(max_size=40))
def test_bytes_come_back(content: bytes) -> None:
    tokenizer = ByteTokenizer()
    assert restored(tokenizer, content) == content
    assert tokenizer.separator == 256
    assert tokenizer.sizes()[256] == 0


@settings(max_examples=30, deadline=None)
@given(st.lists(st.binary(max_size=4), max_size=8))
def test_characters_are_those_of_the_whole_text(parts: list[bytes]) -> None:
    pieces = list(characters(parts))
    assert "".join(pieces) == b"".join(parts).decode("utf-8", "replace")
    assert len(pieces) == len(parts) + 1


def test_a_byte_level_tokenizer(byte_pairs: Path) -> None:
    tokenizer = open_tokenizer(str(byte_pairs))
    ids = tokenizer.encode(TEXT.encode(), "p")
    assert 3 < len(ids) < len(TEXT.encode())
    assert restored(tokenizer, TEXT.encode()) == TEXT.encode()
    special = json.loads(byte_pairs.read_text())["added_tokens"][0]["id"]
    assert tokenizer.bytes_of[special] == b""
    assert tokenizer.vocabulary == len(tokenizer.bytes_of)
    assert tokenizer.separator > max(ids.tolist())


def saved(path: Path, tokenizer: Any) -> str:
    tokenizer.save(str(path))
    return str(path)


def test_a_tokenizer_with_byte_fallback(tmp_path: Path) -> None:
    from tokenizers import Tokenizer as Library
    from tokenizers import decoders, models, normalizers

    names = ["<unk>", *(f"<0x{i:02X}>" for i in range(256)), "▁", "▁the", "t", "h", "e", "c", "a", "<0xZZ>"]
    vocab = {name: i for i, name in enumerate(names)}
    library = Library(models.BPE(vocab, [], byte_fallback=True, unk_token="<unk>"))
    library.normalizer = normalizers.Replace(" ", "▁")
    library.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    tokenizer = open_tokenizer(saved(tmp_path / "t.json", library))
    assert tokenizer.bytes_of[vocab["▁the"]] == b" the"
    assert tokenizer.bytes_of[vocab["<0xZZ>"]] == b"<0xZZ>"  # looks like a byte, and is none
    assert restored(tokenizer, TEXT.encode()) == TEXT.encode()


def test_a_tokenizer_that_loses_text_is_told_on(tmp_path: Path, make: Callable[..., TrainConfig]) -> None:
    from tokenizers import Tokenizer as Library
    from tokenizers import decoders, models, normalizers, pre_tokenizers

    vocab = {"[UNK]": 0, **{c: i + 1 for i, c in enumerate("thecasondmgkwilbv")}, "##he": 40, "##at": 41}
    library = Library(models.WordPiece(vocab, unk_token="[UNK]"))
    library.normalizer = normalizers.Lowercase()
    library.pre_tokenizer = pre_tokenizers.Whitespace()
    library.decoder = decoders.WordPiece()
    option = saved(tmp_path / "t.json", library)
    assert open_tokenizer(option).bytes_of[40] == b"he"
    notes = load(make(tokenizer=option)).notes
    assert any("bits per byte are rough" in note for note in notes)


def test_a_tokenizer_that_loses_nothing_is_not(make: Callable[..., TrainConfig], byte_pairs: Path) -> None:
    corpus = load(make(tokenizer=str(byte_pairs)))
    assert corpus.notes == ()
    again = corpus.schema.from_json(corpus.schema.to_json()).open_tokenizer()
    assert again.bytes_of == corpus.tokenizer.bytes_of
    for text in (corpus.train, corpus.test):
        assert corpus.tokenizer.sizes()[text.ids].sum() == text.bytes


def test_text_that_is_not_utf_8(folder: Path, make: Callable[..., TrainConfig], byte_pairs: Path) -> None:
    (folder / "latin.txt").write_bytes(b"caf\xe9 au lait")
    assert load(make()).schema.documents == 8
    with pytest.raises(DataError, match=r"latin\.txt: is not UTF-8 text at byte 3 \(0xe9\)"):
        load(make(tokenizer=str(byte_pairs)))


def test_the_offset_counts_from_the_files_beginning(
    tmp_path: Path, make: Callable[..., TrainConfig], byte_pairs: Path
) -> None:
    path = tmp_path / "one.txt"
    path.write_bytes(b"x" * 95 + b"\xff" + b"yyyy")
    with pytest.raises(DataError, match=r"one\.txt: is not UTF-8 text at byte 95"):
        load(make(data=str(path), tokenizer=str(byte_pairs), test_fraction=0.1))


@pytest.mark.parametrize(
    ("content", "words"),
    [(None, "cannot be read"), (b"{}", "no tokenizer.json"), (b"\xff", "not UTF-8"), (b"[", "no tokenizer")],
)
def test_a_file_that_is_no_tokenizer(tmp_path: Path, content: bytes | None, words: str) -> None:
    path = tmp_path / "t.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=words) as error:
        open_tokenizer(str(path))
    assert str(path) in str(error.value)


def test_a_tokenizer_without_a_name() -> None:
    with pytest.raises(DataError, match=r"has no name; --tokenizer takes bytes or a Hugging Face"):
        open_tokenizer("")
