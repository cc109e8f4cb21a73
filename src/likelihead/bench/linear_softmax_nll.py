"""The cases of linear_softmax_nll on a CPU: a head and its loss, from the hidden states to all gradients.

The floor is the matrix products alone, of the tokens that count, as ``F.linear`` and autograd call them: one
for the logits, one for each gradient, and where the upstream gradient is known late the logits once more.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal, cast

import torch
import torch.nn.functional as torchs
from torch import Tensor

from likelihead.bench.case import CHUNKED, EAGER, FLOOR, OURS, Case, Goal, Problem, Room, short_dtype
from likelihead.functional import linear_cross_entropy, linear_log_probs

__all__ = ["BESIDE_THE_GRADIENTS", "CASES", "IGNORED", "HeadLoss", "LinearCase", "add_chunked"]

HeadLoss = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
"""Of hidden states, head, target, and the upstream gradients of one or two values per token."""

IGNORED = -100
ROUNDS = 3
BESIDE_THE_GRADIENTS = 128
"""MiB that ours may take at its peak."""


@dataclass(frozen=True, kw_only=True)
class LinearCase(Case):
    """A cross-entropy of ``hidden @ head.T``; ``shape`` is that of the logits.

    Attributes:
        width: of the hidden states.
        ignored: the share of targets that are ``ignore_index``; so many, not so many on the average.
        frozen: the head is not trained.
        values: what is differentiated: the mean, the loss of each token by an upstream gradient of its own,
            or each token's log-probability and entropy, by theirs.
    """

    width: int = 768
    ignored: float = 0.0
    frozen: bool = False
    values: Literal["mean", "per token", "log-probs"] = "mean"
    rounds: int | None = ROUNDS

    @property
    def op(self) -> str:
        return "linear_softmax_nll"

    @property
    def what(self) -> str:
        rows, vocab = self.shape
        options = [
            f"{self.ignored:.0%} ignored" if self.ignored else "",
            "frozen head" if self.frozen else "",
            {"mean": "", "per token": "per token", "log-probs": "log-probs and entropy"}[self.values],
        ]
        of = f"linear CE, hidden [{rows}, {self.width}] {short_dtype(self.dtype)}, vocab {vocab}"
        return ", ".join([of, *filter(None, options)])

    @property
    def gradients_mib(self) -> float:
        """What is asked for, and no implementation does without."""
        rows, vocab = self.shape
        return (rows if self.frozen else rows + vocab) * self.width * self.dtype.itemsize / 2**20

    def upstream(self, device: str) -> Tensor:
        """The upstream gradients of one or two values per token."""
        generator = torch.Generator(device).manual_seed(1)
        return torch.rand(2, self.shape[0], generator=generator, device=device).add_(0.5)

    def shrunk(self, limit: int) -> LinearCase:
        return replace(super().shrunk(limit), width=min(self.width, limit))

    def build(self, device: str = "cpu") -> Problem:
        """Standard normal hidden states, and a head that makes such logits of them."""
        generator = torch.Generator(device).manual_seed(0)
        rows, vocab = self.shape
        hidden = torch.randn(rows, self.width, generator=generator, device=device).to(self.dtype)
        head = torch.randn(vocab, self.width, generator=generator, device=device)
        head = head.mul_(self.width**-0.5).to(self.dtype)
        target = torch.randint(vocab, (rows,), generator=generator, device=device)
        kept = rows - int(rows * self.ignored)
        target[torch.randperm(rows, generator=generator, device=device)[kept:]] = IGNORED
        upstream = self.upstream(device)
        gradient = torch.randn(kept, vocab, generator=generator, device=device).to(self.dtype)
        leaves = [hidden] if self.frozen else [hidden, head]

        def of_leaves(loss: HeadLoss) -> Callable[..., Tensor]:
            if self.frozen:
                return lambda hidden: loss(hidden, head, target, upstream)
            return lambda hidden, head: loss(hidden, head, target, upstream)

        problem = Problem(
            leaves=tuple(leaf.requires_grad_() for leaf in leaves),
            target=target,
            losses={name: of_leaves(loss) for name, loss in _LOSSES[self.values].items()},
            floor=partial(
                _products,
                hidden.detach()[:kept].clone(),
                head.detach(),
                gradient,
                again=self.values != "mean",
                frozen=self.frozen,
            ),
        )
        self.add_peers(problem, of_leaves)
        return problem

    def add_peers(self, problem: Problem, of_leaves: Callable[[HeadLoss], Callable[..., Tensor]]) -> None:
        """Add torch's own form without the logits where it is a goal to be faster.

        Args:
            problem: with ours and eager.
            of_leaves: makes a loss of the leaves of one that takes hidden states, head, target and upstream.
        """
        if any(isinstance(goal, Goal) and goal.against == CHUNKED for goal in self.goals):
            add_chunked(problem, of_leaves)
            if problem.target.is_cpu:  # where a call takes up to half a minute
                problem.once = frozenset({CHUNKED})


def add_chunked(
    problem: Problem,
    of_leaves: Callable[[HeadLoss], Callable[..., Tensor]],
    name: str = CHUNKED,
    **settings: Any,
) -> None:
    """Torch's own form of the mean without the logits, where it has one, with these options."""
    if not hasattr(torch.nn, "LinearCrossEntropyOptions"):
        problem.absent[name] = f"torch {torch.__version__} has no linear_cross_entropy(options=)"
        return
    if problem.leaves[0].dtype == torch.bfloat16:
        # The losses of its chunks are added up in bfloat16, where the more of them there are the less of each
        # is left: 8.0 for 10.4 in 256 chunks. Its gradients are right.
        problem.approximate |= {name}
    options = torch.nn.LinearCrossEntropyOptions(**settings)
    problem.losses[name] = of_leaves(
        lambda hidden, head, target, upstream: torchs.linear_cross_entropy(
            hidden, head, target, options=options
        )
    )


def _products(hidden: Tensor, head: Tensor, gradient: Tensor, *, again: bool, frozen: bool) -> None:
    torch.mm(hidden, head.t())
    if again:
        torch.mm(hidden, head.t())
    torch.mm(gradient, head)
    if not frozen:
        torch.mm(gradient.t(), hidden)


def _mean(hidden: Tensor, head: Tensor, target: Tensor, upstream: Tensor) -> Tensor:
    return linear_cross_entropy(hidden, head, target)


def _mean_of_torch(hidden: Tensor, head: Tensor, target: Tensor, upstream: Tensor) -> Tensor:
    return torchs.cross_entropy(torchs.linear(hidden, head), target)


def _per_token(hidden: Tensor, head: Tensor, target: Tensor, upstream: Tensor) -> Tensor:
    return linear_cross_entropy(hidden, head, target, reduction="none").float() @ upstream[0]


def _per_token_of_torch(hidden: Tensor, head: Tensor, target: Tensor, upstream: Tensor) -> Tensor:
    nll = torchs.cross_entropy(torchs.linear(hidden, head), target, reduction="none")
    return (nll.float() @ upstream[0]).to(hidden.dtype)  # it has no more digits than its logits


def _log_probs(hidden: Tensor, head: Tensor, target: Tensor, upstream: Tensor) -> Tensor:
    found = linear_log_probs(hidden, head, target)
    entropy = cast("Tensor", found.entropy)
    return found.log_probs @ upstream[0] + entropy @ upstream[1]


def _log_probs_of_torch(hidden: Tensor, head: Tensor, target: Tensor, upstream: Tensor) -> Tensor:
    # In 16 bits the entropy would be too coarse to compare with.
    log_probs = torchs.linear(hidden, head).float().log_softmax(1)
    chosen = log_probs.gather(1, target.unsqueeze(1)).squeeze(1)
    entropy = -(log_probs.exp() * log_probs).sum(1)
    return (chosen.float() @ upstream[0] + entropy.float() @ upstream[1]).to(hidden.dtype)


_LOSSES: dict[str, dict[str, HeadLoss]] = {
    "mean": {OURS: _mean, EAGER: _mean_of_torch},
    "per token": {OURS: _per_token, EAGER: _per_token_of_torch},
    "log-probs": {OURS: _log_probs, EAGER: _log_probs_of_torch},
}


def _case(
    name: str, *, floor: float, eager: float | None = None, chunked: float | None = None, **settings: Any
) -> LinearCase:
    case = LinearCase(name=name, shape=(2048, 50257), **settings)
    goals: list[Goal | Room] = [
        *([] if eager is None else [Goal(OURS, EAGER, "faster", eager)]),
        *([] if chunked is None else [Goal(OURS, CHUNKED, "faster", chunked)]),
        Goal(OURS, FLOOR, "within", floor),
        Room(OURS, case.gradients_mib + BESIDE_THE_GRADIENTS),
    ]
    return replace(case, goals=tuple(goals))


CASES: tuple[LinearCase, ...] = (
    _case("linear", floor=1.08, eager=1.7, chunked=3),
    _case("linear-bf16", floor=1.08, eager=1.7, chunked=3, dtype=torch.bfloat16),
    _case("linear-sft", floor=1.1, eager=4, ignored=0.75),
    _case("linear-frozen", floor=1.08, frozen=True),
    _case("linear-per-token", floor=1.08, eager=1.3, values="per token"),
    _case("log-probs", floor=1.1, eager=2, values="log-probs"),
)
