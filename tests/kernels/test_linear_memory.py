"""The extra memory of a head and its softmax: it does not depend on how many tokens there are."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from likelihead.bench.memory import _ALLOCATOR, why_not

MEMORY = """
import gc, torch
from likelihead.bench.memory import _CLEAR, _resident
from likelihead.kernels import dispatch
tokens, width, classes = {tokens}, 32, 1 << 14
x, w = (torch.randn(n, width).to(torch.{dtype}).requires_grad_() for n in (tokens, classes))
target = torch.randint(classes, (tokens,))

def step():
    x.grad = w.grad = None
    if {reduced}:
        dispatch.linear_softmax_loss(x, w, target).backward()
    else:
        dispatch.linear_softmax_nll(x, w, target)[0].square().sum().backward()

step()
x.grad = w.grad = None
gc.collect()
_CLEAR.write_text("5")
before = _resident("VmRSS")
step()
print((_resident("VmHWM") - before) / 1024)
"""


@pytest.mark.skipif(bool(why_not()), reason=why_not())
@pytest.mark.skipif(
    os.environ.get("LIKELIHEAD_HYPOTHESIS") == "sanitize", reason="its allocator keeps no pages"
)
@pytest.mark.parametrize(("dtype", "reduced"), [("float32", True), ("bfloat16", False)])
def test_memory_does_not_grow_with_the_tokens(dtype: str, reduced: bool) -> None:
    found = []
    for tokens in (1600, 4800):  # whose float32 logits take 100 and 300 MiB
        code = MEMORY.format(tokens=tokens, dtype=dtype, reduced=reduced)
        done = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=False,
            env=os.environ | _ALLOCATOR,
        )
        assert done.returncode == 0, done.stderr
        found.append(float(done.stdout))
    assert found[1] <= 70
    assert found[1] - found[0] <= 6
