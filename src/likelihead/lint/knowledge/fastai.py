"""fastai: a Learner brings model and loss together; its losses flatten what they take; star imports."""

from __future__ import annotations

from likelihead.lint.knowledge.call import CONSTRUCTORS, Call, external
from likelihead.lint.knowledge.losses import Loss, call_loss
from likelihead.lint.knowledge.networks import logits, network
from likelihead.lint.knowledge.objects import CALLS, STARS
from likelihead.lint.knowledge.trained import meet, output_of, without_shape
from likelihead.lint.values import UNKNOWN, External, Object, Value

__all__: list[str] = []

# The family of each loss, and what it takes. The flat ones bring input and target into shape themselves.
_LOSSES = {
    "CrossEntropyLossFlat": ("cross_entropy", "logits"),
    "LabelSmoothingCrossEntropy": ("cross_entropy", "logits"),
    "LabelSmoothingCrossEntropyFlat": ("cross_entropy", "logits"),
    "FocalLoss": ("cross_entropy", "logits"),
    "FocalLossFlat": ("cross_entropy", "logits"),
    "BCEWithLogitsLossFlat": ("bce_with_logits", "logits"),
    "BCELossFlat": ("bce", "probabilities"),
    "MSELossFlat": ("mse", "values"),
    "L1LossFlat": ("l1", "values"),
    "DiceLoss": ("overlap_with_logits", "logits"),
}
_LEARNERS = ("vision_learner", "cnn_learner", "unet_learner")
_MODULES = ("fastai.vision.all", "fastai.text.all", "fastai.tabular.all", "fastai.collab", "fastai.basics")
_BROUGHT = {
    "torch": "torch", "nn": "torch.nn", "F": "torch.nn.functional", "tensor": "torch.tensor", "np": "numpy",
    "Tensor": "torch.Tensor", "partial": "functools.partial", "OrderedDict": "collections.OrderedDict",
    "Learner": "fastai.Learner", "Module": "torch.nn.Module", "math": "math",
    **{name: f"fastai.{name}" for name in (*_LOSSES, *_LEARNERS)},
}  # fmt: skip
STARS.update(dict.fromkeys(_MODULES, _BROUGHT))


def _of(name: str) -> list[str]:
    """The names under which something of fastai is imported."""
    modules = ("fastai", *_MODULES, "fastai.losses", "fastai.learner", "fastai.vision.learner")
    return [f"{module}.{name}" for module in modules]


def _called(criterion: Object, call: Call) -> Value:
    name = criterion.name.rpartition(".")[2]
    loss = Loss(*_LOSSES[name], (0, "inp"), (1, "targ"))
    flat = [without_shape(call.get(*loss.input)), UNKNOWN]
    return call_loss(
        loss,
        name,
        Call(name, flat, {}, call.interpreter, call.node, call.frame),
        criterion.options,
        criterion,
    )


for _name in _LOSSES:
    for _path in _of(_name):
        CONSTRUCTORS[_path] = lambda call: call.object(())
        CALLS[_path] = _called


@external(*_of("Learner"))
def _learner(call: Call) -> Value:
    criterion = call.given(2, "loss_func")
    if criterion is not None:
        meet(criterion, output_of(call.get(1, "model"), call), call)
    return UNKNOWN


@external(*(path for name in _LEARNERS for path in _of(name)))
def _vision_learner(call: Call) -> Value:
    """A network whose last layer is affine, unless told ``custom_head=`` or ``y_range=``."""
    criterion = call.given(9, "loss_func")
    plain = not {"custom_head", "y_range", "**"} & set(call.kwargs)
    if criterion is not None and plain and not isinstance(criterion, External):
        body = network(call, logits(call, call.name.rpartition(".")[2], None, None))
        meet(criterion, output_of(body, call), call)
    return UNKNOWN
