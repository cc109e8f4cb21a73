"""The contract of each op: what a backend must provide, and the counts that a mean divides by.

Every backend implements these signatures under the same file name (``<backend>/softmax_nll.py``,
``<backend>/sigmoid_nll.py``). The inputs are well-formed when they arrive: shapes and dtypes are checked
by the callers (`likelihead.functional`, `likelihead.likelihoods`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypedDict

import torch
from torch import Tensor

from likelihead.core.options import check_real_number, check_tensor_option
from likelihead.core.reduction import Normalizer
from likelihead.core.reduction import reduce as reduce_values
from likelihead.core.sample_weight import weighted_count
from likelihead.errors import DTypeError, OptionError, ShapeError

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = [
    "KLOptions",
    "LinearKL",
    "LinearSoftmaxLoss",
    "LinearSoftmaxNLL",
    "LinearValues",
    "SigmoidLoss",
    "SigmoidNLL",
    "SigmoidOptions",
    "SoftmaxLoss",
    "SoftmaxNLL",
    "SoftmaxOptions",
    "along_classes",
    "as_prior",
    "check_class_mask",
    "check_focal_gamma",
    "check_head",
    "check_label_smoothing",
    "check_softmax_options",
    "compute_dtype",
    "reduce_sigmoid_nll",
    "reduce_softmax_nll",
    "shared",
    "sigmoid_count",
    "sigmoid_valid",
    "softmax_count",
]


class SoftmaxOptions(TypedDict, total=False):
    """The options of `SoftmaxNLL`, which says what they mean, with their defaults behind them."""

    weight: Tensor | None  # None
    label_smoothing: float  # 0.0
    ignore_index: int  # -100
    z_loss: float  # 0.0
    softcap: float | None  # None
    logit_offset: Tensor | None  # None
    torch_nonfinite: bool  # False
    where: Tensor | None  # None
    focal_gamma: float  # 0.0
    sample_weight: Tensor | None  # None


class SigmoidOptions(TypedDict, total=False):
    """The options of `SigmoidNLL`, which says what they mean, with their defaults behind them."""

    weight: Tensor | None  # None
    pos_weight: Tensor | None  # None
    mask: Tensor | None  # None
    skip_nan_target: bool  # True
    torch_nonfinite: bool  # False
    label_smoothing: float  # 0.0
    prior: Tensor | None  # None
    focal_gamma: float  # 0.0
    focal_alpha: float | None  # None
    sample_weight: Tensor | None  # None


class SoftmaxNLL(Protocol):
    r"""Negative log-likelihood of a categorical distribution given by its logits.

    With :math:`z = c\tanh(x / c) + b` (``softcap`` c, ``logit_offset`` b; each where given) and
    :math:`\ell_k = \operatorname{logsumexp}(z) - z_k`:

    - index targets: :math:`(1-\varepsilon)\,w_y\,\ell_y + \frac{\varepsilon}{C}\sum_k w_k\,\ell_k + \zeta\,
      \operatorname{logsumexp}(z)^2`, and 0 where ``target == ignore_index``;
    - probability targets q: :math:`\sum_k w_k\,q'_k\,\ell_k + \zeta\operatorname{logsumexp}(z)^2` with
      :math:`q' = (1-\varepsilon)q + \varepsilon/C`. ``ignore_index`` does not apply.

    ``weight`` is :math:`w`, ``label_smoothing`` is :math:`\varepsilon`, ``z_loss`` is :math:`\zeta`. A class
    whose share of the target (or weight) is 0 adds nothing, also where its logit is -inf, and the
    logits of an ignored row have gradient 0, also where they are NaN; with ``torch_nonfinite`` both are NaN,
    :math:`0 \cdot \infty`, as in torch's loss.

    ``where`` is False for a class that the example cannot have: its logit is :math:`-\infty`, whatever stands
    there, its gradient is 0, and the smoothing is spread over the other classes alone, :math:`\varepsilon /
    C_i` for each of the :math:`C_i` that the example can have. An example that can have none has no
    distribution: its values are NaN.

    ``focal_gamma`` :math:`\gamma` multiplies :math:`\ell_y` by :math:`(1 - p_y)^\gamma`. It takes index
    targets without label smoothing.

    ``sample_weight`` multiplies the nll of an example, as :math:`s_i`. One of 0 leaves the example out:
    value and gradient are 0, whatever the logits are.

    Shape:
        - logits: ``[N, C]`` or ``[N, C, d1, ...]``, any strides, floating point.
        - target: ``[N]`` or ``[N, d1, ...]`` of int64, int32, int16, int8 or uint8; or probabilities of the
          logits' shape.
        - weight, logit_offset: ``[C]``.
        - where: bool, the logits' shape, any strides.
        - sample_weight: any prefix of the shape of nll: ``[N]``, ...
        - returns ``(nll, lse)``, each ``[N]`` or ``[N, d1, ...]``, float32, or float64 for float64 logits, in
          nats.
    """

    def __call__(
        self, logits: Tensor, target: Tensor, **options: Unpack[SoftmaxOptions]
    ) -> tuple[Tensor, Tensor]: ...


class SoftmaxLoss(Protocol):
    """The sum or the mean of `SoftmaxNLL`, in one op so that a backend may fuse the reduction.

    Further arguments, beside those of `SoftmaxNLL`: ``reduction`` is ``"sum"`` or ``"mean"``, ``normalizer``
    replaces what the mean divides by, and ``inplace_backward`` lets the gradient take the memory of the
    logits, which raise when they are read after the call (`likelihead.core.overwritten`). A backend that has
    no use for it raises OptionError, but where no gradient is asked for it has no effect anywhere.
    """

    def __call__(
        self,
        logits: Tensor,
        target: Tensor,
        *,
        reduction: str = "mean",
        normalizer: Normalizer | None = None,
        inplace_backward: bool = False,
        **options: Unpack[SoftmaxOptions],
    ) -> Tensor: ...


class LinearValues(NamedTuple):
    """What `LinearSoftmaxNLL` returns; None where it was not asked for."""

    nll: Tensor
    lse: Tensor
    entropy: Tensor | None = None
    log_prob: Tensor | None = None
    prediction: Tensor | None = None


class LinearSoftmaxNLL(Protocol):
    r"""`SoftmaxNLL` of the logits :math:`s\,(h W^\top + b)`, which never exist whole.

    Tokens are served in chunks: one product into a buffer that all chunks share, the softmax in place, and
    one product for each gradient that is wanted. The gradient of the weight is summed over the chunks in
    float32 (float64 for float64).

    ``logit_scale`` is s, ahead of ``softcap`` and ``logit_offset``. ``chunk_tokens`` is how many tokens make
    a chunk; 0 takes what fits the backend's budget of bytes, which does not depend on N.

    On request there are more values from the same pass: with ``entropy`` that of each token's distribution,
    :math:`-\sum_k p_k \log p_k`; with ``log_prob`` the log-probability of its target, :math:`z_y -
    \operatorname{logsumexp}(z)` whatever the weights, the smoothing and the z-loss, for class indices; with
    ``prediction`` the first index of its largest logit, which is not differentiable: what a cap rounds to
    one number is a tie.

    A token that is left out (``ignore_index``, or a ``sample_weight`` of 0) has the value 0 of everything,
    also of lse and prediction, whatever its hidden state is. With ``compact`` such tokens leave before the
    products, for which the device is waited for; without they are computed as zeros; None is True where that
    takes no waiting, on a CPU. The results are the same.

    Shape:
        - hidden: ``[N, D]``; head_weight: ``[V, D]``; head_bias: ``[V]``; of one dtype.
        - target: ``[N]``, or probabilities ``[N, V]``; where: ``[N, V]``; sample_weight: ``[N]``.
        - returns each ``[N]``; float32, or float64 for float64, and int64 of the prediction.
    """

    def __call__(
        self,
        hidden: Tensor,
        head_weight: Tensor,
        target: Tensor,
        head_bias: Tensor | None = None,
        *,
        entropy: bool = False,
        log_prob: bool = False,
        prediction: bool = False,
        logit_scale: float = 1.0,
        chunk_tokens: int = 0,
        compact: bool | None = None,
        **options: Unpack[SoftmaxOptions],
    ) -> LinearValues: ...


class LinearSoftmaxLoss(Protocol):
    """The sum or the mean of `LinearSoftmaxNLL`, whose gradients are made while a chunk's logits are there.

    Three products in all, two where the head or what is below it is not trained, one without gradients.
    """

    def __call__(
        self,
        hidden: Tensor,
        head_weight: Tensor,
        target: Tensor,
        head_bias: Tensor | None = None,
        *,
        reduction: str = "mean",
        normalizer: Normalizer | None = None,
        logit_scale: float = 1.0,
        chunk_tokens: int = 0,
        compact: bool | None = None,
        **options: Unpack[SoftmaxOptions],
    ) -> Tensor: ...


class KLOptions(TypedDict, total=False):
    """The options of `LinearKL`, which says what they mean, with their defaults behind them."""

    direction: str  # "forward"
    beta: float  # 0.5
    temperature: float  # 1.0
    softcap: float | None  # None
    teacher_softcap: float | None  # None


class LinearKL(Protocol):
    r"""Divergence of a teacher's and a student's distribution, p and q, whose logits never exist whole.

    ``direction`` is ``"forward"``, :math:`\operatorname{KL}(p \| q)`, ``"reverse"``,
    :math:`\operatorname{KL}(q \| p)`, or ``"jsd"``, :math:`\beta \operatorname{KL}(p \| m) + (1 - \beta)
    \operatorname{KL}(q \| m)` with :math:`m = \beta p + (1 - \beta) q`. Both heads' logits are divided by the
    ``temperature``, after ``softcap`` and ``teacher_softcap``. It is differentiable by the student alone.

    ``teacher`` holds hidden states for ``teacher_weight``, or with ``teacher_index`` the log-probabilities,
    at this temperature, of the classes that it names; the rest of both distributions is then one class more,
    and the direction forward.

    Chunks, gradients and reductions are those of `LinearSoftmaxNLL` and `LinearSoftmaxLoss`. A token whose
    ``sample_weight`` is 0 has the value 0, whatever else is there.

    Shape:
        - hidden: ``[N, D]``; head_weight: ``[V, D]``; head_bias: ``[V]``; of one dtype.
        - teacher: ``[N, E]``; teacher_weight: ``[V, E]``; teacher_bias: ``[V]``; of one dtype.
        - teacher, teacher_index: ``[N, k]``, class indices in ``[0, V)``, none twice in a row.
        - sample_weight: ``[N]``.
        - returns: ``[N]`` for the reduction ``"none"``, else 0-d; float32, or float64 for a float64 student.
    """

    def __call__(
        self,
        hidden: Tensor,
        head_weight: Tensor,
        teacher: Tensor,
        teacher_weight: Tensor | None = None,
        *,
        head_bias: Tensor | None = None,
        teacher_bias: Tensor | None = None,
        teacher_index: Tensor | None = None,
        sample_weight: Tensor | None = None,
        reduction: str = "mean",
        normalizer: Normalizer | None = None,
        chunk_tokens: int = 0,
        compact: bool | None = None,
        **options: Unpack[KLOptions],
    ) -> Tensor: ...


class SigmoidNLL(Protocol):
    r"""Negative log-likelihood of independent Bernoulli variables given by their logits, elementwise.

    .. math:: w\,\bigl[\pi\,t\,\operatorname{softplus}(-x) + (1-t)\operatorname{softplus}(x)\bigr]

    ``weight`` is :math:`w` and ``pos_weight`` is :math:`\pi`; both broadcast against the logits. An element
    whose ``mask`` is False scores 0 with gradient 0, and so does a NaN label. With ``skip_nan_target`` False
    a NaN label is a value like any other, and its loss NaN. With ``torch_nonfinite`` elements whose logit or
    label is not finite take torch's form of the sum, :math:`(1-t)\,x +
    (1+(\pi-1)t)\operatorname{softplus}(-x)`, which is NaN or infinite just where torch's loss is.

    ``label_smoothing`` :math:`\varepsilon` draws each label towards its ``prior`` :math:`\rho`, a half where
    there is none: t becomes :math:`(1-\varepsilon)\,t + \varepsilon\,\rho`. ``focal_gamma`` multiplies the
    term by :math:`[t\,(1-p) + (1-t)\,p]^\gamma`, ``focal_alpha`` :math:`\alpha` by :math:`\alpha\,t +
    (1-\alpha)(1-t)`. ``sample_weight`` multiplies all of it; one of 0 leaves the
    elements out.

    Shape:
        - logits, target, mask: the same shape, any; target floating point, integer or bool in [0, 1].
        - prior: broadcasts against the logits; sample_weight: a prefix of their shape.
        - returns: that shape, float32, or float64 for float64 logits, in nats.
    """

    def __call__(self, logits: Tensor, target: Tensor, **options: Unpack[SigmoidOptions]) -> Tensor: ...


class SigmoidLoss(Protocol):
    """The sum or the mean of `SigmoidNLL`, in one op so that a backend may fuse the reduction.

    The mean divides by the elements that are scored, or by ``normalizer``.
    """

    def __call__(
        self,
        logits: Tensor,
        target: Tensor,
        *,
        reduction: str = "mean",
        normalizer: Normalizer | None = None,
        **options: Unpack[SigmoidOptions],
    ) -> Tensor: ...


def compute_dtype(dtype: torch.dtype) -> torch.dtype:
    """What a kernel returns for logits of this dtype: at least float32."""
    return torch.float32 if dtype in (torch.float16, torch.bfloat16) else dtype


def along_classes(per_class: Tensor, like: Tensor) -> Tensor:
    """View a ``[C]`` tensor so that it broadcasts along dimension 1 of ``like``."""
    return per_class.view(1, -1, *[1] * (like.dim() - 2))


def as_prior(prior: float | Tensor | None, like: Tensor) -> Tensor | None:
    """What labels are drawn towards, as a tensor beside ``like``."""
    if prior is None or isinstance(prior, Tensor):
        return prior
    return torch.full((), prior, dtype=compute_dtype(like.dtype), device=like.device)


def shared(share: Tensor, cost: Tensor) -> Tensor:
    """``share * cost``, where a share of 0 takes nothing of an infinite cost.

    >>> shared(torch.tensor([0.0, 0.5]), torch.tensor([math.inf, 2.0]))
    tensor([0., 1.])
    """
    # A finite cost stays: it is the gradient of the share.
    return share * torch.where((share == 0) & cost.isinf(), 0, cost)


def check_softmax_options(
    num_classes: int, *, z_loss: float = 0.0, softcap: float | None = None, logit_offset: Tensor | None = None
) -> None:
    """Refuse values of the options that torch's losses do not have.

    Raises:
        OptionError: a ``z_loss`` that is negative, or a ``softcap`` that is not positive; or one not finite.
        ShapeError: a ``logit_offset`` of another shape than ``[C]``.
        DTypeError: an option that is no number, or no tensor.
    """
    check_real_number("z_loss", z_loss)
    if softcap is not None:
        check_real_number("softcap", softcap, expected="a number, or None for no cap")
    check_tensor_option("logit_offset", logit_offset)
    if not 0 <= z_loss < math.inf:
        raise OptionError(f"z_loss is {z_loss!r}; expected a finite number of at least 0.")
    numbers = torch.finfo(torch.float32)  # beyond them 0 times infinity would make NaN of every logit
    if softcap is not None and not numbers.tiny <= softcap <= numbers.max:
        raise OptionError(
            f"softcap is {softcap!r}; expected a positive number that float32 can hold, or None for no cap."
        )
    if logit_offset is not None and tuple(logit_offset.shape) != (num_classes,):
        raise ShapeError(
            f"logit_offset has shape {list(logit_offset.shape)}; "
            f"expected one number per class, [{num_classes}]."
        )


def check_head(
    hidden: Tensor, head_weight: Tensor, head_bias: Tensor | None, target: Tensor, options: SoftmaxOptions
) -> None:
    """Refuse tensors of which a kernel would read more than there is.

    Raises:
        ShapeError: a width of the hidden states that is not the head's, or an argument of another length.
    """
    if hidden.dim() != 2 or head_weight.dim() != 2 or hidden.shape[1] != head_weight.shape[1]:
        raise ShapeError(
            f"hidden has shape {list(hidden.shape)} and head_weight {list(head_weight.shape)}; expected "
            "[N, D] and [V, D], with one D."
        )
    tokens, classes = hidden.shape[0], head_weight.shape[0]
    where, sample_weight = options.get("where"), options.get("sample_weight")
    for name, given, shape in (
        ("head_bias", head_bias, (classes,)),
        ("target", target, (tokens, classes) if target.is_floating_point() else (tokens,)),
        ("where", where, (tokens, classes)),
        ("sample_weight", sample_weight, (tokens,)),
    ):
        if given is not None and tuple(given.shape) != shape:
            raise ShapeError(
                f"{name} has shape {list(given.shape)}; expected {list(shape)} for hidden states "
                f"{list(hidden.shape)} and a head {list(head_weight.shape)}."
            )


def check_class_mask(where: object, shape: Sequence[int]) -> None:
    """Refuse a class mask that is not one truth value per logit.

    Raises:
        DTypeError: not a bool tensor.
        ShapeError: not of the logits' shape.
    """
    if where is None:
        return
    if not isinstance(where, Tensor) or where.dtype != torch.bool:
        what = where.dtype if isinstance(where, Tensor) else f"a {type(where).__name__}"
        raise DTypeError(
            f"where is {what}; expected a bool tensor, True for a class that the example can have."
        )
    if tuple(where.shape) != tuple(shape):
        raise ShapeError(
            f"where has shape {list(where.shape)} and the logits {list(shape)}; expected the same. A mask "
            f"that several examples share: where.expand({list(shape)}), which takes no memory."
        )


def check_focal_gamma(gamma: float, target: Tensor | None = None, *, label_smoothing: float = 0.0) -> None:
    """Refuse an exponent that is negative or not finite, and targets that are no class indices.

    Raises:
        OptionError: as above; or a focal loss with label smoothing.
        DTypeError: ``gamma`` is no number; or probability targets (LH202).
    """
    check_real_number("gamma", gamma)
    if not 0.0 <= gamma < math.inf:
        raise OptionError(f"gamma is {gamma}; expected a finite number that is not negative, such as 2.")
    if not gamma or not isinstance(target, Tensor):
        return
    if target.is_floating_point():
        raise DTypeError(
            f"target is {target.dtype}; focal_loss takes class indices, as the probability of the one true "
            "class sets the weight. Use target.long(), or target.argmax(1) of one-hot rows.",
            code="LH202",
        )
    if label_smoothing:
        raise OptionError(
            f"label_smoothing is {label_smoothing} beside a focal gamma of {gamma}: the factor belongs to "
            "one true class, and a smoothed target has several. Leave one of the two out."
        )


def check_label_smoothing(label_smoothing: float, prior: object, shape: Sequence[int]) -> None:
    """Refuse a smoothing of yes-or-no labels outside [0, 1], and a prior that does not fit it.

    Raises:
        OptionError: as above; or a prior without smoothing, or one number outside [0, 1].
        ShapeError: a prior that does not broadcast to the logits.
    """
    share: object = label_smoothing
    if not isinstance(share, (int, float)) or not 0.0 <= share <= 1.0:
        raise OptionError(f"label_smoothing is {share!r}; expected a share in [0, 1].")
    if prior is None:
        return
    if not share:
        raise OptionError(
            "prior is what label_smoothing draws the labels towards, and label_smoothing is 0; set it, or "
            "leave prior out."
        )
    if isinstance(prior, Tensor):
        fits = prior.dim() <= len(shape) and not prior.is_complex()
        pairs = zip(reversed(prior.shape), reversed(shape), strict=False)
        if not (fits and all(a in (1, b) for a, b in pairs)):
            raise ShapeError(
                f"prior has shape {list(prior.shape)} and the logits {list(shape)}; expected one number, or "
                "one per label."
            )
    elif isinstance(prior, bool) or not isinstance(prior, (int, float)) or not 0.0 <= prior <= 1.0:
        raise OptionError(
            f"prior is {prior!r}; expected a probability in [0, 1], or a tensor of one for each label."
        )


def softmax_count(
    target: Tensor,
    num_classes: int,
    *,
    weight: Tensor | None = None,
    ignore_index: int = -100,
    sample_weight: Tensor | None = None,
) -> Tensor | int:
    """What the mean of `SoftmaxNLL` divides by, as torch defines it.

    Index targets: the sum of ``weight[target]`` over the targets that are not ignored (their number without
    weights). Probability targets: the number of rows, whatever the weights. With ``sample_weight`` each row
    counts that many times.
    """
    if target.is_floating_point():
        if sample_weight is not None:
            return weighted_count(None, sample_weight, (target.shape[0], *target.shape[2:]))
        return target.numel() // num_classes if num_classes else 0
    classes = target.long()  # before comparing: in uint8 a class 156 would equal -100
    kept = classes != ignore_index
    if weight is None:
        return kept.sum() if sample_weight is None else weighted_count(kept, sample_weight, kept.shape)
    each = torch.where(kept, weight[torch.where(kept, classes, 0)], 0)
    return each.sum() if sample_weight is None else weighted_count(each, sample_weight, each.shape)


def reduce_softmax_nll(
    nll: Tensor,
    logits: Tensor,
    target: Tensor,
    *,
    reduction: str,
    normalizer: Normalizer | None,
    **options: Unpack[SoftmaxOptions],
) -> Tensor:
    """The sum or the mean of per-example values, from whatever backend they came, for its options."""
    count = None
    if reduction == "mean" and normalizer is None:
        weight, ignore_index = options.get("weight"), options.get("ignore_index", -100)
        wide = None if weight is None else weight.to(nll.dtype)
        count = softmax_count(
            target,
            logits.shape[1],
            weight=wide,
            ignore_index=ignore_index,
            sample_weight=options.get("sample_weight"),
        )
    return reduce_values(nll, reduction, count=count, normalizer=normalizer)


def sigmoid_valid(
    target: Tensor, *, mask: Tensor | None = None, skip_nan_target: bool = True
) -> Tensor | None:
    """Which elements are scored, or None where that is all of them."""
    valid = mask
    if skip_nan_target and target.is_floating_point():
        labelled = ~target.isnan()
        valid = labelled if mask is None else mask & labelled
    return valid


def sigmoid_count(
    target: Tensor,
    *,
    mask: Tensor | None = None,
    skip_nan_target: bool = True,
    sample_weight: Tensor | None = None,
) -> Tensor | int:
    """What the mean of `SigmoidNLL` divides by: the elements that are scored, whatever the weights.

    With ``sample_weight`` each element counts that many times.
    """
    valid = sigmoid_valid(target, mask=mask, skip_nan_target=skip_nan_target)
    if sample_weight is not None:
        return weighted_count(valid, sample_weight, target.shape)
    return target.numel() if valid is None else valid.sum()


def reduce_sigmoid_nll(
    nll: Tensor,
    target: Tensor,
    *,
    reduction: str,
    normalizer: Normalizer | None,
    **options: Unpack[SigmoidOptions],
) -> Tensor:
    """The sum or the mean of elementwise values, from whatever backend they came, for its options."""
    count = None
    if reduction == "mean" and normalizer is None:
        skip_nan_target = options.get("skip_nan_target", True)
        count = sigmoid_count(
            target,
            mask=options.get("mask"),
            skip_nan_target=skip_nan_target,
            sample_weight=options.get("sample_weight"),
        )
    return reduce_values(nll, reduction, count=count, normalizer=normalizer)
