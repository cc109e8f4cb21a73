"""A likelihood and the linear layer that makes its parameters, as one module of hidden states."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from likelihead.core.reduction import Normalizer

if TYPE_CHECKING:
    from likelihead.likelihoods.base import Likelihood

__all__ = ["Headed"]


class Headed(nn.Module):
    """What `Likelihood.with_head` returns: the criterion of hidden states.

    Where the likelihood can do without its logits (`Categorical`), they never exist whole.

    Attributes:
        likelihood: the likelihood.
        head: the layer, whose parameters are this module's.
        compact: whether examples that do not count leave before its products; see `Likelihood.with_head`.

    Shape:
        - hidden: ``[N, D]``; for a `Categorical` also with leading dimensions, as ``[B, T, D]``.
        - target: as the likelihood takes it; for a `Categorical` ``[B, T]``.
    """

    def __init__(self, likelihood: Likelihood, head: nn.Linear, *, compact: bool | None = None) -> None:
        super().__init__()
        self.likelihood, self.head, self.compact = likelihood, head, compact

    def forward(
        self,
        hidden: Tensor,
        target: Tensor,
        *,
        sample_weight: Tensor | None = None,
        normalizer: Normalizer | None = None,
    ) -> Tensor:
        """The NLL of the targets, reduced as the likelihood reduces."""
        return self.likelihood.linear_loss(
            hidden,
            self.head,
            target,
            sample_weight=sample_weight,
            normalizer=normalizer,
            compact=self.compact,
        )

    def nll(self, hidden: Tensor, target: Tensor, *, sample_weight: Tensor | None = None) -> Tensor:
        """The NLL of each target, in nats."""
        return self.likelihood.linear_nll(
            hidden, self.head, target, sample_weight=sample_weight, compact=self.compact
        )

    def predict(self, hidden: Tensor, **decision: Any) -> Tensor:
        """`Likelihood.predict` of the head's logits."""
        return self.likelihood.linear_predict(hidden, self.head, **decision)
