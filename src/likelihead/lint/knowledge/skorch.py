"""skorch: module and criterion meet in the constructor, and a classifier takes the log before NLLLoss."""

from __future__ import annotations

from likelihead.lint.knowledge.call import FLAT, Call, canonical, external
from likelihead.lint.knowledge.losses import Loss, loss_of
from likelihead.lint.knowledge.trained import made_of, meet, output_of, take, without_shape
from likelihead.lint.values import UNKNOWN, Class, Const, External, List, Value

__all__: list[str] = []

FLAT.add("skorch")

# The criterion of each net if none is given.
_DEFAULTS = {
    "NeuralNet": None,
    "NeuralNetClassifier": "torch.nn.NLLLoss",
    "NeuralNetBinaryClassifier": "torch.nn.BCEWithLogitsLoss",
    "NeuralNetRegressor": "torch.nn.MSELoss",
}
_NLL_OF_PROBABILITIES = Loss("nll_of_probs", "probabilities, of which skorch takes the log itself")


@external(*(f"skorch.{name}" for name in _DEFAULTS))
def _net(call: Call) -> Value:
    name = call.name.rpartition(".")[2]
    default = _DEFAULTS[name]
    criterion = call.given(1, "criterion") or (External(default) if default else None)
    if criterion is None or "**" in call.kwargs:
        return UNKNOWN
    module = made_of(call.get(0, "module"), _options("module__", call), call)
    output = output_of(module, call)
    if isinstance(output, List) and output.kind == "tuple" and output.items:
        return UNKNOWN  # the user's own get_loss takes it apart
    options = _options("criterion__", call)
    if name == "NeuralNetClassifier" and _is_nll(criterion):
        take(_NLL_OF_PROBABILITIES, "NLLLoss", output, options, call)
    elif not isinstance(criterion, Const):
        output = without_shape(output) if name == "NeuralNetBinaryClassifier" else output
        meet(made_of(criterion, options, call), output, call)
    return UNKNOWN


def _options(prefix: str, call: Call) -> dict[str, Value]:
    return {name[len(prefix) :]: value for name, value in call.kwargs.items() if name.startswith(prefix)}


def _is_nll(criterion: Value) -> bool:
    if isinstance(criterion, Class):
        return any(canonical(name) == "torch.nn.NLLLoss" for name in criterion.externals())
    if isinstance(criterion, External):
        return canonical(criterion.name) == "torch.nn.NLLLoss"
    found = loss_of(criterion)
    return found is not None and found.name == "torch.nn.NLLLoss"
