"""Data: sets and loaders, padding, tokenizers, class weights, and tensors that are written into."""

from __future__ import annotations

import ast
from math import isfinite

from likelihead.lint.interpreter.events import Comparison
from likelihead.lint.knowledge.call import Call, constructor, external, given_node, op, tell
from likelihead.lint.knowledge.objects import ELEMENTS
from likelihead.lint.values import (
    UNKNOWN,
    Const,
    Context,
    Dict,
    Instance,
    List,
    Object,
    Repeat,
    Tensor,
    Unknown,
    Value,
    alternatives,
    constant,
    map_union,
)

__all__ = ["unknown_call"]


# -- loaders


def _loader_element(owner: Object, call: Call) -> Value:
    dataset = owner.options.get("dataset")
    if dataset is None:
        return UNKNOWN
    interpreter, frame = call.interpreter, call.frame

    def entry_of(one: Value) -> Value:
        # A data set of the project is asked for the entry of some number; what a list holds may differ.
        at = Const(0) if isinstance(one, Instance) else UNKNOWN
        return interpreter.item(one, at, call.node, frame)

    entry = map_union(dataset, entry_of)
    collate = owner.options.get("collate_fn")
    if collate is not None and constant(collate, ...) is not None:
        batch = List([Repeat(entry)], "list", frame.context)
        return interpreter.call(collate, [batch], {}, call.node, frame)
    if constant(owner.options.get("batch_size"), ...) is None and "batch_size" in owner.options:
        return entry
    return _each_batched(entry, frame.context)


def _each_batched(value: Value, context: Context) -> Value:
    return map_union(value, lambda one: _batched(one, context))


def _batched(value: Value, context: Context) -> Value:
    """A batch of what a data set has: one more dimension in front."""
    if isinstance(value, Tensor):
        return value.but(shape=None if value.shape is None else (None, *value.shape))
    if isinstance(value, Const) and type(value.value) in (int, float):
        return Tensor("data", None, None, (None,), "float" if type(value.value) is float else "long")
    if isinstance(value, List) and value.kind in ("tuple", "list"):
        return List([_each_batched(one, context) for one in value.items], "list", context)
    if isinstance(value, Dict) and value.kind == "dict":
        items = {name: _each_batched(one, context) for name, one in value.items.items()}
        return Dict(items, "dict", context, value.rest)
    return UNKNOWN


ELEMENTS["torch.utils.data.DataLoader"] = _loader_element


@external("torch.utils.data.Subset", "torch.utils.data.dataset.Subset")
def _subset(call: Call) -> Value:
    return call.get(0, "dataset")


@external("torch.utils.data.ConcatDataset", "torch.utils.data.dataset.ConcatDataset")
def _concatenated(call: Call) -> Value:
    sets = call.get(0, "datasets")
    return sets.element() if isinstance(sets, List) else UNKNOWN


# Of torchvision: the data sets whose labels are one class index for each image.
_IMAGE_SETS = (
    "MNIST", "FashionMNIST", "KMNIST", "QMNIST", "EMNIST", "USPS", "CIFAR10", "CIFAR100", "SVHN", "STL10",
    "ImageFolder", "DatasetFolder", "ImageNet", "Imagenette", "Flowers102", "Food101", "GTSRB", "DTD",
    "EuroSAT", "StanfordCars", "FGVCAircraft", "Country211", "RenderedSST2", "SUN397", "PCAM",
)  # fmt: skip


@constructor(*(f"torchvision.datasets.{name}" for name in _IMAGE_SETS))
def _image_set(call: Call) -> Value:
    return call.object(())


def _image_and_label(owner: Object, call: Call) -> Value:
    label: Value = UNKNOWN
    if "target_transform" not in owner.options:
        marks = frozenset(("labels of a data set",))
        label = Tensor("indices", owner.made, None, (), "long", marks)
    image: Value = UNKNOWN
    if "transform" in owner.options:
        image = Tensor("data", owner.made, None, (None, None, None), "float")
    return List([image, label], "tuple", call.frame.context)


for _name in _IMAGE_SETS:
    ELEMENTS[f"torchvision.datasets.{_name}"] = _image_and_label


# -- padding


@external("torch.nn.utils.rnn.pad_sequence")
def _pad_sequence(call: Call) -> Value:
    sequences = call.get(0, "sequences")
    element = sequences.element() if isinstance(sequences, List) else UNKNOWN
    first = element if isinstance(element, Tensor) else None
    shape = (None, None, *first.shape[1:]) if first and first.shape and first.rank else None
    padding = "" if _is_by_type(call) else _padding(call)
    marks = frozenset((f"padded with {padding}",)) if padding else frozenset()
    return Tensor("data", call.made("pad_sequence"), None, shape, first.dtype if first else "", marks)


def _is_by_type(call: Call) -> bool:
    """Whether whatever is a tensor is padded, in a function for every field: many are of one length."""
    within = call.frame.function.node if call.frame.function is not None else call.frame.scope.source.tree
    return any(
        any(isinstance(part, ast.Name) and part.id == "isinstance" for part in ast.walk(one.test))
        and any(part is call.node for statement in one.body for part in ast.walk(statement))
        for one in ast.walk(within)
        if isinstance(one, ast.If)
    )


@external("torch.nn.functional.pad")
def _pad(call: Call) -> Value:
    """Of sequences that are filled up behind, to a length that differs from one to the next."""
    value, sides = call.get(0, "input"), call.get(1, "pad")
    filled_up = isinstance(sides, List) and len(sides.items) == 2 and constant(sides.items[0]) == 0
    number = call.const(3, "value", 0)
    if not filled_up or not isinstance(sides, List) or not isinstance(sides.items[1], Unknown):
        return UNKNOWN
    if not isinstance(number, (int, float)) or not isfinite(number):
        return UNKNOWN
    if isinstance(value, Tensor) and value.kind not in ("data", "indices"):
        return UNKNOWN
    dtype = value.dtype if isinstance(value, Tensor) else ""
    sizes = value.shape[:-1] if isinstance(value, Tensor) and value.shape and value.rank else None
    shape = None if sizes is None else (*sizes, None)
    return Tensor("data", call.made("pad"), None, shape, dtype, frozenset((f"padded with {int(number)}",)))


_PADDING_NAMES = frozenset(
    [f"pad_{name}" for name in ("id", "idx", "index", "token", "token_id", "token_idx")]
    + ["pad", "padding_idx", "padding_index"]
)
_PADDING_KEYS = frozenset(("<pad>", "[PAD]", "<PAD>", "PAD", "pad"))


def _padding(call: Call) -> str:
    """What ``pad_sequence`` fills up with: a number, or "the padding id"; "" where it is not known."""
    value = call.given(2, "padding_value")
    number = 0 if value is None else constant(value)
    if isinstance(number, (int, float)) and isfinite(number):
        return str(int(number))
    node = given_node(call.node, "padding_value")
    name = node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""
    if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
        return "the padding id" if node.slice.value in _PADDING_KEYS else ""
    return "the padding id" if isinstance(value, Unknown) and name.lower() in _PADDING_NAMES else ""


_SINGLE_TEXTS = frozenset(("text", "prompt", "sentence", "question", "query", "input_text", "string"))


def unknown_call(call: Call) -> Value:
    """A call of something that is not known, where its arguments say that it is a tokenizer that pads."""
    padding = constant(call.kwargs.get("padding"))
    if padding not in (True, "longest", "max_length") or constant(call.kwargs.get("return_tensors")) != "pt":
        return UNKNOWN
    texts = call.node.args[0] if isinstance(call.node, ast.Call) and call.node.args else None
    if padding != "max_length" and (
        texts is None
        or isinstance(texts, (ast.Constant, ast.JoinedStr))
        or (isinstance(texts, ast.List) and len(texts.elts) == 1)
        or (isinstance(texts, ast.Name) and texts.id in _SINGLE_TEXTS)
    ):
        return UNKNOWN  # a single text is not padded
    made = call.made("tokenizer with padding")
    marks = frozenset(("padded with the padding id",))
    return Dict(
        {
            "input_ids": Tensor("data", made, None, (None, None), "long", marks),
            "attention_mask": Tensor("data", call.made("attention mask"), None, (None, None), "long"),
        },
        "record",
        call.frame.context,
        UNKNOWN,
    )


# -- weights


@external("sklearn.utils.class_weight.compute_class_weight", "sklearn.utils.compute_class_weight")
def _class_weight(call: Call) -> Value:
    classes = call.given(1, "classes")
    size = classes.shape[0] if isinstance(classes, Tensor) and classes.rank == 1 and classes.shape else None
    if isinstance(classes, List) and classes.complete:
        size = len(classes.items)
    return Tensor(
        "data", call.made("compute_class_weight"), None, (size,), "float", frozenset(("class weights",))
    )


# -- comparisons as calls


@op("eq", "ne", "equal", "not_equal")
def _equal(call: Call) -> Value:
    op_ = ast.Eq if call.name.rpartition(".")[2] in ("eq", "equal") else ast.NotEq
    left, right = call.get(0, "input"), call.get(1, "other")
    known = [one for one in (left, right) if isinstance(one, Tensor)]
    if not known:
        return UNKNOWN
    call.interpreter.emit(Comparison(call.node, call.frame, op_, left, right))
    return Tensor("data", None, None, known[0].shape if len(known) == 1 else None, "bool")


@external(
    *(
        f"sklearn.metrics.{name}"
        for name in (
            "accuracy_score", "balanced_accuracy_score", "confusion_matrix", "f1_score", "precision_score",
            "recall_score", "classification_report", "cohen_kappa_score", "matthews_corrcoef",
            "precision_recall_fscore_support",
        )
    )
)  # fmt: skip
def _metric_of_classes(call: Call) -> Value:
    labels, predicted = (
        one.element() if isinstance(one, List) and one.items else one
        for one in (call.get(0, "y_true"), call.get(1, "y_pred"))
    )
    if isinstance(labels, Tensor) or isinstance(predicted, Tensor):
        call.interpreter.emit(Comparison(call.node, call.frame, ast.Eq, labels, predicted))
    return UNKNOWN


# -- writing into a tensor


def _overwrite(value: Value) -> None:
    """Note that entries of a tensor were overwritten."""
    for one in alternatives(value):
        if isinstance(one, Tensor) and one.made is not None:
            one.made.edited = True


@op(
    "masked_fill_", "fill_", "zero_", "copy_", "index_fill_", "index_copy_", "index_put_", "masked_scatter_",
    "put_", "random_", "triu_", "tril_",
)  # fmt: skip
def _written(call: Call) -> Value:
    value = call.get(0, "input")
    _overwrite(value)
    return map_union(value, lambda one: one if isinstance(one, Tensor) and one.kind == "logits" else UNKNOWN)


@op("scatter_", "scatter")
def _scattered(call: Call) -> Value:
    value = call.get(0, "input")
    if not isinstance(value, Tensor):
        return UNKNOWN
    made = call.made("scatter_")
    empty = value.kind == "data" and value.made is not None and value.made.text in ("zeros", "zeros_like")
    written = value.made is not None and value.made.edited
    amount = call.const(3, "src", call.const(3, "value", ...))
    if call.name.rpartition(".")[2] == "scatter_":
        _overwrite(value)
    if not empty or written or amount != 1 or not _is_column(call):
        return _bound_again(call, value.but(kind="multi_hot") if value.kind == "one_hot" else UNKNOWN)
    index = call.get(2, "index")
    return _bound_again(call, Tensor("one_hot", made, None, value.shape, value.dtype, origin=index))


def _is_column(call: Call) -> bool:
    """Whether the index of a ``scatter_`` has one entry for each row, along the last or second dimension."""
    index = call.get(2, "index")
    if call.const(1, "dim") not in (1, -1):
        return False
    if isinstance(index, Tensor) and index.rank is not None:
        return index.rank == 2 and index.last == 1
    at = 1 if "." not in call.name else 2  # a method, or a function of torch
    args = call.node.args if isinstance(call.node, ast.Call) else []
    node = args[at] if at < len(args) else given_node(call.node, "index")
    text = "" if node is None else ast.unparse(node).replace(" ", "")
    return text.endswith(
        (".unsqueeze(1)", ".unsqueeze(-1)", ".unsqueeze(dim=1)", ".view(-1,1)", ".reshape(-1,1)", "[:,None]")
    )


def _bound_again(call: Call, value: Value) -> Value:
    """The name on which an in-place method was called is the result from now on."""
    function = call.node.func if isinstance(call.node, ast.Call) else None
    owner = function.value if isinstance(function, ast.Attribute) else None
    if call.name == "scatter_" and isinstance(owner, ast.Name):
        name = owner.id
        if name in call.frame.env:
            call.frame.env[name] = value
    return value


# -- products


@op("matmul", "mm", "mv", "inner")
def _product(call: Call) -> Value:
    left, right = call.get(0, "input"), call.get(1, "other")
    return call.interpreter.binary(ast.MatMult, left, right, call.node, call.frame)


@op("multinomial")
def _drawn(call: Call) -> Value:
    value = call.get(0, "input")
    tell("normalised", value, call)
    count = call.const(1, "num_samples")
    shape = None
    if isinstance(value, Tensor) and value.shape is not None and value.rank:
        shape = (*value.shape[:-1], count if isinstance(count, int) else None)
    return Tensor("indices", call.made("multinomial"), None, shape, "long")


@op("bincount")
def _counts(call: Call) -> Value:
    return Tensor("data", call.made("bincount"), None, (None,), "long")
