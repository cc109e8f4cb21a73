"""What every likelihood must do, one function for each promise; AssertionError where it is broken."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.testing import assert_close

from likelihead.likelihoods import Likelihood
from likelihoods.cases import Case

Make = Callable[..., Likelihood]


def tolerance(logits: Tensor, *, scale: float = 1.0) -> dict[str, float]:
    """A few roundings of the logits' dtype; ``scale`` is the size of what is rounded."""
    eps = torch.finfo(logits.dtype).eps
    return {"rtol": 64 * eps, "atol": 64 * eps * scale}


def left_out(case: Case, target: Tensor) -> Tensor:
    """Where a target does not count."""
    if target.is_floating_point():
        return target.isnan()
    return target == -100


def check_nll_is_minus_log_prob(case: Case, likelihood: Likelihood, logits: Tensor, target: Tensor) -> None:
    nll = likelihood.nll(logits, target)
    skip = left_out(case, target)
    distribution = likelihood.distribution(logits.double())
    expected = -distribution.log_prob(
        torch.where(skip, 0, target).to(logits.double() if target.is_floating_point() else target)
    )
    expected = torch.where(skip, 0.0, expected)
    assert nll.dtype == logits.dtype
    # torch's log_prob subtracts logits of up to 1e4 from their logsumexp.
    assert_close(nll.double(), expected.detach(), **tolerance(logits, scale=10.0 * case.scale))


def check_gradient_is_residual(case: Case, likelihood: Likelihood, logits: Tensor, target: Tensor) -> None:
    logits = logits.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(likelihood.nll(logits, target).sum(), logits)
    residual = likelihood.residual(logits.detach(), target)
    assert not residual.requires_grad
    assert residual.dtype == logits.dtype
    bounds = tolerance(logits, scale=case.scale if case.scale > 1 else 0.05)
    if case.is_exact:
        # Hard targets: nothing cancels, so every digit counts, however small the gradient is.
        bounds["atol"] = torch.finfo(logits.dtype).tiny
    assert_close(residual, gradient, **bounds)


def check_reductions(case: Case, make: Make, logits: Tensor, target: Tensor) -> None:
    none = make(reduction="none")(logits, target)
    total = make(reduction="sum")(logits, target)
    mean = make(reduction="mean")
    count = case.count(mean, target)
    assert_close(none, mean.nll(logits, target), rtol=0, atol=0)
    assert_close(total, none.sum(), **tolerance(logits))
    assert float(mean.count(target)) == count
    if count:
        assert_close(mean(logits, target) * count, total, **tolerance(logits, scale=10.0))
        assert_close(mean(logits, target, normalizer=7) * 7, total, **tolerance(logits, scale=10.0))
        assert_close(
            mean(logits, target, normalizer=torch.tensor(count)), mean(logits, target), **tolerance(logits)
        )
    else:
        assert mean(logits, target) == 0


def constant(case: Case, bias: Tensor, n: int) -> Tensor:
    """Logits that are the head's bias for every example and every position."""
    whole = bias.numel() == torch.Size(case.outcome).numel()
    shape = case.outcome if whole else (-1, *[1] * (len(case.outcome) - 1))
    return bias.reshape(shape).expand(n, *case.outcome)


def check_minimiser(case: Case, likelihood: Likelihood, targets: Tensor) -> None:
    """The best constant: its gradient is 0, every other is worse, its value is the baseline."""
    head = nn.Linear(2, likelihood.num_parameters, dtype=torch.float64)
    nn.init.zeros_(head.weight)
    likelihood = likelihood.double()
    likelihood.init_bias_(head, targets, smoothing=1e-9)

    def loss(bias: Tensor) -> Tensor:
        return likelihood(constant(case, bias, targets.shape[0]), targets)

    bias = head.bias.detach().clone().requires_grad_()
    best = loss(bias)
    (slope,) = torch.autograd.grad(best, bias)
    if case.is_smooth:
        assert_close(slope, torch.zeros_like(slope), rtol=0, atol=1e-7)
    assert_close(best.detach(), likelihood.baseline_nll(targets), rtol=1e-9, atol=1e-9)
    for step in (0.01, -0.3):
        for k in range(bias.numel()):
            moved = bias.detach().clone()
            moved[k] += step
            assert float(loss(moved).detach()) >= float(best.detach()) - 1e-12


def check_frequency(case: Case, likelihood: Likelihood, targets: Tensor) -> None:
    """The mean of the best constant is the empirical frequency."""
    head = likelihood.init_bias_(likelihood.head(1).double(), targets, smoothing=1e-9)
    nn.init.zeros_(head.weight)
    logits = head(torch.zeros(1, 1, dtype=torch.float64))
    if case.name.startswith("categorical"):
        found = likelihood.probs(logits).flatten()
    else:
        found = likelihood.distribution(logits).mean.flatten()
    assert_close(found, case.frequency(targets).flatten(), rtol=1e-7, atol=1e-7)


def check_gradients(case: Case, likelihood: Likelihood, logits: Tensor, target: Tensor) -> None:
    """First and second derivatives against finite differences."""
    logits = logits.double().requires_grad_()

    def nll(z: Tensor) -> Tensor:
        return likelihood.nll(z, target)

    assert torch.autograd.gradcheck(nll, (logits,), atol=1e-5)
    assert torch.autograd.gradgradcheck(nll, (logits,), atol=1e-5)


def check_entropy(case: Case, likelihood: Likelihood, logits: Tensor) -> None:
    entropy = likelihood.entropy(logits).detach()
    expected = case.expected_nll(likelihood, logits, logits)
    assert_close(
        entropy.double(), expected, **tolerance(logits, scale=case.scale * (10.0 + float(logits.abs().max())))
    )


def check_divergence(case: Case, likelihood: Likelihood, p: Tensor, q: Tensor) -> None:
    """KL of p from p is 0, and of p from q is the cross-entropy less the entropy."""
    assert_close(likelihood.kl(p, p), torch.zeros_like(likelihood.kl(p, p)), rtol=0, atol=0)
    divergence = likelihood.kl(p, q)
    assert bool((divergence >= 0).all())
    cross_entropy = case.expected_nll(likelihood, p, q)
    expected = cross_entropy - likelihood.entropy(p).double()
    scale = case.scale * (10.0 + float(cross_entropy.abs().max()) + float(p.abs().max()))
    bounds = tolerance(p, scale=scale)
    if case.kl_range is not None:
        bounds["rtol"] = 1e-10
    assert_close(divergence.double(), expected, **bounds)


def check_nothing_counts(case: Case, likelihood: Likelihood, logits: Tensor, target: Tensor) -> None:
    """Every target left out, or none there at all: 0, count 0, and a gradient that is there and 0."""
    empty = (logits[:0], target[:0])
    pairs = [empty] if case.leave_out is None else [empty, (logits, case.leave_out(target))]
    for z, y in pairs:
        z = z.clone().requires_grad_()
        loss = likelihood(z, y)
        assert loss.item() == 0.0
        assert float(likelihood.count(y)) == 0
        (gradient,) = torch.autograd.grad(loss, z)
        assert bool((gradient == 0).all())
        assert_close(likelihood.residual(z.detach(), y), torch.zeros_like(z), rtol=0, atol=0)


def every_outcome(case: Case) -> Tensor:
    """A dozen examples in which every outcome occurs, unevenly; one is left out where that is possible."""
    if case.outcomes is not None:
        return case.outcomes()
    shape = (12, *case.event)
    generator = torch.Generator().manual_seed(1)
    if case.dtype == torch.int64:
        targets = torch.tensor([0, 1, 2, 3, 3, 3, 1, 0, 3, 2, 3, 3])
        targets = targets.reshape(12, *[1] * len(case.event)).expand(shape).clone()
    elif case.name.startswith("gaussian"):
        targets = torch.randn(shape, generator=generator)
    else:
        targets = (torch.rand(shape, generator=generator) < 0.3).float()
        targets[0], targets[1] = 0.0, 1.0
    if "ignored" in case.name or "weight" in case.name or "missing" in case.name:
        if case.dtype == torch.int64:
            targets[4] = -100
        elif case.name.startswith("multilabel"):
            targets[4] = float("nan")
    return targets


def check_weights_are_linear(case: Case, logits: Tensor, target: Tensor) -> None:
    """The sum is linear in the examples and in the weights; a weight of 2 is an example twice over."""
    total = case.make(reduction="sum")
    twice = total(torch.cat([logits, logits]), torch.cat([target, target]))
    assert_close(twice, 2 * total(logits, target), rtol=1e-9, atol=1e-9)
    likelihood = case.make()
    mean = likelihood(torch.cat([logits, logits]), torch.cat([target, target]))
    assert_close(mean, likelihood(logits, target), rtol=1e-9, atol=1e-9)
    if case.name == "categorical-plain":
        weight = [1.0, 2.0, 1.0, 3.0]
        times = torch.tensor(weight)[target].long()
        repeated = logits.repeat_interleave(times, 0), target.repeat_interleave(times, 0)
        for reduction in ("sum", "mean"):
            weighted = case.make(weight=weight, reduction=reduction)(logits, target)
            assert_close(weighted, case.make(reduction=reduction)(*repeated), rtol=1e-9, atol=1e-9)
    if case.name == "bernoulli-plain":
        times = 1 + 2 * target.long()
        weighted = case.make(pos_weight=3.0, reduction="sum")(logits, target)
        repeated = total(logits.repeat_interleave(times, 0), target.repeat_interleave(times, 0))
        assert_close(weighted, repeated, rtol=1e-9, atol=1e-9)
    if case.name == "multilabel-plain":
        for option in ("weight", "pos_weight"):
            parts = [
                case.make(reduction="none", **{option: w})(logits, target)
                for w in ([1.0, 2.0, 0.5], [2.0, 4.0, 1.0])
            ]
            scored = torch.ones_like(target) if option == "weight" else target
            assert_close(parts[1], torch.where(scored > 0, 2.0, 1.0) * parts[0], rtol=1e-9, atol=1e-9)
