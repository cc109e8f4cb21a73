"""Keras that is imported while a watch is on is followed from there on; told by a stand-in for it."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

import likelihead
from lint_projects import write

LOSS = """
class Loss:
    def __init__(self, from_logits):
        self._fn_kwargs, self.fn, self.reduction = {"from_logits": from_logits}, binary_crossentropy, "mean"
    def __call__(self, y_true, y_pred, sample_weight=None):
        return self.fn(y_true, y_pred)
def binary_crossentropy(y_true, y_pred):
    return y_pred.square().mean()
"""


def test_keras_is_followed_from_its_import_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    for name in [name for name in sys.modules if name.partition(".")[0] == "keras"]:
        monkeypatch.delitem(sys.modules, name)
    empty = dict.fromkeys(("keras/__init__.py", "keras/src/__init__.py", "keras/src/losses/__init__.py"), "")
    write(tmp_path, empty | {"keras/src/losses/loss.py": LOSS})
    monkeypatch.syspath_prepend(tmp_path)
    finders = list(sys.meta_path)
    try:
        with likelihead.watch(show=False) as w:
            loss = importlib.import_module("keras.src.losses.loss")
            target, scores = torch.ones(4, 1), torch.zeros(4, 1, requires_grad=True)
            loss.Loss(from_logits=True)(target, scores.sigmoid()).backward()
            loss.Loss(from_logits=False)(y_pred=scores.sigmoid(), y_true=target).backward()
        assert [finding.code for finding in w.findings] == ["LH106"]
        assert [site.function for site in w.record.sites] == ["keras.binary_crossentropy"] * 2
        assert loss.__loader__ is not None
        assert not hasattr(loss.Loss.__call__, "__wrapped__")
        assert sys.meta_path == finders
    finally:
        for name in [name for name in sys.modules if name.partition(".")[0] == "keras"]:
            del sys.modules[name]
