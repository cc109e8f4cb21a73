"""Mean negative log-likelihood, and what is said of it: perplexity, bits per token and per byte."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from likelihead.core.domains import ClassIndex
from likelihead.errors import DTypeError, OptionError, ShapeError
from likelihead.evaluate.accumulator import Accumulator
from likelihead.evaluate.inputs import counted, spread_weight, total
from likelihead.likelihoods.checks import check_in_domain, check_same_shape, check_tensor

__all__ = ["NLL", "BitsPerByte"]


class NLL(Accumulator):
    r"""Mean negative log-likelihood, in nats, of all targets that count.

    .. math:: \frac{\sum_i \ell_i}{\sum_i n_i}, \qquad
              \text{perplexity} = e^{\text{mean}}, \qquad \text{bits} = \text{mean} / \log 2

    >>> figure = NLL()
    >>> for nll in (torch.tensor([1.0, 2.0]), torch.tensor([6.0])):
    ...     figure.update(nll)
    >>> figure.compute(), round(figure.perplexity, 3), round(figure.bits, 3)
    (3.0, 20.086, 4.328)

    Weighted or ignored targets bring their count along:

    >>> from likelihead import Categorical
    >>> likelihood, target = Categorical(3), torch.tensor([0, -100])
    >>> figure = NLL()
    >>> figure.update(likelihood.nll(torch.zeros(2, 3), target), count=likelihood.count(target))
    >>> round(figure.perplexity, 3)
    3.0
    """

    def __init__(self) -> None:
        super().__init__()
        self._keep(totals={"nll": (), "count": ()})

    def update(
        self,
        nll: Tensor,
        *,
        count: Tensor | float | None = None,
        mask: Tensor | None = None,
        sample_weight: Tensor | None = None,
    ) -> None:
        """Take in per-example values.

        Args:
            nll: negative log-likelihoods of any shape, in nats; 0 where a target is left out.
            count: what they count as: the likelihood's ``count(target)``. By default each is one.
            mask: instead of a count: False where a value is left out.
            sample_weight: instead of a count: how often each value counts. Values that have their weights
                already take a count: the likelihood's ``count(target, sample_weight=...)``.

        Raises:
            OptionError: a count beside a mask or weights, or a negative one.
        """
        check_tensor("nll", nll)
        values, number = summed([nll], count, mask, sample_weight)
        if not number >= 0:
            raise OptionError(f"count is {number}; expected a number of targets, not negative.")
        self._add("nll", values[0])
        self._add("count", number)

    @property
    def total(self) -> float:
        """The sum, in nats."""
        return float(self._total("nll"))

    @property
    def count(self) -> float:
        """The number of targets, or the sum of their weights."""
        return float(self._total("count"))

    def compute(self) -> float:
        """The mean, in nats; NaN over nothing."""
        return self.total / self.count if self.count else math.nan

    @property
    def perplexity(self) -> float:
        """The exponential of the mean; infinite where it overflows."""
        return _exp(self.compute())

    @property
    def bits(self) -> float:
        """The mean in bits: per token, of a language model."""
        return self.compute() / math.log(2)


def summed(
    values: list[Tensor], count: Tensor | float | None, mask: Tensor | None, sample_weight: Tensor | None
) -> tuple[list[Tensor], float]:
    """The sums of values of the same shape, and what they count as.

    Raises:
        OptionError: a count beside a mask or weights.
    """
    if count is not None:
        for name, other in (("mask", mask), ("sample_weight", sample_weight)):
            if other is not None:
                raise OptionError(f"count and {name} are both given; the {name} sets the count: give one.")
        return [value.detach().double().sum() for value in values], float(count)
    where, weight = counted(torch.zeros_like(values[0], dtype=torch.int8), mask, sample_weight=sample_weight)
    number = float(where.sum() if weight is None else weight.sum())
    return [total(value.detach()[where].double(), weight) for value in values], number


class BitsPerByte(Accumulator):
    r"""Bits of a language model per byte of text, which does not depend on the tokenizer.

    .. math:: \frac{\sum_i \ell_i}{\log 2 \cdot \sum_i \text{bytes}(y_i)}

    Tokens that stand for no byte (the beginning of a text, padding) are left out of both sums, and so are
    ignored ones.

    Args:
        num_bytes: ``[V]``, how many bytes of text each token id stands for: the tokenizer's own map.
        ignore_index: a target that is left out.

    >>> figure = BitsPerByte(torch.tensor([0, 1, 4]))  # token 0 begins a text; token 2 is four bytes long
    >>> figure.update(torch.tensor([9.0, 2.0, 3.0]), torch.tensor([0, 1, 2]))
    >>> round(figure.compute(), 4)  # 5 nats for 5 bytes
    1.4427
    """

    def __init__(self, num_bytes: Tensor, *, ignore_index: int = -100) -> None:
        check_tensor("num_bytes", num_bytes)
        if num_bytes.dim() != 1 or num_bytes.is_floating_point() or num_bytes.is_complex():
            raise ShapeError(
                f"num_bytes is {num_bytes.dtype} of shape {list(num_bytes.shape)}; expected integers [V], "
                "one for each token id."
            )
        num_bytes = num_bytes.detach().cpu().long()
        if bool((num_bytes < 0).any()):
            raise OptionError(
                f"num_bytes holds {int(num_bytes.min())}; expected 0 for a token that is no text, and more "
                "for others."
            )
        super().__init__(num_bytes=num_bytes, ignore_index=ignore_index)
        self.num_bytes, self.ignore_index = num_bytes, ignore_index
        self._keep(totals={"nll": ()}, counts={"bytes": (), "tokens": ()})

    def update(
        self,
        nll: Tensor,
        target: Tensor,
        *,
        mask: Tensor | None = None,
        sample_weight: Tensor | None = None,
    ) -> None:
        """Take in the NLL of each target token, in nats, and the token ids, in the same shape.

        Raises:
            ShapeError: the shapes differ.
            TargetError: a token id that has no entry in ``num_bytes`` (LH203).
        """
        check_tensor("nll", nll)
        check_same_shape(nll, target)
        if target.is_floating_point():
            raise DTypeError(f"target is {target.dtype}; expected token ids as integers.", code="LH202")
        where, _ = counted(target, mask, ignore_index=self.ignore_index, sample_weight=sample_weight)
        where = where.cpu()
        tokens = target.detach().cpu().long()
        check_in_domain(tokens, ClassIndex.of(len(self.num_bytes)), mask=where, code="LH203")
        size = self.num_bytes[torch.where(where, tokens, 0)] * where
        text = size > 0
        weight = spread_weight(sample_weight, where)
        weight = None if weight is None else weight.cpu()[text]
        self._add("nll", total(nll.detach().cpu()[text].double(), weight))
        self._count("bytes", total(size[text], weight))
        self._count("tokens", text.sum() if weight is None else weight.sum())

    @property
    def bytes(self) -> float:
        """The number of bytes, a whole number; with weights their sum."""
        return self._number("bytes").item()

    @property
    def tokens(self) -> float:
        """The number of tokens that stand for text, a whole number; with weights their sum."""
        return self._number("tokens").item()

    def compute(self) -> float:
        """Bits per byte; NaN over nothing."""
        return float(self._total("nll")) / (math.log(2) * self.bytes) if self.bytes else math.nan

    def bits_per_token(self) -> float:
        """Bits per token that stands for text; NaN over nothing."""
        return float(self._total("nll")) / (math.log(2) * self.tokens) if self.tokens else math.nan


def _exp(value: float) -> float:
    try:
        return math.exp(value)
    except OverflowError:
        return math.inf
