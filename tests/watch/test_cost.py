"""What the losses cost in torch and by likelihead's kernels, and a run in which those take torch's place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import likelihead
from likelihead.watch import cost
from likelihead.watch.checks.shapes_seen import Shape
from likelihead.watch.record import Record
from likelihead.watch.session import Session

Step = Callable[[Tensor, Tensor], Tensor]


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cost, "_SECONDS", 0.0)


def trained(loss: Step, classes: int = 7) -> list[Tensor]:
    """The losses of some steps, and the weights."""
    torch.manual_seed(0)
    weight = torch.randn(5, classes).mul(0.1).requires_grad_()
    optimizer = torch.optim.SGD([weight], 0.5)
    losses = []
    for _ in range(6):
        value = loss(torch.randn(16, 5) @ weight, torch.randint(classes, (16,)))
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        losses.append(value.detach())
    return [torch.stack(losses), weight.detach(), torch.get_rng_state()]


def watched(run: Callable[[], Any], **options: bool) -> tuple[Any, Record]:
    session = Session(**options).start()
    try:
        result = run()
    finally:
        record = session.finish()
    assert not [note for note in record.notes if note.kind in ("fault", "cost")]
    return result, record


def hot(target: Tensor) -> Tensor:
    return F.one_hot(target, 7).float()


LOSSES: dict[str, Step] = {
    "cross_entropy": lambda z, y: F.cross_entropy(z, y, label_smoothing=0.1, ignore_index=2),
    "binary_cross_entropy_with_logits": lambda z, y: F.binary_cross_entropy_with_logits(z, hot(y)),
    "binary_cross_entropy": lambda z, y: F.binary_cross_entropy(z.sigmoid(), hot(y)),
    "nll_loss": lambda z, y: F.nll_loss(z.log_softmax(1), y, weight=torch.arange(1.0, 8.0)),
    "mse_loss": lambda z, y: F.mse_loss(z, hot(y)),
    "gaussian_nll_loss": lambda z, y: F.gaussian_nll_loss(z, hot(y), z.exp()),
    "multilabel_soft_margin_loss": lambda z, y: F.multilabel_soft_margin_loss(z, hot(y)),
}


@pytest.mark.parametrize("name", LOSSES)
def test_an_accelerated_run_has_the_same_losses(name: str) -> None:
    bare = trained(LOSSES[name])
    (losses, weight, generator), record = watched(lambda: trained(LOSSES[name]), accelerate=True)
    torch.testing.assert_close(losses, bare[0], rtol=2e-6, atol=1e-7)
    torch.testing.assert_close(weight, bare[1], rtol=1e-5, atol=1e-6)
    assert torch.equal(generator, bare[2])
    assert record.accelerated
    assert [site.function for site in record.sites] == [name]
    assert not [note for note in record.notes if note.kind == "accelerate"]


def test_likelihead_s_function_is_what_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    def planted(*args: Any, **kwargs: Any) -> Tensor:
        return likelihead.functional.cross_entropy(*args, **kwargs) + 1

    monkeypatch.setitem(cost.REPLACEMENTS, "cross_entropy", planted)
    bare = trained(F.cross_entropy)
    accelerated, _ = watched(lambda: trained(F.cross_entropy), accelerate=True)
    same, _ = watched(lambda: trained(F.cross_entropy))
    torch.testing.assert_close(accelerated[0], bare[0] + 1)
    assert torch.equal(same[0], bare[0])


@pytest.mark.parametrize("accelerate", [False, True])
def test_what_a_loss_costs_is_said_with_time_and_memory(accelerate: bool) -> None:
    def run() -> None:
        trained(F.cross_entropy, 2000)

    _, record = watched(run, costs=True, accelerate=accelerate)
    (found,) = record.costs
    assert (found.function, found.shape, found.dtype, found.calls) == (
        "cross_entropy",
        (16, 2000),
        "float32",
        6,
    )
    assert found.torch_ms > 0
    assert found.likelihead_ms > 0
    # Torch keeps the log-probabilities, and makes their gradient before that of the logits.
    gradient = 16 * 2000 * 4 / 2**20
    assert found.torch_mib == pytest.approx(3 * gradient, rel=0.05)
    assert found.likelihead_mib == pytest.approx(gradient, rel=0.05)


def test_what_was_not_replaced_is_named() -> None:
    def losses(z: Tensor, y: Tensor) -> Tensor:
        return F.huber_loss(z, hot(y)) + F.l1_loss(z, hot(y)) + F.cross_entropy(z, y)

    _, record = watched(lambda: trained(losses), accelerate=True)
    (note,) = [note for note in record.notes if note.kind == "accelerate"]
    assert note.text == "Torch's own are huber_loss, l1_loss: likelihead has no kernel for them."


def test_a_call_that_likelihead_refuses_is_torch_s(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(*args: Any, **kwargs: Any) -> Tensor:
        raise likelihead.errors.BackendError("not today")

    monkeypatch.setitem(cost.REPLACEMENTS, "cross_entropy", refuses)
    bare = trained(F.cross_entropy)
    result, record = watched(lambda: trained(F.cross_entropy), accelerate=True)
    assert all(map(torch.equal, bare, result))
    (note,) = [note for note in record.notes if note.kind == "accelerate"]
    assert note.text == "cross_entropy was left to torch: BackendError: not today"


def test_what_torch_refuses_raises_torch_s_own_error() -> None:
    def run() -> None:
        with pytest.raises(IndexError, match="Target 9 is out of bounds"):
            F.cross_entropy(torch.zeros(1, 3), torch.tensor([9]))

    watched(run, accelerate=True)


def test_transforms_keep_torch_s_own() -> None:
    z, y = torch.randn(4, 3), torch.tensor([0, 1, 2, 1])

    def run() -> Tensor:
        return torch.func.vmap(torch.func.grad(F.cross_entropy))(z, y)

    bare = run()
    result, _ = watched(run, accelerate=True)
    assert torch.equal(result, bare)


def test_autocast_is_the_same() -> None:
    def run() -> list[Tensor]:
        with torch.autocast("cpu", torch.bfloat16):
            return trained(lambda z, y: F.cross_entropy(z, y))

    bare = run()
    result, _ = watched(run, accelerate=True)
    assert result[0].dtype is bare[0].dtype
    torch.testing.assert_close(result[0], bare[0], rtol=2e-6, atol=1e-7)


@pytest.mark.skipif(not hasattr(F, "linear_cross_entropy"), reason="this torch has no linear_cross_entropy")
def test_a_linear_loss() -> None:
    head = torch.randn(7, 7, generator=torch.Generator().manual_seed(1))

    def loss(z: Tensor, y: Tensor) -> Tensor:
        return F.linear_cross_entropy(z, head, y)

    bare = trained(loss)
    same, record = watched(lambda: trained(loss), costs=True)
    accelerated, _ = watched(lambda: trained(loss), accelerate=True)
    (site,) = record.sites
    assert (site.function, site.target) == ("linear_cross_entropy", "int64 [16]")
    assert all(map(torch.equal, bare, same))
    torch.testing.assert_close(accelerated[0], bare[0], rtol=2e-6, atol=1e-7)


def test_a_session_within_another_times_torch_s_own() -> None:
    outer = Session(accelerate=True).start()
    try:
        _, record = watched(lambda: trained(F.cross_entropy), costs=True)
        assert len(record.costs) == 1
    finally:
        inner_and_outer = outer.finish()
    assert [site.calls for site in inner_and_outer.sites] == [6]  # what is timed is nobody's call


def test_a_shape_that_cannot_be_timed_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: Any) -> Any:
        raise MemoryError("no more")

    monkeypatch.setattr(cost, "_made_up", full)
    record = Record()
    shape = Shape("mse_loss", (2, 3), torch.float32, torch.device("cpu"), True, ())
    cost.replay(record, {shape: 1})
    assert not record.costs
    assert record.notes[0].text == "mse_loss [2, 3] could not be timed: MemoryError: no more"


def test_the_generators_are_left_as_they_are() -> None:
    state = torch.get_rng_state()
    shape = Shape("cross_entropy", (8, 5), torch.float32, torch.device("cpu"), False, (("reduction", "sum"),))
    cost.replay(record := Record(), {shape: 1})
    assert record.costs
    assert torch.equal(torch.get_rng_state(), state)
