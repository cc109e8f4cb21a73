"""PyTorch Geometric and DGL: the convolutions end in an affine map, and what they give are logits."""

from __future__ import annotations

from likelihead.lint.knowledge import layers
from likelihead.lint.knowledge.call import CONSTRUCTORS, FLAT, Call
from likelihead.lint.knowledge.objects import CALLS
from likelihead.lint.values import UNKNOWN, Const, Object, Tensor, Value, constant

__all__: list[str] = []

FLAT.update(("torch_geometric.nn", "dgl.nn", "torch_geometric.loader"))

# Where the number of outputs is the second argument. Several heads side by side make it another one.
_CONVOLUTIONS = (
    "GCNConv", "SAGEConv", "GATConv", "GATv2Conv", "GraphConv", "ChebConv", "TAGConv", "SGConv",
    "TransformerConv",
)  # fmt: skip
# Arguments that make something else of the affine map's output.
_CHANGING = ("activation", "norm", "normalize", "**")
_CONVOLUTION = "torch_geometric.Convolution"


def _construct(call: Call) -> Value:
    return call.object(("in_channels", "out_channels"), _CONVOLUTION)


def _call(layer: Object, call: Call) -> Value:
    told = any(constant(layer.options.get(name, Const(None)), ...) is not None for name in _CHANGING)
    if told or "return_attention_weights" in call.kwargs:
        return UNKNOWN
    size = None if "heads" in layer.options else constant(layer.options.get("out_channels"))
    shape = (None, size if isinstance(size, int) else None)
    return Tensor("logits", call.made("graph convolution"), None, shape, "float")


for _name in _CONVOLUTIONS:
    CONSTRUCTORS[f"torch_geometric.nn.{_name}"] = _construct
CALLS[_CONVOLUTION] = _call
for _name in ("GraphConv", "SAGEConv", "TAGConv", "SGConv"):
    CONSTRUCTORS[f"dgl.nn.{_name}"] = _construct
CONSTRUCTORS["torch_geometric.nn.Linear"] = lambda call: call.object(
    layers.LAYERS["torch.nn.Linear"], "torch.nn.Linear"
)
