"""The figures against scikit-learn and the definitions, and what each refuses."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from likelihead.errors import DomainError, DTypeError, OptionError, ShapeError, TargetError
from likelihead.evaluate import (
    NLL,
    Accuracy,
    BitsPerByte,
    Brier,
    BrierDecomposition,
    ConfusionMatrix,
    ExactMatch,
    InformationGain,
    LabelConfusion,
    Ranking,
    Regression,
    TopKAccuracy,
    constant_nll,
)
from likelihead.likelihoods import Bernoulli, Categorical, Gaussian, MultiLabel
from oracles import evaluate as oracle

CLASSES = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=40)


@settings(max_examples=40)
@given(CLASSES)
def test_the_figures_of_classes_are_scikit_learns(pairs: list[tuple[int, int]]) -> None:
    true, said = (list(column) for column in zip(*pairs, strict=True))
    matrix = ConfusionMatrix(4)
    matrix.update(torch.tensor(said), torch.tensor(true))
    assert matrix.compute().tolist() == metrics.confusion_matrix(true, said, labels=range(4)).tolist()
    rates = matrix.rates()
    options = {"labels": range(4), "zero_division": np.nan}
    for name, score in (
        ("precision", metrics.precision_score),
        ("recall", metrics.recall_score),
        ("f1", metrics.f1_score),
    ):
        expected = score(true, said, average=None, **options)
        np.testing.assert_allclose(getattr(rates, name).numpy(), expected, rtol=1e-12)
        macro = score(true, said, average="macro", **options)
        assert rates.macro(name) == pytest.approx(macro, rel=1e-12, nan_ok=True)
        assert rates.micro(name) == pytest.approx(score(true, said, average="micro"), rel=1e-12)
    seen = sorted(set(true) | set(said))
    iou = metrics.jaccard_score(true, said, labels=seen, average=None)
    np.testing.assert_allclose(rates.iou[seen].numpy(), iou, rtol=1e-12)
    assert all(math.isnan(rates.iou[c]) for c in range(4) if c not in seen)
    assert rates.support.tolist() == [true.count(c) for c in range(4)]
    assert matrix.accuracy() == pytest.approx(metrics.accuracy_score(true, said), rel=1e-9, abs=1e-12)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of classes that are predicted and do not occur
        assert matrix.balanced_accuracy() == pytest.approx(
            metrics.balanced_accuracy_score(true, said), rel=1e-9, abs=1e-12
        )
    assert torch.equal(rates.dice.nan_to_num(-1), rates.f1.nan_to_num(-1))


def test_the_figures_of_labels_are_scikit_learns() -> None:
    true, said = torch.randint(2, (50, 3)), torch.randint(2, (50, 3))
    figure = LabelConfusion(3)
    figure.update(said, true)
    assert figure.compute().tolist() == metrics.multilabel_confusion_matrix(true, said).tolist()
    rates = figure.rates()
    np.testing.assert_allclose(rates.f1.numpy(), metrics.f1_score(true, said, average=None))
    assert rates.macro("precision") == pytest.approx(
        metrics.precision_score(true, said, average="macro"), rel=1e-9, abs=1e-12
    )
    assert rates.micro("f1") == pytest.approx(
        metrics.f1_score(true, said, average="micro"), rel=1e-9, abs=1e-12
    )
    assert rates.macro("iou") == pytest.approx(
        metrics.jaccard_score(true, said, average="macro"), rel=1e-9, abs=1e-12
    )
    balanced = [metrics.balanced_accuracy_score(true[:, k], said[:, k]) for k in range(3)]
    np.testing.assert_allclose(figure.balanced_accuracy().numpy(), balanced)
    exact = ExactMatch()
    exact.update(said, true)
    assert exact.compute() == pytest.approx(metrics.accuracy_score(true, said), rel=1e-9, abs=1e-12)


def test_pixels_are_examples() -> None:
    true, said = torch.randint(3, (2, 5, 6)), torch.randint(3, (2, 5, 6))
    true[0, :2] = 255
    maps, flat = (ConfusionMatrix(3, ignore_index=255) for _ in range(2))
    maps.update(said, true.to(torch.uint8))
    flat.update(said.flatten(), true.flatten())
    assert torch.equal(maps.compute(), flat.compute())
    assert int(maps.compute().sum()) == 48
    masked = ConfusionMatrix(3)
    masked.update(said, torch.where(true == 255, 0, true), mask=true != 255)
    assert torch.equal(masked.compute(), maps.compute())
    one = LabelConfusion()
    one.update(said[:, None] > 0, (true == 1)[:, None].float(), mask=(true != 255)[:, None])
    assert int(one.compute().sum()) == 48


@pytest.mark.parametrize("k", [1, 2, 5])
def test_top_k_is_scikit_learns(k: int) -> None:
    scores, target = torch.randn(80, 6), torch.randint(6, (80,))
    figure = TopKAccuracy(k)
    figure.update(scores, target)
    expected = metrics.top_k_accuracy_score(target, scores, k=k, labels=range(6))
    assert figure.compute() == pytest.approx(expected, rel=1e-9, abs=1e-12)
    if k == 1:
        tied = torch.zeros(3, 4)
        ties, plain = TopKAccuracy(1), Accuracy()
        ties.update(tied, torch.tensor([0, 1, 0]))
        plain.update(tied.argmax(1), torch.tensor([0, 1, 0]))
        assert ties.compute() == plain.compute() == 2 / 3


def test_brier_is_scikit_learns() -> None:
    probs, target = torch.softmax(torch.randn(50, 3, dtype=torch.float64), 1), torch.randint(3, (50,))
    figure = Brier()
    figure.update(probs, target)
    hot = np.eye(3)[target]
    assert figure.compute() == pytest.approx(((probs.numpy() - hot) ** 2).sum(1).mean(), rel=1e-12)
    soft = Brier()
    soft.update_soft(probs, torch.from_numpy(hot))
    assert soft.compute() == pytest.approx(figure.compute(), rel=1e-12)
    single = Brier()
    single.update(probs[:, 0], target == 0)
    assert single.compute() == pytest.approx(metrics.brier_score_loss(target == 0, probs[:, 0]), rel=1e-12)
    sure = Brier()
    sure.update(torch.tensor([[1 - 1e-9, 1e-9]], dtype=torch.float64), torch.tensor([0]))
    assert sure.compute() == pytest.approx(2e-18, rel=1e-6)


@settings(max_examples=40)
@given(
    st.lists(st.tuples(st.floats(0, 1), st.booleans() | st.floats(0, 1)), min_size=1, max_size=40),
    st.integers(1, 9),
)
def test_the_brier_score_is_the_sum_of_its_parts(rows: list[tuple[float, float]], bins: int) -> None:
    probs, came = (torch.tensor([float(x) for x in c], dtype=torch.float64) for c in zip(*rows, strict=True))
    decomposition, brier = BrierDecomposition(1, bins), Brier()
    decomposition.update(probs, came)
    brier.update(probs, came)
    parts = decomposition.compute()
    assert parts.brier == pytest.approx(brier.compute(), abs=1e-13)
    total = parts.reliability - parts.resolution + parts.uncertainty + parts.within_bins
    assert total == pytest.approx(parts.brier, abs=1e-13)
    reliability, resolution, _ = oracle.brier_parts(probs.tolist(), came.tolist(), bins)
    assert parts.reliability == pytest.approx(reliability, abs=1e-13)
    assert parts.resolution == pytest.approx(resolution, abs=1e-13)
    hard, outcome = BrierDecomposition(1, bins), (came > 0.5).double()
    hard.update(torch.round(probs * bins) / bins, outcome)  # a value to each bin: nothing within
    expected = oracle.brier_parts((torch.round(probs * bins) / bins).tolist(), outcome.tolist(), bins)
    assert hard.compute().uncertainty == pytest.approx(expected[2], abs=1e-13)
    if bins > 1 and not bool((torch.round(probs * bins) == 0).any()):
        assert hard.compute().within_bins == pytest.approx(0, abs=1e-13)


def test_the_parts_of_columns_add_up() -> None:
    probs, target = torch.softmax(torch.randn(30, 3, dtype=torch.float64), 1), torch.randint(3, (30,))
    whole, brier = BrierDecomposition(3), Brier()
    whole.update(probs, torch.nn.functional.one_hot(target, 3))
    brier.update(probs, target)
    assert whole.compute().brier == pytest.approx(brier.compute(), rel=1e-9, abs=1e-12)
    for column, parts in enumerate(whole.by_column()):
        alone = BrierDecomposition()
        alone.update(probs[:, column], target == column)
        assert alone.compute().resolution == pytest.approx(parts.resolution, rel=1e-9, abs=1e-12)


def test_bits_per_byte_leaves_out_what_is_no_text() -> None:
    num_bytes = torch.tensor([0, 1, 4, 2])
    nll, target = torch.rand(3, 7, dtype=torch.float64), torch.randint(4, (3, 7))
    target[:, -2:] = -100
    figure = BitsPerByte(num_bytes)
    figure.update(nll, target)
    kept = [
        (n, num_bytes[t].item())
        for n, t in zip(nll.flatten().tolist(), target.flatten().tolist(), strict=True)
        if t > 0
    ]
    total, size = math.fsum(n for n, _ in kept), sum(b for _, b in kept)
    assert figure.compute() == pytest.approx(total / math.log(2) / size, rel=1e-12)
    assert figure.bits_per_token() == pytest.approx(total / math.log(2) / len(kept), rel=1e-12)
    assert (figure.bytes, figure.tokens) == (size, len(kept))
    with pytest.raises(TargetError, match=r"LH203"):
        figure.update(nll[:1, :1], torch.tensor([[4]]))
    with pytest.raises(ShapeError, match=r"integers \[V\]"):
        BitsPerByte(torch.ones(3))
    with pytest.raises(OptionError, match="holds -1"):
        BitsPerByte(torch.tensor([-1]))
    assert math.isnan(BitsPerByte(num_bytes).compute())


@settings(max_examples=15)
@given(st.integers(1, 40), st.integers(0, 30))
def test_perplexity_does_not_depend_on_batches_or_padding(size: int, padding: int) -> None:
    """Exp of the total over the token count, to 1e-9, in float32."""
    generator = torch.Generator().manual_seed(size)
    logits, target = torch.randn(40, 11, generator=generator), torch.randint(11, (40,), generator=generator)
    likelihood, figure = Categorical(11), NLL()
    for z, y in zip(logits.split(size), target.split(size), strict=True):
        z = torch.cat([z, torch.full((padding, 11), 7.0)])
        y = torch.cat([y, torch.full((padding,), -100)])
        figure.update(likelihood.nll(z, y), count=likelihood.count(y))
    total = math.fsum(likelihood.nll(logits, target).tolist())
    assert figure.perplexity == pytest.approx(math.exp(total / 40), rel=1e-9)
    assert figure.bits == pytest.approx(total / 40 / math.log(2), rel=1e-9)


def test_masks_and_overflow_of_the_nll() -> None:
    figure = NLL()
    figure.update(torch.tensor([1.0, math.nan, 3.0]), mask=torch.tensor([True, False, True]))
    assert figure.compute() == 2
    figure.update(torch.tensor([1e6]))
    assert figure.perplexity == math.inf
    with pytest.raises(OptionError, match="give one"):
        figure.update(torch.ones(2), count=2, mask=torch.ones(2, dtype=torch.bool))
    with pytest.raises(OptionError, match="count is -1"):
        figure.update(torch.ones(2), count=-1)


def test_the_loss_split_is_prior_and_gain() -> None:
    train = torch.tensor([0] * 6 + [1] * 3 + [2])
    likelihood = Categorical.from_targets(train)
    logits, target = torch.randn(20, 3, 2, dtype=torch.float64), torch.randint(3, (20, 2))
    target[0] = -100
    figure = InformationGain()
    figure.update(
        likelihood.nll(logits, target),
        constant_nll(likelihood, logits, target),
        count=likelihood.count(target),
    )
    split = figure.compute()
    kept = target[target != -100]
    share = torch.bincount(train).double() / 10
    assert split.prior_nll == pytest.approx(-share.log()[kept].mean().item(), rel=1e-9)
    assert split.model_nll == pytest.approx(likelihood(logits, target).item(), rel=1e-9)
    assert split.gain == pytest.approx(split.prior_nll - split.model_nll, rel=1e-9, abs=1e-12)
    assert split.share == pytest.approx(split.gain / split.prior_nll, rel=1e-9, abs=1e-12)
    for other, shape in (
        (Bernoulli(), (5,)),
        (MultiLabel(3), (5, 3)),
        (Gaussian("predicted"), (5,)),
        (Gaussian(), (5, 1)),
    ):
        y = (torch.arange(math.prod(shape)) % 2 == 0).double().reshape(shape)
        z = torch.zeros(*shape, 2) if other.num_parameters == 2 else torch.zeros(shape)
        constant = other.best_constant(y)
        got = constant_nll(other, z, y, constant).mean().item()
        assert got == pytest.approx(other.baseline_nll(y).item(), rel=1e-6)
    with pytest.raises(OptionError, match="constant holds 2 numbers"):
        constant_nll(likelihood, logits, target, torch.zeros(2))
    with pytest.raises(OptionError, match="not made by from_targets"):
        constant_nll(Categorical(3), logits, target)


def test_regression_is_scikit_learns_also_far_from_zero() -> None:
    target = 1e6 + torch.randn(200, dtype=torch.float64)
    said = target + 0.3 * torch.randn(200, dtype=torch.float64)
    figure = Regression(center=1e6)
    figure.update(said, target)
    assert figure.r2 == pytest.approx(metrics.r2_score(target, said), rel=1e-9)
    assert figure.rmse == pytest.approx(metrics.root_mean_squared_error(target, said), rel=1e-9)
    assert figure.mae == pytest.approx(metrics.mean_absolute_error(target, said), rel=1e-9)
    flat = Regression()
    flat.update(torch.zeros(3), torch.ones(3))
    assert math.isnan(flat.r2)


def test_ranking_is_scikit_learns_by_column() -> None:
    scores, target = torch.rand(60, 3), (torch.rand(60, 3) < 0.4).float()
    target[:5, 1] = math.nan
    figure = Ranking(3)
    figure.update(scores[:20], target[:20])
    figure.update(scores[20:], target[20:])
    for k in range(3):
        known = ~target[:, k].isnan()
        expected = metrics.roc_auc_score(target[known, k], scores[known, k])
        assert figure.roc_auc()[k] == pytest.approx(expected, rel=1e-12)
        assert figure.average_precision()[k] == pytest.approx(
            metrics.average_precision_score(target[known, k], scores[known, k]), rel=1e-12
        )
    assert figure.compute() == pytest.approx(np.mean(figure.roc_auc()), rel=1e-9, abs=1e-12)
    assert figure.tune().thresholds.shape == (3,)
    assert int(figure.curve(1).tp[0] + figure.curve(1).fn[0]) == int(target[:, 1].nansum())
    assert math.isnan(Ranking().compute())
    with pytest.raises(TargetError, match="expected 0 or 1"):
        Ranking().update(scores[:, 0], torch.full((60,), 0.3))
    with pytest.raises(ShapeError, match=r"expected \[N, 2, ...\]"):
        Ranking(2).update(scores, target)


def test_refusals() -> None:
    two, target = torch.zeros(2, 3), torch.tensor([0, 1])
    with pytest.raises(DTypeError, match=r"predict\(logits\)"):
        Accuracy().update(torch.tensor([0.5, 1.0]), target)
    with pytest.raises(ShapeError, match="LH302"):
        Accuracy().update(torch.tensor([[0], [1]]), target)
    with pytest.raises(TargetError, match="LH203"):
        ConfusionMatrix(3).update(torch.tensor([0, 3]), target)
    with pytest.raises(TargetError, match="LH203"):
        ConfusionMatrix(3).update(target, torch.tensor([0, -1]))
    with pytest.raises(DTypeError, match="LH202"):
        ConfusionMatrix(3).update(target, target.float())
    with pytest.raises(DTypeError, match=r"torch\.bool"):
        ConfusionMatrix(3).update(target, target, mask=target)
    with pytest.raises(DomainError, match="LH801"):
        TopKAccuracy(1).update(two * math.nan, target)
    with pytest.raises(OptionError, match="k is 0"):
        TopKAccuracy(0)
    with pytest.raises(DomainError, match=r"probabilities in \[0, 1\]"):
        Brier().update(two + 2, target)
    with pytest.raises(ShapeError, match="shape of probs"):
        Brier().update_soft(two, target)
    with pytest.raises(ShapeError, match=r"expected \[N, 2, ...\]"):
        BrierDecomposition(2).update(two, two)
    with pytest.raises(OptionError, match="num_bins 0"):
        BrierDecomposition(2, 0)
    with pytest.raises(TargetError, match="expected 0 or 1"):
        LabelConfusion(3).update(two.long(), two + 0.5)
    with pytest.raises(TargetError, match="predicted holds another"):
        LabelConfusion(3).update(two.long() + 2, two)
    with pytest.raises(ShapeError, match=r"expected \[N, 2, ...\]"):
        LabelConfusion(2).update(two.long(), two)
    with pytest.raises(OptionError, match="name is 'mcc'"):
        ConfusionMatrix(2).rates().macro("mcc")
