"""Sizes and dtypes that are wrong, whether torch refuses them or not, and those that only look wrong."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import likelihead
from likelihead.watch.session import Session
from watch.examples import FORMS, MODES, Example, numbers, raised, watched

N, C = 8, 5
LOGITS = numbers(N, C)
LOG_PROBS = LOGITS.log_softmax(1)
Y = torch.arange(N) % C
YES = (torch.arange(N) % 2).float()
ONE, FLAT = numbers(N, 1), numbers(N, seed=1)
BCE, LOGITS_BCE = "binary_cross_entropy", "binary_cross_entropy_with_logits"

WRONG: dict[str, tuple[str, Example]] = {
    "uint8 of 300 classes": (
        "LH202",
        Example("cross_entropy", numbers(4, 300), torch.tensor([0, 43, 12, 7], dtype=torch.uint8)),
    ),
    "float index": ("LH202", Example("cross_entropy", LOGITS, Y.float())),
    "bool index": ("LH202", Example("cross_entropy", LOGITS, Y > 2)),
    "int32 index": ("LH202", Example("cross_entropy", LOGITS, Y.int())),
    "float index into NLL": ("LH202", Example("nll_loss", LOG_PROBS, Y.float())),
    "integers one-hot": ("LH202", Example("cross_entropy", LOGITS, F.one_hot(Y, C))),
    "values of max": ("LH202", Example("cross_entropy", LOGITS, F.one_hot(Y, C).float().max(1).values)),
    "classes last": ("LH301", Example("cross_entropy", numbers(2, 4, 7), torch.arange(8).reshape(2, 4) % 7)),
    "classes last of pictures": (
        "LH301",
        Example("cross_entropy", numbers(2, 3, 4, 7), torch.arange(24).reshape(2, 3, 4) % 7),
    ),
    "classes last into NLL": (
        "LH301",
        Example("nll_loss", numbers(2, 4, 7).log_softmax(-1), torch.arange(8).reshape(2, 4) % 7),
    ),
    "all pairs": ("LH302", Example("mse_loss", ONE, FLAT)),
    "all pairs the other way": ("LH302", Example("mse_loss", FLAT, ONE)),
    "all pairs, l1": ("LH302", Example("l1_loss", ONE, FLAT)),
    "all pairs, smooth l1": ("LH302", Example("smooth_l1_loss", ONE, FLAT)),
    "all pairs, huber": ("LH302", Example("huber_loss", ONE, FLAT)),
    "all pairs, poisson": ("LH302", Example("poisson_nll_loss", ONE, FLAT.abs())),
    "all pairs, hinge": ("LH302", Example("hinge_embedding_loss", ONE, YES * 2 - 1)),
    "all pairs, soft margin": ("LH302", Example("soft_margin_loss", ONE, YES * 2 - 1)),
    "all pairs, gaussian": ("LH302", Example("gaussian_nll_loss", ONE, FLAT, more=(torch.ones(N, 1),))),
    "extra dimension, logits": ("LH302", Example(LOGITS_BCE, ONE, YES)),
    "extra dimension, probabilities": ("LH302", Example(BCE, ONE.sigmoid(), YES)),
    "extra dimension of the index": ("LH302", Example("cross_entropy", LOGITS, Y[:, None])),
    "one class": ("LH303", Example("cross_entropy", ONE, torch.zeros(N, dtype=torch.long))),
    "one class, label 1": ("LH303", Example("cross_entropy", ONE, YES.long())),
    "one logit each": ("LH303", Example("cross_entropy", FLAT, YES.long())),
    "one logit each, float labels": ("LH303", Example("cross_entropy", FLAT, YES)),
    "two logits, one label": ("LH303", Example(LOGITS_BCE, numbers(N, 2), YES)),
    "two probabilities, one label": ("LH303", Example(BCE, numbers(N, 2).sigmoid(), YES[:, None])),
    "no class but 1": ("LH403", Example("cross_entropy", numbers(N, 2), YES.long(), {"ignore_index": 0})),
    "no class but 0": (
        "LH403",
        Example("nll_loss", numbers(N, 2).log_softmax(1), YES.long(), {"ignore_index": 1}),
    ),
    "no class but 1, pictures": (
        "LH403",
        Example("cross_entropy", numbers(2, 2, 4), YES.long().reshape(2, 4), {"ignore_index": 0}),
    ),
    "weights of the examples": (
        "LH601",
        Example(LOGITS_BCE, LOGITS, (LOGITS > 0).float(), {"pos_weight": torch.ones(N, 1)}),
    ),
    "weights of labels before steps": (
        "LH601",
        Example(LOGITS_BCE, numbers(N, 5, 7), torch.ones(N, 5, 7), {"pos_weight": torch.ones(5)}),
    ),
    "two class weights": (
        "LH602",
        Example(LOGITS_BCE, ONE, YES[:, None], {"weight": torch.tensor([1.0, 5.0])}),
    ),
    "two class weights, probabilities": (
        "LH602",
        Example(BCE, ONE.sigmoid(), YES[:, None], {"weight": torch.tensor([1.0, 5.0])}),
    ),
    "two class weights, soft margin": (
        "LH602",
        Example("multilabel_soft_margin_loss", ONE, YES[:, None], {"weight": torch.tensor([1.0, 5.0])}),
    ),
    "a weight too few": ("LH602", Example("cross_entropy", LOGITS, Y, {"weight": torch.ones(C - 1)})),
    "a weight too many": ("LH602", Example("nll_loss", LOG_PROBS, Y, {"weight": torch.ones(C + 1)})),
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_call_is_told_once_and_where_it_is(name: str, form: str, mode: str) -> None:
    code, example = WRONG[name]

    def program() -> None:
        example.call(form)

    seen = watched(program, mode)
    assert seen.codes == [code]
    (finding,) = (one for one in seen.record.findings if one.code == code)
    lines, first = inspect.getsourcelines(Example.call)
    assert finding.at.line in range(first, first + len(lines))
    assert finding.step == 0
    assert finding.count == 1
    bare = raised(program, mode)
    assert type(seen.error) is type(bare)
    assert str(seen.error) == str(bare)
    if bare is not None:
        assert str(bare).splitlines()[0] in finding.detail


RIGHT: dict[str, Example] = {
    "uint8": Example("cross_entropy", LOGITS, Y.to(torch.uint8)),
    "one example": Example("cross_entropy", LOGITS[0], Y[0]),
    "one example of two classes, soft": Example("cross_entropy", numbers(2), torch.tensor([0.25, 0.75])),
    "pictures": Example("cross_entropy", numbers(2, 7, 4, 4), torch.arange(32).reshape(2, 4, 4) % 7),
    "as many steps as classes": Example("cross_entropy", numbers(2, 4, 4), torch.arange(8).reshape(2, 4) % 4),
    "one negative left in the last batch": Example("cross_entropy", numbers(1, 1), torch.tensor([0])),
    "column and column": Example("mse_loss", ONE, ONE + 1),
    "one target for all": Example("mse_loss", LOGITS, numbers(C)),
    "a scalar target": Example("mse_loss", LOGITS, torch.tensor(1.0)),
    "all pairs on purpose": Example("mse_loss", ONE, ONE.T),
    "one example of one number": Example("mse_loss", numbers(1, 1), numbers(1)),
    "one yes or no": Example(LOGITS_BCE, FLAT, YES),
    "two labels": Example(LOGITS_BCE, numbers(N, 2), torch.stack([YES, 1 - YES], 1)),
    "labels as they are weighed": Example(
        LOGITS_BCE, LOGITS, (LOGITS > 0).float(), {"pos_weight": torch.ones(C), "weight": torch.ones(N, 1)}
    ),
    "maps of labels": Example(
        LOGITS_BCE,
        numbers(2, 3, 4, 4),
        (numbers(2, 3, 4, 4) > 0).float(),
        {"pos_weight": torch.ones(3, 1, 1)},
    ),
    "weights of two examples": Example(BCE, numbers(2).sigmoid(), YES[:2], {"weight": torch.ones(2)}),
    "class weights": Example("cross_entropy", LOGITS, Y, {"weight": torch.ones(C)}),
    "padding among many classes": Example("cross_entropy", LOGITS, Y, {"ignore_index": 0}),
    "void beside two classes": Example(
        "cross_entropy", numbers(N, 2), YES.long() * 255, {"ignore_index": 255}
    ),
    "the default said": Example("cross_entropy", numbers(N, 2), YES.long(), {"ignore_index": -100}),
    "an empty batch": Example("cross_entropy", LOGITS[:0], Y[:0], {"reduction": "sum"}),
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", RIGHT)
def test_a_right_call_is_silent(name: str, form: str, mode: str) -> None:
    seen = watched(lambda: RIGHT[name].call(form), mode)
    assert seen.error is None
    assert seen.codes == []
    assert seen.notes == {}


def test_the_classes_of_a_layer_lie_last_where_a_square_hides_it() -> None:
    head, x, y = nn.Linear(6, 4), numbers(2, 4, 6), torch.arange(8).reshape(2, 4) % 4
    seen = watched(lambda: F.cross_entropy(head(x), y))
    assert seen.codes == ["LH301"]
    assert seen.record.findings[0].made_at is not None
    moved = watched(lambda: F.cross_entropy(head(x).movedim(-1, 1), y))
    assert moved.codes == []


def test_what_torch_refuses_and_no_hazard_describes_is_a_note() -> None:
    seen = watched(lambda: F.cross_entropy(LOGITS, Y[:3]))
    assert isinstance(seen.error, ValueError)
    assert seen.codes == []
    assert "[8, 5]" in seen.notes["refused"]
    assert "cross_entropy raised ValueError" in seen.notes["refused"]


def test_what_likelihead_refuses_keeps_its_code_and_its_words() -> None:
    seen = watched(lambda: likelihead.Categorical(C)(LOGITS, Y + 1))
    assert isinstance(seen.error, likelihead.errors.TargetError)
    assert seen.codes == ["LH203"]
    assert seen.record.findings[0].count == 1
    assert seen.record.findings[0].detail == str(seen.error).splitlines()[0]


# -- LH403: two losses that share two classes ----------------------------------------------------------

TWO, LABELS = numbers(N, 2), YES.long()


def both_classes(weight: float) -> Any:
    return weight * F.cross_entropy(TWO, LABELS, ignore_index=0) + F.cross_entropy(
        TWO, LABELS, ignore_index=1
    )


def more_of_one(weight: float) -> Any:
    return F.cross_entropy(TWO, LABELS) + weight * F.cross_entropy(TWO, LABELS, ignore_index=0)


@pytest.mark.parametrize("loss", [both_classes, more_of_one])
@pytest.mark.parametrize("mode", ["grad", "no_grad"])
def test_each_class_may_have_a_loss_of_its_own(loss: Any, mode: str) -> None:
    assert watched(lambda: [loss(0.1) for _ in range(4)], mode).codes == []


def test_a_single_class_in_training_is_told_within_its_first_step() -> None:
    model = nn.Linear(3, 2)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    session = Session().start()
    try:
        F.cross_entropy(model(numbers(N, 3)), LABELS, ignore_index=0).backward()
        assert not session.findings
        optimizer.step()
        (finding,) = session.findings.values()
    finally:
        session.finish()
    assert (finding.code, finding.step, finding.count) == ("LH403", 0, 1)


# -- tensors that are none of ours ---------------------------------------------------------------------


class Strange(Tensor):
    """As a script may have its own: reading it fails."""

    @classmethod
    def __torch_function__(
        cls, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func is Tensor.is_floating_point or func is torch.aminmax:
            raise AssertionError("looked at")
        return super().__torch_function__(func, types, args, kwargs)


def fake() -> Any:
    from torch._subclasses.fake_tensor import FakeTensorMode

    with FakeTensorMode():
        return F.cross_entropy(torch.empty(N, C), torch.zeros(N, dtype=torch.long))


def nested() -> Any:
    ragged = torch.nested.nested_tensor([torch.zeros(2, C), torch.zeros(3, C)], layout=torch.jagged)
    return F.mse_loss(ragged, ragged)


def quantized() -> Any:
    values = torch.quantize_per_tensor(LOGITS, 0.1, 0, torch.qint8)
    return F.mse_loss(values.dequantize(), values.dequantize()), F.mse_loss(values, LOGITS)


STRANGE: dict[str, Any] = {
    "a subclass": lambda: F.cross_entropy(LOGITS.as_subclass(Strange), Y),
    "a subclass as target": lambda: F.mse_loss(LOGITS, LOGITS.as_subclass(Strange)),
    "a fake": fake,
    "meta": lambda: F.cross_entropy(LOGITS.to("meta"), Y.to("meta")),
    "nested": nested,
    "quantized": quantized,
    "sparse": lambda: F.mse_loss(LOGITS, LOGITS.to_sparse()),
    "in vmap": lambda: torch.vmap(F.mse_loss)(LOGITS, LOGITS),
    "in grad": lambda: torch.func.grad(lambda x: F.cross_entropy(x, Y))(LOGITS),
    "traced": lambda: torch.jit.trace(lambda x: F.mse_loss(x, x * 2), (LOGITS,), check_trace=False),
    "exported": lambda: torch.export.export(_Loss(), (LOGITS, Y)),
    "no tensor": lambda: F.cross_entropy(None, Y),  # type: ignore[arg-type]
    "a target that is none": lambda: F.mse_loss(LOGITS, 1.0),  # type: ignore[arg-type]
}


class _Loss(nn.Module):
    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        return F.cross_entropy(logits, target)


@pytest.mark.parametrize("name", STRANGE)
def test_strange_tensors_are_left_alone_and_named(name: str) -> None:
    bare = raised(STRANGE[name])
    seen = watched(STRANGE[name])
    assert type(seen.error) is type(bare)
    assert seen.codes == []
    assert set(seen.notes) <= {"unread"}
