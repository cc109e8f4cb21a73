"""Compiled regions are left alone: compiled once, whatever the watch does meanwhile, and named."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from tests.watch import running
from torch import Tensor, nn

from likelihead.watch.engine import ENGINE, FIRST_STEPS
from likelihead.watch.record import Record
from likelihead.watch.session import Session

pytestmark = pytest.mark.filterwarnings(
    "ignore:`torch.jit.script_method` is deprecated"
)  # as inductor is imported

Compiled = tuple[Callable[..., Any], list[Any]]


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    torch.compiler.reset()
    yield
    torch.compiler.reset()


def counted(function: Callable[..., Any]) -> Compiled:
    """The function compiled, and what it was compiled to so far."""
    graphs: list[Any] = []

    def backend(graph: Any, inputs: Any) -> Any:
        graphs.append(graph)
        return graph.forward

    return torch.compile(function, backend=backend, dynamic=False), graphs


def scored(x: Tensor, y: Tensor) -> Tensor:
    return F.cross_entropy(x.tanh().softmax(1), y)


def x_and_y() -> tuple[Tensor, Tensor]:
    return torch.randn(4, 3, requires_grad=True), torch.randint(3, (4,))


def finished(session: Session) -> Record:
    record = session.finish()
    assert not [note for note in record.notes if note.kind == "fault"]
    return record


def test_what_was_compiled_before_is_not_compiled_again() -> None:
    compiled, graphs = counted(scored)
    compiled(*x_and_y())
    session = Session().start()
    compiled(*x_and_y())
    record = finished(session)
    compiled(*x_and_y())
    assert len(graphs) == 1
    assert not record.sites
    assert [place.text for place in record.compiled] == ["compiled(*x_and_y())"]


def test_what_is_compiled_meanwhile_is_compiled_once() -> None:
    session = Session().start()
    compiled, graphs = counted(scored)
    weight = nn.Parameter(torch.zeros(3, 3))
    optimizer = torch.optim.SGD([weight], 0.1)
    followed = set()
    for _ in range(FIRST_STEPS + 3):
        followed.add(ENGINE.deep)
        x, y = x_and_y()
        compiled(x @ weight, y).backward()
        optimizer.step()
    finished(session)
    compiled(x @ weight, y)
    assert followed == {True, False}
    assert len(graphs) == 1


def test_a_compiled_step_of_an_optimizer_is_compiled_once() -> None:
    session = Session().start()
    weight = nn.Parameter(torch.zeros(3, 3))
    optimizer = torch.optim.SGD([weight], 0.1)
    step, graphs = counted(optimizer.step)
    for _ in range(FIRST_STEPS + 3):
        x, y = x_and_y()
        F.cross_entropy(x @ weight, y).backward()
        step()
    (site,) = finished(session).sites
    assert len(graphs) == 1
    assert site.calls == FIRST_STEPS + 3


def test_losses_beside_a_region_are_followed() -> None:
    session = Session().start()
    compiled, _ = counted(lambda x: x.tanh())
    x, y = x_and_y()
    compiled(x)
    F.cross_entropy(x.softmax(1), y)
    finding = finished(session).findings[0]
    assert finding.code == "LH101"


def test_the_mode_is_back_after_a_region_that_raises() -> None:
    def raises(x: Tensor) -> Tensor:
        raise KeyError("theirs")

    session = Session().start()
    compiled, _ = counted(raises)
    with pytest.raises(KeyError, match="theirs"):
        compiled(torch.ones(1))
    assert torch._C._len_torch_function_stack() == 1
    F.cross_entropy(torch.ones(2, 3).softmax(1), torch.tensor([0, 1]))
    assert finished(session).findings
    assert torch._C._len_torch_function_stack() == 0


def test_between_the_graphs_of_a_region_nothing_of_the_watch_is_compiled() -> None:
    def breaks(x: Tensor, y: Tensor) -> Tensor:
        probs = x.softmax(1)
        torch._dynamo.graph_break()
        loss = F.cross_entropy(probs, y)
        loss.backward()
        optimizer.step()
        return loss

    session = Session().start()
    weight = nn.Parameter(torch.zeros(3, 3))
    optimizer = torch.optim.SGD([weight], 0.1)
    compiled, graphs = counted(breaks)
    made = []
    for _ in range(FIRST_STEPS + 3):
        x, y = x_and_y()
        compiled(x @ weight, y)
        made.append(len(graphs))
    finished(session)
    assert made[2] == made[-1]
    assert not [graph for graph in graphs if "likelihead" in graph.print_readable(print_output=False)]


def test_a_disabled_function_in_a_region_is_left_alone_too() -> None:
    @torch.compiler.disable
    def loss(x: Tensor, y: Tensor) -> Tensor:
        return F.cross_entropy(x.softmax(1), y)

    def calls(x: Tensor, y: Tensor) -> Tensor:
        return loss(x.tanh(), y) + 1

    session = Session().start()
    compiled, _ = counted(calls)
    compiled(*x_and_y())
    assert torch._C._len_torch_function_stack() == 1
    F.mse_loss(torch.ones(2), torch.zeros(2))
    assert [site.function for site in finished(session).sites] == ["mse_loss"]


def test_the_script_with_a_compiled_model(recwarn: pytest.WarningsRecorder) -> None:
    script = running.SCRIPTS / "compiled_step.py"
    bare = running.run(script, ["--backend", "eager"])
    session = Session().start()
    watched = running.run(script, ["--backend", "eager"])
    record = finished(session)
    assert watched.stdout == bare.stdout
    assert {place.text for place in record.compiled} == {"loss = compiled(*batch(32))"}
    assert {site.phase for site in record.sites} == {"evaluation"}
    assert not [warning for warning in recwarn if "recompile" in str(warning.message)]


def test_a_watch_that_comes_before_the_compiler(tmp_path: Path) -> None:
    """The compiler is imported in the middle, where an optimizer is made at the latest."""
    program = """
import sys, torch
from likelihead.watch.session import Session
early = "torch._dynamo" in sys.modules
session = Session().start()
finders = len(sys.meta_path)
function = torch.compile(lambda x: x.tanh(), backend="eager")
function(torch.ones(1))
record = session.finish()
print(early, len(record.compiled), [note.text for note in record.notes])
"""
    import subprocess

    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert ran.stdout.strip() == "False 1 []", ran.stderr
