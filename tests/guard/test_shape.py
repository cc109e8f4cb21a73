from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from likelihead.errors import DTypeError, ShapeError
from likelihead.guard.check import explain_shape
from likelihead.guard.report import LossName
from likelihead.guard.shape import accepted

LONG, FLOAT, BOOL = torch.long, torch.float32, torch.bool

TORCH = {
    "cross_entropy": F.cross_entropy,
    "nll": F.nll_loss,
    "bce": F.binary_cross_entropy,
    "bce_with_logits": F.binary_cross_entropy_with_logits,
    "multilabel_soft_margin": F.multilabel_soft_margin_loss,
    "mse": F.mse_loss,
}


def zeros(*shape: int, dtype: torch.dtype = FLOAT) -> Tensor:
    return torch.zeros(shape, dtype=dtype)


@contextmanager
def ignored() -> Iterator[None]:
    """torch's own warning that an MSE broadcasts."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Using a target size")
        yield


# loss, input, target, target's dtype, hazard, a word that the message must hold
IMPOSSIBLE: list[tuple[LossName, tuple[int, ...], tuple[int, ...], torch.dtype, str | None, str]] = [
    ("cross_entropy", (2, 5, 7), (2, 5), LONG, "LH301", "movedim(-1, 1)"),
    ("nll", (2, 5, 7), (2, 5), LONG, "LH301", "7 classes last"),
    ("cross_entropy", (2, 4, 4, 3), (2, 4, 4), LONG, "LH301", "flatten(0, 2)"),
    ("cross_entropy", (6, 3), (6, 1), LONG, "LH302", "[6, 1]"),
    ("nll", (6, 3), (6, 1), LONG, "LH302", "must be [6]"),
    ("cross_entropy", (6, 1), (6,), FLOAT, "LH303", "one class"),
    ("cross_entropy", (6,), (6,), LONG, "LH303", "one logit for each"),
    ("cross_entropy", (6, 3), (5,), LONG, None, "[6] (class indices) or [6, 3] (probabilities)"),
    ("nll", (6, 3), (5,), LONG, None, "[6] (class indices)"),
    ("cross_entropy", (6, 3), (6,), FLOAT, "LH202", "torch.float32"),
    ("cross_entropy", (6, 2), (6,), BOOL, "LH202", "torch.bool"),
    ("cross_entropy", (6, 3), (6, 3), LONG, "LH202", "argmax(dim=1)"),
    ("nll", (6, 3), (6,), FLOAT, "LH202", "torch.float32"),
    ("bce_with_logits", (6,), (6, 1), FLOAT, "LH302", "the input is [6]"),
    ("bce_with_logits", (6, 1), (6,), FLOAT, "LH302", "[6, 1]"),
    ("bce", (6, 1), (6,), FLOAT, "LH302", "[6, 1]"),
    ("bce_with_logits", (6, 2), (6,), FLOAT, "LH303", "two logits"),
    ("bce_with_logits", (6, 2), (6, 1), FLOAT, "LH303", "two logits"),
    ("bce", (6, 2), (6,), FLOAT, "LH303", "two logits"),
    ("bce_with_logits", (6, 3), (6,), LONG, None, "class indices"),
    ("bce_with_logits", (6, 3), (6, 4), FLOAT, None, "[6, 4]"),
    ("bce", (6, 3), (6, 3), LONG, None, "target.to(input.dtype)"),
    ("multilabel_soft_margin", (6, 3), (5, 3), FLOAT, None, "[5, 3]"),
    ("mse", (6, 3), (5, 3), FLOAT, None, "[5, 3]"),
]


@pytest.mark.parametrize(("loss", "shape", "target", "dtype", "code", "word"), IMPOSSIBLE)
def test_an_impossible_call_is_put_into_words(
    loss: LossName,
    shape: tuple[int, ...],
    target: tuple[int, ...],
    dtype: torch.dtype,
    code: str | None,
    word: str,
) -> None:
    given, wanted = zeros(*shape), zeros(*target, dtype=dtype)
    with pytest.raises((ValueError, RuntimeError)), ignored():  # it is impossible, as torch has it
        TORCH[loss](given, wanted)
    finding = explain_shape(loss, given, wanted)
    assert finding is not None
    assert finding.code == code
    assert word in finding.message
    error = finding.error()
    assert isinstance(error, DTypeError if code == "LH202" else ShapeError)
    assert error.code == code
    assert explain_shape(loss, given.to("meta"), wanted.to("meta")) == finding


def test_weights_that_do_not_fit() -> None:
    cases = [
        explain_shape("cross_entropy", zeros(6, 3), zeros(6, dtype=LONG), weight=zeros(2)),
        explain_shape("nll", zeros(6, 3), zeros(6, dtype=LONG), weight=zeros(6)),
        explain_shape("bce_with_logits", zeros(6, 1), zeros(6, 1), weight=zeros(2)),
        explain_shape("bce", zeros(6), zeros(6), weight=zeros(2)),
        explain_shape("multilabel_soft_margin", zeros(6, 1), zeros(6, 1), weight=zeros(2)),
    ]
    assert [finding and finding.code for finding in cases] == ["LH602"] * 5
    finding = explain_shape("bce_with_logits", zeros(6, 1), zeros(6, 1), pos_weight=zeros(2))
    assert finding is not None
    assert finding.code == "LH601"


# A call that torch takes without a word, and is wrong: input, target, weight, pos_weight, ignore_index.
ACCEPTED: list[tuple[str, LossName, tuple[int, ...], tuple[int, ...], dict[str, object]]] = [
    ("LH302", "mse", (6,), (6, 1), {}),
    ("LH302", "mse", (6, 1), (6,), {}),
    ("LH302", "gaussian_nll", (6, 1), (6,), {}),
    ("LH302", "multilabel_soft_margin", (6, 1), (6,), {}),
    ("LH302", "mse", (6, 6, 1), (6, 6), {}),
    ("LH303", "cross_entropy", (6, 1), (6,), {}),
    ("LH303", "cross_entropy", (6, 1, 4, 4), (6, 4, 4), {}),
    ("LH303", "cross_entropy", (6, 1), (6, 1), {}),
    ("LH403", "cross_entropy", (6, 2), (6,), {"ignore_index": 0}),
    ("LH403", "nll", (6, 2, 3), (6, 3), {"ignore_index": 1}),
    ("LH601", "bce_with_logits", (6, 3), (6, 3), {"pos_weight": zeros(6, 1)}),
    ("LH601", "bce_with_logits", (6, 3, 2), (6, 3, 2), {"pos_weight": zeros(6, 1, 1)}),
    ("LH602", "multilabel_soft_margin", (6, 1), (6, 1), {"weight": zeros(2)}),
]


@pytest.mark.parametrize(("code", "loss", "shape", "target", "options"), ACCEPTED)
def test_a_wrong_call_that_torch_takes(
    code: str, loss: LossName, shape: tuple[int, ...], target: tuple[int, ...], options: dict[str, object]
) -> None:
    finding = accepted(loss, zeros(*shape), zeros(*target), **options)  # type: ignore[arg-type]
    assert finding is not None
    assert finding.code == code


RIGHT: list[tuple[LossName, tuple[int, ...], tuple[int, ...], dict[str, object]]] = [
    ("cross_entropy", (6, 3), (6,), {"weight": zeros(3), "ignore_index": -100}),
    ("cross_entropy", (3,), (), {}),
    ("cross_entropy", (6, 3, 4, 4), (6, 4, 4), {}),
    ("cross_entropy", (6, 3), (6, 3), {}),
    ("cross_entropy", (5, 7, 7), (5, 7), {}),  # which of the sevens holds the classes cannot be known
    ("cross_entropy", (1, 1), (1,), {}),  # the last batch of in-batch negatives
    ("cross_entropy", (6, 2), (6,), {"ignore_index": -1}),
    ("cross_entropy", (6, 2), (6,), {"ignore_index": 255}),
    ("cross_entropy", (6, 9), (6,), {"ignore_index": 0}),  # the padding id of a vocabulary
    ("cross_entropy", (0, 3), (0,), {}),
    ("nll", (6, 1), (6,), {}),  # a gather of ready log-likelihoods
    ("nll", (6, 3), (6,), {}),
    ("bce_with_logits", (6,), (6,), {"pos_weight": zeros(1)}),
    ("bce_with_logits", (6,), (6,), {"pos_weight": zeros(6)}),  # six labels of one unbatched example
    ("bce_with_logits", (6,), (6,), {"pos_weight": zeros()}),
    ("bce_with_logits", (6, 1), (6, 1), {"pos_weight": zeros(1)}),
    ("bce_with_logits", (6, 3), (6, 3), {"pos_weight": zeros(3), "weight": zeros(3)}),
    ("bce_with_logits", (6, 3), (6, 3), {"weight": zeros(6, 1)}),
    ("bce_with_logits", (6, 3), (6, 3), {"weight": zeros(6, 3)}),
    ("bce_with_logits", (6, 3), (6, 3), {"pos_weight": zeros(6, 3)}),
    ("bce_with_logits", (6, 3, 4, 4), (6, 3, 4, 4), {"pos_weight": zeros(3, 1, 1)}),
    ("bce_with_logits", (6, 3, 4, 4), (6, 3, 4, 4), {"pos_weight": zeros(1, 3, 1, 1)}),
    ("bce_with_logits", (3, 3), (3, 3), {"pos_weight": zeros(3)}),
    ("bce_with_logits", (6, 2), (6, 2), {}),
    ("bce", (6, 1), (6, 1), {"weight": zeros(6, 1)}),
    ("multilabel_soft_margin", (6, 3), (6, 3), {"weight": zeros(3)}),
    ("mse", (6, 3), (6, 3), {}),
    ("mse", (6, 3), (3,), {}),
    ("mse", (6, 3), (1, 3), {}),
    ("mse", (6, 3), (), {}),
    ("mse", (6, 1), (1, 6), {}),  # written out: all pairs are meant
    ("mse", (1,), (1, 1), {}),  # broadcasting repeats nothing
    ("mse", (1, 4), (4,), {}),
    ("gaussian_nll", (6,), (6,), {}),
]


@pytest.mark.parametrize(("loss", "shape", "target", "options"), RIGHT)
def test_a_right_or_ambiguous_call_is_silent(
    loss: LossName, shape: tuple[int, ...], target: tuple[int, ...], options: dict[str, object]
) -> None:
    dtype = LONG if loss in ("cross_entropy", "nll") and target != shape else FLOAT
    given, wanted = zeros(*shape), zeros(*target, dtype=dtype)
    assert accepted(loss, given, wanted, **options) is None  # type: ignore[arg-type]
    options.pop("ignore_index", None)
    assert explain_shape(loss, given, wanted, **options) is None  # type: ignore[arg-type]


@pytest.mark.parametrize(("dtype", "classes"), [(torch.uint8, 300), (torch.int16, 40_000)])
def test_an_index_too_narrow_for_the_classes(dtype: torch.dtype, classes: int) -> None:
    finding = explain_shape("cross_entropy", zeros(2, classes), zeros(2, dtype=dtype))
    assert finding is not None
    assert finding.code == "LH202"
    assert explain_shape("cross_entropy", zeros(2, 256), zeros(2, dtype=dtype)) is None


# No empty dimension: torch's own answers to those are not consistent.
SHAPES = st.lists(st.integers(1, 3), max_size=3).map(tuple)


@settings(deadline=None, max_examples=300)
@given(
    loss=st.sampled_from(["cross_entropy", "nll", "bce", "bce_with_logits", "mse"]),
    shape=SHAPES,
    target=SHAPES,
    weight=st.none() | SHAPES,
    long=st.booleans(),
)
def test_what_torch_takes_is_explained_by_a_hazard_only(
    loss: LossName,
    shape: tuple[int, ...],
    target: tuple[int, ...],
    weight: tuple[int, ...] | None,
    long: bool,
) -> None:
    """No call that torch computes is called unfit; none that torch refuses for its sizes passes as right."""
    given, wanted = zeros(*shape), zeros(*target, dtype=LONG if long else FLOAT)
    weights = None if weight is None or loss == "mse" else torch.ones(weight)
    options = {} if weights is None else {"weight": weights}
    finding = explain_shape(loss, given, wanted, **options)
    try:
        with ignored():
            TORCH[loss](given, wanted, **options)
    except (ValueError, RuntimeError, IndexError) as error:
        refused = str(error)
    else:
        refused = ""
    if refused:
        assert finding is not None
    else:
        assert finding is None or finding.code is not None
