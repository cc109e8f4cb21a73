"""Which files are read, what is left out, and what is held out."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from likelihead.errors import DataError
from likelihead.train.language.documents import Document, Documents, read_documents, split


def test_a_folder_is_read_in_the_order_of_its_names(folder: Path) -> None:
    found = read_documents(str(folder))
    names = [item.name for item in found.items]
    assert names == sorted(names)
    assert "deep/t1.txt" in names
    assert len(names) == 7
    assert found.notes == ()
    assert found.items[0].content == (folder / names[0]).read_bytes()


def test_what_is_left_out_is_named(folder: Path) -> None:
    (folder / "empty.txt").touch()
    (folder / "photo.bin").write_bytes(b"GIF\0\1\2")
    (folder / ".hidden").write_text("x")
    (folder / ".git").mkdir()
    (folder / ".git" / "config").write_text("x")
    found = read_documents(str(folder))
    assert len(found.items) == 7
    assert len(found.notes) == 2
    assert "empty: empty.txt" in found.notes[0]
    assert "photo.bin" in found.notes[1]


def test_a_single_file_is_taken_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "odd.bin"
    path.write_bytes(b"a\0b\xff")
    assert read_documents(str(path)).items == (Document("odd.bin", b"a\0b\xff"),)


@pytest.mark.parametrize("what", ["missing", "empty", "empty-files", "nothing", "binary", "device"])
def test_no_text_is_said(tmp_path: Path, what: str) -> None:
    path, words = tmp_path / "x", {"missing": "not there", "nothing": "no file", "binary": "no text"}
    if what == "empty":
        path.touch()
    elif what == "device":
        path = Path(os.devnull)
        words["device"] = "not a text file"
    elif what != "missing":
        path.mkdir()
        if what == "empty-files":
            (path / "a").touch()
            (path / "b").touch()
        elif what == "binary":
            (path / "a").write_bytes(b"\0")
            (path / "b").write_bytes(b"\0")
    with pytest.raises(DataError, match=words.get(what, "empty")) as error:
        read_documents(str(path))
    assert str(path) in str(error.value)


def test_the_standard_library() -> None:
    first, second = read_documents("stdlib"), read_documents("stdlib")
    assert first == second
    names = {item.name for item in first.items}
    assert {"os.py", "json/decoder.py"} <= names
    assert not any(part in ("test", "tests", "site-packages") for name in names for part in name.split("/"))
    assert 5e6 < sum(len(item.content) for item in first.items) < 30e6


def test_whole_documents_are_held_out() -> None:
    items = tuple(Document(f"d{i}", b"x" * (100 + i)) for i in range(200))
    documents = Documents("p", items, ())
    train, test, note = split(documents, seed=0, fraction=0.1)
    assert note == ""
    assert sorted([*train, *test], key=lambda d: int(d.name[1:])) == list(items)
    share = sum(len(d.content) for d in test) / sum(len(d.content) for d in items)
    assert 0.08 < share <= 0.1
    assert split(documents, seed=0, fraction=0.1)[1] == test
    assert split(documents, seed=1, fraction=0.1)[1] != test


def test_one_large_document_is_not_all_of_the_test() -> None:
    items = (Document("large", b"x" * 1000), Document("b", b"x"), Document("c", b"xx"))
    for seed in range(5):
        train, test, _ = split(Documents("p", items, ()), seed, 0.001)
        assert [d.name for d in test] == ["b"]
        assert len(train) == 2


def test_a_single_text_is_cut_behind_a_line() -> None:
    content = b"0123456\n" * 100
    train, test, note = split(Documents("p", (Document("a", content),), ()), 0, 0.21)
    assert train[0].content + test[0].content == content
    assert test[0].content.startswith(b"0")
    assert len(test[0].content) == 160
    assert test[0].start == 640
    assert "160 of 800 bytes" in note


def test_a_single_text_is_not_cut_within_a_character() -> None:
    content = "é".encode() * 50
    for fraction in (0.1, 0.11, 0.5, 0.99):
        train, test, _ = split(Documents("p", (Document("a", content),), ()), 0, fraction)
        assert train[0].content.decode() + test[0].content.decode() == "é" * 50


def test_a_single_byte_cannot_be_split() -> None:
    with pytest.raises(DataError, match="one byte"):
        split(Documents("p", (Document("a", b"x"),), ()), 0, 0.5)
