"""``likelihead build``: the CPU's kernels, compiled after an installation that has none."""

from __future__ import annotations

import click

from likelihead.cli.failure import Failure

__all__ = ["command"]


@click.command("build")
def command() -> None:
    """Compile the CPU's kernels against the torch that is installed.

    For an installation that has none, because torch or a C++ compiler was not there (`likelihead info` says
    so). It takes a minute or two. The library goes beside the package, or into your cache folder where the
    package is not yours to write. Any torch from 2.10 on loads it.
    """
    import torch

    from likelihead.kernels.native import _library
    from likelihead.kernels.native.build import BuildError, after_installation

    if _library.PATH is not None:
        click.echo(f"The kernels are there already: {_library.PATH} ({_library.instruction_set()}).")
        return
    click.echo("Compiling the kernels ...", err=True)
    try:
        library = after_installation()
    except BuildError as error:
        raise Failure(str(error)) from error
    torch.ops.load_library(str(library))  # type: ignore[no-untyped-call]
    click.echo(f"The kernels are in {library} ({_library.instruction_set()} on this processor).")
