"""Small texts, a tokenizer trained on them, and options for runs of a second."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from likelihead.train import TrainConfig

WORDS = "the cat sat on the mat and the dog ate the cake while café naïveté bloomed 日本 "


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Seven texts of different lengths, in two folders."""
    root = tmp_path / "texts"
    (root / "deep").mkdir(parents=True)
    for i in range(7):
        place = root / "deep" if i % 2 else root
        (place / f"t{i}.txt").write_text((WORDS * 3)[i : 40 + 25 * i], encoding="utf-8")
    return root


@pytest.fixture
def make(folder: Path) -> Callable[..., TrainConfig]:
    """Options of a quick run; others may be given."""

    def config(**options: Any) -> TrainConfig:
        options = {"data": str(folder), "hidden": (8,), "batch_size": 3, "context": 9, **options}
        options = {"test_fraction": 0.3, "checkpoint_every": 100, "steps": 8, **options}
        return TrainConfig(task="language", **options)

    return config


@pytest.fixture(scope="session")
def byte_pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A byte-level BPE tokenizer with a special token."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=300, initial_alphabet=alphabet, special_tokens=["<end>"], show_progress=False
    )
    tokenizer.train_from_iterator([WORDS] * 5, trainer)
    path = tmp_path_factory.mktemp("tokenizer") / "pairs.json"
    tokenizer.save(str(path))
    return path
