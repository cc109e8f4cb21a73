"""Poutyne and Ignite: functions and classes that are handed a model and its loss."""

from __future__ import annotations

from likelihead.lint.knowledge.call import FLAT, Call, external
from likelihead.lint.knowledge.trained import meet, output_of
from likelihead.lint.values import UNKNOWN, Const, External, Value

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
