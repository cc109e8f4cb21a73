"""What is refused, in which words, and what is let through."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from likelihead.errors import (
    DomainError,
    DTypeError,
    LikelihoodError,
    MisuseError,
    OptionError,
    ShapeError,
    TargetError,
)
from likelihead.guard.switch import guard
from likelihead.likelihoods import (
    Bernoulli,
    Categorical,
    CumulativeLink,
    Gaussian,
    MultiLabel,
    NegativeBinomial,
    Poisson,
    Quantile,
    StudentT,
)

Z3 = torch.zeros(4, 3)


@pytest.mark.parametrize("level", ["off", "cheap", "full"])
@pytest.mark.parametrize("dtype", [torch.int64, torch.int32, torch.int16])
def test_class_out_of_range(level, dtype):
    target = torch.tensor([[0, 1], [2, 7], [-1, 0], [1, 1]], dtype=dtype)
    with (
        guard(level),
        pytest.raises(TargetError, match=r"7 at position \[1, 1\], the first of 2 .*\[0, 3\)") as caught,
    ):
        Categorical(3).nll(torch.zeros(4, 3, 2), target)
    assert caught.value.code == "LH203"
    assert isinstance(caught.value, IndexError)


@pytest.mark.parametrize("make", [Categorical, Categorical.from_log_probs])
def test_integer_targets_of_any_width(make):
    z = torch.log_softmax(torch.tensor([[0.5, 1.0, -1.0]] * 3), 1)
    expected = make(3)(z, torch.tensor([0, 2, 1]))
    for dtype in (torch.int32, torch.int16, torch.uint8, torch.int8):
        assert make(3)(z, torch.tensor([0, 2, 1], dtype=dtype)) == expected
    # In uint8 a class 156 would equal -100.
    z = torch.zeros(2, 200)
    assert make(200).count(torch.tensor([156, 3], dtype=torch.uint8)) == 2
    assert (
        float(make(200).nll(z - torch.tensor(200.0).log(), torch.tensor([156, 3], dtype=torch.uint8))[0]) > 5
    )


def test_ignored_by_another_index():
    target = torch.tensor([0, 255, 1, 2], dtype=torch.uint8)
    likelihood = Categorical(3, ignore_index=255)
    assert likelihood.nll(Z3, target).tolist()[1] == 0
    assert int(likelihood.count(target)) == 3


@pytest.mark.parametrize(
    ("likelihood", "logits", "target", "error", "code", "words"),
    [
        (Categorical(3), (4, 5, 3), (4, 5), ShapeError, "LH301", r"movedim\(-1, 1\)"),
        (Categorical(3), (3,), (), ShapeError, None, r"unsqueeze\(0\)"),
        (Categorical(2), (4, 1), (4,), ShapeError, "LH303", "Bernoulli"),
        (Categorical(3), (4, 7), (4,), ShapeError, None, "is the head 3 wide"),
        (Categorical(3), (4, 3), (4, 1), ShapeError, None, r"reshape\(\[4\]\)"),
        (Categorical(3), (4, 3), (5,), ShapeError, None, r"expected class indices \[4\]"),
        (Categorical(3), (4, 3), (4, 3), ShapeError, None, "MultiLabel"),
        (MultiLabel(3), (4, 5, 3), (4, 5, 3), ShapeError, "LH301", r"movedim\(-1, 1\)"),
        (MultiLabel(3), (4, 5), (4, 5), ShapeError, None, "is the head 3 wide"),
        (MultiLabel(3), (3,), (3,), ShapeError, None, r"unsqueeze\(0\)"),
        (MultiLabel(3), (4, 3), (4,), ShapeError, "LH302", "a target of its own"),
    ],
)
def test_shapes(likelihood, logits, target, error, code, words):
    with pytest.raises(error, match=words) as caught:
        likelihood(torch.zeros(logits), torch.zeros(target, dtype=torch.int64))
    assert caught.value.code == code


@pytest.mark.parametrize(
    "likelihood", [Bernoulli(), Gaussian(), Bernoulli.from_log_probs()], ids=lambda x: x.name
)
@pytest.mark.parametrize(
    ("logits", "target", "words"),
    [
        ((4, 1), (4,), r"logits.squeeze\(-1\), or target.unsqueeze\(-1\)"),
        ((4,), (4, 1), r"target.squeeze\(-1\), or logits.unsqueeze\(-1\)"),
        ((4, 2), (2, 4), r"target.reshape\(\[4, 2\]\)"),
        ((4,), (1,), "a target of its own"),
    ],
)
def test_shapes_that_would_broadcast(likelihood, logits, target, words):
    with pytest.raises(ShapeError, match=words) as caught:
        likelihood(torch.zeros(logits) - 1, torch.zeros(target))
    assert caught.value.code == "LH302"


def test_two_logits_into_bernoulli():
    with pytest.raises(ShapeError, match="Categorical of two classes") as caught:
        Bernoulli()(torch.zeros(4, 2), torch.zeros(4))
    assert caught.value.code == "LH303"


@pytest.mark.parametrize(
    ("likelihood", "logits", "target", "code"),
    [
        (Categorical(3), Z3, torch.zeros(4), "LH202"),
        (Categorical(3), Z3, torch.zeros(4, dtype=torch.bool), "LH202"),
        (Categorical(3), Z3.long(), torch.zeros(4, dtype=torch.long), None),
        (Bernoulli(), torch.zeros(4).long(), torch.zeros(4), None),
        (Bernoulli(), torch.zeros(4), torch.zeros(4, dtype=torch.complex64), "LH202"),
        (Gaussian(), torch.zeros(4).long(), torch.zeros(4), None),
        (Gaussian(), torch.zeros(4), torch.zeros(4, dtype=torch.bool), None),
    ],
)
def test_dtypes(likelihood, logits, target, code):
    with pytest.raises(DTypeError) as caught:
        likelihood(logits, target)
    assert caught.value.code == code


def test_masks():
    likelihood, z, y = MultiLabel(3), torch.randn(4, 3), torch.ones(4, 3)
    with pytest.raises(DTypeError, match=r"torch\.bool"):
        likelihood(z, y, mask=torch.ones(4, 3))
    with pytest.raises(ShapeError, match="mask has shape"):
        likelihood(z, y, mask=torch.ones(4, dtype=torch.bool))
    mask = torch.rand(4, 3, generator=torch.Generator().manual_seed(0)) < 0.5
    missing = torch.where(mask, y, torch.nan)
    assert likelihood(z, missing) == likelihood(z, y, mask=mask)
    assert likelihood(z, missing) == nn.functional.binary_cross_entropy_with_logits(z[mask], y[mask])
    poisoned = torch.where(mask, z, torch.nan).requires_grad_()
    loss = likelihood(poisoned, torch.where(mask, y, 9.0), mask=mask)
    assert loss == likelihood(z, missing)
    with guard("full"):
        assert likelihood(poisoned, torch.where(mask, y, 9.0), mask=mask) == loss
    (slope,) = torch.autograd.grad(loss, poisoned)
    assert slope[~mask].eq(0).all()
    residual = likelihood.residual(poisoned.detach(), torch.where(mask, y, 9.0), mask=mask)
    assert residual[~mask].eq(0).all()


@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
@pytest.mark.parametrize(
    ("likelihood", "shape", "target"),
    [
        (Categorical(3), (4, 3), torch.zeros(4, dtype=torch.long)),
        (Bernoulli(), (4,), torch.zeros(4)),
        (MultiLabel(3), (4, 3), torch.zeros(4, 3)),
        (Gaussian(), (4,), torch.zeros(4)),
    ],
    ids=lambda x: getattr(x, "name", ""),
)
def test_logits_that_are_no_numbers(likelihood, shape, target, bad):
    logits = torch.zeros(shape).index_fill(0, torch.tensor([2]), bad)
    assert not torch.isfinite(likelihood(logits, target))
    with guard("full"), pytest.raises(DomainError) as caught:
        likelihood(logits, target)
    assert caught.value.code == "LH801"


def test_labels_outside_their_domain_at_full():
    for likelihood, shape in (
        (Bernoulli(), (4,)),
        (MultiLabel(3), (4, 3)),
        (Bernoulli.from_log_probs(), (4,)),
    ):
        with guard("full"), pytest.raises(LikelihoodError) as caught:
            likelihood(torch.full(shape, -1.0), torch.full(shape, 2.0))
        assert caught.value.code == "LH207"
        with pytest.raises(TargetError, match=r"2\.0 at position"):
            likelihood.baseline_nll(torch.full(shape, 2.0))
    with guard("full"):
        MultiLabel(3)(Z3, torch.full((4, 3), torch.nan))


def test_masked_classes_are_no_mistake():
    z = torch.tensor([[-torch.inf, 0.0, 1.0]], requires_grad=True)
    likelihood = Categorical(3)
    with guard("full"):
        loss = likelihood(z, torch.tensor([1]))
    (slope,) = torch.autograd.grad(loss, z)
    assert slope[0, 0] == 0
    assert torch.equal(likelihood.residual(z.detach(), torch.tensor([1]))[0, :1], torch.zeros(1))
    assert likelihood.entropy(z.detach()).isfinite().all()
    assert likelihood.kl(z.detach(), z.detach()).item() == 0
    assert likelihood.kl(z.detach(), torch.zeros(1, 3)).isfinite().all()
    assert likelihood.kl(torch.zeros(1, 3), z.detach()).item() == torch.inf
    assert likelihood.nll(z, torch.tensor([0])).item() == torch.inf
    assert likelihood.residual(z.detach(), torch.tensor([0]))[0, 0] == -1
    shares = torch.tensor([[0.0, 0.25, 0.75]])
    taken_out = Categorical(3, logit_offset=[-torch.inf, 0.0, 0.0])
    expected = Categorical(2).nll(z.detach()[:, 1:], shares[:, 1:])
    torch.testing.assert_close(likelihood.nll(z, shares), expected)
    torch.testing.assert_close(taken_out.nll(z.detach().nan_to_num(neginf=0.0), shares), expected)


def test_mistakes_that_the_guard_knows_raise():
    x = torch.randn(4, 3, requires_grad=True)
    y = torch.zeros(4, dtype=torch.long)
    with pytest.raises(MisuseError) as caught:
        Categorical(3)(torch.softmax(x, 1), y)
    assert caught.value.code == "LH101"
    with pytest.raises(MisuseError) as caught:
        Categorical.from_log_probs(3)(torch.softmax(x, 1), y)
    assert caught.value.code == "LH104"
    with pytest.raises(MisuseError) as caught:
        Bernoulli()(torch.sigmoid(x), torch.zeros(4, 3))
    assert caught.value.code == "LH106"
    with pytest.raises(MisuseError) as caught:
        Bernoulli.from_log_probs()(nn.Linear(3, 1)(x), torch.zeros(4, 1))
    assert caught.value.code == "LH105"
    Bernoulli.from_log_probs()(nn.functional.logsigmoid(x), torch.zeros(4, 3))
    with guard("off"):
        Categorical(3)(torch.softmax(x, 1), y)


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: Categorical(1), OptionError, "at least 2"),
        (lambda: Categorical(3, label_smoothing=1.5), OptionError, "label_smoothing is 1.5"),
        (lambda: Categorical(3, z_loss=-1), OptionError, "z_loss"),
        (lambda: Categorical(3, z_loss=float("nan")), OptionError, "z_loss is nan"),
        (lambda: Categorical(3, softcap=0), OptionError, "softcap is 0"),
        (lambda: Categorical(3, softcap=float("inf")), OptionError, "softcap is inf"),
        (lambda: Categorical(3, weight=[1.0, 2.0]), ShapeError, r"weight has shape \[2\]; expected \[3\]"),
        (lambda: Categorical(3, weight=[1.0, -2.0, 1.0]), OptionError, r"weight\[1\] is -2"),
        (lambda: Categorical(3, logit_offset=[1.0, float("nan"), 1.0]), OptionError, r"logit_offset\[1\]"),
        (lambda: Categorical(3, reduction="avg"), OptionError, "reduction is 'avg'"),
        (lambda: MultiLabel(0), OptionError, "num_labels is 0"),
        (lambda: MultiLabel(3, pos_weight=[1.0]), ShapeError, "pos_weight has shape"),
        (lambda: Bernoulli(pos_weight=-1.0), OptionError, "pos_weight is -1"),
        (lambda: Bernoulli(pos_weight=torch.ones(3)), ShapeError, "MultiLabel"),
        (lambda: Gaussian(0.0), OptionError, "variance is 0.0"),
        (lambda: Gaussian("learned"), OptionError, "'predicted'"),
        (lambda: Gaussian(num_outputs=0), OptionError, "num_outputs"),
        (
            lambda: (
                Categorical(3)(Z3, torch.zeros(4).long(), normalizer=3)
                and Categorical(3, reduction="sum")(Z3, torch.zeros(4).long(), normalizer=3)
            ),
            OptionError,
            "normalizer=",
        ),
        (lambda: Gaussian().probs(Z3), OptionError, "densities"),
        (lambda: Gaussian().log_probs(Z3), OptionError, "densities"),
        (lambda: Gaussian("predicted")(Z3, torch.zeros(4)), ShapeError, r"takes \[\.\.\., 2\]"),
        (lambda: Categorical(3).kl(Z3, Z3[:2]), ShapeError, "expected the same"),
        (lambda: Categorical(3).baseline_nll(), OptionError, "pass the training targets"),
        (lambda: Categorical(3).baseline_nll([]), OptionError, "empty stream"),
        (lambda: Categorical(3).baseline_nll(torch.tensor([3])), TargetError, r"3 at position \[0\]"),
        (lambda: Categorical(3).init_bias_(nn.Linear(2, 4), torch.tensor([1])), ShapeError, "takes 3"),
        (
            lambda: Categorical(3).init_bias_(nn.Linear(2, 3, bias=False), torch.tensor([1])),
            OptionError,
            "bias=True",
        ),
        (
            lambda: Categorical(3).init_bias_(nn.Linear(2, 3), torch.tensor([1]), smoothing=0),
            OptionError,
            "never seen",
        ),
        (
            lambda: Gaussian().baseline_nll(torch.tensor([1.0, torch.inf])),
            TargetError,
            r"inf at position \[1\]",
        ),
        (lambda: MultiLabel.from_targets(torch.zeros(3)), ShapeError, "Bernoulli"),
        (lambda: Categorical.from_targets(torch.tensor([0, -1])), TargetError, "-1"),
        (lambda: Categorical.from_targets(torch.tensor([0.0, 1.0])), ShapeError, r"targets\.long\(\)"),
        (lambda: Categorical(3).baseline_nll([(Z3, Z3)]), DTypeError, r"tuple.*\(y for x, y in loader\)"),
        (lambda: MultiLabel.from_targets([[Z3, Z3]]), DTypeError, "targets holds a list"),
        (lambda: Categorical(3)(Z3.numpy(), torch.tensor([0])), DTypeError, "logits is a ndarray"),
        (lambda: Categorical(3)(Z3, [0, 0, 0, 0]), DTypeError, r"target is a list; .*as_tensor\(target\)"),
        (lambda: Bernoulli()(Z3, [0.0]), DTypeError, "target is a list"),
        (lambda: MultiLabel(3)([0.0], Z3), DTypeError, "logits is a list"),
        (lambda: Gaussian()(Z3, [0.0]), DTypeError, "target is a list"),
        (lambda: Gaussian()([0.0], Z3), DTypeError, "logits is a list"),
        (lambda: Gaussian(num_outputs=2)(Z3, Z3), ShapeError, r"target has shape \[4, 3\]; .*\[\.\.\., 2\]"),
        (lambda: Poisson(num_outputs=2)(Z3[0], Z3[0]), ShapeError, r"expected \[\.\.\., 2\]"),
        (
            lambda: StudentT(scale="predicted", num_outputs=3)(Z3[:, :2], Z3[:, 0]),
            ShapeError,
            "num_outputs=3",
        ),
        (lambda: Quantile(num_outputs=2).residual(Z3, Z3[:, 0]), ShapeError, "num_outputs=2"),
        (lambda: Poisson(num_outputs=0), OptionError, "num_outputs is 0"),
        (lambda: NegativeBinomial(0.0), OptionError, "dispersion is 0.0; .*a Poisson"),
        (lambda: NegativeBinomial(-1.0), OptionError, "dispersion is -1.0"),
        (lambda: NegativeBinomial(float("inf")), OptionError, "dispersion is inf"),
        (lambda: NegativeBinomial(float("nan")), OptionError, "dispersion is nan"),
        (lambda: NegativeBinomial("known"), OptionError, "'predicted'"),
        (lambda: StudentT(0.0), OptionError, "df is 0.0"),
        (lambda: StudentT(-2), OptionError, "df is -2"),
        (lambda: StudentT(float("nan")), OptionError, "df is nan"),
        (lambda: StudentT(4.0, 0.0), OptionError, "scale is 0.0"),
        (lambda: StudentT(4.0, -1.0), OptionError, "scale is -1.0"),
        (lambda: StudentT(4.0, "known"), OptionError, "'predicted'"),
        (lambda: Quantile([0.0, 0.5]), OptionError, "between 0 and 1"),
        (lambda: Quantile([0.5, 1.0]), OptionError, "between 0 and 1"),
        (lambda: Quantile(1.5), OptionError, "between 0 and 1"),
        (lambda: Quantile([float("nan")]), OptionError, "between 0 and 1"),
        (lambda: Quantile([]), OptionError, "between 0 and 1"),
        (lambda: Quantile([0.9, 0.1]), OptionError, r"increase: \[0\.1, 0\.9\]"),
        (lambda: Quantile([0.5, 0.5]), OptionError, "increase"),
        (lambda: Quantile(0.5, scale=0.0), OptionError, "scale is 0.0"),
        (lambda: Quantile(0.5, ordered=True), OptionError, "there is one level"),
        (lambda: Quantile(0.5).predict(Z3, threshold=0.5), OptionError, "threshold="),
        (lambda: CumulativeLink(1), OptionError, "num_classes is 1"),
        (lambda: CumulativeLink(3).predict(Z3, threshold=0.5), OptionError, "no threshold"),
        (lambda: CumulativeLink(3).predict(Z3, rule="mean"), OptionError, "'mode' or 'median'"),
        (lambda: Poisson().probs(Z3), OptionError, "up_to=20"),
        (lambda: Poisson().predict(Z3, cost=Z3), OptionError, "cost="),
        (lambda: NegativeBinomial()(Z3, Z3[:, 0]), ShapeError, r"takes \[\.\.\., 2\]"),
        (lambda: StudentT(scale="predicted")(Z3, Z3[:, 0]), ShapeError, r"takes \[\.\.\., 2\]"),
        (lambda: Quantile()(Z3[:, :2], Z3[:, 0]), ShapeError, r"takes \[\.\.\., 3\]"),
        (lambda: Quantile()(Z3, Z3), ShapeError, "LH302"),
        (lambda: StudentT()(Z3[:, :1], Z3[:, 0]), ShapeError, "LH302"),
        (lambda: CumulativeLink(3)(Z3[:, :1], torch.zeros(4).long()), ShapeError, "LH302"),
        (lambda: CumulativeLink(3)(Z3[:, 0], Z3[:, 0]), DTypeError, r"target\.long\(\)"),
        (lambda: CumulativeLink(3)(Z3[:, 0].long(), Z3[:, 0].long()), DTypeError, "floating-point scores"),
        (lambda: Poisson()(Z3, Z3.bool()), DTypeError, "real numbers"),
        (lambda: Poisson()(Z3.long(), Z3), DTypeError, "floating-point"),
    ],
)
def test_options(make, error, words):
    with pytest.raises(error, match=words):
        make()


def test_no_value_is_read_where_there_is_none():
    """Meta tensors have shapes only."""
    z, y = torch.zeros(4, 3, device="meta"), torch.zeros(4, dtype=torch.long, device="meta")
    assert Categorical(3)(z, y).shape == ()
    assert MultiLabel(3)(z, z).shape == ()


@pytest.mark.parametrize("likelihood", [Poisson(), NegativeBinomial(0.5)], ids=lambda x: x.name)
@pytest.mark.parametrize("bad", [-1.0, 0.5, torch.inf])
def test_what_is_no_count(likelihood, bad):
    z, y = torch.zeros(3), torch.tensor([0.0, torch.nan, bad])
    for ask in (
        lambda: likelihood(z, y),
        lambda: likelihood.residual(z, y),
        lambda: likelihood.baseline_nll(y),
        lambda: type(likelihood).from_targets(y),
    ):
        with pytest.raises(LikelihoodError, match=r"at position \[2|at \[2"):
            ask()
    # A missing count and one of weight 0 are read by nobody.
    weight = torch.tensor([1.0, 1.0, 0.0])
    with guard("full"):
        assert likelihood(z, y, sample_weight=weight) == likelihood(z[:1], y[:1])


@pytest.mark.parametrize("level", ["off", "cheap", "full"])
@pytest.mark.parametrize("bad", [3, -1, 256])
def test_what_is_no_grade(level, bad):
    target = torch.tensor([0, -100, bad, 2])
    for ask in (CumulativeLink(3), CumulativeLink(3).nll, CumulativeLink(3).residual):
        with guard(level), pytest.raises(TargetError, match=rf"{bad} at position \[2\]") as caught:
            ask(torch.zeros(4), target)
        assert caught.value.code == "LH203"
    with pytest.raises(TargetError):
        CumulativeLink(3).baseline_nll(target)
