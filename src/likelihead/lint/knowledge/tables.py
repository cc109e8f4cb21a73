"""Numbers before they are tensors: pandas, scikit-learn's data sets and splits, numpy's random numbers."""

from __future__ import annotations

from likelihead.lint.knowledge import shapes
from likelihead.lint.knowledge.call import Call, constructor, dtype_of, external, op
from likelihead.lint.knowledge.objects import ATTRIBUTES, ELEMENTS, METHODS
from likelihead.lint.values import (
    UNKNOWN,
    Const,
    Dict,
    List,
    Made,
    Object,
    Repeat,
    Tensor,
    Value,
    constant,
)

__all__: list[str] = []

_FRAME = "pandas.DataFrame"
_LOCATOR = "pandas.DataFrame.iloc"


def _numbers(made: Made | None, *sizes: int | None, dtype: str = "") -> Tensor:
    return Tensor("data", made, None, sizes, dtype)


# -- pandas: a table has two dimensions, and a column of it has one


_READERS = ("csv", "excel", "parquet", "table", "feather")


@constructor("pandas.DataFrame", *(f"pandas.read_{kind}" for kind in _READERS))
def _frame(call: Call) -> Value:
    return Object(_FRAME, {}, call.frame.context, call.made("table"))


def _columns(owner: Object, call: Call) -> Value:
    if call.name == "for" or not call.args:
        return UNKNOWN
    return _part(owner, call.args[0])


def _part(owner: Object, columns: Value) -> Value:
    """One column by its name, or a table of several."""
    if isinstance(columns, Const) and isinstance(columns.value, (str, int)):
        return _numbers(owner.made, None)
    several = isinstance(columns, Const) and isinstance(columns.value, slice)
    if several or (isinstance(columns, List) and columns.kind in ("list", "slice")):
        return owner
    return owner if isinstance(columns, Tensor) and columns.dtype == "bool" else UNKNOWN


def _located(owner: Object, call: Call) -> Value:
    at = call.args[0] if call.args else UNKNOWN
    if not isinstance(at, List) or at.kind != "tuple" or len(at.items) != 2:
        return UNKNOWN
    rows, columns = at.items
    if isinstance(rows, Const) and not isinstance(rows.value, slice):
        return UNKNOWN
    return _part(owner, columns)


def _attribute(owner: Object, name: str, call: Call) -> Value:
    if name == "values":
        return _numbers(owner.made, None, None)
    return Object(_LOCATOR, {}, owner.born, owner.made) if name in ("iloc", "loc") else UNKNOWN


def _itself(owner: Object, call: Call) -> Value:
    return owner


ELEMENTS[_FRAME] = _columns
ELEMENTS[_LOCATOR] = _located
ATTRIBUTES[_FRAME] = _attribute
METHODS[(_FRAME, "to_numpy")] = lambda owner, call: _numbers(owner.made, None, None)
METHODS[(_FRAME, "pop")] = lambda owner, call: _numbers(owner.made, None)
for _name in (
    "drop", "dropna", "fillna", "sample", "reset_index", "copy", "astype", "head", "sort_values",
    "select_dtypes", "drop_duplicates", "rename", "replace", "interpolate",
):  # fmt: skip
    METHODS[(_FRAME, _name)] = _itself


@op("to_numpy", "fillna", "reset_index")
def _same(call: Call) -> Value:
    value = call.get(0, "input")
    return value if isinstance(value, Tensor) and value.kind in ("data", "indices") else UNKNOWN


@op(
    "sin",
    "cos",
    "sqrt",
    "square",
    "abs",
    "sign",
    "arctan",
    "atan",
    "log1p",
    "expm1",
    "round",
    "floor",
    "ceil",
)
def _elementwise(call: Call) -> Value:
    value = call.get(0, "input")
    if not isinstance(value, Tensor) or value.kind != "data":
        return UNKNOWN
    return Tensor("data", value.made, None, value.shape, value.dtype)


# -- scikit-learn


@external("sklearn.model_selection.train_test_split", "sklearn.model_selection._split.train_test_split")
def _split(call: Call) -> Value:
    parts: list[Value] = []
    for one in call.args:
        if isinstance(one, Repeat):
            return UNKNOWN
        part: Value = one if isinstance(one, Object) else UNKNOWN
        if isinstance(one, Tensor):
            part = one.but(shape=(None, *one.shape[1:]) if one.shape and one.rank else None)
        parts += [part, part]
    return List(parts, "list", call.frame.context)


_CLASSES = ("make_classification", "make_moons", "make_circles", "make_blobs", "make_gaussian_quantiles")
_SETS_OF_CLASSES = ("load_iris", "load_digits", "load_wine", "load_breast_cancer", "fetch_covtype")
_SETS_OF_NUMBERS = ("load_diabetes", "fetch_california_housing")


def _labels(call: Call) -> Tensor:
    return Tensor("indices", call.made(call.name.rpartition(".")[2]), None, (None,), "long")


@external(*(f"sklearn.datasets.{name}" for name in (*_CLASSES, "make_regression")))
def _made_set(call: Call) -> Value:
    made = call.made(call.name.rpartition(".")[2])
    target: Value = _labels(call)
    if call.name.endswith("make_regression"):
        targets = call.const(9, "n_targets", 1)
        target = _numbers(made, None, dtype="float") if targets == 1 else UNKNOWN
    return List([_numbers(made, None, None, dtype="float"), target], "tuple", call.frame.context)


@external(*(f"sklearn.datasets.{name}" for name in (*_SETS_OF_CLASSES, *_SETS_OF_NUMBERS)))
def _loaded_set(call: Call) -> Value:
    name = call.name.rpartition(".")[2]
    if "as_frame" in call.kwargs:
        return UNKNOWN
    made = call.made(name)
    data = _numbers(made, None, None, dtype="float")
    target = _labels(call) if name in _SETS_OF_CLASSES else _numbers(made, None, dtype="float")
    if constant(call.kwargs.get("return_X_y", Const(False)), ...) is True:
        return List([data, target], "tuple", call.frame.context)
    return Dict({"data": data, "target": target}, "record", call.frame.context, UNKNOWN)


_SCALERS = ("StandardScaler", "MinMaxScaler", "RobustScaler", "MaxAbsScaler", "Normalizer")


@constructor(*(f"sklearn.preprocessing.{name}" for name in (*_SCALERS, "LabelEncoder")))
def _preprocessor(call: Call) -> Value:
    return call.object(())


def _scaled(owner: Object, call: Call) -> Value:
    value = call.get(0, "X")
    sizes = value.shape[1:] if isinstance(value, Tensor) and value.rank == 2 and value.shape else (None,)
    return _numbers(owner.made, None, *sizes, dtype="float")


def _encoded(owner: Object, call: Call) -> Value:
    return Tensor("indices", owner.made, None, (None,), "long")


def _fitted(owner: Object, call: Call) -> Value:
    return owner


for _name in _SCALERS:
    for _method in ("fit_transform", "transform"):
        METHODS[(f"sklearn.preprocessing.{_name}", _method)] = _scaled
    METHODS[(f"sklearn.preprocessing.{_name}", "fit")] = _fitted
for _method in ("fit_transform", "transform"):
    METHODS[("sklearn.preprocessing.LabelEncoder", _method)] = _encoded
METHODS[("sklearn.preprocessing.LabelEncoder", "fit")] = _fitted


# -- numpy


@external("numpy.random.randn", "numpy.random.rand")
def _random(call: Call) -> Value:
    return Tensor("data", call.made("random numbers"), None, shapes.from_sizes(list(call.args)), "float")


@external("numpy.random.normal", "numpy.random.uniform", "numpy.random.random", "numpy.random.random_sample")
def _drawn(call: Call) -> Value:
    size = call.given(2 if call.name.endswith(("normal", "uniform")) else 0, "size")
    if size is None:
        return UNKNOWN
    return Tensor("data", call.made("random numbers"), None, shapes.from_sizes([size]), "float")


@external("numpy.random.randint")
def _integers(call: Call) -> Value:
    size = call.given(2, "size")
    shape = None if size is None else shapes.from_sizes([size])
    dtype = dtype_of(call) if "dtype" in call.kwargs else "long"
    return UNKNOWN if shape is None else Tensor("indices", call.made("randint"), None, shape, dtype)


@external("numpy.linspace", "numpy.arange")
def _sequence(call: Call) -> Value:
    floats = call.name.endswith("linspace") and "dtype" not in call.kwargs
    return _numbers(call.made("numbers"), None, dtype="float" if floats else "")


@external("numpy.zeros", "numpy.ones")
def _filled(call: Call) -> Value:
    name = call.name.rpartition(".")[2]
    dtype = "float" if len(call.args) < 2 and "dtype" not in call.kwargs else dtype_of(call)
    return Tensor("data", call.made(name), None, shapes.from_sizes([call.get(0, "shape")]), dtype)
