"""The numbers of a loss call beside plain arithmetic in float64; and how they come from a device."""

from __future__ import annotations

import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from likelihead.watch import engine
from likelihead.watch import look as looks
from likelihead.watch.call import LossCall
from likelihead.watch.look import Look, Pending
from likelihead.watch.losses import LOSSES
from likelihead.watch.session import Session
from watch.examples import numbers, watched

N, C = 24, 7
NAN, INF = float("nan"), float("inf")
Y = torch.arange(N) * 5 % C


def looked(loss: str, input: Tensor, target: Any, send: Any = None, **options: Any) -> Look | Pending | None:
    spec = LOSSES[loss]
    result = getattr(F, loss)(input, target, **options)
    call = LossCall(
        0, spec, ("script.py", 1), "training", 0, options, input, target, result, None, None, True,
        tuple(input.shape), tuple(target.shape),
    )  # fmt: skip
    return looks.look(call, send)


def look(loss: str, input: Tensor, target: Tensor, **options: Any) -> Look:
    found = looked(loss, input, target, **options)
    assert isinstance(found, Look)
    return found


def profiled() -> Any:
    return torch.autograd.profiler.profile(profile_memory=True)


# Row by row, in Python's own numbers.


def softmax(row: list[float]) -> list[float]:
    top = max(row)
    parts = [math.exp(value - top) for value in row]
    return [part / sum(parts) for part in parts]


def entropy(probs: list[float]) -> float:
    return -math.fsum(p * math.log(p) for p in probs if p > 0)


def confident(rows: list[list[float]], wanted: list[list[float]]) -> float:
    """The share of the gradient by the logits, as a sum of absolute values, of rows that are wrong."""
    total = wrong = 0.0
    for row, target in zip(rows, wanted, strict=True):
        probs = softmax(row)
        mass = math.fsum(abs(p - t) for p, t in zip(probs, target, strict=True))
        total += mass
        if max(probs) > 0.9 and probs.index(max(probs)) != target.index(max(target)):
            wrong += mass
    return wrong / total


def one_hot(target: Tensor) -> list[list[float]]:
    return [[float(label == index) for index in range(C)] for label in target.tolist()]


DTYPES = (torch.float64, torch.float32, torch.bfloat16, torch.float16)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(N, C), (4, C, 6), (2, C, 3, 4)])
def test_what_classes_predict(dtype: torch.dtype, shape: tuple[int, ...]) -> None:
    logits = (numbers(*shape) * 8).to(dtype)
    target = Y.reshape(shape[0], *shape[2:]).clone()
    target.view(-1)[::6] = -100
    seen = look("cross_entropy", logits, target)
    rows = logits.double().movedim(1, -1).reshape(-1, C).tolist()
    probs = [softmax(row) for row in rows]
    counted = [index for index in range(N) if index % 6]
    assert seen.entropy == pytest.approx(sum(map(entropy, probs)) / N, rel=1e-5)
    near = [1 - max(row) for row in probs]  # float32 has but eight numbers in the last 1e-6 below 1
    assert seen.saturated is not None
    assert sum(short <= 0.8e-6 for short in near) <= seen.saturated * N + 1e-5
    assert sum(short <= 1.2e-6 for short in near) >= seen.saturated * N - 1e-5
    assert seen.confident_wrong == pytest.approx(
        confident([rows[i] for i in counted], [one_hot(Y)[i] for i in counted]), rel=1e-5
    )
    assert 0.2 < seen.confident_wrong < 0.95  # both kinds of rows are there
    assert (seen.count, seen.ignored, seen.seen) == (len(counted), N - len(counted), logits.numel())
    assert (seen.low, seen.high) == (float(logits.min()), float(logits.max()))
    assert (seen.target_low, seen.target_high) == (0, C - 1)
    assert seen.counts is not None
    assert seen.counts.tolist() == [sum(int(Y[i]) == label for i in counted) for label in range(C)]
    assert (seen.nan, seen.infinite) == (None, None)  # not counted where the loss is finite
    assert seen.loss == pytest.approx(float(F.cross_entropy(logits.double(), target)), rel=1e-2)


def test_saturation_of_classes() -> None:
    logits = torch.zeros(4, 2, dtype=torch.float64)
    for row, short in enumerate((1e-7, 0.9e-6, 1.1e-6, 1e-3)):
        logits[row, 1] = math.log((1 - short) / short)
    assert look("cross_entropy", logits, torch.zeros(4, dtype=torch.long)).saturated == 0.5


def test_soft_targets() -> None:
    logits, target = numbers(N, C) * 8, (numbers(N, C, seed=1) * 3).softmax(1)
    target[0] *= 3
    target[1] = 0
    seen = look("cross_entropy", logits, target)
    assert seen.confident_wrong == pytest.approx(
        confident(logits.double().tolist(), target.double().tolist()), rel=1e-5
    )
    assert (seen.rows, seen.off_rows, seen.many_ones, seen.one_ones) == (N, 1, 0, 0)
    assert seen.zeros_and_ones is False
    assert (seen.sum_low, seen.sum_high) == (0, pytest.approx(3, rel=1e-6))
    assert seen.counts is not None
    assert seen.counts.tolist() == pytest.approx(target.double().sum(0).tolist(), rel=1e-5)


@pytest.mark.parametrize("form", ["binary_cross_entropy_with_logits", "binary_cross_entropy"])
def test_what_labels_predict(form: str) -> None:
    logits = numbers(N, 3, dtype=torch.float64) * 9
    target = (numbers(N, 3, seed=1) > 0).double()
    seen = look(form, logits if form.endswith("logits") else logits.sigmoid(), target)
    probs = [1 / (1 + math.exp(-z)) for z in logits.flatten().tolist()]
    labels = target.flatten().tolist()
    masses = [abs(p - y) for p, y in zip(probs, labels, strict=True)]
    assert seen.entropy == pytest.approx(sum(entropy([p, 1 - p]) for p in probs) / len(probs), rel=1e-9)
    assert seen.saturated == pytest.approx(sum(min(p, 1 - p) <= 1e-6 for p in probs) / len(probs))
    assert seen.saturated > 0.02
    assert seen.confident_wrong == pytest.approx(sum(m for m in masses if m > 0.9) / sum(masses), rel=1e-9)
    assert (seen.target_mean, seen.outside) == (pytest.approx(sum(labels) / len(labels)), 0)
    assert seen.zeros_and_ones is True
    assert seen.counts is not None
    assert seen.counts.tolist() == target.sum(0).tolist()


def test_numbers() -> None:
    values, wanted = numbers(N, dtype=torch.float64), numbers(N, seed=1, dtype=torch.float64) * 3 + 2
    seen = look("mse_loss", values, wanted)
    mean = math.fsum(wanted.tolist()) / N
    assert seen.target_mean == pytest.approx(mean)
    assert seen.target_variance == pytest.approx(math.fsum((w - mean) ** 2 for w in wanted.tolist()) / N)
    assert (seen.target_low, seen.target_high) == (float(wanted.min()), float(wanted.max()))
    assert (seen.entropy, seen.saturated, seen.counts) == (None, None, None)


def test_what_is_no_number_is_counted_in_all_of_a_large_input() -> None:
    values = torch.zeros(1, 3, 1 << 18)  # more than is looked at, along its last dimension
    values[0, 1, 17], values[0, 2, 5], values[0, 0, 8:10] = NAN, INF, -INF
    seen = look("mse_loss", values, torch.zeros(()).expand_as(values))
    assert (seen.nan, seen.infinite, seen.masked, seen.tallied) == (1, 1, 2, values.numel())
    assert (seen.target_nan, seen.target_infinite) == (0, 0)


@pytest.mark.parametrize("shape", [(8192, 257), (1, 257, 8192), (64, 257, 8, 16), (3, 700_001)])
def test_a_large_input_is_looked_at_in_rows_that_are_not_copied(shape: tuple[int, ...]) -> None:
    logits = torch.zeros(()).expand(shape)
    if shape[1] == 257:
        logits = torch.arange(257.0).view(-1, *[1] * (len(shape) - 2)).expand(shape)
    target = torch.arange(1).expand(shape[:1] + shape[2:])
    call = LossCall(
        0, LOSSES["cross_entropy"], ("script.py", 1), "training", 0, {}, logits, target,
        torch.tensor(1.0), None, None, True, tuple(logits.shape), tuple(target.shape),
    )  # fmt: skip
    with profiled() as profile:
        found = looks.look(call)
    assert isinstance(found, Look)
    largest = max(event.cpu_memory_usage for event in profile.function_events)
    assert 0 < largest <= max(1 << 22, 4 * 4 * shape[1])
    rows = found.seen / shape[1]
    assert rows == int(rows) >= min(4, math.prod(shape) // shape[1])
    assert found.count == target.numel()
    if shape[1] == 257:
        assert found.entropy == pytest.approx(entropy(softmax([float(k) for k in range(257)])), rel=1e-5)


# -- on a device ---------------------------------------------------------------------------------------


class Wire:
    """A device's copies, in the way they are asked for; they come when the test says so."""

    def __init__(self, *, come: bool = False) -> None:
        self.come = come
        self.waited = 0

    def send(self, vector: Tensor) -> tuple[Tensor, Copy]:
        host = torch.zeros_like(vector)
        return host, Copy(self, vector, host)


class Copy:
    def __init__(self, wire: Wire, vector: Tensor, host: Tensor) -> None:
        self.wire, self.vector, self.host = wire, vector, host

    def query(self) -> bool:
        if self.wire.come:
            self.host.copy_(self.vector)
        return self.wire.come

    def synchronize(self) -> None:
        if not self.query():
            self.wire.waited += 1
            self.host.copy_(self.vector)


BESIDE: dict[str, tuple[str, Tensor, Tensor]] = {
    "classes": ("cross_entropy", numbers(N, C) * 5, Y),
    "soft": ("cross_entropy", numbers(N, C) * 5, numbers(N, C).softmax(1)),
    "labels": ("binary_cross_entropy_with_logits", numbers(N, C) * 5, (numbers(N, C) > 0).float()),
    "numbers": ("mse_loss", numbers(N, C), numbers(N, C, seed=1)),
}


@pytest.mark.parametrize("name", BESIDE)
def test_the_same_comes_from_a_device_without_reading_anything(name: str) -> None:
    loss, input, target = BESIDE[name]
    wire = Wire()

    with profiled() as profile:
        pending = looked(loss, input, target, wire.send)
    names = {event.name for event in profile.function_events}
    assert "aten::aminmax" in names
    assert not names & {"aten::_local_scalar_dense", "aten::nonzero", "aten::is_nonzero", "aten::equal"}
    assert isinstance(pending, Pending)
    assert not pending.ready()
    wire.come = True
    assert pending.ready()
    seen, here = pending.result(), look(loss, input, target)
    assert seen is not None
    assert (seen.nan, seen.infinite, seen.masked, seen.tallied) == (0, 0, 0, input.numel())
    for field in ("loss", "count", "low", "high", "entropy", "saturated", "confident_wrong", "target_mean"):
        assert getattr(seen, field) == getattr(here, field)
    if here.counts is not None:
        assert seen.counts is not None
        assert torch.equal(seen.counts, here.counts)


@pytest.mark.parametrize("send", [None, Wire(come=True).send], ids=["here", "device"])
def test_a_nan_that_was_not_among_those_counted_still_shows(send: Any) -> None:
    values = torch.zeros(1 << 23, dtype=torch.bfloat16)
    values[1] = NAN
    found = looked("mse_loss", values, torch.zeros((), dtype=torch.bfloat16).expand_as(values), send)
    seen = found.result() if isinstance(found, Pending) else found
    assert seen is not None
    assert (seen.nan, seen.tallied) == (0, 1 << 22)
    assert seen.low is not None
    assert math.isnan(seen.low)


class Lost:
    def query(self) -> bool:
        raise RuntimeError("CUDA error: device-side assert triggered")

    def synchronize(self) -> None:
        raise RuntimeError("CUDA error: device-side assert triggered")


def test_a_lost_device_takes_its_numbers_along() -> None:
    pending = looked("mse_loss", numbers(N), numbers(N), lambda vector: (torch.zeros_like(vector), Lost()))
    assert isinstance(pending, Pending)
    assert pending.ready()
    assert pending.result() is None


@pytest.mark.parametrize(("kind", "capturing"), [("cuda", True), ("mps", False), ("hpu", False)])
def test_no_look_into_a_graph_that_is_captured_nor_where_no_copy_comes_by_itself(
    kind: str, capturing: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: capturing)
    call = SimpleNamespace(input=SimpleNamespace(device=torch.device(kind)), result=torch.tensor(1.0))
    assert looks.look(cast(LossCall, call)) is None  # whoever touches that input fails


def test_findings_come_when_the_numbers_do(monkeypatch: pytest.MonkeyPatch) -> None:
    wire = Wire()
    monkeypatch.setattr(engine, "look", lambda call: looks.look(call, wire.send))
    session = Session().start()
    try:
        F.binary_cross_entropy_with_logits(numbers(N), torch.full((N,), -1.0))
        F.mse_loss(numbers(N), numbers(N))
        assert not session.findings
        assert wire.waited == 0
        wire.come = True
        F.mse_loss(numbers(N), numbers(N))
        codes = [code for code, _ in session.findings]
    finally:
        session.finish()
    assert codes == ["LH207"]


# -- beside the script ---------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast_does_not_touch_what_is_measured(dtype: torch.dtype) -> None:
    logits = numbers(N, C) * 5
    bare = look("cross_entropy", logits, Y)
    with torch.autocast("cpu", dtype):
        under = look("cross_entropy", logits, Y)
        assert torch.is_autocast_enabled("cpu")
    assert under.entropy == bare.entropy
    assert under.confident_wrong == bare.confident_wrong


def test_generators_settings_and_tensors_stay_as_they_are() -> None:
    torch.use_deterministic_algorithms(True)
    try:
        logits, target = numbers(N, C).requires_grad_(), Y.clone()
        versions, state = (logits._version, target._version), torch.get_rng_state()
        look("cross_entropy", logits, target)
        assert (logits._version, target._version) == versions
        assert torch.equal(torch.get_rng_state(), state)
        assert logits.grad is None
    finally:
        torch.use_deterministic_algorithms(False)


STRANGE_BESIDE: dict[str, Callable[[], Any]] = {
    "weight of another shape": lambda: F.multilabel_soft_margin_loss(
        numbers(N, 1), numbers(N, 1).sign().clamp(0), weight=torch.ones(2)
    ),
    "empty": lambda: F.mse_loss(torch.zeros(0, 3), torch.zeros(0, 3), reduction="sum"),
    "no dimension": lambda: F.mse_loss(torch.tensor(1.0), torch.tensor(2.0)),
    "complex": lambda: F.l1_loss(numbers(N).to(torch.complex64), numbers(N).to(torch.complex64)),
    "integers": lambda: F.l1_loss(Y, Y, reduction="sum"),
    "one class of one example": lambda: F.cross_entropy(torch.zeros(1), torch.tensor(0)),
    "no classes": lambda: F.cross_entropy(torch.zeros(2, 0), torch.zeros(2, 0)),
    "ctc": lambda: F.ctc_loss(
        numbers(6, 2, C).log_softmax(2), Y[:4].reshape(2, 2) + 1, torch.tensor([6, 6]), torch.tensor([2, 2])
    ),
    "triplets": lambda: F.triplet_margin_loss(numbers(N, 3), numbers(N, 3, seed=1), numbers(N, 3, seed=2)),
    "embedding": lambda: F.cosine_embedding_loss(numbers(N, 3), numbers(N, 3, seed=1), torch.ones(N)),
    "ranking": lambda: F.margin_ranking_loss(numbers(N), numbers(N, seed=1), torch.ones(N)),
    "margins of classes": lambda: F.multi_margin_loss(numbers(N, C), Y),
    "margins of labels": lambda: F.multilabel_margin_loss(
        numbers(N, C), Y[:, None].expand(N, C).contiguous()
    ),
    "broadcast": lambda: F.mse_loss(numbers(N, C), torch.zeros(())),
}


@pytest.mark.parametrize("mode", ["grad", "inference"])
@pytest.mark.parametrize("name", STRANGE_BESIDE)
def test_whatever_comes_the_watch_does_not_fail(name: str, mode: str) -> None:
    codes = watched(STRANGE_BESIDE[name], mode).codes
    assert codes == (["LH602"] if name == "weight of another shape" else [])
