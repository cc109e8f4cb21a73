"""Class weights and cost matrices from files: what is right is taken, what is wrong is named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_wine
from sklearn.utils.class_weight import compute_class_weight

from likelihead.errors import DataError, OptionError
from likelihead.train.table.cost import read_cost
from likelihead.train.table.data import Schema, load
from likelihead.train.table.weights import class_weights


@pytest.fixture(scope="module")
def iris() -> Schema:
    return load("iris").schema


def test_none(iris: Schema) -> None:
    assert class_weights("none", iris) == ()


def test_balanced_is_scikit_learns() -> None:
    data = load("wine")
    rows = [int(r) - 1 for _, _, numbers in data.train.numbered_batches(64) for r in numbers]
    target = load_wine().target[rows]
    expected = compute_class_weight("balanced", classes=np.arange(3), y=target)
    np.testing.assert_allclose(class_weights("balanced", data.schema), expected)


def test_balanced_binary_is_the_ratio_of_the_counts() -> None:
    schema = load("breast-cancer").schema
    no, yes = schema.target.counts
    assert class_weights("balanced", schema) == (pytest.approx(no / yes),)


def test_effective_levels_off_for_frequent_classes() -> None:
    counts = np.array(load("digits-long-tail").class_counts)
    weights = np.array(class_weights("effective", load("digits-long-tail").schema))
    expected = 0.001 / (1 - 0.999**counts)
    np.testing.assert_allclose(weights, expected / expected.sum() * 10)
    schema = load("breast-cancer").schema
    no, yes = schema.target.counts
    assert class_weights("effective", schema) == (pytest.approx((1 - 0.999**no) / (1 - 0.999**yes)),)


@pytest.mark.parametrize("option", ["balanced", "effective"])
def test_weights_of_labels(tmp_path: Path, option: str) -> None:
    path = tmp_path / "labels.csv"
    path.write_text("x,a,b\n" + "".join(f"{i / 7},{i % 2},{int(i % 5 == 0)}\n" for i in range(60)))
    schema = load(str(path), target=("a", "b")).schema
    yes = np.array(schema.target.counts)
    no = schema.train_rows - yes
    expected = no / yes if option == "balanced" else (1 - 0.999**no) / (1 - 0.999**yes)
    np.testing.assert_allclose(class_weights(option, schema), expected)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("w.json", '{"setosa": 1, "versicolor": 2.5, "virginica": 0}'),
        ("w.csv", "class,weight\nvirginica,0\nsetosa,1\nversicolor,2.5\n"),
        ("w.csv", "\ufeffvirginica, 0\nsetosa, 1\n\nversicolor, 2.5\n"),
    ],
)
def test_a_file(iris: Schema, tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    assert class_weights(str(tmp_path / name), iris) == (1.0, 2.5, 0.0)


GOOD = "setosa,1\nversicolor,1\n"
WRONG = [
    (GOOD + "virginca,1\n", r"row 3.*'virginca'; did you mean 'virginica'"),
    (GOOD, "no weight for class 'virginica'"),
    (GOOD + "virginica,-1\n", "row 3.*'virginica' is '-1'"),
    (GOOD + "virginica,nan\n", "is 'nan'"),
    (GOOD + "virginica,inf\n", "is 'inf'"),
    (GOOD + "virginica,1e300\n", "is '1e300'"),
    (GOOD + "virginica,5e-324\n", "is '5e-324'"),
    ('{"setosa":' + "[" * 100_000, "not valid JSON"),
    (GOOD + "virginica,heavy\n", "is 'heavy'"),
    (GOOD + "setosa,1\n", "'setosa' is there twice"),
    (GOOD + "virginica\n", "row 3: expected `class,weight`, not 1"),
    ('{"setosa": 1', "not valid JSON"),
    ('{"setosa": true, "versicolor": 1, "virginica": 1}', "is True"),
    ('{"setosa": 1, "setosa": 1}', "'setosa' is there twice"),
    ('{"setosa": NaN, "versicolor": 1, "virginica": 1}', "is nan"),
]


@pytest.mark.parametrize(("text", "message"), WRONG)
def test_a_wrong_file(iris: Schema, tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "weights"
    path.write_text(text)
    with pytest.raises(DataError, match=message) as failure:
        class_weights(str(path), iris)
    assert str(path) in str(failure.value)


def test_a_file_that_is_not_there_or_not_text(iris: Schema, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="none, balanced, effective or a file"):
        class_weights(str(tmp_path / "absent"), iris)
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="not UTF-8"):
        class_weights(str(tmp_path / "binary"), iris)


def test_weights_that_leave_nothing(iris: Schema, tmp_path: Path) -> None:
    path = tmp_path / "zero.csv"
    path.write_text("setosa,0\nversicolor,0\nvirginica,0\n")
    with pytest.raises(OptionError, match="every weight is 0"):
        class_weights(str(path), iris)


CLASSES = ("cat", "dog")


def test_a_cost_matrix_with_a_further_decision(tmp_path: Path) -> None:
    path = tmp_path / "cost.csv"
    path.write_text("true,abstain,dog,cat\ndog,0.3,0,1\ncat,0.3,5,0\n")
    cost, decisions = read_cost(path, CLASSES, more_decisions=True)
    assert decisions == ("cat", "dog", "abstain")
    assert cost.tolist() == [[0.0, 5.0, 0.3], [1.0, 0.0, 0.3]]


def test_the_same_as_json(tmp_path: Path) -> None:
    path = tmp_path / "cost.json"
    path.write_text('{"cat": {"cat": 0, "dog": 5}, "dog": {"cat": 1, "dog": 0}}')
    cost, decisions = read_cost(path, CLASSES, more_decisions=False)
    assert (decisions, cost.tolist()) == (CLASSES, [[0.0, 5.0], [1.0, 0.0]])


WRONG_COSTS = [
    ("true,cat,dog\ncat,0,1\n", "truth is 'dog'"),
    ("true,cat\ncat,0\ndog,1\n", "deciding 'dog' where the truth is 'cat' is missing"),
    ("true,cat,dog\ncat,0,1\ndgo,1,0\n", "'dgo'; did you mean 'dog'"),
    ("true,cat,dog,bird\ncat,0,1,1\ndog,1,0,1\n", "no class 'bird' to decide for"),
    ("true,cat,dog\ncat,0,x\ndog,1,0\n", "is 'x'"),
    ("true,cat,dog\ncat,0,nan\ndog,1,0\n", "is 'nan'"),
    ("true,cat,dog\ncat,0\ndog,1,0\n", "row 1: expected 3 cells, not 2"),
    ("true,cat,dog\ncat,0,1\ncat,1,0\n", "'cat' is there twice"),
    ("true,cat,cat\ncat,0,1\ndog,1,0\n", "decision is there twice"),
    ("", "expected a line"),
    ("{", "not valid JSON"),
    ('{"cat": 1}', "expected"),
]


@pytest.mark.parametrize(("text", "message"), WRONG_COSTS)
def test_a_wrong_cost_matrix(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "cost"
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        read_cost(path, CLASSES, more_decisions=False)
