"""Every kind of bad file: one line that names the file, the row and the remedy."""

from __future__ import annotations

import gzip
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from likelihead.errors import DataError
from likelihead.train.table.data import load

Write = Callable[..., str]
GOOD = b"a,b,y\n" + b"1,2,p\n3,1,q\n" * 10


def refused(name: str, words: str, **options: Any) -> DataError:
    with pytest.raises(DataError) as caught:
        load(name, **options)
    message = str(caught.value)
    assert words in message
    assert name in message
    assert "\n" not in message
    return caught.value


@pytest.mark.parametrize(
    ("content", "words", "row", "column"),
    [
        (b"", "the file is empty", None, None),
        (b"\n \r\n", "the file is empty", None, None),
        (b"\xef\xbb\xbf", "the file is empty", None, None),
        (b"a,b,y\n", "only column names", None, None),
        (b"a,b,y", "only column names", None, None),
        (b"a,b,y\n1,2,p\n", "one row only", None, None),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "a PNG image", None, None),
        (b"PK\x03\x04rest", "spreadsheet", None, None),
        (random.Random(0).randbytes(5000), "save the file as UTF-8", None, None),
        (GOOD + b"1,2\n", "2 cells where the header names 3", 21, None),
        (GOOD[:18] + b"1,2,p,4\n" + GOOD[18:], "4 cells where the header names 3", 3, None),
        (GOOD + b"1,\0,p\n", "a NUL byte", 21, None),
        (
            "é,b,y\n1,2,p\n".encode() + b"1,2,caf\xe9\n",
            "byte 0xe9 is not UTF-8 text (line 3, byte 20)",
            2,
            None,
        ),
        (GOOD + b"1,2,caf\xc3", "is not UTF-8 text", 21, None),
        (GOOD + b"inf,2,p\n", "an infinite value", 21, "a"),
        (GOOD + b"1,-Infinity,p\n", "an infinite value", 21, "b"),
        (GOOD + b"1e999,2,p\n", "an infinite value", 21, "a"),
        (GOOD + b"1e300,2,p\n1e300,3,q\n" * 9, "too large to standardise", None, "a"),
        (b"a,b,a\n1,2,p\n", "two columns have this name", None, "a"),
        (b"a, a ,y\n1,2,p\n", "two columns have this name", None, "a"),
        (b"1,2,3\n4,5,6\n", "only numbers", None, None),
        (b"y\np\nq\n", "no column is left for features", None, None),
        (b"a:y\n1:p\n2:q\n", "no column is left for features", None, None),
        (b"a,y\n" + b"5,p\n5,q\n" * 5, "no column can be used as a feature (a: constant", None, None),
        (b'a,y\n1,p\n"2,q\n' + b"3,p\n" * 5, "the quotes do not match", 2, None),
        (b'y,a\np,1\n\nq,"2\n' + b"p,3\nq,4\n" * 5, "the quotes do not match", 2, None),
        (b'y,a\np,1\nq,"2\n' + b"p,3\nq,4\n" * 5 + b'q,"5\np,6\n', "the quotes do not match", 2, None),
        (b"a,y\n" + b"5,1.5\n6,2.5\n" * 9 + b"7,oops\n", "'oops' is no number", 19, "y"),
        (b"a,y\n" + b"5,1.5\n6,2.5\n" * 9 + b"7,1e300\n", "standard deviations from", 19, "y"),
    ],
)
def test_csv(write: Write, content: bytes, words: str, row: int | None, column: str | None) -> None:
    error = refused(write(content), words)
    if b"\x89" not in content and words != "save the file as UTF-8":
        assert (error.row, error.column) == (row, column)


def test_running_text_is_sent_to_the_language_models(write: Write) -> None:
    text = write(b"Once upon a time\nthere was a model.\n", "story.txt")
    refused(text, "no column is left for features beside the target (Once upon a time)")
    refused(text, "; of running text: --task language")


def test_a_fault_beyond_the_first_block_names_its_row(write: Write) -> None:
    body = b"1,2,p\n3,1,q\n" * 150_000
    assert refused(write(b"a,b,y\n" + body + b"1\n"), "1 cell").row == 300_001
    assert refused(write(b"a,b,y\n" + body + b"1,2,\xff\n"), "0xff").row == 300_001
    assert refused(write(b"a,b,y\n" + body + b"1,2,\0\n"), "NUL").row == 300_001
    assert refused(write(b"a,b,y\n" + body + b"1,inf,p\n"), "infinite").row == 300_001
    assert refused(write(b"a,b,y\n" + body + b"1,1,\n"), "missing", strict=True).row == 300_001


def test_quotes_that_match_may_hold_anything(write: Write) -> None:
    rows = b'1,5" pipe,"say ""p"", or\nnot"\n2,6" pipe,q\n\n'
    data = load(write(b"a,b,y\n" + rows * 6))
    assert (len(data.all), data.classes) == (12, ("q", 'say "p", or\nnot'))
    long = b'1,"' + b"long " * 40_000 + b'",q\n'
    assert len(load(write(GOOD + long)).all) == 21
    assert (
        len(str(refused(write(b"a,b,y\n" + long.replace(b"q\n", b"\n") + GOOD[6:]), "missing", strict=True)))
        < 300
    )
    assert len(str(refused(write(GOOD + long.replace(b"1,", b"1,2,").replace(b",q", b"")), "one row"))) < 400


def test_a_character_across_two_chunks_is_text(write: Write) -> None:
    for shift in range(3):
        head = b"a,b,y\n" + b"1,2," + b"p" * ((1 << 20) - 12 + shift)
        content = head + "é€".encode() * 3 + b"\n" + GOOD[6:]
        refused(write(content), "has one row only")


@pytest.mark.parametrize(
    ("lines", "words", "row"),
    [
        ('{"x": 1, "y": "a"}\n\n{"x": 2,\n', "line 3 is no JSON", 2),
        ('{"x": 1, "y": "a"}\n[1, 2]\n', "line 2 holds no object", 2),
        ('{"x": 1, "y": "a"}\n{"x": {"z": 1}, "y": "a"}\n', "a nested value", 2),
        ('{"x": 1, "x": 2, "y": "a"}\n', "the key 'x' stands there twice", 1),
        ('{"x": 1, "y": ["a;b"]}\n', "a label may not hold ';'", 1),
        ('{"x": 1, "y": "a"}\n{"x": Infinity, "y": "b"}\n' * 3, "an infinite value", 2),
        ("[" * 100_000 + "\n", "line 1 is no JSON", 1),
        ("{}\n{}\n", "no columns", None),
        ('{"x": 1, "y": "a\0"}\n', "a NUL byte", 1),
        ('{"x": 1, "y": "\\u00e9"}\n{"x": 1, "y": "\\udc00"}\n', "half of a surrogate pair", 2),
        ('{"x": 1, "\\ud83d": 2}\n', "half of a surrogate pair", 1),
    ],
)
def test_json_lines(write: Write, lines: str, words: str, row: int | None) -> None:
    assert refused(write(lines, "data.jsonl"), words).row == row


def test_parquet(write: Write, tmp_path: Path) -> None:
    good = tmp_path / "good.parquet"
    pq.write_table(pa.table({"x": list(range(999)), "y": ["p", "q", "r"] * 333}), good)
    content = good.read_bytes()
    refused(write(content[: len(content) // 2], "cut.parquet"), "cut off, damaged")
    refused(write(content[:4], "head.parquet"), "cut off, damaged")
    refused(write(b"", "empty.parquet"), "cut off, damaged")
    refused(write(GOOD, "text.parquet"), "cut off, damaged")
    refused(write(content), "a Parquet file")
    damaged = bytearray(content)
    damaged[4:200] = b"\xff" * 196
    refused(write(bytes(damaged), "flip.parquet"), "damaged")
    table = pa.table({"x": [0.5 * i for i in range(999)], "y": ["p", "q", "r"] * 333})
    pq.write_table(table, good, compression="none", use_dictionary=False, write_page_checksum=True)
    damaged = bytearray(good.read_bytes())
    damaged[1000] ^= 1  # in a number, which only the page's checksum tells
    refused(write(bytes(damaged), "flip.parquet"), "damaged")
    twice = pa.Table.from_arrays([pa.array([1, 2])] * 2, names=["x", "x"])
    pq.write_table(twice, tmp_path / "twice.parquet")
    refused(str(tmp_path / "twice.parquet"), "two columns have this name")
    pq.write_table(
        pa.table({"x": pa.array([], pa.int64()), "y": pa.array([], pa.string())}), tmp_path / "0.parquet"
    )
    refused(str(tmp_path / "0.parquet"), "no rows")


def test_gzip_that_is_none_or_is_cut(write: Write) -> None:
    refused(write(GOOD, "plain.csv.gz"), "damaged or cut off")
    refused(write(gzip.compress(GOOD * 100)[:-9], "cut.csv.gz"), "damaged or cut off")
    refused(write(gzip.compress(GOOD), "packed.csv"), "let its name end in .gz")


def test_names(write: Write, tmp_path: Path) -> None:
    refused(str(tmp_path), "this is a folder")
    refused(str(tmp_path / "none.csv"), "there is no such file")
    refused("irsi", "did you mean 'iris'")
    write(GOOD, "flowers.csv")
    refused(str(tmp_path / "flwers.csv"), "flowers.csv")
    refused(write(GOOD, "data.xlsx"), ".csv, .tsv, .txt, .jsonl, .ndjson, .parquet, .pq")
    refused(write(GOOD, "data.json"), "called .jsonl")
    refused(write(GOOD, "data"), "files without an ending")
    refused("x" * 5000 + ".csv", "")
    refused("nul\0byte.csv", "")
    with pytest.raises(DataError, match="empty"):
        load("")
    (tmp_path / "loop.csv").symlink_to("loop.csv")
    refused(str(tmp_path / "loop.csv"), "a link that leads nowhere")
    os.mkfifo(tmp_path / "pipe.csv")
    refused(str(tmp_path / "pipe.csv"), "no regular file")


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every file")
def test_a_file_that_may_not_be_read(write: Write) -> None:
    name = write(GOOD)
    os.chmod(name, 0)
    refused(name, "permissions")


def test_a_file_that_may_not_be_read_is_refused_for_root_too(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.access", lambda *_: False)
    refused(write(GOOD), "permissions")


def test_a_file_that_changes_between_passes(write: Write) -> None:
    name = write(b"a,b,y\n" + b"1,2,p\n3,1,q\n" * 10_000)
    dataset = load(name, memory=1 << 20)
    assert not dataset.train.in_memory
    write(GOOD)
    with pytest.raises(DataError, match="changed"):
        next(dataset.train.batches(10))


def test_damage_is_not_hidden_when_a_file_is_predicted_on(write: Write) -> None:
    from likelihead.train.table.data import load_for_schema

    schema = load(write(GOOD)).schema
    with pytest.raises(DataError, match="no rows"):
        load_for_schema(write(b"a,b\n", "new.csv"), schema, need_target=False)
    with pytest.raises(DataError, match="3 cells"):
        load_for_schema(write(b"a,b\n1,2\n1,2,3\n", "new.csv"), schema, need_target=False)
