"""Dice, Jaccard, Tversky, focal Tversky and Lovász: the oracle's loops, what is left out, what is refused."""

from __future__ import annotations

import math
import pickle
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from likelihead import functional as F
from likelihead import nn
from likelihead.errors import DomainError, DTypeError, LikelihoodError, OptionError, ShapeError, TargetError
from oracles import overlap as oracle

Loss = Callable[..., Tensor]
Terms = list[tuple[float, float, float]]


def power(value: Callable[[Terms], float], gamma: float) -> Callable[[Terms], float]:
    return lambda terms: max(0.0, value(terms)) ** gamma


def tversky(alpha: float, beta: float, smooth: float = 0.0) -> Callable[[Terms], float]:
    return lambda terms: oracle.tversky(terms, alpha, beta, smooth)


# The loss, its options, and the definition of one class's value.
CASES: dict[str, tuple[Loss, dict[str, Any], Callable[[Terms], float]]] = {
    "dice": (F.dice_loss, {}, tversky(0.5, 0.5)),
    "dice-smooth": (F.dice_loss, {"smooth": 0.8}, tversky(0.5, 0.5, 0.4)),
    "jaccard": (F.jaccard_loss, {}, tversky(1, 1)),
    "tversky": (F.tversky_loss, {"alpha": 0.2, "beta": 1.5, "smooth": 0.3}, tversky(0.2, 1.5, 0.3)),
    "one-sided": (F.tversky_loss, {"alpha": 0.0, "beta": 1}, tversky(0, 1)),
    "focal": (F.focal_tversky_loss, {"gamma": 0.6}, power(tversky(0.3, 0.7), 0.6)),
    "lovasz": (F.lovasz_loss, {}, oracle.lovasz),
}
every_case = pytest.mark.parametrize("case", CASES)
SMOOTH = [name for name in CASES if name != "lovasz"]


def pixels(input: Tensor, target: Tensor, *, ignore: int = -100, weight: Tensor | None = None) -> list[Any]:
    """The oracle's images, from ``[N, C, S]`` and ``[N, S]`` or ``[N, C, S]``."""
    weights = torch.ones(input.shape[0], input.shape[2]) if weight is None else weight
    images = []
    for x, y, w in zip(input.double(), target, weights, strict=True):
        truths: list[Any] = []
        for s in range(x.shape[1]):
            if y.dim() == 1:
                truths.append(None if int(y[s]) == ignore else int(y[s]))
            else:
                truths.append([None if math.isnan(t) or t == ignore else t for t in y[:, s].tolist()])
        images.append([(x[:, s].tolist(), truths[s], float(w[s])) for s in range(x.shape[1])])
    return images


def drawn(n: int = 2, c: int = 3, s: int = 7, seed: int = 0, scale: float = 2.0) -> tuple[Tensor, Tensor]:
    draw = torch.Generator().manual_seed(seed)
    logits = scale * torch.randn(n, c, s, generator=draw, dtype=torch.float64)
    return logits, torch.randint(c, (n, s), generator=draw)


# -- the definition ----------------------------------------------------------------------------------


@pytest.mark.parametrize("case", CASES)
@settings(max_examples=20, deadline=None)
@given(
    n=st.integers(1, 3),
    c=st.integers(2, 4),
    s=st.integers(1, 6),
    per_image=st.booleans(),
    classes=st.sampled_from(["present", "all"]),
    ignore=st.sampled_from([-100, 0, 255]),
    weighted=st.booleans(),
    from_logits=st.booleans(),
    seed=st.integers(0, 999),
)
def test_classes(
    case: str, n: int, c: int, s: int, per_image: bool, classes: str, ignore: int, weighted: bool,
    from_logits: bool, seed: int,
) -> None:  # fmt: skip
    loss, options, value = CASES[case]
    logits, target = drawn(n, c, s, seed)
    draw = torch.Generator().manual_seed(seed)
    target[torch.rand(n, s, generator=draw) < 0.3] = ignore
    weight = torch.randint(0, 3, (c,), generator=draw).double() if weighted else None
    at_pixel = torch.randint(0, 3, (n, s), generator=draw).double() if weighted else None
    want = oracle.loss(
        pixels(logits if from_logits else logits.softmax(1), target, ignore=ignore, weight=at_pixel),
        value,
        link=oracle.softmax if from_logits else oracle.identity,
        per_image=per_image,
        classes=classes,
        weight=None if weight is None else weight.tolist(),
    )
    got = loss(
        logits if from_logits else logits.softmax(1),
        target,
        from_logits=from_logits,
        ignore_index=ignore,
        per_image=per_image,
        classes=classes,
        weight=weight,
        sample_weight=at_pixel,
        **options,
    )
    assert float(got) == pytest.approx(want, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("case", CASES)
@settings(max_examples=12, deadline=None)
@given(
    labels=st.integers(1, 3),
    per_image=st.booleans(),
    classes=st.sampled_from(["present", "all"]),
    missing=st.sampled_from(["nan", "ignore", "mask", "none"]),
    from_logits=st.booleans(),
    seed=st.integers(0, 999),
)
def test_labels(
    case: str, labels: int, per_image: bool, classes: str, missing: str, from_logits: bool, seed: int
) -> None:
    loss, options, value = CASES[case]
    draw = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(2, labels, 5, generator=draw, dtype=torch.float64)
    truth = torch.randint(2, (2, labels, 5), generator=draw).double()
    if missing == "none" and case != "lovasz":
        truth = truth * 0.75  # shares
    gone = torch.rand(truth.shape, generator=draw) < 0.3
    known = truth if missing == "none" else torch.where(gone, math.nan, truth)
    given = {"nan": known, "ignore": torch.where(gone, 255.0, truth).long(), "mask": truth, "none": truth}[
        missing
    ]
    input = logits if from_logits else logits.sigmoid()
    want = oracle.loss(
        pixels(input, known),
        value,
        link=oracle.sigmoid if from_logits else oracle.identity,
        per_image=per_image,
        classes=classes,
    )
    more: dict[str, Any] = {"ignore_index": 255} if missing == "ignore" else {}
    more |= {"mask": ~gone} if missing == "mask" else {}
    for task in ("multilabel", "binary") if labels == 1 else ("multilabel",):
        got = loss(
            input,
            given,
            task=task,
            from_logits=from_logits,
            per_image=per_image,
            classes=classes,
            **more,
            **options,
        )
        assert float(got) == pytest.approx(want, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("per_image", [False, True])
@pytest.mark.parametrize("seed", range(5))
def test_lovasz_hinge(seed: int, per_image: bool) -> None:
    logits, _ = drawn(2, 1, 8, seed)
    target = torch.randint(2, (2, 1, 8), generator=torch.Generator().manual_seed(seed)).double()
    target[0, 0, :3] = math.nan
    images = pixels(logits, target)
    value = partial(oracle.lovasz, hinge=True)
    want = oracle.loss(images, value, link=oracle.identity, per_image=per_image, classes="all")
    got = F.lovasz_loss(
        logits, target, from_logits=True, hinge=True, task="binary", per_image=per_image, classes="all"
    )
    assert float(got) == pytest.approx(want, rel=1e-12)


def test_a_known_value() -> None:
    """By hand: TP 1.5, FP 0.1 and FN 0.5 of class 0; TP 0.9, FP 0.5 and FN 0.1 of class 1."""
    probs = torch.tensor([[[0.9, 0.6, 0.1], [0.1, 0.4, 0.9]]], dtype=torch.float64)
    target = torch.tensor([[0, 0, 1]])
    dice = F.dice_loss(probs, target, from_logits=False)
    assert float(dice) == pytest.approx(((1 - 3 / 3.6) + (1 - 1.8 / 2.4)) / 2)
    jaccard = F.jaccard_loss(probs, target, from_logits=False)
    assert float(jaccard) == pytest.approx(((1 - 1.5 / 2.1) + (1 - 0.9 / 1.5)) / 2)
    # Lovász, from the largest mistake: class 0 has J = 0, 1/2, 1, class 1 the same.
    lovasz = F.lovasz_loss(probs, target, from_logits=False)
    assert float(lovasz) == pytest.approx((0.4 * 0.5 + 0.1 * 0.5 + 0.4 * 0.5 + 0.1 * 0.5) / 2)


def test_hard_predictions_give_the_index_itself() -> None:
    _, target = drawn(3, 4, 9)
    guess = torch.randint(4, target.shape, generator=torch.Generator().manual_seed(1))
    probs = torch.nn.functional.one_hot(guess, 4).movedim(-1, 1).double()
    ious = []
    for c in range(4):
        both, either = ((guess == c) & (target == c)).sum(), ((guess == c) | (target == c)).sum()
        ious.append(1 - float(both) / float(either))
    for loss in (F.jaccard_loss, F.lovasz_loss):
        got = loss(probs, target, from_logits=False, classes="all")
        assert float(got) == pytest.approx(sum(ious) / 4)


# -- what is left out --------------------------------------------------------------------------------


@every_case
@pytest.mark.parametrize("how", ["ignore", "mask", "weight", "image-weight", "nan"])
def test_missing_pixels_are_as_if_they_were_not_there(case: str, how: str) -> None:
    loss, options, _ = CASES[case]
    logits, target = drawn(2, 3, 6)
    spoilt, marked, more = logits.clone(), target.clone(), {}
    gone = torch.zeros(2, 6, dtype=torch.bool)
    gone[1] = True
    gone[0, 4:] = how != "image-weight"
    bad = torch.tensor([math.nan, math.inf, -math.inf], dtype=torch.float64).repeat(2, 2).unsqueeze(1)
    spoilt = torch.where(gone.unsqueeze(1), bad, spoilt)
    if how == "ignore":
        marked[gone] = 255
        more["ignore_index"] = 255
    elif how == "mask":
        more["mask"] = ~gone
    elif how == "weight":
        more["sample_weight"] = (~gone).float()
    elif how == "image-weight":
        more["sample_weight"] = torch.tensor([1.0, 0.0])
    else:
        marked = torch.nn.functional.one_hot(target, 3).movedim(-1, 1).double()
        marked[:, 1:2] = torch.where(gone.unsqueeze(1), math.nan, marked[:, 1:2])
    for per_image in (False, True):
        spoilt.requires_grad_()
        kept = slice(0, 6 if how == "image-weight" else 4)
        alone = logits[:1, :, kept].clone().requires_grad_()
        value = loss(spoilt, marked, from_logits=True, per_image=per_image, **more, **options)
        want = loss(alone, target[:1, kept], from_logits=True, per_image=per_image, **options)
        torch.testing.assert_close(value, want, rtol=1e-12, atol=0)
        (grad,) = torch.autograd.grad(value, spoilt)
        (wanted,) = torch.autograd.grad(want, alone)
        torch.testing.assert_close(grad[:1, :, kept], wanted, rtol=1e-9, atol=1e-15)
        assert not bool(grad[gone.unsqueeze(1).expand_as(grad)].any())


def test_a_missing_label_is_left_out_alone() -> None:
    logits = torch.randn(1, 2, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    target = torch.tensor([[[1, 0, 1, 0], [1, 1, 0, 0]]]).double()
    target[0, 0, 2], logits[0, 0, 2] = math.nan, math.nan
    logits.requires_grad_()
    (grad,) = torch.autograd.grad(F.dice_loss(logits, target, from_logits=True, task="multilabel"), logits)
    assert grad[0, 0, 2] == 0
    assert int((grad != 0).sum()) == 7


@every_case
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("per_image", [False, True])
@pytest.mark.parametrize("shape", [(2, 3, 4), (0, 3, 4), (2, 3, 0)])
def test_nothing_that_counts_is_zero_and_connected(
    case: str, reduction: str, per_image: bool, shape: tuple[int, ...]
) -> None:
    loss, options, _ = CASES[case]
    logits = torch.randn(shape, requires_grad=True)
    target = torch.full((shape[0], shape[2]), -100)
    for classes in ("present", "all"):
        value = loss(
            logits,
            target,
            from_logits=True,
            reduction=reduction,
            per_image=per_image,
            classes=classes,
            **options,
        )
        assert value.shape == ((shape[0],) if per_image and reduction == "none" else ())
        assert not bool(value.detach().any())
        (grad,) = torch.autograd.grad(value.sum(), logits)
        assert not bool(grad.any())


def test_an_empty_image_is_no_part_of_the_mean() -> None:
    logits, target = drawn(3, 3, 5)
    target[1] = -100
    value = F.dice_loss(logits, target, from_logits=True, per_image=True)
    each = F.dice_loss(logits, target, from_logits=True, per_image=True, reduction="none")
    assert float(each[1]) == 0
    torch.testing.assert_close(value, (each[0] + each[2]) / 2)
    divided = F.dice_loss(logits, target, from_logits=True, per_image=True, normalizer=3)
    torch.testing.assert_close(divided, each.sum() / 3)


def test_absent_classes() -> None:
    probs = torch.tensor([[[0.7, 0.8], [0.3, 0.2], [0.0, 0.0]]], dtype=torch.float64)
    target = torch.tensor([[0, 0]])
    loss = partial(F.dice_loss, probs, target, from_logits=False)
    of_zero = 1 - 2 * 1.5 / (1.5 + 2)
    assert float(loss()) == pytest.approx(of_zero)
    assert float(loss(classes="all")) == pytest.approx((of_zero + 1 + 0) / 3)  # 0/0 is no mistake
    smoothed = (1 - 4 / 4.5, 1 - 1 / 1.5, 0.0)
    assert float(loss(classes="all", smooth=1.0)) == pytest.approx(sum(smoothed) / 3)
    values = loss(classes="all", smooth=1.0, reduction="none", per_class=True)
    assert values.tolist() == pytest.approx(list(smoothed))
    values = loss(reduction="none", per_class=True)
    assert values.tolist() == pytest.approx([of_zero, 0, 0])
    # Lovász: an absent class costs its largest probability.
    lovasz = F.lovasz_loss(probs, target, from_logits=False, classes="all", reduction="none", per_class=True)
    assert lovasz.tolist() == pytest.approx([0.25, 0.3, 0.0])


# -- identities --------------------------------------------------------------------------------------


@every_case
def test_per_image_is_the_mean_of_the_images(case: str) -> None:
    loss, options, _ = CASES[case]
    logits, target = drawn(4, 5, 6)
    each = [loss(logits[i : i + 1], target[i : i + 1], from_logits=True, **options) for i in range(4)]
    per_image = partial(loss, logits, target, from_logits=True, per_image=True, **options)
    torch.testing.assert_close(per_image(), torch.stack(each).mean(), rtol=1e-12, atol=0)
    torch.testing.assert_close(per_image(reduction="none"), torch.stack(each), rtol=1e-12, atol=0)
    torch.testing.assert_close(per_image(reduction="sum"), torch.stack(each).sum(), rtol=1e-12, atol=0)
    assert float(loss(logits, target, from_logits=True, **options)) != pytest.approx(float(per_image()))


@every_case
@pytest.mark.parametrize("per_image", [False, True])
def test_whole_weights_are_repeated_images(case: str, per_image: bool) -> None:
    loss, options, _ = CASES[case]
    logits, target = drawn(3, 3, 5)
    times = torch.tensor([2, 0, 3])
    weighted = loss(logits, target, from_logits=True, sample_weight=times, per_image=per_image, **options)
    repeated = loss(
        logits.repeat_interleave(times, 0),
        target.repeat_interleave(times, 0),
        from_logits=True,
        per_image=per_image,
        **options,
    )
    torch.testing.assert_close(weighted, repeated, rtol=1e-12, atol=0)


@every_case
def test_the_order_and_the_layout_of_pixels_do_not_matter(case: str) -> None:
    loss, options, _ = CASES[case]
    logits, target = drawn(2, 3, 12)
    order = torch.randperm(12, generator=torch.Generator().manual_seed(0))
    want = loss(logits, target, from_logits=True, **options)
    got = loss(logits[:, :, order], target[:, order], from_logits=True, **options)
    torch.testing.assert_close(got, want, rtol=1e-12, atol=0)
    image = logits.view(2, 3, 4, 3).to(memory_format=torch.channels_last).requires_grad_()
    got = loss(image, target.view(2, 4, 3), from_logits=True, **options)
    torch.testing.assert_close(got, want, rtol=1e-12, atol=0)
    (grad,) = torch.autograd.grad(got, image)
    flat = logits.clone().requires_grad_()
    (wanted,) = torch.autograd.grad(loss(flat, target, from_logits=True, **options), flat)
    torch.testing.assert_close(grad.reshape(2, 3, 12), wanted)


@every_case
def test_one_hot_targets_and_binary_ones_are_the_same(case: str) -> None:
    loss, options, _ = CASES[case]
    logits, target = drawn(2, 3, 6)
    hot = torch.nn.functional.one_hot(target, 3).movedim(-1, 1)
    want = loss(logits, target, from_logits=True, **options)
    for dtype in (torch.int64, torch.uint8, torch.bool, torch.float64):
        torch.testing.assert_close(loss(logits, hot.to(dtype), from_logits=True, **options), want)
    for dtype in (torch.int32, torch.int16, torch.uint8):
        torch.testing.assert_close(loss(logits, target.to(dtype), from_logits=True, **options), want)
    one, truth = logits[:, :1], target[:, None] == 1
    want = loss(one, truth, from_logits=True, task="multilabel", **options)
    for x, y in ((one, truth), (one, truth[:, 0]), (one[:, 0], truth[:, 0].float())):
        torch.testing.assert_close(loss(x, y, from_logits=True, task="binary", **options), want)
    probs = torch.stack([-one[:, 0] / 2, one[:, 0] / 2], 1).softmax(1)  # two classes, of which one is weighed
    got = loss(probs, truth[:, 0].long(), from_logits=False, weight=torch.tensor([0.0, 1.0]), **options)
    torch.testing.assert_close(got, want)


def test_tversky_with_one_half_is_dice_and_with_one_jaccard() -> None:
    logits, target = drawn()
    loss = partial(F.tversky_loss, logits, target, from_logits=True)
    dice = F.dice_loss(logits, target, from_logits=True, smooth=0.6)
    torch.testing.assert_close(loss(smooth=0.3), dice, rtol=0, atol=0)
    jaccard = F.jaccard_loss(logits, target, from_logits=True)
    torch.testing.assert_close(loss(alpha=1.0, beta=1.0), jaccard, rtol=0, atol=0)
    focal = F.focal_tversky_loss(logits, target, from_logits=True, gamma=1.0)
    torch.testing.assert_close(loss(alpha=0.3, beta=0.7), focal, rtol=0, atol=0)


# -- numbers -----------------------------------------------------------------------------------------


def test_a_nearly_perfect_overlap_keeps_its_digits() -> None:
    logits = torch.tensor([[[20.0, 18.0], [0.0, -1.0]]], requires_grad=True)
    exact = logits.detach().double().requires_grad_()
    target = torch.tensor([[0, 0]])
    for loss in (F.dice_loss, F.jaccard_loss, F.lovasz_loss, F.focal_tversky_loss):
        value, want = (loss(x, target, from_logits=True) for x in (logits, exact))
        assert float(value.detach()) == pytest.approx(float(want.detach()), rel=1e-6)
        (grad,), (wanted,) = torch.autograd.grad(value, logits), torch.autograd.grad(want, exact)
        torch.testing.assert_close(grad.double(), wanted, rtol=1e-5, atol=0)
    total = torch.softmax(logits.detach(), 1)[:, 0].sum()
    assert float(1 - 2 * total / (total + 2)) == 0  # what the usual formula makes of it


@pytest.mark.parametrize("gamma", [0.5, 0.75, 1.0, 2.0])
def test_the_gradient_of_the_focal_loss_is_finite_at_a_perfect_overlap(gamma: float) -> None:
    logits = torch.tensor([[[200.0, -200.0], [-200.0, 200.0]]], requires_grad=True)
    target = torch.tensor([[0, 1]])
    value = F.focal_tversky_loss(logits, target, from_logits=True, gamma=gamma)
    (grad,) = torch.autograd.grad(value, logits)
    assert value == 0
    assert not bool(grad.any())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@every_case
def test_dtypes(case: str, dtype: torch.dtype) -> None:
    loss, options, _ = CASES[case]
    logits, target = drawn(2, 3, 400)
    logits = logits.to(dtype).requires_grad_()
    exact = logits.detach().double().requires_grad_()
    value = loss(logits, target, from_logits=True, **options)
    assert value.dtype == (torch.float64 if dtype is torch.float64 else torch.float32)
    want = loss(exact, target, from_logits=True, **options)
    torch.testing.assert_close(value.double(), want, rtol=2e-6, atol=1e-7)
    (grad,), (wanted,) = torch.autograd.grad(value, logits), torch.autograd.grad(want, exact)
    assert grad.dtype is dtype
    tolerance = {torch.float16: 1e-2, torch.bfloat16: 1e-2}.get(dtype, 1e-5)
    torch.testing.assert_close(grad.double(), wanted, rtol=tolerance, atol=1e-7)


def test_ten_million_pixels_in_float32() -> None:
    """A running float32 sum would stop at 2**24 / 2 of these; float64 does not."""
    step = torch.arange(10_000_000, dtype=torch.float32).remainder_(7).sub_(3)
    target = (step > 0).view(1, -1)
    value = F.dice_loss(step.view(1, -1), target, from_logits=True, task="binary")
    counts = torch.bincount((step + 3).long(), minlength=7).double()
    p = torch.arange(-3, 4).double().sigmoid()
    found, all_of_it = (counts * p)[4:].sum(), (counts * p).sum() + counts[4:].sum()
    assert float(value) == pytest.approx(float(1 - 2 * found / all_of_it), rel=3e-7)


@pytest.mark.parametrize("task", ["multiclass", "multilabel"])
@pytest.mark.parametrize("per_image", [False, True])
def test_pieces_are_as_the_whole(monkeypatch: pytest.MonkeyPatch, per_image: bool, task: str) -> None:
    import likelihead.functional.overlap.sums as sums

    logits, target = drawn(5, 3, 7)
    logits.requires_grad_()
    if task == "multilabel":
        target = torch.nn.functional.one_hot(target, 3).movedim(-1, 1)
    target[0, ..., :2] = -100
    weight = torch.rand(5, 7, generator=torch.Generator().manual_seed(0))
    call = partial(
        F.dice_loss, logits, target, from_logits=True, task=task, per_image=per_image, sample_weight=weight
    )
    want = call()
    (wanted,) = torch.autograd.grad(want, logits)
    for piece in (1, 4, 21, 45):  # a pixel or less, a part of an image, an image, two
        monkeypatch.setattr(sums, "_PIECE", piece)
        value = call()
        torch.testing.assert_close(value, want, rtol=1e-13, atol=0)
        (grad,) = torch.autograd.grad(value, logits)
        torch.testing.assert_close(grad, wanted, rtol=1e-12, atol=1e-16)


# -- ways to call ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("case", "task", "per_image"),
    [
        ("dice", "multiclass", False),
        ("tversky", "multilabel", True),
        ("focal", "multiclass", True),
        ("lovasz", "multilabel", False),
    ],
)
def test_derivatives(case: str, per_image: bool, task: str) -> None:
    loss, options, _ = CASES[case]
    logits, target = drawn(2, 2, 3, seed=3)
    if task == "multilabel":
        target = torch.nn.functional.one_hot(target, 2).movedim(-1, 1).double()
        target[0, 0, 0] = math.nan
    else:
        target[0, 0] = -100
    weight = torch.rand(2, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    logits.requires_grad_()
    weight.requires_grad_()

    def call(x: Tensor, w: Tensor | None = None) -> Tensor:
        return loss(x, target, from_logits=True, task=task, per_image=per_image, sample_weight=w, **options)

    assert torch.autograd.gradcheck(call, (logits,))
    assert torch.autograd.gradcheck(call, (logits, weight))
    assert torch.autograd.gradgradcheck(call, (logits,))
    # Forward mode, batched gradients and the transforms of torch.func agree with the ordinary backward.
    (want,) = torch.autograd.grad(call(logits), logits)
    torch.testing.assert_close(torch.func.grad(call)(logits), want)
    tangent = torch.randn(logits.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    _, forward = torch.func.jvp(call, (logits.detach(),), (tangent,))
    torch.testing.assert_close(forward, (want * tangent).sum())
    with torch.autograd.forward_ad.dual_level():
        dual = torch.autograd.forward_ad.make_dual(logits.detach(), tangent)
        out = torch.autograd.forward_ad.unpack_dual(call(dual)).tangent
    torch.testing.assert_close(out, (want * tangent).sum())
    many = torch.tensor([1.0, -2.0], dtype=torch.float64)
    (batched,) = torch.autograd.grad(call(logits), logits, many, is_grads_batched=True)
    torch.testing.assert_close(batched, torch.stack([want, -2 * want]))
    hessian = torch.func.hessian(call)(logits.detach())
    torch.testing.assert_close(hessian, torch.autograd.functional.hessian(call, logits.detach()))


@every_case
def test_vmap_is_a_loop(case: str) -> None:
    loss, options, _ = CASES[case]
    logits, target = drawn(4, 3, 5)
    target[0, 0] = -100

    def call(x: Tensor, y: Tensor) -> Tensor:
        return loss(x.unsqueeze(0), y.unsqueeze(0), from_logits=True, **options)

    torch.testing.assert_close(
        torch.vmap(call)(logits, target),
        torch.stack([call(x, y) for x, y in zip(logits, target, strict=True)]),
    )


def test_meta_tensors_and_a_second_backward() -> None:
    logits, target = drawn()
    logits.requires_grad_()
    for loss in (F.dice_loss, F.lovasz_loss):
        value = loss(logits, target, from_logits=True)
        first, second = (torch.autograd.grad(value, logits, retain_graph=True)[0] for _ in range(2))
        torch.testing.assert_close(first, second, rtol=0, atol=0)
        assert loss(logits.to("meta"), target.to("meta"), from_logits=True).device.type == "meta"


def test_logits_that_were_overwritten_raise() -> None:
    logits, target = drawn()
    logits = (1 * logits.requires_grad_()).clone()
    value = F.dice_loss(logits, target, from_logits=True)
    logits.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        value.backward()


def test_a_nan_that_counts_shows() -> None:
    logits, target = drawn()
    logits[0, 1, 2] = math.nan
    for loss, options, _ in CASES.values():
        assert bool(loss(logits, target, from_logits=True, **options).isnan())


# -- planted mistakes, and refusals ------------------------------------------------------------------


def test_planted_wrong_answers_differ() -> None:
    """What the usual implementations make of ignored pixels is another number, by far."""
    logits, target = drawn(2, 3, 40)
    target[:, ::3] = 255
    right = float(F.dice_loss(logits, target, from_logits=True, ignore_index=255))
    p = logits.softmax(1)
    hot = torch.nn.functional.one_hot(target.clamp(max=2), 3).movedim(-1, 1)
    as_class = 1 - 2 * (p * hot).sum((0, 2)) / (p + hot).sum((0, 2))
    hot = hot * (target != 255).unsqueeze(1)
    in_target_alone = 1 - 2 * (p * hot).sum((0, 2)) / (p + hot).sum((0, 2))
    for wrong in (as_class.mean(), in_target_alone.mean()):
        assert abs(float(wrong) - right) > 1e-2


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        (
            {"target": torch.full((2, 6), 3)},
            TargetError,
            r"target is 3 at \[0, 0\].*12 such.*\[0, 3\).*LH203",
        ),
        ({"target": torch.full((2, 6), 255)}, TargetError, "ignore_index=-100.*LH203"),
        ({"target": torch.zeros(2, 6)}, DTypeError, "LH202"),
        ({"target": torch.zeros(2, 1, 6).long()}, ShapeError, r"squeeze\(1\)"),
        ({"target": torch.zeros(2, 3).long()}, ShapeError, "movedim.*LH301"),
        ({"target": torch.zeros(2, 7).long()}, ShapeError, r"class indices \[2, 6\]"),
        ({"input": torch.zeros(2, 1, 6)}, ShapeError, "task='binary'.*LH303"),
        ({"input": torch.zeros(2, 3, 6).long()}, DTypeError, "floating-point"),
        ({"input": [[0.0]]}, DTypeError, "input is a list"),
        ({"task": "binary"}, ShapeError, "LH302"),
        (
            {"task": "multilabel", "target": torch.full((2, 3, 6), 255)},
            TargetError,
            "Divide an 8-bit mask.*LH207",
        ),
        ({"target": torch.full((2, 3, 6), 0.5), "ignore_index": 255}, OptionError, "for class indices"),
        ({"task": "segmentation"}, OptionError, "'multiclass', 'binary', 'multilabel'"),
        ({"classes": "some"}, OptionError, "'present', 'all'"),
        ({"from_logits": None}, DTypeError, "from_logits is None"),
        ({"from_logits": 1}, DTypeError, "from_logits is 1"),
        ({"ignore_index": 255.0}, DTypeError, "ignore_index is 255.0"),
        ({"weight": [1.0, 2.0, 3.0]}, DTypeError, r"weight is \[1\.0.*a list"),
        ({"weight": torch.ones(2)}, ShapeError, r"expected \[3\].*LH602"),
        ({"weight": -torch.ones(3)}, DomainError, "not negative"),
        ({"sample_weight": torch.ones(6)}, ShapeError, "LH603"),
        ({"sample_weight": torch.tensor([1.0, -1.0])}, OptionError, "not negative"),
        ({"mask": torch.ones(2, 6)}, DTypeError, "torch.bool"),
        ({"mask": torch.ones(6).bool()}, ShapeError, r"expected \[2, 6\]"),
        ({"reduction": "batchmean"}, OptionError, "reduction"),
        ({"per_class": True}, OptionError, "reduction='none'"),
        ({"normalizer": 3, "reduction": "sum"}, OptionError, "normalizer"),
        ({"weight": torch.ones(3, device="meta")}, RuntimeError, "input is on cpu and weight is on meta"),
        ({"target": torch.zeros(2, 6, dtype=torch.long, device="meta")}, RuntimeError, "target is on meta"),
    ],
)
def test_refusals(change: dict[str, Any], error: type[Exception], words: str) -> None:
    given: dict[str, Any] = {
        "input": torch.zeros(2, 3, 6),
        "target": torch.zeros(2, 6).long(),
        "from_logits": True,
    }
    given |= change
    for loss in (F.dice_loss, F.lovasz_loss):
        with pytest.raises(error, match="(?s)" + words):
            loss(**given)


@pytest.mark.parametrize(
    ("loss", "options", "error"),
    [
        (F.tversky_loss, {"alpha": 0, "beta": 0}, OptionError),
        (F.tversky_loss, {"alpha": -1.0}, OptionError),
        (F.focal_tversky_loss, {"gamma": 0.0}, OptionError),
        (F.focal_tversky_loss, {"gamma": math.inf}, OptionError),
        (F.dice_loss, {"smooth": -1}, OptionError),
        (F.dice_loss, {"smooth": torch.tensor(1.0)}, DTypeError),
        (F.lovasz_loss, {"hinge": True}, OptionError),
        (F.lovasz_loss, {"hinge": 1, "task": "binary"}, DTypeError),
    ],
)
def test_options_out_of_range(loss: Loss, options: dict[str, Any], error: type[LikelihoodError]) -> None:
    with pytest.raises(error):
        loss(torch.zeros(1, 2, 3), torch.zeros(1, 3).long(), from_logits=True, **options)


def test_lovasz_takes_no_shares() -> None:
    with pytest.raises(TargetError, match="expected 0 or 1"):
        F.lovasz_loss(torch.zeros(1, 2), torch.full((1, 2), 0.5), from_logits=True, task="multilabel")


def test_from_logits_has_no_default() -> None:
    with pytest.raises(TypeError, match="from_logits"):
        F.dice_loss(torch.zeros(1, 2, 3), torch.zeros(1, 3).long())  # type: ignore[call-arg]


def test_where_the_values_cannot_be_looked_at_an_impossible_target_is_nan() -> None:
    logits, target = drawn(2, 3, 5)
    target[0, 0] = 3
    value = torch.vmap(lambda x, y: F.dice_loss(x[None], y[None], from_logits=True))(logits, target)
    assert value.isnan().tolist() == [True, False]


# -- modules -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("module", "loss", "options"),
    [
        (nn.DiceLoss, F.dice_loss, {"smooth": 0.4}),
        (nn.JaccardLoss, F.jaccard_loss, {"smooth": 0.4}),
        (nn.TverskyLoss, F.tversky_loss, {"alpha": 0.2, "beta": 0.9}),
        (nn.FocalTverskyLoss, F.focal_tversky_loss, {"gamma": 1.5}),
        (nn.LovaszLoss, F.lovasz_loss, {}),
    ],
)
def test_modules(module: type[nn.OverlapLoss], loss: Loss, options: dict[str, Any]) -> None:
    logits, target = drawn()
    common = {"from_logits": True, "ignore_index": 1, "per_image": True, "classes": "all", "reduction": "sum"}
    weight, per_pixel = torch.tensor([1.0, 2.0, 0.5]), torch.rand(2, 7)
    criterion = module(weight=weight, **common, **options)
    more = {"mask": torch.rand(2, 7) < 0.8, "sample_weight": per_pixel}
    want = loss(logits, target, weight=weight, **common, **options, **more)
    torch.testing.assert_close(criterion(logits, target, **more), want, rtol=0, atol=0)
    torch.testing.assert_close(pickle.loads(pickle.dumps(criterion))(logits, target, **more), want)
    assert list(criterion.state_dict()) == ["weight"]
    assert "from_logits=True" in repr(criterion)
    default, function = module(from_logits=True), loss(logits, target, from_logits=True)
    torch.testing.assert_close(default(logits, target), function, rtol=0, atol=0)


def test_modules_refuse_at_once() -> None:
    for wrong in ({"smoothing": 1.0}, {}):
        with pytest.raises(TypeError):
            nn.DiceLoss(**wrong)
    with pytest.raises(TypeError, match=r"DiceLoss\(\) got an unexpected keyword argument 'alpha'"):
        nn.DiceLoss(from_logits=True, alpha=1.0)
    with pytest.raises(OptionError, match="task"):
        nn.LovaszLoss(from_logits=True, task="segmentation")
    with pytest.raises(OptionError, match="gamma"):
        nn.FocalTverskyLoss(from_logits=True, gamma=0.0)
    with pytest.raises(TypeError, match="use DiceLoss"):
        nn.OverlapLoss(from_logits=True)


@pytest.mark.parametrize("loss", [F.dice_loss, F.focal_tversky_loss, F.lovasz_loss])
def test_compiled_in_one_graph(loss: Loss) -> None:
    logits, target = drawn(2, 3, 6)
    target[0, 0] = -100
    logits.requires_grad_()
    torch._dynamo.reset()
    call = partial(loss, target=target, from_logits=True, per_image=True)
    value, want = torch.compile(call, fullgraph=True, backend="aot_eager")(logits), call(logits)
    torch.testing.assert_close(value, want)
    (grad,), (wanted,) = torch.autograd.grad(value, logits), torch.autograd.grad(want, logits)
    torch.testing.assert_close(grad, wanted)
