"""Builds the native kernels where that is possible; without them the package installs and works all the same.

Everything else about the package is in pyproject.toml, and how the kernels are compiled in the file that
``likelihead build`` shares. They need a C++17 compiler (GCC or Clang) and an installed torch to build against
(``--no-build-isolation``). Where the compiler fails, the reason is left beside the kernels' Python files for
``likelihead info`` to show.
"""

from __future__ import annotations

import os
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

NATIVE = "likelihead.kernels.native"
FOLDER = Path("src/likelihead/kernels/native")
NOTE = "why_absent.txt"

# By its path: the package's dependencies need not be there yet.
_spec = spec_from_file_location("build", FOLDER / "build.py")
if _spec is None or _spec.loader is None:
    raise ImportError(f"{FOLDER / 'build.py'} cannot be loaded")
build = module_from_spec(_spec)
_spec.loader.exec_module(build)


class BuildIfPossible(build_ext):
    """A failing compiler is no reason to fail the installation."""

    def build_extension(self, ext: Any) -> None:
        library = Path(self.get_ext_fullpath(ext.name))
        sanitize = os.environ.get("LIKELIHEAD_SANITIZE")
        # Not the command's own folder for objects: for an editable installation that is a new one each time.
        objects = Path("build/kernels-sanitize" if sanitize else "build/kernels")
        try:
            build.compile_kernels(library, objects, sanitize=sanitize)
        except build.BuildError as error:
            self.note_absence(library, f"the compiler failed when likelihead was installed: {error}")
            self.extensions = []
        else:
            for folder in {library.parent, self.final_folder(library)}:
                (folder / NOTE).unlink(missing_ok=True)

    def final_folder(self, library: Path) -> Path:
        """Where the library ends: beside the sources if the installation is editable, else in the wheel."""
        return FOLDER if self.inplace or getattr(self, "editable_mode", False) else library.parent

    def note_absence(self, library: Path, reason: str) -> None:
        """Leave the reason where the loader finds it, and no library of an earlier build beside it."""
        print(f"likelihead: the native kernels are left out: {reason}")
        folder = self.final_folder(library)
        folder.mkdir(parents=True, exist_ok=True)
        for stale in folder.glob("_kernels*.so"):
            stale.unlink()
        (folder / NOTE).write_text(reason + "\n", encoding="utf-8")


try:
    build.toolchain()
except build.BuildError as error:
    print(f"likelihead: the native kernels are left out: {error} `likelihead build` compiles them later.")
    setup()
else:
    setup(
        ext_modules=[
            Extension(f"{NATIVE}._kernels", sorted(map(str, FOLDER.glob("csrc/*.cpp"))), py_limited_api=True)
        ],
        cmdclass={"build_ext": BuildIfPossible},
        options={"bdist_wheel": {"py_limited_api": "cp310"}},
    )
