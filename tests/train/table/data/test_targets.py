"""The target: which task it makes, how it is encoded, and what is refused."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from likelihead.errors import DataError, OptionError
from likelihead.train.table.data import load, load_for_schema

Write = Callable[..., str]


def rows(targets: list[object], header: str = "x,y") -> str:
    return "\n".join([header, *(f"{(i * 7) % 11},{value}" for i, value in enumerate(targets))]) + "\n"


def all_targets(name: str, **options: object) -> torch.Tensor:
    dataset = load(name, **options)
    return next(dataset.all.batches(10**6, shuffle=False, dtype=torch.float64))[1]


@pytest.mark.parametrize(
    ("values", "task", "names", "outputs"),
    [
        (["b", "a"] * 10, "binary", ("a", "b"), 1),
        (["true", "false"] * 10, "binary", ("false", "true"), 1),
        (["True", "FALSE", "TRUE", "false"] * 5, "binary", ("false", "true"), 1),
        ([1, 0] * 10, "binary", ("0", "1"), 1),
        ([1, -1] * 10, "binary", ("-1", "1"), 1),
        (["c", "a", "b"] * 10, "multiclass", ("a", "b", "c"), 3),
        ([10, 9, 2] * 10, "multiclass", ("2", "9", "10"), 3),
        (["1.0", "1", "2", "03", "3"] * 6, "multiclass", ("1", "2", "3"), 3),
        (["10", "9", "x2"] * 10, "multiclass", ("10", "9", "x2"), 3),
        (["a;b", "b", ";", "c;a"] * 5, "multilabel", ("a", "b", "c"), 3),
        (["10;9", "9", "2"] * 5, "multilabel", ("2", "9", "10"), 3),
        ([0.5, 1.5] * 10, "regression", (), 1),
        (list(range(40)), "regression", (), 1),
        ([1.25, 2, 3] * 10, "regression", (), 1),
    ],
)
def test_the_task_is_inferred(
    write: Write, values: list[object], task: str, names: tuple[str, ...], outputs: int
) -> None:
    dataset = load(write(rows(values)))
    assert (dataset.task, dataset.classes + dataset.labels, dataset.num_outputs) == (task, names, outputs)
    assert any(note.startswith(f"task: {task}: ") for note in dataset.notes)
    assert sum(dataset.class_counts) == len(dataset.train) or task in ("multilabel", "regression")


def test_a_multiclass_target_is_int64_and_others_are_floats(write: Write) -> None:
    three = all_targets(write(rows(["c", "a", "b"] * 10), "a.csv"))
    assert (three.dtype, three[:3].tolist()) == (torch.int64, [2, 0, 1])
    two = all_targets(write(rows(["q", "p", "q"] * 10), "b.csv"))
    assert (two.dtype, two[:3].tolist(), two.shape) == (torch.float64, [1.0, 0.0, 1.0], (30,))
    asked = all_targets(write(rows(["q", "p", "q"] * 10), "c.csv"), task="multiclass")
    assert asked.dtype == torch.int64
    sets = all_targets(write(rows(["a; b", "b;b", ";"] * 10), "d.csv"))
    assert sets[:3].tolist() == [[1, 1], [0, 1], [0, 0]]


def test_a_regression_target_is_standardised_and_restored(write: Write) -> None:
    values = [1000.5 + (i * i) % 37 for i in range(60)]
    dataset = load(write(rows(values)))
    target = next(dataset.all.batches(60, shuffle=False, dtype=torch.float64))[1]
    restored = dataset.schema.restore(target)
    torch.testing.assert_close(restored, torch.tensor(values, dtype=torch.float64), rtol=1e-14, atol=0)
    train = torch.cat([y for _, y in dataset.train.batches(7, dtype=torch.float64)])
    assert abs(float(train.mean())) < 1e-12
    assert float(train.std(correction=0)) == pytest.approx(1)


def test_several_columns_are_labels(write: Write) -> None:
    text = "x,p,q,r\n" + "".join(f"{i % 7},{i % 2},{'true' if i % 3 else 'false'},0\n" for i in range(30))
    dataset = load(write(text), target="p, q,r")
    assert dataset.task == "multilabel"
    assert dataset.labels == ("p", "q", "r")
    assert "labels that never change in the training rows: r" in dataset.notes
    target = next(dataset.all.batches(30, shuffle=False))[1]
    assert target[:4].tolist() == [[0, 0, 0], [1, 1, 0], [0, 1, 0], [1, 0, 0]]
    assert load(write(text), target=["p", "q"]).labels == ("p", "q")


def test_a_comma_in_a_name_is_part_of_it(write: Write) -> None:
    dataset = load(write('"p,q",x\n' + "a,1\nb,2\n" * 9), target="p,q")
    assert dataset.schema.target.columns == ("p,q",)


@pytest.mark.parametrize(
    ("header", "target", "why"),
    [
        ("x,Target,z", "Target", "by its name"),
        ("y,class,label", "label", "by its name"),
        ("a,b,c", "c", "the last column"),
    ],
)
def test_the_default_target(write: Write, header: str, target: str, why: str) -> None:
    dataset = load(write(header + "\n" + "1,2,2\n5,3,1\n2,2,1\n1,3,2\n" * 5))
    assert dataset.schema.target.columns == (target,)
    assert dataset.notes[0].startswith(f"target: {target} ({why}")


def test_large_class_numbers_keep_apart(write: Write) -> None:
    dataset = load(write(rows([2**53, 2**53 + 1] * 10)))
    assert dataset.classes == (str(2**53), str(2**53 + 1))


@pytest.mark.parametrize(
    ("values", "options", "row", "words"),
    [
        (["a"] * 9, {}, None, "one class only ('a')"),
        ([3] * 9, {}, None, "one class only ('3')"),
        (["a", "b"] * 9 + ["c"], {}, 19, "the class 'c' has one row only"),
        ([1, 2] * 9 + ["3.0"], {}, 19, "the class '3' has one row only"),
        ([f"id{i}" for i in range(9)], {}, None, "an id or free text"),
        (["a", "b", ""] * 9, {"strict": True}, 3, "the target is missing"),
        (["1", "2", "nan"] * 9, {"strict": True}, 3, "the target is missing"),
        (["a;b", "b", ""] * 9, {"strict": True}, 3, "write ';' where no label applies"),
        (["1.5", "2.5", "inf"] * 9, {}, 3, "the target is infinite"),
        (["a", "b", "c"] * 9, {"task": "binary"}, None, "use --task multiclass"),
        (["a", "b"] * 9, {"task": "regression"}, 1, "'a' is no number to regress on"),
        ([1, 2, 3, "x"] * 9, {"task": "regression"}, 4, "'x' is no number to regress on"),
        (["true", "false"] * 9, {"task": "regression"}, None, "use --task binary"),
        (["2024-01-01", "2024-01-02"] * 9, {"task": "regression"}, 1, "no number to regress on"),
        ([i + 0.5 for i in range(40)] * 2, {"task": "multiclass"}, 1, "use --task regression"),
        ([7] * 9, {"task": "regression"}, None, "every row has the target 7"),
        (["0", "1", "2"] * 9, {"task": "multilabel"}, 3, "'2' where a label is 0 or 1"),
        (["a;b"] * 9, {}, None, "no label differs"),
        (["a", "b"] * 9, {"target": "z"}, None, "no target column 'z'"),
    ],
)
def test_refused(
    write: Write, values: list[object], options: dict[str, str], row: int | None, words: str
) -> None:
    name = write(rows(values))
    with pytest.raises(DataError) as caught:
        load(name, **{"target": "y", **options})
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.path == name
    assert caught.value.row == row


@pytest.mark.parametrize(
    ("cell", "words"), [("2", "'2'"), ("-1", "'-1'"), ("0.5", "'0.5'"), ("yes", "'yes'")]
)
def test_a_label_outside_0_and_1_names_row_and_column(write: Write, cell: str, words: str) -> None:
    name = write("x,p,q\n" + "1,0,1\n2,1,0\n" * 5 + f"3,1,{cell}\n")
    with pytest.raises(DataError, match="0 or 1") as caught:
        load(name, target="p,q")
    assert (caught.value.row, caught.value.column) == (11, "q")
    assert words in str(caught.value)


def test_several_columns_fit_no_other_task(write: Write) -> None:
    with pytest.raises(DataError, match="2 target columns make a multilabel task, not regression"):
        load(write("x,p,q\n" + "1,0,1\n2,1,0\n" * 5), target="p,q", task="regression")


def test_a_missing_label_names_row_and_column(write: Write) -> None:
    with pytest.raises(DataError, match="the target is missing") as caught:
        load(write("x,p,q\n" + "1,0,1\n2,1,0\n" * 5 + "3,,1\n"), target="p,q")
    assert (caught.value.row, caught.value.column) == (11, "p")


def test_the_nearest_column_is_named(write: Write) -> None:
    with pytest.raises(DataError, match="did you mean 'Species'"):
        load(write("x,Species\n" + "1,a\n2,b\n" * 5), target="specis")


@pytest.mark.parametrize(
    "options",
    [
        {"task": "clustering"},
        {"memory": 1000},
        {"test_fraction": 1.0},
        {"test_fraction": -0.1},
        {"target": ""},
        {"target": "target,target"},
    ],
)
def test_options_outside_their_range(options: dict[str, object]) -> None:
    with pytest.raises(OptionError):
        load("iris", **options)


# ------------------------------------------------------------------------------------------ evaluating


def test_a_class_unseen_in_training(write: Write) -> None:
    schema = load(write(rows(["cat", "dog", "eel"] * 10))).schema
    name = write(rows(["cat", "dgo"]), "new.csv")
    with pytest.raises(
        DataError, match=r"class 'dgo' was not in the training data \(did you mean 'dog'"
    ) as caught:
        load_for_schema(name, schema, need_target=True)
    assert (caught.value.path, caught.value.row, caught.value.column) == (name, 2, "y")


def test_a_label_unseen_in_training(write: Write) -> None:
    schema = load(write(rows(["cat;dog", "dog", "cat"] * 10))).schema
    with pytest.raises(DataError, match=r"label 'fox' was not in the training data") as caught:
        load_for_schema(write(rows(["cat", ";", "dog;fox"]), "new.csv"), schema, need_target=True)
    assert caught.value.row == 3


def test_predicting_needs_no_target_and_ignores_extra_columns(write: Write) -> None:
    schema = load(write(rows(["cat", "dog", "eel"] * 10))).schema
    dataset = load_for_schema(write("z,x\n1,4\n2,\n", "new.csv"), schema, need_target=False)
    features, numbers = next(dataset.all.feature_batches(10))
    assert (features.shape, numbers.tolist()) == ((2, 1), [1, 2])
    assert float(features[1, 0]) == 0
    assert any("replaced by the training mean" in note for note in dataset.notes)
    assert any(note.endswith("not trained on it: z") for note in dataset.notes)
    with pytest.raises(OptionError, match="need_target"):
        next(dataset.all.batches(10))


def test_a_missing_column_names_the_nearest(write: Write) -> None:
    schema = load(write(rows(["cat", "dog", "eel"] * 10, "width,kind"))).schema
    with pytest.raises(DataError, match=r"'width'.* did you mean 'widht'"):
        load_for_schema(write("widht,kind\n1,cat\n", "new.csv"), schema, need_target=True)
    with pytest.raises(DataError, match="target column 'kind' is missing"):
        load_for_schema(write("width,k\n1,cat\n", "new.csv"), schema, need_target=True)


def test_a_category_unseen_in_training_is_no_category(write: Write) -> None:
    text = "t,y\n" + "".join(f"{'rgb'[i % 3]},{'pq'[i % 2]}\n" for i in range(40))
    schema = load(write(text)).schema
    dataset = load_for_schema(write("t\nr\nviolet\n", "new.csv"), schema, need_target=False)
    assert next(dataset.all.feature_batches(9))[0].tolist() == [[0, 0, 1], [0, 0, 0]]
    assert any(note.startswith("t: 1 cell with a text that training did not have") for note in dataset.notes)


def test_a_text_where_training_had_numbers(write: Write) -> None:
    schema = load(write(rows(["cat", "dog", "eel"] * 10))).schema
    with pytest.raises(DataError, match="'many' is not a number") as caught:
        load_for_schema(write("x\n3\n4\nmany\n", "new.csv"), schema, need_target=False)
    assert (caught.value.row, caught.value.column) == (3, "x")
    with pytest.raises(DataError, match="standard deviations") as caught:
        load_for_schema(write("x\n3\n1e200\n", "new.csv"), schema, need_target=False)
    assert (caught.value.row, caught.value.column) == (2, "x")
    with pytest.raises(DataError, match="infinite") as caught:
        load_for_schema(write("x\n3\n-inf\n", "new.csv"), schema, need_target=False)
    assert (caught.value.row, caught.value.column) == (2, "x")
