"""Splits, orders and streaming."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from likelihead.errors import DataError, OptionError, RunError
from likelihead.train.table.data import Dataset, Schema, Split, load, load_for_schema
from likelihead.train.table.data.stream import Block, in_order, mixed

Write = Callable[..., str]
TINY = 1 << 20


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[Dataset, Dataset]:
    """The same file held in memory and streamed."""
    rng = np.random.default_rng(0)
    lines = [
        f"{value:.3f},{'rgb'[i % 3]},{'' if i % 50 == 0 else i % 9},{'abc'[(i * 7) % 3]}\n"
        for i, value in enumerate(rng.normal(size=60_000))
    ]
    path = tmp_path_factory.mktemp("both") / "data.csv"
    path.write_text("x,t,z,y\n" + "".join(lines))
    return load(str(path)), load(str(path), memory=TINY)


def rows_of(split: Split, **options: int | bool) -> list[int]:
    return [int(row) for _, _, rows in split.numbered_batches(1000, **options) for row in rows]


def multiset(batches: Iterable[tuple[torch.Tensor, torch.Tensor]]) -> Counter[bytes]:
    counted: Counter[bytes] = Counter()
    for features, target in batches:
        for x, y in zip(features.numpy(), target.numpy(), strict=True):
            counted[x.tobytes() + y.tobytes()] += 1
    return counted


def test_streamed_and_held_agree(both: tuple[Dataset, Dataset]) -> None:
    held, streamed = both
    assert held.train.in_memory
    assert not streamed.train.in_memory
    assert held.schema == streamed.schema
    assert held.notes == streamed.notes[:-1]
    assert "shuffle a file that is sorted" in streamed.notes[-1]
    assert "streamed from the file" in streamed.describe()
    for part in ("train", "test", "all"):
        one, two = getattr(held, part), getattr(streamed, part)
        assert len(one) == len(two) == len(rows_of(two))
        assert multiset(one.batches(512)) == multiset(two.batches(512))
        assert rows_of(one) == rows_of(two) == sorted(rows_of(two))
        for (x, y), (u, v) in zip(
            one.batches(999, shuffle=False), two.batches(999, shuffle=False), strict=True
        ):
            assert torch.equal(x, u)
            assert torch.equal(y, v)


@pytest.mark.parametrize("which", [0, 1])
def test_the_order_is_made_from_seed_and_epoch(both: tuple[Dataset, Dataset], which: int) -> None:
    train = both[which].train
    first = rows_of(train, epoch=0, seed=1, shuffle=True)
    assert first == rows_of(train, epoch=0, seed=1, shuffle=True)
    others = [rows_of(train, epoch=e, seed=s, shuffle=True) for e, s in ((1, 1), (0, 2), (1, 0))]
    assert all(other != first for other in others)
    assert all(sorted(other) == sorted(first) == rows_of(train) for other in others)
    # Mixed: neighbours in the file are not neighbours in the epoch.
    assert np.mean(np.abs(np.diff(first)) < 50) < 0.1


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("start", [0, 1, 7, 23, 24, 30])
def test_an_epoch_goes_on_at_any_batch(both: tuple[Dataset, Dataset], which: int, start: int) -> None:
    train = both[which].train
    assert train.num_batches(2000) == 24
    whole = list(train.numbered_batches(2000, epoch=3, seed=5, shuffle=True))
    assert len(whole) == 24
    rest = list(train.numbered_batches(2000, epoch=3, seed=5, shuffle=True, start=start))
    assert len(rest) == max(0, 24 - start)
    for expected, got in zip(whole[start:], rest, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(expected, got, strict=True))


def blocks(sizes: list[int]) -> Iterable[Block]:
    first = 1
    for size in sizes:
        rows = np.arange(first, first + size)
        first += size
        yield Block(rows, rows[:, None].astype(float), rows.astype(float))


@settings(max_examples=60)
@given(
    st.lists(st.integers(0, 40), max_size=8),
    st.integers(1, 17),
    st.integers(2, 60),
    st.integers(0, 5),
    st.integers(0, 4),
)
def test_every_row_comes_once_whatever_the_blocks(
    sizes: list[int], batch_size: int, window: int, order: int, start: int
) -> None:
    total = sum(sizes)
    out = list(mixed(iter(blocks(sizes)), batch_size, window, order))
    assert sorted(int(row) for block in out for row in block.rows) == list(range(1, total + 1))
    assert all(len(block) == batch_size for block in out[:-1])
    assert all(
        (block.features[:, 0] == block.rows).all() and (block.target == block.rows).all() for block in out
    )
    # The blocks' borders do not matter, and a later start leaves out the first batches.
    again = list(mixed(iter(blocks([total])), batch_size, window, order, start))
    assert [b.rows.tolist() for b in again] == [b.rows.tolist() for b in out][start:]
    plain = [b.rows.tolist() for b in in_order(iter(blocks(sizes)), batch_size, start)]
    assert [row for rows in plain for row in rows] == list(range(1, total + 1))[start * batch_size :]


def test_the_split_depends_on_row_number_and_seed_alone(write: Write) -> None:
    def text(n: int) -> str:
        return "x,y\n" + "".join(f"{(i * 13) % 101},{'ab'[i % 2]}\n" for i in range(n))

    short, long = load(write(text(500), "a.csv"), seed=3), load(write(text(900), "b.csv"), seed=3)
    assert rows_of(short.test) == [row for row in rows_of(long.test) if row <= 500]
    assert rows_of(load(write(text(500), "c.csv"), seed=4).test) != rows_of(short.test)
    everything = load(write(text(500), "d.csv"), test_fraction=0.0)
    assert (len(everything.train), len(everything.test)) == (500, 0)
    assert list(everything.test.batches(5)) == []


def test_every_class_is_trained_on(write: Write) -> None:
    # Two rows of each class and nine rows in ten for the test: the hash alone would lose classes.
    text = "x,y\n" + "".join(f"{(i * 13) % 101},class{i % 40}\n" for i in range(80))
    dataset = load(write(text), test_fraction=0.9)
    assert len(dataset.classes) == 40
    assert min(dataset.class_counts) >= 1
    assert dataset.schema.moved
    assert any(note.startswith("rows moved between training and test") for note in dataset.notes)
    assert sum(dataset.class_counts) == len(dataset.train) == len(rows_of(dataset.train))
    streamed = Schema.from_json(dataset.schema.to_json())
    assert streamed.moved == dataset.schema.moved


def test_a_tiny_file_has_a_test_row_and_training_rows(write: Write) -> None:
    for seed in range(30):
        dataset = load(write("x,y\n1,a\n2,b\n4,a\n3,b\n"), seed=seed)
        assert len(dataset.test) >= 1
        assert min(dataset.class_counts) >= 1
        assert len(dataset.train) + len(dataset.test) == 4


def test_raw_rows(both: tuple[Dataset, Dataset]) -> None:
    held, streamed = both
    wanted = [60_000, 1, 30_000]
    assert held.raw_rows(wanted) == streamed.raw_rows(iter(wanted))
    assert held.raw_rows([51])[51]["z"] == ""
    assert held.raw_rows([]) == {}
    for bad in ([60_001], [0]):
        with pytest.raises(DataError):
            held.raw_rows(bad)


def test_batch_size_and_start_are_checked() -> None:
    train = load("iris").train
    for options in ({"batch_size": 0}, {"batch_size": 4, "start": -1}):
        with pytest.raises(OptionError):
            next(train.batches(**options))


def test_dtypes() -> None:
    train = load("wine").train
    for dtype in (torch.float32, torch.float64, torch.bfloat16):
        features, target = next(train.batches(8, dtype=dtype))
        assert (features.dtype, target.dtype) == (dtype, torch.int64)
        assert (features.shape, target.shape) == ((8, 13), (8,))


@pytest.mark.parametrize(
    ("name", "rows", "features", "classes"),
    [("iris", 150, 4, 3), ("digits", 1797, 61, 10), ("wine", 178, 13, 3), ("breast-cancer", 569, 30, 2)],
)
def test_bundled_sets(name: str, rows: int, features: int, classes: int) -> None:
    dataset = load(name)
    assert (len(dataset.all), dataset.num_features, len(dataset.classes)) == (rows, features, classes)
    again = load_for_schema(name, dataset.schema, need_target=True)
    assert multiset(again.all.batches(50)) == multiset(dataset.all.batches(50))
    assert (len(again.train), len(again.test)) == (0, rows)


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"version": 9}', '{"version": 1}', '{"version": 1, "columns": 3}', "nonsense"]
)
def test_an_altered_schema_is_refused(text: str) -> None:
    with pytest.raises(RunError, match="schema"):
        Schema.from_json(text)


MEASURE = """
import sys
import torch
from likelihead.train.table.data import load
def peak():
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))
name, small, budget = sys.argv[1], sys.argv[2], int(sys.argv[3])
def epoch(dataset): return sum(len(y) for _, y in dataset.train.batches(256, epoch=1, seed=2))
epoch(load(small, memory=1 << 20))  # code and pools that are loaded once
open("/proc/self/clear_refs", "w").write("5")  # the peak starts anew
before = peak()
dataset = load(name, memory=budget)
assert epoch(dataset) == len(dataset.train)
print(dataset.train.in_memory, len(dataset.all), peak() - before)
"""


def measure(name: str, small: str, budget: int) -> tuple[bool, int, int]:
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, name, small, str(budget)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    held, rows, grown = done.stdout.split()
    return held == "True", int(rows), int(grown)


# ru_maxrss starts at the parent's peak; the kernel's own account of the new program does not.
@pytest.mark.skipif(
    not os.path.exists("/proc/self/clear_refs"), reason="needs Linux's account of peak memory"
)
def test_memory_is_bounded(write: Write) -> None:
    # 28 MB of text; 88 MB once encoded.
    part = "".join(
        f"{i % 10},{(i * 3) % 7},{(i * i) % 9},{i % 2},5,1,{i % 6},{i % 5},{i % 3}\n" for i in range(8190)
    )
    name = write("a,b,c,d,e,f,g,h,y\n" + part.replace(",5,1,", f",{7},1,", 4000) * 190)
    small = write("a,b,c,d,e,f,g,h,y\n" + part * 3, "small.csv")
    budget = 4 << 20
    held, rows, grown = measure(name, small, budget)
    assert (held, rows) == (False, 8190 * 190)
    # Beside the budget: the reader's blocks, read ahead, and what the allocators keep.
    assert grown < 44 << 20
    held, _, whole = measure(name, small, 1 << 30)
    assert held
    assert whole > grown + (64 << 20), "the measurement sees what is held"
