"""`python -m benchmarks`: the suites that are run by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from likelihead.cli import bench
from likelihead.cli.failure import one_line


class Suites(click.Group):
    """A click group in which an expected failure is one line and exit code 2, as in `likelihead`."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except Exception as error:
            failure = one_line(error)
            if failure is None:
                raise
            raise failure from error


@click.group("benchmarks", cls=Suites, context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Time likelihead beside its peers, and beside the floor measured in the same run."""


main.add_command(bench.command, "cpu")


@main.command("sweep")
@bench.timing_options
@bench.output_options
def sweep(
    threads: int | None,
    only: str | None,
    repeat: int,
    cold: bool,
    patience: float,
    out: Path | None,
    save: Path | None,
    overwrite: bool,
) -> None:
    """Time sixty shapes beside torch eager: at none of them may ours take more than 1.05 of its time.

    Exit code 1 if ours does. Losses that are timed in a loop are warm in any case.
    """
    from benchmarks.sweep import CASES
    from likelihead.bench.cases import select
    from likelihead.bench.run import check_settings, measure

    cases = select(only, CASES)
    check_settings(threads, repeat)
    bench.check_outputs(out, save, overwrite)
    results = measure(
        cases,
        threads=threads,
        repeat=repeat,
        compiled=False,
        memory=False,
        cold=cold,
        patience=patience,
        suite="sweep",
        observer=lambda case: click.echo(f"{case.name} ...", err=True),
    )
    bench.deliver(results, out, save, overwrite)
    if not all(met for row in results.rows for _, _, met in row.outcomes()):
        raise click.exceptions.Exit(1)


@main.command("scaling")
@click.option("--threads", type=int, metavar="N", help="Threads of torch. [2]")
@click.option("--dtype", type=click.Choice(["float32", "bfloat16"]), default="float32", help="[float32]")
@bench.output_options
def scaling(threads: int | None, dtype: str, out: Path | None, save: Path | None, overwrite: bool) -> None:
    """Time a linear head's loss and measure its memory, from 1k to 32k tokens and from 4k to 256k classes.

    Exit code 1 where a peak is not that of its formula.
    """
    from benchmarks.scaling import measure, off, page
    from likelihead.bench.linear_memory import DTYPES
    from likelihead.bench.memory import why_not
    from likelihead.bench.run import check_settings
    from likelihead.errors import BackendError

    threads = check_settings(threads, 1)
    if reason := why_not():
        raise BackendError(f"memory cannot be measured here: {reason}.")
    bench.check_outputs(out, save, overwrite)
    results = measure(
        DTYPES[dtype], threads, lambda sizes: click.echo(f"{sizes.tokens} x {sizes.classes} ...", err=True)
    )
    bench.deliver(results, out, save, overwrite, page)
    if off(results):
        raise click.exceptions.Exit(1)


@main.command("identity")
@bench.timing_options
@bench.output_options
def identity(
    threads: int | None,
    only: str | None,
    repeat: int,
    cold: bool,
    patience: float,
    out: Path | None,
    save: Path | None,
    overwrite: bool,
) -> None:
    """Time torch against itself: every row must read 0.9 to 1.1, or the other tables mean nothing here.

    Exit code 1 if one does not.
    """
    from likelihead.bench.cases import select
    from likelihead.bench.run import check_settings, measure_identity

    cases = select(only)
    check_settings(threads, repeat)
    bench.check_outputs(out, save, overwrite)
    results = measure_identity(
        cases,
        threads=threads,
        repeat=repeat,
        cold=cold,
        patience=patience,
        observer=lambda case: click.echo(f"{case.name} ...", err=True),
    )
    bench.deliver(results, out, save, overwrite)
    if not all(met for row in results.rows for _, _, met in row.outcomes()):
        raise click.exceptions.Exit(1)


@main.command("lint")
@click.argument(
    "folders", nargs=-1, required=True, type=click.Path(exists=True, file_okay=False, path_type=Path)
)
@bench.output_options
def lint(folders: tuple[Path, ...], out: Path | None, save: Path | None, overwrite: bool) -> None:
    """Time `likelihead lint` on up to 1000 files of FOLDERS that name torch or Keras.

    Exit code 1 where a thousand of them take more than 10 s on one core.
    """
    from benchmarks.lint import SIZES, measure, met, page

    bench.check_outputs(out, save, overwrite)
    results = measure(folders, SIZES, lambda what: click.echo(f"{what} ...", err=True))
    bench.deliver(results, out, save, overwrite, page)
    if not met(results):
        raise click.exceptions.Exit(1)


@main.command("watch")
@click.option("--threads", type=int, metavar="N", help="Threads of torch. [2]")
@click.option("--only", metavar="REGEX", help="Only the scripts whose name it finds.")
@click.option(
    "--seconds",
    type=bench.Seconds(1),
    default=45.0,
    metavar="S",
    help="For each script, once it has taken sixty steps. [45]",
)
@bench.output_options
def watch(
    threads: int | None,
    only: str | None,
    seconds: float,
    out: Path | None,
    save: Path | None,
    overwrite: bool,
) -> None:
    """Time the steps of scripts under `likelihead watch` beside the bare ones, and compare their memory.

    Exit code 1 where the watch takes more than 3 % of a real step, or more than 50 MiB. It needs Linux.
    """
    from benchmarks.watch import CASES, measure, met, page
    from likelihead.bench.cases import select
    from likelihead.bench.run import check_settings

    scripts = select(only, CASES)
    threads = check_settings(threads, 1)
    bench.check_outputs(out, save, overwrite)
    results = measure(scripts, threads, seconds, lambda name: click.echo(f"{name} ...", err=True))
    bench.deliver(results, out, save, overwrite, page)
    if not met(results):
        raise click.exceptions.Exit(1)


@main.command("throughput")
@click.option("--only", default=".", metavar="REGEX", help="Only the cases whose name it finds.")
@click.option(
    "--on", "processors", multiple=True, metavar="CPU", help="As llvm-mca names it; may be repeated."
)
def throughput(only: str | None, processors: tuple[str, ...]) -> None:
    """Predict the CPU kernels' cycles per logit on other processors, from what they execute on this one.

    It needs llvm-mca, objdump and g++. LIKELIHEAD_ISA says which instruction set's kernels are looked at.
    """
    from benchmarks.throughput import CASES, PROCESSORS, predicted
    from likelihead.bench.cases import select

    for case in select(only, CASES):
        for processor, cycles, busy in predicted(case, processors or PROCESSORS):
            most = sorted(busy.items(), key=lambda unit: -unit[1])[:3]
            units = ", ".join(f"{name} {number:.2f}" for name, number in most)
            click.echo(f"{case.name:<15} {processor:<15} {cycles:5.2f} cycles per logit; busy: {units}")


@main.command("gpu")
@click.option(
    "--budget",
    type=bench.Seconds(1),
    default=540.0,
    metavar="S",
    help="Seconds to spend; what does not fit is left out and named. [540]",
)
@click.option("--only", metavar="REGEX", help="Only the steps whose name it finds.")
@click.option("--repeat", type=int, default=11, metavar="N", help="Rounds per case of the table. [11]")
@click.option("--seed", type=int, metavar="N", help="Of the checks' inputs. [a fresh one]")
@click.option(
    "--show", type=click.Path(path_type=Path), metavar="FILE", help="Only print an earlier run's file."
)
@bench.output_options
def gpu(
    budget: float,
    only: str | None,
    repeat: int,
    seed: int | None,
    show: Path | None,
    out: Path | None,
    save: Path | None,
    overwrite: bool,
) -> None:
    """Check, time and tune the kernels on a CUDA device, the most valuable first.

    Correctness of every kernel, what the card can do, the table beside the peers that are installed, what is
    promised of capture, waiting and memory, and a search over the kernels' tunables while time is left. The
    results are written after each step: to OUT, or to a file in DIR, or to one in this folder. Without a
    device it rehearses all of it on the CPU. Exit code 1 where something was wrong, failed or got lost.
    """
    from benchmarks.gpu.session import check_only, run, show_file
    from likelihead.bench.run import check_settings

    if show is not None:
        show_file(show)
        return
    check_only(only)
    check_settings(None, repeat)
    bench.check_outputs(out, save, overwrite)
    if not run(budget, only=only, rounds=repeat, seed=seed, out=out, save=save, overwrite=overwrite):
        raise click.exceptions.Exit(1)


@main.command("predict")
@click.option("--only", metavar="REGEX", help="Only the cases whose name it finds.")
@click.option(
    "--save",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    metavar="DIR",
    help="Write the tables there, over older ones.",
)
@click.option(
    "--all-options",
    is_flag=True,
    help="Only say which kernels spill when every two options are met; takes some minutes.",
)
def predict(only: str | None, save: Path | None, all_options: bool) -> None:
    """Compile the Triton kernels for GPUs that are not here, and predict their times from the code."""
    if all_options:
        from benchmarks.machine_code.options import report

        if only is not None or save is not None:
            raise click.UsageError("--all-options takes neither --only nor --save.")
        for line in report():
            click.echo(line)
        return
    from benchmarks.predict import calls_found, rows, table_of, write

    found = rows(calls_found(only))
    click.echo(table_of(found), nl=False)
    if save is not None:
        for path in write(found, save):
            click.echo(f"Wrote {path}.", err=True)


@main.command("host")
def host() -> None:
    """Time the host's part of calls on a GPU, without one: all but the driver, which does nothing."""
    from importlib.util import find_spec
    from tempfile import TemporaryDirectory

    from benchmarks.host.measure import measure, table_of
    from likelihead.errors import BackendError

    if find_spec("triton") is None:
        raise BackendError(
            "there is no triton, whose launcher is a part of what is timed (pip install triton)."
        )
    with TemporaryDirectory(prefix="host-") as folder:
        click.echo(table_of(list(measure(Path(folder)))), nl=False)


@main.command("plot")
@click.argument("results", type=click.Path(path_type=Path), required=False)
@click.option("--out", type=click.Path(path_type=Path), metavar="SVG", help="[docs/_static/benchmarks.svg]")
@click.option("--overwrite", is_flag=True, help="Replace the file that --out names, if there is one.")
def plot(results: Path | None, out: Path | None, overwrite: bool) -> None:
    """Draw RESULTS, or the newest CPU table of benchmarks/results."""
    from benchmarks.plot import draw, newest
    from likelihead.bench.results import read
    from likelihead.core.output import Output

    root = Path(__file__).parents[1]
    source = newest(root / "benchmarks" / "results") if results is None else results
    drawn_anew = root / "docs" / "_static" / "benchmarks.svg"
    target = Output(
        drawn_anew if out is None else out,
        inputs=[source],
        overwrite=overwrite,
        ours=lambda path: path.resolve() == drawn_anew.resolve(),
    )
    target.write(draw(read(source)).encode())
    click.echo(f"Drew {source.name}.")


if __name__ == "__main__":
    main(prog_name="python -m benchmarks")
