"""Class masks, focal losses, sample weights and labels drawn towards a prior: oracles and identities."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from likelihead import functional, guard
from likelihead.errors import DTypeError, OptionError, ShapeError, TargetError
from likelihead.kernels import dispatch
from likelihead.likelihoods import Bernoulli, Categorical, MultiLabel
from oracles import kernel_options as oracle

F64 = torch.float64


def _gradient(loss: Tensor, x: Tensor) -> Tensor:
    return torch.autograd.grad(loss, x)[0]


@pytest.mark.usefixtures("backend")
@pytest.mark.parametrize("classes", [4, 300])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_a_masked_class_is_the_oracles(classes: int, smoothing: float) -> None:
    g = torch.Generator().manual_seed(classes)
    logits = (torch.randn(3, classes, generator=g, dtype=F64) * 5).requires_grad_()
    where = torch.rand(3, classes, generator=g) < 0.6
    target = torch.tensor([0, 1, 3])
    where[range(3), target] = True
    nll, _ = dispatch.softmax_nll(logits, target, where=where, label_smoothing=smoothing)
    slopes = _gradient(nll.sum(), logits)
    for i in range(3):
        case = (logits[i].tolist(), int(target[i]), where[i].tolist(), smoothing)
        assert nll[i].item() == pytest.approx(float(oracle.masked_nll(*case)), rel=1e-13)
        exact = torch.tensor([float(s) for s in oracle.masked_slopes(*case)], dtype=F64)
        assert_close(slopes[i], exact, rtol=1e-12, atol=1e-15)


@pytest.mark.usefixtures("backend")
@pytest.mark.parametrize("shape", [(5, 4), (5, 300), (2, 3, 4, 5)])
@pytest.mark.parametrize("odd", [math.nan, math.inf, -math.inf, 1e30])
@pytest.mark.parametrize("torch_nonfinite", [False, True])
def test_what_stands_at_a_masked_class_does_not_matter(
    shape: tuple[int, ...], odd: float, torch_nonfinite: bool
) -> None:
    logits = torch.randn(shape)
    where = torch.ones(shape, dtype=torch.bool)
    where[:, 1] = False
    target = torch.zeros((shape[0], *shape[2:]), dtype=torch.long)
    target[0] = -100
    options = {"label_smoothing": 0.1, "softcap": 9.0, "z_loss": 0.01, "torch_nonfinite": torch_nonfinite}
    found = []
    for value in (0.0, odd):
        z = logits.clone()
        z[:, 1] = value
        z.requires_grad_()
        loss = dispatch.softmax_loss(z, target, where=where, **options)
        found.append((loss.detach(), _gradient(loss, z)))
    assert torch.equal(found[0][0], found[1][0])
    assert torch.equal(found[0][1], found[1][1])
    assert found[1][1][:, 1].eq(0).all()
    assert found[1][1][:, 0][1:].ne(0).all()


@pytest.mark.usefixtures("backend")
def test_a_target_that_cannot_be_is_infinite_and_no_class_at_all_is_nan() -> None:
    logits = torch.randn(2, 3, requires_grad=True)
    where = torch.tensor([[False, True, True], [False, False, False]])
    nll = functional.cross_entropy(logits, torch.tensor([0, 0]), where=where, reduction="none")
    assert nll[0] == math.inf
    assert nll[1].isnan()
    gradient = _gradient(nll.sum(), logits)
    assert_close(gradient[0, 1:], logits[0, 1:].softmax(0).detach())
    assert gradient[0, 0] == 0
    assert gradient[1].tolist() == [0, 0, 0]


@pytest.mark.usefixtures("backend")
@pytest.mark.parametrize("shape", [(6, 4), (6, 300), (6, 3, 5)])
@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_whole_number_weights_repeat_the_rows(shape: tuple[int, ...], soft: bool, reduction: str) -> None:
    logits = torch.randn(shape, dtype=F64)
    times = torch.tensor([1, 2, 0, 3, 1, 1])
    target = torch.rand(shape, dtype=F64) if soft else torch.randint(3, (shape[0], *shape[2:]))
    again = times.nonzero().flatten().repeat_interleave(times[times > 0])
    broken = logits.clone()
    broken[2] = math.nan
    broken.requires_grad_()
    weight = torch.rand(shape[1], dtype=F64)
    loss = functional.cross_entropy(broken, target, weight, reduction=reduction, sample_weight=times)
    expected = functional.cross_entropy(logits[again], target[again], weight, reduction=reduction)
    assert_close(loss, expected)
    gradient = _gradient(loss, broken)
    assert gradient[2].eq(0).all()
    assert gradient[0].ne(0).all()


@pytest.mark.usefixtures("backend")
def test_labels_repeat_too_and_weights_are_differentiated() -> None:
    x, t = torch.randn(6, 5, dtype=F64), torch.rand(6, 5, dtype=F64)
    times = torch.tensor([1, 2, 0, 3, 1, 1])
    again = torch.arange(6).repeat_interleave(times)
    broken, labels = x.clone(), t.clone()
    broken[2], labels[2] = math.nan, math.inf
    broken.requires_grad_()
    loss = functional.binary_cross_entropy_with_logits(broken, labels, sample_weight=times)
    assert_close(loss, functional.binary_cross_entropy_with_logits(x[again], t[again]))
    assert _gradient(loss, broken)[2].eq(0).all()
    weight = times.double().requires_grad_()
    for values in (
        functional.binary_cross_entropy_with_logits(x, t, sample_weight=weight, reduction="none").sum(),
        functional.cross_entropy(x, t, sample_weight=weight, reduction="sum"),
    ):
        assert _gradient(values, weight).ne(0).all()


@pytest.mark.usefixtures("backend")
@pytest.mark.parametrize("prior", [None, 0.2])
def test_labels_are_drawn_towards_their_prior(prior: float | None) -> None:
    x = torch.tensor([-700.0, -3.0, 0.0, 2.0, 40.0], dtype=F64)
    for label in (0.0, 0.4, 1.0):
        got = functional.binary_cross_entropy_with_logits(
            x, torch.full_like(x, label), label_smoothing=0.1, prior=prior, reduction="none"
        )
        for value, logit in zip(got.tolist(), x.tolist(), strict=True):
            exact = oracle.smoothed_bce(logit, label, 0.1, 0.5 if prior is None else prior)
            assert value == pytest.approx(float(exact), rel=1e-14)


def test_the_best_constant_scores_the_baseline() -> None:
    y = (torch.rand(50, 3) < torch.tensor([0.1, 0.5, 0.8])).double()
    prior = [0.2, 0.5, 0.7]
    for likelihood in (
        MultiLabel(3, label_smoothing=0.2, prior=prior, pos_weight=[1.0, 2.0, 3.0]).double(),
        Bernoulli(label_smoothing=0.2, prior=0.3).double(),
    ):
        labels = y if isinstance(likelihood, MultiLabel) else y[:, :1]
        bias = likelihood._best_bias(likelihood.summarise(labels), 0.0).expand_as(labels).requires_grad_()
        loss = likelihood(bias, labels)
        assert_close(loss.detach(), likelihood.baseline_nll(labels))
        slope = likelihood.residual(bias, labels)
        assert_close(slope.sum(0), torch.zeros_like(slope.sum(0)), atol=1e-12, rtol=0)
        assert_close(_gradient(loss, bias) * labels.numel(), slope)


@pytest.mark.parametrize("log_probs", [False, True])
def test_the_likelihood_follows_the_mask(log_probs: bool) -> None:
    likelihood = Categorical.from_log_probs(4, label_smoothing=0.1) if log_probs else Categorical(4)
    x = torch.randn(5, 4, dtype=F64)
    x = (x.log_softmax(1) if log_probs else x).requires_grad_()
    where = torch.tensor([True, True, False, True]).expand(5, 4)
    target = torch.tensor([0, 1, 3, 0, 1])
    nll = likelihood.nll(x, target, where=where)
    assert_close(_gradient(nll.sum(), x), likelihood.residual(x, target, where=where).detach())
    probs = likelihood.probs(x, where=where)
    assert probs[:, 2].eq(0).all()
    assert_close(probs.sum(1), torch.ones(5, dtype=F64))
    assert likelihood.predict(x, where=where).ne(2).all()
    assert likelihood.entropy(x, where=where).isfinite().all()
    assert_close(likelihood(x, target, where=where), nll.mean())


def test_refusals() -> None:
    x, y = torch.randn(3, 4), torch.tensor([0, 1, 2])
    with pytest.raises(DTypeError, match="where is"):
        functional.cross_entropy(x, y, where=torch.ones(3, 4))
    with pytest.raises(ShapeError, match="where has shape"):
        functional.cross_entropy(x, y, where=torch.ones(4, dtype=torch.bool))
    with pytest.raises(ShapeError, match="LH603"):
        functional.cross_entropy(x, y, sample_weight=torch.ones(4))
    with pytest.raises(OptionError, match="prior is"):
        functional.binary_cross_entropy_with_logits(x, x.sigmoid().round(), prior=0.3)
    with pytest.raises(OptionError, match="label_smoothing is"):
        Bernoulli(label_smoothing=2.0)
    where = torch.ones(3, 4, dtype=torch.bool)
    where[1, 1] = False
    with guard("full", action="raise"), pytest.raises(TargetError, match=r"is 1 at \[1\].*LH208"):
        functional.cross_entropy(x, y, where=where)
    with guard("full", action="raise"):  # what is left out is not looked at
        functional.cross_entropy(x, y, where=where, sample_weight=torch.tensor([1, 0, 1]))
