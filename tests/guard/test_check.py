"""`check_call` as the losses use it: levels, actions, places, and where it must keep out of the way."""

from __future__ import annotations

import copy
import inspect
import threading
import warnings
from collections.abc import Callable
from typing import Any, get_args

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx.experimental.proxy_tensor import make_fx
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from likelihead.errors import (
    DomainError,
    DTypeError,
    LikelihoodError,
    LikelihoodWarning,
    MisuseError,
    ShapeError,
    TargetError,
)
from likelihead.guard.check import check_call
from likelihead.guard.overlap import check_overlap
from likelihead.guard.report import LossName
from likelihead.guard.switch import guard, reset_reported, set_guard
from likelihead.hazards import HAZARDS, lookup

INDEX = torch.tensor([0, 2])


def logits(*shape: int) -> Tensor:
    return torch.randn(*(shape or (2, 3)), requires_grad=True) * 1


def probs() -> Tensor:
    return logits().softmax(1)


def check(loss: str, input: Tensor, target: Tensor | None, **options: Any) -> None:
    options.setdefault("default_action", "warn")
    check_call(loss, input, target, **options)  # type: ignore[arg-type]


def told(call: Callable[[], object]) -> list[str | None]:
    """The codes of what a call warns of."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        call()
    return [w.message.code for w in caught if isinstance(w.message, LikelihoodWarning)]


# Every hazard that the guard detects, with the exception that it raises.
ONE_OF_EACH: dict[str, tuple[type[LikelihoodError], Callable[[], None]]] = {
    "LH101": (MisuseError, lambda: check("cross_entropy", probs(), INDEX)),
    "LH102": (MisuseError, lambda: check("cross_entropy", logits().sigmoid(), INDEX)),
    "LH103": (MisuseError, lambda: check("cross_entropy", logits().log_softmax(1), INDEX)),
    "LH104": (MisuseError, lambda: check("nll", probs(), INDEX)),
    "LH105": (MisuseError, lambda: check("nll", nn.Linear(4, 3)(torch.randn(2, 4)), INDEX)),
    "LH106": (MisuseError, lambda: check("bce_with_logits", logits().sigmoid(), torch.ones(2, 3))),
    "LH107": (MisuseError, lambda: check("bce_with_logits", probs(), torch.ones(2, 3))),
    "LH108": (MisuseError, lambda: check("bce", torch.full((2, 3), 1.5), torch.ones(2, 3))),
    "LH109": (MisuseError, lambda: check("bce", logits().sigmoid(), torch.ones(2, 3))),
    "LH110": (MisuseError, lambda: check("nll", probs().log(), INDEX)),
    "LH111": (MisuseError, lambda: check_overlap(
        nn.Linear(4, 3)(torch.randn(2, 4)), INDEX, from_logits=False, multiclass=True
    )),
    "LH112": (MisuseError, lambda: check("nll", logits().log_softmax(0), INDEX)),
    "LH115": (MisuseError, lambda: check_overlap(probs(), INDEX, from_logits=True, multiclass=True)),
    "LH201": (MisuseError, lambda: check("cross_entropy", torch.zeros(2, 3), F.one_hot(INDEX, 3).float())),
    "LH202": (DTypeError, lambda: check("cross_entropy", torch.zeros(2, 300), INDEX.byte())),
    "LH203": (TargetError, lambda: check("cross_entropy", torch.zeros(2, 3), INDEX + 1)),
    "LH204": (MisuseError, lambda: check("cross_entropy", torch.zeros(2, 3), torch.ones(2, 3))),
    "LH205": (DomainError, lambda: check("cross_entropy", torch.zeros(2, 3), torch.full((2, 3), 0.5))),
    "LH207": (TargetError, lambda: check("bce_with_logits", torch.zeros(2, 3), -torch.ones(2, 3))),
    "LH208": (TargetError, lambda: check(
        "cross_entropy", torch.zeros(2, 3), INDEX, where=torch.tensor([[True, True, False]] * 2)
    )),
    "LH301": (ShapeError, lambda: check("cross_entropy", torch.zeros(2, 3, 4), torch.full((2, 3, 4), 0.25))),
    "LH302": (ShapeError, lambda: check("mse", torch.zeros(2), torch.zeros(2, 1))),
    "LH303": (ShapeError, lambda: check("cross_entropy", torch.zeros(2, 1), torch.zeros(2).long())),
    "LH403": (MisuseError, lambda: check("cross_entropy", torch.zeros(2, 2), INDEX - INDEX, ignore_index=1)),
    "LH601": (ShapeError, lambda: check(
        "bce_with_logits", torch.zeros(2, 3), torch.zeros(2, 3), pos_weight=torch.ones(2, 1)
    )),
    "LH602": (ShapeError, lambda: check(
        "multilabel_soft_margin", torch.zeros(2, 1), torch.zeros(2, 1), weight=torch.ones(2)
    )),
    "LH801": (DomainError, lambda: check("cross_entropy", torch.full((2, 3), torch.nan), INDEX)),
}  # fmt: skip
AT_FULL = {"LH103", "LH108", "LH201", "LH203", "LH204", "LH205", "LH207", "LH208", "LH301", "LH801"}


# Raised by the losses themselves, at every level: no value would be right (tests/core/test_sample_weight.py).
ALWAYS_RAISED = {"LH603"}


def test_every_hazard_of_the_table_that_the_guard_detects_has_a_case() -> None:
    detected = {code for code, hazard in HAZARDS.items() if hazard.guard}
    assert set(ONE_OF_EACH) == detected - ALWAYS_RAISED


@pytest.mark.parametrize("code", ONE_OF_EACH)
def test_each_hazard_at_each_level_and_action(code: str) -> None:
    kind, call = ONE_OF_EACH[code]
    with guard("off", action="raise"):
        call()
    with guard("cheap"):
        assert told(call) == ([] if code in AT_FULL else [code])
    severity = lookup(code).severity
    with guard("full"):
        if code == "LH203":
            with pytest.raises(TargetError, match="LH203"):
                call()
        else:
            assert told(call) == [code]
    with guard("full", action="raise"):
        if severity == "I":
            assert told(call) == [code]
            return
        with pytest.raises(kind) as caught:
            call()
    assert caught.value.code == code
    text = str(caught.value)
    assert lookup(code).remedy in text
    assert f"likelihead explain {code}" in text
    assert f"{__file__}:" in text


def test_likelihoods_raise_by_default_what_is_certainly_wrong() -> None:
    with pytest.raises(MisuseError, match="LH101"):
        check("cross_entropy", probs(), INDEX, default_action="raise")
    with guard(action="warn"):
        assert told(lambda: check("cross_entropy", probs(), INDEX, default_action="raise")) == ["LH101"]
    # fragile, but a right computation: not a reason to stop a program that did not ask for it
    assert told(lambda: check("nll", probs().log(), INDEX, default_action="raise")) == ["LH110"]


def test_one_warning_for_each_call_site_with_its_file_and_line() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(3):
            line = inspect.currentframe().f_lineno + 1  # type: ignore[union-attr]
            check_call("cross_entropy", probs(), INDEX, default_action="warn")
        check_call("cross_entropy", probs(), INDEX, default_action="warn")
    assert [(w.filename, w.lineno) for w in caught] == [(__file__, line), (__file__, line + 1)]
    text = str(caught[0].message)
    assert f"loss call at {__file__}:{line}" in text
    assert lookup("LH101").sentence in text
    assert lookup("LH101").remedy in text
    assert "SoftmaxBackward0" in text


def test_the_site_is_the_users_line_behind_likelihead_and_torch() -> None:
    scope: dict[str, Any] = {"__name__": "likelihead.nn", "check_call": check_call, "nn": nn}
    exec(
        "class Loss(nn.Module):\n"
        "    def forward(self, input, target):\n"
        "        check_call('cross_entropy', input, target, default_action='warn')\n",
        scope,
    )
    loss = scope["Loss"]()
    line = inspect.currentframe().f_lineno + 2  # type: ignore[union-attr]
    with pytest.warns(LikelihoodWarning) as caught:
        loss(probs(), INDEX)
    assert (caught[0].filename, caught[0].lineno) == (__file__, line)


def test_reporting_starts_afresh_in_a_block_and_on_request() -> None:
    def call() -> None:
        check("cross_entropy", probs(), INDEX)

    assert told(call) == ["LH101"]
    assert told(call) == []
    with guard():
        assert told(call) == ["LH101"]
    assert told(call) == []
    reset_reported()
    assert told(call) == ["LH101"]
    set_guard(level="cheap")
    assert told(call) == ["LH101"]


def test_two_hazards_of_one_call_are_both_told() -> None:
    with guard("full"):
        assert told(lambda: check("cross_entropy", probs(), torch.ones(2, 3))) == ["LH101", "LH204"]


def test_an_error_filter_makes_it_an_exception_each_time() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", LikelihoodWarning)
        for _ in range(2):
            with pytest.raises(LikelihoodWarning, match="LH101"):
                check_call("cross_entropy", probs(), INDEX, default_action="warn")


def test_filters_by_message_and_module_apply() -> None:
    for options in ({"message": ".*output of a softmax"}, {"module": __name__}):
        with guard(), warnings.catch_warnings():
            warnings.simplefilter("error")
            warnings.filterwarnings("ignore", category=LikelihoodWarning, **options)  # type: ignore[arg-type]
            check("cross_entropy", probs(), INDEX)


def test_many_threads_make_one_warning() -> None:
    barrier, seen = threading.Barrier(8, timeout=60), []

    def call() -> None:
        barrier.wait()
        check_call("cross_entropy", probs(), INDEX, default_action="warn")

    original = warnings.warn_explicit
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(warnings, "warn_explicit", lambda *args, **kwargs: seen.append(args[0]))
        threads = [threading.Thread(target=call) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert warnings.warn_explicit is original
    assert len(seen) == 1


# -- where it must keep out of the way ----------------------------------------------------------------


def guarded(input: Tensor, target: Tensor) -> Tensor:
    check_call("cross_entropy", input, target, default_action="raise", num_classes=3, ignore_index=-100)
    return F.cross_entropy(input, target)


def guarded_softmax(x: Tensor, target: Tensor) -> Tensor:
    return guarded(x.softmax(1), target)


@pytest.mark.parametrize("level", ["cheap", "full"])
def test_a_whole_graph_compiles_around_it(level: str) -> None:
    torch._dynamo.reset()
    with guard(level, action="raise"):  # type: ignore[arg-type]
        compiled = torch.compile(guarded_softmax, fullgraph=True, backend="aot_eager")
        x = torch.randn(2, 3, requires_grad=True)
        loss = compiled(x, INDEX)
        loss.backward()
    assert torch.equal(loss, F.cross_entropy(x.softmax(1), INDEX))
    assert x.grad is not None


def test_a_block_inside_a_compiled_function() -> None:
    def function(x: Tensor) -> Tensor:
        with guard("full", action="raise"):
            return guarded_softmax(x, INDEX)

    torch._dynamo.reset()
    x = torch.randn(2, 3)
    compiled = torch.compile(function, fullgraph=True, backend="aot_eager")
    assert torch.equal(compiled(x), F.cross_entropy(x.softmax(1), INDEX))


@pytest.mark.parametrize("strict", [False, True])
def test_export_passes_through(strict: bool) -> None:
    class Model(nn.Module):
        def forward(self, x: Tensor, target: Tensor) -> Tensor:
            return guarded_softmax(x, target)

    x = torch.randn(2, 3)
    with guard("full", action="raise"):
        program = torch.export.export(Model(), (x, INDEX), strict=strict)
    assert torch.allclose(program.module()(x, INDEX), F.cross_entropy(x.softmax(1), INDEX))


def test_function_transforms_pass_through() -> None:
    x, targets = torch.randn(4, 2, 3), INDEX.expand(4, 2)
    with guard("full", action="raise"):
        batched = torch.func.vmap(guarded_softmax)(x, targets)
        gradient = torch.func.grad(guarded_softmax)(x[0], INDEX)
        _, tangent = torch.func.jvp(lambda z: guarded_softmax(z, INDEX), (x[0],), (x[0],))
        hessian = torch.func.hessian(guarded_softmax)(x[0], INDEX)
    assert batched.shape == (4,)
    assert gradient.shape == (2, 3)
    assert tangent.shape == ()
    assert hessian.shape == (2, 3, 2, 3)


class Wrapped(torch.Tensor):
    """A subclass that would see each operation of the guard."""

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        raise AssertionError(f"the guard called {func}")


def test_tensors_that_are_not_ordinary_are_left_alone() -> None:
    with guard("full", action="raise"):
        check("cross_entropy", probs().as_subclass(Wrapped), INDEX)
        check("cross_entropy", probs(), INDEX.as_subclass(Wrapped))
        check(
            "cross_entropy", torch.empty(2, 3, device="meta", requires_grad=True).softmax(1), INDEX.to("meta")
        )
        with FakeTensorMode():
            check("cross_entropy", torch.randn(2, 3, requires_grad=True).softmax(1), torch.tensor([0, 9]))
        check("mse", torch.eye(3).to_sparse(), torch.eye(3))
        check("cross_entropy", object(), INDEX)  # type: ignore[arg-type]  # an fx proxy, say


@pytest.mark.parametrize("mode", ["real", "fake", "symbolic"])
def test_traced_operations_are_those_of_the_loss_alone(mode: str) -> None:
    def plain(x: Tensor, target: Tensor) -> Tensor:
        return F.cross_entropy(x.softmax(1), target)

    x = torch.randn(2, 3)
    with guard("full", action="raise"):
        ours = make_fx(guarded_softmax, tracing_mode=mode)(x, INDEX)
    assert ours.code == make_fx(plain, tracing_mode=mode)(x, INDEX).code


def test_a_traced_script_sees_nothing_of_it() -> None:
    with guard("full"), warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        traced = torch.jit.trace(guarded, (torch.randn(2, 3), INDEX))
    assert "aten::isfinite" not in str(traced.graph)


class Operations(TorchDispatchMode):
    """Counts the tensor operations below it."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.names.append(str(func))
        return func(*args, **(kwargs or {}))


def test_cheap_runs_no_tensor_operation() -> None:
    cases = [
        ("nll", logits()),
        ("cross_entropy", logits()),
        ("nll", logits(3, 3, 3).log_softmax(1).flatten(1)),
    ]
    wrong = probs()
    with Operations() as operations:
        for loss, input in cases:
            check(loss, input, INDEX, ignore_index=-100, weight=INDEX)
        assert told(lambda: check("cross_entropy", wrong, INDEX)) == ["LH101"]
    assert operations.names == []


def test_the_arguments_are_not_changed() -> None:
    input, target = logits(), INDEX.clone()
    before = copy.deepcopy(input.detach()), target.clone(), input._version
    with guard("full"):
        check("cross_entropy", input, target)
    assert torch.equal(input, before[0])
    assert torch.equal(target, before[1])
    assert input._version == before[2]
    input.sum().backward()


def test_empty_and_scalar_tensors_pass_through() -> None:
    with guard("full", action="raise"):
        for loss in get_args(LossName):
            for shape in ((), (0,), (0, 3), (3, 0), (2, 0, 3)):
                check(loss, torch.zeros(shape), torch.zeros(shape))
                check(loss, torch.zeros(shape), torch.zeros(shape).long(), ignore_index=0)
                check(loss, torch.zeros(shape), torch.zeros(()).long(), ignore_index=0)
                check(loss, torch.zeros(shape), None)


def test_inference_mode_and_detached_inputs_are_silent_at_cheap() -> None:
    with torch.inference_mode():
        assert told(lambda: check("cross_entropy", torch.randn(2, 3).softmax(1), INDEX)) == []
        with guard("full"):
            assert told(lambda: check("cross_entropy", torch.randn(2, 3).softmax(1), INDEX)) == ["LH101"]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cheap_never_waits_for_the_device() -> None:
    input, target = logits().cuda(), INDEX.cuda()
    wrong = input.softmax(1)
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        check("cross_entropy", input, target, ignore_index=-100)
        assert told(lambda: check("cross_entropy", wrong, target)) == ["LH101"]
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_full_leaves_the_data_alone_while_a_graph_is_captured() -> None:
    input, target = torch.randn(2, 3, device="cuda"), INDEX.cuda()
    graph = torch.cuda.CUDAGraph()
    with guard("full", action="raise"), torch.cuda.graph(graph):
        check("cross_entropy", input, target)
        loss = input.logsumexp(1)
    graph.replay()
    assert loss.shape == (2,)
