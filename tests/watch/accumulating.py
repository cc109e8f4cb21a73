"""Optimizer steps of several backward passes that are right, and what they are made of."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["RIGHT", "STEPS", "K", "batches", "network", "sgd"]

K = 4
STEPS = 3
Batches = Iterator[tuple[Tensor, Tensor]]


def network() -> nn.Sequential:
    return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))


def batches(number: int = K, sizes: tuple[int, ...] = (8,)) -> Batches:
    for index in range(number):
        size = sizes[index % len(sizes)]
        yield torch.randn(size, 6), torch.randint(3, (size,))


def sgd(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.SGD(model.parameters(), 0.1)


def one_pass() -> None:
    model = network()
    optimizer = sgd(model)
    for x, y in batches():
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()


def accumulating(backward: Callable[[Tensor, Tensor], object], after: Callable[[nn.Module], object]) -> None:
    model = network()
    optimizer = sgd(model)
    for _ in range(STEPS):
        optimizer.zero_grad()
        for x, y in batches():
            backward(F.cross_entropy(model(x), y), y)
        after(model)
        optimizer.step()


def divided() -> None:
    accumulating(lambda loss, y: (loss / K).backward(), lambda model: None)


def divided_in_place() -> None:
    accumulating(lambda loss, y: loss.div_(K).backward(), lambda model: None)


def multiplied() -> None:
    accumulating(lambda loss, y: (loss * (1 / K)).backward(), lambda model: None)


def given_a_gradient() -> None:
    accumulating(lambda loss, y: loss.backward(torch.tensor(1 / K)), lambda model: None)


def gradients_divided() -> None:
    accumulating(
        lambda loss, y: loss.backward(),
        lambda model: [
            parameter.grad.div_(K) for parameter in model.parameters() if parameter.grad is not None
        ],
    )


def gradients_divided_and_clipped() -> None:
    def after(model: nn.Module) -> None:
        for parameter in model.parameters():
            parameter.grad /= K
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)

    accumulating(lambda loss, y: loss.backward(), after)


def gradients_replaced() -> None:
    def after(model: nn.Module) -> None:
        for parameter in model.parameters():
            if parameter.grad is not None:
                parameter.grad = parameter.grad / K

    accumulating(lambda loss, y: loss.backward(), after)


def gradients_divided_behind_data() -> None:
    def after(model: nn.Module) -> None:
        for parameter in model.parameters():
            if parameter.grad is not None:
                parameter.grad.data.mul_(1 / K)

    accumulating(lambda loss, y: loss.backward(), after)


def gradients_hooked() -> None:
    model = network()
    for parameter in model.parameters():
        parameter.register_hook(lambda gradient: gradient / K)
    optimizer = sgd(model)
    for _ in range(STEPS):
        optimizer.zero_grad()
        for x, y in batches():
            F.cross_entropy(model(x), y).backward()
        optimizer.step()


def sums_by_tokens() -> None:
    model = network()
    optimizer = sgd(model)
    for _ in range(STEPS):
        parts = list(batches(K, (8, 2)))
        count = sum(len(y) for _, y in parts)
        optimizer.zero_grad()
        for x, y in parts:
            (F.cross_entropy(model(x), y, reduction="sum") / count).backward()
        optimizer.step()


def weighted_by_tokens() -> None:
    model = network()
    optimizer = sgd(model)
    for _ in range(STEPS):
        parts = list(batches(K, (8, 2)))
        count = sum(len(y) for _, y in parts)
        optimizer.zero_grad()
        for x, y in parts:
            (F.cross_entropy(model(x), y) * len(y) / count).backward()
        optimizer.step()


def two_losses_on_one_batch() -> None:
    model, other = network(), network()
    optimizer = torch.optim.Adam([*model.parameters(), *other.parameters()])
    for x, y in batches():
        optimizer.zero_grad()
        for part in (model, other):
            F.cross_entropy(part(x), y).backward()
        optimizer.step()


def a_pass_for_each_term() -> None:
    model = network()
    optimizer = sgd(model)
    for x, y in batches():
        optimizer.zero_grad()
        logits = model(x)
        F.cross_entropy(logits, y).backward(retain_graph=True)
        F.mse_loss(logits, F.one_hot(y, 3).float()).backward()
        optimizer.step()


def tasks() -> None:
    trunk, heads = nn.Linear(6, 8), nn.ModuleList([nn.Linear(8, 3) for _ in range(3)])
    optimizer = torch.optim.Adam([*trunk.parameters(), *heads.parameters()])
    for _ in range(STEPS):
        optimizer.zero_grad()
        for head, (x, y) in zip(heads, batches(3), strict=True):
            F.cross_entropy(head(trunk(x)), y).backward()
        optimizer.step()


def adversarial() -> None:
    generator, critic = nn.Linear(4, 6), nn.Sequential(nn.Linear(6, 1), nn.Sigmoid())
    first, second = sgd(generator), sgd(critic)
    loss_function = nn.BCELoss()
    for real, _ in batches():
        critic.zero_grad()
        ones, zeros = torch.ones(8), torch.zeros(8)
        loss_function(critic(real).view(-1), ones).backward()
        made = generator(torch.randn(8, 4))
        loss_function(critic(made.detach()).view(-1), zeros).backward()
        second.step()
        generator.zero_grad()
        loss_function(critic(made).view(-1), ones).backward()
        first.step()


def adversarial_in_one_line() -> None:
    generator, critic = nn.Linear(4, 6), nn.Linear(6, 1)
    first, second = sgd(generator), sgd(critic)

    def pass_(scores: Tensor, label: float) -> None:
        F.binary_cross_entropy_with_logits(scores, torch.full_like(scores, label)).backward()

    for real, _ in batches():
        second.zero_grad()
        pass_(critic(real), 1.0)
        pass_(critic(generator(torch.randn(8, 4)).detach()), 0.0)
        second.step()
        first.zero_grad()
        pass_(critic(generator(torch.randn(8, 4))), 1.0)
        first.step()


def truncated() -> None:
    cell, head = nn.GRUCell(6, 8), nn.Linear(8, 3)
    optimizer = torch.optim.Adam([*cell.parameters(), *head.parameters()])
    for _ in range(STEPS):
        optimizer.zero_grad()
        hidden = torch.zeros(8, 8)
        for x, y in batches():
            hidden = cell(x, hidden.detach())
            F.cross_entropy(head(hidden), y).backward()
        optimizer.step()


def a_closure() -> None:
    model = network()
    ((x, y),) = batches(1)
    optimizer = torch.optim.LBFGS(model.parameters(), max_iter=4)

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        return loss

    for _ in range(STEPS):
        optimizer.step(closure)


def a_sharpness_aware_step() -> None:
    model = network()
    optimizer = sgd(model)
    for x, y in batches():
        F.cross_entropy(model(x), y).backward()
        with torch.no_grad():
            moves = [0.05 * parameter.grad for parameter in model.parameters()]
            for parameter, move in zip(model.parameters(), moves, strict=True):
                parameter.add_(move)
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        with torch.no_grad():
            for parameter, move in zip(model.parameters(), moves, strict=True):
                parameter.sub_(move)
        optimizer.step()
        optimizer.zero_grad()


def an_epoch_in_one_step() -> None:
    """Full-batch gradient descent, sample by sample, by sums."""
    model = network()
    optimizer = sgd(model)
    for _ in range(STEPS):
        optimizer.zero_grad()
        for x, y in batches(20, (1,)):
            (F.cross_entropy(model(x), y, reduction="none").sum() / 20).backward()
        optimizer.step()


def two_models() -> None:
    models = [network(), network()]
    optimizers = [sgd(model) for model in models]
    for x, y in batches():
        for model in models:
            F.cross_entropy(model(x), y).backward()
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()


def a_skipped_step() -> None:
    """A batch that is left out once leaves its gradient behind."""
    model = network()
    optimizer = sgd(model)
    for index, (x, y) in enumerate(batches(9)):
        F.cross_entropy(model(x), y).backward()
        if index == 3:
            continue
        optimizer.step()
        optimizer.zero_grad()


def scaled_and_divided() -> None:
    model = network()
    optimizer = sgd(model)
    scaler = torch.amp.GradScaler("cpu")
    for _ in range(STEPS):
        optimizer.zero_grad()
        for x, y in batches():
            with torch.autocast("cpu", dtype=torch.bfloat16):
                loss = F.cross_entropy(model(x), y) / K
            scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()


def nearly_even() -> None:
    model = network()
    optimizer = sgd(model)
    for _ in range(STEPS):
        optimizer.zero_grad()
        for x, y in batches(2, (50, 49)):
            (F.cross_entropy(model(x), y) / 2).backward()
        optimizer.step()


def halves_of_two_losses() -> None:
    """Two passes of half of two losses each: the half may be meant for the passes."""
    model = network()
    optimizer = sgd(model)
    for _ in range(STEPS):
        optimizer.zero_grad()
        for x, y in batches(2):
            logits = model(x)
            loss = F.cross_entropy(logits, y) + F.mse_loss(logits, torch.zeros_like(logits))
            (loss / 2).backward()
        optimizer.step()


def mixed_batches_divided() -> None:
    model = network()
    optimizer = sgd(model)
    for _ in range(STEPS):
        optimizer.zero_grad()
        for x, y in batches():
            part = float(torch.rand(()))
            logits, other = model(part * x + (1 - part) * x.flip(0)), y.flip(0)
            loss = part * F.cross_entropy(logits, y) + (1 - part) * F.cross_entropy(logits, other)
            (loss / K).backward()
        optimizer.step()


def the_last_step_is_short() -> None:
    """Even micro-batches but for the last of an epoch."""
    model = network()
    optimizer = sgd(model)
    for step in range(10):
        optimizer.zero_grad()
        for x, y in batches(K, (8, 8, 8, 3 if step == 9 else 8)):
            (F.cross_entropy(model(x), y) / K).backward()
        optimizer.step()


RIGHT = [
    one_pass, divided, divided_in_place, multiplied, given_a_gradient, gradients_divided,
    gradients_divided_and_clipped, gradients_replaced, gradients_divided_behind_data, gradients_hooked,
    sums_by_tokens, weighted_by_tokens, two_losses_on_one_batch, a_pass_for_each_term, tasks, adversarial,
    adversarial_in_one_line, truncated, a_closure, a_sharpness_aware_step, an_epoch_in_one_step, two_models,
    a_skipped_step, scaled_and_divided, nearly_even, the_last_step_is_short,
    halves_of_two_losses, mixed_batches_divided,
]  # fmt: skip
