"""`linear_cross_entropy` and what stands on it, beside the logits."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from likelihead import functional, guard
from likelihead.errors import (
    BackendError,
    DTypeError,
    LikelihoodError,
    LikelihoodWarning,
    OptionError,
    ShapeError,
    TargetError,
)
from likelihead.functional import cross_entropy, linear_cross_entropy
from likelihead.likelihoods import Categorical, Gaussian
from likelihead.nn import LinearCrossEntropyLoss

B, T, D, V = 2, 9, 5, 11


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


def head_of(dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor, Tensor]:
    """Hidden states, weight and bias."""
    made = (torch.randn(*shape, dtype=dtype) for shape in ((B, T, D), (V, D), (V,)))
    hidden, weight, bias = (t.requires_grad_() for t in made)
    return hidden, weight, bias


def same(ours: Tensor, theirs: Tensor, inputs: tuple[Tensor, ...]) -> None:
    """The values, and the gradients for a random upstream gradient."""
    torch.testing.assert_close(ours, theirs)
    upstream = torch.randn_like(ours)
    for a, b in zip(
        torch.autograd.grad(ours, inputs, upstream),
        torch.autograd.grad(theirs, inputs, upstream, retain_graph=True),
        strict=True,
    ):
        torch.testing.assert_close(a, b)


OPTIONS: list[dict[str, Any]] = [
    {},
    {"label_smoothing": 0.1, "z_loss": 1e-3},
    {"weight": torch.rand(V, dtype=torch.float64), "softcap": 2.0},
    {"logit_offset": torch.randn(V, dtype=torch.float64), "normalizer": 5},
    {"sample_weight": torch.tensor([0.0, 2.0], dtype=torch.float64), "ignore_index": 3},
    {"sample_weight": torch.rand(B, T, dtype=torch.float64), "normalizer": torch.tensor(7.0)},
]


@pytest.mark.parametrize("chunk_tokens", [1, 4, None])
@pytest.mark.parametrize("options", OPTIONS, ids=lambda o: "+".join(o) or "plain")
def test_it_is_the_loss_of_the_logits(options: dict[str, Any], chunk_tokens: int | None) -> None:
    hidden, weight, bias = head_of()
    target = torch.randint(V, (B, T))
    target[0, :4] = -100 if "ignore_index" not in options else 3
    logits = linear(hidden, weight, bias).movedim(-1, 1)
    for reduction in ("mean", "sum", "none"):
        given = options if reduction == "mean" else {k: v for k, v in options.items() if k != "normalizer"}
        ours = linear_cross_entropy(
            hidden,
            weight,
            target,
            linear_bias=bias,
            reduction=reduction,
            chunk_tokens=chunk_tokens,
            **given,
        )
        same(ours, cross_entropy(logits, target, reduction=reduction, **given), (hidden, weight, bias))


def test_a_shift_scores_the_next_token() -> None:
    hidden, weight, _ = head_of()
    tokens = torch.randint(V, (B, T), dtype=torch.uint8)
    theirs = functional.language_model_loss(linear(hidden, weight), tokens, shift=True)
    same(linear_cross_entropy(hidden, weight, tokens, shift=True), theirs, (hidden, weight))
    each = linear_cross_entropy(hidden, weight, tokens, shift=True, reduction="none")
    assert each.shape == (B, T)
    assert (each[:, -1] == 0).all()


def test_a_scale_comes_before_the_cap() -> None:
    hidden, weight, bias = head_of()
    target = torch.randint(V, (B, T))
    ours = linear_cross_entropy(hidden, weight, target, linear_bias=bias, logit_scale=0.3, softcap=1.5)
    logits = 0.3 * linear(hidden, weight, bias)
    same(ours, cross_entropy(logits.movedim(-1, 1), target, softcap=1.5), (hidden, weight, bias))


@pytest.mark.parametrize("shape", [(D,), (6, D), (B, T, D)])
def test_probabilities_of_every_shape(shape: tuple[int, ...]) -> None:
    hidden = torch.randn(*shape, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(V, D, dtype=torch.float64, requires_grad=True)
    target = torch.rand(*shape[:-1], V, dtype=torch.float64).softmax(-1)
    logits = linear(hidden, weight)
    rows = logits if len(shape) == 1 else logits.flatten(0, -2)
    theirs = cross_entropy(rows, target.reshape(rows.shape), label_smoothing=0.2)
    same(linear_cross_entropy(hidden, weight, target, label_smoothing=0.2), theirs, (hidden, weight))


def test_a_head_for_each_of_several_positions_is_torchs() -> None:
    hidden = torch.randn(4, D, requires_grad=True)
    weight, bias = torch.randn(V, 3, D, requires_grad=True), torch.randn(V, 3, requires_grad=True)
    target = torch.randint(V, (4, 3))
    logits = linear(hidden, weight.reshape(-1, D), bias.reshape(-1)).reshape(4, V, 3)
    ours = linear_cross_entropy(hidden, weight, target, linear_bias=bias)
    same(ours, cross_entropy(logits, target), (hidden, weight, bias))


def test_the_factors_of_a_low_rank_adapter_receive_their_gradients() -> None:
    hidden, weight, _ = head_of()
    weight = weight.detach()
    a, b = (torch.randn(*s, dtype=torch.float64, requires_grad=True) for s in ((2, D), (V, 2)))
    target = torch.randint(V, (B, T))
    ours = linear_cross_entropy(hidden, weight + 0.5 * b @ a, target)
    logits = linear(hidden, weight) + 0.5 * linear(linear(hidden, a), b)
    same(ours, cross_entropy(logits.movedim(-1, 1), target), (hidden, a, b))


def test_under_autocast_it_is_the_linear_layers_dtype() -> None:
    hidden, weight, bias = head_of(torch.float32)
    target = torch.randint(V, (B, T))
    with torch.autocast("cpu", torch.bfloat16):
        ours = linear_cross_entropy(hidden, weight, target, linear_bias=bias)
        theirs = torch.nn.functional.cross_entropy(linear(hidden, weight, bias).movedim(-1, 1), target)
    assert ours.dtype == theirs.dtype == torch.float32
    torch.testing.assert_close(ours, theirs, rtol=2e-2, atol=2e-2)
    ours.backward()
    assert weight.grad is not None
    assert weight.grad.dtype == torch.float32


def test_what_torch_takes_as_options_sets_the_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    class Options:
        batch_chunk_size = 4

    seen: list[int] = []
    from likelihead.kernels.fused import linear_chunks

    chunk_rows = linear_chunks.chunk_rows

    def spy(hidden: Tensor, classes: int, chunk: int) -> int:
        seen.append(chunk)
        return chunk_rows(hidden, classes, chunk)

    monkeypatch.setattr(linear_chunks, "chunk_rows", spy)
    hidden, weight, _ = head_of()
    target = torch.randint(V, (B, T))
    linear_cross_entropy(hidden, weight, target, options=Options())
    linear_cross_entropy(hidden, weight, target, options=Options(), chunk_tokens=5)
    linear_cross_entropy(hidden, weight, target)
    assert seen == [4, 5, 0]


H, W, Y = torch.zeros(6, D), torch.zeros(V, D), torch.zeros(6, dtype=torch.long)
REFUSED: list[tuple[type[Exception], str, tuple[Any, ...], dict[str, Any]]] = [
    (RuntimeError, r"\[6, 5\].*\[11, 4\]: the hidden states are 5 wide", (H, W[:, :4], Y), {}),
    (RuntimeError, r"pass linear_weight\.T", (H, W.T, Y), {}),
    (RuntimeError, "input is torch.float32 and linear_weight torch.bfloat16", (H, W.bfloat16(), Y), {}),
    (RuntimeError, r"linear_bias has shape \[5\]; expected \[11\]", (H, W, Y), {"linear_bias": W[0]}),
    (ValueError, r"target has shape \[4\] and input \[6, 5\]", (H, W, Y[:4]), {}),
    (RuntimeError, "ignore_index is 2", (H, W, torch.rand(6, V)), {"ignore_index": 2}),
    (ShapeError, r"with shift=True expected \[6\]", (H, W, Y[:5]), {"shift": True}),
    (DTypeError, "shift=True takes token ids", (H, W, torch.rand(6)), {"shift": True}),
    (OptionError, "chunk_tokens is 0; expected at least 1", (H, W, Y), {"chunk_tokens": 0}),
    (DTypeError, "chunk_tokens is 1.5", (H, W, Y), {"chunk_tokens": 1.5}),
    (OptionError, "softcap is -1", (H, W, Y), {"softcap": -1.0}),
    (OptionError, "softcap is 1e[+]39; expected .* float32", (H, W, Y), {"softcap": 1e39}),
    (DTypeError, "logit_scale is 'a'", (H, W, Y), {"logit_scale": "a"}),
    (IndexError, r"target\[3\] is 11", (H, W, torch.tensor([0, 1, -100, 11, 0, 0])), {}),
    (IndexError, r"target\[1, 2\] is 99", (H.view(2, 3, D), W, torch.tensor([[0, 1, 2], [3, 4, 99]])), {}),
    (IndexError, r"target\[0, 1\] is 99", (H.view(2, 3, D), W, torch.tensor([[0, 99, 2], [3, 4, 5]])),
     {"shift": True}),
    (RuntimeError, "different devices|same device", (H, W.to("meta"), Y), {}),
    (TypeError, "input is .*list", ([1.0], W, Y), {}),
    (TypeError, "target is None", (H, W, None), {}),
    (TypeError, "options is 'x', a str; expected torch.nn.Linear", (H, W, Y), {"options": "x"}),
    (BackendError, r"input is a tensor of layout sparse_coo.*input\.to_dense", (H.to_sparse(), W, Y), {}),
    (BackendError, "linear_weight is a tensor of layout sparse_coo", (H, W.to_sparse(), Y), {}),
    (BackendError, "linear_bias is a tensor of layout", (H, W, Y), {"linear_bias": W[:, 0].to_sparse()}),
    (BackendError, "target is a tensor of layout", (H, W, Y.to_sparse()), {}),
    (RuntimeError, "chunk_tokens and compact are for", (H, W.view(V, 1, D), Y), {"chunk_tokens": 2}),
    (RuntimeError, "chunk_tokens and compact are for", (H, W.view(V, 1, D), Y), {"compact": True}),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "words", "arguments", "options"), REFUSED, ids=[r[1] for r in REFUSED])
def test_what_cannot_be_is_refused_in_words(
    kind: type[Exception], words: str, arguments: tuple[Any, ...], options: dict[str, Any]
) -> None:
    with pytest.raises(kind, match=words):
        linear_cross_entropy(*arguments, **options)


def test_a_chunk_of_more_than_there_is() -> None:
    hidden, weight, _ = head_of()
    target = torch.randint(V, (B, T))
    whole = linear_cross_entropy(hidden, weight, target)
    assert torch.equal(linear_cross_entropy(hidden, weight, target, chunk_tokens=2**70), whole)


def test_the_module_is_torchs_where_torch_has_it() -> None:
    module = LinearCrossEntropyLoss(D, V, bias=True, label_smoothing=0.1, softcap=3.0, chunk_tokens=4)
    assert {name for name, _ in module.named_parameters()} == {"linear.weight", "linear.bias"}
    torchs = getattr(nn, "LinearCrossEntropyLoss", None)
    assert torchs is None or isinstance(module, torchs)
    hidden, target = torch.randn(B, T, D), torch.randint(V, (B, T))
    theirs = cross_entropy(module.linear(hidden).movedim(-1, 1), target, label_smoothing=0.1, softcap=3.0)
    same(module(hidden, target), theirs, tuple(module.parameters()))
    several = LinearCrossEntropyLoss(D, V, out_features=(3,))
    assert several(hidden[0], torch.randint(V, (T, 3))).shape == ()


def test_a_likelihood_of_hidden_states() -> None:
    likelihood = Categorical(V, weight=torch.rand(V).tolist(), label_smoothing=0.1, z_loss=1e-3)
    head = likelihood.head(D)
    hidden, target = torch.randn(B, T, D, requires_grad=True), torch.randint(V, (B, T))
    target[0, 2:] = -100
    logits = head(hidden).movedim(-1, 1)
    headed, inputs = likelihood.with_head(head), (hidden, *head.parameters())
    weights = torch.rand(B)
    same(headed(hidden, target), likelihood(logits, target), inputs)
    same(headed.nll(hidden, target), likelihood.nll(logits, target), inputs)
    same(
        headed(hidden, target, sample_weight=weights),
        likelihood(logits, target, sample_weight=weights),
        inputs,
    )
    assert torch.equal(headed.predict(hidden), likelihood.predict(logits))
    cost = torch.rand(V, V)
    assert torch.equal(headed.predict(hidden[0], cost=cost), likelihood.predict(head(hidden[0]), cost=cost))
    nothing = headed(hidden, torch.full((B, T), -100))
    assert nothing.item() == 0
    assert all(not g.any() for g in torch.autograd.grad(nothing, inputs))


def test_a_likelihood_refuses_what_its_head_cannot_give() -> None:
    likelihood, head = Categorical(V), nn.Linear(D, V)
    hidden = torch.zeros(B, T, D)
    with pytest.raises(TargetError, match="11"):
        likelihood.linear_nll(hidden, head, torch.full((B, T), V))
    with pytest.raises(ShapeError, match="puts out 3 numbers"):
        likelihood.with_head(nn.Linear(D, 3))
    with pytest.raises(ShapeError, match=r"hidden has shape \[5\]"):
        likelihood.linear_nll(hidden[0, 0], head, torch.zeros(()).long())
    with pytest.raises(ShapeError):
        likelihood.linear_nll(hidden, head, torch.zeros(B, T - 1).long())
    with pytest.raises(OptionError, match="takes log-probabilities"):
        Categorical.from_log_probs(V).linear_nll(hidden, head, torch.zeros(B, T).long())
    with pytest.raises(ShapeError, match="LH603"):
        likelihood.linear_nll(hidden, head, torch.zeros(B, T).long(), sample_weight=torch.ones(3))
    with pytest.raises(DTypeError, match="target is None"):
        likelihood.linear_nll(hidden, head, None)  # type: ignore[arg-type]


def test_a_head_that_is_more_than_its_weight_and_bias_is_refused() -> None:
    class Scaled(nn.Linear):
        def forward(self, input: Tensor) -> Tensor:
            return 2 * super().forward(input)

    hooked, replaced, parametrized = (nn.Linear(D, V) for _ in range(3))
    hooked.register_forward_hook(lambda module, inputs, output: 2 * output)
    replaced.forward = lambda input: 2 * input  # type: ignore[method-assign]
    likelihood, hidden, target = Categorical(V), torch.randn(B, T, D), torch.randint(V, (B, T))
    for head, words in (
        (Scaled(D, V), "a Scaled with a forward of its own"),
        (hooked, "a Linear with hooks on its forward"),
        (replaced, "a Linear with a forward of its own"),
        (nn.utils.spectral_norm(nn.Linear(D, V)), "hooks"),  # the old one, which sets the weight when called
        (nn.Sequential(nn.Linear(D, V)), "head is a Sequential"),
        (None, "head is None"),
    ):
        for score in (likelihood.linear_nll, likelihood.linear_loss):
            with pytest.raises(OptionError, match=words):
                score(hidden, head, target)  # type: ignore[arg-type]
    for nothing in (None, nn.Sequential(nn.Linear(D, V)), torch.zeros(V, D)):
        with pytest.raises(OptionError, match="expected a torch"):
            likelihood.with_head(nothing)  # type: ignore[arg-type]
    nn.utils.parametrizations.weight_norm(parametrized)
    same(
        likelihood.with_head(parametrized)(hidden, target),
        likelihood(parametrized(hidden).movedim(-1, 1), target),
        tuple(parametrized.parameters()),
    )


def test_a_likelihood_of_hidden_states_is_compiled_whole() -> None:
    likelihood, hidden, target = (
        Categorical(V, label_smoothing=0.1),
        torch.randn(6, D),
        torch.randint(V, (6,)),
    )
    headed = likelihood.with_head(likelihood.head(D))
    for score in (headed, headed.nll):
        compiled = torch.compile(score, fullgraph=True, backend="aot_eager")
        torch.testing.assert_close(compiled(hidden, target), score(hidden, target))


def test_each_tokens_loss_has_the_targets_shape() -> None:
    likelihood, hidden, target = (
        Categorical(V, reduction="none"),
        torch.randn(B, T, D),
        torch.randint(V, (B, T)),
    )
    head = likelihood.head(D)
    same(
        likelihood.with_head(head)(hidden, target),
        likelihood(head(hidden).movedim(-1, 1), target),
        tuple(head.parameters()),
    )


def test_a_subclass_that_scores_in_its_own_way_is_scored_so() -> None:
    class Squared(Categorical):
        def nll(self, logits: Tensor, target: Tensor, **options: Any) -> Tensor:
            return super().nll(logits, target, **options).square()

    likelihood = Squared(V)
    head = likelihood.head(D)
    hidden, target = torch.randn(6, D), torch.randint(V, (6,))
    headed = likelihood.with_head(head)
    torch.testing.assert_close(headed.nll(hidden, target), likelihood.nll(head(hidden), target))
    torch.testing.assert_close(headed(hidden, target), likelihood(head(hidden), target))
    # As many tokens as classes: the logits would fit with either as the classes.
    hidden, target = torch.randn(B, V, D), torch.randint(V, (B, V))
    logits = head(hidden).movedim(-1, 1)
    torch.testing.assert_close(headed.nll(hidden, target), likelihood.nll(logits, target))
    torch.testing.assert_close(headed(hidden, target), likelihood(logits, target))
    soft = torch.rand(B, V, V).softmax(-1)
    torch.testing.assert_close(headed.nll(hidden, soft), likelihood.nll(logits, soft.movedim(-1, 1)))


def test_other_likelihoods_have_a_head_through_their_parameters() -> None:
    likelihood = Gaussian()
    head = likelihood.head(D)
    hidden, target = torch.randn(6, D), torch.randn(6, 1)
    headed = likelihood.with_head(head)
    torch.testing.assert_close(headed(hidden, target), likelihood(head(hidden), target))
    torch.testing.assert_close(headed.nll(hidden, target), likelihood.nll(head(hidden), target))


def test_a_decision_without_logits_is_that_with_them() -> None:
    hidden = torch.randn(B, T, D)
    offset = torch.randn(V)
    offset[3] = -torch.inf
    likelihood = Categorical(V, softcap=0.3, logit_offset=offset)
    head = likelihood.head(D)
    found = likelihood.with_head(head).predict(hidden)
    assert torch.equal(found, likelihood.predict(head(hidden).movedim(-1, 1)))
    assert not torch.equal(found, head(hidden).argmax(-1))
    of_log_probs = Categorical.from_log_probs(V)
    assert torch.equal(of_log_probs.with_head(head).predict(hidden[0]), head(hidden[0]).argmax(1))
    with pytest.raises(ShapeError, match="5 wide and the head takes 4"):
        likelihood.linear_predict(hidden, nn.Linear(4, V))


PROBABILITIES: list[tuple[str, Tensor]] = [
    ("LH205", torch.full((B, T, V), 0.2)),
    ("LH204", torch.eye(V)[:T].expand(B, T, V) + torch.eye(V)[1 : T + 1]),
    ("LH801", torch.full((B, T, V), torch.nan)),
]


@pytest.mark.parametrize(("code", "target"), PROBABILITIES)
def test_at_full_the_guard_reads_the_targets(code: str, target: Tensor) -> None:
    hidden, weight, _ = (t.detach() for t in head_of(torch.float32))
    head = nn.Linear(D, V)
    linear_cross_entropy(hidden, weight, target)  # at cheap nobody looks
    with guard("full"):
        with pytest.warns(LikelihoodWarning, match=code):
            linear_cross_entropy(hidden, weight, target)
        # A warning is an error here.
        with pytest.raises((LikelihoodError, LikelihoodWarning), match=code):
            Categorical(V).linear_nll(hidden, head, target)
        # Of no weight, whatever it is.
        good = torch.full((B, T, V), 1 / V)
        good[1] = target[1]
        linear_cross_entropy(hidden, weight, good, sample_weight=torch.tensor([1.0, 0.0]))


def test_at_full_the_guard_finds_a_class_that_there_is_not() -> None:
    hidden, weight, _ = (t.detach() for t in head_of(torch.float32))
    target = torch.zeros(B, T, dtype=torch.uint8)
    target[1, 3] = V
    with guard("full"):
        for call in (linear_cross_entropy, functional.linear_log_probs):
            with pytest.raises(TargetError, match=r"is 11 at \[1, 3\]"):
                call(hidden, weight, target)
        linear_cross_entropy(hidden, weight, target, sample_weight=torch.tensor([1.0, 0.0]), ignore_index=V)
        linear_cross_entropy(hidden, weight, target, ignore_index=V)


def test_hidden_states_of_no_width_make_even_odds() -> None:
    hidden, head = torch.zeros(2, 3, 0, requires_grad=True), torch.zeros(V, 0, requires_grad=True)
    loss = linear_cross_entropy(hidden, head, torch.zeros(2, 3, dtype=torch.long))
    loss.backward()
    assert loss.item() == pytest.approx(math.log(V))
    assert [leaf.grad.shape for leaf in (hidden, head)] == [(2, 3, 0), (V, 0)]  # type: ignore[union-attr]
