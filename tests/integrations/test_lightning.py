"""The watch of a Lightning trainer: its own callback, over a fit and its validation."""

from __future__ import annotations

import json
import os
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from likelihead.errors import MisuseError

HAVE = find_spec("lightning") is not None or find_spec("pytorch_lightning") is not None
pytestmark = pytest.mark.filterwarnings(
    "ignore"
)  # of loaders without workers, of loggers: Lightning's advice


@pytest.mark.skipif(HAVE, reason="Lightning is there")
def test_without_lightning_the_error_says_what_to_install() -> None:
    from likelihead.integrations import lightning as module

    with pytest.raises(ModuleNotFoundError, match="pip install lightning"):
        _ = module.WatchCallback


@pytest.fixture(scope="module")
def lightning() -> Any:
    if not HAVE:
        pytest.skip("needs Lightning")
    return import_module("lightning.pytorch" if find_spec("lightning") is not None else "pytorch_lightning")


def module(lightning: Any, softmax: bool, fails: bool = False) -> Any:
    class Classifier(lightning.LightningModule):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.layer, self.criterion = nn.Linear(6, 3), nn.CrossEntropyLoss()

        def loss(self, batch: Any) -> Tensor:
            x, y = batch
            logits = self.layer(x)
            return self.criterion(logits.softmax(dim=1) if softmax else logits, y)  # type: ignore[no-any-return]

        def training_step(self, batch: Any, index: int) -> Tensor:
            if fails and index == 2:
                raise KeyError("in a step")
            return self.loss(batch)

        def validation_step(self, batch: Any, index: int) -> None:
            self.loss(batch)

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), lr=0.1)

    return Classifier()


def fit(lightning: Any, model: Any, **options: Any) -> Any:
    from likelihead.integrations.lightning import WatchCallback

    torch.manual_seed(0)
    data = TensorDataset(torch.randn(32, 6), torch.arange(32) % 3)
    callback = WatchCallback(show=False, **options)
    quiet = dict.fromkeys(
        ("logger", "enable_progress_bar", "enable_model_summary", "enable_checkpointing"), False
    )
    trainer = lightning.Trainer(max_epochs=1, accelerator="cpu", callbacks=[callback], **quiet)
    loader = DataLoader(data, batch_size=8)
    try:
        trainer.fit(model, loader, loader)
    finally:
        fit.callback = callback  # type: ignore[attr-defined]
    return callback


def test_a_fit_is_seen_whole(lightning: Any, tmp_path: Path) -> None:
    record = fit(lightning, module(lightning, softmax=False), json=tmp_path / "r.json").record
    assert record.findings == []
    assert record.steps == 4
    assert {(site.phase, site.calls) for site in record.sites} == {("training", 4), ("evaluation", 6)}
    assert all(os.path.samefile(site.at.file, __file__) for site in record.sites)
    assert json.loads((tmp_path / "r.json").read_text())["steps"] == 4
    assert torch._C._len_torch_function_stack() == 0


def test_a_wrong_step_is_told_and_may_end_the_fit(lightning: Any) -> None:
    record = fit(lightning, module(lightning, softmax=True)).record
    assert [finding.code for finding in record.findings] == ["LH101"]
    with pytest.raises(MisuseError, match="cross-entropy applies a softmax of its own"):
        fit(lightning, module(lightning, softmax=True), fail_fast=True)
    assert torch._C._len_torch_function_stack() == 0


def test_what_a_fit_raises_goes_on_and_the_record_is_there(lightning: Any) -> None:
    with pytest.raises(KeyError, match="in a step"):
        fit(lightning, module(lightning, softmax=True, fails=True))
    record = fit.callback.record  # type: ignore[attr-defined]
    assert record.ended == "raised KeyError"
    assert [finding.code for finding in record.findings] == ["LH101"]
    assert torch._C._len_torch_function_stack() == 0
