"""LH502 and LH501 of gradient accumulation: what the passes of a step add up to, and which ways are right."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from likelihead.watch.record import Record
from likelihead.watch.session import Session
from watch.accumulating import RIGHT, STEPS, K, batches, network, sgd


def watched(script: Callable[[], object]) -> Record:
    torch.manual_seed(0)
    session = Session().start()
    try:
        script()
    finally:
        record = session.finish()
    assert [note for note in record.notes if note.kind == "fault"] == []
    return record


def codes(record: Record) -> list[str]:
    return [finding.code for finding in record.findings if finding.code.startswith("LH5")]


# -- wrong -----------------------------------------------------------------------------------------------


def undivided(make: Callable[[nn.Module], torch.optim.Optimizer] = sgd) -> None:
    model = network()
    optimizer = make(model)
    for _ in range(STEPS):
        optimizer.zero_grad()
        for x, y in batches():
            loss = F.cross_entropy(model(x), y)
            loss.backward()
        optimizer.step()


def by_the_index() -> None:
    model = network()
    optimizer = sgd(model)
    for index, (x, y) in enumerate(batches(K * STEPS)):
        F.cross_entropy(model(x), y).backward()
        if (index + 1) % K == 0:
            optimizer.step()
            optimizer.zero_grad()


def zeroed_in_place() -> None:
    model = network()
    optimizer = sgd(model)
    for _ in range(STEPS):
        for x, y in batches():
            F.cross_entropy(model(x), y).backward()
        optimizer.step()
        model.zero_grad(set_to_none=False)


def clipped() -> None:
    model = network()
    optimizer = sgd(model)
    for _ in range(STEPS):
        optimizer.zero_grad()
        for x, y in batches():
            F.cross_entropy(model(x), y).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1e-3)
        optimizer.step()


def two_at_a_time() -> None:
    model = network()
    optimizer = sgd(model)
    for _ in range(STEPS):
        optimizer.zero_grad()
        for x, y in batches(2):
            F.cross_entropy(model(x), y).backward()
        optimizer.step()


def with_a_penalty() -> None:
    model = network()
    optimizer = sgd(model)
    for _ in range(STEPS):
        optimizer.zero_grad()
        for x, y in batches():
            logits = model(x)
            loss = F.cross_entropy(logits, y) + 0.1 * F.mse_loss(logits, torch.zeros_like(logits))
            loss.backward()
        optimizer.step()


def scaled() -> None:
    model = network()
    optimizer = sgd(model)
    scaler = torch.amp.GradScaler("cpu")
    for _ in range(STEPS):
        optimizer.zero_grad()
        for x, y in batches():
            with torch.autocast("cpu", dtype=torch.bfloat16):
                loss = F.cross_entropy(model(x), y)
            scaler.scale(loss).backward()
        scaler.unscale_(optimizer)
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        scaler.step(optimizer)
        scaler.update()


def of_mixed_batches() -> None:
    model = network()
    optimizer = sgd(model)
    for _ in range(STEPS):
        optimizer.zero_grad()
        for x, y in batches():
            part = float(torch.rand(()))
            logits, other = model(part * x + (1 - part) * x.flip(0)), y.flip(0)
            loss = part * F.cross_entropy(logits, y) + (1 - part) * F.cross_entropy(logits, other)
            loss.backward()
        optimizer.step()


def two_tasks_of_which_one_has_half_the_weight() -> None:
    model = network()
    optimizer = sgd(model)
    for _ in range(STEPS):
        optimizer.zero_grad()
        for x, y in batches(2):
            logits = model(x)
            loss = F.cross_entropy(logits, y) + 0.5 * F.mse_loss(logits, torch.zeros_like(logits))
            loss.backward()
        optimizer.step()


def checkpointed() -> None:
    model = network()
    optimizer = sgd(model)
    for _ in range(STEPS):
        optimizer.zero_grad()
        for x, y in batches():
            loss = F.cross_entropy(checkpoint(model, x, use_reentrant=False), y)
            loss.backward()
        optimizer.step()


def in_a_method() -> None:
    class Trainer:
        def __init__(self) -> None:
            self.model = network()
            self.optimizer = sgd(self.model)

        def training_step(self, x: Tensor, y: Tensor) -> None:
            nn.CrossEntropyLoss()(self.model(x), y).backward()

        def fit(self) -> None:
            for index, (x, y) in enumerate(batches(K * STEPS), 1):
                self.training_step(x, y)
                if not index % K:
                    self.optimizer.step()
                    self.optimizer.zero_grad()

    Trainer().fit()


OPTIMIZERS: dict[str, Callable[[nn.Module], torch.optim.Optimizer]] = {
    "momentum": lambda model: torch.optim.SGD(model.parameters(), 0.1, momentum=0.9),
    "decay": lambda model: torch.optim.SGD(model.parameters(), 0.1, weight_decay=0.1, foreach=False),
    "adam": lambda model: torch.optim.Adam(model.parameters()),
    "adamw": lambda model: torch.optim.AdamW(model.parameters(), foreach=True),
    "fused": lambda model: torch.optim.AdamW(model.parameters(), fused=True),
    "maximize": lambda model: torch.optim.RMSprop(model.parameters(), maximize=True),
    "groups": lambda model: torch.optim.Adam(
        [{"params": model[0].parameters()}, {"params": model[2].parameters()}]
    ),
}


@pytest.mark.parametrize(
    "script",
    [
        undivided, by_the_index, zeroed_in_place, clipped, two_at_a_time, with_a_penalty, scaled,
        of_mixed_batches, two_tasks_of_which_one_has_half_the_weight,
        checkpointed, in_a_method,
    ],
)  # fmt: skip
def test_a_sum_of_means_is_caught_within_three_steps(script: Callable[[], object]) -> None:
    record = watched(script)
    assert codes(record) == ["LH502"]
    (finding,) = (one for one in record.findings if one.code == "LH502")
    assert "backward()" in finding.at.text
    passes = finding.values["passes"]
    assert passes == (2 if script.__name__.startswith("two_") else K)
    assert finding.values["optimised"] == pytest.approx(passes * finding.values["meant"])


@pytest.mark.parametrize("make", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_it_is_caught_with_every_optimizer(make: Callable[[nn.Module], torch.optim.Optimizer]) -> None:
    assert codes(watched(lambda: undivided(make))) == ["LH502"]


def test_the_numbers_are_those_of_the_losses() -> None:
    losses: list[tuple[float, int]] = []

    def script() -> None:
        model = network()
        optimizer = sgd(model)
        for _ in range(STEPS):
            optimizer.zero_grad()
            for x, y in batches(3, (8, 8, 2)):
                loss = F.cross_entropy(model(x), y)
                loss.backward()
                losses.append((loss.item(), len(y)))
            optimizer.step()

    (finding,) = (one for one in watched(script).findings if one.code == "LH502")
    first = losses[3 * finding.step : 3 * finding.step + 3]
    assert finding.values["optimised"] == pytest.approx(sum(loss for loss, _ in first))
    assert finding.values["meant"] == pytest.approx(sum(loss * count for loss, count in first) / 18)
    assert f"{finding.values['meant']:.6g}" in finding.detail


def test_a_mean_of_uneven_means_is_told_with_both_losses() -> None:
    losses: list[tuple[float, int]] = []

    def script() -> None:
        model = network()
        optimizer = sgd(model)
        for _ in range(STEPS):
            optimizer.zero_grad()
            for x, y in batches(3, (8, 8, 2)):
                loss = F.cross_entropy(model(x), y)
                (loss / 3).backward()
                losses.append((loss.item(), len(y)))
            optimizer.step()

    record = watched(script)
    assert codes(record) == ["LH501"]
    (finding,) = (one for one in record.findings if one.code == "LH501")
    first = losses[3 * finding.step : 3 * finding.step + 3]
    assert finding.values["optimised"] == pytest.approx(sum(loss for loss, _ in first) / 3)
    assert finding.values["meant"] == pytest.approx(sum(loss * count for loss, count in first) / 18)
    assert (finding.values["smallest_count"], finding.values["largest_count"]) == (2, 8)


def test_padding_makes_even_batches_uneven() -> None:
    def script() -> None:
        model = network()
        optimizer = sgd(model)
        for _ in range(STEPS):
            optimizer.zero_grad()
            for index, (x, y) in enumerate(batches()):
                y[: 2 * index] = -100
                (F.cross_entropy(model(x), y) / K).backward()
            optimizer.step()

    assert codes(watched(script)) == ["LH501"]


@pytest.mark.parametrize("script", RIGHT)
def test_a_right_step_is_silent(script: Callable[[], object]) -> None:
    assert codes(watched(script)) == []
