"""``likelihead info``: what a bug report needs, why a backend is not used, and what a linear head takes."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version

import click

__all__ = ["OPTIONAL_PACKAGES", "command", "memory_of", "report"]

OPTIONAL_PACKAGES: dict[str, str] = {
    "numpy": "",
    "pyarrow": "train",
    "scikit-learn": "train",
    "matplotlib": "train",
    "jinja2": "train",
    "safetensors": "train",
    "libcst": "lint",
    "triton": "",
}


class Count(click.ParamType):  # type: ignore[type-arg,unused-ignore]  # generic from click 8.4 on
    """A number of tokens, classes or the like, that errors call by its name."""

    def __init__(self, name: str) -> None:
        self.name = name

    def convert(self, value: str | int, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The number; anything else is a usage error."""
        try:
            number = int(value)
        except ValueError:
            number = 0
        if not 1 <= number < 2**63:  # a tensor has no more
            self.fail(f"{self.name} is {value!r}; expected a whole number from 1 to 2**63 - 1.", param, ctx)
        return number


@click.command("info")
@click.option(
    "--memory",
    type=(Count("N"), Count("V"), Count("D")),
    metavar="N V D",
    help="Instead: the peak memory of a linear head and its cross-entropy, with and without logits, for N "
    "tokens, V classes and hidden states of width D.",
)
@click.option("--dtype", metavar="NAME", help="Of --memory, such as bfloat16. [float32]")
@click.option(
    "--chunk",
    type=Count("chunk"),
    metavar="TOKENS",
    help="Of --memory: tokens of a chunk. [as many as make 48 MiB of logits]",
)
def command(memory: tuple[int, int, int] | None, dtype: str | None, chunk: int | None) -> None:
    """Show versions, kernel backends (and why one is absent), threads and the guard's level."""
    if memory is not None:
        for line in memory_of(*memory, dtype="float32" if dtype is None else dtype, chunk=chunk or 0):
            click.echo(line)
        return
    for option, given in (("--dtype", dtype), ("--chunk", chunk)):
        if given is not None:
            raise click.UsageError(f"{option} is given without --memory; expected --memory N V D beside it.")
    for section, rows in report().items():
        click.secho(section, bold=True)
        width = max(len(name) for name, _ in rows)
        for name, value in rows:
            click.echo(f"  {name:<{width}}  {value}")


def memory_of(tokens: int, classes: int, width: int, *, dtype: str, chunk: int = 0) -> Iterator[str]:
    """The lines of ``likelihead info --memory``.

    Raises:
        OptionError: ``dtype`` is not one that losses are computed in.
    """
    from likelihead.bench.linear_memory import DTYPES, Sizes, gradients, routes
    from likelihead.errors import OptionError

    if dtype not in DTYPES:
        raise OptionError(f"--dtype is {dtype!r}; expected one of {', '.join(DTYPES)}.")
    sizes = Sizes(tokens, classes, width, DTYPES[dtype], chunk)
    rows = [("logits", _bytes(sizes.logits), ""), ("gradients alone", "", _bytes(gradients(sizes)))]
    rows += [(route.name, _bytes(route.forward), _bytes(route.backward)) for route in routes(sizes)]
    table = [("peak beyond the inputs", "no gradients", "all gradients"), *rows]
    widths = [max(len(row[column]) for row in table) for column in range(3)]
    yield f"linear head and cross-entropy: N = {tokens}, V = {classes}, D = {width}, {dtype}, on a CPU"
    yield f"a chunk is of {sizes.chunk} tokens (--chunk N sets it; on a GPU the default is 4096)"
    yield ""
    for name, forward, backward in table:
        yield f"{name:<{widths[0]}}  {forward:>{widths[1]}}  {backward:>{widths[2]}}".rstrip()


def _bytes(number: int) -> str:
    size, unit = (number / 2**30, "GiB") if number >= 2**30 else (number / 2**20, "MiB")
    return f"{number:,} ({size:,.1f} {unit})"


def report() -> dict[str, list[tuple[str, str]]]:
    """The sections of ``likelihead info``, each a list of (name, value)."""
    return {
        "versions": list(_versions()),
        "kernel backends": list(_backends()),
        "machine": list(_machine()),
        "guard": list(_guard()),
    }


def _versions() -> Iterator[tuple[str, str]]:
    import torch

    yield "likelihead", version("likelihead")
    yield "python", platform.python_version()
    yield "torch", torch.__version__  # with its build, such as +cpu, which the metadata leaves out
    for package, extra in OPTIONAL_PACKAGES.items():
        try:
            yield package, version(package)
        except PackageNotFoundError:
            yield package, f"not installed (pip install 'likelihead[{extra}]')" if extra else "not installed"


def _backends() -> Iterator[tuple[str, str]]:
    from likelihead.kernels.dispatch import backends

    for status in backends():
        yield status.name, "available" if status.available else f"not available: {status.reason}"


def _machine() -> Iterator[tuple[str, str]]:
    import torch

    from likelihead.kernels.native import _library

    yield "platform", platform.platform()
    yield "CPU", torch.backends.cpu.get_cpu_capability()
    if _library.absent() is None:
        yield "native kernels", f"{_library.instruction_set()} (LIKELIHEAD_ISA=baseline|avx2|avx512 sets it)"
        yield "large gradients", f"stores: {_library.stores()} (LIKELIHEAD_STORES=cached|past sets it)"
    yield "threads", f"{torch.get_num_threads()} (OMP_NUM_THREADS or torch.set_num_threads sets them)"
    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            yield f"GPU {index}", torch.cuda.get_device_name(index)
    else:
        yield "GPU", "none that torch can use"


def _guard() -> Iterator[tuple[str, str]]:
    from likelihead.guard.switch import current

    settings = current()
    yield "level", f"{settings.level} (LIKELIHEAD_GUARD=off|cheap|full sets it)"
    yield "action", settings.action or "drop-ins warn, likelihoods raise"
