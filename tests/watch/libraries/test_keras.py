"""Keras on torch under the watch: what `fit` gives its losses, as the user has compiled them."""

from __future__ import annotations

import os
from typing import Any

import pytest
import torch

os.environ.setdefault("KERAS_BACKEND", "torch")
keras = pytest.importorskip("keras", minversion="3")
np = pytest.importorskip("numpy")

import likelihead  # noqa: E402
from likelihead.watch.record import Record  # noqa: E402

if keras.backend.backend() != "torch":
    pytest.skip("Keras runs on something else here", allow_module_level=True)
# Of numpy and torch, on the way from one to the other.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")

X = np.random.default_rng(0).normal(size=(24, 6)).astype("float32")
CLASS = np.arange(24) % 4
ONE_HOT = np.eye(4, dtype="float32")[CLASS]
BIT = (np.arange(24) % 2).astype("float32")[:, None]


def fitted(loss: Any, activation: str | None, target: Any) -> Record:
    keras.utils.set_random_seed(0)
    layers = [keras.layers.Dense(8, activation="relu"), keras.layers.Dense(1 if target is BIT else 4)]
    layers += [keras.layers.Activation(activation)] if activation else []
    model = keras.Sequential(layers)
    model.compile(optimizer="sgd", loss=loss)
    with likelihead.watch(show=False) as w:
        model.fit(X, target, epochs=1, batch_size=6, verbose=0, validation_data=(X[:6], target[:6]))
    assert not [note for note in w.record.notes if note.kind == "fault"]
    return w.record


def from_logits(name: str) -> Any:
    return getattr(keras.losses, name)(from_logits=True)


CASES: dict[str, tuple[Any, str | None, Any, list[str]]] = {
    "probabilities": ("sparse_categorical_crossentropy", "softmax", CLASS, []),
    "logits": (from_logits("SparseCategoricalCrossentropy"), None, CLASS, []),
    "one-hot": ("categorical_crossentropy", "softmax", ONE_HOT, []),
    "one-hot, logits": (from_logits("CategoricalCrossentropy"), None, ONE_HOT, []),
    "binary": ("binary_crossentropy", "sigmoid", BIT, []),
    "binary, logits": (from_logits("BinaryCrossentropy"), None, BIT, []),
    "numbers": ("mean_squared_error", None, BIT, []),
    "two softmaxes": (from_logits("SparseCategoricalCrossentropy"), "softmax", CLASS, ["LH101"]),
    "two softmaxes, one-hot": (from_logits("CategoricalCrossentropy"), "softmax", ONE_HOT, ["LH101"]),
    "two sigmoids": (from_logits("BinaryCrossentropy"), "sigmoid", BIT, ["LH106"]),
    "no softmax": ("sparse_categorical_crossentropy", None, CLASS, ["LH105"]),
    "two logarithms": ("categorical_crossentropy", "log_softmax", ONE_HOT, ["LH104"]),
    "no sigmoid": ("binary_crossentropy", None, BIT, ["LH108"]),
}


@pytest.mark.parametrize("case", CASES)
def test_what_fit_gives_a_loss(case: str) -> None:
    loss, activation, target, codes = CASES[case]
    record = fitted(loss, activation, target)
    assert [finding.code for finding in record.findings] == codes
    assert all(finding.at.file == __file__ for finding in record.findings)
    if case == "numbers":
        assert record.sites == []  # of Keras's losses these are looked at that take probabilities or logits
        return
    training, evaluation = record.sites
    assert (training.phase, training.calls) == ("training", 4)
    assert (evaluation.phase, evaluation.calls) == ("evaluation", 1)
    assert training.function.startswith("keras.")
    assert training.fits is (not codes)


def test_a_loop_of_one_s_own_over_sequences() -> None:
    loss = from_logits("SparseCategoricalCrossentropy")
    scores = torch.zeros(4, 5, 3, requires_grad=True)
    with likelihead.watch(show=False) as w:
        loss(torch.zeros(4, 5).long(), scores.softmax(-1)).backward()
    assert [finding.code for finding in w.findings] == ["LH101"]
    (site,) = w.record.sites
    assert (site.calls, site.target) == (1, "int64 [20]")
