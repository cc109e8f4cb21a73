"""What is told of a run beside its hazards: the sites, their curves and class counts, and the notes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from likelihead.watch.record import Record, Site
from likelihead.watch.session import Session
from watch.examples import Seen, numbers, watched

N, C = 40, 4
X, Y = numbers(N, 3), torch.arange(N) % C
YES = (torch.arange(N) % 2).float()


def training(loss: Callable[[Tensor, int], Tensor], outputs: int = C, steps: int = 6) -> Record:
    """Some steps of a small model."""
    torch.manual_seed(0)
    model = nn.Linear(3, outputs)
    optimizer = torch.optim.SGD(model.parameters(), 0.5)
    session = Session().start()
    try:
        for step in range(steps):
            optimizer.zero_grad()
            loss(model(X), step).backward()
            optimizer.step()
    finally:
        record = session.finish()
    assert "fault" not in notes(record)
    return record


def notes(record: Record) -> dict[str, str]:
    return Seen(record, None).notes


def site(record: Record) -> Site:
    (only,) = record.sites
    return only


def test_entropy_and_loss_over_the_steps() -> None:
    kept: list[tuple[float, float]] = []

    def loss(logits: Tensor, step: int) -> Tensor:
        value = F.cross_entropy(logits, Y)
        wide = logits.detach().double()
        probs = wide.exp() / wide.exp().sum(1, keepdim=True)
        kept.append((float(value.detach()), float(-(probs * probs.log()).sum(1).mean())))
        return value

    found = site(training(loss))
    assert found.loss.steps == found.entropy.steps == list(range(6))
    assert found.loss.values == [value for value, _ in kept]
    assert found.entropy.values == pytest.approx([value for _, value in kept], rel=1e-5)
    assert (found.first_loss, found.last_loss) == (kept[0][0], kept[-1][0])
    assert (found.calls, found.looked_at) == (6, 6)


def test_a_site_in_words() -> None:
    record = training(lambda logits, _: F.cross_entropy(logits, Y, label_smoothing=0.1), steps=1)
    found = site(record)
    assert found.went_in == "layer, float32 [40, 4]"
    assert found.target == "int64 [40]"
    assert found.options["label_smoothing"] == "0.1"
    assert (found.reduction, found.device, found.fits) == ("mean", "cpu", True)
    assert found.made_at is not None


def test_class_counts_over_the_run_and_a_label_never_seen() -> None:
    def loss(logits: Tensor, step: int) -> Tensor:
        target = Y.where(Y != 2, -100)
        return F.cross_entropy(logits, target.roll(step))

    record = training(loss)
    classes = site(record).classes
    assert classes is not None
    assert (classes.classes, classes.counts) == (4, {0: 60, 1: 60, 3: 60})
    assert (classes.ignored, classes.unseen, classes.unseen_count) == (60, [2], 1)
    assert (
        "1 of 4 classes never occur (2) among the 180 targets of the 6 calls" in notes(record)["unseen-label"]
    )
    few = training(lambda logits, _: F.cross_entropy(logits[:5], Y[:5] // 2), steps=3)
    assert site(few).classes is not None
    assert "unseen-label" not in notes(few)  # 15 targets say little of 4 classes


def test_a_class_is_seen_if_it_ever_was() -> None:
    record = training(lambda logits, step: F.cross_entropy(logits, Y.clamp(max=2 + step // 5)))
    assert "unseen-label" not in notes(record)


def test_labels_are_counted_for_each_and_one_label_as_yes_and_no() -> None:
    record = training(
        lambda logits, _: F.binary_cross_entropy_with_logits(logits, F.one_hot(Y, C).float()), steps=2
    )
    classes = site(record).classes
    assert classes is not None
    assert (classes.classes, classes.counts) == (4, dict.fromkeys(range(4), 20))
    single = site(training(lambda z, _: F.binary_cross_entropy_with_logits(z[:, 0], YES), outputs=1, steps=2))
    assert single.classes is not None
    assert single.classes.counts == {0: 40, 1: 40}
    soft = site(training(lambda z, _: F.binary_cross_entropy_with_logits(z[:, 0], YES * 0.9), outputs=1))
    assert soft.classes is None  # no counts of anything


def test_a_single_label_is_told_unless_another_line_has_the_other() -> None:
    def adversaries(logits: Tensor, step: int) -> Tensor:
        real = F.binary_cross_entropy_with_logits(logits[:20], torch.ones(20, 1))
        fake = F.binary_cross_entropy_with_logits(logits[20:], torch.zeros(20, 1))
        return real + fake

    assert "unseen-label" not in notes(training(adversaries, outputs=1))
    alone = training(lambda z, _: F.binary_cross_entropy_with_logits(z, torch.ones(N, 1)), outputs=1)
    assert "(0)" in notes(alone)["unseen-label"]


def test_predictions_that_are_certain_before_anything_was_learnt() -> None:
    record = training(lambda logits, _: F.cross_entropy(logits * 500, Y), steps=1)
    assert site(record).saturated is not None
    assert site(record).saturated > 0.8
    assert "before" not in notes(record)["saturation"]
    assert "look at their scale" in notes(record)["saturation"]
    right = training(lambda logits, _: F.cross_entropy(logits + 60 * F.one_hot(Y, C), Y), steps=1)
    assert site(right).saturated == 1
    assert "saturation" not in notes(right)  # and right: a model that was trained before


def test_probabilities_that_pass_no_gradient_on() -> None:
    record = training(lambda z, _: F.binary_cross_entropy((z * 100).sigmoid()[:, 0], YES), outputs=1, steps=1)
    assert "a sigmoid passes on no gradient" in " ".join(notes(record)["saturation"].split())
    mild = training(lambda z, _: F.binary_cross_entropy(z.sigmoid()[:, 0], YES), outputs=1, steps=1)
    assert "saturation" not in notes(mild)


def test_the_gradient_of_confident_mistakes() -> None:
    def loss(scale: float) -> Callable[[Tensor, int], Tensor]:
        wrong = F.one_hot((Y + (torch.arange(N) < 10)) % C, C)
        return lambda logits, _: F.cross_entropy(logits * 0.01 + scale * wrong, Y)

    record = training(loss(8))
    share = site(record).confident_wrong
    assert share is not None
    assert share > 0.9
    assert "make up" in notes(record)["confident"]
    assert "confident" not in notes(training(loss(8), steps=4))  # too few to say so
    assert "confident" not in notes(training(loss(0.1)))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_a_loss_below_float32(dtype: torch.dtype) -> None:
    value = float(F.cross_entropy(numbers(N, C).to(dtype), Y))
    seen = watched(lambda: F.cross_entropy(numbers(N, C).to(dtype), Y))
    text = seen.notes["dtype"]
    above = torch.nextafter(torch.tensor(value, dtype=dtype), torch.tensor(10.0, dtype=dtype))
    assert f"computed in {str(dtype).removeprefix('torch.')}" in text
    assert f"next to {value:.4g} the nearest numbers are {float(above) - value:.2g} apart" in text


def test_autocast_computes_losses_in_float32() -> None:
    def program() -> None:
        with torch.autocast("cpu", torch.bfloat16):
            F.cross_entropy(nn.Linear(3, C)(X), Y)

    assert watched(program).notes == {}


EVALUATIONS: dict[str, Callable[[], Any]] = {
    "saturated": lambda: F.cross_entropy(500 * numbers(N, C), Y),
    "probabilities": lambda: F.binary_cross_entropy((100 * numbers(N)).sigmoid(), YES),
    "single label": lambda: F.cross_entropy(numbers(8 * N, C), torch.zeros(8 * N, dtype=torch.long)),
}


@pytest.mark.parametrize("name", EVALUATIONS)
def test_an_evaluation_is_not_lectured(name: str) -> None:
    assert watched(EVALUATIONS[name], "no_grad").notes == {}
