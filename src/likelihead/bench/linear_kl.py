"""The cases of linear_kl on a CPU: a student's head beside its teacher's, from hidden states to gradients.

The floor is the matrix products alone, as ``F.linear`` and autograd call them: the logits of both heads, and
a product for each of the student's gradients.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as torchs
from torch import Tensor

from likelihead.bench.case import EAGER, FLOOR, OURS, Goal, Problem, Room, short_dtype
from likelihead.bench.linear_softmax_nll import BESIDE_THE_GRADIENTS, LinearCase
from likelihead.functional import linear_kl

__all__ = ["CASES", "KLCase"]


@dataclass(frozen=True, kw_only=True)
class KLCase(LinearCase):
    """The mean divergence of ``hidden @ head.T`` from the same of a teacher, which is not trained.

    Attributes:
        direction: ``"forward"``, which is KL(teacher || student), or ``"reverse"``.
    """

    direction: str = "forward"

    @property
    def op(self) -> str:
        return "linear_kl"

    @property
    def what(self) -> str:
        rows, vocab = self.shape
        of = f"two heads, hidden [{rows}, {self.width}] {short_dtype(self.dtype)}, vocab {vocab}"
        return f"linear KL, {of}, {self.direction}"

    def build(self, device: str = "cpu") -> Problem:
        """Student and teacher as a head's case has them: alike in nothing but their sizes."""
        generator = torch.Generator(device).manual_seed(0)
        rows, vocab = self.shape
        hidden, teacher = (
            torch.randn(rows, self.width, generator=generator, device=device).to(self.dtype) for _ in range(2)
        )
        head, teacher_head = (
            torch.randn(vocab, self.width, generator=generator, device=device)
            .mul_(self.width**-0.5)
            .to(self.dtype)
            for _ in range(2)
        )
        gradient = torch.randn(rows, vocab, generator=generator, device=device).to(self.dtype)

        def ours(hidden: Tensor, head: Tensor) -> Tensor:
            return linear_kl(hidden, head, teacher, teacher_head, direction=self.direction)

        def eager(hidden: Tensor, head: Tensor) -> Tensor:
            of_student = torchs.linear(hidden, head).float().log_softmax(1)
            of_teacher = torchs.linear(teacher, teacher_head).float().log_softmax(1)
            both = (of_student, of_teacher) if self.direction == "forward" else (of_teacher, of_student)
            return torchs.kl_div(*both, reduction="batchmean", log_target=True)

        def products() -> None:
            torch.mm(teacher, teacher_head.t())
            torch.mm(hidden.detach(), head.detach().t())
            torch.mm(gradient, head.detach())
            torch.mm(gradient.t(), hidden.detach())

        problem = Problem(
            leaves=(hidden.requires_grad_(), head.requires_grad_()),
            target=teacher,
            losses={OURS: ours, EAGER: eager},
            floor=products,
        )
        self.add_students(problem, teacher, teacher_head)
        return problem

    def add_students(self, problem: Problem, teacher: Tensor, teacher_head: Tensor) -> None:
        """Add peers, of which there are none on a CPU."""


def _case(name: str, direction: str) -> KLCase:
    case = KLCase(name=name, shape=(2048, 50257), direction=direction)
    # Two chunks of logits and not one; all else is as in linear cross-entropy.
    goals = (
        Goal(OURS, EAGER, "faster", 1.7),
        Goal(OURS, FLOOR, "within", 1.15),
        Room(OURS, case.gradients_mib + BESIDE_THE_GRADIENTS),
    )
    return replace(case, goals=goals)


CASES: tuple[KLCase, ...] = (_case("linear-kl", "forward"), _case("linear-kl-reverse", "reverse"))
