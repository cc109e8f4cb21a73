"""What is followed when: the first steps, the first calls of a later stage, the first evaluations."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from likelihead.watch.engine import FIRST_STEPS
from likelihead.watch.record import Record
from likelihead.watch.session import Session

X = torch.randn(8, 6, generator=torch.Generator().manual_seed(0))
Y = torch.arange(8) % 3


@contextmanager
def watching() -> Iterator[list[Record]]:
    records: list[Record] = []
    session = Session().start()
    try:
        yield records
    finally:
        records.append(session.finish())


def trained(model: nn.Module, steps: int, loss: Callable[[Tensor], Tensor]) -> None:
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    for _ in range(steps):
        optimizer.zero_grad()
        loss(model(X)).backward()
        optimizer.step()


def right(output: Tensor) -> Tensor:
    return F.cross_entropy(output, Y)


def wrong(output: Tensor) -> Tensor:
    return F.cross_entropy(output.sigmoid(), Y)


def test_a_second_stage_is_followed_from_its_second_step() -> None:
    with watching() as records:
        trained(nn.Linear(6, 3), 2 * FIRST_STEPS, right)
        trained(nn.Linear(6, 3), 4, wrong)
    assert [finding.code for finding in records[0].findings] == ["LH102"]
    assert records[0].findings[0].count >= 3


def test_a_long_stage_is_left_alone_in_the_end() -> None:
    with watching() as records:
        trained(nn.Linear(6, 3), 2 * FIRST_STEPS, right)
        trained(nn.Linear(6, 3), 3 * FIRST_STEPS, wrong)
    (finding,) = records[0].findings
    assert finding.count <= 3 * FIRST_STEPS - 10


class Evaluated:
    """Ways to run something without gradients, by a model that has no training mode."""

    @staticmethod
    def block(model: nn.Module) -> None:
        with torch.no_grad():
            wrong(model(X))

    @staticmethod
    def inference(model: nn.Module) -> None:
        with torch.inference_mode():
            wrong(model(X))

    @staticmethod
    @torch.no_grad()
    def decorated(model: nn.Module) -> None:
        wrong(model(X))


@pytest.mark.parametrize("way", ["block", "inference", "decorated"])
def test_one_batch_without_gradients_is_followed(way: str) -> None:
    model = nn.Linear(6, 3)
    with watching() as records:
        trained(model, 2 * FIRST_STEPS, right)
        getattr(Evaluated, way)(model)
    assert [finding.code for finding in records[0].findings] == ["LH102"]


def test_a_block_in_each_step_keeps_nothing_awake() -> None:
    model = nn.Linear(6, 3)
    with watching() as records:
        trained(model, 2 * FIRST_STEPS, right)
        optimizer = torch.optim.SGD(model.parameters(), 0.1)
        for _ in range(4 * FIRST_STEPS):
            with torch.no_grad():
                model.weight.clamp_(-9, 9)
            optimizer.zero_grad()
            right(model(X)).backward()
            optimizer.step()
    assert records[0].deep_steps < 3 * FIRST_STEPS


def test_torch_s_lines_are_never_the_user_s_whoever_is_imported_first() -> None:
    code = (
        "from likelihead.watch import places\n"
        "import torch\n"
        "assert not places._classify(torch.nn.functional.__file__) == 1\n"
        "from likelihead.watch.session import Session\n"
        "session = Session().start()\n"
        "torch.nn.Softmax(1)(torch.nn.Linear(2, 3)(torch.ones(4, 2)).log_softmax(1))\n"
        "print(*(f.code for f in session.finish().findings))\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (ran.stdout, ran.returncode) == ("LH114\n", 0), ran.stderr
