"""What else happens in a run that says how losses are averaged: batches drawn, gradients rescaled, ...

These functions are tapped, and the checks are told of each call when it has returned.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from typing import Any

import torch
from torch.utils.data import dataloader

__all__ = ["Sign", "signs"]


@dataclass(frozen=True)
class Sign:
    """A call of one of these functions.

    Attributes:
        what: ``"optimizer"`` (one was made), ``"drawn"`` (a batch), ``"rescaling"`` and then ``"rescaled"``
            (the gradients, by what does not tell them apart), ``"differentiated"`` (by
            `torch.autograd.grad`), ``"replicated"`` (a module, whose gradients the ranks will
            average), ``"started"`` (a process),
            ``"unversioned"`` (the ``.data`` of a tensor was taken, where tensors are followed).
        args, kwargs: of the call.
        step: optimizer steps done before.
    """

    what: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    step: int


def signs() -> list[tuple[Any, str, str]]:
    """Whose function by which name is tapped, and what it is called here."""
    clip = torch.nn.utils.clip_grad
    found: list[tuple[Any, str, str]] = [
        (torch.optim.Optimizer, "__init__", "optimizer"),
        (dataloader._BaseDataLoaderIter, "__next__", "drawn"),
        (torch.amp.grad_scaler.GradScaler, "_unscale_grads_", "rescaled"),
        (torch.autograd, "grad", "differentiated"),
        (BaseProcess, "start", "started"),
    ]
    for name in ("clip_grad_norm_", "clip_grad_value_"):
        found += [(owner, name, "rescaled") for owner in (torch.nn.utils, clip)]
    if int(os.environ.get("WORLD_SIZE") or 1) > 1 and torch.distributed.is_available():
        found.append((torch.nn.parallel.DistributedDataParallel, "__init__", "replicated"))
    return found
