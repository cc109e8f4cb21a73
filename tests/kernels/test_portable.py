"""What is special to the portable backend: blocks, memory, what it leaves to the reference, other devices."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from kernel_cases import EXAMPLES, WITH_FIXTURES, before_the_cap, compare, sigmoid_cases, softmax_cases
from likelihead.bench import memory
from likelihead.bench.case import EAGER, IN_PLACE, OURS
from likelihead.kernels import dispatch
from likelihead.kernels.dispatch import explain, use_backend
from likelihead.kernels.portable import calls, exponential, sigmoid_nll, small, softmax_nll

Case = tuple[Tensor, Tensor, dict[str, object]]


@pytest.fixture(autouse=True)
def _portable(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("_FEW_LOGITS", "_FEW_LABELS"):  # which go another way: test_portable_small.py
        monkeypatch.setattr(small, name, 0)
    with use_backend("portable"):
        yield


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a device whose values one would have to wait for."""
    for module in (calls, softmax_nll, sigmoid_nll):
        monkeypatch.setattr(module, "looks", lambda device: False)


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "_IN_CACHE", 5000)


@pytest.fixture
def no_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the reference was asked")

    for module in (softmax_nll, sigmoid_nll):
        monkeypatch.setattr(module, "reference", refuse)


@pytest.mark.usefixtures("elsewhere")
@given(softmax_cases())
@settings(max_examples=EXAMPLES // 4, suppress_health_check=WITH_FIXTURES)
def test_softmax_where_values_decide_nothing(case: Case) -> None:
    logits, target, options = case

    def run(z: Tensor, cast: Any) -> list[Tensor]:
        return list(dispatch.softmax_nll(z, cast(target), **{k: cast(v) for k, v in options.items()}))

    compare(run, logits, target, 1.0, before_the_cap(target, options))


@pytest.mark.usefixtures("elsewhere")
@given(sigmoid_cases())
@settings(max_examples=EXAMPLES // 4, suppress_health_check=WITH_FIXTURES)
def test_sigmoid_where_values_decide_nothing(case: Case) -> None:
    logits, target, options = case

    def run(z: Tensor, cast: Any) -> list[Tensor]:
        return [dispatch.sigmoid_nll(z, cast(target), **{k: cast(v) for k, v in options.items()})]

    compare(run, logits, target, 1.0)


@pytest.mark.usefixtures("small_blocks")
@given(softmax_cases())
@settings(max_examples=EXAMPLES // 4, suppress_health_check=WITH_FIXTURES)
def test_softmax_in_blocks_of_few_examples(case: Case) -> None:
    logits, target, options = case

    def run(z: Tensor, cast: Any) -> list[Tensor]:
        given = {k: cast(v) for k, v in options.items()}
        return [
            *dispatch.softmax_nll(z, cast(target), **given),
            dispatch.softmax_loss(z, cast(target), **given),
        ]

    compare(run, logits, target, 1.0, before_the_cap(target, options))


@pytest.mark.usefixtures("small_blocks")
@given(sigmoid_cases())
@settings(max_examples=EXAMPLES // 4, suppress_health_check=WITH_FIXTURES)
def test_sigmoid_in_blocks_of_few_elements(case: Case) -> None:
    logits, target, options = case

    def run(z: Tensor, cast: Any) -> list[Tensor]:
        given = {k: cast(v) for k, v in options.items()}
        return [
            dispatch.sigmoid_nll(z, cast(target), **given),
            dispatch.sigmoid_loss(z, cast(target), **given),
        ]

    compare(run, logits, target, 1.0)


def test_blocks_cover_every_example_once() -> None:
    for shape, each, most in [((7,), 3, 6), ((2, 5, 3), 2, 12), ((3, 4), 100, 10), ((), 1, 1)]:
        seen = torch.zeros(shape)
        for box in calls.blocks(shape, each, most):
            assert seen[box].numel() * each <= max(most, each)
            seen[box] += 1
        assert (seen == 1).all()


@pytest.mark.skipif(bool(memory.why_not()), reason="the high-water mark cannot be reset here")
@pytest.mark.parametrize("case", ["imagenet", "few-classes", "segmentation", "soft", "multilabel"])
def test_a_step_holds_no_more_than_torchs(case: str) -> None:
    found = memory.in_own_process(case, threads=1, compiled=False, backend="portable")
    assert found[OURS] <= found[EAGER]
    assert found.get(IN_PLACE, 0.0) <= found[OURS] + 1


class _Largest(TorchDispatchMode):
    """The most elements that a float32 tensor has had."""

    elements = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = func(*args, **(kwargs or {}))
        for tensor in found if isinstance(found, (tuple, list)) else (found,):
            if isinstance(tensor, Tensor) and tensor.dtype == torch.float32:
                self.elements = max(self.elements, tensor.numel())
        return found


@pytest.mark.usefixtures("no_reference")
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_16_bit_logits_are_widened_block_by_block(
    dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls, "_IN_CACHE", 500)
    x = torch.randn(64, 100).to(dtype).requires_grad_()
    hard, target = (torch.rand(64, 100) < 0.5).to(dtype), torch.arange(64)
    with _Largest() as largest:
        dispatch.softmax_loss(x, target).backward()
        dispatch.softmax_nll(x, target)[0].sum().backward()
        dispatch.sigmoid_loss(x, hard).backward()
    assert 0 < largest.elements <= 500


def test_nothing_is_kept_but_what_the_caller_holds() -> None:
    x, target = torch.randn(8, 20, requires_grad=True), torch.arange(8) % 5
    nll, lse = dispatch.softmax_nll(x, target, weight=torch.ones(20))
    assert nll.grad_fn is not None
    [(kept, _)] = nll.grad_fn.kept  # type: ignore[attr-defined]
    upstream = torch.rand(8), torch.rand(8)
    (grad,) = torch.autograd.grad((nll, lse), x, upstream, retain_graph=True)
    assert grad.data_ptr() == kept.data_ptr()
    assert nll.grad_fn.kept == []  # type: ignore[attr-defined]
    assert torch.equal(torch.autograd.grad((nll, lse), x, upstream)[0], grad)  # made anew
    values, _ = dispatch.softmax_nll(x, torch.rand(8, 20))
    assert values.grad_fn is not None
    assert values.grad_fn.kept == []  # type: ignore[attr-defined]
    loss = dispatch.softmax_loss(x, target)
    assert loss.grad_fn is not None
    made = loss.grad_fn.made[0].data_ptr()  # type: ignore[attr-defined]
    loss.backward(retain_graph=True)
    assert loss.grad_fn.made == []  # type: ignore[attr-defined]
    assert x.grad is not None
    assert x.grad.data_ptr() == made  # given away, not copied


@pytest.mark.usefixtures("no_reference")
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"weight": torch.rand(5) + 0.5, "label_smoothing": 0.1, "z_loss": 1e-3},
        {"softcap": 3.0, "logit_offset": torch.randn(5), "focal_gamma": 2.0},
        {"sample_weight": torch.tensor([0.0, 1, 2, 3, 4, 5, 6, 7]), "ignore_index": 2},
        {"where": torch.rand(8, 5) < 0.5},
    ],
    ids=["none", "smoothing", "cap", "weights", "where"],
)
def test_no_option_is_left_to_the_reference(options: dict[str, Any]) -> None:
    x, target = torch.randn(8, 5, requires_grad=True), torch.arange(8) % 5
    if "where" in options:
        options = {"where": options["where"] | torch.nn.functional.one_hot(target, 5).bool()}
    dispatch.softmax_loss(x, target, **options).backward()
    nll, lse = dispatch.softmax_nll(x, target, **options)
    (nll + lse).sum().backward()
    options.pop("focal_gamma", None)
    soft = torch.rand(8, 5) * options.get("where", torch.ones(()))
    dispatch.softmax_loss(x, soft, **options).backward()


@pytest.mark.usefixtures("no_reference")
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"pos_weight": torch.rand(5) + 0.5, "label_smoothing": 0.1},
        {"weight": torch.rand(8, 1), "focal_gamma": 2.0, "focal_alpha": 0.25},
        {"mask": torch.rand(8, 5) < 0.5, "sample_weight": torch.arange(8.0)},
    ],
    ids=["none", "smoothing", "focal", "mask"],
)
def test_no_option_of_labels_is_left_to_the_reference(options: dict[str, Any]) -> None:
    x = torch.randn(8, 5, requires_grad=True)
    for target in ((torch.rand(8, 5) < 0.5).float(), torch.rand(8, 5), torch.rand(8, 5) < 0.5):
        dispatch.sigmoid_loss(x, target, **options).backward()
        dispatch.sigmoid_nll(x, target, **options).sum().backward()


@pytest.mark.usefixtures("no_reference")
def test_what_it_leaves_to_the_reference() -> None:
    x, target = torch.randn(4, 3, requires_grad=True), torch.arange(4) % 3
    weight = torch.ones(3, requires_grad=True)
    with pytest.raises(AssertionError, match="reference"):
        dispatch.softmax_loss(x, target, weight=weight)
    with pytest.raises(AssertionError, match="reference"):
        torch.func.grad(lambda z: dispatch.softmax_loss(z, target))(x)
    with pytest.raises(AssertionError, match="reference"):
        torch.autograd.grad(dispatch.softmax_loss(x, target), x, create_graph=True)
    with pytest.raises(AssertionError, match="reference"):
        dispatch.softmax_nll(torch.tensor([[torch.nan, 0.0]]), target[:1])


def test_explain_says_what_the_reference_computes() -> None:
    assert "reference" not in explain("softmax_nll", torch.zeros(2, 3)).reason
    assert "they have no values" in explain("softmax_nll", torch.zeros(2, 3, device="meta")).reason
    assert "there are none" in explain("sigmoid_nll", torch.zeros(0, 3)).reason


@pytest.mark.parametrize("in_place", [False, True])
def test_a_class_out_of_range_is_named_before_anything_is_written(in_place: bool) -> None:
    leaf = torch.randn(3, 4, requires_grad=True)
    x, target = leaf * 1, torch.tensor([0, 7, 1])
    before = x.detach().clone()
    with pytest.raises(IndexError, match=r"target\[1\] is 7"):
        dispatch.softmax_loss(x, target, inplace_backward=in_place)
    assert torch.equal(x.detach(), before)


@pytest.mark.usefixtures("elsewhere", "no_reference")
def test_elsewhere_a_class_out_of_range_has_no_loss() -> None:
    x = torch.randn(3, 4, requires_grad=True)
    nll, _ = dispatch.softmax_nll(x, torch.tensor([0, 7, -1]))
    assert nll.isnan().tolist() == [False, True, True]


@pytest.mark.usefixtures("elsewhere", "no_reference")
def test_elsewhere_the_exponentials_become_the_gradient() -> None:
    x, target = torch.randn(6, 4, requires_grad=True), torch.arange(6) % 4
    for reduction in ("mean", "sum"):
        loss = dispatch.softmax_loss(x, target, reduction=reduction)
        (grad,) = torch.autograd.grad(loss, x, torch.tensor(3.0), retain_graph=True)
        (again,) = torch.autograd.grad(loss, x, torch.tensor(3.0))  # made anew
        assert torch.equal(grad, again)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("in_place", [True, False])
@pytest.mark.parametrize("turned", [True, False])
def test_the_exponential_of_the_softmax_is_the_exponential(
    dtype: torch.dtype, in_place: bool, turned: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exponential, "_IS_MKLS", True)
    z = torch.cat([torch.linspace(-110, 88, 300_000), torch.randn(11, 1000).flatten() * 5]).to(dtype)
    places = torch.arange(0, len(z), 997)
    z[places[::3]], z[places[1::3]], z[places[2::3]] = torch.inf, -torch.inf, torch.nan
    z = z.view(1000, 311).t() if turned else z.view(1000, 311)
    expected = z.double().exp()
    out = z.clone() if in_place else torch.empty_like(z)
    with monkeypatch.context() as patched:
        patched.delattr(torch, "exp")  # which is not what it takes
        assert exponential.exponential(out if in_place else z, out=out) is out
    assert torch.equal(out.isnan(), expected.isnan())
    within = 2 * torch.finfo(dtype).eps * expected.abs() + torch.finfo(dtype).tiny * torch.finfo(dtype).eps
    off = (out.double() - expected).abs() <= within
    assert (off | expected.isnan() | (out == expected)).all()
    assert off[expected.isfinite()].all()


def test_an_exponential_of_gaps_in_memory() -> None:
    z = torch.randn(400_000)[::2]
    assert torch.equal(exponential.exponential(z, out=torch.empty(200_000)), z.exp())
    out = torch.zeros(400_000)
    exponential.exponential(z, out=out[::2])
    assert torch.equal(out[::2], z.exp())
    assert not out[1::2].any()


def test_the_slopes_of_labels_become_the_gradient() -> None:
    x = torch.randn(40, 5, requires_grad=True)
    for labels in ((torch.rand(40, 5) < 0.5).float(), torch.rand(40, 5)):
        nll = dispatch.sigmoid_nll(x, labels)
        assert nll.grad_fn is not None
        kept = nll.grad_fn.made[0].data_ptr()  # type: ignore[attr-defined]
        upstream = torch.rand(40, 5)
        (grad,) = torch.autograd.grad(nll, x, upstream, retain_graph=True)
        assert grad.data_ptr() == kept
        assert torch.equal(torch.autograd.grad(nll, x, upstream, retain_graph=True)[0], grad)  # made anew
        upstream[0, 0] = torch.inf
        (grad,) = torch.autograd.grad(
            dispatch.sigmoid_nll(x, labels, mask=(torch.arange(5) > 0).expand(40, 5)), x, upstream
        )
        assert grad[0, 0] == 0
