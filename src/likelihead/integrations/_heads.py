"""A model's output head as one linear map: hidden states, weight and bias."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import is_parametrized

from likelihead.errors import BackendError

__all__ = ["Linear", "linear_of"]

Linear = tuple[Tensor, Tensor, "Tensor | None"]


def linear_of(head: Any) -> Callable[[Tensor], Linear]:
    """What makes, of the head's input, hidden states ``[..., D']``, a weight ``[V, D']`` and a bias ``[V]``.

    Raises:
        BackendError: the head is not known to be such a map.
    """
    if "forward" in vars(head):
        raise _unknown(head, "its forward was replaced, as accelerate does to move weights between devices")
    saved = _peft("peft.utils.other", "ModulesToSaveWrapper")
    if saved is not None and type(head) is saved:
        adapters = head.active_adapters
        trained = not head.disable_adapters and all(name in head.modules_to_save for name in adapters)
        return linear_of(head.modules_to_save[adapters[0]] if trained and adapters else head.original_module)
    lora = _peft("peft.tuners.lora.layer", "Linear")
    if lora is not None and type(head) is lora:
        return _low_rank(head)
    parametrized = type(head).forward is nn.Linear.forward and is_parametrized(head)
    if not (type(head) is nn.Linear or parametrized):
        raise _unknown(head, "not torch.nn.Linear")

    def plain(hidden: Tensor) -> Linear:
        weight = head.weight
        if type(weight) not in (Tensor, nn.Parameter) or not weight.is_floating_point():
            kind = type(weight).__name__
            hint = " (patch a model before it is sharded)" if kind == "DTensor" else ""
            raise _unknown(head, f"its weight a {kind} of {weight.dtype}{hint}")
        return hidden, weight, head.bias

    if not parametrized:
        plain(torch.empty(0))  # a weight that is no use now will be none later
    return plain


def _low_rank(head: Any) -> Callable[[Tensor], Linear]:
    r"""The low-rank adapter of peft: :math:`W h + s B A h = [W\; B]\,[h;\, s A h]`.

    As one map, the factors receive their gradients. Unlike a sum W + s B A it has a place for the dropout
    before A, and does not round the adapter away where W is in bfloat16.
    """
    base = linear_of(head.base_layer)
    if head.merged or head.disable_adapters:
        if head.merged and head.disable_adapters:
            raise _unknown(head, "merged and disabled at once, where peft would unmerge it: do that first")
        return base
    names = [name for name in head.active_adapters if name in head.lora_A]
    for name in names:
        if name in head.lora_variant:
            raise _unknown(head, f"its adapter {name!r} a variant, {type(head.lora_variant[name]).__name__}")

    def adapted(hidden: Tensor) -> Linear:
        states, weight, bias = base(hidden)
        columns, blocks = [states], [weight]
        for name in names:
            down, up, scaling = head.lora_A[name], head.lora_B[name], head.scaling[name]
            low = down(head.lora_dropout[name](hidden.to(down.weight.dtype)))
            columns.append((low * scaling).to(states.dtype))
            blocks.append(up.weight.to(weight.dtype))
            if up.bias is not None:
                offset = (up.bias * scaling).to(weight.dtype)
                bias = offset if bias is None else bias + offset
        return torch.cat(columns, dim=-1), torch.cat(blocks, dim=-1), bias

    return adapted


def _peft(module: str, name: str) -> Any:
    """A class of peft, if there can be an instance of it."""
    return getattr(sys.modules.get(module), name, None)


def _unknown(head: Any, why: str) -> BackendError:
    return BackendError(
        f"the model's output head is {type(head).__module__}.{type(head).__name__}, {why}; expected "
        "torch.nn.Linear with a plain weight, or peft's low-rank adapter on one. Leave the model unpatched, "
        "or write what the head adds as a torch.nn.utils.parametrize of a Linear's weight."
    )
