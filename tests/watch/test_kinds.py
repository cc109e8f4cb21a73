"""What is known of a tensor after each of torch's functions: with gradients, without, in inference mode."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from likelihead.watch.engine import ENGINE
from likelihead.watch.session import Session
from likelihead.watch.tags import Tag

N, C = 6, 4
ROWS = torch.arange(N)
MASK = torch.arange(N) < 3

Step = Callable[[Tensor], Tensor]
PARAMETER = nn.Parameter(torch.randn(3, C))


@pytest.fixture(autouse=True)
def watched() -> Iterator[None]:
    torch.manual_seed(0)
    session = Session().start()
    yield
    record = session.finish()
    assert [note.text for note in record.notes if note.kind == "fault"] == []


@pytest.fixture(
    params=[torch.enable_grad, torch.no_grad, torch.inference_mode], ids=["grad", "none", "infer"]
)
def mode(request: pytest.FixtureRequest) -> Iterator[None]:
    with request.param():
        yield


def known(tensor: Tensor) -> Tag | None:
    return ENGINE.book.get(tensor)


def kind(tensor: Tensor) -> str | None:
    tag = known(tensor)
    return None if tag is None else tag.kind


def scores() -> Tensor:
    logits: Tensor = nn.Linear(3, C)(torch.randn(N, 3))
    return logits


def drawn(distribution: Any) -> Tensor:
    sample: Tensor = distribution(logits=numbers()).sample()
    return sample


def numbers() -> Tensor:
    return torch.randn(N, C)


SOURCES: dict[str, tuple[Callable[[], Tensor], str]] = {
    "F.softmax": (lambda: F.softmax(numbers(), dim=1), "softmax"),
    "torch.softmax": (lambda: torch.softmax(numbers(), 1), "softmax"),
    "Tensor.softmax": (lambda: numbers().softmax(-1), "softmax"),
    "nn.Softmax": (lambda: nn.Softmax(1)(numbers()), "softmax"),
    "special.softmax": (lambda: torch.special.softmax(numbers(), 1), "softmax"),
    "softmin": (lambda: F.softmin(numbers(), 1), "softmax"),
    "gumbel": (lambda: F.gumbel_softmax(numbers()), "softmax"),
    "log_softmax": (lambda: numbers().log_softmax(1), "log_softmax"),
    "special.log_softmax": (lambda: torch.special.log_softmax(numbers(), 1), "log_softmax"),
    "nn.LogSoftmax": (lambda: nn.LogSoftmax(1)(numbers()), "log_softmax"),
    "sigmoid": (lambda: torch.sigmoid(numbers()), "sigmoid"),
    "F.sigmoid": (lambda: F.sigmoid(numbers()), "sigmoid"),
    "sigmoid_": (lambda: numbers().sigmoid_(), "sigmoid"),
    "expit": (lambda: torch.special.expit(numbers()), "sigmoid"),
    "out=": (lambda: torch.sigmoid(numbers(), out=torch.empty(N, C)), "sigmoid"),
    "logsigmoid": (lambda: F.logsigmoid(numbers()), "log_sigmoid"),
    "log of softmax": (lambda: numbers().softmax(1).log(), "log_of_softmax"),
    "log_ of softmax": (lambda: numbers().softmax(1).log_(), "log_of_softmax"),
    "log of sigmoid": (lambda: torch.log(numbers().sigmoid()), "log_of_sigmoid"),
    "exp of log-softmax": (lambda: numbers().log_softmax(1).exp(), "softmax"),
    "exp of log-sigmoid": (lambda: F.logsigmoid(numbers()).exp_(), "sigmoid"),
    "linear": (scores, "layer"),
    "convolution": (lambda: nn.Conv2d(1, 2, 1)(torch.randn(2, 1, 3, 3)), "layer"),
    "transposed": (lambda: nn.ConvTranspose1d(1, 2, 1)(torch.randn(2, 1, 3)), "layer"),
    "matmul": (lambda: torch.randn(N, 3) @ nn.Parameter(torch.randn(3, C)), "layer"),
    "with bias": (lambda: torch.randn(N, 3) @ PARAMETER + nn.Parameter(torch.randn(C)), "layer"),
    "exp of layer": (lambda: scores().exp(), "exp_of_layer"),
    "one_hot": (lambda: F.one_hot(torch.tensor([0, 2])).float(), "one_hot"),
    "rows of eye": (lambda: torch.eye(C)[ROWS % C], "one_hot"),
    "argmax": (lambda: numbers().argmax(1), "class_index"),
    "max": (lambda: torch.max(numbers(), 1)[1], "class_index"),
    "topk": (lambda: numbers().topk(2)[1][:, 0], "class_index"),
    "multinomial": (lambda: torch.multinomial(numbers().softmax(1), 1)[:, 0], "sampled"),
    "Categorical": (lambda: drawn(torch.distributions.Categorical), "sampled"),
    "Bernoulli": (lambda: drawn(torch.distributions.Bernoulli), "sampled"),
    "flat sequences": (lambda: torch.zeros(N, C, dtype=torch.long).flatten(), "sequences"),
}


@pytest.mark.usefixtures("mode")
@pytest.mark.parametrize("name", SOURCES)
def test_what_makes_a_kind(name: str) -> None:
    make, expected = SOURCES[name]
    tensor = make()
    assert kind(tensor) == expected
    tag = known(tensor)
    assert tag is not None
    assert tag.at[0] == __file__


UNKNOWN: dict[str, Callable[[], Tensor]] = {
    "frozen layer": lambda: F.linear(torch.randn(N, 3), torch.randn(C, 3)),
    "hierarchical": lambda: numbers().log_softmax(1) @ torch.ones(C, 2),
    "temperature": lambda: scores() / 2,
    "gated": lambda: scores() * scores().sigmoid(),
    "scaled probability": lambda: numbers().softmax(1) * 20,
    "sum of two": lambda: numbers().softmax(1) + numbers().softmax(1),
    "log of an average": lambda: ((numbers().softmax(1) + numbers().softmax(1)) / 2).log(),
    "log(1 + p)": lambda: (numbers().softmax(1) + 1).log(),
    "product": lambda: numbers().softmax(1) * numbers().softmax(1),
    "one minus": lambda: 1 - numbers().sigmoid(),
    "cut off": lambda: numbers().sigmoid().clamp(min=2.0),
    "integers": lambda: numbers().sigmoid().long(),
    "two kinds": lambda: torch.cat([numbers().sigmoid(), numbers().softmax(1)]),
    "beside unknown": lambda: torch.cat([numbers().sigmoid(), numbers()]),
    "smoothed": lambda: F.one_hot(torch.tensor([0, 2])) * 0.9 + 0.05,
    "normalised exp": lambda: scores().exp() / scores().exp().sum(1, keepdim=True),
    "flat floats": lambda: numbers().flatten(),
}


@pytest.mark.usefixtures("mode")
@pytest.mark.parametrize("name", UNKNOWN)
def test_what_is_not_known(name: str) -> None:
    assert kind(UNKNOWN[name]()) in (None, "multiple")


# A softmax over dimension 1 of [N, C]: where it is afterwards.
MOVES: dict[str, tuple[Step, int | None]] = {
    "reshape": (lambda p: p.reshape(2, N // 2, C), 2),
    "view": (lambda p: p.view(2, N // 2, C), 2),
    "flatten": (lambda p: p.flatten(), None),
    "transpose": (lambda p: p.transpose(0, 1), 0),
    "T": (lambda p: p.T, 0),
    "mT": (lambda p: p.mT, 0),
    "permute": (lambda p: p[None].permute(2, 0, 1), 0),
    "movedim": (lambda p: p.movedim(1, 0), 0),
    "copied": (lambda p: p.T.contiguous(), 0),
    "reshaped copy": (lambda p: p.T.reshape(C, 2, N // 2), 0),
    "unsqueeze": (lambda p: p.unsqueeze(0), 2),
    "squeeze": (lambda p: p.unsqueeze(0).squeeze(0), 1),
    "row": (lambda p: p[0], 0),
    "column": (lambda p: p[:, 0], None),
    "select": (lambda p: p.select(0, 2), 0),
    "slice": (lambda p: p[1:], 1),
    "part of the classes": (lambda p: p[:, 1:], 1),
    "new axis": (lambda p: p[:, None], 2),
    "mask": (lambda p: p[MASK], 1),
    "list": (lambda p: p[[0, 2]], 1),
    "index": (lambda p: p[ROWS], 1),
    "picked": (lambda p: p[ROWS, ROWS % C], None),
    "gather": (lambda p: p.gather(1, (ROWS % C)[:, None]), None),
    "chunk": (lambda p: p.chunk(2)[1], 1),
    "split": (lambda p: torch.split(p, 2)[0], 1),
    "unbind": (lambda p: p.unbind(0)[1], 0),
    "iteration": (lambda p: next(iter(p)), 0),
    "expand": (lambda p: p[None].expand(3, N, C), 2),
    "cast": (lambda p: p.double().float().to("cpu"), 1),
    "clone": (lambda p: p.clone().detach(), 1),
    "data": (lambda p: p.data, 1),
    "cat": (lambda p: torch.cat([p, p]), 1),
    "cat over it": (lambda p: torch.cat([p, p], 1), None),
    "stack": (lambda p: torch.stack([p, p]), 2),
    "stack behind": (lambda p: torch.stack([p, p], dim=-1), 1),
    "copy_": (lambda p: torch.empty(N, C).copy_(p), 1),
    "clamp": (lambda p: p.clamp(1e-7, 1 - 1e-7), 1),
    "clip_": (lambda p: p.clone().clamp_(min=1e-7), 1),
    "epsilon": (lambda p: p + 1e-8, 1),
    "times one": (lambda p: p * 1 / 1 + 0, 1),
    "there and back": (lambda p: p * 4 / 4, 1),
    "average": (lambda p: (p + p.clone()) / 2, None),
    "stacked mean": (lambda p: torch.stack([p, p]).mean(0), None),
    "mixup": (lambda p: 0.3 * p + 0.7 * p.flip(0), None),
    "lerp": (lambda p: torch.lerp(p, p.flip(0), 0.3), None),
    "where": (lambda p: torch.where(MASK[:, None], p, 0.0), 1),
    "masked": (lambda p: p.masked_fill(MASK[:, None], 0.0), 1),
    "top": (lambda p: p.max(1)[0], None),
}


@pytest.mark.usefixtures("mode")
@pytest.mark.parametrize("name", MOVES)
def test_a_softmax_is_followed(name: str) -> None:
    step, dim = MOVES[name]
    tag = known(step(numbers().softmax(1)))
    assert tag is not None
    assert (tag.kind, tag.dim) == ("softmax", dim)


@pytest.mark.usefixtures("mode")
def test_the_dimension_that_the_numbers_sum_to_one_over_is_the_one_that_is_told() -> None:
    for step, dim in MOVES.values():
        result = step(numbers().softmax(1))
        tag = known(result)
        assert tag is not None
        if tag.whole and dim is not None and not tag.mixed:
            torch.testing.assert_close(result.sum(dim), torch.ones_like(result.sum(dim)), check_dtype=False)


@pytest.mark.usefixtures("mode")
def test_what_an_average_and_a_guard_leave_behind() -> None:
    p = numbers().softmax(1)
    average, guarded, part = known((p + p.flip(0)) / 2), known((p + 1e-8).log()), known(p[:, 1:])
    assert average is not None
    assert guarded is not None
    assert part is not None
    assert average.mixed
    assert guarded.guarded
    assert not part.whole


CHANGES: dict[str, Callable[[Tensor], Any]] = {
    "mul_": lambda p: p.mul_(-3),
    "operator": lambda p: p.__iadd__(1),
    "setitem": lambda p: p.__setitem__(0, 7.0),
    "through a view": lambda p: p[0].mul_(3),
    "through a reshape": lambda p: p.view(-1).add_(2),
    "through data": lambda p: p.data.mul_(3),
    "through a view of data": lambda p: p.data[0].fill_(3),
    "through a masked item": lambda p: p.data.__setitem__(MASK, 3.0),
    "out=": lambda p: torch.add(p.detach(), 3.0, out=p.detach()),
    "relu_ of functional": lambda p: F.hardtanh(p, 0, 9, inplace=True),
    "copy of unknown": lambda p: p.copy_(torch.randn(N, C)),
    "fill_": lambda p: p.fill_(2),
    "zero_": lambda p: torch.zero_(p),
}


@pytest.mark.usefixtures("mode")
@pytest.mark.parametrize("name", CHANGES)
def test_what_is_changed_in_place_is_unknown(name: str) -> None:
    p = numbers().softmax(1).detach()
    before = p.T
    assert kind(p) == kind(before) == "softmax"
    CHANGES[name](p)
    assert kind(p) is None
    assert kind(before) is None


def test_a_tag_dies_with_its_tensor() -> None:
    count = len(ENGINE.book)
    p = numbers().softmax(1)
    assert len(ENGINE.book) == count + 1
    del p
    gc.collect()
    assert len(ENGINE.book) == count


def terms(loss: Tensor) -> list[tuple[float | None, bool]]:
    tag = known(loss)
    assert tag is not None
    assert tag.kind == "loss"
    return [(term.factor, term.mean) for term in tag.terms]


def test_numbers_that_are_made_of_losses() -> None:
    logits, y = scores(), ROWS % C

    def loss(**options: Any) -> Tensor:
        return F.cross_entropy(logits, y, **options)

    assert terms(loss()) == [(1.0, True)]
    assert terms(loss() / 4) == [(0.25, True)]
    assert terms(0.5 * loss() + loss() * 2) == [(0.5, True), (2.0, True)]
    assert terms(loss() - loss()) == [(1.0, True), (-1.0, True)]
    assert terms(sum([loss(), loss()])) == [(1.0, True), (1.0, True)]  # type: ignore[arg-type]
    assert terms(torch.stack([loss(), loss()]).mean()) == [(0.5, True), (0.5, True)]
    assert terms(torch.stack([loss(), loss()]).sum()) == [(1.0, True), (1.0, True)]
    assert terms(loss().detach().double().clone()) == [(1.0, True)]
    # a mean, or so much of a sum where it is not known that every target counted
    assert terms(loss(reduction="none").mean()) in ([(1.0, True)], [(1 / N, False)])
    assert terms(loss(reduction="none").sum() / N) == [(1 / N, False)]
    assert terms(loss() * logits.sum()) == [(None, True)]
    assert terms(loss() + logits.pow(2).mean()) == [(1.0, True)]
    assert terms(torch.amp.GradScaler("cpu").scale(loss())) == [(1.0, True)]
    total = torch.zeros(())
    total += loss()
    assert terms(total) == [(1.0, True)]
    assert kind(loss().exp()) is None
    assert kind(loss() ** 2) is None


def test_the_sizes_of_flat_sequences_are_kept() -> None:
    tokens = torch.randint(0, 9, (N, 5))
    tag = known(tokens[:, 1:].reshape(-1).to(torch.int64))
    assert tag is not None
    assert (tag.kind, tag.shape) == ("sequences", (N, 4))


def test_nothing_is_known_inside_a_transform() -> None:
    count = len(ENGINE.book)
    result = torch.func.vmap(lambda row: row.softmax(0).clone())(numbers())
    assert kind(result) is None
    assert len(ENGINE.book) == count


def test_no_number_is_changed_nor_drawn() -> None:
    state = torch.get_rng_state()
    for step, _ in MOVES.values():
        p = torch.linspace(-2, 2, N * C).reshape(N, C).softmax(1)
        with ENGINE.hidden():
            expected = step(p)
        torch.testing.assert_close(step(p), expected, rtol=0, atol=0)
    assert torch.equal(state, torch.get_rng_state())
