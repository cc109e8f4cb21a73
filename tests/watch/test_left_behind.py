"""What stays of a watch while it lasts, and after: torch's functions, hooks, modes, tags and memory."""

from __future__ import annotations

import copy
import gc
import inspect
import sys
import weakref
from collections.abc import Iterator
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.optim import optimizer as optimizers

from likelihead.watch.engine import ENGINE, FIRST_STEPS
from likelihead.watch.losses import LOSSES
from likelihead.watch.session import Session
from likelihead.watch.tags import Tag


@pytest.fixture
def session() -> Iterator[Session]:
    session = Session().start()
    yield session
    session.finish()


def hooks() -> list[Any]:
    """All that anybody may have hung up for the whole process."""
    modules = nn.modules.module
    return [
        *(copy.copy(kept) for name, kept in vars(modules).items() if name.startswith("_global_")),
        *(copy.copy(kept) for name, kept in vars(optimizers).items() if name.startswith("_global_")),
        list(sys.meta_path),
        sys.gettrace(),
        sys.getprofile(),
        torch._C._len_torch_function_stack(),
        torch._C._len_torch_dispatch_stack(),
    ]


def names_of_torch() -> dict[tuple[str, str], Any]:
    homes = [torch, F, torch.autograd, nn.Module, torch.Tensor, torch.optim.Optimizer, nn.utils]
    return {(home.__name__, name): value for home in homes for name, value in vars(home).items()}


def test_nothing_is_left_of_a_session() -> None:
    torch.optim.SGD([nn.Parameter(torch.ones(1))], 0.1)  # torch itself loads more on the way
    Session().start().finish()
    before, names = hooks(), names_of_torch()
    codes = {name: getattr(F, name).__code__ for name in LOSSES if hasattr(getattr(F, name), "__code__")}
    session = Session().start()
    nested = Session().start()
    torch.optim.SGD([nn.Parameter(torch.ones(1))], 0.1)
    assert hooks() != before
    nested.finish()
    assert hooks() != before
    session.finish()
    assert hooks() == before
    assert {name: getattr(F, name).__code__ for name in codes} == codes
    after = names_of_torch()
    assert [name for name, value in names.items() if after.get(name) is not value] == []


def test_losses_look_as_they_do_bare() -> None:
    def looks() -> dict[str, Any]:
        return {
            name: (
                *(id(getattr(F, name)), getattr(F, name).__name__, getattr(F, name).__qualname__),
                *(getattr(F, name).__module__, getattr(F, name).__doc__, inspect.signature(getattr(F, name))),
            )
            for name in LOSSES
            if name not in ("triplet_margin_with_distance_loss", "linear_cross_entropy")
        }

    bare = looks()
    session = Session().start()
    try:
        assert looks() == bare
        assert torch.overrides.is_tensor_method_or_property(torch.Tensor.add)
        assert F.cross_entropy in torch.overrides.get_testing_overrides()
    finally:
        session.finish()
    assert looks() == bare


def test_the_fast_path_asks_past_the_mode_and_sees_the_script_s_own() -> None:
    class Theirs(torch.overrides.TorchFunctionMode):
        pass

    ones = torch.ones(1)
    session = Session().start()
    try:
        assert torch._C._len_torch_function_stack() == 1
        assert not torch.overrides.has_torch_function((ones,))
        with Theirs():
            assert torch.overrides.has_torch_function((ones,))
        assert torch._C._len_torch_function_stack() == 1
    finally:
        session.finish()
    assert torch.overrides.has_torch_function is torch._C._has_torch_function


def test_a_loss_stays_the_function_that_it_is() -> None:
    function, code, signature = F.cross_entropy, F.cross_entropy.__code__, inspect.signature(F.cross_entropy)
    session = Session().start()
    try:
        assert F.cross_entropy is function
        assert inspect.signature(F.cross_entropy) == signature
        assert torch.jit.script(function)(torch.zeros(1, 2), torch.tensor([0])).item() > 0.69
        function(torch.zeros(1, 2), torch.tensor([0]), ignore_index=1)
    finally:
        record = session.finish()
    assert function.__code__ is code
    (site,) = record.sites  # of a function that was imported before; scripted code is not seen
    assert site.options == {"ignore_index": "1"}  # and no defaults


def test_a_default_device_may_come_and_go_around_the_mode() -> None:
    torch.set_default_device("cpu")
    try:
        session = Session().start()
        torch.set_default_device(None)
    finally:
        torch.set_default_device(None)
        session.finish()
    assert torch._C._len_torch_function_stack() == 0


def test_tags_die_with_their_tensors(session: Session) -> None:
    x = torch.randn(4, 3)
    probs = x.softmax(1)
    view = probs[:2]
    assert ENGINE.book.get(view) is not None
    dead = [weakref.ref(probs), weakref.ref(view)]
    held = len(ENGINE.book)
    loss = F.cross_entropy(view, torch.tensor([0, 1]))
    del probs, view
    gc.disable()  # no cycle holds them
    try:
        assert [reference() for reference in dead] == [None, None]
    finally:
        gc.enable()
    assert len(ENGINE.book) == held - 2 + 1
    assert isinstance(ENGINE.book.get(loss), Tag)
    assert not hasattr(loss, "__dict__") or not vars(loss)


def test_no_tensor_of_a_step_outlives_it(session: Session) -> None:
    """Neither the loss, nor its graph, nor what went in."""
    model = nn.Linear(5, 3)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    dead: list[weakref.ref[Any]] = []
    for _ in range(3):
        x, y = torch.randn(4, 5), torch.randint(3, (4,))
        z = model(x)
        loss = F.cross_entropy(z, y)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        dead += [weakref.ref(tensor) for tensor in (x, y, z, loss)]
        del x, y, z, loss
    assert [reference() for reference in dead if reference() is not None] == []


def test_memory_stays_bounded_over_a_long_run(monkeypatch: pytest.MonkeyPatch) -> None:
    # Curves and targets are kept of so many calls at most.
    monkeypatch.setattr(sys.modules["likelihead.watch.session"], "_POINTS", 64)
    monkeypatch.setattr(sys.modules["likelihead.watch.checks.baseline"], "_CALLS", 64)
    model = nn.Linear(5, 3)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    x, y = torch.randn(4, 5), torch.randint(3, (4,))
    session = Session().start()
    blocks = []
    try:
        for step in range(5000):
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
            if step in (2500, 4999):
                gc.collect()
                blocks.append(sys.getallocatedblocks())
    finally:
        record = session.finish()
    assert record.steps == 5000
    assert record.deep_steps == FIRST_STEPS - 1 + sum(step % 64 == 0 for step in range(64, 5000))
    assert blocks[1] - blocks[0] < 2499  # not one a step; what is kept of followed steps has its own end


def test_what_is_followed_rests_in_a_long_stretch_and_not_for_ever(session: Session) -> None:
    x = torch.zeros(2, 3)
    ENGINE._mode.left = 1
    x.relu()
    assert ENGINE.book.get(x.softmax(1)) is None
    F.mse_loss(x, x + 1)
    assert ENGINE.book.get(x.softmax(1)) is not None
