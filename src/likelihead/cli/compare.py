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
@click.option("--overwrite", is_flag=True, help="Replace FILE, whatever it is; a run's files never.")
def command(runs: tuple[Path, ...], out: Path, overwrite: bool) -> None:
    """Show the finished RUN folders, all of one task, side by side in one page.

    The page asks nothing of any network. Runs whose data differ are shown with a warning. A page that this
    command made is replaced, any other file only with --overwrite.
    """
    from likelihead.core.output import STANDARD_OUTPUT
    from likelihead.train.compare import compare

    result = compare(runs, out, overwrite=overwrite)
    for warning in result.warnings:
        click.echo(f"warning: {warning}", err=True)
    # Where the page is on standard output, the words are not.
    aside = str(out) in STANDARD_OUTPUT
    click.echo(result.summary, err=aside)
    click.echo(f"{result.out}: {len(runs)} runs side by side", err=aside)
