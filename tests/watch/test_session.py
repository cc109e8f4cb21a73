"""A session: when it looks closely, what it counts, and what becomes of faults of its own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from likelihead.watch.engine import ENGINE, EVERY, FIRST_STEPS
from likelihead.watch.record import Curve
from likelihead.watch.session import Session

X, Y = torch.randn(4, 6), torch.tensor([0, 1, 2, 0])


@pytest.fixture
def session() -> Iterator[Session]:
    session = Session().start()
    yield session
    session.finish()
    assert torch._C._len_torch_function_stack() == 0


def train(steps: int) -> Iterator[Tensor]:
    """The losses of a training, each before its step."""
    model = nn.Linear(6, 3)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    for _ in range(steps):
        loss = F.cross_entropy(model(X), Y)
        yield loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def test_the_first_steps_are_followed_and_then_one_in_so_many(session: Session) -> None:
    steps = 2 * EVERY + 2
    deep = [step for step, _ in enumerate(train(steps)) if ENGINE.deep]
    assert deep == [*range(FIRST_STEPS), EVERY, 2 * EVERY]
    record = session.finish()
    # Of the first of all nobody knows whether the session saw it begin.
    assert (record.steps, record.deep_steps) == (steps, FIRST_STEPS - 1 + 2)
    (site,) = record.sites
    assert site.calls == steps
    assert len(site.loss.values) == steps  # the curve is whole


def test_the_first_evaluations_are_followed_whenever_they_come(session: Session) -> None:
    model = nn.Linear(6, 3)
    for _ in train(FIRST_STEPS + 5):
        pass
    assert not ENGINE.deep
    with torch.no_grad():
        model.eval()
        assert ENGINE.deep
        F.nll_loss(model(X).softmax(dim=1), Y)
    assert [finding.code for finding in session.finish().findings] == ["LH104"]


def test_a_mistake_that_comes_late_is_met_at_a_step_that_is_followed(session: Session) -> None:
    model = nn.Linear(6, 3)
    for step, _ in enumerate(train(2 * EVERY + 1)):
        if step > FIRST_STEPS + 5:
            F.cross_entropy(model(X).softmax(dim=1), Y)
    (finding,) = session.finish().findings
    assert finding.code == "LH101"


def test_two_optimizers_are_one_step_when_both_have_stepped(session: Session) -> None:
    models = nn.Linear(6, 3), nn.Linear(6, 3)
    optimizers = [torch.optim.SGD(model.parameters(), 0.1) for model in models]
    for _ in range(3):
        for model, optimizer in zip(models, optimizers, strict=True):
            F.cross_entropy(model(X), Y).backward()
            optimizer.step()
    assert session.finish().steps == 3


def test_a_fault_of_the_watch_is_a_note_and_the_script_s_result_its_own(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> None:
        raise ZeroDivisionError("ours")

    for check in session.checks:
        for event in ("call", "counted", "looked", "backward", "step", "end"):
            monkeypatch.setattr(check, event, broken)
    losses = [float(loss.detach()) for loss in train(3)]
    assert len(losses) == 3
    faults = [note for note in session.finish().notes if note.kind == "fault"]
    assert any("ZeroDivisionError: ours" in note.text for note in faults)
    assert len(faults) < 60  # said once each


def test_a_loss_that_the_script_hands_over_wrongly_raises_as_ever(session: Session) -> None:
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'target'"):
        F.cross_entropy(X)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="must be Tensor, not str"):
        F.cross_entropy("words", Y)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="not a valid value for reduction"):
        F.cross_entropy(X[:, :3], Y, reduction="median")
    assert not [note for note in session.finish().notes if note.kind == "fault"]


def test_what_is_computed_again_in_a_backward_pass_is_counted_once(session: Session) -> None:
    from torch.utils.checkpoint import checkpoint

    model = nn.Linear(6, 3)
    checkpoint(lambda x: F.cross_entropy(model(x), Y), X, use_reentrant=False).backward()
    assert [site.calls for site in session.finish().sites] == [1]


def test_a_long_curve_keeps_its_shape_and_not_all_its_points() -> None:
    session, curve = Session(), Curve()
    for step in range(10_000):
        session.plot(curve, step, float(step))
    assert 1000 < len(curve.steps) <= 2049
    assert curve.steps == [int(value) for value in curve.values]
    assert (curve.steps[0], curve.steps[-1]) == (0, max(curve.steps))
    assert curve.steps[-1] > 9_900
    strides = {after - before for before, after in zip(curve.steps, curve.steps[1:], strict=False)}
    assert len(strides) == 1


def test_a_finding_is_counted_and_keeps_its_first_step(session: Session) -> None:
    model = nn.Linear(6, 3)
    for _ in range(3):
        F.cross_entropy(model(X).softmax(dim=1), Y).backward()
    (finding,) = session.finish().findings
    assert (finding.count, finding.step) == (3, 0)
    assert finding.made_at is not None
    assert finding.made_at.text == finding.at.text == "F.cross_entropy(model(X).softmax(dim=1), Y).backward()"
    assert session.finish() is session.record


def test_nothing_is_left_of_a_session_that_has_ended() -> None:
    before = {name: value for name, value in vars(F).items() if callable(value)}
    codes = {name: value.__code__ for name, value in before.items() if hasattr(value, "__code__")}
    with pytest.raises(RuntimeError, match="still watched"):
        Session().record  # noqa: B018
    session = Session().start()
    next(train(1))
    session.finish()
    assert all(vars(F)[name] is value for name, value in before.items())
    assert all(vars(F)[name].__code__ is code for name, code in codes.items())
    assert not ENGINE.sessions
    assert len(ENGINE.book) == 0
