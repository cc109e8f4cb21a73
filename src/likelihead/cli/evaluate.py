"""``likelihead evaluate``: the figures of a trained run on other data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from likelihead.cli.reading import given, reading_options

__all__ = ["command"]


@click.command("evaluate")
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("data")
@click.option("--json", "as_json", is_flag=True, help="JSON on standard output.")
@click.option(
    "--prior",
    metavar="P",
    help="The classes' frequencies in DATA: a=0.1,b=0.9, a JSON or CSV file, or estimate.",
)
@reading_options
@click.option(
    "--strict", is_flag=True, help="Refuse rows without a target, which are left out and counted otherwise."
)
def command(run: Path, data: str, as_json: bool, prior: str | None, strict: bool, **reading: Any) -> None:
    """Score the trained RUN folder on DATA, of the kind that it was trained on, with its targets.

    All of DATA is scored. NLLs are in nats per row, image, labelled pixel or token; the baseline always
    predicts the training data's class frequencies (for a regression: its mean and variance).
    """
    from likelihead.train.evaluate import evaluate

    figures = evaluate(run, data, prior=prior, reading=given(reading), strict=strict)
    if as_json:
        import json

        click.echo(json.dumps(figures, indent=1, ensure_ascii=False, allow_nan=False))
        return
    for note in figures["notes"]:
        click.echo(note, err=True)
    _show(figures)


def _show(figures: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    from likelihead.cli.progress import shown

    console = Console()
    table = Table("figure", "value", box=None)
    for name, value in figures.items():
        if not isinstance(value, list):
            table.add_row(name.replace("_", " "), shown(value))
    console.print(table)
    for key in ("per_class", "per_label", "per_level"):
        if key in figures:
            rows = figures[key]
            table = Table(*rows[0], box=None)
            for row in rows:
                table.add_row(*(shown(value) for value in row.values()))
            console.print(table)
