"""Small programs with one hazard on the link, and those that look like one: the code with both its places."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from likelihead import functional, guard
from likelihead.watch.checks import link, prediction
from likelihead.watch.record import Finding, Record
from likelihead.watch.session import Session
from likelihead.watch.tags import Tag

N, C = 8, 5
HEAD = nn.Linear(6, C)
HEAD2 = nn.Linear(6, C)
X = torch.randn(N, 6, generator=torch.Generator().manual_seed(0))
Y = torch.arange(N) % C
T = torch.rand(N, C, generator=torch.Generator().manual_seed(1))

MODES: dict[str, Callable[[], AbstractContextManager[Any]]] = {
    "grad": torch.enable_grad,
    "no_grad": torch.no_grad,
    "inference": torch.inference_mode,
}


def watched(program: Callable[[], Any], mode: str = "grad") -> Record:
    session = Session().start()
    try:
        with MODES[mode]():
            program()
    finally:
        record = session.finish()
    assert [note.text for note in record.notes if note.kind == "fault"] == []
    return record


def seen(program: Callable[[], Any], mode: str = "grad") -> list[Finding]:
    return [finding for finding in watched(program, mode).findings if finding.code.startswith("LH1")]


# Each program makes its input in a line that ends in `# made` and is reported at that with `# here`.


def lh101() -> None:
    probs = HEAD(X).softmax(1)  # made
    F.cross_entropy(probs, Y)  # here


def lh101_of_an_average() -> None:
    first = F.softmax(HEAD(X), dim=-1)  # made
    mean = torch.stack([first, F.softmax(HEAD2(X), dim=-1)]).mean(0)
    nn.CrossEntropyLoss()(mean, Y)  # here


def lh101_in_segmentation() -> None:
    probs = HEAD(X).reshape(2, 4, C).permute(0, 2, 1).softmax(1)  # made
    F.cross_entropy(probs.contiguous(), Y.reshape(2, 4))  # here


def lh102() -> None:
    probs = torch.sigmoid(HEAD(X))  # made
    F.cross_entropy(probs[:4], Y[:4])  # here


def lh103() -> None:
    log_probs = HEAD(X).log_softmax(-1)  # made
    F.cross_entropy(log_probs, Y)  # here


def lh104() -> None:
    probs = HEAD(X).log_softmax(1).exp()  # made
    F.nll_loss(probs, Y)  # here


def lh105() -> None:
    logits = HEAD(X)  # made
    F.nll_loss(logits, Y)  # here


def lh105_beside_a_prediction() -> None:
    logits = HEAD(X)  # made
    logits.softmax(1).argmax(1)
    F.nll_loss(logits, Y, reduction="sum")  # here


def lh106() -> None:
    probs = HEAD(X).sigmoid_()  # made
    F.binary_cross_entropy_with_logits(probs, T)  # here


def lh106_multilabel() -> None:
    probs = torch.special.expit(HEAD(X))  # made
    F.multilabel_soft_margin_loss(probs, T.round())  # here


def lh107() -> None:
    probs = HEAD(X).softmax(1)  # made
    F.binary_cross_entropy_with_logits(probs, T)  # here


POSITIVE = nn.Linear(6, C)  # whose outputs torch's loss does not refuse
nn.init.zeros_(POSITIVE.weight)
nn.init.constant_(POSITIVE.bias, 0.5)


def lh103_of_some_rows() -> None:
    log_probs = HEAD(X).log_softmax(1)  # made
    F.cross_entropy(log_probs[1:6], Y[1:6])  # here


def lh103_into_a_language_model_loss() -> None:
    log_probs = HEAD(X).log_softmax(-1)[None]  # made
    with guard("off"):
        functional.language_model_loss(log_probs, Y[None], shift=False)  # here


def lh101_into_a_language_model_loss() -> None:
    probs = HEAD(X).softmax(-1)[None]  # made
    with guard("off"):
        functional.language_model_loss(probs, Y[None], shift=False)  # here


def lh108_within_the_range() -> None:
    scores = POSITIVE(X)  # made
    F.binary_cross_entropy(scores, T)  # here


def lh112_in_a_text() -> None:
    log_probs = HEAD(X).view(2, 4, C).log_softmax(0)  # made
    F.nll_loss(log_probs.flatten(0, 1), Y)  # here


def lh112_masked_later() -> None:
    log_probs = HEAD(X).log_softmax(0)  # made
    F.nll_loss(log_probs, Y, reduction="none")  # here


def lh112_in_a_distillation() -> None:
    log_probs = HEAD(X).log_softmax(0)  # made
    F.kl_div(log_probs, HEAD2(X).softmax(1), reduction="batchmean")  # here


def lh109() -> None:
    probs = HEAD(X).sigmoid()  # made
    F.binary_cross_entropy(probs.clamp(1e-7, 1 - 1e-7), T)  # here


def lh110() -> None:
    log_probs = HEAD(X).softmax(1).log()  # made
    F.nll_loss(log_probs, Y)  # here


def lh112() -> None:
    log_probs = HEAD(X).log_softmax(0)  # made
    F.nll_loss(log_probs, Y)  # here


def lh112_of_some_rows() -> None:
    log_probs = HEAD(X).log_softmax(0)  # made
    F.nll_loss(log_probs[Y > 1], Y[Y > 1])  # here


def lh112_of_the_first_rows() -> None:
    log_probs = HEAD(X).log_softmax(0)  # made
    F.nll_loss(log_probs[:4], Y[:4])  # here


def lh114_softmax() -> None:
    log_probs = HEAD(X).log_softmax(1)  # made
    F.softmax(log_probs, dim=-1)  # here


def lh114_sigmoid() -> None:
    log_probs = HEAD(X).log_softmax(1)  # made
    torch.sigmoid(log_probs)  # here


def lh114_of_some_rows() -> None:
    log_probs = HEAD(X).log_softmax(1)  # made
    log_probs[1:6].softmax(1)  # here


def lh114_of_collected_logits() -> None:
    outputs = [HEAD(X[:4]), HEAD(X[4:])]  # made
    logits = torch.cat(outputs)
    F.cross_entropy(logits, Y)
    probs = logits.exp()  # here
    probs.amax(dim=1)


def lh114_exp() -> None:
    F.cross_entropy(HEAD(X), Y)
    output = HEAD(X)  # made
    probs = torch.exp(output)  # here
    probs.topk(1, dim=1)


def lh114_threshold() -> None:
    output = HEAD(X)  # made
    F.cross_entropy(output, Y)
    probs = output.exp()  # here
    (probs > 0.5).sum()


def lh112_at_prediction() -> None:
    output = HEAD(X)  # made
    F.cross_entropy(output, Y)
    probs = torch.softmax(output, 0)  # here
    probs.argmax(dim=1)


def lh115() -> None:
    probs = HEAD(X).softmax(1)  # made
    with guard("off"):
        functional.dice_loss(probs, Y, from_logits=True)  # here


BAD = [
    *(lh101, lh101_of_an_average, lh101_in_segmentation, lh102, lh103, lh104, lh105, lh106, lh107, lh109),
    *(lh105_beside_a_prediction, lh106_multilabel, lh110, lh112, lh114_softmax, lh114_sigmoid, lh114_exp),
    *(lh114_threshold, lh112_at_prediction, lh115, lh103_of_some_rows, lh103_into_a_language_model_loss),
    *(lh101_into_a_language_model_loss, lh108_within_the_range, lh112_in_a_text, lh112_masked_later),
    *(
        lh112_of_some_rows,
        lh112_of_the_first_rows,
        lh112_in_a_distillation,
        lh114_of_some_rows,
        lh114_of_collected_logits,
    ),
]


def line(program: Callable[[], Any], mark: str) -> int:
    lines, first = inspect.getsourcelines(program)
    return first + next(i for i, text in enumerate(lines) if f"# {mark}" in text)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("program", BAD, ids=lambda program: program.__name__)
def test_a_hazard_is_found_with_both_its_places(program: Callable[[], Any], mode: str) -> None:
    (finding,) = seen(program, mode)
    assert finding.code == program.__name__[:5].upper()
    assert (finding.at.file, finding.at.line) == (__file__, line(program, "here"))
    assert finding.made_at is not None
    assert (finding.made_at.file, finding.made_at.line) == (__file__, line(program, "made"))
    assert "[" in finding.detail  # the shape
    assert "between" in finding.detail  # the values
    assert set(finding.values) > {"shape"}


# -- right, though it looks wrong ------------------------------------------------------------------------


def right() -> None:
    F.cross_entropy(HEAD(X), Y)
    F.nll_loss(HEAD(X).log_softmax(1), Y)
    F.binary_cross_entropy_with_logits(HEAD(X), T)
    F.cross_entropy(HEAD(X) / 2, HEAD2(X).softmax(1))  # distillation
    HEAD(X).log_softmax(1).exp().max(1)


def picked_entries() -> None:
    p = HEAD(X).softmax(1)
    p_y = -F.nll_loss(p, Y, reduction="none")  # generalised cross-entropy, MAE
    ((1 - p_y**0.7) / 0.7).mean()
    F.nll_loss(HEAD(X), Y, reduction="none")  # an energy


def cross_entropy_by_hand() -> None:
    logits = HEAD(X)
    F.nll_loss(logits, Y) + logits.logsumexp(1).mean()


def cross_entropy_by_hand_summed_before() -> None:
    logits = HEAD(X)
    lse = logits.exp().sum(1).log().mean()
    lse + F.nll_loss(logits, Y)


def skorch() -> None:
    eps = torch.finfo(torch.float32).eps
    F.nll_loss(torch.log(nn.Sequential(HEAD, nn.Softmax(-1))(X) + eps), Y)


def keras() -> None:
    F.nll_loss(torch.log(torch.clip(HEAD(X).softmax(-1), 1e-7, 1 - 1e-7)), Y)


def contrastive() -> None:
    similarity = HEAD(X) @ HEAD2(X).t()
    pairs = torch.arange(N)
    F.nll_loss(similarity.log_softmax(0), pairs)
    F.nll_loss(similarity.log_softmax(1), pairs)


def ensemble() -> None:
    F.nll_loss(((HEAD(X).softmax(1) + HEAD2(X).softmax(1)) / 2).log(), Y)
    F.binary_cross_entropy((HEAD(X).sigmoid() + HEAD2(X).sigmoid()) / 2, T)


def mixture() -> None:
    weights, experts = HEAD(X)[:, :3].log_softmax(1), torch.randn(N, 3, C).log_softmax(2)
    F.nll_loss(torch.logsumexp(weights[..., None] + experts, 1), Y)


def softmax_by_hand() -> None:
    logits = HEAD(X)
    F.cross_entropy(logits, Y)
    exps = torch.exp(logits)
    exps.max(1)
    (exps / exps.sum(1, keepdim=True)).argmax(1)


def normalised_and_drawn() -> None:
    logits = HEAD(X)
    F.cross_entropy(logits, Y)
    torch.multinomial(logits.exp(), 1)
    (F.normalize(logits.exp(), p=1, dim=1) > 0.5).any()


def rates_and_variances() -> None:
    classes, log_scale = HEAD(X), HEAD2(X)
    F.cross_entropy(classes, Y)
    scale = log_scale.exp()
    assert (scale > 0).all()
    scale.max(1)


def rates_of_a_poisson() -> None:
    log_rate = HEAD(X)
    F.poisson_nll_loss(log_rate, Y[:, None].expand(N, C).float())
    log_rate.exp().tolist()


def sinkhorn() -> None:
    log_plan = HEAD(X)
    for _ in range(3):
        log_plan = log_plan.log_softmax(0).log_softmax(1)
    torch.softmax(HEAD(X).log_softmax(0), 1)


def tempered() -> None:
    torch.softmax(HEAD(X).log_softmax(1) / 2, 1)
    F.gumbel_softmax(HEAD(X).log_softmax(1))
    torch.distributions.Categorical(logits=HEAD(X).log_softmax(1)).sample()  # type: ignore[no-untyped-call]


def changed_since() -> None:
    probs = HEAD(X).softmax(1).detach()
    probs.data.mul_(20).sub_(3)
    F.cross_entropy(probs, Y)
    scores = HEAD(X).sigmoid().detach()
    scores[0] = 4.0
    F.cross_entropy(scores, Y)


def logits_again() -> None:
    F.binary_cross_entropy_with_logits(torch.logit(HEAD(X).sigmoid()), T)
    F.cross_entropy(20 * HEAD(X).softmax(1), Y)


def overlaps() -> None:
    functional.dice_loss(HEAD(X).softmax(1), Y, from_logits=False)
    functional.dice_loss(HEAD(X), Y, from_logits=True)
    functional.dice_loss(HEAD(X).log_softmax(1), Y, from_logits=True)


def retrieval() -> None:
    similarity = nn.Linear(6, N)(X)
    F.cross_entropy(similarity, torch.arange(N))
    similarity.softmax(0).argmax(1)


def of_some_classes() -> None:
    log_probs = HEAD(X).log_softmax(1)
    log_probs[:, :2].softmax(1)  # given that it is one of them
    F.cross_entropy(log_probs[:, :2], Y % 2)


def two_heads_beside_each_other() -> None:
    F.cross_entropy(HEAD(X), Y)
    torch.cat([HEAD(X), HEAD2(X)]).exp().amax(1)


def distilled_over_the_classes() -> None:
    F.kl_div(HEAD(X).log_softmax(1), HEAD2(X).softmax(1), reduction="batchmean")
    F.kl_div(HEAD(X).log_softmax(0), HEAD2(X).softmax(0), reduction="batchmean")  # of attention, say


def texts_over_the_classes() -> None:
    F.nll_loss(HEAD(X).view(2, 4, C).log_softmax(2).flatten(0, 1), Y)
    with guard("off"):
        functional.language_model_loss(HEAD(X)[None], Y[None], shift=False)


def some_classes_in_front() -> None:
    """Classes along the first dimension, some of them picked, and brought to where the loss wants them."""
    log_probs = HEAD(X).t().log_softmax(0)
    F.nll_loss(log_probs[torch.tensor([0, 2, 3])].t(), Y % 3)
    F.nll_loss(log_probs[:3].t(), Y % 3)


RIGHT = [
    *(right, picked_entries, cross_entropy_by_hand, cross_entropy_by_hand_summed_before, skorch, keras),
    *(contrastive, ensemble, mixture, softmax_by_hand, normalised_and_drawn, rates_and_variances),
    *(rates_of_a_poisson, sinkhorn, tempered, changed_since, logits_again, overlaps, retrieval),
    *(
        of_some_classes,
        some_classes_in_front,
        two_heads_beside_each_other,
        distilled_over_the_classes,
        texts_over_the_classes,
    ),
]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("program", RIGHT, ids=lambda program: program.__name__)
def test_what_is_right_is_silent(program: Callable[[], Any], mode: str) -> None:
    assert seen(program, mode) == []


# -- evidence ----------------------------------------------------------------------------------------------


def test_the_gradient_path_tells_where_a_stretch_was_not_followed() -> None:
    probs = HEAD(X).softmax(1)  # before the watch begins
    (finding,) = seen(lambda: F.cross_entropy(probs, Y))
    assert finding.code == "LH101"
    assert "SoftmaxBackward0" in finding.detail


def test_one_call_is_found_once_and_counted() -> None:
    def program() -> None:
        for _ in range(3):
            F.cross_entropy(HEAD(X).softmax(1), Y)

    (finding,) = seen(program)
    assert finding.count == 3


def test_whether_it_fits_is_told_of_each_site() -> None:
    def program() -> None:
        F.cross_entropy(HEAD(X), Y)
        F.cross_entropy(HEAD(X).softmax(1), Y)
        F.cross_entropy(HEAD(X) * 3, Y)

    assert [site.fits for site in watched(program).sites] == [True, False, None]


@pytest.mark.parametrize("kind", ["softmax", "sigmoid", "log_softmax"])
def test_what_the_numbers_deny_is_not_reported(kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from likelihead.watch.engine import ENGINE

    def program() -> None:
        wrong = HEAD(X) + 3 * torch.randn(N, C)
        ENGINE.book.put(wrong, Tag(kind, (__file__, 1), 1))
        F.cross_entropy(wrong, Y)

    assert seen(program) == []
    monkeypatch.setattr(link, "_denied", lambda tag, seen: False)
    assert len(seen(program)) == 1  # and the test can fail


def test_a_planted_error_shows() -> None:
    """Without the look for a normalisation, a softmax by hand would be reported."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(prediction, "_READ", frozenset({*prediction._READ, "normalised"}))
        assert seen(softmax_by_hand) == []
        original = prediction.Prediction.used

        def blind(self: Any, event: Any) -> None:
            if event.what != "normalised":
                original(self, event)

        patch.setattr(prediction.Prediction, "used", blind)
        assert [finding.code for finding in seen(softmax_by_hand)] == ["LH114"]
