from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from likelihead.guard.axes import signed
from likelihead.guard.origin import trace
from likelihead.guard.provenance import check_provenance
from likelihead.guard.report import LossName

B, C, H = 6, 4, 5


def features() -> Tensor:
    return torch.randn(B, H)


def logits(*shape: int) -> Tensor:
    return torch.randn(*(shape or (B, C)), requires_grad=True) * 1


def linear(bias: bool = True) -> Tensor:
    return nn.Linear(H, C, bias=bias)(features())


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.query, self.head = nn.Linear(H, H), nn.Linear(H, C)

    def forward(self, x: Tensor) -> Tensor:
        weights = torch.softmax(self.query(x) @ x.T, dim=-1)
        return self.head(weights @ x)


class Doubled(torch.autograd.Function):
    @staticmethod
    def forward(ctx: object, x: Tensor) -> Tensor:
        return x * 2

    @staticmethod
    def backward(ctx: object, grad: Tensor) -> Tensor:
        return grad * 2


WRONG: list[tuple[str, LossName, Callable[[], Tensor]]] = [
    ("LH101", "cross_entropy", lambda: logits().softmax(1)),
    ("LH101", "cross_entropy", lambda: nn.Softmax(dim=-1)(linear())),
    ("LH101", "cross_entropy", lambda: logits().softmax(0)),
    ("LH101", "cross_entropy", lambda: logits().softmax(1).half().float()),
    ("LH101", "cross_entropy", lambda: logits(2, 3, C).softmax(-1).reshape(-1, C)),
    ("LH101", "cross_entropy", lambda: logits(2, 3, C).softmax(-1).permute(0, 2, 1).contiguous()),
    ("LH101", "cross_entropy", lambda: logits().softmax(1)[torch.tensor([0, 2])]),
    ("LH101", "cross_entropy", lambda: logits(2, 3, C).softmax(-1)[torch.ones(2, 3, dtype=torch.bool)]),
    ("LH101", "cross_entropy", lambda: logits(2, 3, C).softmax(-1)[:, -1]),
    ("LH101", "cross_entropy", lambda: logits().softmax(1).clamp(1e-7, 1 - 1e-7)),
    ("LH101", "cross_entropy", lambda: logits().log_softmax(1).exp()),
    ("LH101", "cross_entropy", lambda: torch.cat([logits().softmax(1), logits().softmax(1)])),
    (
        "LH101",
        "cross_entropy",
        lambda: torch.stack([logits().softmax(1)[:, 0], logits().softmax(1)[:, 1]], 1),
    ),
    ("LH101", "cross_entropy", lambda: logits().softmax(1).chunk(2)[1]),
    ("LH101", "cross_entropy", lambda: logits().softmax(1).unbind(0)[1]),
    ("LH101", "cross_entropy", lambda: checkpoint(torch.softmax, logits(), 1, use_reentrant=False)),
    ("LH102", "cross_entropy", lambda: linear().sigmoid()),
    ("LH102", "cross_entropy", lambda: F.logsigmoid(linear()).exp()),
    ("LH103", "cross_entropy", lambda: logits().log_softmax(1)),
    ("LH103", "cross_entropy", lambda: logits(2, 3, C).log_softmax(-1).transpose(1, 2)),
    ("LH104", "nll", lambda: logits().softmax(1)),
    ("LH104", "nll", lambda: logits().log_softmax(1).exp()),
    ("LH105", "nll", lambda: linear()),
    ("LH105", "nll", lambda: linear(bias=False)),
    ("LH105", "nll", lambda: nn.Linear(H, C)(torch.randn(2, 3, H)).transpose(1, 2)),
    ("LH105", "nll", lambda: nn.Conv2d(3, C, 3)(torch.randn(B, 3, 5, 5))),
    ("LH105", "nll", lambda: features() @ nn.Parameter(torch.randn(H, C)) + nn.Parameter(torch.zeros(C))),
    ("LH105", "nll", lambda: linear().relu()),
    ("LH106", "bce_with_logits", lambda: linear().sigmoid()),
    ("LH106", "bce_with_logits", lambda: nn.Linear(H, 1)(features()).sigmoid().squeeze(-1)),
    ("LH106", "multilabel_soft_margin", lambda: linear().sigmoid()),
    ("LH107", "bce_with_logits", lambda: logits().softmax(1)),
    ("LH107", "bce_with_logits", lambda: logits(B, 2).softmax(1)[:, 1]),
    ("LH107", "multilabel_soft_margin", lambda: logits().softmax(1)),
    ("LH109", "bce", lambda: linear().sigmoid()),
    ("LH109", "bce", lambda: linear().sigmoid().clamp(1e-6, 1 - 1e-6).squeeze()),
    ("LH110", "nll", lambda: logits().softmax(1).log()),
    ("LH110", "cross_entropy", lambda: logits().softmax(1).log()),
    ("LH112", "nll", lambda: logits().log_softmax(0)),
    ("LH112", "nll", lambda: logits().softmax(0).log()),
    ("LH112", "nll", lambda: logits(2, 3, 3).log_softmax(-1)),
    ("LH112", "nll", lambda: logits(C, B).log_softmax(1).t()),
    ("LH112", "nll", lambda: logits(3, 5).log_softmax(-2)),
]


@pytest.mark.parametrize(("code", "loss", "make"), WRONG)
def test_a_wrong_wiring_is_found(code: str, loss: LossName, make: Callable[[], Tensor]) -> None:
    finding = check_provenance(loss, make(), full=True)
    assert finding is not None
    assert finding.code == code


def mixture_of_softmaxes() -> Tensor:
    mix = logits(B, 3).log_softmax(1).unsqueeze(2)
    return torch.logsumexp(mix + logits(B, 3, C).log_softmax(2), dim=1)


def mixture_in_probabilities() -> Tensor:
    mix = logits(B, 3).softmax(1).unsqueeze(2)
    return (mix * logits(B, 3, C).softmax(2)).sum(1).log()


def hierarchical_softmax() -> Tensor:
    # log-probabilities straight out of a matrix product: a fixed matrix adds those of each path
    paths = torch.tensor([[1.0, 0, 1, 0], [1, 0, 0, 0], [0, 1, 0, 1], [0, 1, 0, 0]])
    return F.logsigmoid(linear()) @ paths


def in_place_after_softmax() -> Tensor:
    probs = logits().softmax(1)
    probs[:, 0] = 3.0
    return probs


RIGHT: list[tuple[LossName, Callable[[], Tensor]]] = [
    ("cross_entropy", linear),
    ("cross_entropy", lambda: linear() / 0.07),
    ("cross_entropy", lambda: Attention()(features())),
    ("cross_entropy", lambda: logits().softmax(1) * linear()),
    ("cross_entropy", lambda: logits().softmax(1) * 10),
    ("cross_entropy", lambda: logits().sigmoid() * linear()),
    ("cross_entropy", lambda: nn.Linear(C, C)(logits().softmax(1))),
    ("cross_entropy", lambda: logits().softmax(1).detach()),
    ("cross_entropy", lambda: logits().softmax(1).detach() + linear()),
    ("cross_entropy", lambda: Doubled.apply(logits().softmax(1))),
    ("cross_entropy", lambda: torch.cat([logits().softmax(1), linear()])),
    ("cross_entropy", lambda: torch.cat([logits().softmax(1), torch.ones(1, C)])),
    ("cross_entropy", lambda: logits().log_softmax(0)),  # a step of Sinkhorn's iteration
    ("cross_entropy", lambda: logits().log_softmax(1)[:, :2]),  # normalised anew over some of the classes
    ("cross_entropy", lambda: mixture_of_softmaxes()),
    ("cross_entropy", lambda: 1 - logits().sigmoid()),
    ("cross_entropy", lambda: logits().softmax(1).masked_fill(torch.eye(B, C, dtype=torch.bool), -9.0)),
    ("cross_entropy", lambda: F.dropout(logits().softmax(1))),
    ("cross_entropy", in_place_after_softmax),
    ("cross_entropy", lambda: torch.tanh(linear())),
    ("cross_entropy", lambda: logits().exp()),
    ("cross_entropy", lambda: (logits() ** 2 + 1).log()),
    ("cross_entropy", lambda: logits().sigmoid().log()),
    ("nll", lambda: logits().log_softmax(1)),
    ("nll", lambda: logits(2, 3, C).log_softmax(-1).view(-1, C)),
    ("nll", lambda: logits(2, 3, C).log_softmax(-1).transpose(1, 2)),
    ("nll", lambda: logits(2, 3, C).log_softmax(-1)[:, -1]),
    ("nll", lambda: logits(2, 3, C).log_softmax(-1)[torch.ones(2, 3, dtype=torch.bool)]),
    ("nll", lambda: logits(C, B).log_softmax(0).t()),
    ("nll", lambda: logits(C).log_softmax(0)),
    ("nll", lambda: logits(B, C, 2, 2).log_softmax(1)),
    ("nll", lambda: logits(B, 2 * C).log_softmax(1).view(B, C, 2)),  # a joint distribution
    ("nll", lambda: logits(5, 5).log_softmax(0)[:3]),  # the same for some of the rows
    ("nll", lambda: logits(5, 5).log_softmax(0)),  # contrastive: the diagonal of either direction
    ("nll", mixture_of_softmaxes),
    ("nll", mixture_in_probabilities),
    ("nll", hierarchical_softmax),
    ("nll", lambda: logits().log_softmax(1) * (1 - logits().softmax(1)) ** 2),  # focal
    ("nll", lambda: (logits().softmax(1) * 0.9 + 0.1 / C).log()),
    ("nll", lambda: torch.stack([logits().softmax(1), logits().softmax(1)]).mean(0).log()),  # an ensemble
    ("nll", lambda: logits().softmax(1).clamp_min(1e-8).log()),
    ("nll", lambda: F.logsigmoid(linear())),
    ("nll", lambda: -F.softplus(linear())),
    ("nll", lambda: -linear()),
    ("nll", lambda: linear() - torch.logsumexp(linear(), 1, keepdim=True)),
    ("nll", lambda: linear().clamp(max=0)),
    ("nll", lambda: F.linear(features(), torch.randn(C, H), nn.Parameter(torch.zeros(C)))),
    ("nll", lambda: logits().softmax(1).detach()),
    ("bce_with_logits", linear),
    ("bce_with_logits", lambda: torch.logit(linear().sigmoid())),
    ("bce_with_logits", lambda: logits().sigmoid() * linear()),
    ("bce_with_logits", lambda: nn.Linear(C, 1)(logits().sigmoid())),
    ("bce_with_logits", lambda: logits().log_softmax(1)),
    ("multilabel_soft_margin", linear),
    ("bce", lambda: logits().softmax(1)),
    ("bce", lambda: logits().sigmoid() * logits().sigmoid()),
    ("bce", lambda: 1 - (1 - logits().sigmoid()).prod(1)),
    ("bce", lambda: logits().sigmoid().detach()),
    ("mse", lambda: linear().sigmoid()),
    ("mse", lambda: linear().softmax(1)),
    ("gaussian_nll", lambda: linear().sigmoid()),
]


@pytest.mark.parametrize(("loss", "make"), RIGHT)
def test_a_right_or_unknown_wiring_is_silent(loss: LossName, make: Callable[[], Tensor]) -> None:
    assert check_provenance(loss, make(), full=True) is None


def test_a_redundant_log_softmax_is_a_matter_for_full() -> None:
    assert check_provenance("cross_entropy", logits().log_softmax(1), full=False) is None


def test_autocast_casts_are_stepped_through() -> None:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        z = nn.Linear(H, C)(features())
        finding = check_provenance("cross_entropy", z.softmax(1), full=False)
        raw = check_provenance("nll", z, full=False)
    assert finding is not None
    assert finding.code == "LH101"
    assert raw is not None
    assert raw.code == "LH105"


def test_a_graph_that_was_freed_can_still_be_walked() -> None:
    probs = logits().softmax(-1).view(B, C)
    probs.sum().backward()
    finding = check_provenance("cross_entropy", probs, full=False)
    assert finding is not None


def test_saved_tensors_are_left_alone() -> None:
    # Unpacking could copy an offloaded activation back from the CPU.
    def unpack(packed: object) -> Tensor:
        raise AssertionError("a saved tensor was read")

    with torch.autograd.graph.saved_tensors_hooks(lambda t: t, unpack):
        made = [make() for _, _, make in WRONG]
    for (code, loss, _), tensor in zip(WRONG, made, strict=True):
        finding = check_provenance(loss, tensor, full=True)
        assert finding is not None
        assert finding.code == code


def test_a_very_long_way_is_an_unknown_one() -> None:
    probs = logits().softmax(1)
    for _ in range(200):
        probs = probs.clone()
    assert trace(probs) is None
    assert trace(torch.cat([logits().softmax(1) for _ in range(200)])) is None


def test_the_place_of_the_softmax_is_told_where_anomaly_mode_knows_it() -> None:
    with pytest.warns(UserWarning, match="Anomaly"), torch.autograd.detect_anomaly():
        probs = nn.Softmax(dim=1)(logits())
    finding = check_provenance("cross_entropy", probs, full=False)
    assert finding is not None
    assert finding.made_at is not None
    assert finding.made_at.startswith(f"{__file__}:")
    assert f"made at {__file__}:" in finding.message


def test_a_negative_dimension_is_saved_unsigned() -> None:
    assert signed(2**64 - 1, 3) == 2
    assert signed(1, 3) == 1


# -- the dimension of the softmax, against the numbers -----------------------------------------------

Step = Callable[[Tensor, st.DataObject], Tensor]


def some_dim(x: Tensor, data: st.DataObject) -> int:
    return data.draw(st.integers(-x.ndim, x.ndim - 1))


def some_factors(x: Tensor, data: st.DataObject) -> list[int]:
    """A shape of as many elements, drawn by moving factors between neighbours."""
    left, shape = x.numel(), []
    while left > 1 and len(shape) < 4:
        size = data.draw(st.sampled_from([d for d in range(1, left + 1) if left % d == 0]))
        shape.append(size)
        left //= size
    return [*shape, left]


STEPS: list[Step] = [
    lambda x, data: x.transpose(some_dim(x, data), some_dim(x, data)),
    lambda x, data: x.permute(*data.draw(st.permutations(range(x.ndim)))),
    lambda x, data: x.reshape(some_factors(x, data)),
    lambda x, data: x.flatten(0, -2) if x.ndim > 2 else x.flatten(),
    lambda x, data: x.unsqueeze(some_dim(x, data)),
    lambda x, data: x.squeeze(some_dim(x, data)),
    lambda x, data: x.squeeze() if x.numel() > 1 else x,
    lambda x, data: x.squeeze((0, x.ndim - 1)) if x.ndim > 2 else x,
    lambda x, data: x.double(),
    lambda x, data: x.contiguous().clone(),
    lambda x, data: x.select(some_dim(x, data), 0) if x.ndim > 1 else x,
    lambda x, data: x.expand(2, *x.shape),
    lambda x, data: x.index_select(some_dim(x, data), torch.tensor([0])),
    lambda x, data: x.narrow(some_dim(x, data), 0, 1),
    lambda x, data: x.unbind(some_dim(x, data))[0] if x.ndim > 1 else x,
]


@settings(deadline=None, max_examples=500)
@given(data=st.data())
def test_a_known_dimension_is_the_one_whose_sums_are_one(data: st.DataObject) -> None:
    # Distinct prime sizes among ones, so that a wrong dimension cannot sum to one by chance.
    shape = data.draw(st.permutations([2, 3, 5, 1]))
    x = torch.randn(*shape, dtype=torch.float64, requires_grad=True)
    dim = data.draw(st.sampled_from([i for i, size in enumerate(shape) if size > 1]))
    x = x.softmax(dim)
    for step in data.draw(st.lists(st.sampled_from(STEPS), min_size=1, max_size=4)):
        x = step(x, data)
    origin = trace(x)
    assert origin is not None
    assert origin.kind == "softmax"
    if origin.dim is not None and (origin.whole or x.shape[origin.dim] == shape[dim]):
        assert torch.allclose(x.sum(origin.dim), torch.ones((), dtype=torch.float64))


def test_the_dimension_is_followed_through_the_usual_chains() -> None:
    chains: list[tuple[Tensor, int | None]] = [
        (logits(2, 3, C).softmax(-1).view(6, C), 1),
        (logits(2, 3, C).softmax(-1).permute(0, 2, 1).contiguous(), 1),
        (logits(2, C, 3).softmax(1).transpose(1, 2).reshape(-1, C), 1),
        (logits(2, C, 3).softmax(1).flatten(2), 1),
        (logits(B, 1, C).softmax(-1).squeeze(1), 1),
        (logits(B, C).softmax(1).unsqueeze(0), 2),
        (logits(1, B, C).softmax(1).squeeze(0), 0),
        (logits(1, B, C).softmax(1).squeeze(), 0),
        (logits(3, 2, C).softmax(1).unbind(0)[0], None),
        (logits(1, B, 1, C).softmax(1).squeeze((0, 2)), 0),
        (logits(B, C).softmax(0).expand(2, B, C), 1),
        (logits(2, 3, C).softmax(2)[:, 0], 1),
        (logits(2, 3, C).softmax(-1)[:, :2], 2),
        (logits(B, 2 * C).softmax(1).view(B, C, 2), None),
        (logits(2, 3, C).softmax(1).view(6, C), None),
        (logits(2, 3, C).softmax(-1)[torch.ones(2, 3, dtype=torch.bool)], None),
    ]
    for tensor, dim in chains:
        origin = trace(tensor)
        assert origin is not None
        assert origin.dim == dim
