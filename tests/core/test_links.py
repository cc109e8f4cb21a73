"""Each link against its definition, and its inverse."""

from __future__ import annotations

import mpmath
import pytest
import torch
from torch.testing import assert_close

from likelihead.core.links import (
    IDENTITY,
    LOG,
    SIGMOID,
    SOFTMAX,
    at_least_float32,
    log1mexp,
    with_spare_digits,
)
from likelihead.errors import DTypeError

P = torch.tensor([[0.1, 0.2, 0.7], [0.98, 0.01, 0.01]], dtype=torch.float64)


@pytest.mark.parametrize("link", [IDENTITY, SIGMOID, SOFTMAX, LOG], ids=lambda link: link.name)
def test_inverse_of_the_link(link):
    assert_close(link.inverse(link.link(P, 1), 1), P)


@pytest.mark.parametrize("link", [SIGMOID, SOFTMAX, LOG], ids=lambda link: link.name)
def test_logarithms_and_complements(link):
    outputs = link.link(P, 1)
    assert_close(link.log_inverse(outputs, 1), P.log())
    assert_close(link.complement(outputs, 1), 1 - P)
    assert_close(link.log_complement(outputs, 1), torch.log1p(-P))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_confident_predictions_keep_their_digits(dtype):
    rtol = 8 * torch.finfo(dtype).eps
    for top in (5.0, 20.0, 60.0):
        rest = float(2 * mpmath.exp(-top))
        z = torch.tensor([top, 0.0, 0.0], dtype=dtype)
        truth = torch.tensor(rest / (1 + rest), dtype=dtype)
        assert_close(SOFTMAX.complement(z)[0], truth, rtol=rtol, atol=0)
        truth = torch.tensor(float(-mpmath.log1p(rest)), dtype=dtype)
        assert_close(SOFTMAX.log_inverse(z)[0], truth, rtol=rtol, atol=0)
        truth = torch.tensor(float(mpmath.log(mpmath.mpf(rest) / (1 + rest))), dtype=dtype)
        assert_close(SOFTMAX.log_complement(z)[0], truth, rtol=rtol, atol=0)


def test_log1mexp():
    points = [-1e-300, -1e-17, -1e-3, -0.5, -0.6931471805599453, -0.7, -2.0, -40.0, -700.0]
    found = log1mexp(torch.tensor(points, dtype=torch.float64))
    with mpmath.workdps(400):
        truth = [float(mpmath.log(1 - mpmath.exp(mpmath.mpf(x)))) for x in points]
    assert_close(found, torch.tensor(truth, dtype=torch.float64), rtol=4e-16, atol=0)
    assert log1mexp(torch.tensor([0.0, -torch.inf])).tolist() == [-torch.inf, 0.0]


def test_masked_classes():
    z = torch.tensor([[-torch.inf, 0.0, 1.0]], requires_grad=True)
    log_probs = SOFTMAX.log_inverse(z, 1)
    assert log_probs[0, 0] == -torch.inf
    (slope,) = torch.autograd.grad(log_probs[0, 1], z)
    assert_close(slope, torch.tensor([[0.0, 1.0, 0.0]]) - torch.softmax(z.detach(), 1))
    assert SOFTMAX.complement(z.detach(), 1)[0, 0] == 1


@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_no_number_in_no_number_out(bad):
    assert SOFTMAX.log_inverse(torch.tensor([0.0, bad])).isnan().all()


def test_derivatives():
    z = torch.randn(2, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    for link in (SIGMOID, SOFTMAX):
        for function in (link.inverse, link.log_inverse, link.complement, link.log_complement):
            assert torch.autograd.gradcheck(lambda x, function=function: function(x, 1), (z,))
            assert torch.autograd.gradgradcheck(lambda x, function=function: function(x, 1), (z,))
    log_p = (-z.detach().abs() - 0.01).requires_grad_()
    assert torch.autograd.gradcheck(log1mexp, (log_p,))


def test_dtypes():
    assert at_least_float32(torch.zeros(1, dtype=torch.bfloat16)).dtype == torch.float32
    assert at_least_float32(torch.zeros(1, dtype=torch.float64)).dtype == torch.float64
    assert with_spare_digits(torch.zeros(1)).dtype == torch.float64
    assert with_spare_digits(torch.zeros(1, device="meta")).dtype == torch.float64
    with pytest.raises(DTypeError, match="int64"):
        at_least_float32(torch.zeros(1, dtype=torch.int64))
