"""Other class frequencies at deployment than in training: the shift of the logits, and its estimate."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from likelihead.core.links import at_least_float32
from likelihead.core.rounding import PRIOR_TOLERANCE, sum_tolerance
from likelihead.errors import DomainError, OptionError, ShapeError
from likelihead.evaluate.inputs import spread_weight
from likelihead.kernels.ops import along_classes
from likelihead.likelihoods.checks import check_tensor

__all__ = ["adjust_prior", "estimate_prior"]

Prior = Tensor | Sequence[float] | float


def adjust_prior(
    logits: Tensor,
    train_prior: Prior,
    deploy_prior: Prior | Literal["estimate"],
    *,
    independent: bool = False,
) -> Tensor:
    r"""Logits for a world in which the classes have other frequencies, and else look as in training.

    .. math:: z'_c = z_c + \log \pi^{\text{deploy}}_c - \log \pi^{\text{train}}_c

    for a softmax; for a yes or no :math:`z' = z + \operatorname{logit} \pi^{\text{deploy}} -
    \operatorname{logit} \pi^{\text{train}}` with the priors of a yes. The training prior is that of the
    targets as the model saw them: after balanced resampling or balanced class weights it is equal for all
    classes, and logit adjustment after training is a deployment prior of equal classes.

    Args:
        logits: ``[N, C]`` or ``[N, C, d1, ...]`` for classes; any shape for a yes or no.
        train_prior: ``[C]``, the classes' shares; or one number, the share of a yes.
        deploy_prior: the same of the deployment, or ``"estimate"``: see `estimate_prior`.
        independent: the priors are ``[L]``, each the share of a yes of a label of its own.

    Returns:
        The logits' shape, in float32 at least.

    Raises:
        OptionError: a prior that is no distribution, or a class that training never had but deployment has.
        ShapeError: a prior of another length than there are classes.

    >>> logits = torch.tensor([[0.0, 0.0]])
    >>> torch.softmax(adjust_prior(logits, [0.5, 0.5], [0.9, 0.1]), 1)
    tensor([[0.9000, 0.1000]])
    >>> torch.sigmoid(adjust_prior(torch.tensor([0.0]), 0.5, 0.1))
    tensor([0.1000])

    References:
        Saerens et al. (2002), Adjusting the Outputs of a Classifier to New a Priori Probabilities. Menon et
        al. (2021), Long-Tail Learning via Logit Adjustment.
    """
    check_tensor("logits", logits)
    z = at_least_float32(logits)
    train = _checked("train_prior", train_prior, independent)
    if isinstance(deploy_prior, str):
        if deploy_prior != "estimate":
            raise OptionError(f"deploy_prior is {deploy_prior!r}; expected a prior, or 'estimate'.")
        deploy = estimate_prior(logits, train_prior, independent=independent).to(train)
    else:
        deploy = _checked("deploy_prior", deploy_prior, independent)
    if deploy.shape != train.shape:
        raise ShapeError(
            f"deploy_prior has shape {list(deploy.shape)} and train_prior {list(train.shape)}; expected the "
            "same."
        )
    is_classes = bool(train.dim()) and not independent
    unseen = (train == 0) & (deploy > 0)
    if not is_classes:
        unseen = unseen | ((train == 1) & (deploy < 1))
    if bool(unseen.any()):
        where = f"class {int(unseen.nonzero()[0])}" if train.dim() else "one outcome"
        raise OptionError(
            f"train_prior gives {where} no share and deploy_prior does; a model knows nothing of what it "
            "never saw. Give it a small training share, or none at deployment."
        )
    same = deploy == train  # 0 / 0 too: nothing moves
    shift = torch.log(deploy) - torch.log(train)
    if not is_classes:
        shift = shift - (torch.log1p(-deploy) - torch.log1p(-train))
    shift = torch.where(same, torch.zeros_like(shift), shift)
    if not shift.dim():
        return z + shift.to(z)
    if z.dim() < 2 or z.shape[1] != len(shift):
        raise ShapeError(
            f"logits has shape {list(logits.shape)} and the priors {list(train.shape)}; expected "
            f"[N, {len(shift)}, ...]."
        )
    return z + along_classes(shift.to(z), z)


def estimate_prior(
    logits: Tensor,
    train_prior: Prior,
    *,
    independent: bool = False,
    sample_weight: Tensor | None = None,
    tolerance: float = 1e-10,
    max_iterations: int = 100_000,
) -> Tensor:
    r"""The class frequencies of unlabelled data, by maximum likelihood.

    Expectation maximisation, in float64: a prior gives posteriors by `adjust_prior`, and the mean of these is
    the next prior. The likelihood is concave in the prior and rises in each step. It wants a calibrated
    model: calibrate before.

    Args:
        logits: what the model puts out for the unlabelled data, uncorrected; as in `adjust_prior`.
        train_prior: as in `adjust_prior`.
        independent: as in `adjust_prior`.
        sample_weight: how often each row counts: ``[N]``, or the shape of the rows, ``[N, d1, ...]``; for a
            yes or no, or labels, a beginning of the logits' shape. A row of weight 0 is left out.
        tolerance: it ends when no share moves by more.
        max_iterations: it fails after so many steps.

    Returns:
        The prior in the form of ``train_prior``, in float64.

    Raises:
        OptionError: no data, or no convergence.
        DomainError: logits that hold NaN (LH801).

    >>> logits = torch.tensor([[8.0, 0.0]] * 9 + [[0.0, 8.0]])
    >>> estimate_prior(logits, [0.5, 0.5])
    tensor([0.9003, 0.0997], dtype=torch.float64)

    References:
        Saerens et al. (2002), Adjusting the Outputs of a Classifier to New a Priori Probabilities.
    """
    check_tensor("logits", logits)
    train = _checked("train_prior", train_prior, independent).cpu()
    z = at_least_float32(logits.detach()).double().cpu()
    two = not train.dim() or independent
    if train.dim() and (z.dim() < 2 or z.shape[1] != len(train)):
        raise ShapeError(f"logits has shape {list(logits.shape)}; expected [N, {len(train)}, ...].")
    # A classification has a weight for each row, a yes or no for each logit.
    each = torch.zeros(z.shape if two else z[:, 0].shape, dtype=torch.int8)
    weight = spread_weight(sample_weight, each)
    if train.dim():
        rows = z.movedim(1, -1).reshape(-1, len(train))
        if weight is not None:
            weight = weight.movedim(1, -1).reshape(-1, len(train)) if two else weight.reshape(-1, 1)
    else:
        rows = z.reshape(-1)
        weight = None if weight is None else weight.reshape(-1)
    if weight is not None:
        # What is left out may be anything.
        rows = torch.where(weight == 0, 0.0, rows)
    if bool((rows.isnan() | (rows == math.inf)).any()):
        raise DomainError("logits hold NaN or infinity; expected what a model puts out.", code="LH801")
    seen = weight is None or bool((weight.sum(0) > 0).all())
    if not len(rows) or not seen:
        raise OptionError("logits hold no row; expected unlabelled data to estimate a prior from.")
    if two:
        rows = torch.stack([torch.zeros_like(rows), rows], -1)
        weight = None if weight is None else weight.unsqueeze(-1)
    share = None if weight is None else weight / weight.sum(0)
    old = torch.stack([1 - train, train], -1) if two else train
    if bool((old == 0).any()):
        raise OptionError(
            "train_prior has a share of 0; expected every outcome to have been seen in training."
        )
    # Of each row the likelihood of each class, up to a factor: the posterior over the training prior.
    given = torch.softmax(rows, -1) / old
    prior = old.clone()
    for _ in range(max_iterations):
        joint = given * prior
        posterior = joint / joint.sum(-1, keepdim=True)
        new = posterior.mean(0) if share is None else (share * posterior).sum(0)
        settled = bool((new - prior).abs().max() <= tolerance)
        prior = new
        if settled:
            return prior[..., 1] if two else prior
    raise OptionError(
        f"the prior has not settled within {tolerance} after max_iterations={max_iterations}; allow more, or "
        "a larger tolerance."
    )


def _checked(name: str, prior: Prior, independent: bool) -> Tensor:
    values = torch.as_tensor(prior, dtype=torch.float64).detach()
    given = prior.dtype if isinstance(prior, Tensor) else torch.float64
    if values.dim() > 1:
        raise ShapeError(f"{name} has shape {list(values.shape)}; expected one number, or [C].")
    if not bool(((values >= 0) & (values <= 1)).all()):
        raise OptionError(f"{name} is {values.tolist()}; expected shares in [0, 1].")
    if values.dim() and not independent:
        total = float(values.sum())
        if abs(total - 1) > max(PRIOR_TOLERANCE, sum_tolerance(given, len(values))):
            raise OptionError(
                f"{name} sums to {total:.6g}; the shares of the classes sum to 1. For labels that do not "
                "exclude each other pass independent=True."
            )
        values = values / total  # what rounding took or added
    return values
