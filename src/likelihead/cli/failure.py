"""What the command line says when it fails: one line that names the thing and the next step, exit code 2."""

from __future__ import annotations

from typing import IO, Any

import click

from likelihead.errors import LikelihoodError

__all__ = ["EXTRAS", "Failure", "one_line"]

# Which extra brings which import.
EXTRAS: dict[str, str] = {
    "PIL": "train",
    "jinja2": "train",
    "matplotlib": "train",
    "pyarrow": "train",
    "safetensors": "train",
    "sklearn": "train",
    "tokenizers": "train",
    "tomli": "train",
    "libcst": "lint",
}


class Failure(click.ClickException):
    """An expected failure: one line on stderr, exit code 2."""

    exit_code = 2

    def show(self, file: IO[Any] | None = None) -> None:
        click.echo(f"likelihead: {self.format_message()}", file=file, err=file is None)


def one_line(error: Exception) -> Failure | None:
    """The line for an error that a user can cause and mend.

    None for any other error: that is a bug, to be seen with its traceback.

    >>> one_line(FileNotFoundError(2, "No such file or directory", "iris.csv")).message
    'iris.csv: No such file or directory'
    """
    if isinstance(error, LikelihoodError):
        return Failure(" ".join(str(error).split()))
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        return None  # a bare command shows its help
    if isinstance(error, click.UsageError):
        help_page = "" if error.ctx is None else f" (see `{error.ctx.command_path} --help`)"
        return Failure(f"{error.format_message()}{help_page}")
    if isinstance(error, OSError):
        reason = error.strerror or str(error) or type(error).__name__
        return Failure(f"{error.filename}: {reason}" if error.filename is not None else reason)
    if isinstance(error, MemoryError) or "DefaultCPUAllocator" in str(error):  # torch raises a RuntimeError
        return Failure("not enough memory; use smaller layers (--hidden) or batches (--batch-size)")
    if isinstance(error, ModuleNotFoundError):
        package = (error.name or "").partition(".")[0]
        if package in EXTRAS:
            extra = EXTRAS[package]
            return Failure(
                f"this needs {package}, which is not installed; run: pip install 'likelihead[{extra}]'"
            )
    return None
