"""The Lovász loss: the Jaccard index of a set of mistakes, extended to mistakes of any size."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from likelihead.core.reduction import Normalizer
from likelihead.errors import DTypeError, OptionError
from likelihead.functional._call import overridable
from likelihead.functional.overlap.average import average
from likelihead.functional.overlap.options import Classes, Options, Task
from likelihead.functional.overlap.pixels import Pixels, counted, read
from likelihead.functional.overlap.sums import link, wide_dtype

__all__ = ["lovasz_loss"]


@overridable
def lovasz_loss(
    input: Tensor,
    target: Tensor,
    *,
    from_logits: bool,
    hinge: bool = False,
    task: Task = "multiclass",
    ignore_index: int = -100,
    mask: Tensor | None = None,
    sample_weight: Tensor | None = None,
    weight: Tensor | None = None,
    per_image: bool = False,
    classes: Classes = "present",
    per_class: bool = False,
    reduction: str = "mean",
    normalizer: Normalizer | None = None,
) -> Tensor:
    r"""The Lovász extension of one minus the Jaccard index of each class, averaged over the classes.

    .. math:: \sum_k e_{(k)} \left[J_k - J_{k-1}\right], \qquad
              J_k = 1 - \frac{T - \sum_{j \le k} w_{(j)} t_{(j)}}
                             {T + \sum_{j \le k} w_{(j)} (1 - t_{(j)})}, \qquad T = \sum_i w_i t_i

    over the pixels from the largest mistake :math:`e_{(1)}` to the smallest, where :math:`e = 1 - p` for a
    pixel of the class and :math:`e = p` for another. At predictions of 0 and 1 it is one minus the Jaccard
    index. It is piecewise linear in the mistakes; ties are broken by the order of the pixels.

    Multiclass it is Lovász-softmax. Binary and multilabel it is the same on sigmoids; with ``hinge=True`` it
    is Lovász-hinge, on the logits, with :math:`e = \max(0, 1 - z)` for a pixel of the class and
    :math:`\max(0, 1 + z)` for another. The authors' Lovász-hinge counts images without the class, which is
    ``classes="all"`` here.

    **Classes that are not there** are left out of the mean with ``classes="present"``; with ``"all"`` the
    loss of such a class is its largest probability (or hinge), in the image or in the batch. An image or a
    batch in which nothing counts has a loss of 0, connected to the graph, and is left out of the mean.

    All other arguments, the shapes and what is returned are as in `likelihead.functional.tversky_loss`, but
    for labels between 0 and 1, which have no place in a set and raise.

    Raises:
        LikelihoodError: as in `likelihead.functional.tversky_loss`; TargetError (LH207) for a share.

    >>> probs = torch.tensor([[[0.9, 0.6, 0.1], [0.1, 0.4, 0.9]]])
    >>> lovasz_loss(probs, torch.tensor([[0, 0, 1]]), from_logits=False)
    tensor(0.2500)

    References:
        Berman, Triki and Blaschko 2018, "The Lovász-softmax loss: a tractable surrogate for the optimization
        of the intersection-over-union measure in neural networks".
    """
    options = Options(
        from_logits=from_logits,
        task=task,
        ignore_index=ignore_index,
        mask=mask,
        sample_weight=sample_weight,
        weight=weight,
        per_image=per_image,
        classes=classes,
        per_class=per_class,
        reduction=reduction,
        normalizer=normalizer,
    )
    if not isinstance(hinge, bool):
        raise DTypeError(f"hinge is {hinge!r}; expected True or False.")
    if hinge and (task == "multiclass" or not from_logits):
        raise OptionError(
            f"hinge=True is for the logits of a binary or multilabel task, but task is {task!r} and "
            f"from_logits {from_logits}; leave hinge out."
        )
    pixels = read(input, target, options, whole=True)
    each = (_value(*mistakes, per_image) for mistakes in _mistakes(pixels, hinge))
    values, totals = zip(*each, strict=True)
    return average(
        torch.stack(values, 1), torch.stack(totals, 1), counted(pixels, per_image), pixels, options
    )


def _mistakes(pixels: Pixels, hinge: bool) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """For each class the mistakes, where the class is (bool) and the weights, ``[N, S]`` each."""
    values, target = pixels.clean(), pixels.target
    num_classes = values.shape[1]
    weight = pixels.valid if pixels.weight is None else pixels.weight
    weights = weight.expand(-1, num_classes, -1).unbind(1)
    if pixels.indexed:
        index = target.clamp_min(0).unsqueeze(1)
        if pixels.link == "softmax":
            # What the target's class lacks is what the others have: all of its digits.
            p = torch.softmax(values, 1)
            lacking = p.scatter(1, index, torch.zeros_like(p[:, :1])).sum(1)
        else:
            p = values
            lacking = (1 - p.gather(1, index)).squeeze(1)
        for c, of_class in enumerate(p.unbind(1)):
            present = target == c
            yield torch.where(present, lacking, of_class), present, weights[c]
        return
    truth = target > 0
    if hinge:
        errors = torch.where(truth, 1 - values, 1 + values).clamp_min(0)
    else:
        p, q = link(values, pixels.link)
        errors = torch.where(truth, q, p)
    yield from zip(errors.unbind(1), truth.unbind(1), weights, strict=True)


def _value(errors: Tensor, present: Tensor, weight: Tensor, per_image: bool) -> tuple[Tensor, Tensor]:
    """One class's value and total, ``[G]`` each."""
    if not per_image:
        errors, present, weight = (x.reshape(1, -1) for x in (errors, present, weight))
    wide = wide_dtype(errors)
    step = _slopes(errors.detach(), present, weight, wide)
    # The slopes are constants of the order. They depend on the weights alone, and may be asked for those.
    step = step if step.requires_grad else step.to(errors.dtype)
    value = (errors * step).sum(1, dtype=wide)
    return value, (weight.to(wide) * present).sum(1)


def _slopes(errors: Tensor, present: Tensor, weight: Tensor, wide: torch.dtype) -> Tensor:
    """What each mistake is multiplied by: the step of the Jaccard loss as it joins the larger ones."""
    order = errors.sort(dim=1, descending=True, stable=True).indices
    weight = weight.to(wide).gather(1, order)
    inside = present.gather(1, order).to(wide) * weight
    total = inside.sum(1, keepdim=True)
    outside = weight - inside
    kept = total - inside.cumsum(1)
    union = total + outside.cumsum(1)
    before = union - outside
    # I/U before less I/U after, over a common denominator: nothing cancels. Nothing over nothing is 1.
    first = before == 0
    step = (inside * union + outside * kept) / torch.where(first, torch.ones_like(union), before * union)
    step = torch.where(first, (outside > 0).to(wide), step)
    return torch.zeros_like(step).scatter(1, order, step)
