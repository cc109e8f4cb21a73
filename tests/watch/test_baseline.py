"""Baselines against oracles that minimise by hand, and what LH703 and LH704 find and leave alone."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import likelihead
from likelihead.watch.record import Record

Loss = Callable[[Tensor, Tensor], Tensor]


def descended(loss: Loss, shape: tuple[int, ...], targets: list[Tensor], size: tuple[int, ...]) -> float:
    """The least mean of the loss over the calls that a constant in float64 reaches, by Newton's method."""
    constant = torch.zeros(shape, dtype=torch.float64, requires_grad=True)
    steps = torch.optim.LBFGS([constant], max_iter=500, tolerance_grad=1e-10, line_search_fn="strong_wolfe")

    def total() -> Tensor:
        return torch.stack([loss(constant.expand(size), target) for target in targets]).sum()

    def closure() -> Tensor:
        steps.zero_grad()
        value = total()
        value.backward()
        return value

    steps.step(closure)
    return total().item() / len(targets)


G = torch.Generator().manual_seed(1)
INDEX = [torch.randint(3, (8,), generator=G) for _ in range(3)]
SOFT = [torch.rand(8, 3, generator=G, dtype=torch.float64).softmax(1) for _ in range(3)]
LABELS = [(torch.rand(8, 3, generator=G) < 0.3).double() for _ in range(3)]
NUMBERS = [torch.randn(8, 3, generator=G, dtype=torch.float64) + 5 for _ in range(3)]
WEIGHT = torch.tensor([0.5, 2.0, 1.0], dtype=torch.float64)

# Looked up at each call: what was imported before the watch is torch's own function.
# A weighted mean divides by another number in each call, so those are held against one call.
CASES: dict[str, tuple[Loss, list[Tensor]]] = {
    "classes": (lambda z, y: F.cross_entropy(z, y), INDEX),
    "sum": (lambda z, y: F.cross_entropy(z, y, reduction="sum"), INDEX),
    "none": (lambda z, y: F.cross_entropy(z, y, reduction="none", ignore_index=1).mean(), INDEX),
    "weight": (lambda z, y: F.cross_entropy(z, y, weight=WEIGHT), INDEX[:1]),
    "smoothing": (lambda z, y: F.cross_entropy(z, y, label_smoothing=0.2), INDEX),
    "both": (lambda z, y: F.cross_entropy(z, y, weight=WEIGHT, label_smoothing=0.2), INDEX[:1]),
    "ignored": (lambda z, y: F.cross_entropy(z, y, ignore_index=2), INDEX[:1]),
    "soft": (lambda z, y: F.cross_entropy(z, y, weight=WEIGHT, label_smoothing=0.1), SOFT),
    "log probabilities": (lambda z, y: F.nll_loss(z.log_softmax(1), y), INDEX),
    "labels": (lambda z, y: F.binary_cross_entropy_with_logits(z, y), LABELS),
    "labels summed": (lambda z, y: F.binary_cross_entropy_with_logits(z, y, reduction="sum"), LABELS),
    "pos_weight": (lambda z, y: F.binary_cross_entropy_with_logits(z, y, pos_weight=WEIGHT), LABELS),
    "element weight": (lambda z, y: F.binary_cross_entropy_with_logits(z, y, weight=WEIGHT), LABELS),
    "probabilities": (lambda z, y: F.binary_cross_entropy(z.sigmoid(), y), LABELS),
    "soft margin": (lambda z, y: F.soft_margin_loss(z, 2 * y - 1), LABELS),
    "multilabel": (lambda z, y: F.multilabel_soft_margin_loss(z, y, weight=WEIGHT), LABELS),
    "multilabel sum": (lambda z, y: F.multilabel_soft_margin_loss(z, y, reduction="sum"), LABELS),
    "squares": (lambda z, y: F.mse_loss(z, y), NUMBERS),
}


@pytest.mark.parametrize("name", CASES)
def test_the_baseline_is_the_least_that_a_constant_reaches(name: str) -> None:
    loss, targets = CASES[name]
    wanted = descended(loss, (3,), targets, (8, 3))
    with likelihead.watch(show=False) as w:
        for target in targets:
            loss(torch.randn(8, 3, dtype=torch.float64, requires_grad=True), target)
    (site,) = w.record.sites
    assert site.baseline == pytest.approx(wanted, rel=1e-6, abs=1e-9)


def test_gaussian() -> None:
    target = NUMBERS[0]
    mean, variance = target.mean(0), target.var(0, unbiased=False)
    wanted = float(0.5 * (math.log(2 * math.pi) + variance.log() + (target - mean) ** 2 / variance).mean())
    with likelihead.watch(show=False) as w:
        F.gaussian_nll_loss(torch.zeros(8, 3, dtype=torch.float64), target, torch.ones(8, 3), full=True)
    assert w.record.sites[0].baseline == pytest.approx(wanted, rel=1e-9)


@pytest.mark.parametrize("shape", [(4, 1, 256, 256), (400_000,), (150_000, 3)])
def test_of_very_many_targets_some_are_counted(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    target, weight = (torch.rand(shape) < 0.2).float(), torch.full((1,), 3.0)
    expected = -(0.6 * math.log(0.6 / 1.4) + 0.8 * math.log(0.8 / 1.4))
    with likelihead.watch(show=False) as w:
        F.binary_cross_entropy_with_logits(torch.zeros(shape), target, pos_weight=weight)
        F.binary_cross_entropy_with_logits(torch.zeros(shape), target, pos_weight=weight, reduction="sum")
        F.mse_loss(torch.zeros(shape), target, reduction="sum")
        F.cross_entropy(torch.zeros(target.numel(), 2), target.flatten().long(), reduction="sum")
    mean, total, squares, classes = [site.baseline for site in w.record.sites]
    assert mean == pytest.approx(expected, rel=0.02)
    assert total == pytest.approx(expected * target.numel(), rel=0.02)
    assert squares == pytest.approx(0.16 * target.numel(), rel=0.02)
    assert classes == pytest.approx(0.5004 * target.numel(), rel=0.02)


def test_options_that_change_and_losses_without_a_known_constant_have_none() -> None:
    z = torch.randn(8, 3)
    with likelihead.watch(show=False) as w:
        for smoothing in (0.0, 0.1):
            F.cross_entropy(z, INDEX[0], label_smoothing=smoothing)
        F.l1_loss(z, z + 1)
        F.huber_loss(z, z + 1)
    assert [site.baseline for site in w.record.sites] == [None, None, None]


# -- the first loss ---------------------------------------------------------------------------------------


def codes(record: Record) -> list[str]:
    return [f.code for f in record.findings if f.code in ("LH703", "LH704")]


def first(classes: int, scale: float, share: float | None, seed: int, binary: bool = False) -> Record:
    """Ten steps of a small network on inputs of variance one; ``share`` is that of the first class."""
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(20, 64), nn.ReLU(), nn.Linear(64, 1 if binary else classes))
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    with likelihead.watch(show=False) as w:
        for _ in range(10):
            target = torch.randint(classes, (128,))
            if share is not None:
                target = torch.where(torch.rand(128) < share, 0, torch.randint(1, classes, (128,)))
            logits = scale * model(torch.randn(128, 20))
            if binary:
                loss = F.binary_cross_entropy_with_logits(logits.squeeze(1), target.float())
            else:
                loss = F.cross_entropy(logits, target)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return w.record


@pytest.mark.parametrize("seed", range(20))
def test_an_ordinary_first_loss_is_silent(seed: int) -> None:
    for classes in (2, 10, 1000):
        assert not codes(first(classes, 1.0, None, seed))
    assert not codes(first(5, 1.0, 0.8, seed))  # mostly background
    assert not codes(first(2, 1.0, 0.9, seed, binary=True))


@pytest.mark.parametrize("seed", range(20))
def test_a_wrong_scale_and_a_rare_class_are_found(seed: int) -> None:
    (wrong,) = [f for f in first(10, 50.0, None, seed).findings if f.code == "LH703"]
    assert wrong.values["first_loss"] > wrong.values["allowed"] > wrong.values["uniform"]  # type: ignore[operator]
    assert wrong.values["uniform"] == pytest.approx(math.log(10))
    (rare,) = [f for f in first(2, 1.0, 0.985, seed, binary=True).findings if f.code == "LH703"]
    assert rare.values["first_loss"] > 4 * rare.values["baseline"]  # type: ignore[operator]


def test_a_few_targets_do_not_make_a_class_rare() -> None:
    torch.manual_seed(0)
    target = torch.zeros(64)
    target[0] = 1  # the baseline of these is 0.08, a ninth of the first loss, but they are 64
    for times, found in ((1, []), (40, ["LH703"])):
        with likelihead.watch(show=False) as w:
            for _ in range(times):
                F.binary_cross_entropy_with_logits(torch.zeros(64, requires_grad=True), target.roll(5))
        assert codes(w.record) == found


@pytest.mark.parametrize(("count", "classes"), [(2, 200), (4, 300), (6, 5000)])
def test_a_few_targets_of_many_classes_say_nothing_of_their_frequencies(count: int, classes: int) -> None:
    with likelihead.watch(show=False) as w:
        F.cross_entropy(torch.zeros(count, classes, requires_grad=True), 7 * torch.arange(count))
    assert codes(w.record) == []


@pytest.mark.parametrize("how", ["data", "a model"])
def test_every_call_before_the_first_gradient_counts(how: str) -> None:
    torch.manual_seed(0)
    maps, model = torch.randn(6, 4), nn.Linear(6, 4)
    teacher = model if how == "a model" else nn.Identity()
    with likelihead.watch(show=False) as w:
        for _ in range(3):
            x = torch.randn(64, 6)
            target = (teacher(x) if how == "a model" else x @ maps).argmax(1)
            for scale, wanted in ((1, target), (100, target.roll(1))):  # mixed up, as by mixup
                loss = F.cross_entropy(scale * model(x), wanted)
            loss.backward()
    assert codes(w.record) == ([] if how == "a model" else ["LH703"])


@pytest.mark.parametrize(
    ("loss", "shape", "target"),
    [
        (F.cross_entropy, (0, 3), torch.zeros(0, dtype=torch.long)),
        (F.cross_entropy, (0, 3), torch.zeros(0, 3)),
        (F.binary_cross_entropy_with_logits, (0, 3), torch.zeros(0, 3)),
        (F.mse_loss, (0,), torch.zeros(0)),
    ],
)
def test_an_empty_batch_has_no_targets(
    loss: Callable[..., Tensor], shape: tuple[int, ...], target: Tensor
) -> None:
    with likelihead.watch(show=False) as w:
        loss(torch.zeros(shape, requires_grad=True), target).backward()
    assert not w.record.notes
    assert codes(w.record) == []


# -- never below ------------------------------------------------------------------------------------------

Data = tuple[Tensor, Tensor]


def data(seed: int, classes: int = 3) -> Data:
    torch.manual_seed(seed)
    x = torch.randn(2048, 8)
    return x, (x @ torch.randn(8, classes)).argmax(1)


def train(x: Tensor, y: Tensor, *, lr: float = 0.05, steps: int = 150, how: str = "") -> Record:
    model = nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 3))
    optimizer = torch.optim.SGD(model.parameters(), lr=lr, momentum=0.9)
    with likelihead.watch(show=False) as w:
        for _ in range(steps):
            rows = torch.randint(len(x), (64,))
            target = torch.randint(3, (64,)) if how == "shuffled" else y[rows]
            logits = model(x[rows])
            optimizer.zero_grad()
            loss = F.cross_entropy(
                logits.detach() if how == "cut off" else logits, target,
                label_smoothing=0.1 if how == "smoothed" else 0.0,
                reduction="none" if how == "weighted later" else "mean",
            )  # fmt: skip
            if how != "cut off":
                (loss if loss.dim() == 0 else loss.mean()).backward()
            optimizer.step()
    return w.record


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("what", ["rate 0", "shuffled", "cut off", "zeros"])
def test_a_loss_that_never_falls_below_is_found(what: str, seed: int) -> None:
    x, y = data(seed)
    x = torch.zeros_like(x) if what == "zeros" else x
    record = train(x, y, lr=0.0 if what == "rate 0" else 0.05, how=what)
    (found,) = [f for f in record.findings if f.code == "LH704"]
    assert found.values["standard_error"] < 0.015 * found.values["baseline"]  # type: ignore[operator]
    assert found.values["loss"] > found.values["baseline"] - 2 * found.values["standard_error"]  # type: ignore[operator]


@pytest.mark.parametrize("seed", range(20))
def test_what_learns_is_silent(seed: int) -> None:
    x, y = data(seed)
    noisy = torch.where(torch.rand(len(y)) < 0.4, torch.randint(3, y.shape), y)
    assert not codes(train(x, noisy))


@pytest.mark.parametrize("what", ["smoothed", "weighted later", "short", "still falling"])
def test_look_alikes_are_silent(what: str) -> None:
    x, y = data(0)
    if what == "still falling":
        y = torch.zeros_like(y)
        y[:1024] = 1  # two classes of three: the bias has to be learnt, slowly
        x = torch.zeros_like(x)
        assert not codes(train(x, y, lr=3e-4))
        return
    frozen = what in ("weighted later", "short")
    assert not codes(train(x, y, lr=0.0 if frozen else 0.05, steps=60 if what == "short" else 150, how=what))


@pytest.mark.parametrize("what", ["adversary", "contrastive", "beside", "actions", "moving numbers"])
def test_targets_that_are_no_data_are_silent(what: str) -> None:
    torch.manual_seed(0)
    head = nn.Linear(4, 16)
    optimizer = torch.optim.SGD(head.parameters(), lr=0.0)
    with likelihead.watch(show=False) as w:
        for step in range(150):
            z = head(torch.randn(16, 4))
            if what == "adversary":
                loss = F.binary_cross_entropy_with_logits(z[:, 0], torch.full((16,), float(step % 2)))
            elif what == "contrastive":
                loss = F.cross_entropy(z, torch.arange(16))
            elif what == "actions":
                loss = F.cross_entropy(z[:1], torch.randint(16, (1,)))
            elif what == "moving numbers":
                loss = F.mse_loss(z, torch.randn(16, 16))
            else:
                loss = F.cross_entropy(z, torch.randint(16, (16,)))
                loss = loss if step % 2 else -loss
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    assert not codes(w.record)
