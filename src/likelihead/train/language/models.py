"""Networks that read tokens from left to right: a GRU and a small transformer."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, scaled_dot_product_attention

from likelihead.errors import OptionError

__all__ = ["EMBEDDING", "GRU", "LanguageModel", "Transformer"]

State = tuple[Tensor, ...]

EMBEDDING = 128
"""Widest embedding of a GRU: a token is told from others with less than its history needs."""
_HEAD_WIDTH = 32


class LanguageModel(nn.Module):
    """Tokens to the logits of the next: an embedding, a body and the likelihood's head.

    The head's weight starts at zero, so that the first loss is that of its bias: with the bias at the log
    prior, the baseline.

    Args:
        embedding: of the token ids.
        head: from ``Likelihood.head``.

    Attributes:
        log_prior: ``[V]``, the head's first bias: the baseline, which is kept with the weights.
    """

    log_prior: Tensor

    def __init__(self, embedding: nn.Embedding, head: nn.Linear) -> None:
        super().__init__()
        self.embedding, self.head = embedding, head
        self.register_buffer("log_prior", torch.zeros(head.out_features))
        with torch.no_grad():
            self.head.weight.zero_()

    @abstractmethod
    def hidden(self, tokens: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """What the head reads, ``[B, T, H]``, and the state behind the last token.

        The state of no token before is None.
        """

    def forward(self, tokens: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Logits ``[B, T, V]`` of the tokens that follow, and the state."""
        hidden, state = self.hidden(tokens, state)
        logits: Tensor = self.head(hidden)
        return logits, state


class GRU(LanguageModel):
    r"""Gated recurrent layers, one on top of the other.

    Args:
        vocabulary: number of token ids.
        widths: of the layers.
        head: from ``Likelihood.head``.

    Shape:
        - tokens: ``[B, T]``.
        - returns: ``[B, T, V]``, and a state ``[1, B, width]`` for each layer.

    References:
        Cho et al., 2014, https://arxiv.org/abs/1406.1078

    >>> model = GRU(5, [4, 3], nn.Linear(3, 5))
    >>> [tuple(part.shape) for part in model(torch.zeros(2, 7, dtype=torch.long))[1]]
    [(1, 2, 4), (1, 2, 3)]
    """

    def __init__(self, vocabulary: int, widths: Sequence[int], head: nn.Linear) -> None:
        first = min(widths[0], EMBEDDING)
        super().__init__(nn.Embedding(vocabulary, first), head)
        before = [first, *widths[:-1]]
        self.layers = nn.ModuleList(
            nn.GRU(i, o, batch_first=True) for i, o in zip(before, widths, strict=True)
        )

    def hidden(self, tokens: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """See :meth:`LanguageModel.hidden`."""
        x = self.embedding(tokens)
        after = []
        for i, layer in enumerate(self.layers):
            x, last = layer(x, None if state is None else state[i])
            after.append(last)
        return x, tuple(after)


class Transformer(LanguageModel):
    """Blocks of causal self-attention with rotary positions, normalised before.

    It carries no state: a token sees those before it in its own row.

    Args:
        vocabulary: number of token ids.
        widths: of the blocks, all the same and even.
        head: from ``Likelihood.head``.

    Shape:
        - tokens: ``[B, T]``.
        - returns: ``[B, T, V]``, and an empty state.

    Raises:
        OptionError: widths that differ, or are odd.

    References:
        - Vaswani et al., 2017, https://arxiv.org/abs/1706.03762
        - Su et al., 2021, https://arxiv.org/abs/2104.09864

    >>> model = Transformer(5, [8, 8], nn.Linear(8, 5))
    >>> model(torch.zeros(2, 7, dtype=torch.long))[0].shape
    torch.Size([2, 7, 5])
    """

    def __init__(self, vocabulary: int, widths: Sequence[int], head: nn.Linear) -> None:
        width = widths[0]
        if len(set(widths)) > 1 or width % 2:
            raise OptionError(
                f"hidden is {','.join(map(str, widths))}; a transformer takes blocks of one even width, such "
                "as 128,128,128,128"
            )
        super().__init__(nn.Embedding(vocabulary, width), head)
        nn.init.normal_(self.embedding.weight, std=0.02)
        heads = max(n for n in range(1, max(width // _HEAD_WIDTH, 1) + 1) if width % (2 * n) == 0)
        self.blocks = nn.ModuleList(Block(width, heads) for _ in widths)
        self.norm = nn.LayerNorm(width)

    def hidden(self, tokens: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """See :meth:`LanguageModel.hidden`."""
        x = self.embedding(tokens)
        for block in self.blocks:
            x = block(x)
        return self.norm(x), ()


class Block(nn.Module):
    """Attention to what came before, then two dense layers; each adds to what it reads."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attend, self.project = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.widen, self.narrow = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """``[B, T, H]`` to the same."""
        batch, length, width = x.shape
        q, k, v = (
            self.attend(self.norm1(x)).view(batch, length, 3 * self.heads, -1).transpose(1, 2).chunk(3, 1)
        )
        seen = scaled_dot_product_attention(_rotated(q), _rotated(k), v, is_causal=True)
        x = x + self.project(seen.transpose(1, 2).reshape(batch, length, width))
        added: Tensor = self.narrow(gelu(self.widen(self.norm2(x))))
        return x + added


def _rotated(x: Tensor) -> Tensor:
    """Each pair of numbers turned by an angle that grows with the position, so that only distances count."""
    half = x.shape[-1] // 2
    rate = 10_000.0 ** (-torch.arange(half, dtype=x.dtype) / half)
    angle = torch.arange(x.shape[-2], dtype=x.dtype).unsqueeze(1) * rate
    cosine, sine = angle.cos(), angle.sin()
    first, second = x[..., :half], x[..., half:]
    return torch.cat([first * cosine - second * sine, first * sine + second * cosine], -1)
