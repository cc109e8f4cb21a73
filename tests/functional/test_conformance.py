"""Every drop-in against the sample inputs that the installed torch ships for its own losses."""

from __future__ import annotations

import copy
import inspect
import itertools
import pickle
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

import likelihead.functional
import likelihead.nn
from functional.compare import TOLERANCE, check_call

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # torch's test modules import what torch deprecates
    from torch.testing._internal.common_methods_invocations import op_db
    from torch.testing._internal.common_modules import module_db

# These have no counterpart in torch.
OWN = {"language_model_loss", "focal_loss", "binary_focal_loss"}
OWN |= {"dice_loss", "jaccard_loss", "tversky_loss", "focal_tversky_loss", "lovasz_loss"}
OWN |= {"TokenLogProbs", "linear_log_probs", "linear_kl", "linear_kl_topk", "linear_predict"}
OWN_MODULES = {"FocalLoss", "BinaryFocalLoss", "OverlapLoss", "DiceLoss", "JaccardLoss", "TverskyLoss"}
OWN_MODULES |= {"FocalTverskyLoss", "LovaszLoss"}
if not hasattr(F, "linear_cross_entropy"):  # which torch has from 2.13 on
    OWN |= {"linear_cross_entropy"}
    OWN_MODULES |= {"LinearCrossEntropyLoss"}
FUNCTIONS = [name for name in likelihead.functional.__all__ if name not in OWN]
MODULES = [name for name in likelihead.nn.__all__ if name not in OWN_MODULES]
OPS = [op for op in op_db if op.name.removeprefix("nn.functional.") in FUNCTIONS and not op.variant_test_name]
CLASSES = [info for info in module_db if info.module_cls.__name__ in MODULES]

pytestmark = pytest.mark.filterwarnings(
    "ignore:Using a target size:UserWarning", "ignore::likelihead.errors.LikelihoodWarning"
)


def _pair(op: Any) -> tuple[Callable[..., Tensor], Callable[..., Tensor]]:
    name = op.name.removeprefix("nn.functional.")
    return getattr(likelihead.functional, name), getattr(F, name)


Sample = tuple[tuple[Any, ...], dict[str, Any]]


def _samples(op: Any, dtype: torch.dtype, requires_grad: bool) -> Iterator[Sample]:
    """torch's samples and their non-contiguous twins, and the combinations that torch has none of."""
    for sample in op.sample_inputs("cpu", dtype, requires_grad=requires_grad):
        for one in (sample, sample.noncontiguous()):
            yield (one.input, *one.args), one.kwargs
    if op.name == "nn.functional.cross_entropy":
        generator = torch.Generator().manual_seed(0)
        x = torch.randn(5, 4, 3, generator=generator).to(dtype).requires_grad_(requires_grad)
        index = torch.randint(4, (5, 3), generator=generator)
        index[1, 2] = index[3, 0] = -100
        soft = torch.rand(5, 4, 3, generator=generator).softmax(1).to(dtype)
        weight = torch.rand(4, generator=generator).to(dtype)
        reductions = ("none", "sum", "mean")
        for target, w, reduction in itertools.product((index, soft), (None, weight), reductions):
            yield (x, target), {"weight": w, "reduction": reduction, "label_smoothing": 0.2}


def test_torch_has_data_for_all_of_them() -> None:
    assert not any(hasattr(F, name) for name in OWN)
    assert not any(hasattr(torch.nn, name) for name in OWN_MODULES)
    assert set(likelihead.functional.__all__) >= OWN
    assert set(likelihead.nn.__all__) >= OWN_MODULES
    assert {op.name.removeprefix("nn.functional.") for op in OPS} == set(FUNCTIONS)
    assert {info.module_cls.__name__ for info in CLASSES} == set(MODULES)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_signature_is_torchs_plus_keywords(name: str) -> None:
    ours = list(inspect.signature(getattr(likelihead.functional, name)).parameters.values())
    torchs = list(inspect.signature(getattr(F, name)).parameters.values())
    shared = ours[: len(torchs)]
    assert [(p.name, p.default, p.kind) for p in shared] == [(p.name, p.default, p.kind) for p in torchs]
    assert all(p.kind is p.KEYWORD_ONLY for p in ours[len(torchs) :])


@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@pytest.mark.parametrize("op", OPS, ids=lambda op: op.name)
def test_values_and_gradients(op: Any, dtype: torch.dtype) -> None:
    if dtype not in op.dtypes:
        pytest.skip("torch has no samples of this dtype")
    ours, torchs = _pair(op)
    differentiable = dtype in op.supported_backward_dtypes("cpu")
    for args, kwargs in _samples(op, dtype, differentiable):
        check_call(ours, torchs, args, kwargs)


@pytest.mark.parametrize("op", OPS, ids=lambda op: op.name)
def test_derivatives(op: Any) -> None:
    ours, _ = _pair(op)
    for sample in op.sample_inputs("cpu", torch.float64, requires_grad=True):

        def loss(input: Tensor, sample: Any = sample) -> Tensor:
            return ours(input, *sample.args, **sample.kwargs)

        fast = {"fast_mode": True, "nondet_tol": op.gradcheck_nondet_tol}
        assert gradcheck(loss, (sample.input,), check_forward_ad=True, check_batched_grad=True, **fast)
        assert gradgradcheck(loss, (sample.input,), gen_non_contig_grad_outputs=True, **fast)


@pytest.mark.parametrize("op", [op for op in OPS if op.error_inputs_func], ids=lambda op: op.name)
def test_errors(op: Any) -> None:
    ours, _ = _pair(op)
    for case in op.error_inputs("cpu"):
        sample = case.sample_input
        with pytest.raises(case.error_type, match=case.error_regex):
            ours(sample.input, *sample.args, **sample.kwargs)


# Of what torch's own function serves without its chunks.
@pytest.mark.filterwarnings("ignore:linear_cross_entropy. ``options`` ignored:UserWarning")
@pytest.mark.parametrize("info", CLASSES, ids=lambda info: info.module_cls.__name__)
def test_modules(info: Any) -> None:
    torchs, ours = info.module_cls, getattr(likelihead.nn, info.module_cls.__name__)
    assert issubclass(ours, torchs)
    for dtype in (torch.float32, torch.float64):
        inputs = info.module_inputs_func(info, device="cpu", dtype=dtype, requires_grad=True, training=True)
        for case in inputs[:: 1 + len(inputs) // 100]:  # torch has 862 of a linear head
            made = case.constructor_input
            theirs, mine = torchs(*made.args, **made.kwargs), ours(*made.args, **made.kwargs)
            assert list(mine.state_dict()) == list(theirs.state_dict())
            mine.load_state_dict(theirs.state_dict())
            called = case.forward_input
            wide = copy.deepcopy(theirs).double()

            def reference(*args: Any, theirs: Any = theirs, wide: Any = wide, **kwargs: Any) -> Tensor:
                result: Tensor = (wide if args[0].dtype == torch.float64 else theirs)(*args, **kwargs)
                return result

            check_call(mine, reference, called.args, called.kwargs)
            for twin in (copy.deepcopy(mine), pickle.loads(pickle.dumps(mine))):
                again, first = twin(*called.args, **called.kwargs), mine(*called.args, **called.kwargs)
                torch.testing.assert_close(again, first, rtol=0, atol=0, equal_nan=True)


def _mean_over_rows(input: Tensor, target: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    if kwargs.get("reduction", "mean") != "mean":
        return F.cross_entropy(input, target, *args, **kwargs)
    return F.cross_entropy(input, target, *args, **{**kwargs, "reduction": "none"}).mean()


class _ScaledGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, value: Tensor) -> Tensor:
        return value.clone()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return grad * (1 + 5e-5)


def _gradient_slightly_off(*args: Any, **kwargs: Any) -> Tensor:
    return _ScaledGradient.apply(F.cross_entropy(*args, **kwargs))


def _smoothing_ignored(*args: Any, label_smoothing: float = 0.0, **kwargs: Any) -> Tensor:
    return F.cross_entropy(*args, **kwargs)


def _float64_for_all(*args: Any, **kwargs: Any) -> Tensor:
    return F.cross_entropy(*args, **kwargs).double()


@pytest.mark.parametrize(
    "wrong", [_mean_over_rows, _gradient_slightly_off, _smoothing_ignored, _float64_for_all]
)
def test_planted_wrong_functions_are_found_out(wrong: Callable[..., Tensor]) -> None:
    (op,) = (op for op in OPS if op.name == "nn.functional.cross_entropy")

    def check_all() -> None:
        for args, kwargs in _samples(op, torch.float32, True):
            check_call(wrong, F.cross_entropy, args, kwargs)

    with pytest.raises(AssertionError):
        check_all()
