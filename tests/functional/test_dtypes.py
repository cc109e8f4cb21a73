"""Mixed dtypes and autocast: a drop-in's result has torch's dtype, and its accuracy does not fall back."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from likelihead import functional as LF
from likelihead.errors import LikelihoodWarning

DTYPES = (torch.float64, torch.float32, torch.bfloat16, torch.float16)


def _calls(
    input: torch.dtype, other: torch.dtype
) -> dict[str, tuple[str, tuple[Tensor, ...], dict[str, Any]]]:
    generator = torch.Generator().manual_seed(2)
    x = torch.randn(4, 3, generator=generator).to(input)
    t = torch.rand(4, 3, generator=generator).to(other)
    w = torch.rand(4, 3, generator=generator).to(other) + 0.5
    index = torch.tensor([0, 1, 2, -100])
    p = x.sigmoid()
    return {
        "cross_entropy": ("cross_entropy", (x, index), {}),
        "cross_entropy of probabilities": ("cross_entropy", (x, t), {}),
        "cross_entropy with weights": ("cross_entropy", (x, index), {"weight": w[0]}),
        "nll_loss": ("nll_loss", (x, index), {}),
        "nll_loss with weights": ("nll_loss", (x, index), {"weight": w[0]}),
        "bce": ("binary_cross_entropy", (p, t), {}),
        "bce with logits": ("binary_cross_entropy_with_logits", (x, t), {}),
        "bce with logits and weights": (
            "binary_cross_entropy_with_logits",
            (x, t),
            {"weight": w, "pos_weight": w[0]},
        ),
        "multilabel": ("multilabel_soft_margin_loss", (x, t), {}),
        "multilabel with weights": ("multilabel_soft_margin_loss", (x, t), {"weight": w[0]}),
        "mse": ("mse_loss", (x, t), {}),
        "mse with weights": ("mse_loss", (x, t), {"weight": w}),
        "gaussian": ("gaussian_nll_loss", (x, t, w), {}),
        "gaussian with one variance": ("gaussian_nll_loss", (x, t, 0.5), {}),
    }


def _outcome(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    try:
        result = function(*args, **kwargs)
    except RuntimeError as error:
        return type(error)
    return result.dtype, result.shape


@pytest.mark.filterwarnings("ignore:In CPU autocast:UserWarning")
@pytest.mark.parametrize("autocast", [None, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", list(_calls(torch.float32, torch.float32)))
def test_the_dtype_is_torchs(name: str, autocast: torch.dtype | None) -> None:
    for dtypes, reduction in product(product(DTYPES, DTYPES), ("none", "mean")):
        function, args, kwargs = _calls(*dtypes)[name]
        kwargs = {**kwargs, "reduction": reduction}
        with torch.autocast("cpu", dtype=autocast, enabled=autocast is not None):
            theirs = _outcome(getattr(F, function), args, kwargs)
            mine = _outcome(getattr(LF, function), args, kwargs)
        assert mine == theirs, (dtypes, reduction)


def test_float32_class_weights_under_autocast_lose_neither_accuracy_nor_options_nor_the_guard() -> None:
    weight = torch.ones(2)
    logits = torch.tensor([[20.0, 0.0]], dtype=torch.bfloat16, requires_grad=True)
    target = torch.tensor([0])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = LF.cross_entropy(logits, target, weight=weight)
        assert loss.item() == pytest.approx(2.0612e-9, rel=1e-4)
        with_z = LF.cross_entropy(logits, target, weight=weight, z_loss=1e-3)
        assert with_z.item() == pytest.approx(0.4, rel=1e-4)
        log_probs = logits.log_softmax(1)
        assert LF.nll_loss(log_probs, target, weight=weight, normalizer=2).item() == 0.0
        with pytest.warns(LikelihoodWarning, match="LH101"):
            LF.cross_entropy(logits.softmax(1).bfloat16(), target, weight=weight)
