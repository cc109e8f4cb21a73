"""Streamed figures are scikit-learn's on the whole, however the rows are cut into batches."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sklearn import metrics as sk
from torch import Tensor

from likelihead.likelihoods import Bernoulli, Categorical, Gaussian, Likelihood, MultiLabel
from likelihead.train.table.data import Column, Schema, TargetSchema, Task
from likelihead.train.table.metrics import Tally

X = (Column("x", "number"),)


def schema(task: Task, names: tuple[str, ...], *, mean: float = 0.0, std: float = 1.0) -> Schema:
    form = {"multilabel": "labels", "regression": "number"}.get(task, "classes")
    target = TargetSchema(form, names or ("y",), "text", names, mean=mean, std=std)  # type: ignore[arg-type]
    return Schema(task, X, target)


def figures(
    likelihood: Likelihood,
    kind: Schema,
    constant: tuple[float, ...],
    output: Tensor,
    target: Tensor,
    size: int,
) -> dict[str, object]:
    tally = Tally(likelihood, kind, constant, likelihood)
    for part, truth in zip(output.split(size), target.split(size), strict=True):
        tally.add(part, truth)
    return tally.figures()


def close(a: object, b: float) -> None:
    assert a == pytest.approx(b, rel=1e-9)


@pytest.mark.parametrize("size", [1, 7, 200])
def test_multiclass(size: int) -> None:
    z = torch.randn(200, 4, dtype=torch.float64) * 3
    y = torch.randint(0, 3, (200,))  # the last class never comes
    names = ("a", "b", "c", "d")
    found = figures(Categorical(4), schema("multiclass", names), (0.1, 0.2, 0.3, 0.4), z, y, size)
    p, said = torch.softmax(z, 1).numpy(), z.argmax(1).numpy()
    close(found["nll"], sk.log_loss(y, p, labels=[0, 1, 2, 3]))
    constant = torch.log_softmax(torch.tensor([0.1, 0.2, 0.3, 0.4], dtype=torch.float64), 0)
    close(found["baseline_nll"], float(-constant[y].mean()))
    close(found["accuracy"], sk.accuracy_score(y, said))
    table = sk.precision_recall_fscore_support(y, said, labels=[0, 1, 2, 3], zero_division=np.nan)
    rows = found["per_class"]
    assert isinstance(rows, list)
    for c, row in enumerate(rows):
        assert (row["name"], row["support"]) == (names[c], int((y == c).sum()))
        for name, values in zip(("precision", "recall", "f1"), table, strict=False):
            if math.isnan(values[c]):
                assert row[name] is None
            else:
                close(row[name], values[c])
    close(found["balanced_accuracy"], sk.balanced_accuracy_score(y, said)) if set(said) <= {0, 1, 2} else None
    close(found["brier"], float(((p - np.eye(4)[y]) ** 2).sum(1).mean()))
    assert rows[3]["nll"] is None


@pytest.mark.parametrize("size", [1, 7, 200])
@pytest.mark.parametrize("log_probs", [False, True])
def test_binary(size: int, log_probs: bool) -> None:
    z = torch.randn(200, dtype=torch.float64) * 3
    y = torch.randint(0, 2, (200,)).double()
    likelihood = Bernoulli.from_log_probs() if log_probs else Bernoulli()
    output = torch.nn.functional.logsigmoid(z) if log_probs else z
    constant = (math.log(0.3) if log_probs else 0.5,)
    found = figures(likelihood, schema("binary", ("no", "yes")), constant, output, y, size)
    p = torch.sigmoid(z).numpy()
    close(found["nll"], sk.log_loss(y, p))
    close(found["roc_auc"], sk.roc_auc_score(y, p))
    close(found["brier"], sk.brier_score_loss(y, p))
    close(found["accuracy"], sk.accuracy_score(y, p > 0.5))


@pytest.mark.parametrize("size", [1, 7, 60])
def test_multilabel_leaves_unknown_labels_out(size: int) -> None:
    z = torch.randn(60, 3, dtype=torch.float64) * 2
    y = (torch.rand(60, 3) < 0.4).double()
    y[::5, 1] = math.nan
    found = figures(MultiLabel(3), schema("multilabel", ("a", "b", "c")), (0.0, 0.0, 0.0), z, y, size)
    known = ~y.isnan()
    terms = torch.nn.functional.binary_cross_entropy_with_logits(z, y.nan_to_num(), reduction="none")
    close(found["nll"], float((terms * known).sum(1).mean()))
    close(found["baseline_nll"], int(known.sum()) * math.log(2) / 60)
    said = (z > 0).double()
    close(found["label_accuracy"], sk.accuracy_score(y[known], said[known]))
    close(found["micro_f1"], sk.f1_score(y[known], said[known]))
    close(found["exact_match"], float(((said == y) | ~known).all(1).double().mean()))
    rows = found["per_label"]
    assert isinstance(rows, list)
    for label, row in enumerate(rows):
        k = known[:, label]
        close(row["f1"], sk.f1_score(y[k, label], said[k, label]))


@pytest.mark.parametrize("size", [1, 7, 90])
def test_regression_is_in_the_targets_units(size: int) -> None:
    mean, std, variance = 1e6, 250.0, 0.3
    y, z = torch.randn(2, 90, dtype=torch.float64)
    kind = schema("regression", (), mean=mean, std=std)
    found = figures(Gaussian(variance), kind, (0.0,), z, y, size)
    truth, said = (y * std + mean).numpy(), (z * std + mean).numpy()
    assert found["r2"] == pytest.approx(sk.r2_score(truth, said), rel=1e-6)
    assert found["rmse"] == pytest.approx(sk.root_mean_squared_error(truth, said), rel=1e-6)
    assert found["mae"] == pytest.approx(sk.mean_absolute_error(truth, said), rel=1e-6)
    normal = torch.distributions.Normal(torch.tensor(said), std * math.sqrt(variance))
    close(found["nll"], float(-normal.log_prob(torch.tensor(truth)).mean()))


def test_one_class_only_leaves_undefined_figures_undefined() -> None:
    z = torch.randn(5, dtype=torch.float64)
    found = figures(Bernoulli(), schema("binary", ("no", "yes")), (0.0,), z, torch.zeros(5).double(), 2)
    assert found["roc_auc"] is None
