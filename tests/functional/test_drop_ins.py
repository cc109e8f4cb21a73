"""What the drop-ins add to torch, what they explain, and torch's defects that they must not have."""

from __future__ import annotations

import math
import threading
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import likelihead.nn as lnn
from likelihead import functional as LF
from likelihead.errors import LikelihoodWarning, OptionError, ShapeError
from oracles.exact import categorical_nll

Call = Callable[..., Tensor]


def _calls() -> dict[str, tuple[Call, tuple[Tensor, ...]]]:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(6, 5, generator=generator)
    t = torch.rand(6, 5, generator=generator)
    index = torch.randint(5, (6,), generator=generator)
    return {
        "cross_entropy": (LF.cross_entropy, (x, index)),
        "nll_loss": (LF.nll_loss, (x.log_softmax(1), index)),
        "binary_cross_entropy": (LF.binary_cross_entropy, (x.sigmoid(), t)),
        "binary_cross_entropy_with_logits": (LF.binary_cross_entropy_with_logits, (x, t)),
        "multilabel_soft_margin_loss": (LF.multilabel_soft_margin_loss, (x, t.round())),
        "mse_loss": (LF.mse_loss, (x, t)),
        "gaussian_nll_loss": (LF.gaussian_nll_loss, (x, t, t + 0.5)),
    }


EACH = pytest.mark.parametrize("name", list(_calls()))
FULLGRAPH = {"fullgraph": True, "backend": "aot_eager"}


@EACH
def test_normalizer_replaces_the_count(name: str) -> None:
    function, args = _calls()[name]
    total = function(*args, reduction="sum")
    torch.testing.assert_close(function(*args, normalizer=8), total / 8)
    torch.testing.assert_close(function(*args, normalizer=torch.tensor(8.0)), total / 8)
    with pytest.raises(OptionError, match="normalizer"):
        function(*args, reduction="sum", normalizer=8)


@EACH
def test_float16_and_bfloat16_means_are_summed_in_float32(name: str) -> None:
    function, args = _calls()[name]
    many = tuple(a.repeat(12_000, *[1] * (a.dim() - 1)) for a in args)
    for dtype in (torch.float16, torch.bfloat16):
        rounded = tuple(a.to(dtype) if a.is_floating_point() else a for a in many)
        exact = function(*(a.double() if a.is_floating_point() else a for a in rounded))
        got = function(*rounded)
        assert got.dtype == dtype
        assert abs(got.double() / exact - 1) <= torch.finfo(dtype).eps


@EACH
def test_under_the_compiler_and_transforms(name: str) -> None:
    function, args = _calls()[name]
    logits = args[0]

    def loss(x: Tensor) -> Tensor:
        return function(x, *args[1:])

    torch._dynamo.reset()
    x = logits.clone().requires_grad_()
    value = torch.compile(loss, **FULLGRAPH)(x)
    (gradient,) = torch.autograd.grad(value, x)
    torch.testing.assert_close(value, loss(logits))
    torch.testing.assert_close(gradient, torch.func.grad(loss)(logits))
    tangent = torch.ones_like(logits)
    _, slope = torch.func.jvp(loss, (logits,), (tangent,))
    torch.testing.assert_close(slope, gradient.sum())
    stacked = tuple(torch.stack([a, a.flip(0)]) for a in args)
    batched = torch.vmap(function)(*stacked)
    torch.testing.assert_close(batched, torch.stack([function(*args), function(*(a.flip(0) for a in args))]))


@EACH
def test_a_backward_again_and_a_threaded_call_give_the_same_bits(name: str) -> None:
    function, args = _calls()[name]
    x = args[0].clone().requires_grad_()
    value = function(x, *args[1:])
    first = torch.autograd.grad(value, x, retain_graph=True)[0]
    assert torch.equal(first, torch.autograd.grad(value, x)[0])
    seen: list[Tensor] = []

    def work() -> None:
        y = args[0].clone().requires_grad_()
        seen.append(torch.autograd.grad(function(y, *args[1:]), y)[0])

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(seen) == 4
    assert all(torch.equal(first, gradient) for gradient in seen)


def test_cross_entropys_own_options() -> None:
    x = torch.randn(4, 5, dtype=torch.float64, requires_grad=True)
    target = torch.tensor([0, 2, -100, 4])
    offset = torch.linspace(-1, 1, 5, dtype=torch.float64)
    options: dict[str, Any] = {"z_loss": 0.01, "softcap": 3.0, "label_smoothing": 0.1}
    rows = [
        categorical_nll(row, int(k), logit_offset=offset.tolist(), **options)
        for row, k in zip(x.tolist(), target, strict=True)
        if k >= 0
    ]
    expected = float(sum(r[0] for r in rows)) / 3
    got = LF.cross_entropy(x, target, logit_offset=offset, **options)
    assert got.item() == pytest.approx(expected, rel=1e-13)
    module = lnn.CrossEntropyLoss(logit_offset=offset, **options)
    assert torch.equal(module(x, target), got)
    assert list(module.state_dict()) == []


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"z_loss": -1.0}, "z_loss"),
        ({"z_loss": math.nan}, "z_loss"),
        ({"softcap": 0.0}, "softcap"),
        ({"logit_offset": torch.zeros(4)}, "logit_offset"),
    ],
)
def test_wrong_options_are_named(options: dict[str, Any], named: str) -> None:
    with pytest.raises((OptionError, ShapeError), match=named):
        LF.cross_entropy(torch.zeros(2, 3), torch.tensor([0, 1]), **options)


def test_an_option_is_never_ignored_where_torch_alone_can_answer() -> None:
    empty, target = torch.zeros(0, 0), torch.zeros(0, 0)
    with pytest.raises(OptionError, match="z_loss"):
        LF.cross_entropy(empty, target, z_loss=0.1)


@pytest.mark.parametrize("function", [LF.cross_entropy, LF.nll_loss])
def test_an_index_out_of_range_is_an_index_error_with_its_position(function: Call) -> None:
    log_probs = torch.randn(2, 3, 4).log_softmax(1)
    target = torch.zeros(2, 4, dtype=torch.long)
    target[1, 2] = 3
    with pytest.raises(IndexError) as caught:
        function(log_probs, target)
    assert type(caught.value) is IndexError
    message = str(caught.value)
    assert message.startswith("Target 3 is out of bounds.")
    assert "target[1, 2] is 3" in message
    assert "LH203" in message


@pytest.mark.parametrize(
    ("function", "torchs", "args", "code"),
    [
        (LF.cross_entropy, F.cross_entropy, (torch.zeros(2, 7, 5), torch.zeros(2, 7).long()), "LH301"),
        (LF.cross_entropy, F.cross_entropy, (torch.zeros(4, 5), torch.zeros(4)), "LH202"),
        (
            LF.binary_cross_entropy_with_logits,
            F.binary_cross_entropy_with_logits,
            (torch.zeros(4, 1), torch.zeros(4)),
            "LH302",
        ),
    ],
)
def test_torchs_refusals_keep_their_type_and_gain_an_explanation(
    function: Call, torchs: Call, args: tuple[Tensor, ...], code: str
) -> None:
    with pytest.raises(Exception) as theirs:  # noqa: PT011  (whichever type torch raises)
        torchs(*args)
    with pytest.raises(type(theirs.value)) as ours:
        function(*args)
    assert type(ours.value) is type(theirs.value)
    assert str(ours.value).startswith(str(theirs.value))
    assert code in str(ours.value)


def test_provenance_warns_in_every_drop_in() -> None:
    x = torch.randn(4, 3, requires_grad=True)
    index, hot = torch.tensor([0, 1, 2, 0]), torch.rand(4, 3).round()
    wrong = {
        "LH101": lambda: LF.cross_entropy(x.softmax(1), index),
        "LH104": lambda: LF.nll_loss(x.softmax(1), index),
        "LH109": lambda: LF.binary_cross_entropy(x.sigmoid(), hot),
        "LH106": lambda: LF.binary_cross_entropy_with_logits(x.sigmoid(), hot),
        "LH107": lambda: LF.multilabel_soft_margin_loss(x.softmax(1), hot),
        "LH302": lambda: LF.mse_loss(x[:, :1], x[:, 0].detach()),
    }
    for code, call in wrong.items():
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            call()
        assert code in [w.message.code for w in caught if isinstance(w.message, LikelihoodWarning)]


def test_channels_last_nll_has_a_gradient() -> None:
    x = torch.randn(2, 5, 3, 4).to(memory_format=torch.channels_last).requires_grad_()
    target = torch.randint(5, (2, 3, 4))
    LF.nll_loss(x, target).backward()
    assert x.grad is not None
    assert x.grad.sum().item() == pytest.approx(-1.0)


@pytest.mark.parametrize("dtype", [torch.int32, torch.int16, torch.int8])
def test_index_dtypes_that_torch_refuses(dtype: torch.dtype) -> None:
    x, target = torch.randn(4, 3), torch.tensor([0, 1, 2, 1])
    assert torch.equal(LF.cross_entropy(x, target.to(dtype)), LF.cross_entropy(x, target))
    assert torch.equal(LF.nll_loss(x.log_softmax(1), target.to(dtype)), LF.nll_loss(x.log_softmax(1), target))


def test_more_than_2_to_the_31_elements_on_meta() -> None:
    x = torch.empty(70_000, 32_000, device="meta", dtype=torch.bfloat16, requires_grad=True)
    loss = LF.cross_entropy(x, torch.empty(70_000, device="meta", dtype=torch.long))
    loss.backward()
    assert x.grad is not None
    assert x.grad.shape == x.shape


def test_deterministic_mode_never_raises() -> None:
    torch.use_deterministic_algorithms(True)
    try:
        for function, args in _calls().values():
            x = args[0].clone().requires_grad_()
            function(x, *args[1:]).backward()
            assert x.grad is not None
    finally:
        torch.use_deterministic_algorithms(False)


def test_negative_variance_is_refused() -> None:
    with pytest.raises(ValueError, match="negative"):
        LF.gaussian_nll_loss(torch.zeros(2), torch.zeros(2), torch.tensor([1.0, -1.0]))
    with pytest.raises(ValueError, match="negative"):
        LF.gaussian_nll_loss(torch.zeros(0), torch.zeros(0), -1.0)


def test_truth_values_as_multilabel_target_are_refused_as_torch_does() -> None:
    with pytest.raises(RuntimeError, match=r"(?s)Subtraction.*target\.to\(input\.dtype\)"):
        LF.multilabel_soft_margin_loss(torch.zeros(1, 2), torch.ones(1, 2, dtype=torch.bool))


def test_torchs_nan_is_kept() -> None:
    """0 times infinity, for a class that is masked and has no share; and an ignored row that holds a NaN."""
    x = torch.tensor([[0.0, -math.inf], [math.nan, 0.0]], requires_grad=True)
    shares, index = torch.tensor([[1.0, 0.0], [0.5, 0.5]]), torch.tensor([0, -100])
    assert LF.cross_entropy(x, shares, reduction="none").isnan().all()
    assert F.cross_entropy(x, shares, reduction="none").isnan().all()
    for function in (LF.cross_entropy, F.cross_entropy):
        (gradient,) = torch.autograd.grad(function(x, index), x)
        assert torch.equal(gradient.isnan(), torch.tensor([[False, False], [True, True]]))


def test_every_reduction_none_agrees_with_torch_on_ignored_and_masked_rows() -> None:
    x = torch.randn(5, 4)
    x[:, 3] = -math.inf
    target = torch.tensor([0, 1, -100, 2, 3])
    torch.testing.assert_close(
        LF.cross_entropy(x, target, reduction="none"), F.cross_entropy(x, target, reduction="none")
    )


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_the_second_derivative_of_a_picked_entry_is_zero_as_in_torch(reduction: str) -> None:
    """A gradient penalty differentiates the gradient, which does not depend on the input at all."""
    target = torch.tensor([0, 2, 1, -100])
    for entry in (-1.5, -math.inf):
        x = torch.full((4, 3), entry, requires_grad=True)
        for function in (LF.nll_loss, F.nll_loss):
            loss = function(x, target, reduction=reduction).sum()
            (gradient,) = torch.autograd.grad(loss, x, create_graph=True)
            assert gradient.sum() == (-3 if reduction != "mean" else -1)
            (second,) = torch.autograd.grad(gradient.square().sum(), x)
            assert torch.equal(second, torch.zeros(4, 3))
