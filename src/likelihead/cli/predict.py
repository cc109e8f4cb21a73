"""``likelihead predict``: predictions of a trained run, one line per row."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from likelihead.cli.reading import given, reading_options

__all__ = ["command"]


@click.command("predict")
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("data")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="A .csv, .jsonl or .parquet file, or the folder for masks. [CSV on standard output]",
)
@click.option("--probs", "--proba", is_flag=True, help="Also the probability of each class or label.")
@click.option(
    "--threshold",
    type=float,
    metavar="P",
    help="The probability above which a yes is predicted. [the tuned one, or 0.5]",
)
@click.option(
    "--cost",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="A cost matrix: CSV, `true,<decision>,...` and then a line of costs per true class; or JSON.",
)
@click.option(
    "--prior",
    metavar="P",
    help="The classes' frequencies where the predictions are for: a=0.1,b=0.9, a JSON or CSV file, or "
    "estimate.",
)
@reading_options
@click.option("--overwrite", is_flag=True, help="Replace FILE if it is there already; an input never.")
def command(
    run: Path,
    data: str,
    out: Path | None,
    probs: bool,
    threshold: float | None,
    cost: Path | None,
    prior: str | None,
    overwrite: bool,
    **reading: Any,
) -> None:
    """Predict each row or image of DATA with the trained RUN folder.

    DATA needs the columns that the run was trained on; a target column is not needed. A segmentation writes
    a mask for each image into the folder --out.
    """
    from likelihead.core.output import STANDARD_OUTPUT
    from likelihead.train.predict import predict

    if str(out) in STANDARD_OUTPUT:
        out = None
    stream = sys.stdout.buffer if out is None else None
    notes = predict(
        run,
        data,
        out=out,
        stream=stream,
        probs=probs,
        threshold=threshold,
        cost=cost,
        prior=prior,
        overwrite=overwrite,
        reading=given(reading),
    )
    for note in notes:
        click.echo(note, err=True)
    if out is not None:
        click.echo(f"wrote {out}", err=True)
