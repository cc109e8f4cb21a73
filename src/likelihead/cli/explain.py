"""``likelihead explain [CODE]``: a hazard's page in the terminal, or the table of all."""

from __future__ import annotations

import click

from likelihead.cli.failure import Failure
from likelihead.hazards import FAMILIES, HAZARDS, SEVERITIES, Hazard, lookup

__all__ = ["command"]

_COLOURS = {"E": "red", "W": "yellow", "I": "cyan"}


@click.command("explain")
@click.argument("code", required=False)
def command(code: str | None) -> None:
    """Explain a hazard CODE (LH104): what is wrong, why it matters, and the remedy.

    Without a CODE, list all of them.
    """
    if code is None:
        _show_table()
        return
    try:
        hazard = lookup(code)
    except LookupError as error:
        raise Failure(str(error)) from error
    _show_page(hazard)


def _show_page(hazard: Hazard) -> None:
    from rich.console import Console
    from rich.markdown import Markdown

    from likelihead.lint.rules.pages import full_page

    console = Console()
    console.print(Markdown(full_page(hazard)), width=min(console.width, 100))


def _show_table() -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    table = Table(box=None, pad_edge=False)
    table.add_column("code", style="bold", no_wrap=True)
    table.add_column("", no_wrap=True)
    table.add_column("what is wrong")
    family = ""
    for hazard in HAZARDS.values():
        if hazard.family != family:
            family = hazard.family
            table.add_section()
            table.add_row("", "", f"[bold]{family}[/bold]")
        table.add_row(
            hazard.code, f"[{_COLOURS[hazard.severity]}]{hazard.severity}[/]", hazard.name.replace("[", r"\[")
        )
    console.print(table)
    legend = ", ".join(f"{letter}: {meaning}" for letter, meaning in SEVERITIES.items())
    console.print(f"\n{legend}. `likelihead explain {next(iter(FAMILIES))}04` shows a page.", highlight=False)
