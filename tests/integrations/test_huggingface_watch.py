"""The watch of a transformers Trainer: its callback, over a training and its evaluations."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

os.environ["HF_HUB_OFFLINE"] = "1"
transformers = pytest.importorskip("transformers", minversion="5")
pytest.importorskip("accelerate")
# The Trainer's advice about what this machine has not.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")

SEED, CLASSES = 0, 3


class Rows(torch.utils.data.Dataset[dict[str, Tensor]]):
    def __init__(self, rows: list[dict[str, Tensor]]) -> None:
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return self.rows[index]


class Classifier(nn.Module):
    """As people write one for the Trainer: it computes its own loss."""

    def __init__(self, softmax: bool) -> None:
        super().__init__()
        self.layer, self.softmax = nn.Linear(6, CLASSES), softmax

    def forward(self, x: Tensor, labels: Tensor) -> dict[str, Tensor]:
        logits = self.layer(x)
        scores = logits.softmax(dim=-1) if self.softmax else logits
        return {"loss": nn.functional.cross_entropy(scores, labels), "logits": logits}


def trained(model: Any, rows: list[dict[str, Tensor]], folder: Path, **options: Any) -> Any:
    from likelihead.integrations import huggingface

    callback = huggingface.WatchCallback(show=False, **options)
    arguments = transformers.TrainingArguments(
        output_dir=str(folder), max_steps=4, per_device_train_batch_size=4, report_to=[],
        eval_strategy="steps", eval_steps=2, save_strategy="no", logging_strategy="no", use_cpu=True,
        disable_tqdm=True, seed=SEED,
    )  # fmt: skip
    data = Rows(rows)
    trainer = transformers.Trainer(
        model=model, args=arguments, train_dataset=data, eval_dataset=data, callbacks=[callback]
    )
    try:
        trainer.train()
    except KeyError:
        callback.finish()
        raise
    return callback


def classes() -> list[dict[str, Tensor]]:
    torch.manual_seed(SEED)
    return [{"x": torch.randn(6), "labels": torch.tensor(row % CLASSES)} for row in range(16)]


def tokens() -> list[dict[str, Tensor]]:
    torch.manual_seed(SEED)
    ids = [torch.randint(3, 61, (8,)) for _ in range(16)]
    return [{"input_ids": row, "labels": row} for row in ids]


def language_model() -> Any:
    config = transformers.LlamaConfig(
        vocab_size=61, hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=2, max_position_embeddings=16,
    )  # fmt: skip
    torch.manual_seed(SEED)
    return transformers.LlamaForCausalLM(config)


def test_a_language_model_is_trained_in_silence(tmp_path: Path) -> None:
    model = language_model()
    record = trained(model, tokens(), tmp_path).record
    assert record.findings == []
    assert not [note for note in record.notes if note.kind == "fault"]
    assert record.steps == 4
    assert {site.phase for site in record.sites} == {"training", "evaluation"}
    assert torch._C._len_torch_function_stack() == 0


def test_a_wrong_model_is_told(tmp_path: Path) -> None:
    record = trained(Classifier(softmax=True), classes(), tmp_path / "a", json=tmp_path / "r.json").record
    assert [finding.code for finding in record.findings] == ["LH101"]
    assert record.findings[0].at.file == __file__
    assert (tmp_path / "r.json").is_file()
    assert trained(Classifier(softmax=False), classes(), tmp_path / "b").record.findings == []


def test_a_training_that_raises_is_ended_by_hand(tmp_path: Path) -> None:
    from likelihead.integrations import huggingface

    class Failing(Classifier):
        calls = 0

        def forward(self, x: Tensor, labels: Tensor) -> dict[str, Tensor]:
            Failing.calls += 1
            if Failing.calls == 3:
                raise KeyError("in a step")
            return super().forward(x, labels)

    with pytest.raises(KeyError, match="in a step"):
        trained(Failing(softmax=True), classes(), tmp_path)
    assert torch._C._len_torch_function_stack() == 0
    assert huggingface.WatchCallback is huggingface.WatchCallback
    assert issubclass(huggingface.WatchCallback, transformers.TrainerCallback)
