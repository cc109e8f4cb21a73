"""Right code that looks wrong, as people write it: no report at any level; and its wrong twin, reported."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import likelihead
from likelihead import functional as F
from likelihead import nn as losses
from likelihead.errors import LikelihoodWarning, MisuseError

N, C = 8, 5


def features() -> Tensor:
    return torch.randn(N, 16)


def head() -> nn.Linear:
    return nn.Linear(16, C)


def targets() -> Tensor:
    return torch.randint(0, C, (N,))


def cross_entropy_by_hand() -> Tensor:
    logits, y = head()(features()), targets()
    loss = (torch.logsumexp(logits, 1) + F.nll_loss(logits, y, reduction="none")).mean()
    assert torch.allclose(loss, nn.functional.cross_entropy(logits, y))
    return loss


def cross_entropy_by_hand_in_means() -> Tensor:
    logits, y = head()(features()), targets()
    loss = logits.logsumexp(1).mean() + F.nll_loss(logits, y)
    assert torch.allclose(loss, nn.functional.cross_entropy(logits, y))
    return loss


def z_loss_by_hand() -> Tensor:
    logits, y = head()(features()), targets()
    picked = F.nll_loss(logits, y, reduction="none")
    lse = torch.logsumexp(logits, 1)
    return (picked + lse + 1e-4 * lse**2).mean()


def dense_prediction_by_hand() -> Tensor:
    logits, y = nn.Conv2d(3, C, 1)(torch.randn(2, 3, 4, 4)), torch.randint(0, C, (2, 4, 4))
    return (torch.logsumexp(logits, 1) + losses.NLLLoss(reduction="none")(logits, y)).mean()


def energy_model() -> Tensor:
    energies, y = head()(features()), targets()  # the data's energy against that of the sampled classes
    below = F.nll_loss(energies, torch.randint(0, C, (N,)), reduction="none")
    return (below - F.nll_loss(energies, y, reduction="none")).relu().mean()


def generalised_cross_entropy(q: float = 0.7, dim: int = 1) -> Tensor:
    p, y = torch.softmax(head()(features()), dim), targets()
    p_y = -F.nll_loss(p, y, reduction="none")
    assert torch.equal(p_y, p.gather(1, y[:, None])[:, 0])
    return ((1 - p_y**q) / q).mean()


def mean_absolute_error() -> Tensor:
    p, y = torch.softmax(head()(features()), 1), targets()
    return 2 * (1 + F.nll_loss(p, y, reduction="none")).mean()


def improved_mean_absolute_error() -> Tensor:
    p, y = torch.softmax(head()(features()), 1), targets()
    p_y = -F.nll_loss(p, y, reduction="none")
    return (torch.exp(8 * p_y * (1 - p_y)).detach() * (1 - p_y)).mean()


def skorch(criterion: nn.Module) -> Tensor:
    """NeuralNetClassifier.get_loss: the module's last layer is a softmax, and the logarithm is taken here."""
    y_pred, y_true = nn.Sequential(head(), nn.Softmax(dim=-1))(features()), targets()
    if isinstance(criterion, nn.NLLLoss):
        eps = torch.finfo(y_pred.dtype).eps
        y_pred = torch.log(y_pred + eps)
    loss: Tensor = criterion(y_pred, y_true)
    return loss


def keras() -> Tensor:
    p, y = torch.softmax(head()(features()), -1), targets()  # from_logits=False
    return F.nll_loss(torch.log(torch.clip(p, 1e-7, 1 - 1e-7)), y)


def contrastive() -> Tensor:
    a, b = (nn.functional.normalize(head()(features()), dim=1) for _ in range(2))
    similarity, pairs = a @ b.t() / 0.07, torch.arange(N)
    return F.nll_loss(similarity.log_softmax(0), pairs) + F.nll_loss(similarity.log_softmax(1), pairs)


def queries_compete_for_classes() -> Tensor:
    logits, y = head()(features()), targets()  # not square: which example is the best for this class
    return F.nll_loss(logits.log_softmax(0), y, reduction="none").mean()


def mixture() -> Tensor:
    weights, experts = nn.Linear(16, 3)(features()).log_softmax(1), torch.randn(N, 3, C).log_softmax(2)
    return F.nll_loss(torch.logsumexp(weights[..., None] + experts, 1), targets())


def ensemble() -> Tensor:
    x = features()
    average = torch.stack([head()(x).softmax(1) for _ in range(3)]).mean(0)
    return F.nll_loss(average.log(), targets())


def ensemble_of_sigmoids() -> Tensor:
    x = features()
    average = (head()(x).sigmoid() + head()(x).sigmoid()) / 2
    return F.binary_cross_entropy(average, torch.rand(N, C))


def temperature() -> Tensor:
    return F.cross_entropy(head()(features()) / nn.Parameter(torch.tensor(1.5)), targets())


def gated() -> Tensor:
    x = features()
    return F.cross_entropy(head()(x) + head()(x).sigmoid() * head()(x), targets())


def correction_of_a_frozen_model() -> Tensor:
    with torch.no_grad():
        frozen = 5 * head()(features())
    return F.cross_entropy(frozen + head()(features()).sigmoid(), targets())


def distillation() -> Tensor:
    teacher, student = head()(features()).detach(), head()(features())
    return F.cross_entropy(student / 4, (teacher / 4).softmax(1))


RIGHT: dict[str, Callable[[], Tensor]] = {
    **{
        use.__name__: use
        for use in (
            *(cross_entropy_by_hand, cross_entropy_by_hand_in_means, z_loss_by_hand, energy_model),
            *(dense_prediction_by_hand, generalised_cross_entropy, mean_absolute_error, keras, mixture),
            *(improved_mean_absolute_error, contrastive, queries_compete_for_classes, ensemble, gated),
            *(ensemble_of_sigmoids, temperature, correction_of_a_frozen_model, distillation),
        )
    },
    "generalised_cross_entropy_over_the_batch": lambda: generalised_cross_entropy(dim=0),
    "skorch, our NLLLoss": lambda: skorch(losses.NLLLoss()),
    "skorch, not reduced": lambda: skorch(losses.NLLLoss(reduction="none")).mean(),
    "skorch, weighted": lambda: skorch(losses.NLLLoss(weight=torch.rand(C))),
}


@pytest.mark.parametrize("name", RIGHT)
@pytest.mark.parametrize("level", ["cheap", "full"])
def test_right_code_is_not_reported(name: str, level: str) -> None:
    torch.manual_seed(0)
    with likelihead.guard(level, action="raise"):  # type: ignore[arg-type]
        loss = RIGHT[name]()
    assert torch.isfinite(loss)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_a_reduced_nll_of_logits_or_probabilities_is_reported(reduction: str) -> None:
    logits, y = head()(features()), targets()
    with likelihead.guard("cheap", action="raise"):
        with pytest.raises(MisuseError, match="LH105") as raised:
            F.nll_loss(logits, y, reduction=reduction)
        assert "reduction='none'" in str(raised.value)  # how to say that it is meant
        with pytest.raises(MisuseError, match="LH104") as raised:
            F.nll_loss(logits.softmax(1), y, reduction=reduction)
        assert "reduction='none'" in str(raised.value)
        with pytest.raises(MisuseError, match="LH112"):
            F.nll_loss(logits.log_softmax(0), y, reduction=reduction)


def test_logits_that_other_readings_did_not_save_are_reported_still() -> None:
    logits, y = head()(features()), targets()
    with torch.no_grad():
        accuracy, probs = (logits.argmax(1) == y).float().mean(), logits.softmax(1)
    assert 0 <= accuracy <= probs.sum()
    with pytest.warns(LikelihoodWarning, match="LH105"):
        F.nll_loss(logits, y)
    with pytest.warns(LikelihoodWarning, match="LH105"):
        losses.NLLLoss()(logits, y)


def test_by_their_values_too_only_a_reduced_nll_is_reported() -> None:
    positive, y = torch.rand(N, C) + 1, targets()
    with likelihead.guard("full", action="raise"):
        F.nll_loss(positive, y, reduction="none")
        F.nll_loss(positive.softmax(1), y, reduction="none")
        with pytest.raises(MisuseError, match="LH105"):
            F.nll_loss(positive, y)
        with pytest.raises(MisuseError, match="LH104"):
            F.nll_loss(positive.softmax(1), y)


def test_the_module_of_skorch_fed_by_hand_is_reported() -> None:
    with pytest.warns(LikelihoodWarning, match="LH104"):
        losses.NLLLoss()(nn.Sequential(head(), nn.Softmax(dim=-1))(features()), targets())
