"""Every accumulator: split, shuffled, merged and sent across processes, the figure stays."""

from __future__ import annotations

import dataclasses
import io
import math
import random
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from likelihead.errors import OptionError
from likelihead.evaluate import (
    NLL,
    Accumulator,
    Accuracy,
    BitsPerByte,
    Brier,
    BrierDecomposition,
    CalibrationError,
    ConfusionMatrix,
    ExactMatch,
    InformationGain,
    LabelConfusion,
    Metrics,
    Ranking,
    Regression,
    SmoothECE,
    TopKAccuracy,
    for_likelihood,
    merge_across_processes,
)
from likelihead.likelihoods import Bernoulli, Categorical, Gaussian, MultiLabel

N = 60


def _data() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(N, 4, generator=generator, dtype=torch.float64) * 2
    target = torch.randint(4, (N,), generator=generator)
    target[::9] = -100
    labels = (torch.rand(N, 4, generator=generator) < 0.4).double()
    labels[::5, 1] = math.nan
    return {
        "logits": logits,
        "probs": torch.softmax(logits, 1),
        "said": logits.argmax(1),
        "target": target,
        "labels": labels,
        "yes": torch.sigmoid(logits),
        "decided": (logits > 0).long(),
        "nll": torch.rand(N, generator=generator, dtype=torch.float64) * 5,
        "shares": torch.softmax(logits.flip(0), 1),
    }


DATA = _data()

CASES: dict[str, tuple[Callable[[], Accumulator], tuple[str, ...]]] = {
    "NLL": (NLL, ("nll",)),
    "BitsPerByte": (lambda: BitsPerByte(torch.tensor([0, 1, 2, 5])), ("nll", "target")),
    "Accuracy": (Accuracy, ("said", "target")),
    "TopKAccuracy": (lambda: TopKAccuracy(2), ("logits", "target")),
    "ExactMatch": (ExactMatch, ("decided", "labels")),
    "ConfusionMatrix": (lambda: ConfusionMatrix(4), ("said", "target")),
    "LabelConfusion": (lambda: LabelConfusion(4), ("decided", "labels")),
    "Brier": (Brier, ("probs", "target")),
    "Brier of labels": (Brier, ("yes", "labels")),
    "BrierDecomposition": (lambda: BrierDecomposition(4), ("yes", "labels")),
    "CalibrationError": (CalibrationError, ("yes", "labels")),
    "CalibrationError of equal mass": (lambda: CalibrationError(7, "mass"), ("yes", "labels")),
    "SmoothECE": (lambda: SmoothECE(256), ("yes", "labels")),
    "Ranking": (lambda: Ranking(4), ("yes", "labels")),
    "Regression": (lambda: Regression(0.5), ("yes", "labels")),
    "InformationGain": (InformationGain, ("nll", "nll")),
    "Metrics of classes": (
        lambda: for_likelihood(Categorical(4), train_targets=DATA["target"], keep_scores=True, top_k=2),
        ("logits", "target"),
    ),
    "Metrics of shares": (lambda: for_likelihood(Categorical(4)), ("logits", "shares")),
    "Metrics of labels": (lambda: for_likelihood(MultiLabel(4), keep_scores=True), ("logits", "labels")),
    "Metrics of yes or no": (lambda: for_likelihood(Bernoulli()), ("logits", "labels")),
    "Metrics of numbers": (lambda: for_likelihood(Gaussian(), train_targets=DATA["yes"]), ("logits", "yes")),
}


def flat(value: Any) -> list[float]:
    """A figure, whatever its form, as a list of numbers."""
    if isinstance(value, dict):
        return [x for name in sorted(value) for x in flat(value[name])]
    if dataclasses.is_dataclass(value):
        return flat(dataclasses.asdict(value))  # type: ignore[arg-type]
    if isinstance(value, Tensor):
        return [float(x) for x in value.flatten()]
    return [x for v in value for x in flat(v)] if isinstance(value, (list, tuple)) else [float(value)]


def agree(first: Any, second: Any) -> bool:
    return flat(first) == pytest.approx(flat(second), rel=1e-9, abs=1e-12, nan_ok=True)


def feed(figure: Any, columns: tuple[str, ...], rows: Tensor) -> Any:
    figure.update(*(DATA[name][rows] for name in columns))
    return figure


@pytest.mark.parametrize("name", CASES)
@settings(max_examples=3)
@given(seed=st.integers(0, 10**6), size=st.integers(1, N))
def test_the_batches_do_not_matter(name: str, seed: int, size: int) -> None:
    make, columns = CASES[name]
    whole = feed(make(), columns, torch.arange(N))
    rng = random.Random(seed)
    order = list(range(N))
    rng.shuffle(order)
    parts = [make()]
    for start in range(0, N, size):
        rows = torch.tensor(order[start : start + size])
        if rng.random() < 0.3:
            parts.append(make())
        feed(parts[-1], columns, rows)
    rng.shuffle(parts)
    merged = parts[0]
    for part in parts[1:]:
        merged = merged + part if rng.random() < 0.5 else merged.merge(part)
    assert agree(merged.compute(), whole.compute())
    assert not agree(feed(make(), columns, torch.arange(3)).compute(), whole.compute())


@pytest.mark.parametrize("name", CASES)
def test_a_state_is_plain_adds_up_and_goes_back(name: str) -> None:
    make, columns = CASES[name]
    first, second = feed(make(), columns, torch.arange(30)), feed(make(), columns, torch.arange(30, N))
    file = io.BytesIO()
    torch.save(first.state(), file)
    file.seek(0)
    state = torch.load(file, weights_only=True)
    if isinstance(first, Metrics):
        again: Any = make()
        again.load_state(state)
    else:
        again = type(first).from_state(state)
        summed = first.state()
        for kind in ("totals", "counts"):
            for key, value in second.state()[kind].items():
                summed[kind][key] = summed[kind][key] + value
        for key, value in second.state()["rows"].items():
            summed["rows"][key] = torch.cat([summed["rows"][key], value])
        assert agree(type(first).from_state(summed).compute(), (first + second).compute())
    before = flat(first.compute())
    assert agree(again.merge(second).compute(), feed(make(), columns, torch.arange(N)).compute())
    assert flat(first.compute()) == pytest.approx(before, nan_ok=True, rel=1e-9, abs=1e-12)
    assert repr(first).startswith(type(first).__name__)


@pytest.mark.parametrize("name", CASES)
def test_nothing_is_nan_and_adds_nothing(name: str) -> None:
    make, columns = CASES[name]
    empty = feed(make(), columns, torch.arange(0))
    assert agree(empty.compute(), make().compute())
    filled = feed(make(), columns, torch.arange(N))
    assert agree((empty + filled).compute(), filled.compute())


def test_sums_keep_what_rounding_loses() -> None:
    figure = NLL()
    figure.update(torch.tensor([1e16], dtype=torch.float64))
    for _ in range(1000):
        figure.update(torch.tensor([1.0], dtype=torch.float64))
    assert figure.total == 1e16 + 1000
    figure.update(torch.tensor([math.inf]))
    assert figure.total == math.inf
    assert NLL.from_state(figure.state()).compute() == math.inf


def test_counts_are_exact_beyond_the_digits_of_float32() -> None:
    figure = NLL()
    figure.update(torch.tensor([1.0]), count=2**24 + 1)
    assert figure.count == 2**24 + 1


def test_merging_needs_the_same_kind_and_options() -> None:
    with pytest.raises(OptionError, match="a NLL cannot be merged with a Brier"):
        NLL().merge(Brier())  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="num_bytes is"):
        BitsPerByte(torch.tensor([1])).merge(BitsPerByte(torch.tensor([2])))
    with pytest.raises(OptionError, match="num_bins is 10 here and 5 there"):
        for_likelihood(Bernoulli()).merge(for_likelihood(Bernoulli(), num_bins=5))


def test_one_process_alone_gets_a_copy() -> None:
    figure = feed(for_likelihood(Categorical(4)), ("logits", "target"), torch.arange(N))
    alone = merge_across_processes(figure)
    assert agree(alone.compute(), figure.compute())
    feed(alone, ("logits", "target"), torch.arange(5))
    assert alone.compute()["count"] == figure.compute()["count"] + 4


def test_a_group_is_joined(tmp_path: Any) -> None:
    distributed = torch.distributed
    distributed.init_process_group("gloo", init_method=f"file://{tmp_path / 'store'}", rank=0, world_size=1)
    try:
        figure = feed(ConfusionMatrix(4), ("said", "target"), torch.arange(N))
        joined = merge_across_processes(figure)
        assert joined is not figure
        assert torch.equal(joined.compute(), figure.compute())
    finally:
        distributed.destroy_process_group()
