"""Options of the wrong type: torch's exception where torch has the option, ours where it has not.

One table of functions, one of wrong values. Whatever is raised names the option and shows nothing of the
inside: no file of C++, no operator's schema, no attribute that a list has not got.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as TF
from torch import Tensor

import likelihead
from likelihead import functional as LF
from likelihead import nn as losses
from likelihead.errors import DTypeError, LikelihoodError
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
from likelihead.likelihoods.focal import binary_focal_loss, focal_loss

LOGITS = torch.tensor([[0.5, -1.0, 2.0], [0.0, 1.0, -1.0], [3.0, 0.1, 0.2], [-2.0, 0.3, 0.0]])
CLASSES = torch.tensor([0, 1, 2, 1])
SHARES = torch.tensor([[0.2, 0.3, 0.5]]).expand(4, 3).contiguous()

WRONG: dict[str, Any] = {
    "list": [1.0, 2.0, 3.0],
    "tuple": (1.0, 1.0, 1.0),
    "float": 2.0,
    "-100.0": -100.0,
    "nan": float("nan"),
    "int": 2,
    "bool": True,
    "complex": 2j,
    "text": "2",
    "bytes": b"2",
    "None": None,
    "array": np.ones(3),
    "array of text": np.array(["a", "b"]),
    "numpy float": np.float32(2),
    "numpy int": np.int64(2),
    "dict": {},
    "set": {1},
    "object": object(),
    "function": len,
    "0-d tensor": torch.tensor(0.1),
    "[1]": torch.tensor([0.1]),
    "[3]": torch.tensor([0.2, 0.3, 0.5]),
    "[3, 1]": torch.ones(3, 1),
    "integers": torch.tensor([1, 2, 3]),
    "0-d integer": torch.tensor(2),
    "truths": torch.tensor([True, False, True]),
    "complex tensor": torch.ones(3, dtype=torch.complex64),
    "0-d complex": torch.tensor(1j),
    "with gradient": torch.tensor(0.1, requires_grad=True),
}
LEAKS = (
    *("csrc", ".cpp", "::", "prepare,", "Boolean value", "schema", "aten", "at::", "has no attribute"),
    *("ambiguous", "not supported between", "Could not infer", "invalid data type", " at 0x", "_kernels"),
)

DROP_INS: dict[str, dict[str, Any]] = {
    "cross_entropy": {"input": LOGITS, "target": CLASSES},
    "nll_loss": {"input": LOGITS.log_softmax(1), "target": CLASSES},
    "binary_cross_entropy_with_logits": {"input": LOGITS, "target": SHARES},
    "binary_cross_entropy": {"input": SHARES, "target": SHARES},
    "multilabel_soft_margin_loss": {"input": LOGITS, "target": SHARES},
    "mse_loss": {"input": LOGITS, "target": SHARES},
    "gaussian_nll_loss": {"input": LOGITS, "target": SHARES, "var": SHARES},
}
# What torch does not take, and a drop-in does, with the value that is meant.
WIDER = {
    ("binary_cross_entropy_with_logits", "pos_weight", "truths"),
    ("binary_cross_entropy_with_logits", "weight", "with gradient"),
}


def torchs_options(name: str) -> list[str]:
    return list(inspect.signature(getattr(TF, name)).parameters)


def outcome(call: Callable[..., Any], options: dict[str, Any]) -> tuple[type[Exception] | None, str]:
    try:
        call(**options)
    except Exception as error:
        return type(error), str(error)
    return None, ""


def agree(got: type[Exception] | None, expected: type[Exception] | None, label: str) -> bool:
    """The same type, or a narrower one of torch's that code which catches torch's catches as well."""
    if label == "0-d complex" and got is TypeError:
        return expected in (RuntimeError, TypeError)  # torch's "cannot be converted to double" is one too
    return got is expected or (got is not None and expected is not None and issubclass(got, expected))


TORCHS = [
    (name, option)
    for name in DROP_INS
    for option in torchs_options(name)
    if option not in ("size_average", "reduce")
]


@pytest.mark.parametrize(("name", "option"), TORCHS)
@pytest.mark.filterwarnings("ignore")
def test_a_drop_in_raises_torchs_exception(name: str, option: str) -> None:
    for label, value in WRONG.items():
        if (name, option, label) in WIDER:
            continue
        options = {**DROP_INS[name], option: value}
        expected, words = outcome(getattr(TF, name), options)
        got, ours = outcome(getattr(LF, name), options)
        assert agree(got, expected, label), (label, expected, words, got, ours)
        assert not [leak for leak in LEAKS if leak in ours and leak not in words], (label, ours)
        if expected is None and value is not None and option in ("weight", "label_smoothing", "ignore_index"):
            theirs, mine = getattr(TF, name)(**options), getattr(LF, name)(**options)
            torch.testing.assert_close(mine, theirs, equal_nan=True)


@pytest.mark.parametrize("beside", [{}, {"logit_offset": torch.zeros(3)}, {"z_loss": 0.1}, {"softcap": 30.0}])
@pytest.mark.parametrize("option", ["weight", "ignore_index", "label_smoothing", "reduction"])
def test_and_so_it_does_beside_an_option_that_torch_has_not(option: str, beside: dict[str, Any]) -> None:
    for label, value in WRONG.items():
        options = {**DROP_INS["cross_entropy"], option: value}
        expected, words = outcome(TF.cross_entropy, options)
        got, ours = outcome(LF.cross_entropy, {**options, **beside})
        ours_too = got is not None and issubclass(got, LikelihoodError)
        assert ours_too or agree(got, expected, label), (
            label,
            words,
            got,
            ours,
        )
        if option == "label_smoothing" and beside and isinstance(value, float) and not 0 <= value <= 1:
            assert "label_smoothing" in ours  # torch takes some of these
            continue
        assert (got is None) == (expected is None), (label, words, ours)
        assert not [leak for leak in LEAKS if leak in ours and leak not in words], (label, ours)


@pytest.mark.parametrize("soft", [False, True])
def test_by_position_as_well(soft: bool) -> None:
    target = SHARES if soft else CLASSES
    for place in (2, 4, 7):  # weight, ignore_index, label_smoothing
        for label, value in WRONG.items():
            given = [LOGITS, target, None, None, -100, None, "mean", 0.0]
            given[place] = value
            expected, _ = outcome(lambda given=given: TF.cross_entropy(*given), {})
            got, ours = outcome(lambda given=given: LF.cross_entropy(*given), {})
            assert agree(got, expected, label), (place, label, ours)


# -- options that are ours -----------------------------------------------------------------------------

NUMBERS = {"float", "int", "numpy float", "numpy int"}
WHOLE = {"int", "numpy int", "0-d integer"}
READ = {"0-d tensor", "0-d integer"}  # of which the number is taken

OURS: list[tuple[str, Callable[..., Any], dict[str, Any], dict[str, set[str]]]] = [
    (
        "cross_entropy",
        LF.cross_entropy,
        DROP_INS["cross_entropy"],
        {
            "normalizer": NUMBERS | READ | {"None", "with gradient"},
            "z_loss": NUMBERS,
            "softcap": NUMBERS | {"None"},
            "logit_offset": {"None", "[3]", "integers"},
            "inplace_backward": {"bool"},
        },
    ),
    *(
        (name, getattr(LF, name), given, {"normalizer": NUMBERS | READ | {"None", "with gradient"}})
        for name, given in DROP_INS.items()
        if name != "cross_entropy"
    ),
    (
        "language_model_loss",
        LF.language_model_loss,
        {"logits": LOGITS[None], "targets": CLASSES[None], "shift": False},
        {
            "logits": set(),
            "targets": set(),
            "shift": {"bool"},
            "weight": {"None", "[3]"},
            "ignore_index": {"int", "numpy int", "0-d integer"},
            "label_smoothing": {"bool", "0-d tensor"},
            "z_loss": NUMBERS,
            "softcap": NUMBERS | {"None"},
            "logit_offset": {"None", "[3]", "integers"},
            "reduction": set(),
            "normalizer": NUMBERS | READ | {"None", "with gradient"},
            "inplace_backward": {"bool"},
        },
    ),
    (
        "Categorical",
        Categorical,
        {"num_classes": 3},
        {
            "weight": {"list", "tuple", "None", "array", "[3]", "integers", "truths"},
            "label_smoothing": {"0-d tensor"},
            "ignore_index": {"int", "numpy int", "0-d integer"},
            "z_loss": NUMBERS,
            "softcap": NUMBERS | {"None"},
            "logit_offset": {"list", "tuple", "None", "array", "[3]", "integers", "truths"},
            "reduction": set(),
        },
    ),
    ("Categorical", Categorical, {}, {"num_classes": {"int", "numpy int", "0-d integer"}}),
    ("MultiLabel", MultiLabel, {}, {"num_labels": {"int", "numpy int", "0-d integer"}}),
    (
        "MultiLabel",
        MultiLabel,
        {"num_labels": 3},
        {
            name: {"list", "tuple", "None", "array", "[3]", "integers", "truths"}
            for name in ("weight", "pos_weight")
        },
    ),
    (
        "Bernoulli",
        Bernoulli,
        {},
        {"pos_weight": NUMBERS | READ | {"None", "bool", "[1]", "with gradient"}, "reduction": set()},
    ),
    ("Gaussian", Gaussian, {}, {"variance": NUMBERS | READ, "reduction": set()}),
    ("Poisson", Poisson, {}, {"num_outputs": WHOLE, "reduction": set()}),
    ("NegativeBinomial", NegativeBinomial, {}, {"dispersion": NUMBERS | READ, "num_outputs": WHOLE}),
    ("StudentT", StudentT, {}, {"df": NUMBERS | READ, "scale": NUMBERS | READ, "num_outputs": WHOLE}),
    ("Quantile", Quantile, {}, {"levels": {"0-d tensor", "[1]", "[3]"}, "num_outputs": WHOLE}),
    ("Quantile", Quantile, {}, {"scale": NUMBERS | READ, "ordered": {"bool"}, "reduction": set()}),
    ("CumulativeLink", CumulativeLink, {}, {"num_classes": WHOLE}),
    ("CumulativeLink", CumulativeLink, {"num_classes": 3}, {"ignore_index": WHOLE, "reduction": set()}),
    (
        "focal_loss",
        focal_loss,
        {"logits": LOGITS, "target": CLASSES},
        {
            "logits": set(),
            "target": set(),
            "gamma": NUMBERS,
            "weight": {"None", "[3]", "integers"},
            "ignore_index": {"int", "numpy int", "0-d integer"},
            "logit_offset": {"None", "[3]", "integers"},
            "reduction": set(),
            "normalizer": NUMBERS | READ | {"None", "with gradient"},
        },
    ),
    (
        "binary_focal_loss",
        binary_focal_loss,
        {"logits": LOGITS, "target": SHARES},
        {
            "target": set(),
            "gamma": NUMBERS,
            "alpha": {"None"},
            "mask": {"None"},
            "reduction": set(),
            "normalizer": NUMBERS | READ | {"None", "with gradient"},
        },
    ),
    *(
        (
            type(likelihood).__name__,
            likelihood.forward,
            {"logits": LOGITS, "target": target},
            {"logits": set(), "target": set(), "normalizer": NUMBERS | READ | {"None", "with gradient"}},
        )
        for likelihood, target in (
            (Categorical(3), CLASSES),
            (MultiLabel(3), SHARES),
            (Bernoulli(), SHARES),
            (Gaussian(), SHARES),
            (Poisson(), SHARES.round()),
            (NegativeBinomial(0.5), SHARES.round()),
            (StudentT(), SHARES),
            (Quantile(0.5), SHARES),
            (CumulativeLink(3), CLASSES.unsqueeze(1).expand(4, 3)),
        )
    ),
]


def rows() -> Iterator[Any]:
    for name, call, given, options in OURS:
        for option, accepted in options.items():
            yield pytest.param(call, given, option, accepted, id=f"{name}, {option}")


@pytest.mark.parametrize(("call", "given", "option", "accepted"), list(rows()))
def test_an_option_of_ours_is_refused_by_its_name(
    call: Callable[..., Any], given: dict[str, Any], option: str, accepted: set[str]
) -> None:
    for label, value in WRONG.items():
        got, words = outcome(call, {**given, option: value})
        if label in accepted:
            assert got is None, (label, words)
            continue
        assert got is not None, label
        assert issubclass(got, LikelihoodError), (label, got, words)
        assert option in words or option.rstrip("s") in words, (label, words)
        assert not [leak for leak in LEAKS if leak in words], (label, words)
        assert "\n" not in words, (label, words)


def test_the_modules_as_well() -> None:
    with pytest.raises(TypeError, match="ignore_index"):
        losses.CrossEntropyLoss(ignore_index=-100.0)(LOGITS, CLASSES)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="label_smoothing"):
        losses.CrossEntropyLoss(label_smoothing="0.1")(LOGITS, CLASSES)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="weight"):
        losses.CrossEntropyLoss(weight=[1.0, 2.0, 3.0])(LOGITS, CLASSES)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="logit_offset"):
        losses.CrossEntropyLoss(logit_offset=[1.0, 2.0, 3.0])  # type: ignore[arg-type]
    with pytest.raises(DTypeError, match="z_loss"):
        losses.CrossEntropyLoss(z_loss="1e-4")(LOGITS, CLASSES)  # type: ignore[arg-type]


def test_numbers_of_other_kinds_give_the_same_loss() -> None:
    plain = LF.cross_entropy(LOGITS, CLASSES, ignore_index=1, label_smoothing=0.25, z_loss=0.5, softcap=8.0)
    for index in (np.int64(1), np.int8(1), torch.tensor(1)):
        for share in (np.float64(0.25), np.float32(0.25), torch.tensor(0.25)):
            other = LF.cross_entropy(
                LOGITS,
                CLASSES,
                ignore_index=index,
                label_smoothing=share,
                z_loss=np.float32(0.5),
                softcap=np.int64(8),  # type: ignore[arg-type]
            )
            assert torch.equal(other, plain)


# -- what is accepted is not denied --------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8])
@pytest.mark.parametrize("loss", ["cross_entropy", "nll_loss"])
def test_an_index_dtype_is_taken_and_no_message_says_otherwise(loss: str, dtype: torch.dtype) -> None:
    call, target = getattr(LF, loss), CLASSES.to(dtype)
    assert torch.equal(call(LOGITS, target), call(LOGITS, CLASSES))
    for wrong in (
        {"weight": torch.ones(2)},
        {"weight": torch.tensor([1, 2, 3])},
        {"weight": [1.0, 2.0, 3.0]},
        {"reduction": "avg"},
    ):
        got, words = outcome(call, {"input": LOGITS, "target": target, **wrong})
        expected, _ = outcome(getattr(TF, loss), {"input": LOGITS, "target": CLASSES, **wrong})
        assert got is expected
        for denial in ("Long or Byte", "can be indices", "cannot mean", "Char", "Short", "Int "):
            assert denial not in words, words
    got, words = outcome(call, {"input": LOGITS, "target": target[:2]})
    assert got is ValueError
    assert "can be indices" not in words


def test_the_explanation_counts_every_index_dtype() -> None:
    _, words = outcome(LF.cross_entropy, {"input": LOGITS, "target": CLASSES.bool()})
    for dtype in ("int64", "int32", "int16", "int8", "uint8"):
        assert dtype in words
    many = torch.zeros(2, 300)
    with pytest.warns(likelihead.errors.LikelihoodWarning, match="LH202"):
        LF.cross_entropy(many, torch.zeros(2, dtype=torch.int8))


def test_a_leak_would_be_found() -> None:
    def leaky(option: Tensor) -> None:
        option.shape  # noqa: B018

    got, words = outcome(leaky, {"option": [1.0]})
    assert got is AttributeError
    assert [leak for leak in LEAKS if leak in words]
