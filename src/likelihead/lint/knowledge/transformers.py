"""transformers: the models of a task give an object with logits; a Trainer hands its model to its methods."""

from __future__ import annotations

from likelihead.lint.knowledge.call import CONSTRUCTORS, FLAT, PACKAGES, Call
from likelihead.lint.knowledge.networks import FORMS, NETWORK, logits, network
from likelihead.lint.knowledge.objects import ARGUMENTS, ATTRIBUTES, CALLS, ELEMENTS, METHODS
from likelihead.lint.knowledge.trained import meet, output_of
from likelihead.lint.values import (
    UNKNOWN,
    Const,
    Dict,
    Figure,
    Function,
    Instance,
    List,
    Object,
    Value,
    constant,
)

__all__: list[str] = []

FLAT.add("transformers")

# By the end of the class's name: the fields of the output behind the loss, and the rank of the logits.
_TASKS: dict[str, tuple[tuple[str, ...], int]] = {
    "ForSequenceClassification": (("logits",), 2),
    "ForImageClassification": (("logits",), 2),
    "ForVideoClassification": (("logits",), 2),
    "ForAudioClassification": (("logits",), 2),
    "ForMultipleChoice": (("logits",), 2),
    "ForNextSentencePrediction": (("logits",), 2),
    "ForTokenClassification": (("logits",), 0),
    "ForAudioFrameClassification": (("logits",), 0),
    "ForMaskedLM": (("logits",), 0),
    "ForCausalLM": (("logits",), 0),
    "ForCTC": (("logits",), 0),
    "LMHeadModel": (("logits",), 0),
    "ForSeq2SeqLM": (("logits",), 0),
    "ForConditionalGeneration": (("logits",), 0),
    "ForSemanticSegmentation": (("logits",), 4),
    "ForQuestionAnswering": (("start_logits", "end_logits"), 2),
}
# Their outputs are something else: log-probabilities, or the best ones of a search.
_OTHERS = ("TransfoXL", "XLNetForQuestionAnswering", "XLMForQuestionAnswering", "Flaubert", "Rag")
_BUILDERS = ("from_pretrained", "from_config", "_from_config")

_OUTPUT = "transformers.Output"


def task_of(name: str) -> tuple[tuple[str, ...], int] | None:
    """The fields and rank of what a class of this name gives."""
    if name.startswith(_OTHERS):
        return None
    return next((found for end, found in _TASKS.items() if name.endswith(end)), None)


def _gives_object(call: Call) -> bool:
    return constant(call.kwargs.get("return_dict", Const(True)), ...) is True


def _build(call: Call) -> Value:
    parts = call.name.split(".")
    name = parts[-2] if parts[-1] in _BUILDERS else parts[-1]
    found = task_of(name)
    if found is None or not _gives_object(call):
        return UNKNOWN
    fields, rank = found
    size = call.given(9, "num_labels") if rank == 2 else None
    shape = rank if fields == ("logits",) else None
    tokens = rank == 0 and not name.endswith("ForCTC")
    return network(
        call, logits(call, name, size, shape), "transformers", fields=Const(fields), tokens=Const(tokens)
    )


def _output(output: Value, owner: Object, call: Call) -> Value:
    """The object that comes back: with a loss in front if labels were given."""
    if not _gives_object(call):
        return UNKNOWN
    fields = constant(owner.options["fields"])
    with_labels = any(
        one is not None and constant(one, ...) is not None
        for one in (call.given(99, name) for name in ("labels", "start_positions"))
    )
    unsure = "**" in call.kwargs and "labels" not in call.kwargs
    options: dict[str, Value] = dict.fromkeys(fields, output)
    options["loss"] = _loss(owner, call) if with_labels or "**" in call.kwargs else Const(None)
    options["_loss"] = UNKNOWN if unsure else Const(with_labels)
    return Object(_OUTPUT, options, call.frame.context, call.made(_OUTPUT))


def _loss(owner: Object, call: Call) -> Value:
    """The mean over the examples or tokens of the batch, unless the call says of how many it is a share."""
    if "num_items_in_batch" in call.kwargs:
        return UNKNOWN
    marks = frozenset(("cross_entropy",) if constant(owner.options["tokens"]) else ())
    return Figure("loss", call.made("loss of the model"), "nats", marks)


def _field(owner: Object, name: str, call: Call) -> Value:
    return UNKNOWN  # those that are known are options


def _entry(owner: Object, call: Call) -> Value:
    """``output["logits"]``, ``output[0]``, ``output[:2]``; the loss stands in front if there is one."""
    index = constant(call.get(0, "index"), ...)
    if isinstance(index, str):
        return owner.options.get(index, UNKNOWN) if not index.startswith("_") else UNKNOWN
    with_loss = constant(owner.options["_loss"], ...)
    if with_loss is ...:
        return UNKNOWN
    fields: list[Value] = [owner.options["loss"]] if with_loss else []
    fields += [value for name, value in owner.options.items() if name not in ("loss", "_loss")]
    if isinstance(index, int) and 0 <= index < len(fields):
        return fields[index]
    plain = isinstance(index, slice) and index.step is None and isinstance(index.stop, int)
    if isinstance(index, slice) and plain and 0 <= index.stop <= len(fields):
        return List(fields[index], "tuple", call.frame.context)
    return UNKNOWN


FORMS["transformers"] = _output
ATTRIBUTES[_OUTPUT] = _field
ELEMENTS[_OUTPUT] = _entry
METHODS[_OUTPUT, "get"] = METHODS[_OUTPUT, "pop"] = _entry
PACKAGES["transformers"] = _build

_TRAINER = "transformers.Trainer"
_PARAMETERS = ("model", "args", "data_collator", "train_dataset", "eval_dataset")


def _trainer(call: Call) -> Value:
    made = call.object(_PARAMETERS, _TRAINER)
    maker = call.kwargs.get("model_init")
    if isinstance(maker, Function) and "model" not in made.options:
        made.options["model"] = call.interpreter.call(maker, [], {}, call.node, call.frame)
    loss, model = call.kwargs.get("compute_loss_func"), _given_model(made)
    if isinstance(loss, Function) and model is not UNKNOWN:
        meet(loss, output_of(model, call), call)
    return made


def _given_model(trainer: Object) -> Value:
    """The model of the constructor, or the one that ``model_init`` makes."""
    found = trainer.options.get("model", UNKNOWN)
    return found if isinstance(found, Instance) or _is_network(found) else UNKNOWN


def _is_network(value: Value) -> bool:
    return (isinstance(value, Object) and value.name == NETWORK) or isinstance(value, (List, Dict))


for _name in ("Trainer", "Seq2SeqTrainer"):
    CONSTRUCTORS[f"transformers.{_name}"] = _trainer
CALLS[_TRAINER] = lambda owner, call: UNKNOWN
ARGUMENTS[_TRAINER, "model"] = _given_model
