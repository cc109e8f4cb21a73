"""Other libraries' networks: what comes out of them, and what a program puts in place of their heads.

A network is an `Object` of the name ``network``. Its parts (``model.head.fc``, ``model.classifier[6]``)
are made
when they are asked for, and remember what the program sets in them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from likelihead.lint.knowledge.call import Call
from likelihead.lint.knowledge.layers import LAYERS
from likelihead.lint.knowledge.objects import ATTRIBUTES, CALLS, ELEMENTS, METHODS
from likelihead.lint.values import (
    UNKNOWN,
    Const,
    Dict,
    List,
    Made,
    Object,
    Tensor,
    Value,
    constant,
    join,
    map_union,
)

__all__ = ["FORMS", "NETWORK", "logits", "network"]

NETWORK = "network"
_PART = "network.part"

# The parts that make the output; what is set in another part (a first convolution, a pooling) changes no
# kind.
HEADS = frozenset(
    (
        "fc", "_fc", "classifier", "head", "heads", "last_linear", "segmentation_head", "classification_head",
        "score", "lm_head", "qa_outputs", "classif", "linear", "output", "out",
    )
)  # fmt: skip
# Methods and attributes of a module that are not a part of it.
_NO_PARTS = frozenset(
    (
        "parameters", "named_parameters", "children", "named_children", "modules", "named_modules", "buffers",
        "state_dict", "load_state_dict", "to", "cuda", "cpu", "xpu", "npu", "train", "eval", "apply", "half",
        "float", "double", "bfloat16", "type", "requires_grad_", "zero_grad", "share_memory", "add_module",
        "register_module", "get_classifier", "reset_classifier", "forward", "forward_features",
        "forward_head",
        "feature_info", "default_cfg", "pretrained_cfg", "config", "device", "dtype", "training",
        "num_features",
        "save_pretrained", "push_to_hub", "generate", "predict", "gradient_checkpointing_enable",
        "resize_token_embeddings", "get_input_embeddings", "get_output_embeddings", "set_grad_checkpointing",
        "no_weight_decay", "append", "extend", "insert", "register_forward_hook", "register_buffer",
        "enable_input_require_grads", "tie_weights", "compile", "hf_device_map", "name_or_path", "num_labels",
        "__call__", "__setattr__", "to_empty", "in_features", "out_features", "weight", "bias", "in_channels",
        "kernel_size", "out_channels",
    )
)  # fmt: skip
# What may stand in another part of a network without a say in what kind of output comes out at its end.
_INNER = tuple(
    name
    for name in LAYERS
    if name.rpartition(".")[2].startswith(("Conv", "Lazy", "BatchNorm", "GroupNorm", "LayerNorm", "Identity"))
    or "Pool" in name
    or name.endswith(("Linear", "ReLU", "GELU", "SiLU", "Embedding"))
    or "Dropout" in name
)

# How the output is handed over, by the form of the network.
FORMS: dict[str, Callable[[Value, Object, Call], Value]] = {"": lambda output, owner, call: output}


def logits(
    call: Call, text: str, size: Value | int | None = None, rank: int | None = 2, made: Made | None = None
) -> Tensor:
    """Logits of a network whose classes are dimension 1 (or, of rank 0, the last one of any shape)."""
    count = size if isinstance(size, int) else constant(size)
    count = count if isinstance(count, int) and not isinstance(count, bool) else None
    shape = None if rank is None else (None, count, *(None,) * (rank - 2)) if rank else (..., count)
    return Tensor("logits", made or call.made(text), None, shape, "float")


def network(call: Call, output: Value, form: str = "", **options: Value) -> Object:
    """A network from outside with this output."""
    name = call.name.rpartition(".")[2]
    options = {"_output": output, "_form": Const(form), **options}
    made = Object(NETWORK, options, call.frame.context, call.made(name))
    if call.frame.instance is None and call.frame.context.root is call.interpreter.root_context:
        call.interpreter.networks.append(made)
    return made


def _call(owner: Object, call: Call) -> Value:
    output = _output(owner, call)
    if output is UNKNOWN:
        return UNKNOWN
    return FORMS[constant(owner.options["_form"])](output, owner, call)


def _output(owner: Object, call: Call) -> Value:
    """What the last layer gives, which may be one that the program has put there."""
    whole = owner.options["_output"]
    found: Value | None = None
    for in_head, value, certain in _set(owner, False, call):
        if not in_head:
            if isinstance(value, Const) or (isinstance(value, Object) and value.name in _INNER):
                continue
            return UNKNOWN
        data = Tensor("data", dtype="float")
        one = call.interpreter.call(value, [data], {}, call.node, call.frame)
        if isinstance(value, Object) and value.name == _PART:
            one = whole if value.options.get("_head") is not None else UNKNOWN
        if isinstance(value, Const) or not certain:
            return UNKNOWN
        found = one if found is None else join(found, one)
    return whole if found is None else found


def _set(owner: Object, in_head: bool, call: Call) -> Iterator[tuple[bool, Value, bool]]:
    """What is set in the parts: whether that is a head, what it is, and whether it is certain."""
    for name, cell in owner.attrs.items():
        value = cell.local if cell.context.surrounds(call.frame.context) else cell.value
        inside = in_head or name in HEADS
        if isinstance(value, Object) and value.name == _PART and value.options["_of"] is owner:
            yield from _set(value, inside, call)
            continue
        # A layer of that name in the head replaces one only if the head has one of that name.
        certain = not in_head or name in HEADS or name.startswith("[") or name.isdigit()
        yield inside, value, certain and cell.context.surrounds(owner.born)


def _attribute(owner: Object, name: str, call: Call) -> Value:
    """A part of the network, made when it is first asked for."""
    if name in ("module", "_orig_mod", "base_model"):
        return owner if owner.name == NETWORK and name != "base_model" else UNKNOWN
    if name in _NO_PARTS or (name.startswith("_") and name not in HEADS):
        return UNKNOWN
    return _part(owner, name, call)


def _part(owner: Object, name: str, call: Call) -> Value:
    read = owner.read(name, call.frame.context)
    if read is not None:
        return read
    network = owner.options.get("_network", owner)
    part = Object(_PART, {"_name": Const(name), "_of": owner, "_network": network}, owner.born)
    if name in HEADS and (owner.name == NETWORK or "_head" in owner.options):
        part.options["_head"] = Const(True)
    owner.write(name, part, owner.born)
    return part


def _call_part(owner: Object, call: Call) -> Value:
    """The head as it was; of the output of any other part nothing is known."""
    network = owner.options["_network"]
    if "_head" in owner.options and not owner.attrs and isinstance(network, Object):
        return map_union(network.options["_output"], lambda one: one if isinstance(one, Tensor) else UNKNOWN)
    return UNKNOWN


def _item(owner: Object, call: Call) -> Value:
    index = constant(call.get(0, "index"), ...)
    if index is ... or isinstance(index, slice):
        return UNKNOWN
    return _part(owner, f"[{index!r}]", call)


def _reset_classifier(owner: Object, call: Call) -> Value:
    """timm's: a new last layer, or none."""
    count = call.const(0, "num_classes")
    new = UNKNOWN if count in (0, None, ...) else logits(call, "reset_classifier()", count)
    outside = owner.options["_output"]
    certain = call.frame.context.surrounds(owner.born)
    owner.options["_output"] = new if certain else join(outside, new)
    call.interpreter.epoch += 1
    return Const(None)


CALLS[NETWORK] = _call
CALLS[_PART] = _call_part
ATTRIBUTES[NETWORK] = ATTRIBUTES[_PART] = _attribute
ELEMENTS[_PART] = _item
METHODS[NETWORK, "reset_classifier"] = _reset_classifier
METHODS[NETWORK, "forward_head"] = lambda owner, call: UNKNOWN


def _out_dictionary(output: Value, owner: Object, call: Call) -> Value:
    return Dict({"out": output}, "dict", call.frame.context, UNKNOWN)


def _with_auxiliary(output: Value, owner: Object, call: Call) -> Value:
    """A named tuple while training, and the logits alone otherwise."""
    pair = List([output, output], "tuple", call.frame.context, ["logits", "aux_logits"])
    return join(output, pair)


FORMS["out"] = _out_dictionary
FORMS["auxiliary"] = _with_auxiliary
