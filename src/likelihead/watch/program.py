"""What python is asked to run: a script, a module or a line of code, found before anything of it runs.

`Program.execute` does what ``python SCRIPT``, ``python -m MODULE`` and ``python -c CODE`` do, in a
``__main__`` of its own, so that pickles, data classes and spawned workers find there what they would find
under python.
"""

from __future__ import annotations

import builtins
import importlib.util
import io
import linecache
import os
import pkgutil
import runpy
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.machinery import (
    BuiltinImporter,
    ModuleSpec,
    PathFinder,
    SourceFileLoader,
    SourcelessFileLoader,
)
from types import CodeType, ModuleType
from typing import Any

import likelihead
from likelihead.errors import OptionError

__all__ = ["Program", "code", "module", "script"]

# What an interpreter has loaded before it looks into the script's folder, besides what is built in.
_LOADED_ANYWAY = {
    *("_collections_abc", "_sitebuiltins", "abc", "codecs", "encodings", "genericpath", "io", "ntpath"),
    *("os", "posixpath", "site", "stat", "zipimport", "__main__"),
}


@dataclass(frozen=True)
class Program:
    """What python runs, without its arguments.

    Attributes:
        name: `sys.argv[0]`.
        folder: `sys.path[0]`: where the program's own modules are.
        execute: runs it, in the ``__main__`` that is there.
    """

    name: str
    folder: str
    execute: Callable[[], object]

    def prepare(self, arguments: Iterable[str]) -> None:
        """Leave this process as python would have it before the program's first line.

        What is loaded already and is another thing in the program's folder is forgotten: python finds the
        program's own first.
        """
        sys.argv = [self.name, *arguments]
        if not _safe_path():
            sys.path[0] = self.folder
        for name in _packages():
            if self._has_another(name):
                _forget(name)
        main = ModuleType("__main__")
        main.__dict__.update(__loader__=BuiltinImporter, __builtins__=builtins)
        if sys.version_info < (3, 14):
            main.__annotations__ = {}
        sys.modules["__main__"] = main

    def check_shadows(self) -> None:
        """Refuse a program beside which lies something that is called as torch or likelihead.

        Raises:
            OptionError: names it.
        """
        if _safe_path():
            return
        others = self._path_without()
        for name in ("likelihead", "torch"):
            hiding = _origin(name, [self.folder])
            real = likelihead.__file__ if name == "likelihead" else _origin(name, others)
            if hiding is not None and (real is None or os.path.realpath(hiding) != os.path.realpath(real)):
                raise OptionError(
                    f"{hiding} would be imported in place of the package {name}, since it lies in the "
                    "program's folder; rename it"
                )

    @contextmanager
    def out_of_the_way(self) -> Iterator[None]:
        """What is imported in here is what an installation brings, whatever lies in the program's folder.

        A program that has an ``html.py`` finds its own before and after, and the report python's.
        """
        if _safe_path():
            yield
            return
        path, before = sys.path[:], _packages()
        others = self._path_without()
        hiding = {name for name in before if self._has(name) and _origin(name, others) is not None}
        theirs = {name: module for name, module in sys.modules.items() if name.partition(".")[0] in hiding}
        sys.path[:] = others
        for name in theirs:
            del sys.modules[name]
        try:
            yield
        finally:
            sys.path[:] = path
            for name in (_packages() - before) | hiding:
                if name in hiding or self._has_another(name):
                    _forget(name)
            sys.modules.update(theirs)

    def _path_without(self) -> list[str]:
        folder = os.path.realpath(self.folder)
        return [entry for entry in sys.path if os.path.realpath(entry) != folder]

    def _has_another(self, name: str) -> bool:
        """Whether the program's folder has a module of this name, and another one is loaded."""
        return self._found(name) is not None and not self._has(name)

    def _has(self, name: str) -> bool:
        """Whether what is loaded by this name is from the program's folder."""
        found, file = self._found(name), getattr(sys.modules.get(name), "__file__", None)
        return found is not None and file is not None and os.path.realpath(found) == os.path.realpath(file)

    def _found(self, name: str) -> str | None:
        if name in _LOADED_ANYWAY or name in sys.builtin_module_names or _safe_path():
            return None
        return _origin(name, [self.folder])


def script(path: str) -> Program:
    """A file of source or of byte code, a zip file with a ``__main__.py``, or ``-``: standard input.

    Raises:
        OptionError: it is a folder, or a terminal.
        OSError: it is not there or cannot be read.
    """
    if path == "-":
        return _standard_input()
    file = os.path.join(os.getcwd(), path)
    if os.path.isdir(file):
        inside = os.path.join(path, "__main__.py")
        raise OptionError(f"SCRIPT is {path!r}, a folder; expected a file, such as {inside}")
    try:
        with open(file, "rb") as opened:
            source = opened.read()
    except OSError as error:
        error.filename = path
        raise
    if os.path.isfile(file) and pkgutil.get_importer(file) is not None:

        def run_archive() -> None:
            if _safe_path():
                sys.path.insert(0, file)
            runpy._run_module_as_main("__main__", False)  # type: ignore[attr-defined]

        return Program(path, file, run_archive)

    def run() -> None:
        # Byte code is told by what it begins with.
        code = pkgutil.read_code(io.BytesIO(source))
        if code is None and file.endswith(".pyc"):
            raise RuntimeError("Bad magic number in .pyc file")
        loader: type[SourceFileLoader | SourcelessFileLoader]
        loader = SourceFileLoader if code is None else SourcelessFileLoader
        main = _main(__file__=file, __cached__=None, __loader__=loader("__main__", file))
        exec(_compiled(source, file) if code is None else code, main)

    return Program(path, os.path.dirname(os.path.realpath(file)), run)


def _standard_input() -> Program:
    if sys.stdin is None or sys.stdin.isatty():
        raise OptionError("SCRIPT is -, and standard input is no file or pipe; give a script")
    source = sys.stdin.buffer.read()

    def run() -> None:
        exec(_compiled(source, "<stdin>"), _main(__file__="<stdin>", __cached__=None))

    return Program("-", "", run)


def code(text: str) -> Program:
    """A line of code, as of ``python -c``."""

    def run() -> None:
        if sys.version_info >= (3, 13):  # from there on its lines are seen in tracebacks
            linecache.cache["<string>"] = (len(text), None, text.splitlines(keepends=True), "<string>")
        exec(_compiled(text, "<string>"), _main())

    return Program("-c", "", run)


def module(name: str) -> Program:
    """A module or a package with a ``__main__``, as of ``python -m``.

    Raises:
        OptionError: it is not there.
    """
    program = Program("-m", os.getcwd(), lambda: runpy._run_module_as_main(name))  # type: ignore[attr-defined]
    with _search_in(program.folder):
        try:
            problem = _problem(name)
        except Exception:  # of a package that had to be imported: python tells it, with its traceback
            problem = None
    if problem is not None:
        raise OptionError(f"-m is {name!r}: {problem}")
    return program


def _problem(name: str) -> str | None:
    spec = _located(name)
    if spec is None:
        hint = "; a script's file is given without -m" if name.endswith(".py") else ""
        return f"there is no such module{hint}"
    if spec.submodule_search_locations is not None and _located(f"{name}.__main__") is None:
        return "a package without a module __main__ cannot be run"
    return None


def _main(**attributes: Any) -> dict[str, Any]:
    namespace = sys.modules["__main__"].__dict__
    namespace.update(attributes)
    return namespace


def _compiled(source: str | bytes, file: str) -> CodeType:
    return compile(source, file, "exec", dont_inherit=True)


def _safe_path() -> bool:
    """Whether python was told (``-P``, ``-I``) to leave the program's folder out of its path."""
    return bool(getattr(sys.flags, "safe_path", sys.flags.isolated))


@contextmanager
def _search_in(folder: str) -> Iterator[None]:
    was = sys.path[:]
    if not _safe_path():
        sys.path[0] = folder
    try:
        yield
    finally:
        sys.path[:] = was


def _packages() -> set[str]:
    return {name.partition(".")[0] for name in list(sys.modules)}


def _forget(package: str) -> None:
    for name in list(sys.modules):
        if name == package or name.startswith(f"{package}."):
            del sys.modules[name]


def _origin(name: str, path: list[str]) -> str | None:
    """The file that the first import of this name would run, of these folders; no folder of loose files."""
    spec = PathFinder.find_spec(name, path)
    return None if spec is None or spec.loader is None else spec.origin


def _located(name: str) -> ModuleSpec | None:
    """Where a module is. Its packages are imported only where it is not found without that."""
    top, *parts = name.split(".")
    try:
        spec, found = importlib.util.find_spec(top), top
        for part in parts:
            if spec is None or spec.submodule_search_locations is None:
                return None
            found = f"{found}.{part}"
            inside = PathFinder.find_spec(found, list(spec.submodule_search_locations))
            # A package may have ways of its own to find its modules.
            spec = inside or importlib.util.find_spec(found)
        return spec
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise
        return None
    except ValueError:  # no name, or a module without a place
        return None
