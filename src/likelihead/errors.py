"""The exceptions and warnings of likelihead.

Every exception is also the built-in type that torch raises for the same mistake, so code that
catches torch's errors goes on working::

    LikelihoodError
    ├── ShapeError        (ValueError, RuntimeError)   sizes that do not fit
    ├── DTypeError        (TypeError, RuntimeError)    a dtype that cannot mean what it must
    ├── TargetError       (IndexError, ValueError)     a class index or label outside its range
    ├── DomainError       (ValueError, RuntimeError)   NaN, infinity, no probability
    ├── MisuseError       (ValueError,)                a hazard found by the guard
    ├── OptionError       (ValueError,)                an option's value, or a combination
    ├── BackendError      (RuntimeError,)              a kernel backend that cannot serve the call
    └── UserDataError     (ValueError,)                what the command line reports in one line
        ├── DataError                                  a data file: names file, row and column
        ├── CheckpointError                            a truncated, altered or foreign checkpoint
        └── RunError                                   a run folder or an output folder

    LikelihoodWarning     (UserWarning)                a hazard that the guard reports and lets pass
    BackendWarning        (UserWarning)                a slow kernel backend serves, and a fast one could
"""

from __future__ import annotations

__all__ = [
    "BackendError",
    "BackendWarning",
    "CheckpointError",
    "DTypeError",
    "DataError",
    "DomainError",
    "LikelihoodError",
    "LikelihoodWarning",
    "MisuseError",
    "OptionError",
    "RunError",
    "ShapeError",
    "TargetError",
    "UserDataError",
]


def _with_code(message: str, code: str | None) -> str:
    return message if code is None else f"{message} [{code}: `likelihead explain {code}`]"


class LikelihoodError(Exception):
    """The root of likelihead's exceptions.

    Attributes:
        code: the hazard's code (``"LH203"``), or None where no hazard fits.
    """

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(_with_code(message, code))
        self.code = code

    def __reduce__(self) -> tuple[object, ...]:
        # Exceptions cross process borders in data loaders; keep the code and do not append it twice.
        return (_rebuild, (type(self), self.args, self.__dict__))


def _rebuild(
    cls: type[LikelihoodError], args: tuple[object, ...], state: dict[str, object]
) -> LikelihoodError:
    error = cls.__new__(cls)
    error.args = args
    error.__dict__.update(state)
    return error


class ShapeError(LikelihoodError, ValueError, RuntimeError):
    """Sizes that do not fit each other."""


class DTypeError(LikelihoodError, TypeError, RuntimeError):
    """A dtype that cannot mean what it must."""


class TargetError(LikelihoodError, IndexError, ValueError):
    """A target outside its range: a class index, or a label that is no probability."""


class DomainError(LikelihoodError, ValueError, RuntimeError):
    """Values outside their domain: NaN, infinity, rows that are no distribution."""


class MisuseError(LikelihoodError, ValueError):
    """A hazard that the guard found, where it is asked to raise."""


class OptionError(LikelihoodError, ValueError):
    """An option's value, or a combination of options, that has no meaning."""


class BackendError(LikelihoodError, RuntimeError):
    """A kernel backend that is absent or cannot serve the call."""


class UserDataError(LikelihoodError, ValueError):
    """What the user handed to the command line; its message is one line, and the exit code 2."""


class DataError(UserDataError):
    """A data file that cannot be read as asked.

    Attributes:
        path, row, column: where, as far as it is known. Rows count from 1, a header not counted.
    """

    def __init__(
        self,
        message: str,
        *,
        path: str | None = None,
        row: int | None = None,
        column: str | None = None,
        code: str | None = None,
    ) -> None:
        where = ", ".join(
            part
            for part in (
                path,
                None if row is None else f"row {row}",
                None if column is None else f"column {column!r}",
            )
            if part
        )
        super().__init__(f"{where}: {message}" if where else message, code=code)
        self.path, self.row, self.column = path, row, column


class CheckpointError(UserDataError):
    """A checkpoint or a weights file that is truncated, altered, or of another run."""


class RunError(UserDataError):
    """A run folder that is not one, belongs to another task, or cannot be written."""


class LikelihoodWarning(UserWarning):
    """A hazard that the guard reports and lets pass.

    Attributes:
        code: the hazard's code.
    """

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(_with_code(message, code))
        self.code = code


class BackendWarning(UserWarning):
    """A slow kernel backend serves a call that a fast one could; its message says what is missing."""
