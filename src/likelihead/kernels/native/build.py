"""Compiles the kernels: what ``setup.py`` and ``likelihead build`` share, on the standard library alone.

``setup.py`` runs this file by its path, when there is no package yet; ``likelihead build`` runs it after an
installation without kernels. The library is no extension module: torch loads it, and it uses torch's stable
ABI alone. Neither Python's headers nor its version matter, nor which torch from 2.10 on it was built against.

What was compiled before with the same command from the same files is not compiled again.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

__all__ = ["SHIPPED", "BuildError", "after_installation", "compile_kernels", "places", "toolchain"]

FOLDER = Path(__file__).resolve().parent
SOURCES = FOLDER / "csrc"
SHIPPED = "_kernels.abi3.so"  # as a wheel has it, and a build in the source tree

FLAGS = [
    *("-O3", "-std=c++17", "-fPIC", "-DNDEBUG", "-DTORCH_TARGET_VERSION=0x020a000000000000"),
    # Two-sums add and subtract only, so that contraction to fused multiply-adds leaves them alone.
    *("-ffp-contract=fast", "-fno-math-errno", "-fwrapv", "-fvisibility=hidden"),
    *("-Wall", "-Wno-psabi", "-Wno-unknown-pragmas"),
    # GCC takes the lanes that its own intrinsics leave undefined for ours: 3,000 warnings.
    *("-Wno-uninitialized", "-Wno-maybe-uninitialized"),
]
DTYPES = ("bf16", "f16", "f32", "f64")


class BuildError(Exception):
    """Why the kernels cannot be compiled, in one line."""


def places() -> list[Path]:
    """Where a library that was built after the installation may be, in order of preference.

    Its name holds a digest of the sources: what an earlier version has left is not taken for this one's.
    """
    digest = hashlib.sha256(f"{sys.platform} {platform.machine()} {FLAGS}".encode())
    for source in sorted(SOURCES.iterdir()):
        digest.update(source.name.encode() + b"\0" + source.read_bytes())
    name = f"_kernels-{digest.hexdigest()[:16]}.abi3.so"
    folders = [FOLDER]
    try:
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        folders.append(cache / "likelihead")
    except RuntimeError:  # a user without a home
        pass
    return [folder / name for folder in folders]


def after_installation() -> Path:
    """Compile the kernels into the first of `places` that can be written, and return where that is.

    Raises:
        BuildError: there is no compiler or no torch, the compiler fails, or no place can be written.
    """
    refused = []
    for place in places():
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            objects = tempfile.TemporaryDirectory(prefix=".building-", dir=place.parent)
        except OSError as error:
            refused.append(f"{place.parent} ({error.strerror})")
            continue
        with objects:
            compile_kernels(place, Path(objects.name))
        for older in place.parent.glob("_kernels-*.abi3.so") if place.parent == FOLDER else ():
            if older != place:
                older.unlink(missing_ok=True)
        return place
    raise BuildError(
        f"the library cannot be written to {' or '.join(refused)}; set XDG_CACHE_HOME to a folder that can."
    )


def toolchain() -> tuple[list[str], Path]:
    """The C++ compiler's command, and the folder of the torch to build against.

    Raises:
        BuildError: one of them is not there.
    """
    return _compiler(), _torch()


def compile_kernels(library: Path, objects: Path, *, sanitize: str | None = None) -> None:
    """Compile what has changed since it was last compiled into the folder ``objects``, and link all of it.

    As many compilers run at a time as there are cores, or as ``MAX_JOBS`` says; CXX, CPPFLAGS, CXXFLAGS and
    LDFLAGS are heeded.

    Raises:
        BuildError: there is no compiler or no torch, or the compiler fails.
    """
    compiler, torch = toolchain()
    include = [torch / "include", torch / "include" / "torch" / "csrc" / "api" / "include"]
    flags = [*FLAGS, *(word for folder in include for word in ("-isystem", str(folder)))]
    link = ["-bundle", "-undefined", "dynamic_lookup"] if sys.platform == "darwin" else ["-shared"]
    if sanitize:
        flags += ["-O1", "-g1", "-fno-omit-frame-pointer"]
        flags += [f"-fsanitize={sanitize}", "-fno-sanitize-recover=all"]
        link += [f"-fsanitize={sanitize}"]
    flags += _words("CPPFLAGS") + _words("CXXFLAGS")
    link += _words("LDFLAGS")

    def compiled(source: Path, part: str | None) -> Path:
        made = objects / f"{source.stem}{'_' + part if part else ''}.o"
        note = made.with_suffix(".command")
        command = [*compiler, *flags, "-MD", "-MF", str(made.with_suffix(".d"))]
        command += [*([f"-DLK_DTYPE={part}"] if part else []), "-c", str(source), "-o", str(made)]
        if not _is_current(made, command):
            note.unlink(missing_ok=True)
            begun = time.time_ns()
            _run(command, f"compiling {source.name}")
            os.utime(made, ns=(begun, begun))  # what is edited meanwhile is newer
            note.write_text(shlex.join(command), encoding="utf-8")
        return made

    objects.mkdir(parents=True, exist_ok=True)
    library.parent.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(_jobs()) as pool:
        made = list(pool.map(compiled, *zip(*_pieces(), strict=True)))
    # Under another name first: a process may have the present library mapped.
    linked = library.with_name(f".{library.name}.{os.getpid()}")
    libraries = [f"-L{torch / 'lib'}", "-lc10", "-ltorch_cpu"]
    try:
        _run([*compiler, *link, *map(str, made), *libraries, "-o", str(linked)], f"linking {library.name}")
        os.replace(linked, library)
    finally:
        linked.unlink(missing_ok=True)


def _pieces() -> list[tuple[Path, str | None]]:
    """What is compiled side by side: each source, those of an instruction set by parts (see csrc/dtypes.h).

    The parts take much longer than the rest, and begin first: last, one of them would be compiled alone.
    """
    sources = sorted(SOURCES.glob("*.cpp"))
    parts = [(path, dtype) for dtype in DTYPES for path in sources if path.name.startswith("isa_")]
    return [*parts, *((path, None) for path in sources)]


def _words(variable: str) -> list[str]:
    given = os.environ.get(variable, "")
    try:
        return shlex.split(given)
    except ValueError as error:  # a quotation that does not end
        raise BuildError(
            f"environment variable {variable} is {given!r}; expected words as a shell takes them ({error})."
        ) from error


def _jobs() -> int:
    if asked := os.environ.get("MAX_JOBS"):
        if not re.fullmatch(r"[1-9][0-9]*", asked):
            raise BuildError(
                f"environment variable MAX_JOBS is {asked!r}; expected a number of compilers, 1 or more. "
                "Unset it, and there are as many as cores."
            )
        return int(asked)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _compiler() -> list[str]:
    if sys.platform == "win32":
        raise BuildError("the kernels need GCC or Clang, which torch for Windows is not built for.")
    asked = os.environ.get("CXX")
    command = _words("CXX") if asked else ["g++"]
    if not asked:
        command = [next(filter(shutil.which, ("g++", "clang++", "c++")), "g++")]
    if not command or shutil.which(command[0]) is None:
        where = f"CXX is {asked!r}, which is not there" if asked else "there is none of g++, clang++ and c++"
        raise BuildError(
            f"there is no C++ compiler: {where}. Install one (Debian: apt install g++; Fedora: dnf install "
            "gcc-c++; conda: gxx; macOS: xcode-select --install), or set CXX."
        )
    return command


def _torch() -> Path:
    """The folder of the torch that is installed. It is not imported, which would take seconds."""
    spec = find_spec("torch")
    if spec is None or spec.origin is None:
        raise BuildError("torch is not installed in this environment; pip install torch.")
    folder = Path(spec.origin).parent
    try:
        found = version("torch")
    except PackageNotFoundError:
        found = ""
    number = re.match(r"(\d+)\.(\d+)", found)
    if number and (int(number[1]), int(number[2])) < (2, 10):
        raise BuildError(f"torch is {found}; expected 2.10 or newer. pip install --upgrade torch.")
    header = folder / "include" / "torch" / "csrc" / "stable" / "library.h"
    if not header.is_file():
        raise BuildError(
            f"torch comes without its C++ headers ({header} is missing); install torch from PyPI."
        )
    return folder


def _run(command: list[str], doing: str) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    except OSError as error:
        raise BuildError(
            f"{command[0]} cannot be run ({error.strerror}); set CXX to a C++ compiler."
        ) from error
    if done.stderr:
        print(done.stderr, end="", file=sys.stderr)
    if done.returncode:
        lines = [line.strip() for line in done.stderr.splitlines()]
        reason = next((line for line in lines if "error" in line), lines[-1] if lines else "it said nothing")
        raise BuildError(f"{doing} failed: {command[0]} ended with {done.returncode} ({reason})")


def _is_current(made: Path, command: list[str]) -> bool:
    """Whether ``made`` was compiled by this command, later than all that it was compiled from."""
    try:
        if made.with_suffix(".command").read_text(encoding="utf-8") != shlex.join(command):
            return False
        since = made.stat().st_mtime_ns
        return all(Path(name).stat().st_mtime_ns < since for name in _dependencies(made.with_suffix(".d")))
    except OSError:
        return False


def _dependencies(rule: Path) -> Iterator[str]:
    """The files named by a makefile rule as compilers write it."""
    text = rule.read_text(encoding="utf-8", errors="surrogateescape").replace("\\\n", " ")
    for name in re.split(r"(?<!\\)\s+", text.partition(": ")[2].strip()):
        yield name.replace("\\ ", " ").replace("\\#", "#").replace("$$", "$")
