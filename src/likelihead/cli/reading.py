"""The options of commands that read a table: how its file is written."""

from __future__ import annotations

from typing import Any

import click

__all__ = ["given", "reading_options"]

_NAMES = ("separator", "decimal", "encoding", "missing")


def reading_options(function: click.decorators.FC) -> click.decorators.FC:
    """``--separator``, ``--decimal``, ``--missing``, ``--encoding``: where a file differs from the run's."""
    for option in (
        click.option("--encoding", metavar="NAME", help="Of a CSV file. [as the run's, else from its head]"),
        click.option(
            "--missing",
            multiple=True,
            metavar="TEXT",
            help="Stands for a missing cell, besides those of the run; may be repeated.",
        ),
        click.option("--decimal", metavar="CHAR", help="Before decimals in a CSV file. [likewise]"),
        click.option("--separator", metavar="CHAR", help="Between the cells of a CSV file. [likewise]"),
    ):
        function = option(function)
    return function


def given(options: dict[str, Any]) -> dict[str, Any]:
    """Those of the options that were given."""
    return {name: options[name] for name in _NAMES if options[name] not in (None, ())}
