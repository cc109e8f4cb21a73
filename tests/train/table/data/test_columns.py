"""What a column is taken for, over the whole file, and how it is encoded."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from likelihead.train.table.data import CATEGORY_LIMIT, Dataset, Schema, load, load_for_schema

Write = Callable[..., str]


def column(dataset: Dataset, name: str) -> torch.Tensor:
    features, _ = next(dataset.all.batches(10**6, shuffle=False, dtype=torch.float64))
    chosen = [i for i, found in enumerate(dataset.feature_names) if found.split("=")[0] == name]
    return features[:, chosen]


def kinds(dataset: Dataset) -> dict[str, str]:
    return {column.name: column.kind for column in dataset.schema.columns}


def csv(**columns: list[object]) -> str:
    rows = zip(*columns.values(), strict=True)
    return "\n".join([",".join(columns), *(",".join(map(str, row)) for row in rows)]) + "\n"


def with_target(values: list[object]) -> str:
    return csv(
        x=values, w=[(i * 7) % 5 for i in range(len(values))], y=["ab"[i % 2] for i in range(len(values))]
    )


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([3, 1, 2, 5, 9, 1], "number"),
        ([1, 2.5, "1e3", "-.5", "+4", "7."], "number"),
        (["true", "False", "TRUE", "false", "", "true"], "boolean"),
        (["2024-01-01", "2024-02-01", "", "2023-01-01", "2022-06-30", "2024-01-02"], "date"),
        (["2024-01-01 10:00", "2024-02-01T11:30:00.5", "", "2023-01-01", "2022-06-30", "2024-01-02"], "date"),
        (["2024-01-01T00:00:00Z", "2024-02-01T00:00:00+01:00", "", "2023-01-01T00:00:00Z"] * 2, "date"),
        (["red", "green", "red", "", "green", "red"], "category"),
        (["1", "two", "1", "two", "1", "two"], "category"),
        (["true", "1", "true", "1", "true", "1"], "category"),
        (["0x1", "0x2", "0x1", "0x1", "0x2", "0x2"], "category"),
    ],
)
def test_a_text_column_is_what_every_cell_can_be(write: Write, values: list[object], kind: str) -> None:
    assert kinds(load(write(with_target(values)), seed=1))["x"] == kind


def test_a_column_widens_to_text_after_the_first_block(write: Write) -> None:
    # Far behind the reader's first block.
    n = 300_000
    rows = [f"{i % 7},{(i * 31) % 11},{'ab'[i % 2]}" for i in range(n)]
    rows[-10] = "seven,3,a"
    dataset = load(write("x,w,y\n" + "\n".join(rows) + "\n"))
    assert kinds(dataset) == {"x": "category", "w": "number"}
    train_has_it = "x=seven" in dataset.feature_names
    assert dataset.num_features == 8 + train_has_it
    assert f"x: read as text because of 'seven' in row {n - 9}" in dataset.notes


def test_numbers_are_standardised_with_the_training_rows_alone(write: Write) -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(1e6, 3.0, 400)
    dataset = load(write(csv(x=list(map(repr, map(float, values))), y=["ab"[i % 2] for i in range(400)])))
    train = torch.cat([rows for _, _, rows in dataset.train.numbered_batches(64)]).numpy() - 1
    test = torch.cat([rows for _, _, rows in dataset.test.numbered_batches(64)]).numpy() - 1
    assert sorted([*train, *test]) == list(range(400))
    x = dataset.schema.columns[0]
    assert x.mean == pytest.approx(values[train].mean(), rel=1e-15)
    assert x.std == pytest.approx(values[train].std(), rel=1e-9)
    expected = (values - values[train].mean()) / values[train].std()
    np.testing.assert_allclose(column(dataset, "x")[:, 0].numpy(), expected, rtol=0, atol=1e-8)


def test_the_test_rows_do_not_leak(write: Write) -> None:
    base = [float(i % 13) for i in range(200)]
    first = load(write(csv(x=base, y=["ab"[i % 2] for i in range(200)])))
    test = {int(row) for _, _, rows in first.test.numbered_batches(50) for row in rows}
    changed = [1e9 if i + 1 in test else value for i, value in enumerate(base)]
    second = load(write(csv(x=changed, y=["ab"[i % 2] for i in range(200)])))
    assert second.schema.columns == first.schema.columns


def test_missing_numbers_become_the_training_mean_and_are_reported(write: Write) -> None:
    values: list[object] = [1, "", 3, "NA", 2, "nan", 4, " ", 5, "null"] * 4
    dataset = load(write(with_target(values)))
    gone = torch.tensor([value in ("", "NA", "nan", " ", "null") for value in values])
    assert (column(dataset, "x")[gone] == 0).all()
    assert any(
        note.startswith("x: 20 missing cells, replaced by the training mean") for note in dataset.notes
    )


def test_missing_texts_are_a_category_of_their_own(write: Write) -> None:
    values: list[object] = ["red", "", "green"] * 10
    dataset = load(write(with_target(values)))
    assert dataset.feature_names[:3] == ("x=green", "x=red", "x=(missing)")
    assert column(dataset, "x")[:3].tolist() == [[0, 1, 0], [0, 0, 1], [1, 0, 0]]
    assert "x: 10 missing cells, encoded as a category of its own" in dataset.notes


def test_dates_are_days(write: Write) -> None:
    values: list[object] = ["1970-01-01", "1970-01-03 12:00", "1969-12-31"] * 4
    dataset = load(write(with_target(values)))
    x = dataset.schema.columns[0]
    days = column(dataset, "x")[:3, 0] * x.std + x.mean
    torch.testing.assert_close(days, torch.tensor([0.0, 2.5, -1.0], dtype=torch.float64), rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ([4] * 30, "constant: every value is 4"),
        (["a"] * 30, "constant: every text is 'a'"),
        ([""] * 30, "every cell is missing"),
        ([f"id{i}" for i in range(30)], "text that differs in every row"),
        ([f"word {i // 2}" for i in range(200)], f"text with more than {CATEGORY_LIMIT} distinct values"),
        (list(range(1, 31)), "a row counter"),
        (list(range(30)), "a row counter"),
    ],
)
def test_useless_columns_are_left_out_with_the_reason(
    write: Write, values: list[object], reason: str
) -> None:
    dataset = load(write(with_target(values)))
    assert kinds(dataset) == {"w": "number"}
    assert [note for note in dataset.notes if note.startswith(f"x: not used ({reason}")]
    assert dataset.schema.dropped[0][0] == "x"


def test_a_stray_text_in_a_column_of_numbers_is_named(write: Write) -> None:
    values: list[object] = [i * i for i in range(100)]
    values[16] = "12,5".replace(",", "_")
    dataset = load(write(with_target(values)))
    assert any("read as text because of '12_5' in row 17" in note for note in dataset.notes)


def test_numbers_as_people_write_them_are_read(write: Write) -> None:
    rows = "".join(f"{i % 7},{i % 3};{i},0{i:03};{'pq'[i % 2]}\n" for i in range(60))
    dataset = load(write("a;b;y\n" + rows))
    assert kinds(dataset) == {"a": "number", "b": "number"}
    assert dataset.notes[0].startswith("read with ';' between cells, decimal comma (a, b)")
    # A column that has both is none of either.
    rows = "".join(f"{i % 7},{i % 3}5;{i % 7}.{i % 3}5;{'pq'[i % 2]}\n" for i in range(60))
    mixed = rows.replace("1,05", "1,005.5")
    notes = load(write("a;b;y\n" + mixed)).notes
    assert any("a: read as text because of '0,05' in row 1" in note for note in notes)


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_the_delimiter_is_found_in_the_header(write: Write, delimiter: str) -> None:
    text = csv(a=[1, 5, 2, 4, 3, 9], b=[2, 2, 1, 1, 5, 0], y=["p", "q"] * 3).replace(",", delimiter)
    assert load(write(text)).schema.target.columns == ("y",)


def test_bom_crlf_quotes_and_blank_lines(write: Write) -> None:
    text = '\ufeff"a, b",y\r\n"1",p\r\n\r\n2,"q"\r\n5,p\r\n"3",q\r\n7,"p\r\np"\r\n9,"p\r\np"\r\n'
    dataset = load(write(text))
    assert dataset.schema.columns[0].name == "a, b"
    assert dataset.classes == ("p", "p\r\np", "q")
    assert dataset.raw_rows([5, 2]) == {2: {"a, b": "2", "y": "q"}, 5: {"a, b": "7", "y": "p\r\np"}}


def test_gzip(write: Write) -> None:
    import gzip

    text = with_target([1, 5, 2, 9, 3, 8])
    plain, packed = load(write(text)), load(write(gzip.compress(text.encode()), "data.csv.gz"))
    assert plain.schema == packed.schema


def jsonl(table: pa.Table) -> str:
    import json

    return "\n".join(json.dumps(row, default=str) for row in table.to_pylist())


def test_the_three_formats_agree(write: Write, tmp_path: Path) -> None:
    n = 50
    table = pa.table(
        {
            "f": pa.array([None if i % 9 == 0 else i * 0.37 - 3 for i in range(n)], pa.float64()),
            "i": pa.array([(i * i) % 17 for i in range(n)], pa.int16()),
            "b": pa.array([i % 3 == 0 for i in range(n)]),
            "t": pa.array([None if i % 10 == 0 else "uvw"[i % 3] for i in range(n)]).dictionary_encode(),
            "d": pa.array([datetime.date(2020, 1, 1) + datetime.timedelta(days=i * i) for i in range(n)]),
            "m": pa.array([Decimal(i % 5) / 4 for i in range(n)], pa.decimal128(10, 2)),
            "label": pa.array([i % 3 for i in range(n)]),
        }
    )
    import pyarrow.csv

    pq.write_table(table, tmp_path / "a.parquet")
    pyarrow.csv.write_csv(table.set_column(3, "t", table["t"].cast(pa.string())), tmp_path / "a.csv")
    schemas = [load(str(tmp_path / "a.parquet")).schema, load(str(tmp_path / "a.csv")).schema]
    schemas.append(load(write(jsonl(table), "a.jsonl")).schema)
    assert schemas[0] == schemas[1] == schemas[2]
    assert [column.kind for column in schemas[0].columns] == [
        "number",
        "number",
        "boolean",
        "category",
        "date",
        "number",
    ]
    assert schemas[0].classes == ("0", "1", "2")
    # A model trained on one format predicts on another.
    encoded = [
        next(
            load_for_schema(str(tmp_path / name), schemas[0], need_target=True).all.batches(99, shuffle=False)
        )
        for name in ("a.parquet", "a.csv", "a.jsonl")
    ]
    assert torch.equal(encoded[0][0], encoded[1][0])
    assert torch.equal(encoded[0][0], encoded[2][0])
    assert torch.equal(encoded[0][1], encoded[2][1])


def test_unread_types_are_left_out(tmp_path: Path) -> None:
    table = pa.table({"s": [{"a": 1}] * 8, "x": [1.0, 4, 2, 3] * 2, "y": ["p", "q"] * 4})
    pq.write_table(table, tmp_path / "a.parquet")
    dataset = load(str(tmp_path / "a.parquet"))
    assert dataset.schema.dropped == (("s", "its type is neither number, boolean, date nor text"),)


def test_nan_in_parquet_is_missing(tmp_path: Path) -> None:
    table = pa.table({"x": pa.array([1.0, float("nan"), 2.0, None] * 5, pa.float32()), "y": ["p", "q"] * 10})
    pq.write_table(table, tmp_path / "a.parquet")
    dataset = load(str(tmp_path / "a.parquet"))
    assert any(note.startswith("x: 10 missing cells") for note in dataset.notes)
    assert torch.isfinite(column(dataset, "x")).all()


def test_json_keys_may_come_late(write: Write) -> None:
    lines = ['{"x": 1, "y": "p"}', '{"x": 2, "y": "q"}'] * 5 + ['{"z": 4, "x": 5, "y": "q"}'] * 5
    lines += ['{"z": 2, "x": 5, "y": "p"}', ""] * 5
    dataset = load(write("\n".join(lines), "a.jsonl"), target="y")
    assert {"x", "z"} == set(kinds(dataset))


def test_the_schema_goes_through_json_without_loss(write: Write) -> None:
    values = np.random.default_rng(1).normal(size=60)
    text = csv(
        x=[repr(float(v) * 1e-7) for v in values],
        t=["éa", 'b"', ""] * 20,
        d=[f"2024-01-{i % 28 + 1:02}" for i in range(60)],
        y=[repr(float(v)) for v in values[::-1]],
    )
    dataset = load(write(text))
    again = Schema.from_json(dataset.schema.to_json())
    assert again == dataset.schema
    assert again.to_json() == dataset.schema.to_json()
    table = pa.table({"x": [0.1], "t": ["éa"], "d": ["2024-01-05"]})
    assert torch.equal(again.encode(table), dataset.schema.encode(table))
    assert again.encode(table).shape == (1, dataset.num_features)
