"""The formulas of a head's memory, against peaks measured in a process of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace

import pytest
import torch

from likelihead.bench.linear_memory import DTYPES, Route, Sizes, gradients, ours, routes
from likelihead.bench.memory import _ALLOCATOR, why_not

MEASURED = """
import json, sys, torch
from torch.nn.functional import cross_entropy, linear
from likelihead.bench.contenders import Contender
from likelihead.bench.memory import extra_mib
from likelihead.functional import linear_cross_entropy

torch.set_num_threads(1)
tokens, classes, width = map(int, sys.argv[1:4])
hidden, head = (torch.randn(n, width).to(getattr(torch, sys.argv[4])) for n in (tokens, classes))
leaves = hidden.requires_grad_(), head.requires_grad_()
target, upstream = torch.randint(classes, (tokens,)), torch.rand(tokens)

def eager():
    return cross_entropy(linear(hidden, head), target)

def kept():
    logits = linear(hidden, head)
    loss = cross_entropy(logits, target)
    if loss.requires_grad:
        loss.backward()
    return loss.detach()

def ours():
    return linear_cross_entropy(hidden, head, target)

def per_token():
    return linear_cross_entropy(hidden, head, target, reduction="none").float() @ upstream

def chunked():
    options = torch.nn.LinearCrossEntropyOptions()
    return torch.nn.functional.linear_cross_entropy(hidden, head, target, options=options)

def drop():
    hidden.grad = head.grad = None

def without(loss):
    def step():
        with torch.no_grad():
            loss()
    return step

def whole(loss):
    def step():
        value = loss()
        if value.requires_grad:
            value.backward()
    return step

losses = {
    "torch eager": eager,
    "torch eager, logits kept": kept,
    "torch chunked": chunked,
    "ours": ours,
    "ours per token": per_token,
}
print(json.dumps({
    name: [extra_mib(Contender(name, step(loss), drop)) for step in (without, whole)]
    for name, loss in losses.items() if name in sys.argv[5:]
}))
"""


@pytest.mark.skipif(bool(why_not()), reason=why_not())
@pytest.mark.skipif(
    os.environ.get("LIKELIHEAD_HYPOTHESIS") == "sanitize", reason="its allocator keeps no pages"
)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_peak_is_that_of_the_formula(dtype: str) -> None:
    names = ["torch eager", "torch eager, logits kept", "ours", "ours per token"]
    _hold(Sizes(1500, 24001, 96, DTYPES[dtype]), names)
    if torch.__version__.startswith("2.13."):  # its own chunks, which are not a promise
        _hold(Sizes(400, 12001, 300, DTYPES[dtype]), ["torch chunked"])


def _hold(sizes: Sizes, names: list[str]) -> None:
    """Measure the routes, and compare."""
    shape = map(str, (sizes.tokens, sizes.classes, sizes.width))
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, *shape, str(sizes.dtype).removeprefix("torch."), *names],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | _ALLOCATOR,
    )
    assert done.returncode == 0, done.stderr
    measured = json.loads(done.stdout)
    assert list(measured) == names
    assert sizes.chunk < sizes.tokens or "ours" not in names
    for name, found in measured.items():
        route = _by_name(sizes)[name.removesuffix(" per token")]
        expected = [route.forward / 2**20, route.backward / 2**20]
        # A peak of a few MiB is as much the allocator's and the threads' as it is ours.
        assert found == pytest.approx(expected, rel=0.05, abs=1.5), name


def _by_name(sizes: Sizes) -> dict[str, Route]:
    return {route.name: route for route in routes(sizes)}


def test_ours_grows_with_the_tokens_by_their_gradient_and_values_alone() -> None:
    few = Sizes(1024, 50257, 768)
    many = replace(few, tokens=32 * 1024)
    of_tokens = (32 - 1) * 1024 * (768 * 4 + 8)
    assert ours(many).backward - ours(few).backward == of_tokens
    assert ours(many).backward - gradients(many) <= 128 << 20
    eager = _by_name(many)["torch eager"].backward - _by_name(few)["torch eager"].backward
    assert eager == 31 * 3 * few.logits


@pytest.mark.parametrize("dtype", DTYPES.values(), ids=str)
@pytest.mark.parametrize("tokens", [1, 100, 5000])
def test_no_route_takes_less_than_the_gradients(dtype: torch.dtype, tokens: int) -> None:
    sizes = Sizes(tokens, 1000, 64, dtype)
    for route in routes(sizes):
        assert route.backward >= gradients(sizes)
        assert route.forward > 0


def test_the_chunk_is_the_one_asked_for_and_no_larger_than_the_tokens() -> None:
    assert Sizes(5000, 1000, 64, chunk_tokens=7).chunk == 7
    assert Sizes(5, 1000, 64, chunk_tokens=7).chunk == 5
    assert Sizes(5000, 50257, 64).chunk == 192
    assert ours(Sizes(5000, 1000, 64, chunk_tokens=7)).forward == 7 * 1000 * 4 + 5000 * 8
