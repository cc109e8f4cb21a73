"""The machine and the versions, in words that can be published: no host name, no path."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

__all__ = ["available_cores", "describe", "slug", "versions"]


def available_cores() -> int:
    """The cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def describe(device: str = "cpu") -> dict[str, str | int]:
    """What a reader needs to know of the machine to judge the figures."""
    machine: dict[str, str | int] = {
        "cpu": _cpu_model(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "cores": available_cores(),
        "system": f"{platform.system()} {platform.machine()}",
    }
    huge_pages = Path("/sys/kernel/mm/transparent_hugepage/enabled")
    if huge_pages.is_file():
        chosen = re.search(r"\[(\w+)\]", huge_pages.read_text(encoding="ascii"))
        machine["huge pages"] = chosen[1] if chosen else "unknown"
    if device == "cuda":
        machine["gpu"] = torch.cuda.get_device_name()
    return machine


def versions(*packages: str) -> dict[str, str]:
    """The versions that the figures depend on; a package that is not installed is left out."""
    found = {"python": platform.python_version()}
    for package in ("likelihead", "torch", *packages):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    found["compiler"] = _compiler()
    return found


def slug(*words: object) -> str:
    """A file name of words.

    >>> slug("2026-11-20", "AMD EPYC(TM) 9654", "2 threads")
    '2026-11-20-amd-epyc-9654-2-threads'
    """
    text = re.sub(r"\((?:r|tm)\)", "", " ".join(map(str, words)).lower())
    return re.sub(r"[^a-z0-9]+", "-", text).strip("-")


def _cpu_model() -> str:
    table = Path("/proc/cpuinfo")
    if table.is_file():
        match = re.search(r"^model name\s*:\s*(.+)$", table.read_text(encoding="utf-8"), re.MULTILINE)
        if match is not None:
            return match[1].strip()
    if platform.system() == "Darwin":
        asked = subprocess.run(
            ["sysctl", "-n", "machdep.cpu.brand_string"], capture_output=True, text=True, check=False
        )
        if asked.returncode == 0:
            return asked.stdout.strip()
    return platform.processor() or platform.machine()


def _compiler() -> str:
    """What torch.compile would build with."""
    for name in filter(None, [os.environ.get("CXX"), "g++", "clang++"]):
        found = shutil.which(name)
        if found is None:
            continue
        asked = subprocess.run([found, "-dumpfullversion"], capture_output=True, text=True, check=False)
        if asked.returncode == 0:
            return f"{Path(found).name} {asked.stdout.strip()}".strip()
    return "none"
