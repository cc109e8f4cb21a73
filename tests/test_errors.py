"""The exception tree: torch's own types, codes that survive a process border, messages that are whole."""

from __future__ import annotations

import copy
import pickle
import re

import pytest

from likelihead import errors
from likelihead.errors import DataError, LikelihoodError, LikelihoodWarning, TargetError

BUILT_IN = {
    "ShapeError": (ValueError, RuntimeError),
    "DTypeError": (TypeError, RuntimeError),
    "TargetError": (IndexError, ValueError),
    "DomainError": (ValueError, RuntimeError),
    "MisuseError": (ValueError,),
    "OptionError": (ValueError,),
    "BackendError": (RuntimeError,),
    "UserDataError": (ValueError,),
    "DataError": (ValueError,),
    "CheckpointError": (ValueError,),
    "RunError": (ValueError,),
}
EXCEPTIONS = [getattr(errors, name) for name in errors.__all__ if not name.endswith("Warning")]


def test_every_exception_is_in_the_table() -> None:
    assert {cls.__name__ for cls in EXCEPTIONS} == {"LikelihoodError", *BUILT_IN}


@pytest.mark.parametrize(("name", "built_in"), BUILT_IN.items())
def test_an_error_is_also_the_type_that_torch_raises(name: str, built_in: tuple[type, ...]) -> None:
    cls = getattr(errors, name)
    assert issubclass(cls, LikelihoodError)
    for base in built_in:
        assert issubclass(cls, base)


def test_the_drawing_in_the_docstring_is_the_tree() -> None:
    assert errors.__doc__ is not None
    drawn = dict(re.findall(r"[├└]── (\w+) +\((.+?),?\)", errors.__doc__))
    assert drawn == {
        name: ", ".join(base.__name__ for base in bases)
        for name, bases in BUILT_IN.items()
        if name not in {"DataError", "CheckpointError", "RunError"}
    }


@pytest.mark.parametrize("cls", EXCEPTIONS)
def test_code_and_message_survive_pickling_and_copying(cls: type[LikelihoodError]) -> None:
    error = cls("target[3] is 7; expected [0, 3)", code="LH203")
    for twin in (pickle.loads(pickle.dumps(error)), copy.deepcopy(error)):
        assert type(twin) is cls
        assert twin.code == "LH203"
        assert str(twin) == str(error)
        assert str(twin).count("LH203") == 2  # the code, and the command that explains it


def test_without_a_code_the_message_is_left_alone() -> None:
    error = TargetError("target[3] is 7")
    assert str(error) == "target[3] is 7"
    assert error.code is None


@pytest.mark.parametrize(
    ("where", "text"),
    [
        ({}, "no number"),
        ({"path": "a.csv"}, "a.csv: no number"),
        ({"path": "a.csv", "row": 3, "column": "age"}, "a.csv, row 3, column 'age': no number"),
        ({"row": 0}, "row 0: no number"),
    ],
)
def test_a_data_error_names_file_row_and_column(where: dict[str, object], text: str) -> None:
    error = DataError("no number", **where)
    assert str(error) == text
    twin = pickle.loads(pickle.dumps(error))
    assert (twin.path, twin.row, twin.column) == (error.path, error.row, error.column)


def test_the_warning_carries_its_code() -> None:
    warning = LikelihoodWarning("softmax output into cross-entropy", code="LH101")
    assert warning.code == "LH101"
    assert issubclass(LikelihoodWarning, UserWarning)
    twin = pickle.loads(pickle.dumps(warning))
    assert (twin.code, str(twin)) == (warning.code, str(warning))
