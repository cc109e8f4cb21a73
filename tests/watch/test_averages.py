"""LH501 in evaluations: which ways of averaging are caught by their numbers, and which are right."""

from __future__ import annotations

import json
import math
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import likelihead
from likelihead.watch.call import LossCall
from likelihead.watch.checks import averages
from likelihead.watch.record import Record
from likelihead.watch.session import Session

G = torch.Generator().manual_seed(0)
X, Y = torch.randn(150, 10, generator=G), torch.randint(3, (150,), generator=G)
DATA = TensorDataset(X, Y)
LOADER = DataLoader(DATA, batch_size=64)  # the last batch has 22
MODEL = nn.Linear(10, 3).eval()
MODEL.load_state_dict({"weight": torch.randn(3, 10, generator=G), "bias": torch.zeros(3)})


def watched(script: Callable[[], object]) -> Record:
    with likelihead.watch() as watch:
        script()
    record = watch.record
    assert [note for note in record.notes if note.kind == "fault"] == []
    return record


def codes(record: Record) -> list[str]:
    return [finding.code for finding in record.findings if finding.code.startswith("LH5")]


class Meter:
    def __init__(self) -> None:
        self.sum, self.count, self.avg = 0.0, 0, 0.0

    def update(self, value: float, n: int = 1) -> None:
        self.sum += value * n
        self.count += n
        self.avg = self.sum / self.count


# -- wrong -----------------------------------------------------------------------------------------------


def divided_by_the_loader() -> None:
    total = 0.0
    for x, y in LOADER:
        total += F.cross_entropy(MODEL(x), y).item()
    print(total / len(LOADER))


def divided_in_place() -> float:
    loss, correct = 0, 0
    for x, y in LOADER:
        predicted = MODEL(x)
        loss += F.cross_entropy(predicted, y).item()
        correct += (predicted.argmax(1) == y).sum().item()
    loss /= len(LOADER)
    return loss


def as_a_tensor() -> None:
    total = torch.zeros(())
    for x, y in LOADER:
        total += F.cross_entropy(MODEL(x), y)
    print(total / len(LOADER))


def of_two_batches() -> None:
    """Told by what the loop leaves in a variable, when a loader is begun again."""

    def evaluate() -> float:
        losses = [F.cross_entropy(MODEL(x), y).item() for x, y in DataLoader(DATA, batch_size=100)]
        return sum(losses) / len(losses)

    value = evaluate()
    next(iter(LOADER))
    print(value)


def by_a_meter() -> None:
    meter = Meter()
    for x, y in LOADER:
        meter.update(F.cross_entropy(MODEL(x), y).item())
    print(meter.avg)


def by_numpy() -> None:
    losses = []
    for x, y in LOADER:
        losses.append(F.cross_entropy(MODEL(x), y).item())
    print(np.mean(losses))


def by_statistics() -> None:
    def evaluate() -> float:
        losses = []
        for x, y in LOADER:
            losses.append(F.cross_entropy(MODEL(x), y).item())
        return statistics.mean(losses)

    evaluate()


def by_stacking() -> None:
    losses = [F.cross_entropy(MODEL(x), y) for x, y in LOADER]
    print(torch.stack(losses).mean().item())


def as_a_tensor_that_nobody_reads() -> None:
    def evaluate() -> Tensor:
        losses = []
        for x, y in LOADER:
            losses.append(F.cross_entropy(MODEL(x), y))
        return torch.exp(torch.stack(losses).mean())

    evaluate()


def as_a_perplexity() -> None:
    history: dict[str, list[float]] = {"perplexity": []}

    def evaluate() -> float:
        return math.exp(np.mean([F.cross_entropy(MODEL(x), y).item() for x, y in LOADER]))

    history["perplexity"].append(evaluate())
    next(iter(LOADER))
    print(history)


def of_slices() -> None:
    total, batches = 0.0, 0
    for start in range(0, len(X), 64):
        total += F.cross_entropy(MODEL(X[start : start + 64]), Y[start : start + 64]).item()
        batches += 1
    print(total / batches)


def padded(batches: int = 6) -> Iterator[tuple[Tensor, Tensor]]:
    g = torch.Generator().manual_seed(1)
    for length in torch.randint(3, 30, (batches,), generator=g).tolist():
        y = torch.randint(3, (4, 30), generator=g)
        y[:, length:] = -100
        yield torch.randn(4, 30, 10, generator=g), y


class Padded(torch.utils.data.IterableDataset[Any]):
    def __iter__(self) -> Iterator[Any]:
        return padded(30)


def of_tokens() -> None:
    total = 0.0
    for x, y in DataLoader(Padded(), batch_size=None):
        total += F.cross_entropy(MODEL(x).flatten(0, 1), y.flatten()).item()
    print(total / 30)


def of_numbers() -> None:
    total = 0.0
    for x, _ in LOADER:
        total += nn.MSELoss()(MODEL(x)[:, 0], x[:, 0]).item()
    print(total / len(LOADER))


WRONG = [
    divided_by_the_loader, divided_in_place, as_a_tensor, of_two_batches, by_a_meter, by_numpy,
    by_statistics, by_stacking, as_a_tensor_that_nobody_reads, as_a_perplexity, of_slices, of_tokens,
    of_numbers,
]  # fmt: skip


@pytest.mark.parametrize("script", WRONG)
@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode])
def test_a_mean_of_means_is_caught_with_both_numbers(
    script: Callable[[], object], context: Callable[[], Any]
) -> None:
    with context():
        record = watched(script)
    assert codes(record) == ["LH501"]
    (finding,) = record.findings
    assert "cross_entropy" in finding.at.text or "MSELoss" in finding.at.text
    values = finding.values
    if script is divided_by_the_loader:
        means = [F.cross_entropy(MODEL(x), y).item() for x, y in LOADER]
        assert values["mean_of_means"] == pytest.approx(sum(means) / 3)
        assert values["mean"] == pytest.approx(F.cross_entropy(MODEL(X), Y).item())
        assert (values["batches"], values["smallest_count"], values["largest_count"]) == (3, 22, 64)
        assert f"{values['mean']:.6g}" in finding.detail
        assert "`total`" in finding.detail


@torch.no_grad()
def evaluate_wrong() -> float:
    total = 0.0
    for x, y in LOADER:
        total += F.cross_entropy(MODEL(x), y).item()
    return total / len(LOADER)


def training(model: nn.Module, loader: DataLoader[Any], optimizer: torch.optim.Optimizer) -> float:
    model.train()
    running = 0.0
    for x, y in loader:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        running += loss.item()
    return running / len(loader)


def test_it_is_told_when_the_evaluation_is_over() -> None:
    model = nn.Linear(10, 3)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    even = DataLoader(DATA, batch_size=50)
    session = Session().start()
    try:
        training(model, even, optimizer)
        evaluate_wrong()
        assert session.findings == {}
        F.cross_entropy(model(X), Y)  # the next that is heard of
        assert [code for code, _ in session.findings] == ["LH501"]
    finally:
        session.finish()


def test_the_logged_mean_of_an_uneven_epoch_is_one() -> None:
    def script(batch_size: int) -> None:
        model = nn.Linear(10, 3)
        optimizer = torch.optim.SGD(model.parameters(), 0.1)
        for _ in range(2):
            loss = training(model, DataLoader(DATA, batch_size=batch_size), optimizer)
            print(loss)

    record = watched(lambda: script(64))
    assert codes(record) == ["LH501"]
    assert "`loss` is the mean of the means of 3 batches, which hold 22 to 64" in record.findings[-1].detail
    assert codes(watched(lambda: script(50))) == []


def test_a_program_s_last_variables_are_read(tmp_path: Path) -> None:
    script = tmp_path / "a.py"
    script.write_text(
        "import torch\n"
        "x, y, model = torch.randn(150, 10), torch.randint(3, (150,)), torch.nn.Linear(10, 3)\n"
        "with torch.no_grad():\n"
        "    losses = [torch.nn.functional.cross_entropy(model(a), b).item()"
        " for a, b in zip(x.split(64), y.split(64))]\n"
        "mean = sum(losses) / len(losses)\n"
    )
    command = [sys.executable, "-m", "likelihead", "watch", "--json", str(tmp_path / "r.json"), str(script)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "r.json").read_text())
    assert [finding["code"] for finding in report["findings"] if finding["code"] == "LH501"] == ["LH501"]


class Device:
    """A copy from a device, which has come when it is asked for the second time."""

    def __init__(self) -> None:
        self.asked = 0

    def query(self) -> bool:
        self.asked += 1
        return self.asked > 1


@pytest.mark.parametrize("script", [divided_by_the_loader, by_a_meter, of_tokens, as_a_perplexity])
def test_means_that_come_late_from_a_device_are_followed(
    script: Callable[[], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    def batch(call: LossCall, count: float) -> averages._Batch:
        assert call.result is not None
        return averages._Batch(count, None, coming=(call.result.detach().clone(), Device()))

    monkeypatch.setattr(averages, "_batch", batch)
    with torch.no_grad():
        assert codes(watched(script)) == ["LH501"]


# -- right -----------------------------------------------------------------------------------------------


def weighted() -> None:
    total = 0.0
    for x, y in LOADER:
        total += F.cross_entropy(MODEL(x), y).item() * len(x)
    mean = total / len(DATA)
    print(mean)


def weighted_by_shares() -> None:
    total = 0.0
    for x, y in LOADER:
        total += F.cross_entropy(MODEL(x), y).item() * (len(x) / 64)
    total /= 150 / 64
    print(total)


def weighted_meter() -> None:
    meter = Meter()
    for x, y in LOADER:
        meter.update(F.cross_entropy(MODEL(x), y).item(), x.size(0))
    print(meter.avg)


def weighted_list() -> None:
    losses, sizes = [], []
    for x, y in LOADER:
        losses.append(F.cross_entropy(MODEL(x), y).item())
        sizes.append(len(y))
    print(np.average(losses, weights=sizes), max(losses), np.std(losses))


def sums() -> None:
    total = 0.0
    for x, y in LOADER:
        total += F.cross_entropy(MODEL(x), y, reduction="sum").item()
    print(total / len(DATA))


def even() -> None:
    total = 0.0
    for x, y in DataLoader(DATA, batch_size=50):
        total += F.cross_entropy(MODEL(x), y).item()
    print(total / 3)


def dropped() -> None:
    total = 0.0
    for x, y in DataLoader(DATA, batch_size=64, drop_last=True):
        total += F.cross_entropy(MODEL(x), y).item()
    print(total / 2)


def first_batches() -> None:
    total = 0.0
    for index, (x, y) in enumerate(LOADER):
        if index == 2:
            break
        total += F.cross_entropy(MODEL(x), y).item()
    print(total / 2)


def nearly_even() -> None:
    total = 0.0
    for x, y in zip(X.split([50, 51, 49]), Y.split([50, 51, 49]), strict=True):
        total += F.cross_entropy(MODEL(x), y).item()
    print(total / 3)


def two_losses_of_a_batch() -> None:
    total = 0.0
    for x, y in LOADER:
        for head in (MODEL, MODEL):
            total += F.cross_entropy(head(x), y).item()
    print(total)


def steps_of_a_sequence() -> None:
    g = torch.Generator().manual_seed(1)
    for x, y in padded(2):
        loss, steps = torch.zeros(()), 0
        for step in range(20):
            scored = y[:, step] != -100
            scored[0] = True
            loss += F.cross_entropy(MODEL(x[:, step][scored]), y[:, step][scored].clamp(min=0))
            steps += 1
        print(loss / steps, torch.rand((), generator=g))


def tokens() -> None:
    total, count = 0.0, 0
    for x, y in DataLoader(Padded(), batch_size=None):
        number = int((y != -100).sum())
        total += F.cross_entropy(MODEL(x).flatten(0, 1), y.flatten()).item() * number
        count += number
    print(total / count)


def steps_stacked() -> None:
    for x, y in padded(3):
        losses = []
        for step in range(20):
            scored = y[:, step] != -100
            scored[0] = True
            losses.append(F.cross_entropy(MODEL(x[:, step][scored]), y[:, step][scored].clamp(min=0)))
        print(torch.stack(losses).mean().item())


def kept_and_shown() -> None:
    losses = []
    for x, y in LOADER:
        losses.append(F.cross_entropy(MODEL(x), y).item())
        print(losses[-1])
    print(max(losses), sorted(losses))


def intervals() -> None:
    """What is printed on the way is of full batches."""
    model = nn.Linear(10, 3)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    for _ in range(2):
        running = 0.0
        for index, (x, y) in enumerate(DataLoader(DATA, batch_size=20)):
            optimizer.zero_grad()
            loss = F.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
            running += loss.item()
            if index % 3 == 2:
                print(running / 3)
                running = 0.0


def policy_gradient() -> None:
    """Episodes of different length, each a step of its own; their losses are shown side by side."""
    policy = nn.Linear(10, 3)
    optimizer = torch.optim.SGD(policy.parameters(), 0.1)
    history = []
    for episode in range(4):
        actions = Y[: 10 + 7 * episode]
        loss = F.cross_entropy(policy(X[: len(actions)]), actions)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        history.append(loss.item())
    print(history)


def own_metrics() -> None:
    metric = likelihead.evaluate.NLL()
    likelihood = likelihead.Categorical(3)
    for x, y in LOADER:
        metric.update(likelihood.nll(MODEL(x), y), count=len(y))
    figure = metric.compute()
    print(figure)


RIGHT = [
    weighted, weighted_by_shares, weighted_meter, weighted_list, sums, even, dropped, first_batches,
    nearly_even, two_losses_of_a_batch, steps_of_a_sequence, steps_stacked, tokens, kept_and_shown, intervals,
    policy_gradient, own_metrics,
]  # fmt: skip


@pytest.mark.parametrize("script", RIGHT)
def test_a_right_average_is_silent(script: Callable[[], object]) -> None:
    with torch.set_grad_enabled(script in (intervals, policy_gradient)):
        assert codes(watched(script)) == []
