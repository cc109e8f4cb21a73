"""Poutyne, Ignite, Catalyst, Composer: functions and classes that are handed a model and its loss."""

from __future__ import annotations

from likelihead.lint.knowledge.call import FLAT, Call, constructor, external
from likelihead.lint.knowledge.losses import Loss
from likelihead.lint.knowledge.objects import CALLS, METHODS
from likelihead.lint.knowledge.trained import meet, output_of, take
from likelihead.lint.values import UNKNOWN, Const, External, Instance, Object, Value

__all__: list[str] = []

FLAT.add("poutyne")


# Poutyne's names of torch's losses.
_NAMED = {
    "cross_entropy": "cross_entropy", "bce": "binary_cross_entropy",
    "binary_cross_entropy": "binary_cross_entropy", "nll": "nll_loss",
    "bce_with_logits": "binary_cross_entropy_with_logits",
    "binary_cross_entropy_with_logits": "binary_cross_entropy_with_logits",
}  # fmt: skip


def _named(value: Value) -> Value:
    """The function of torch that a string names."""
    if isinstance(value, Const):
        meant = _NAMED.get(str(value.value).lower())
        return External(f"torch.nn.functional.{meant}") if meant else UNKNOWN
    return value


@external("poutyne.Model", "poutyne.ModelBundle.from_network", "poutyne.Experiment")
def _poutyne(call: Call) -> Value:
    experiment = call.name.endswith(("Experiment", "from_network"))
    model = call.get(1 if experiment else 0, "network")
    criterion = call.given(9 if experiment else 2, "loss_function")
    if criterion is not None:
        meet(_named(criterion), output_of(model, call), call)
    return UNKNOWN


@external("ignite.engine.create_supervised_trainer")
def _ignite(call: Call) -> Value:
    if not {"model_transform", "model_fn", "prepare_batch"} & set(call.kwargs):
        criterion = call.given(2, "loss_fn")
        if criterion is not None:
            meet(criterion, output_of(call.get(0, "model"), call), call)
    return UNKNOWN


_RUNNERS = ("catalyst.dl.SupervisedRunner", "catalyst.runners.SupervisedRunner")


@constructor(*_RUNNERS)
def _runner(call: Call) -> Value:
    return call.object(("model", "engine"))


def _train(runner: Object, call: Call) -> Value:
    """Model and criterion meet here, unless a subclass handles the batch itself."""
    owner = call.owner
    own = isinstance(owner, Instance) and any(
        owner.cls.find(name) is not None for name in ("handle_batch", "on_batch_start", "forward")
    )
    model = call.kwargs.get("model", runner.options.get("model", UNKNOWN))
    if not own and "criterion" in call.kwargs:
        meet(call.kwargs["criterion"], output_of(model, call), call)
    return Const(None)


for _name in _RUNNERS:
    METHODS[_name, "train"] = _train
    CALLS[_name] = lambda owner, call: UNKNOWN


@external("composer.models.ComposerClassifier", "composer.models.tasks.ComposerClassifier")
def _composer(call: Call) -> Value:
    """A classifier whose loss, unless another is given, is a cross-entropy of logits."""
    output = output_of(call.get(0, "module"), call)
    criterion = call.given(4, "loss_fn")
    if criterion is not None:
        meet(criterion, output, call)
    elif "**" not in call.kwargs:
        take(Loss("cross_entropy", "logits"), "soft_cross_entropy", output, {}, call)
    return UNKNOWN
