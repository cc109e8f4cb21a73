"""likelihead itself: its likelihoods take logits, and its losses what those of torch take."""

from __future__ import annotations

from likelihead.lint.knowledge.call import Call
from likelihead.lint.knowledge.losses import LOSSES, Loss, call_loss, register_class, register_function
from likelihead.lint.knowledge.objects import METHODS
from likelihead.lint.values import UNKNOWN, Object, Tensor, Value

__all__: list[str] = []

# The likelihoods of classes: the family of their loss, their parameters, and what `probs` makes.
_LIKELIHOODS = {
    "Categorical": ("cross_entropy", ("num_classes",), "probs", 1),
    "Bernoulli": ("bce_with_logits", (), "sigmoid", None),
    "MultiLabel": ("bce_with_logits", ("num_labels",), "sigmoid", None),
}


def _probs(owner: Object, call: Call) -> Value:
    name = owner.name.rpartition(".")[2]
    kind, dim = _LIKELIHOODS[name][2:]
    return Tensor(kind, call.made(f"{name}.probs"), dim, None, "float")


def _log_probs(owner: Object, call: Call) -> Value:
    if not owner.name.endswith("Categorical"):
        return UNKNOWN
    return Tensor("log_probs", call.made("Categorical.log_probs"), 1, None, "float")


def _nll(owner: Object, call: Call) -> Value:
    """The loss of each example, whatever the reduction."""
    call_loss(LOSSES[owner.name], owner.name, call, owner.options, owner)
    return UNKNOWN


for _name, (_family, _parameters, *_) in _LIKELIHOODS.items():
    for _path in (f"likelihead.{_name}", f"likelihead.likelihoods.{_name}"):
        register_class(_path, Loss(_family, "logits", (0, "logits"), (1, "target"), _parameters))
        METHODS[_path, "probs"] = _probs
        METHODS[_path, "log_probs"] = _log_probs
        METHODS[_path, "nll"] = _nll

# Those that torch does not have; `canonical` gives them torch's names all the same.
_FOCAL = (
    ("FocalLoss", "focal_loss", "cross_entropy"),
    ("BinaryFocalLoss", "binary_focal_loss", "bce_with_logits"),
)
for _class, _function, _family in _FOCAL:
    register_class(f"torch.nn.{_class}", Loss(_family, "logits", parameters=("gamma",)))
    register_function(
        f"torch.nn.functional.{_function}", Loss(_family, "logits", parameters=("input", "target", "gamma"))
    )
