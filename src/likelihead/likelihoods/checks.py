"""What a likelihood refuses: sizes, dtypes and labels that cannot mean what they must.

These mistakes always raise, at every level of the guard: there is no right answer to give. Only the
checks that read values ask `can_read` first, so that no check waits for a device or breaks a trace.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor

from likelihead.core.domains import Domain
from likelihead.core.options import real_number, shown
from likelihead.core.reduction import Normalizer
from likelihead.core.sample_weight import check_sample_weight, check_sample_weight_values
from likelihead.errors import DTypeError, OptionError, ShapeError, TargetError
from likelihead.guard.switch import current

__all__ = [
    "as_real_tensor",
    "as_vector",
    "can_read",
    "check_class_logits",
    "check_class_target",
    "check_in_domain",
    "check_observed_weight",
    "check_same_shape",
    "check_tensor",
    "check_weight",
    "has_values",
    "is_settled",
    "positive_number",
    "reduces_at_once",
]

_NO_CLASS_INDEX = (torch.bool, torch.complex32, torch.complex64, torch.complex128)


def can_read(values: Tensor) -> bool:
    """Whether reading the values costs no synchronisation and breaks no trace: a plain tensor on the CPU."""
    return (
        values.device.type == "cpu"
        and type(values) in (torch.Tensor, torch.nn.Parameter)
        and not torch.compiler.is_compiling()
        and not torch._C._are_functorch_transforms_active()
        and torch._C._get_tracing_state() is None
        and torch._C._len_torch_dispatch_stack() == 0
    )


def has_values(values: Tensor) -> bool:
    """Whether there are values at all: not on the meta device, nor in a trace with fake tensors.

    >>> has_values(torch.ones(2)), has_values(torch.ones(2, device="meta"))
    (True, False)
    """
    return not values.is_meta and not isinstance(values, FakeTensor)


def reduces_at_once(logits: object, target: object, reduction: str, normalizer: Normalizer | None) -> bool:
    """Whether the kernel may reduce the loss itself, and so make its gradient in the forward pass.

    Its mean over nothing is NaN, and ours 0: the value must be one that can be read (`is_settled`).
    """
    if normalizer is not None and (
        type(normalizer) not in (int, float) or reduction != "mean" or not normalizer > 0
    ):
        return False
    if reduction == "none" or not (isinstance(logits, Tensor) and isinstance(target, Tensor)):
        return False
    return can_read(logits) and can_read(target)


def is_settled(loss: Tensor, reduction: str) -> bool:
    """Whether a kernel's reduced loss is ours as well: no mean over a count of 0, whose 0 / 0 is 0 for us."""
    return reduction == "sum" or math.isfinite(loss.detach())


def check_weight(sample_weight: Tensor | None, shape: Sequence[int]) -> Tensor | None:
    """The weights of the examples, checked: their shape always, their values where that costs no waiting.

    Raises:
        ShapeError: not one number per example (LH603).
        OptionError: a weight that is negative, infinite or NaN.
    """
    checked = check_sample_weight(sample_weight, shape)
    if checked is None:
        return None
    if torch.compiler.is_compiling():
        return checked
    level = current().level
    if level == "off":
        return checked
    if can_read(checked) or (level == "full" and _can_wait_for(checked)):
        check_sample_weight_values(checked)
    return checked


def _can_wait_for(values: Tensor) -> bool:
    """Whether a GPU's values may be read where waiting is allowed."""
    return (
        values.is_cuda
        and type(values) in (torch.Tensor, torch.nn.Parameter)
        and not torch._C._are_functorch_transforms_active()
        and torch._C._len_torch_dispatch_stack() == 0
        and not torch.cuda.is_current_stream_capturing()
    )


def check_observed_weight(sample_weight: Tensor | None, shape: Sequence[int]) -> Tensor | None:
    """The same for targets that are summarised: the values are read, as those of the targets are."""
    checked = check_sample_weight(sample_weight, shape)
    check_sample_weight_values(checked)
    return None if checked is None else checked.detach()


def as_vector(
    name: str, values: Tensor | Sequence[float] | None, length: int, *, signed: bool = False
) -> Tensor | None:
    """An option with one number for each class or label, checked.

    Raises:
        DTypeError: no numbers, or complex ones.
        ShapeError: not ``[length]`` (LH601, LH602).
        OptionError: a value that is NaN, infinite, or negative where it must not be.
    """
    if values is None:
        return None
    vector = as_real_tensor(name, values)
    if not vector.is_floating_point():
        vector = vector.to(torch.get_default_dtype())
    if vector.shape != (length,):
        raise ShapeError(
            f"{name} has shape {list(vector.shape)}; expected [{length}], one number for each class or "
            "label.",
            code={"pos_weight": "LH601", "weight": "LH602"}.get(name),
        )
    if not has_values(vector):
        return vector
    # An offset of -inf takes a class out; a weight must be a finite amount.
    wrong = vector.isnan() | (vector == math.inf) if signed else ~torch.isfinite(vector) | (vector < 0)
    if bool(wrong.any()):
        where = int(wrong.nonzero()[0])
        expected = (
            "a number, or -inf to take the class out" if signed else "a finite number that is not negative"
        )
        raise OptionError(f"{name}[{where}] is {vector[where].item()}; expected {expected}.")
    return vector


def positive_number(name: str, value: object, *, or_else: str = "") -> float:
    """An option that is a positive finite number.

    Raises:
        DTypeError: no number.
        OptionError: one that is not positive and finite.
    """
    number = real_number(name, value)
    if not 0 < number < math.inf:
        rest = f", or {or_else}" if or_else else ""
        raise OptionError(f"{name} is {number}; expected a positive finite number{rest}.")
    return number


def as_real_tensor(name: str, values: object) -> Tensor:
    """Numbers as a tensor without gradient: a number, a sequence, an array or a tensor of them.

    Raises:
        DTypeError: something else, or complex numbers.
    """
    try:
        tensor = torch.as_tensor(values).detach()
    except (TypeError, ValueError, RuntimeError):
        tensor = None
    if tensor is None or tensor.is_complex():
        raise DTypeError(f"{name} is {shown(values)}; expected real numbers: a tensor or a list of them.")
    return tensor


def check_tensor(name: str, value: object) -> None:
    """Refuse what is no tensor, such as a list or an array.

    Raises:
        DTypeError: it is none.
    """
    if not isinstance(value, Tensor):
        raise DTypeError(
            f"{name} is a {type(value).__name__}; expected a torch.Tensor. Use torch.as_tensor({name})."
        )


def check_class_logits(logits: Tensor, num_classes: int, *, name: str = "logits") -> None:
    """Refuse logits that are not ``[N, C]`` or ``[N, C, d1, ...]``.

    Raises:
        ShapeError: the classes are not along dimension 1 (LH301), or there is one logit (LH303).
        DTypeError: not floating-point.
    """
    check_tensor(name, logits)
    if not logits.is_floating_point():
        raise DTypeError(
            f"{name} is {logits.dtype}; expected floating-point values, as a linear layer puts out."
        )
    shape = list(logits.shape)
    if logits.dim() >= 2 and shape[1] == num_classes:
        return
    message = f"{name} has shape {shape}; expected [N, {num_classes}] or [N, {num_classes}, ...]. "
    code: str | None = "LH301"
    if logits.dim() == 1 and shape[0] == num_classes:
        message += f"For one example, use {name}.unsqueeze(0)."
        code = None
    elif logits.dim() >= 3 and shape[-1] == num_classes:
        message += f"The classes are last, and belong in dimension 1: use {name}.movedim(-1, 1)."
    elif num_classes == 2 and (logits.dim() == 1 or shape[1:2] == [1]):
        message += (
            "One logit for a binary task is a Bernoulli; a Categorical of two classes takes two logits."
        )
        code = "LH303"
    else:
        message += f"Dimension 1 holds the classes: is the head {num_classes} wide?"
        code = None
    raise ShapeError(message, code=code)


def check_class_target(target: Tensor, logits_shape: Sequence[int], domain: Domain) -> None:
    """Refuse a target that is neither class indices nor probabilities for logits of this shape.

    Raises:
        DTypeError: bool, complex, or floating-point class indices (LH202).
        ShapeError: sizes that do not fit the logits.
        TargetError: a class index outside the range (LH203); looked for on the CPU.
    """
    check_tensor("target", target)
    shape, full = list(target.shape), list(logits_shape)
    indices = full[:1] + full[2:]
    if target.is_floating_point():
        if shape == full:
            return
        if shape == indices:
            raise DTypeError(
                f"target is {target.dtype} of shape {shape}: class indices must be integers. Use "
                "target.long(); "
                f"probabilities have the logits' shape {full}.",
                code="LH202",
            )
    elif target.dtype in _NO_CLASS_INDEX:
        raise DTypeError(
            f"target is {target.dtype}, which cannot hold a class index. Use target.long(); for yes or no, "
            "one "
            "logit and a Bernoulli will do.",
            code="LH202",
        )
    elif shape == indices:
        if can_read(target):
            check_in_domain(target, domain, code="LH203")
        return
    message = (
        f"target has shape {shape} and logits have {full}; expected class indices {indices} or probabilities "
        f"{full}. "
    )
    if shape == full:
        message += (
            "Integers of the logits' shape are labels one by one: one-hot rows become indices by "
            "target.argmax(1), "
            "several labels for an example are a MultiLabel."
        )
        raise ShapeError(message)
    if math.prod(shape) == math.prod(indices):
        message += f"The number of targets fits: use target.reshape({indices})."
    raise ShapeError(message)


def check_same_shape(logits: Tensor, target: Tensor, *, name: str = "target") -> None:
    """Refuse a target whose shape is not that of the logits: it would broadcast, or not fit at all.

    Raises:
        DTypeError: the target is no tensor.
        ShapeError: the shapes differ (LH302).
    """
    check_tensor(name, target)
    if logits.shape == target.shape:
        return
    have, want = list(target.shape), list(logits.shape)
    message = f"{name} has shape {have} and logits have {want}; expected the same shape. "
    if [*have, 1] == want:
        message += f"Use logits.squeeze(-1), or {name}.unsqueeze(-1)."
    elif [*want, 1] == have:
        message += f"Use {name}.squeeze(-1), or logits.unsqueeze(-1)."
    elif [*have, 2] == want:
        message += (
            "Two logits for each yes-or-no target are a Categorical of two classes; a Bernoulli takes one."
        )
        raise ShapeError(message, code="LH303")
    elif math.prod(have) == math.prod(want):
        message += f"The number of values fits: use {name}.reshape({want})."
    else:
        message += "Each logit needs a target of its own."
    raise ShapeError(message, code="LH302")


def check_in_domain(
    target: Tensor, domain: Domain, *, mask: Tensor | None = None, code: str | None = None
) -> None:
    """Refuse a target outside its domain. Reads the values.

    Raises:
        TargetError: with the first offending position and value.
    """
    violation = domain.first_violation(target, mask)
    if violation is not None:
        raise TargetError(f"target is {violation}; expected {domain.words}.", code=code)
