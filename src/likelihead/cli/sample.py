"""``likelihead sample``: text that a trained language model writes."""

from __future__ import annotations

import sys
from pathlib import Path

import click

__all__ = ["command"]


@click.command("sample")
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--prompt", default="", metavar="TEXT", help="How the text begins. [a new document]")
@click.option("--tokens", type=int, default=500, metavar="N", help="Tokens to write at most. [500]")
@click.option(
    "--temperature",
    type=float,
    default=1.0,
    metavar="T",
    help="Below 1 for likelier text; 0 always takes the likeliest token. [1]",
)
@click.option("--top-k", type=int, default=0, metavar="K", help="Draw from the K likeliest tokens. [all]")
@click.option("--seed", type=int, default=0, metavar="N", help="Of the drawing. [0]")
def command(run: Path, prompt: str, tokens: int, temperature: float, top_k: int, seed: int) -> None:
    """Write text with the trained RUN folder of a language task, on standard output.

    The text begins with the prompt, and ends after --tokens tokens or where the model ends a document. The
    same seed writes the same text.
    """
    from likelihead.train.language.sample import sample

    pieces = sample(run, prompt=prompt, tokens=tokens, temperature=temperature, top_k=top_k, seed=seed)
    # In UTF-8 whatever the terminal's encoding, and as it is written.
    for piece in pieces:
        sys.stdout.buffer.write(piece.encode("utf-8"))
        sys.stdout.buffer.flush()
    sys.stdout.buffer.write(b"\n")
    sys.stdout.buffer.flush()
