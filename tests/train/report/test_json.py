"""report.json: valid, versioned, and its figures those of scikit-learn or of the definition."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn import metrics

from likelihead.train.report import highest_loss_rows, write_report


def refuse(name: str) -> None:
    raise AssertionError(f"{name} is no JSON")


@pytest.fixture
def figures(tmp_path: Path) -> Any:
    def build(content: Any) -> dict[str, Any]:
        write_report(tmp_path, content)
        return json.loads((tmp_path / "report.json").read_text("utf-8"), parse_constant=refuse)

    return build


def expected_calibration_error(confidence: np.ndarray, outcome: np.ndarray) -> float:
    total = 0.0
    for low in np.arange(10) / 10:
        inside = (confidence > low) & (confidence <= low + 0.1)
        if inside.any():
            total += inside.mean() * abs(outcome[inside].mean() - confidence[inside].mean())
    return total


def test_multiclass(make: Any, figures: Any) -> None:
    content = make("multiclass")
    got, test = figures(content), content.test
    predicted = test.predictions.argmax(axis=1)
    assert got["schema_version"] == 1
    assert got["figures"]["accuracy"] == pytest.approx(metrics.accuracy_score(test.targets, predicted))
    assert got["figures"]["nll"] == pytest.approx(metrics.log_loss(test.targets, test.predictions))
    assert got["figures"]["macro_f1"] == pytest.approx(
        metrics.f1_score(test.targets, predicted, average="macro")
    )
    assert got["figures"]["balanced_accuracy"] == pytest.approx(
        metrics.balanced_accuracy_score(test.targets, predicted)
    )
    assert got["figures"]["nll_explained"] == pytest.approx(1 - test.nll.mean() / content.curves.baseline_nll)
    confidence = test.predictions.max(axis=1)
    assert got["figures"]["ece"] == pytest.approx(
        expected_calibration_error(confidence, predicted == test.targets)
    )
    assert got["confusion"]["matrix"] == metrics.confusion_matrix(test.targets, predicted).tolist()
    for c, row in enumerate(got["per_class"]):
        own = test.targets == c
        assert row["support"] == own.sum()
        assert row["nll"] == pytest.approx(test.nll[own].mean())
        assert row["precision"] == pytest.approx(metrics.precision_score(own, predicted == c))
        assert row["recall"] == pytest.approx(metrics.recall_score(own, predicted == c))
        assert row["f1"] == pytest.approx(metrics.f1_score(own, predicted == c))
        tn, fp, fn, tp = metrics.confusion_matrix(own, predicted == c).ravel()
        assert (row["true_negatives"], row["false_positives"]) == (tn, fp)
        assert (row["false_negatives"], row["true_positives"]) == (fn, tp)


def test_a_planted_wrong_probability_is_the_highest_loss(make: Any, figures: Any) -> None:
    content = make("multiclass")
    probs, nll = content.test.predictions.copy(), content.test.nll.copy()
    target = int(content.test.targets[17])
    probs[17] = 0.0005
    probs[17, (target + 1) % 3] = 0.999
    nll[17] = -np.log(0.0005)
    content = replace(content, test=replace(content.test, predictions=probs, nll=nll))
    worst = figures(content)["highest_loss"][0]
    assert worst["row"] == content.test.row_numbers[17] == highest_loss_rows(content.test, 1)[0]
    assert worst["target"] == content.classes[target]
    assert worst["prediction"] == content.classes[(target + 1) % 3]
    assert worst["p_target"] == pytest.approx(0.0005)
    assert worst["cells"]["sepal length (cm)"] == pytest.approx(4.9 + 0.01 * 54)


def test_binary(make: Any, figures: Any) -> None:
    content = make("binary")
    got, test = figures(content), content.test
    predicted = test.predictions > 0.5
    assert got["figures"]["accuracy"] == pytest.approx(metrics.accuracy_score(test.targets, predicted))
    assert got["figures"]["roc_auc"] == pytest.approx(metrics.roc_auc_score(test.targets, test.predictions))
    assert got["figures"]["ece"] == pytest.approx(expected_calibration_error(test.predictions, test.targets))
    assert got["confusion"]["matrix"] == metrics.confusion_matrix(test.targets, predicted).tolist()
    assert sum(b["count"] for b in got["calibration"]["bins"]) == len(test)


def test_multilabel(make: Any, figures: Any) -> None:
    content = make("multilabel")
    got, test = figures(content), content.test
    known = ~np.isnan(test.targets)
    said, truth = test.predictions > 0.5, test.targets == 1
    assert got["figures"]["nll"] == pytest.approx(test.nll.mean())
    assert got["figures"]["label_accuracy"] == pytest.approx((said == truth)[known].mean())
    assert got["figures"]["exact_match"] == pytest.approx(((said == truth) | ~known).all(axis=1).mean())
    assert got["figures"]["micro_f1"] == pytest.approx(metrics.f1_score(truth[known], said[known]))
    assert got["figures"]["ece"] == pytest.approx(
        expected_calibration_error(test.predictions[known], truth[known])
    )
    for c, row in enumerate(got["per_class"]):
        rows = known[:, c]
        tn, fp, fn, tp = metrics.confusion_matrix(truth[rows, c], said[rows, c]).ravel()
        assert [
            row[k] for k in ("true_negatives", "false_positives", "false_negatives", "true_positives")
        ] == [
            tn,
            fp,
            fn,
            tp,
        ]
        assert row["nll"] == pytest.approx(metrics.log_loss(truth[rows, c], test.predictions[rows, c]))
    # The same NLL per label, whether it is given or taken from the probabilities.
    without = figures(replace(content, test=replace(test, label_nll=None)))
    assert [r["nll"] for r in without["per_class"]] == pytest.approx([r["nll"] for r in got["per_class"]])


def test_regression(make: Any, figures: Any) -> None:
    content = make("regression", names=("height", "weight"))
    got, test = figures(content), content.test
    for d, row in enumerate(got["per_target"]):
        y, p = test.targets[:, d], test.predictions[:, d]
        assert row["r2"] == pytest.approx(metrics.r2_score(y, p))
        assert row["rmse"] == pytest.approx(np.sqrt(((y - p) ** 2).mean()))
        assert row["mae"] == pytest.approx(np.abs(y - p).mean())
    assert got["figures"]["r2"] == pytest.approx(metrics.r2_score(test.targets, test.predictions))
    assert got["figures"]["nll_explained"] is None
    assert got["confusion"] is None
    assert got["calibration"] is None
    one = figures(make("regression"))
    assert one["figures"]["rmse"] == pytest.approx(one["per_target"][0]["rmse"])


def test_what_is_undefined_is_null(make: Any, make_curves: Any, figures: Any) -> None:
    content = make("binary", curves=make_curves(1.0, 0.5, epochs=2, train_nll=[float("nan"), float("inf")]))
    test = replace(content.test, targets=np.zeros_like(content.test.targets))
    got = figures(
        replace(content, test=test, config={"path": Path("x"), "lr": np.float32(0.5), "n": (1, None)})
    )
    assert got["curves"]["train_nll"] == [None, None]
    assert got["figures"]["roc_auc"] is None
    assert got["per_class"][1]["recall"] is None
    assert got["config"] == {"path": "x", "lr": 0.5, "n": [1, None]}


def test_the_cells_of_a_large_confusion_matrix_are_listed(make: Any, figures: Any) -> None:
    content = make("multiclass", n=400, names=tuple(map(str, range(101))))
    confusion = figures(content)["confusion"]
    assert confusion["matrix"] is None
    dense = np.zeros((101, 101), dtype=int)
    for true, predicted, count in confusion["cells"]:
        dense[true, predicted] = count
    expected = metrics.confusion_matrix(
        content.test.targets, content.test.predictions.argmax(axis=1), labels=range(101)
    )
    assert (dense == expected).all()
