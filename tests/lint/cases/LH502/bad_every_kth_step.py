"""The optimizer steps on each k-th batch, or once behind the parts of one, and the losses are not divided."""

import torch
import torch.nn.functional as F
from torch import nn

criterion = nn.CrossEntropyLoss()


def every_fourth(model, loader, optimizer, scheduler):
    optimizer.zero_grad()
    for i, (x, y) in enumerate(loader):
        loss = criterion(model(x), y)
        loss.backward()  # expect: LH502
        if (i + 1) % 4 == 0:
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()
        scheduler.step()


def zeroed_first(model, loader, optimizer, accumulate):
    for i, (x, y) in enumerate(loader):
        if i % accumulate == 0:
            optimizer.zero_grad()
        loss = criterion(model(x), y) + 0.1 * F.mse_loss(x, torch.zeros_like(x))
        loss.backward()  # expect: LH502
        if i % accumulate == accumulate - 1 or i == len(loader) - 1:
            optimizer.step()


def scaled(model, loader, opt, grad_scaler, steps):
    for i, (x, y) in enumerate(loader):
        with torch.autocast("cuda"):
            loss = F.cross_entropy(model(x), y)
        grad_scaler.scale(loss).backward()  # expect: LH502
        if (i + 1) % steps == 0:
            grad_scaler.step(opt)
            grad_scaler.update()
            opt.zero_grad()


def parts_of_a_batch(model, x, y, optimizer):
    optimizer.zero_grad()
    for x_k, y_k in zip(x.chunk(4), y.chunk(4), strict=True):
        loss = criterion(model(x_k), y_k)
        loss.backward()  # expect: LH502
    optimizer.step()


def micro_steps(model, get_batch, optimizer, gradient_accumulation_steps):
    for _ in range(1000):
        for _ in range(gradient_accumulation_steps):
            x, y = get_batch()
            loss = criterion(model(x), y)
            loss.backward()  # expect: LH502
        optimizer.step()
        optimizer.zero_grad()
