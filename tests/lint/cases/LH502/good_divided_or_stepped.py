"""Accumulation that is divided, and loops that do not accumulate though they may look so."""

import torch
import torch.nn.functional as F
from torch import nn

criterion = nn.CrossEntropyLoss()


def divided(model, loader, optimizer, steps):
    for i, (x, y) in enumerate(loader):
        loss = criterion(model(x), y)
        loss = loss / steps
        loss.backward()
        if (i + 1) % steps == 0:
            optimizer.step()
            optimizer.zero_grad()


def divided_in_place(model, loader, optimizer, steps):
    for i, (x, y) in enumerate(loader):
        loss = criterion(model(x), y)
        loss.div_(steps)
        loss.backward()
        if (i + 1) % steps == 0:
            optimizer.step()
            optimizer.zero_grad()


def divided_if_needed(model, loader, optimizer, steps):
    for i, (x, y) in enumerate(loader):
        loss = criterion(model(x), y)
        if steps > 1:
            loss = loss / steps
        loss.backward()
        if (i + 1) % steps == 0:
            optimizer.step()
            optimizer.zero_grad()


def times_a_weight(model, loader, optimizer, steps):
    weight = 1.0 / steps
    for i, (x, y) in enumerate(loader):
        (criterion(model(x), y) * weight).backward()
        if (i + 1) % steps == 0:
            optimizer.step()
            optimizer.zero_grad()


def gradients_divided(model, loader, optimizer, steps):
    for i, (x, y) in enumerate(loader):
        criterion(model(x), y).backward()
        if (i + 1) % steps == 0:
            for p in model.parameters():
                p.grad /= steps
            optimizer.step()
            optimizer.zero_grad()


def sums_over_a_count(model, micro_batches, optimizer):
    count = sum(len(y) for _, y in micro_batches)
    optimizer.zero_grad()
    for x, y in micro_batches:
        (F.cross_entropy(model(x), y, reduction="sum") / count).backward()
    optimizer.step()


def each_step(model, loader, optimizer):
    for i, (x, y) in enumerate(loader):
        optimizer.zero_grad()
        loss = criterion(model(x), y)
        loss.backward()
        optimizer.step()
        if (i + 1) % 100 == 0:
            print(loss.item())


def critic_more_often(critic, generator, loader, optimizer_d, optimizer_g):
    bce = nn.BCEWithLogitsLoss()
    for i, real in enumerate(loader):
        optimizer_d.zero_grad()
        fake = generator(torch.randn(len(real), 8))
        d_real, d_fake = critic(real), critic(fake.detach())
        bce(d_real, torch.ones_like(d_real)).backward()
        bce(d_fake, torch.zeros_like(d_fake)).backward()
        optimizer_d.step()
        if i % 5 == 0:
            optimizer_g.zero_grad()
            d_fake = critic(fake)
            bce(d_fake, torch.ones_like(d_fake)).backward()
            optimizer_g.step()


def several_tasks(model, tasks, optimizer):
    optimizer.zero_grad()
    for task in tasks:
        x, y = task.sample()
        criterion(model(x, task), y).backward()
    optimizer.step()


def accelerated(model, loader, optimizer, accelerator):
    for x, y in loader:
        with accelerator.accumulate(model):
            accelerator.backward(criterion(model(x), y))
            optimizer.step()
            optimizer.zero_grad()


def scheduler_every_kth(model, loader, optimizer, lr_scheduler):
    for i, (x, y) in enumerate(loader):
        optimizer.zero_grad()
        criterion(model(x), y).backward()
        optimizer.step()
        if i % 10 == 0:
            lr_scheduler.step()
