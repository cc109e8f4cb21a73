"""Keras 3 (and tf.keras): layers with an activation in them, and losses that take probabilities unless told.

Model and loss meet in ``model.compile``, or where a loss is called as ``loss(y_true, y_pred)``.
TensorFlow's Keras
undoes a softmax in the last layer where a loss is told ``from_logits=True``; nothing is said of that there.
"""

from __future__ import annotations

from likelihead.lint.knowledge.call import CONSTRUCTORS, EXTERNALS, PACKAGES, Call
from likelihead.lint.knowledge.links import apply_link
from likelihead.lint.knowledge.losses import Loss
from likelihead.lint.knowledge.objects import CALLS, METHODS, STARS
from likelihead.lint.knowledge.switched import KINDS
from likelihead.lint.knowledge.trained import take, without_shape
from likelihead.lint.values import (
    UNKNOWN,
    Const,
    External,
    Instance,
    List,
    Object,
    Repeat,
    Tensor,
    Value,
    alternatives,
    constant,
    map_union,
)

__all__: list[str] = []

_ROOTS = ("keras", "tensorflow.keras", "tf_keras", "tensorflow.python.keras")
_LAYER, _LOSS, _MODEL, _SEQUENTIAL = "keras.Layer", "keras.Loss", "keras.Model", "keras.Sequential"

# By name of the class, without underscores and in lower case: the family by default, and that with
# from_logits=True.
_LOSSES: dict[str, tuple[str, str]] = {
    "binarycrossentropy": ("bce", "bce_with_logits"),
    "binaryfocalcrossentropy": ("bce", "bce_with_logits"),
    "categoricalcrossentropy": ("nll_of_probs", "cross_entropy"),
    "categoricalfocalcrossentropy": ("nll_of_probs", "cross_entropy"),
    "sparsecategoricalcrossentropy": ("nll_of_probs", "cross_entropy"),
    "dice": ("overlap", ""),
    "tversky": ("overlap", ""),
}
# The parameters of each layer that matter here, by position.
_AFFINE: dict[str, tuple[str, ...]] = {
    "Dense": ("units", "activation"),
    "EinsumDense": ("equation", "output_shape", "activation"),
    **{
        f"{kind}{n}D{transpose}": ("filters", "kernel_size")
        for kind in ("Conv", "Convolution", "SeparableConv")
        for n in (1, 2, 3)
        for transpose in ("", "Transpose")
    },
}
_OTHERS: dict[str, tuple[str, ...]] = {
    "Activation": ("activation",), "TimeDistributed": ("layer",), "Softmax": ("axis",),
    "Lambda": ("function",),
}  # fmt: skip
_KEEPING = ("Dropout", "SpatialDropout1D", "SpatialDropout2D", "GaussianNoise", "Identity")
_RESHAPING = ("Flatten", "Reshape", "Permute", "UpSampling2D", "Cropping2D", "ZeroPadding2D")
# What an activation of that name makes; those of any other name make something of which only that is known.
_ACTIVATIONS = {
    "softmax": "probs", "log_softmax": "log_probs", "sigmoid": "sigmoid", "hard_sigmoid": "sigmoid",
    "log_sigmoid": "log_sigmoid", "linear": "logits",
}  # fmt: skip


def _keras(call: Call) -> Value:
    """Anything of Keras: a layer, a loss, an activation, an application, a model."""
    root = next((one for one in _ROOTS if call.name.startswith(f"{one}.")), None)
    if root is None:
        return UNKNOWN
    parts = call.name[len(root) + 1 :].split(".")
    module, name = parts[0] if len(parts) > 1 else "", parts[-1]
    if name == "Input":
        return Tensor("data", dtype="float")
    if module == "layers":
        return _layer(name, call)
    if module == "losses":
        return _loss(name, root, call)
    if module == "activations":
        return _activated(Const(name), call.get(0, "x"), call, None)
    if module == "applications" and name[:1].isupper():
        return _application(name, call)
    return UNKNOWN


for _package in ("keras", "tf_keras", "tensorflow"):
    PACKAGES[_package] = _keras


# -- layers


def _layer(name: str, call: Call) -> Value:
    parameters = _AFFINE.get(name) or _OTHERS.get(name, ())
    made = call.object(parameters, _LAYER)
    made.options["class"] = Const(name)
    if made.made is not None:
        made.made.text = f"{name} layer"
    return made


def _call_layer(layer: Object, call: Call) -> Value:
    name = constant(layer.options["class"])
    value = call.get(0, "inputs")
    if name in _AFFINE:
        size = constant(layer.options.get("units", layer.options.get("filters")))
        shape = (..., size if isinstance(size, int) else None)
        affine = Tensor("logits", layer.made, None, shape, "float")
        return _activated(layer.options.get("activation"), affine, call, layer)
    if name == "Activation":
        return _activated(layer.options.get("activation"), value, call, layer)
    if name == "Softmax":
        return _activated(Const("softmax"), value, call, layer)
    if name == "TimeDistributed":
        return call.interpreter.call(
            layer.options.get("layer", UNKNOWN), call.args, {}, call.node, call.frame
        )
    if name == "Lambda":
        return call.interpreter.call(
            layer.options.get("function", UNKNOWN), call.args, {}, call.node, call.frame
        )
    if name in _KEEPING:
        return value
    if name in _RESHAPING:
        return without_shape(value) if isinstance(value, Tensor) else UNKNOWN
    return UNKNOWN


def _activated(activation: Value | None, value: Value, call: Call, layer: Object | None) -> Value:
    """The output of an activation that is a string, a function of Keras or one of the project."""
    if isinstance(activation, External):
        activation = Const(activation.name.rpartition(".")[2])
    if activation is None or (isinstance(activation, Const) and activation.value in (None, "linear")):
        return value
    if not isinstance(activation, Const):
        if layer is None or (isinstance(activation, Object) and activation.name == _LAYER):
            return UNKNOWN
        return call.interpreter.call(activation, [value], {}, call.node, call.frame)
    name = str(activation.value)
    made = layer.made if layer is not None and layer.made is not None else call.made(name)
    shape = value.shape if isinstance(value, Tensor) else None
    kind = _ACTIVATIONS.get(name, "activations")
    if layer is not None and made is layer.made and constant(layer.options["class"]) in _AFFINE:
        made = layer.made.scope.made(layer.made.node, f"{layer.made.text} with activation={name!r}")
    return Tensor(kind, made, -1 if "softmax" in name else None, shape, "float")


CALLS[_LAYER] = _call_layer
for _root in _ROOTS:
    names = (*_AFFINE, *_KEEPING, *_RESHAPING, "Activation", "Softmax", "TimeDistributed", "Lambda", "Input")
    STARS[f"{_root}.layers"] = {_name: f"{_root}.layers.{_name}" for _name in names}


def _op(call: Call) -> Value:
    """A softmax or sigmoid of ``keras.ops``, over the last dimension unless told."""
    name = call.name.rpartition(".")[2]
    dim = None if "sigmoid" in name else call.const(1, "axis", -1)
    link = "logsigmoid" if name == "log_sigmoid" else name
    return apply_link(link, call.get(0, "x"), "?" if dim is ... else dim, call)


for _name in ("softmax", "log_softmax", "sigmoid", "log_sigmoid"):
    EXTERNALS[f"keras.ops.{_name}"] = _op


# -- losses


def _loss(name: str, root: str, call: Call) -> Value:
    if name.replace("_", "").lower() not in _LOSSES:
        return UNKNOWN
    if name[:1].isupper():
        criterion = call.object(("from_logits",) if "Focal" not in name else (), _LOSS)
        criterion.options["class"], criterion.options["root"] = Const(name), Const(root)
        return criterion
    told = call.const(2 if "focal" not in name else 99, "from_logits", False)
    return _take(name, told, root, call.get(1, "y_pred"), call)


def _call_loss(criterion: Object, call: Call) -> Value:
    told = constant(criterion.options.get("from_logits", Const(False)), ...)
    name, root = constant(criterion.options["class"]), constant(criterion.options["root"])
    return _take(name, told, root, call.get(1, "y_pred"), call)


def _take(name: str, told: object, root: str, value: Value, call: Call) -> Value:
    """A loss takes an output; `told` is what ``from_logits`` is, Ellipsis where that is not known."""
    families = _LOSSES[name.replace("_", "").lower()]
    family = families[told is True]
    undone = told is True and root != "keras"
    # Keras clips the probabilities, and a sigmoid in the last layer is its default.
    usual = family == "bce" and any(
        isinstance(one, Tensor) and one.kind == "sigmoid" for one in alternatives(value)
    )
    if not isinstance(told, bool) or undone or usual or not family:
        return UNKNOWN
    kind = "probabilities" if family == "nll_of_probs" else KINDS[family]
    loss = Loss(family, f"{kind} (from_logits is {told})", (1, "y_pred"), (0, "y_true"))
    return take(loss, name, without_shape(value), {}, call)


CALLS[_LOSS] = _call_loss


# -- models


def _sequential(call: Call) -> Value:
    layers = call.given(0, "layers")
    known = list(layers.items) if isinstance(layers, List) else []
    if layers is not None and not isinstance(layers, (List, Const)):
        known = [Repeat(UNKNOWN)]
    made = call.object((), _SEQUENTIAL)
    made.options["layers"] = List(known, "list", call.frame.context)
    return made


def _call_sequential(model: Object, call: Call) -> Value:
    layers = model.options.get("layers")
    if not isinstance(layers, List) or not layers.complete:
        return UNKNOWN
    current = call.get(0, "inputs")
    for layer in list(layers.items):
        if not isinstance(layer, Tensor):  # an Input is one
            current = call.interpreter.call(layer, [current], {}, call.node, call.frame)
    return current


def _add(model: Object, call: Call) -> Value:
    layers = model.options.get("layers")
    if isinstance(layers, List):
        call.interpreter.epoch += 1
        layers.append(call.get(0, "layer"), call.frame.context)
    return Const(None)


def _model(call: Call) -> Value:
    return call.object(("inputs", "outputs"), _MODEL)


def _call_model(model: Object, call: Call) -> Value:
    return model.options.get("outputs", UNKNOWN)


def _application(name: str, call: Call) -> Value:
    """A classifier, which ends in a softmax unless told otherwise."""
    last = call.const(99, "classifier_activation", "softmax")
    made = call.object((), _MODEL)
    if call.const(0, "include_top", True) is True and last is not ...:
        affine = Tensor("logits", call.made(name), None, None, "float")
        made.options["outputs"] = affine
        if last is not None:
            kind = _ACTIVATIONS.get(str(last), "activations")
            made.options["outputs"] = affine.but(kind=kind, dim=-1)
    return made


def _compile(base: Object, call: Call) -> Value:
    """The output of the model meets the loss."""
    owner, given = call.owner, call.given(1, "loss")
    own_step = isinstance(owner, Instance) and any(
        owner.cls.find(name) is not None for name in ("train_step", "compute_loss", "compiled_loss")
    )
    if isinstance(given, List) and len(given.items) == 1:
        given = given.items[0]
    if given is None or own_step:
        return Const(None)
    root = next((one for one in _ROOTS if base.name.startswith(f"{one}.")), "keras")
    root = constant(base.options.get("root", Const(root)))

    def meet(loss: Value, output: Value) -> Value:
        if isinstance(loss, External):
            loss = Const(loss.name.rpartition(".")[2])
        if isinstance(loss, Const):
            if str(loss.value).replace("_", "").lower() in _LOSSES:
                _take(str(loss.value), False, root, output, call)
        elif isinstance(loss, Object) and loss.name == _LOSS:
            arguments = [UNKNOWN, output]
            _call_loss(loss, Call(loss.name, arguments, {}, call.interpreter, call.node, call.frame))
        return UNKNOWN

    output = call.interpreter.call(owner, [UNKNOWN], {}, call.node, call.frame)
    if not isinstance(output, (List, Object)):
        map_union(given, lambda one: meet(one, output))
    return Const(None)


def _predict(base: Object, call: Call) -> Value:
    """The output as it is: Keras applies nothing to it."""
    return call.interpreter.call(call.owner, [UNKNOWN], {}, call.node, call.frame)


for _root in _ROOTS:
    for _path, _make, _kind, _apply in (
        ("Model", _model, _MODEL, _call_model),
        ("models.Model", _model, _MODEL, _call_model),
        ("Sequential", _sequential, _SEQUENTIAL, _call_sequential),
        ("models.Sequential", _sequential, _SEQUENTIAL, _call_sequential),
    ):
        CONSTRUCTORS[f"{_root}.{_path}"] = _make
        for _name in (_kind, f"{_root}.{_path}"):  # a subclass of the project has the name as it stands there
            CALLS[_name] = _apply
            METHODS[_name, "compile"] = _compile
            METHODS[_name, "add"] = _add
            METHODS[_name, "predict"] = METHODS[_name, "predict_on_batch"] = _predict
