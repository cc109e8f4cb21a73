"""Waiting for a package without importing it.

What a script does before its ``import torch`` counts: torch reads ``OMP_NUM_THREADS`` and its like while it
is imported. So the watch must not bring torch along; it is called when the script has.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

__all__ = ["when_imported"]


def when_imported(package: str, then: Callable[[], object]) -> Callable[[], None]:
    """Call ``then`` once this package has been imported: now, if it is there already.

    Returns:
        What ends the waiting.
    """
    finder = _Finder(package, then)
    if package in sys.modules:
        then()
    else:
        sys.meta_path.insert(0, finder)
    return finder.give_up


class _Finder(MetaPathFinder):
    def __init__(self, package: str, then: Callable[[], object]) -> None:
        self._package, self._then = package, then

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != self._package:
            return None
        for finder in sys.meta_path:
            if finder is not self and (spec := finder.find_spec(fullname, path, target)) is not None:
                if spec.loader is not None:
                    spec.loader = _Loader(spec.loader, self._arrived)
                return spec
        return None

    def give_up(self) -> None:
        if self in sys.meta_path:
            sys.meta_path.remove(self)

    def _arrived(self) -> None:
        if self in sys.meta_path:
            sys.meta_path.remove(self)
            self._then()


class _Loader(Loader):
    """Loads by another loader, whom the module is to know alone."""

    def __init__(self, loader: Loader, then: Callable[[], object]) -> None:
        self._loader, self._then = loader, then

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        module.__loader__ = self._loader
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        self._loader.exec_module(module)
        self._then()
