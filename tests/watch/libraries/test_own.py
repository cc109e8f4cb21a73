"""likelihead's own losses under the watch: each has its site, right uses are silent and wrong ones told."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor, nn

import likelihead
import likelihead.functional as L
from likelihead.likelihoods import REGISTRY
from likelihead.watch.record import Record

B, K, T = 8, 4, 5
CLASSES = torch.arange(B) % K
BITS = (torch.arange(B) % 2).float()
LABELS = (torch.arange(B * K).reshape(B, K) % 3 == 0).float()
TOKENS = torch.arange(B * T).reshape(B, T) % K
PIXELS = torch.arange(2 * 8 * 8).reshape(2, 8, 8) % K
HIDDEN, HEAD = torch.randn(B, 6), torch.randn(K, 6)


def rows(width: int = K) -> Tensor:
    return nn.Linear(6, width)(torch.randn(B, 6))  # type: ignore[no-any-return]


def row() -> Tensor:
    return rows(1).squeeze(1)


def sequence() -> Tensor:
    return nn.Linear(6, K)(torch.randn(B, T, 6))  # type: ignore[no-any-return]


def image() -> Tensor:
    return nn.Conv2d(3, K, 1)(torch.randn(2, 3, 8, 8))  # type: ignore[no-any-return]


def hidden() -> Tensor:
    return nn.Linear(6, 6)(HIDDEN)  # type: ignore[no-any-return]


OVERLAP = ("dice_loss", "jaccard_loss", "tversky_loss", "focal_tversky_loss", "lovasz_loss")
RIGHT: dict[str, Callable[[], Tensor]] = {
    "cross_entropy": lambda: L.cross_entropy(rows(), CLASSES),
    "nll_loss": lambda: L.nll_loss(rows().log_softmax(dim=1), CLASSES),
    "binary_cross_entropy": lambda: L.binary_cross_entropy(row() * 0 + 0.5, BITS),
    "binary_cross_entropy_with_logits": lambda: L.binary_cross_entropy_with_logits(row(), BITS),
    "multilabel_soft_margin_loss": lambda: L.multilabel_soft_margin_loss(rows(), LABELS),
    "focal_loss": lambda: L.focal_loss(rows(), CLASSES),
    "binary_focal_loss": lambda: L.binary_focal_loss(row(), BITS),
    "gaussian_nll_loss": lambda: L.gaussian_nll_loss(row(), torch.randn(B), torch.ones(B)),
    "mse_loss": lambda: L.mse_loss(row(), torch.randn(B)),
    "language_model_loss": lambda: L.language_model_loss(sequence(), TOKENS, shift=True),
    "linear_cross_entropy": lambda: L.linear_cross_entropy(hidden(), HEAD, CLASSES, ignore_index=3),
    "linear_kl": lambda: L.linear_kl(hidden(), HEAD, HIDDEN, HEAD),
    "linear_kl_topk": lambda: L.linear_kl_topk(
        hidden(), HEAD, torch.full((B, 2), 0.4).log(), torch.tensor([[0, 1]]).expand(B, 2)
    ),
    **{
        name: lambda name=name: getattr(L, name)(image(), PIXELS, from_logits=True)  # type: ignore[misc]
        for name in OVERLAP
    },
    "Categorical": lambda: likelihead.Categorical(K)(rows(), CLASSES),
    "Bernoulli": lambda: likelihead.Bernoulli()(row(), BITS),
    "MultiLabel": lambda: likelihead.MultiLabel(K)(rows(), LABELS),
    "Gaussian": lambda: likelihead.Gaussian()(row(), torch.randn(B)),
    "StudentT": lambda: likelihead.StudentT()(row(), torch.randn(B)),
    "Quantile": lambda: likelihead.Quantile()(rows(3), torch.randn(B)),
    "Poisson": lambda: likelihead.Poisson()(row(), BITS),
    "NegativeBinomial": lambda: likelihead.NegativeBinomial()(rows(2), BITS),
    "CumulativeLink": lambda: likelihead.CumulativeLink(K)(row(), CLASSES),
}
MODULES = {
    "CrossEntropyLoss": "cross_entropy",
    "NLLLoss": "nll_loss",
    "BCELoss": "binary_cross_entropy",
    "BCEWithLogitsLoss": "binary_cross_entropy_with_logits",
    "MultiLabelSoftMarginLoss": "multilabel_soft_margin_loss",
    "FocalLoss": "focal_loss",
    "BinaryFocalLoss": "binary_focal_loss",
    "MSELoss": "mse_loss",
    "DiceLoss": "dice_loss",
    "JaccardLoss": "jaccard_loss",
    "TverskyLoss": "tversky_loss",
    "FocalTverskyLoss": "focal_tversky_loss",
    "LovaszLoss": "lovasz_loss",
}
WRONG: dict[str, tuple[str, Callable[[], Tensor]]] = {
    "softmax": ("LH101", lambda: L.cross_entropy(rows().softmax(dim=1), CLASSES)),
    "sigmoid": ("LH102", lambda: L.cross_entropy(rows().sigmoid(), CLASSES)),
    "log-softmax": ("LH103", lambda: L.cross_entropy(rows().log_softmax(dim=1), CLASSES)),
    "one-hot": ("LH201", lambda: L.cross_entropy(rows(), nn.functional.one_hot(CLASSES, K).float())),
    "probabilities": ("LH104", lambda: L.nll_loss(rows().softmax(dim=1), CLASSES)),
    "logits": ("LH105", lambda: L.nll_loss(rows(), CLASSES)),
    "two sigmoids": ("LH106", lambda: L.binary_cross_entropy_with_logits(row().sigmoid(), BITS)),
    "softmax and labels": ("LH107", lambda: L.binary_cross_entropy_with_logits(rows().softmax(1), LABELS)),
    "precision": ("LH109", lambda: L.binary_cross_entropy(row().sigmoid(), BITS)),
    "labels": ("LH106", lambda: L.multilabel_soft_margin_loss(rows().sigmoid(), LABELS)),
    "focal": ("LH101", lambda: L.focal_loss(rows().softmax(dim=1), CLASSES)),
    "binary focal": ("LH106", lambda: L.binary_focal_loss(row().sigmoid(), BITS)),
    "sequence": ("LH101", lambda: L.language_model_loss(sequence().softmax(-1), TOKENS, shift=False)),
    "overlap": ("LH115", lambda: L.dice_loss(image().softmax(dim=1), PIXELS, from_logits=True)),
    "broadcast": ("LH302", lambda: L.mse_loss(rows(1), torch.randn(B))),
    "Categorical": ("LH101", lambda: likelihead.Categorical(K)(rows().softmax(dim=1), CLASSES)),
    "Bernoulli": ("LH106", lambda: likelihead.Bernoulli()(row().sigmoid(), BITS)),
    "MultiLabel": ("LH106", lambda: likelihead.MultiLabel(K)(rows().sigmoid(), LABELS)),
    "module": ("LH115", lambda: likelihead.nn.LovaszLoss(from_logits=True)(image().softmax(1), PIXELS)),
}


@pytest.fixture(autouse=True)
def _guard_off() -> Iterator[None]:
    with likelihead.guard("off"):  # the watch tells by itself
        yield


def watched(case: Callable[[], Tensor]) -> Record:
    torch.manual_seed(0)
    with likelihead.watch(show=False) as w:
        case().backward()
    assert not [note for note in w.record.notes if note.kind == "fault"]
    return w.record


@pytest.mark.filterwarnings("ignore:Using a target size:UserWarning")
@pytest.mark.parametrize("name", RIGHT)
def test_a_right_use_is_silent_and_has_one_site(name: str) -> None:
    record = watched(RIGHT[name])
    assert record.findings == []
    (site,) = record.sites
    assert (site.function, site.calls, site.phase) == (f"likelihead.{name}", 1, "training")
    assert site.at.file == __file__
    assert site.loss.values == [site.first_loss]


def test_every_loss_and_likelihood_is_among_them() -> None:
    losses = {name for name in L.__all__ if name.endswith("_loss") or "entropy" in name or "_kl" in name}
    assert losses <= set(RIGHT)
    assert {kind.__name__ for kind in REGISTRY.values()} <= set(RIGHT)


@pytest.mark.parametrize("name", MODULES)
def test_a_module_is_seen_as_its_function(name: str) -> None:
    function = MODULES[name]
    options = {"from_logits": True} if function in OVERLAP else {}
    loss = getattr(likelihead.nn, name)(**options)
    inputs: dict[str, Callable[[], tuple[Tensor, Tensor]]] = {
        "cross_entropy": lambda: (rows(), CLASSES),
        "focal_loss": lambda: (rows(), CLASSES),
        "nll_loss": lambda: (rows().log_softmax(dim=1), CLASSES),
        "binary_cross_entropy": lambda: (row() * 0 + 0.5, BITS),
        "multilabel_soft_margin_loss": lambda: (rows(), LABELS),
        **dict.fromkeys(OVERLAP, lambda: (image(), PIXELS)),
    }
    make = inputs.get(function, lambda: (row(), BITS))
    record = watched(lambda: loss(*make()))
    assert [site.function for site in record.sites] == [f"likelihead.{function}"]
    assert record.findings == []


@pytest.mark.filterwarnings("ignore:Using a target size:UserWarning")
@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_use_is_told(name: str) -> None:
    code, case = WRONG[name]
    record = watched(case)
    assert [finding.code for finding in record.findings] == [code]
    assert record.findings[0].at.file == __file__


def test_what_is_shown_of_heads_and_sequences() -> None:
    (site,) = watched(RIGHT["linear_cross_entropy"]).sites
    assert site.went_in.endswith("float32 [8, 6]")
    assert (site.target, site.options) == ("int64 [8]", {"ignore_index": "3"})
    (site,) = watched(RIGHT["language_model_loss"]).sites
    assert site.went_in.endswith(f"float32 [{B}, {K}, {T - 1}]")  # the classes second, and what is scored
    assert site.classes is not None
    assert sum(site.classes.counts.values()) == B * (T - 1)


def test_a_drop_in_has_torch_s_baseline() -> None:
    (torchs,) = watched(lambda: nn.functional.cross_entropy(rows(), CLASSES)).sites
    (site,) = watched(RIGHT["cross_entropy"]).sites
    assert site.baseline == torchs.baseline == pytest.approx(math.log(K))
