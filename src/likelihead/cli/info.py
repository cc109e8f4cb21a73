"""``likelihead info``: what a bug report needs, and why a backend is not used."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version

import click

__all__ = ["OPTIONAL_PACKAGES", "command", "report"]

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


@click.command("info")
def command() -> None:
    """Show versions, kernel backends (and why one is absent), threads and the guard's level."""
    for section, rows in report().items():
        click.secho(section, bold=True)
        width = max(len(name) for name, _ in rows)
        for name, value in rows:
            click.echo(f"  {name:<{width}}  {value}")


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
