"""``likelihead compare``: finished runs side by side in one page."""

from __future__ import annotations

from pathlib import Path

import click

__all__ = ["command"]


@click.command("compare")
@click.argument("runs", metavar="RUN RUN...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("compare.html"),
    metavar="FILE",
    help="The page to write. [compare.html]",
)
def command(runs: tuple[Path, ...], out: Path) -> None:
    """Show the finished RUN folders, all of one task, side by side in one page.

    The page asks nothing of any network. Runs whose data differ are shown with a warning.
    """
    from likelihead.train.compare import compare

    result = compare(runs, out)
    for warning in result.warnings:
        click.echo(f"warning: {warning}", err=True)
    click.echo(result.summary)
    click.echo(f"{result.out}: {len(runs)} runs side by side")
