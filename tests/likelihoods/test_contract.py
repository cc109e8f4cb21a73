"""The one suite that every likelihood of the registry goes through."""

from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn
from torch.testing import assert_close

from likelihead.likelihoods import REGISTRY
from likelihoods import contract
from likelihoods.cases import CASES, Case, cases

settings.register_profile(
    "contract",
    max_examples=20,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
contract_settings = settings(settings.get_profile("contract"))

every = pytest.mark.parametrize("case", CASES, ids=str)


def some(**wanted: bool) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", cases(**wanted), ids=str)


def test_every_likelihood_has_cases():
    assert {type(case.make()).name for case in CASES} == set(REGISTRY)


@every
def test_declares_itself(case: Case):
    likelihood = case.make()
    cls = type(likelihood)
    assert REGISTRY[cls.name] is cls
    for attribute in ("task", "link", "target_domain", "parameter_shape"):
        assert getattr(cls, attribute) is not None
    assert likelihood.head(5).weight.shape == (likelihood.num_parameters, 5)
    assert likelihood.head(5, bias=False).bias is None


@some(is_plain=True)
@contract_settings
@given(data=st.data())
def test_nll_is_minus_log_prob(case: Case, data: st.DataObject):
    contract.check_nll_is_minus_log_prob(case, case.make(), *data.draw(case.examples()))


@every
@contract_settings
@given(data=st.data())
def test_gradient_is_residual(case: Case, data: st.DataObject):
    contract.check_gradient_is_residual(case, case.make(), *data.draw(case.examples()))


@every
@contract_settings
@given(data=st.data())
def test_reductions(case: Case, data: st.DataObject):
    contract.check_reductions(case, case.make, *data.draw(case.examples()))


@every
def test_minimiser(case: Case):
    contract.check_minimiser(case, case.make(), contract.every_outcome(case))


@some(frequency=True)
def test_minimiser_is_the_frequency(case: Case):
    contract.check_frequency(case, case.make(), contract.every_outcome(case))


@some(is_smooth=True)
@settings(contract_settings, max_examples=3)
@given(data=st.data())
def test_first_and_second_derivatives(case: Case, data: st.DataObject):
    logits, target = data.draw(case.examples(moderate=True, dtypes=(torch.float64,)))
    contract.check_gradients(case, case.make(), logits[:2], target[:2])


@some(has_expectation=True)
@contract_settings
@given(data=st.data())
def test_entropy_is_the_expected_nll(case: Case, data: st.DataObject):
    contract.check_entropy(case, case.make(), data.draw(case.examples())[0])


@some(has_expectation=True)
@contract_settings
@given(data=st.data())
def test_divergence(case: Case, data: st.DataObject):
    p, _ = data.draw(case.examples(dtypes=(torch.float64,)))
    q = p.roll(1, 0) + data.draw(st.floats(-2.0, 2.0)) * torch.linspace(0, 1, p.numel()).reshape(p.shape).to(
        p
    )
    if case.kl_range is not None:
        # Within the range that the docstring states: no scale ten times the other.
        p, q = 0.5 * p, 0.5 * p + (q - p).clamp(-case.kl_range, case.kl_range)
    contract.check_divergence(case, case.make(), p, q)


@every
@contract_settings
@given(data=st.data())
def test_nothing_counts(case: Case, data: st.DataObject):
    contract.check_nothing_counts(case, case.make(), *data.draw(case.examples()))


@every
@contract_settings
@given(data=st.data())
def test_weights_are_linear(case: Case, data: st.DataObject):
    logits, target = data.draw(case.examples(dtypes=(torch.float64,)))
    contract.check_weights_are_linear(case, logits, target)


@every
@contract_settings
@given(data=st.data())
def test_half_precision_is_scored_in_float32(case: Case, data: st.DataObject):
    logits, target = data.draw(case.examples(dtypes=(torch.float32,)))
    likelihood = case.make()
    for dtype in (torch.float16, torch.bfloat16):
        half = logits.to(dtype)
        nll = likelihood.nll(half, target)
        assert nll.dtype == torch.float32
        assert_close(nll, likelihood.nll(half.float(), target))
        assert likelihood.entropy(half).dtype == torch.float32
        assert likelihood.residual(half, target).dtype == torch.float32
        predicted = half.shape if case.name.startswith("quantile") else target.shape
        assert likelihood.predict(half).shape == predicted


@every
def test_first_loss_is_the_baseline(case: Case):
    """A head that `init_bias_` has set and whose input is 0 scores the baseline, also from a stream."""
    targets = contract.every_outcome(case)
    likelihood = case.make()
    torch.manual_seed(0)
    head = likelihood.init_bias_(likelihood.head(4), targets.split(3))
    logits = contract.constant(case, head(torch.zeros(1, 4)).flatten(), targets.shape[0])
    assert_close(likelihood(logits, targets).double(), likelihood.baseline_nll(targets), rtol=1e-5, atol=1e-5)
    assert_close(likelihood.baseline_nll(iter(targets.split(3))), likelihood.baseline_nll(targets))


@every
def test_outcomes_that_were_never_seen_get_a_finite_bias(case: Case):
    targets = contract.every_outcome(case)[:1]
    likelihood = case.make()
    head = likelihood.init_bias_(likelihood.head(4), targets)
    assert bool(torch.isfinite(head.bias).all())


@every
def test_strides_do_not_matter(case: Case):
    torch.manual_seed(0)
    targets = contract.every_outcome(case)
    logits = torch.randn(targets.shape[0], *case.outcome)
    strided = torch.empty(*logits.shape, 2)[..., 0].copy_(logits)
    likelihood = case.make()
    assert_close(likelihood(strided, targets), likelihood(logits, targets), rtol=0, atol=0)
    assert_close(likelihood.residual(strided, targets), likelihood.residual(logits, targets), rtol=0, atol=0)


@every
def test_is_a_module(case: Case):
    """It copies, moves with ``.to``, prints, and its state loads into another one."""
    likelihood = case.make()
    targets = contract.every_outcome(case)
    logits = torch.randn(targets.shape[0], *case.outcome)
    expected = likelihood(logits, targets)
    assert_close(copy.deepcopy(likelihood)(logits, targets), expected)
    case.make().load_state_dict(likelihood.state_dict())
    assert_close(copy.deepcopy(likelihood).double()(logits, targets), expected)
    assert type(likelihood).__name__ in repr(nn.Sequential(likelihood))


@every
def test_function_transforms(case: Case):
    torch.manual_seed(0)
    targets = contract.every_outcome(case)
    targets = torch.where(contract.left_out(case, targets), 0, targets).to(targets.dtype)
    logits = torch.randn(targets.shape[0], *case.outcome)
    likelihood = case.make(reduction="sum")
    expected = likelihood.residual(logits, targets)
    assert_close(torch.func.grad(likelihood)(logits, targets), expected, rtol=1e-4, atol=1e-5)
    if case.event == () and case.name.startswith("categorical"):
        one = torch.func.vmap(lambda z, y: likelihood(z.unsqueeze(0), y.unsqueeze(0)))
        assert_close(one(logits, targets), likelihood.nll(logits, targets))


@some(is_plain=True)
def test_compiles_in_one_piece(case: Case):
    torch.manual_seed(0)
    torch._dynamo.reset()  # else the cases before this one count as recompilations of the same `forward`
    targets = contract.every_outcome(case)
    logits = torch.randn(targets.shape[0], *case.outcome)
    likelihood = case.make()
    compiled = torch.compile(likelihood, backend="eager", fullgraph=True)
    assert_close(compiled(logits, targets), likelihood(logits, targets))
