"""The watch of a Lightning trainer's fit: ``Trainer(callbacks=[WatchCallback()])``.

Lightning, under either of its names, is imported when that name is asked for.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any

__all__: list[str] = []  # and WatchCallback


def __getattr__(name: str) -> Any:
    if name == "WatchCallback":
        return _watch_callback()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _home() -> str:
    """The package that the user's Trainer is of: each takes callbacks of its own class alone."""
    if find_spec("lightning") is not None:
        return "lightning.pytorch"
    if find_spec("pytorch_lightning") is not None:
        return "pytorch_lightning"
    raise ModuleNotFoundError("WatchCallback needs Lightning; pip install lightning.", name="lightning")


@cache
def _watch_callback() -> type[Any]:
    base: Any = import_module(_home()).Callback

    from likelihead.watch.block import watch

    class WatchCallback(base):  # type: ignore[misc]  # known when it runs
        """Watch ``trainer.fit``, its validation included, and show the report at its end.

        Args:
            options: those of `likelihead.watch`: ``fail_fast``, ``accelerate``, ``costs``, ``json``,
                ``html``, ``show``.
        """

        def __init__(self, **options: Any) -> None:
            super().__init__()
            self.watch = watch(**options)

        @property
        def record(self) -> Any:
            """What was seen, once the fit has ended."""
            return self.watch.record

        def on_fit_start(self, trainer: Any, pl_module: Any) -> None:
            """Begin."""
            self.watch.__enter__()

        def on_fit_end(self, trainer: Any, pl_module: Any) -> None:
            """End, and show the report."""
            self.watch.__exit__(None, None, None)

        def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
            """End, and show the report: the exception goes on to the user."""
            self.watch.__exit__(type(exception), exception, exception.__traceback__)

    WatchCallback.__module__ = __name__
    return WatchCallback
