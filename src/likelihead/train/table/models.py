"""The network: a multilayer perceptron that ends in its likelihood's head."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from likelihead.errors import OptionError

__all__ = ["ACTIVATIONS", "MLP"]

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "tanh": nn.Tanh,
    "relu": nn.ReLU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "elu": nn.ELU,
    "sigmoid": nn.Sigmoid,
}


class MLP(nn.Module):
    r"""Hidden layers with one activation, a linear head, and what the output goes through.

    .. math:: h_0 = x, \quad h_i = a(W_i h_{i-1} + b_i), \quad z = W h + b

    The head's weight starts at zero, so that every output starts at the head's bias: with the bias at the log
    prior (:meth:`likelihead.likelihoods.Likelihood.init_bias_`) the first loss is the baseline. The hidden
    layers differ from each other, so the head leaves zero at the first step and the rest follows.

    Args:
        in_features: number of features.
        hidden: widths of the hidden layers; none makes a linear model.
        head: the last linear layer, from ``Likelihood.head``.
        activation: a name in :data:`ACTIVATIONS`.
        link: what follows the head: None for logits, or a log-softmax or log-sigmoid.
        likelihood: of the output, where it has parameters of its own, such as the thresholds between ranks:
            they are trained and saved with the network's.
        flat: whether a head of width one gives ``[N]``, the shape of its targets, instead of ``[N, 1]``.

    Shape:
        - input: ``[N, in_features]``.
        - returns: ``[N, head.out_features]``, or ``[N]`` if ``flat``.

    >>> MLP(4, [7], nn.Linear(7, 3), activation="tanh").widths
    [4, 7, 3]
    """

    def __init__(
        self,
        in_features: int,
        hidden: Sequence[int],
        head: nn.Linear,
        *,
        activation: str = "tanh",
        link: nn.Module | None = None,
        flat: bool = False,
        likelihood: nn.Module | None = None,
    ) -> None:
        super().__init__()
        if activation not in ACTIVATIONS:
            raise OptionError(f"activation is {activation!r}; expected one of {', '.join(ACTIVATIONS)}")
        layers: list[nn.Module] = []
        width = in_features
        for next_width in hidden:
            layers += [nn.Linear(width, next_width), ACTIVATIONS[activation]()]
            width = next_width
        self.body = nn.Sequential(*layers)
        self.head = head
        self.link = nn.Identity() if link is None else link
        self.flat = flat
        # A module without parameters has no place in the model's file.
        self.likelihood = likelihood if likelihood is not None and list(likelihood.parameters()) else None
        with torch.no_grad():
            self.head.weight.zero_()

    @property
    def widths(self) -> list[int]:
        """Widths of all layers, the input's first."""
        linear = [layer for layer in self.body if isinstance(layer, nn.Linear)]
        return [layer.in_features for layer in (*linear, self.head)] + [self.head.out_features]

    def forward(self, features: Tensor) -> Tensor:
        """The parameters of the likelihood, one row per example."""
        output: Tensor = self.link(self.head(self.body(features)))
        return output.squeeze(1) if self.flat else output
