"""A likelihood by the name of its task, and a task by the look of its targets."""

from __future__ import annotations

import pytest
import torch

from likelihead.errors import DTypeError, OptionError, ShapeError
from likelihead.likelihoods import (
    REGISTRY,
    Bernoulli,
    Categorical,
    Gaussian,
    MultiLabel,
    for_task,
    infer_task,
)

NAN = float("nan")


@pytest.mark.parametrize(
    ("task", "options", "expected"),
    [
        ("binary", {"pos_weight": 2.0}, Bernoulli),
        ("multiclass", {"num_classes": 3}, Categorical),
        ("multilabel", {"num_labels": 3}, MultiLabel),
        ("regression", {"variance": 2.0}, Gaussian),
    ],
)
def test_for_task(task, options, expected):
    assert type(for_task(task, **options)) is expected


def test_for_task_refuses():
    with pytest.raises(OptionError, match="Did you mean 'multiclass'"):
        for_task("multi-class")
    with pytest.raises(OptionError, match=r"needs num_classes=; or use Categorical.from_targets"):
        for_task("multiclass")
    with pytest.raises(OptionError, match="needs num_labels="):
        for_task("multilabel")


def test_every_task_has_one_likelihood():
    assert len({cls.task for cls in REGISTRY.values()}) == len(REGISTRY)


@pytest.mark.parametrize(
    ("targets", "task", "options", "words", "alternatives"),
    [
        (torch.tensor([0, 2, 1, 1]), "multiclass", {"num_classes": 3}, "class indices", []),
        (
            torch.tensor([0, 2, 1, 1], dtype=torch.uint8),
            "multiclass",
            {"num_classes": 3},
            "class indices",
            [],
        ),
        (torch.tensor([[0], [2], [1]]), "multiclass", {"num_classes": 3}, "a column is read as a list", []),
        (torch.tensor([0, 2, -100]), "multiclass", {"num_classes": 3}, "1 of 3 are ignore_index=-100", []),
        (torch.tensor([0, 1, 1]), "binary", {}, "0 and 1", []),
        (torch.tensor([1.0, 0.0]), "binary", {}, "0 and 1", []),
        (torch.tensor([1, 1]), "binary", {}, "only 1 occurs", ["multiclass"]),
        (torch.tensor([True, False]), "binary", {}, "yes or no", []),
        (torch.tensor([-1, 1, 1]), "binary", {}, r"(targets + 1) / 2", ["regression"]),
        (torch.tensor([[True, False, True]]), "multilabel", {"num_labels": 3}, "3 columns", []),
        (torch.tensor([[1, 0, 1], [0, 0, 0]]), "multilabel", {"num_labels": 3}, "0 to 2 ones", []),
        (
            torch.tensor([[1.0, 0.0, 1.0], [0.0, NAN, 0.0]]),
            "multilabel",
            {"num_labels": 3},
            "1 of 6 are NaN",
            [],
        ),
        (torch.tensor([[1.0, 0.0], [0.0, 1.0]]), "multiclass", {"num_classes": 2}, "one-hot", ["multilabel"]),
        (torch.tensor([[0.25, 0.75], [0.5, 0.5]]), "multiclass", {"num_classes": 2}, "sum to one", []),
        (
            torch.tensor([[0.25, 0.25], [0.5, 1.0]]),
            "multilabel",
            {"num_labels": 2},
            "do not sum",
            ["regression"],
        ),
        (torch.tensor([[0.2, -3.0], [1.5, 1.0]]), "regression", {"num_outputs": 2}, "real numbers", []),
        (torch.tensor([0.2, -3.0, 17.0]), "regression", {}, "real numbers", []),
        (torch.tensor([0.2, 0.9]), "regression", {}, "probabilities of a yes", ["binary"]),
        (
            torch.tensor([0.0, 1.0, 2.0, 1.0]),
            "multiclass",
            {"num_classes": 3},
            "stored as float32",
            ["regression"],
        ),
        (torch.tensor([0.0, 50.0, 2.0]), "regression", {}, "stored as float32", ["count"]),
        (torch.tensor([-5, 3, 8]), "regression", {}, "no class index is negative", []),
        (
            torch.arange(100),
            "multiclass",
            {"num_classes": 100},
            "most values occur once",
            ["regression", "count"],
        ),
        (torch.tensor([1, 2, 3]), "multiclass", {"num_classes": 4}, "as grades do", ["ordinal"]),
        (torch.tensor([1, 3]), "multiclass", {"num_classes": 4}, "2 of the 4 classes do not occur", []),
        (
            torch.tensor([3, 900, 3]),
            "multiclass",
            {"num_classes": 901},
            "do not occur",
            ["regression", "count"],
        ),
        (torch.tensor([0.0, float("inf")]), "regression", {}, "1 of 2 are infinite", []),
        (torch.tensor([0.5, -3.2, NAN]), "regression", {}, "1 of 3 are NaN", []),
        (torch.randint(0, 5, (2, 8, 8)), "multiclass", {"num_classes": 5}, "class indices", []),
        (torch.randint(0, 2, (2, 8, 8)), "multilabel", {"num_labels": 8}, "multi-hot", ["binary"]),
    ],
    ids=lambda x: None,
)
def test_infer_task(targets, task, options, words, alternatives):
    guess = infer_task(targets)
    assert (guess.task, guess.options) == (task, options), str(guess)
    assert words in "; ".join(guess.reasons)
    assert guess.alternatives == alternatives
    assert guess.is_ambiguous == bool(alternatives)
    assert ("ambiguous" in str(guess)) == bool(alternatives)
    assert guess.likelihood().task == task


@pytest.mark.parametrize(
    ("targets", "error", "words"),
    [
        (["cat", "dog"], DTypeError, r"list of str; expected a torch.Tensor. Number the classes"),
        ([0, 1], DTypeError, r"Use torch.as_tensor"),
        (3, DTypeError, "targets is a int"),
        (torch.zeros(2, dtype=torch.complex64), DTypeError, "complex64"),
        (torch.zeros(0), ShapeError, "none to look at"),
        (torch.tensor([NAN]), ShapeError, "no value that counts"),
    ],
)
def test_infer_task_refuses(targets, error, words):
    with pytest.raises(error, match=words):
        infer_task(targets)
