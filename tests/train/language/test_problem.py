"""The problem as the loop sees it: options, rates, sums and what is carried."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from likelihead.errors import DataError, OptionError
from likelihead.kernels.fused import linear_chunks
from likelihead.train import TrainConfig
from likelihead.train.language.problem import EPOCH_STEPS, again, begin


def test_a_state_goes_on_within_a_pass_and_begins_anew_with_the_next(
    make: Callable[..., TrainConfig],
) -> None:
    problem = begin(make())
    given: list[Any] = []
    hidden = problem.model.hidden

    def spy(tokens: Any, state: Any = None) -> Any:
        given.append(state)
        return hidden(tokens, state)

    problem.model.hidden = spy  # type: ignore[method-assign]
    for epoch in range(2):
        for batch in problem.batches(epoch, 0):
            problem.loss(batch, {})
    assert [i for i, state in enumerate(given) if state is None] == [0, problem.steps_per_epoch]
    assert not any(part.requires_grad for state in given if state is not None for part in state)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_no_tensor_has_the_logits_of_a_step(
    make: Callable[..., TrainConfig], monkeypatch: pytest.MonkeyPatch, smoothing: float
) -> None:
    problem = begin(make(label_smoothing=smoothing))
    monkeypatch.setattr(linear_chunks, "chunk_rows", lambda *_: 5)
    vocabulary, largest = problem.model.head.out_features, [0]

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            made = func(*args, **(kwargs or {}))
            for tensor in (leaf for leaf in tree_leaves(made) if isinstance(leaf, torch.Tensor)):
                # But for the head's own weight, seen from the other side.
                if func is not torch.ops.aten.t.default and tensor.shape[-1:] == (vocabulary,):
                    memory = tensor.untyped_storage().nbytes() // tensor.element_size()
                    largest[0] = max(largest[0], memory)
            return made

    batch = next(iter(problem.batches(0, 0)))
    with Watch():
        problem.loss(batch, {}).backward()
    assert largest[0] == 5 * vocabulary < batch.targets.numel() * vocabulary


def test_what_is_carried_comes_back(make: Callable[..., TrainConfig]) -> None:
    problem = begin(make(hidden=(8, 6)))
    torch.nn.init.normal_(problem.model.head.weight)
    batches = list(problem.batches(0, 0))
    for batch in batches[:2]:
        problem.loss(batch, {})
    other = again(problem.config, problem.resolved)
    other.model.load_state_dict(problem.model.state_dict())
    other.carry({name: part.clone() for name, part in problem.carried().items()})
    assert len(problem.carried()) == 2
    first, second = problem.loss(batches[2], {}), other.loss(batches[2], {})
    assert torch.equal(first, second)
    other.carry({})
    assert not torch.equal(other.loss(batches[2], {}), first)


def test_rows_that_are_padded_carry_nothing(make: Callable[..., TrainConfig]) -> None:
    problem = begin(make(packing="padded"))
    for batch in problem.batches(0, 0):
        problem.loss(batch, {})
    assert problem.carried() == {}


def test_the_rate_rises_and_falls(make: Callable[..., TrainConfig]) -> None:
    problem = begin(make(steps=0, epochs=20, lr=0.5))
    total = problem.total_steps
    rates = [problem.lr(step) for step in range(total)]
    top = rates.index(max(rates))
    assert rates[top] == 0.5
    assert 0 < top <= 100
    assert rates[: top + 1] == sorted(rates[: top + 1])
    assert rates[top:] == sorted(rates[top:], reverse=True)
    assert problem.lr(total) == pytest.approx(0.05)


def test_label_smoothing_is_trained_and_not_reported(make: Callable[..., TrainConfig]) -> None:
    found = []
    for smoothing in (0.0, 0.3):
        torch.manual_seed(0)
        problem = begin(make(label_smoothing=smoothing))
        sums: dict[str, float] = {}
        loss = problem.loss(next(problem.batches(0, 0)), sums)
        found.append((float(loss.detach()), problem.train_nll(sums)))
    assert found[0][1] == pytest.approx(found[1][1], rel=1e-6)
    assert found[0][0] < found[1][0]


def test_an_epoch_of_a_long_text_ends_on_the_way(make: Callable[..., TrainConfig], tmp_path: Any) -> None:
    path = tmp_path / "long.txt"
    path.write_text("all work and no play\n" * 200)
    problem = begin(make(data=str(path), batch_size=1, context=4, hidden=(1,), epochs=2))
    assert problem.steps_per_epoch == EPOCH_STEPS
    first = [batch.inputs[0, 0].item() for batch in problem.batches(0, 0)]
    later = next(problem.batches(1, 0))
    assert len(first) == EPOCH_STEPS
    assert later.goes_on


def test_figures_of_the_progress_line(make: Callable[..., TrainConfig]) -> None:
    problem = begin(make())
    line = problem.figures(math.log(4))
    assert "NLL 1.3863" in line
    assert "perplexity 4.00" in line
    # Slightly above 2 bits: the ends of documents cost, and are no bytes.
    assert 2.0 < float(line.split()[-4]) < 2.1
    assert "bits per byte" in line
    assert problem.figures(1e6)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"hidden": ()}, "needs a layer"),
        ({"network": "transformer", "hidden": (8, 4)}, "one even width"),
        ({"activation": "relu"}, "--activation"),
        ({"class_weight": "balanced"}, "--class-weight"),
        ({"focal": 2.0}, "--focal"),
        ({"target": "x"}, "--target"),
        ({"masks": "m"}, "--masks"),
    ],
)
def test_an_option_that_means_nothing_is_refused(
    make: Callable[..., TrainConfig], options: dict[str, Any], words: str
) -> None:
    with pytest.raises(OptionError, match=words):
        begin(make(**options))


def test_another_task_on_text_is_refused() -> None:
    with pytest.raises(OptionError, match="--task binary does not go with stdlib"):
        begin(TrainConfig(data="stdlib", task="binary"))


def test_a_table_refuses_the_options_of_text() -> None:
    for name, value in (("context", 9), ("tokenizer", "t.json"), ("packing", "padded"), ("network", "gru")):
        with pytest.raises(OptionError, match=name):
            TrainConfig(data="iris", **{name: value}).check_for("multiclass")  # type: ignore[arg-type]


def test_no_text(make: Callable[..., TrainConfig], tmp_path: Any) -> None:
    with pytest.raises(DataError, match="not there"):
        begin(make(data=str(tmp_path / "none.txt")))
