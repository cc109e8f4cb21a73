"""What cannot be served, on every backend: an error that says what there is, what is expected, what helps."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from likelihead import functional as F
from likelihead.errors import BackendError, OptionError, ShapeError
from likelihead.kernels import dispatch
from likelihead.kernels.dispatch import use_backend
from likelihead.likelihoods import Categorical

pytestmark = pytest.mark.usefixtures("backend")

X, Y, P, W = torch.randn(4, 3), torch.tensor([0, 1, 2, 0]), torch.rand(4, 3), torch.ones(3)
WHERE = torch.ones(4, 3, dtype=torch.bool)


def _ce(**changed: Any) -> Tensor:
    return F.cross_entropy(**{"input": X, "target": Y, **changed})


def _known(call: Callable[[], Tensor]) -> None:
    """Call, and wait until a GPU has said what it found."""
    call()
    dispatch.synchronize()


def _bce(**changed: Any) -> Tensor:
    return F.binary_cross_entropy_with_logits(**{"input": X, "target": P, **changed})


def _focal(**changed: Any) -> Tensor:
    return F.focal_loss(**{"input": X, "target": Y, "gamma": 2.0, **changed})


def _binary_focal(**changed: Any) -> Tensor:
    return F.binary_focal_loss(**{"input": X, "target": P.round(), "gamma": 2.0, **changed})


def _multilabel(**changed: Any) -> Tensor:
    return F.multilabel_soft_margin_loss(**{"input": X, "target": P.round(), **changed})


def _language(**changed: Any) -> Tensor:
    return F.language_model_loss(**{"logits": X[None], "targets": Y[None], "shift": False, **changed})


ELSEWHERE: list[tuple[Callable[..., Tensor], str, Tensor]] = [
    (_ce, "target", Y), (_ce, "weight", W), (_ce, "logit_offset", W), (_ce, "where", WHERE),
    (_ce, "sample_weight", torch.ones(4)), (_ce, "normalizer", torch.tensor(2.0)),
    (_bce, "target", P), (_bce, "weight", W), (_bce, "pos_weight", W), (_bce, "prior", W / 2),
    (_bce, "sample_weight", torch.ones(4)), (_bce, "normalizer", torch.tensor(2.0)),
    (_focal, "target", Y), (_focal, "weight", W), (_focal, "logit_offset", W), (_focal, "where", WHERE),
    (_focal, "sample_weight", torch.ones(4)), (_binary_focal, "target", P), (_binary_focal, "mask", WHERE),
    (_binary_focal, "sample_weight", torch.ones(4)),
]  # fmt: skip


@pytest.mark.parametrize(("loss", "name", "value"), ELSEWHERE)
@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_two_devices(loss: Callable[..., Tensor], name: str, value: Tensor, reduction: str) -> None:
    options: dict[str, Any] = {"reduction": reduction, name: value.to("meta")}
    if name == "normalizer":
        options["reduction"] = "mean"
    if name == "prior":
        options["label_smoothing"] = 0.1
    first = "logits" if name == "prior" else "input"
    with pytest.raises(RuntimeError, match=f": {first} is on cpu and {name} on meta; give {name} values"):
        loss(**options)


@pytest.mark.parametrize(
    ("call", "kind", "words"),
    [
        (lambda: _ce(weight=torch.ones(2)), RuntimeError, r"all 3 classes.*shape: \[2\]"),
        (lambda: _ce(weight=torch.ones(4)), RuntimeError, r"all 3 classes.*shape: \[4\]"),
        (lambda: _ce(logit_offset=torch.ones(4)), ShapeError, r"logit_offset has shape \[4\].*\[3\]"),
        (lambda: _ce(sample_weight=torch.ones(3)), ShapeError, r"\[3\]"),
        (lambda: _ce(where=WHERE[:, :2]), ShapeError, r"where has shape \[4, 2\] and the logits \[4, 3\]"),
        (lambda: _bce(weight=torch.ones(2)), RuntimeError, r"\[2\] does not spread .* \[4, 3\]"),
        (lambda: _bce(pos_weight=torch.ones(2)), RuntimeError, r"pos_weight is \[2\] and the input \[4, 3\]"),
        (lambda: _bce(sample_weight=torch.ones(3)), ShapeError, r"\[3\]"),
        (lambda: _ce(target=Y[:3]), ValueError, r"input is \[4, 3\] and the target \[3\]"),
        (lambda: Categorical(3)(X[:, :2], Y), ShapeError, r"\[4, 2\]; expected \[N, 3\]"),
    ],
)
def test_a_length_that_does_not_fit(call: Callable[[], Tensor], kind: type[Exception], words: str) -> None:
    with pytest.raises(kind, match=words):
        call()


@pytest.mark.parametrize("loss", [_ce, _bce])
@pytest.mark.parametrize("reduction", ["mean", "none"])
@pytest.mark.parametrize("convert", [Tensor.to_sparse, Tensor.to_sparse_csr, Tensor.to_mkldnn])
def test_logits_that_are_not_dense(
    loss: Callable[..., Tensor], convert: Callable[[Tensor], Tensor], reduction: str, backend: str
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch says once that CSR is a beta
        logits = convert(X)
    with pytest.raises(BackendError, match=r"takes dense tensors only; pass logits.to_dense\(\)"):
        loss(input=logits, reduction=reduction)
    with use_backend("auto"), pytest.raises(BackendError, match=r"no backend serves .*logits.to_dense\(\)"):
        loss(input=logits, reduction=reduction)


@pytest.mark.parametrize(
    ("loss", "name", "value"), [(_ce, "weight", W), (_bce, "target", P), (_bce, "weight", P)]
)
@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_other_arguments_that_are_not_dense(
    loss: Callable[..., Tensor], name: str, value: Tensor, reduction: str
) -> None:
    words = rf"{name} is a tensor of layout sparse_coo; expected a dense one: {name}.to_dense\(\)"
    with pytest.raises(BackendError, match=words):
        loss(**{name: value.to_sparse()}, reduction=reduction)


NESTED: list[tuple[Callable[..., Tensor], str, Tensor]] = [
    (_ce, "input", X), (_ce, "target", Y), (_ce, "target", P), (_ce, "weight", W), (_ce, "logit_offset", W),
    (_ce, "where", WHERE), (_ce, "sample_weight", torch.ones(4)), (_bce, "input", X), (_bce, "target", P),
    (_bce, "weight", W), (_bce, "pos_weight", W), (_bce, "sample_weight", torch.ones(4)),
    (_focal, "input", X), (_focal, "target", Y), (_focal, "weight", W), (_multilabel, "input", X),
    (_multilabel, "target", P.round()), (_language, "logits", X[None]), (_language, "targets", Y[None]),
]  # fmt: skip


JAGGED = [case for case in NESTED if case[2].dim() > 1]  # which have two dimensions at least


@pytest.mark.parametrize(
    ("loss", "name", "value", "layout"),
    [(*case, torch.strided) for case in NESTED] + [(*case, torch.jagged) for case in JAGGED],
)
def test_nested_tensors(loss: Callable[..., Tensor], name: str, value: Tensor, layout: torch.layout) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch says once that they are a prototype
        nested = torch.nested.nested_tensor(
            [value[0], value[0][:1]] if value.dim() > 1 else list(value), layout=layout
        )
        with pytest.raises(ShapeError) as raised:
            loss(**{name: nested})
    expected = f"{name} is a nested tensor; expected dense ones: torch.cat({name}.unbind()) has the rows of"
    assert str(raised.value).startswith(expected)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("convert", [Tensor.to_sparse, Tensor.to_mkldnn])
def test_multilabel_targets_that_are_not_dense(convert: Callable[[Tensor], Tensor]) -> None:
    with pytest.raises(BackendError, match=r"target is a tensor of layout .*; expected a dense one"):
        _multilabel(target=convert(P.round()))


@pytest.mark.parametrize(
    "dtype", [torch.float8_e4m3fn, torch.float8_e5m2, torch.int64, torch.bool, torch.complex64]
)
@pytest.mark.parametrize("loss", [_ce, _bce])
def test_logits_of_a_dtype_that_none_takes(loss: Callable[..., Tensor], dtype: torch.dtype) -> None:
    with pytest.raises(RuntimeError, match=r"(?i)not implemented|does not take torch.float8|float8 types"):
        loss(input=X.to(dtype))


@pytest.mark.parametrize("dtype", [torch.bool, torch.uint16, torch.uint64, torch.float32, torch.complex64])
def test_targets_of_a_dtype_that_is_no_index(dtype: torch.dtype) -> None:
    with pytest.raises(RuntimeError, match=r"(?s)expected (target dtype|scalar type).*LH202"):
        _ce(target=Y.to(dtype))


def test_no_examples() -> None:
    x = torch.randn(0, 3, requires_grad=True)
    assert _ce(input=x, target=Y[:0]).isnan()
    assert _bce(input=x, target=P[:0]).isnan()
    assert _ce(input=x, target=Y[:0], reduction="none").shape == (0,)
    total = _ce(input=x, target=Y[:0], reduction="sum") + _bce(input=x, target=P[:0], reduction="sum")
    assert total.item() == 0
    assert torch.autograd.grad(total, x)[0].shape == (0, 3)


@pytest.mark.filterwarnings("ignore:.*the loss is always 0")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_one_class_is_certain_and_no_class_is_torchs_answer(dtype: torch.dtype) -> None:
    x = torch.randn(4, 1).to(dtype).requires_grad_()
    loss = _ce(input=x, target=Y * 0)
    assert loss.item() == 0
    assert not torch.autograd.grad(loss, x)[0].any()
    with pytest.raises(IndexError, match="Target 1 is out of bounds"):
        _known(lambda: _ce(input=x, target=Y))
    empty = torch.randn(4, 0)
    with pytest.raises(IndexError, match="Target 0 is out of bounds"):
        _ce(input=empty)
    assert _ce(input=empty, target=Y * 0 - 100).isnan()
    with pytest.raises(OptionError, match="num_classes is 0; expected at least 2"):
        Categorical(0)


@pytest.mark.parametrize("outside", [3, -1, 2**40])
def test_a_class_index_out_of_range(outside: int) -> None:
    target = Y.clone()
    target[2] = outside
    for reduction in ("mean", "none"):
        with pytest.raises(IndexError, match=rf"(?s)Target {outside} is out.*target\[2\] is {outside}"):
            _known(lambda r=reduction: _ce(target=target, reduction=r))
    # The process goes on, and the next call is right.
    assert math.isclose(_ce(), torch.nn.functional.cross_entropy(X, Y), rel_tol=1e-5)


def test_a_backend_that_is_not_here_and_one_that_does_not_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    from likelihead.kernels.triton import library

    monkeypatch.setattr(library, "_absent", "torch finds no CUDA or HIP device")
    with pytest.raises(BackendError, match="'triton' is not available: torch finds no CUDA or HIP device"):
        use_backend("triton")
    with pytest.raises(OptionError, match=r"'cuda'; expected 'auto' or one of .*'triton'"):
        use_backend("cuda")
