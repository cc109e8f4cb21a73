"""Numbers that are wrong in an input or a target, and those that only look wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import likelihead
from likelihead.watch.session import Session
from watch.examples import FORMS, MODES, Example, numbers, raised, watched

N, C = 8, 5
NAN, INF = float("nan"), float("inf")
LOGITS = numbers(N, C) * 2
PROBS = LOGITS.softmax(1)
LOG_PROBS = LOGITS.log_softmax(1)
Y = torch.arange(N) % C
YES = (torch.arange(N) % 2).float()
FLAT = numbers(N)
ONE_HOT = F.one_hot(Y, C).float()
MANY = (numbers(N, C, seed=3) > 0).float()
BCE, LOGITS_BCE = "binary_cross_entropy", "binary_cross_entropy_with_logits"


def holding(value: float, values: Tensor, row: int = 2) -> Tensor:
    changed = values.clone()
    changed.view(N, -1)[row, 0] = value
    return changed


WRONG: dict[str, tuple[str, Example]] = {
    "probabilities": ("LH101", Example("cross_entropy", PROBS, Y)),
    "probabilities of pictures": (
        "LH101",
        Example("cross_entropy", numbers(2, C, 3, 3).softmax(1), torch.arange(18).reshape(2, 3, 3) % C),
    ),
    "probabilities in bfloat16": ("LH101", Example("cross_entropy", PROBS.bfloat16(), Y)),
    "probabilities into NLL": ("LH104", Example("nll_loss", PROBS, Y)),
    "probabilities of steps into NLL": (
        "LH104",
        Example("nll_loss", numbers(4, C, 3).softmax(1), torch.arange(12).reshape(4, 3) % C),
    ),
    "logits into NLL": ("LH105", Example("nll_loss", LOGITS, Y)),
    "logits of steps into NLL": (
        "LH105",
        Example("nll_loss", numbers(4, 3, C).transpose(1, 2), torch.arange(12).reshape(4, 3) % C),
    ),
    "logits into BCE": ("LH108", Example(BCE, FLAT, YES)),
    "one-hot": ("LH201", Example("cross_entropy", LOGITS, ONE_HOT)),
    "one too high": ("LH203", Example("cross_entropy", LOGITS, Y + 1)),
    "one too low": ("LH203", Example("cross_entropy", LOGITS, Y - 1)),
    "padding that is not ignored": ("LH203", Example("cross_entropy", LOGITS, Y.where(Y > 0, 255))),
    "one too high into NLL": ("LH203", Example("nll_loss", LOG_PROBS, Y + 1)),
    "many labels": ("LH204", Example("cross_entropy", LOGITS, MANY)),
    "votes": ("LH205", Example("cross_entropy", LOGITS, PROBS * torch.arange(1, N + 1)[:, None])),
    "labels of -1 and 1": ("LH207", Example(LOGITS_BCE, FLAT, YES * 2 - 1)),
    "8-bit masks": ("LH207", Example(LOGITS_BCE, FLAT, YES * 255)),
    "labels of -1 and 1 beside probabilities": ("LH207", Example(BCE, FLAT.sigmoid(), YES * 2 - 1)),
    "labels of 1 and 2": ("LH207", Example("multilabel_soft_margin_loss", LOGITS, MANY + 1)),
    "soft classes last": (
        "LH301",
        Example("cross_entropy", numbers(2, 4, 7), numbers(2, 4, 7, seed=1).softmax(-1)),
    ),
    "nothing left": ("LH402", Example("cross_entropy", LOGITS, torch.full((N,), -100))),
    "nothing but padding": ("LH402", Example("nll_loss", LOG_PROBS, Y * 0, {"ignore_index": 0})),
    "NaN": ("LH801", Example("cross_entropy", holding(NAN, LOGITS), Y)),
    "infinity": ("LH801", Example("cross_entropy", holding(INF, LOGITS), Y)),
    "NaN into NLL": ("LH801", Example("nll_loss", holding(NAN, LOG_PROBS), Y * 0)),
    "NaN beside labels": ("LH801", Example(LOGITS_BCE, holding(NAN, FLAT), YES)),
    "NaN in labels": ("LH801", Example(LOGITS_BCE, FLAT, holding(NAN, YES))),
    "-inf beside labels": ("LH801", Example(LOGITS_BCE, holding(-INF, FLAT), YES)),
    "NaN for a probability": ("LH801", Example(BCE, holding(NAN, FLAT.sigmoid()), YES)),
    "NaN in labels beside probabilities": ("LH801", Example(BCE, FLAT.sigmoid(), holding(NAN, YES))),
    "NaN in a soft target": ("LH801", Example("cross_entropy", LOGITS, holding(NAN, PROBS))),
    "NaN for a number": ("LH801", Example("mse_loss", holding(NAN, LOGITS), LOGITS)),
    "NaN as wanted number": ("LH801", Example("mse_loss", LOGITS, holding(NAN, LOGITS))),
    "infinity as wanted number": ("LH801", Example("l1_loss", LOGITS, holding(INF, LOGITS))),
    "the target's class masked": ("LH801", Example("cross_entropy", holding(-INF, LOGITS, row=0), Y)),
    "every class masked": (
        "LH801",
        Example("cross_entropy", LOGITS.masked_fill(Y[:, None] == 1, -INF), Y),
    ),
    "every loss NaN": ("LH801", Example("mse_loss", LOGITS * NAN, LOGITS, {"reduction": "none"})),
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_call_is_told_once(name: str, form: str, mode: str) -> None:
    code, example = WRONG[name]
    seen = watched(lambda: example.call(form), mode)
    assert seen.codes == [code]
    finding = next(one for one in seen.record.findings if one.code == code)
    assert finding.at.file.endswith("examples.py")
    assert (finding.step, finding.count) == (0, 1)
    bare = raised(lambda: example.call(form), mode)
    assert (type(seen.error), str(seen.error)) == (type(bare), str(bare))


RIGHT: dict[str, Example] = {
    "logits": Example("cross_entropy", LOGITS, Y),
    "logits of a saturated model": Example("cross_entropy", 60 * ONE_HOT - 30, Y),
    "logits in bounds": Example("cross_entropy", LOGITS.sigmoid(), Y),  # nothing says what these are
    "three rows that sum to one": Example("cross_entropy", PROBS[:3], Y[:3]),
    "masked classes": Example("cross_entropy", LOGITS.masked_fill(ONE_HOT.roll(1, 1) > 0, -INF), Y),
    "log-probabilities": Example("nll_loss", LOG_PROBS, Y),
    "log-probabilities in bfloat16": Example("nll_loss", LOG_PROBS.bfloat16(), Y),
    "a rounded log-probability": Example("nll_loss", (60 * ONE_HOT).log_softmax(1) + 5e-4, Y),
    "log-probabilities times a number": Example("nll_loss", LOG_PROBS * 3, Y),
    "log-probabilities with their sign turned": Example("nll_loss", -LOG_PROBS, Y),
    "logits picked": Example("nll_loss", LOGITS, Y, {"reduction": "none"}),
    "probabilities picked": Example("nll_loss", PROBS, Y, {"reduction": "none"}),
    "soft targets": Example("cross_entropy", LOGITS, PROBS),
    "soft targets of a teacher in bfloat16": Example("cross_entropy", LOGITS, PROBS.bfloat16().float()),
    "smoothed": Example("cross_entropy", LOGITS, ONE_HOT * 0.9 + 0.1 / C),
    "mixed": Example("cross_entropy", LOGITS, 0.3 * ONE_HOT + 0.7 * ONE_HOT.flip(0)),
    "rows of zeros beside soft ones": Example("cross_entropy", LOGITS, PROBS * (YES[:, None])),
    "rows weighed by hand": Example("cross_entropy", LOGITS, ONE_HOT * (YES[:, None] + 0.5)),
    "policy gradient": Example("cross_entropy", LOGITS, ONE_HOT * FLAT[:, None]),
    "votes, masked later": Example("cross_entropy", LOGITS, torch.cat([PROBS[:4], 2 * PROBS[4:]]),
                                   {"reduction": "none"}),
    "doubly stochastic": Example("cross_entropy", numbers(2, 4, 4), torch.full((2, 4, 4), 0.25)),
    "ignored index": Example("cross_entropy", LOGITS, Y.where(Y > 0, -100)),
    "ignored index beyond the classes": Example("cross_entropy", LOGITS, Y.where(Y > 0, 255),
                                                {"ignore_index": 255}),
    "all ignored, summed": Example("cross_entropy", LOGITS, torch.full((N,), -100), {"reduction": "sum"}),
    "all ignored, not reduced": Example("cross_entropy", LOGITS, torch.full((N,), -100),
                                        {"reduction": "none"}),
    "labels": Example(LOGITS_BCE, LOGITS, MANY),
    "soft labels": Example(LOGITS_BCE, FLAT, FLAT.sigmoid()),
    "interpolated labels": Example(LOGITS_BCE, FLAT, YES * 1.004),
    "labels of -1 that weigh nothing": Example(LOGITS_BCE, FLAT, YES.where(YES > 0, -1.0), {"weight": YES}),
    "labels of -1, masked later": Example(LOGITS_BCE, FLAT, YES * 2 - 1, {"reduction": "none"}),
    "margins": Example("soft_margin_loss", FLAT, YES * 2 - 1),
    "NaN, masked later": Example("mse_loss", LOGITS, holding(NAN, LOGITS), {"reduction": "none"}),
    "all NaN as wanted, masked later": Example("mse_loss", LOGITS, LOGITS * NAN, {"reduction": "none"}),
    "numbers": Example("mse_loss", LOGITS, LOGITS * 1e6),
    "counts": Example("poisson_nll_loss", FLAT, YES * 40),
    "zeros in a distribution": Example("kl_div", LOG_PROBS, ONE_HOT, {"reduction": "batchmean"}),
}  # fmt: skip


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", RIGHT)
def test_a_right_call_is_silent(name: str, form: str, mode: str) -> None:
    seen = watched(lambda: RIGHT[name].call(form), mode)
    assert seen.error is None
    assert seen.codes == []


# -- what one call cannot know ---------------------------------------------------------------------------


def energies() -> Tensor:
    """An energy-based model whose logits were scaled: nothing is known of how they were made."""
    return nn.Linear(3, C)(numbers(N, 3)) / 2


def energy_loss(energy: Tensor) -> Tensor:
    return F.nll_loss(energy, Y) + energy.logsumexp(1).mean()


def logsumexp_first(energy: Tensor) -> Tensor:
    return energy.logsumexp(1).mean() + F.nll_loss(energy, Y)


@pytest.mark.parametrize("loss", [energy_loss, logsumexp_first])
def test_an_nll_picks_entries_where_its_log_sum_exp_is_elsewhere(loss: Callable[[Tensor], Tensor]) -> None:
    def program() -> None:
        for _ in range(3):
            loss(energies()).backward()
            energy = energies()
            torch.autograd.grad(loss(energy), energy)
            with torch.no_grad():
                loss(energies())

    assert watched(program).codes == []


def test_logits_into_nll_are_told_before_the_backward_pass_begins() -> None:
    session = Session().start()
    try:
        loss = F.nll_loss(energies(), Y)
        assert not session.findings
        loss.backward()
        (finding,) = session.findings.values()
    finally:
        session.finish()
    assert (finding.code, finding.count) == ("LH105", 1)


def test_one_hot_is_told_of_lines_that_never_mix() -> None:
    def mixup() -> None:
        for step in range(4):
            target = ONE_HOT if step % 2 else 0.5 * ONE_HOT + 0.5 * ONE_HOT.flip(0)
            F.cross_entropy(LOGITS, target)

    def plain() -> None:
        for _ in range(4):
            F.cross_entropy(LOGITS, ONE_HOT)

    assert watched(mixup).codes == []
    seen = watched(plain)
    assert seen.codes == ["LH201"]
    assert "each of the 4 calls" in seen.record.findings[0].detail


def test_rows_that_sum_to_one_are_gathered_over_calls_until_there_are_enough() -> None:
    def single() -> None:
        for row in range(N):
            F.cross_entropy(PROBS[row : row + 1], Y[row : row + 1])

    def but_one() -> None:
        F.cross_entropy(LOGITS[:1], Y[:1])
        single()

    assert watched(single).codes == ["LH101"]

    def mixed() -> None:
        for row in range(N):
            F.cross_entropy((LOGITS if row == 2 else PROBS)[row : row + 1], Y[row : row + 1])

    assert watched(mixed).codes == []


def test_an_example_that_does_not_count_may_hold_anything() -> None:
    weight = torch.ones(N)
    weight[2] = 0
    functional = likelihead.functional

    def program() -> None:
        functional.cross_entropy(LOGITS, holding(2.0, PROBS), sample_weight=weight)
        functional.binary_cross_entropy_with_logits(FLAT, holding(-1, YES), sample_weight=weight)

    seen = watched(program)
    assert seen.error is None
    assert seen.codes == []


OF_ITS_OWN: dict[str, Callable[[], Any]] = {
    "division": lambda: F.cross_entropy(LOGITS, Y, weight=torch.zeros(C)),
    "overflow": lambda: F.mse_loss(LOGITS * 1e30, LOGITS),
    "logarithm": lambda: F.gaussian_nll_loss(LOGITS, LOGITS, torch.zeros(N, C), eps=0),
}


@pytest.mark.parametrize("name", OF_ITS_OWN)
def test_a_loss_that_is_no_number_for_a_reason_of_its_own_is_a_note(name: str) -> None:
    seen = watched(OF_ITS_OWN[name])
    assert seen.codes == []
    assert "finite: an overflow" in seen.notes["non-finite"]


def test_findings_say_what_the_tensors_held() -> None:
    def details(program: Callable[[], Any]) -> tuple[str, dict[str, Any]]:
        (finding,) = watched(program).record.findings
        return finding.detail, dict(finding.values)

    text, values = details(lambda: F.nll_loss(LOGITS, Y))
    assert values["largest"] == pytest.approx(float(LOGITS.max()))
    assert values["share_positive"] == pytest.approx(float((LOGITS > 1e-3).float().mean()))
    assert f"{float(LOGITS.max()):.6g}" in text
    text, values = details(lambda: F.cross_entropy(LOGITS, MANY))
    rows = int((MANY.sum(1) > 1).sum())
    assert text == f"The target [8, 5] holds more than one 1 in {rows} of 8 rows."
    assert values == {"rows": rows}
    text, values = details(lambda: F.binary_cross_entropy_with_logits(FLAT, YES * 2 - 1))
    assert (values["smallest"], values["largest"], values["share_outside"]) == (-1, 1, 0.5)
    text, values = details(lambda: F.mse_loss(holding(NAN, LOGITS), LOGITS))
    assert text == "The input holds NaN in 1 of 40 values."
    text, values = details(lambda: F.cross_entropy(LOGITS, torch.full((N,), -100)))
    assert text == "All 8 targets are ignore_index=-100."
    text, values = details(lambda: F.cross_entropy(LOGITS, PROBS * torch.arange(1, N + 1)[:, None]))
    assert text.startswith(
        "The target [8, 5] has 7 of 8 rows that do not sum to one; the sums go from 1 to 8"
    )


def test_one_nan_in_many_is_told_though_it_is_not_counted() -> None:
    values = torch.zeros(1 << 23, dtype=torch.bfloat16)
    values[1] = NAN
    seen = watched(lambda: F.mse_loss(values, torch.zeros_like(values)))
    assert seen.codes == ["LH801"]
    assert seen.record.findings[0].detail == "The input holds NaN."
    assert "non-finite" not in seen.notes
