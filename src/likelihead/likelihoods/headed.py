"""A likelihood and the linear layer that makes its parameters, as one module of hidden states."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from likelihead.core.options import shown
from likelihead.core.reduction import Normalizer
from likelihead.errors import OptionError

if TYPE_CHECKING:
    from likelihead.likelihoods.base import Likelihood

__all__ = ["Headed", "check_linear"]


def check_linear(head: Any) -> None:
    """Refuse a head that is more than the weight and the bias that are read of it.

    Raises:
        OptionError: no `torch.nn.Linear`, or one with a forward or hooks of its own.
    """
    if not isinstance(head, nn.Linear):
        what = shown(head)
    elif type(head).forward is not nn.Linear.forward or "forward" in vars(head):
        what = f"a {type(head).__name__} with a forward of its own"
    elif (head._forward_hooks or head._forward_pre_hooks) and type(head.weight).__name__ != "DTensor":
        what = f"a {type(head).__name__} with hooks on its forward"
    else:
        return
    raise OptionError(
        f"head is {what}; expected a torch.nn.Linear that is its weight and bias and no more. Write what is "
        "added to them as a torch.nn.utils.parametrize, or let the head be called: likelihood(head(hidden), "
        "target), through its logits."
    )


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
