"""Builds the native kernels where that is possible; without them the package installs and works all the same.

Everything else about the package is in pyproject.toml. The kernels need a C++17 compiler (GCC or Clang) and
an installed torch to build against (``--no-build-isolation``). Where either is missing, the reason is left
beside the kernels' Python files for ``likelihead info`` to show.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from setuptools import setup

NATIVE = "likelihead.kernels.native"
SOURCES = "src/likelihead/kernels/native/csrc"
NOTE = "why_absent.txt"

try:
    from torch.utils.cpp_extension import BuildExtension, CppExtension
except ImportError as error:
    NO_TORCH: str | None = f"torch could not be imported when likelihead was installed ({error})"
else:
    NO_TORCH = None


def extension() -> Any:
    sanitize = os.environ.get("LIKELIHEAD_SANITIZE")
    # Two-sums add and subtract only, so that contraction to fused multiply-adds leaves them alone.
    compile_args = ["-O3", "-std=c++17", "-ffp-contract=fast", "-fno-math-errno", "-fvisibility=hidden"]
    # Python's own flags ask for debugging symbols: a third of the compiler's time, and 17 of 20 MiB.
    compile_args += ["-g0", "-Wno-psabi", "-Wno-unknown-pragmas", "-DTORCH_TARGET_VERSION=0x020a000000000000"]
    link_args = []
    if sanitize:
        compile_args += ["-O1", "-g1", "-fno-omit-frame-pointer", f"-fsanitize={sanitize}"]
        compile_args += ["-fno-sanitize-recover=all"]
        link_args += [f"-fsanitize={sanitize}"]
    return CppExtension(
        f"{NATIVE}._kernels",
        sorted(str(path) for path in Path(SOURCES).glob("*.cpp")),
        extra_compile_args=compile_args,
        extra_link_args=link_args,
        py_limited_api=True,
        depends=sorted(str(path) for path in Path(SOURCES).glob("*.h")),
    )


def package_folder(command: Any) -> Path:
    """Where the library goes: the sources if the installation is editable, else the tree of the wheel."""
    if getattr(command, "editable_mode", False):
        return Path(SOURCES).parent
    return Path(command.get_ext_fullpath(f"{NATIVE}._kernels")).parent


def note_absence(command: Any, reason: str) -> None:
    """Leave the reason where the loader finds it, and no library of an earlier build beside it."""
    print(f"likelihead: the native kernels are left out: {reason}")
    folder = package_folder(command)
    folder.mkdir(parents=True, exist_ok=True)
    for stale in folder.glob("_kernels*.so"):
        stale.unlink()
    (folder / NOTE).write_text(reason + "\n", encoding="utf-8")


def side_by_side(compile: Callable[..., list[str]]) -> Callable[..., list[str]]:
    """The compiler's ``compile``, with as many sources at a time as there are cores, or as MAX_JOBS says."""
    jobs = int(os.environ.get("MAX_JOBS") or os.cpu_count() or 1)

    def compile_all(sources: list[str], *arguments: Any, **options: Any) -> list[str]:
        with ThreadPoolExecutor(jobs) as pool:
            parts = pool.map(lambda source: compile([source], *arguments, **options), sources)
            return [made for part in parts for made in part]

    return compile_all


if NO_TORCH is None:

    class BuildIfPossible(BuildExtension):  # type: ignore[misc]
        """A failing compiler is no reason to fail the installation."""

        def build_extension(self, ext: Any) -> None:
            self.compiler.compile = side_by_side(self.compiler.compile)
            super().build_extension(ext)

        def build_extensions(self) -> None:
            try:
                super().build_extensions()
                (package_folder(self) / NOTE).unlink(missing_ok=True)
            except Exception as error:  # whatever a broken toolchain may raise
                note_absence(self, f"the compiler failed when likelihead was installed ({error})")
                self.extensions = []

    setup(
        ext_modules=[extension()],
        cmdclass={"build_ext": BuildIfPossible.with_options(use_ninja=False, no_python_abi_suffix=False)},
        options={"bdist_wheel": {"py_limited_api": "cp310"}},
    )
else:
    setup()
