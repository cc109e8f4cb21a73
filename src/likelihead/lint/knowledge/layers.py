"""Layers of torch.nn: what each makes of its input."""

from __future__ import annotations

from typing import Any

from likelihead.lint.knowledge.call import CONSTRUCTORS, OPS, Call
from likelihead.lint.knowledge.links import apply_link
from likelihead.lint.knowledge.tensors import batch_first
from likelihead.lint.values import (
    UNKNOWN,
    Const,
    List,
    Object,
    Shape,
    Tensor,
    Unknown,
    Value,
    constant,
    map_union,
)

__all__ = ["LAYERS", "apply"]

# The parameters of each layer's constructor that matter here, by position.
_PARAMETERS: dict[str, tuple[str, ...]] = {
    "Linear": ("in_features", "out_features", "bias"),
    "LazyLinear": ("out_features", "bias"),
    "NonDynamicallyQuantizableLinear": ("in_features", "out_features", "bias"),
    "Bilinear": ("in1_features", "in2_features", "out_features", "bias"),
    **{
        f"{lazy}Conv{transpose}{n}d": (
            *(() if lazy else ("in_channels",)), "out_channels", "kernel_size", "stride", "padding"
        )
        for n in (1, 2, 3) for transpose in ("", "Transpose") for lazy in ("", "Lazy")
    },
    "Softmax": ("dim",), "LogSoftmax": ("dim",), "Softmin": ("dim",), "Softmax2d": (), "Sigmoid": (),
    "LogSigmoid": (), "Hardsigmoid": (), "Identity": (),
    "Dropout": ("p",), "Dropout1d": ("p",), "Dropout2d": ("p",), "Dropout3d": ("p",), "AlphaDropout": ("p",),
    "Flatten": ("start_dim", "end_dim"), "Unflatten": ("dim", "unflattened_size"),
    "ReLU": (), "ReLU6": (), "LeakyReLU": (), "PReLU": (), "ELU": (), "SELU": (), "CELU": (), "GELU": (),
    "SiLU": (),
    "Mish": (), "Tanh": (), "Hardtanh": (), "Softplus": (), "Hardswish": (), "Softsign": (), "Threshold": (),
    "BatchNorm1d": ("num_features",), "BatchNorm2d": ("num_features",), "BatchNorm3d": ("num_features",),
    "LayerNorm": ("normalized_shape",), "GroupNorm": (), "InstanceNorm2d": (), "SyncBatchNorm": (),
    "RMSNorm": (),
    "Upsample": (), "UpsamplingBilinear2d": (), "UpsamplingNearest2d": (),
    "AdaptiveAvgPool1d": ("output_size",), "AdaptiveAvgPool2d": ("output_size",), "AdaptiveMaxPool2d": (),
    "AvgPool2d": (),
    "MaxPool1d": (), "MaxPool2d": (), "AdaptiveMaxPool1d": (), "AvgPool1d": (),
    "Embedding": ("num_embeddings", "embedding_dim", "padding_idx"),
    "EmbeddingBag": ("num_embeddings", "embedding_dim"),
    "RNN": ("input_size", "hidden_size", "num_layers", "nonlinearity"),
    "LSTM": ("input_size", "hidden_size", "num_layers"), "GRU": ("input_size", "hidden_size", "num_layers"),
    "TransformerEncoder": (), "TransformerDecoder": (), "TransformerEncoderLayer": (),
    "TransformerDecoderLayer": (), "Transformer": (), "MultiheadAttention": (),
}  # fmt: skip

_LINKS = {
    "Softmax": "softmax", "LogSoftmax": "log_softmax", "Softmin": "softmin", "Softmax2d": "softmax",
    "Sigmoid": "sigmoid", "LogSigmoid": "logsigmoid", "Hardsigmoid": "sigmoid",
}  # fmt: skip
_KEEPING = {
    "Identity", "Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "AlphaDropout", "BatchNorm1d",
    "BatchNorm2d", "BatchNorm3d", "SyncBatchNorm",
}  # fmt: skip
_SPATIAL = {
    "Upsample", "UpsamplingBilinear2d", "UpsamplingNearest2d", "AdaptiveAvgPool1d", "AdaptiveAvgPool2d",
    "AdaptiveMaxPool1d", "AdaptiveMaxPool2d", "AvgPool1d", "AvgPool2d", "MaxPool1d", "MaxPool2d",
}  # fmt: skip
_ACTIVATIONS = {
    "ReLU", "ReLU6", "LeakyReLU", "PReLU", "ELU", "SELU", "CELU", "GELU", "SiLU", "Mish", "Tanh", "Hardtanh",
    "Softplus", "Hardswish", "Softsign", "Threshold",
}  # fmt: skip

LAYERS = {f"torch.nn.{name}": parameters for name, parameters in _PARAMETERS.items()}


def _construct(call: Call) -> Value:
    return call.object(LAYERS[call.name])


for _name in LAYERS:
    CONSTRUCTORS[_name] = _construct


def apply(layer: Object, call: Call) -> Value:
    """What a layer makes of the arguments of a call."""
    name = layer.name.rpartition(".")[2]
    value = call.get(0, "input")
    if name in _LINKS:
        return _link(layer, name, value, call)
    if name in ("Linear", "LazyLinear", "Bilinear", "NonDynamicallyQuantizableLinear"):
        return _affine(layer, layer.options.get("out_features"), value, call)
    if "Conv" in name and name.endswith("d"):
        size = constant(layer.options.get("out_channels"))
        sizes = (None, size if isinstance(size, int) else None, *(None,) * int(name[-2]))
        made = call.made(f"{name} layer")
        return Tensor("logits", made, None, sizes, "float", frozenset(("conv",)), origin=layer)
    if name in _KEEPING:
        return map_union(value, lambda one: _kept(one, name))
    if name in _SPATIAL:
        return map_union(value, lambda one: _resized(one, name))
    if name in _ACTIVATIONS:
        shape = value.shape if isinstance(value, Tensor) else None
        marks = frozenset((name.lower(),)) | batch_first(value)
        return Tensor("activations", call.made(name), None, shape, "float", marks)
    if name == "Flatten" and isinstance(value, Unknown) and not layer.options:
        return Tensor("data", None, None, (None, None))
    if name == "Flatten":
        options = [layer.options.get("start_dim", Const(1)), layer.options.get("end_dim", Const(-1))]
        return OPS["flatten"](Call("flatten", [value, *options], {}, call.interpreter, call.node, call.frame))
    if name in ("RNN", "LSTM", "GRU"):
        return _recurrent(layer, value, call)
    if name == "Embedding":
        size = constant(layer.options.get("embedding_dim"))
        shape = value.shape if isinstance(value, Tensor) and value.shape is not None else (...,)
        sizes = (*shape, size if isinstance(size, int) else None)
        return Tensor("data", None, None, sizes, "float", frozenset(("sequence",)))
    if name in (
        "TransformerEncoder",
        "TransformerDecoder",
        "TransformerEncoderLayer",
        "TransformerDecoderLayer",
        "Transformer",
    ):
        given = call.get(1, "tgt") if name == "Transformer" else value
        return Tensor("data", None, None, *_sequence(given, None))
    if name in ("LayerNorm", "RMSNorm") and isinstance(value, Tensor):
        return Tensor("data", None, None, value.shape, "float")
    return UNKNOWN


def _link(layer: Object, name: str, value: Value, call: Call) -> Value:
    dim: Any = None
    if name == "Softmax2d":
        dim = 1
    elif "dim" in layer.options:
        dim = constant(layer.options["dim"], "?")
    return apply_link(_LINKS[name], value, dim, call, layer)


def _affine(layer: Object, size: Value | None, value: Value, call: Call) -> Value:
    out = constant(size)
    before: Shape = value.shape if isinstance(value, Tensor) and value.shape else (..., None)
    shape = (*before[:-1], out if isinstance(out, int) else None)
    made = call.made(f"{layer.name.rpartition('.')[2]} layer")
    marks = batch_first(value) | {"classes last"}
    if isinstance(value, Tensor):
        marks |= value.marks & {"sequence", "unsure rank"}
    return Tensor("logits", made, None, shape, "float", marks, origin=layer)


def _kept(value: Value, name: str) -> Value:
    if name == "Identity":
        return value
    if not isinstance(value, Tensor):
        return UNKNOWN
    return value if value.kind in ("logits", "activations", "data") else UNKNOWN


def _resized(value: Value, name: str) -> Value:
    if not isinstance(value, Tensor) or (
        value.kind not in ("logits", "activations") and not name.startswith("Upsampl")
    ):
        return UNKNOWN
    shape = value.shape
    return value.but(
        shape=None if shape is None or ... in shape else (*shape[:2], *(None for _ in shape[2:]))
    )


def _recurrent(layer: Object, value: Value, call: Call) -> Value:
    hidden = constant(layer.options.get("hidden_size"))
    both = constant(layer.options.get("bidirectional"), False)
    width = hidden * (2 if both is True else 1) if isinstance(hidden, int) and both in (True, False) else None
    shape, dtype, marks = _sequence(value, width)
    if constant(layer.options.get("batch_first"), False) is True:
        marks |= {"batch first"}
        if isinstance(value, Tensor):
            marks -= {"unsure rank"}
    output = Tensor("data", None, None, shape, dtype, marks)
    return List([output, UNKNOWN], "tuple", call.frame.context)


def _sequence(value: Value, width: int | None) -> tuple[Shape, str, frozenset[str]]:
    """Shape, dtype and marks of what a layer makes of a batch of sequences (or perhaps of one)."""
    if isinstance(value, Tensor) and value.shape is not None and value.rank is not None and value.rank > 1:
        last = value.shape[-1] if width is None else width
        return (*value.shape[:-1], last), "float", frozenset(("sequence",))
    return (None, None, width), "float", frozenset(("sequence", "unsure rank"))
