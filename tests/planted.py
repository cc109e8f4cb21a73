"""Wrong kernels, made from the source of the right ones: a test that does not find them is worth nothing."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

HOME = "likelihead.kernels.triton"
USERS = ("softmax_nll", "softmax_scores", "softmax_kl", "sigmoid_nll", "scale")


def plant(
    patch: pytest.MonkeyPatch, folder: Path, module: str, old: str, new: str, *, times: int = 1
) -> None:
    """Put the kernels that the module has with ``new`` in place of ``old`` where its own were.

    ``old`` stands in the source ``times`` times: where the source has changed, the test says so.
    """
    from triton.runtime.jit import KernelInterface

    for user in USERS:  # a module that is loaded later would keep what it finds now
        import_module(f"{HOME}.{user}")
    real = import_module(f"{HOME}.{module}")
    source = Path(str(real.__file__)).read_text(encoding="utf-8")
    found = source.count(old)
    assert found == times, f"{module} has {old!r} {found} times, not {times}: plant another mistake"
    assert old != new
    path = folder / f"{module}.py"
    path.write_text(source.replace(old, new), encoding="utf-8")
    spec = spec_from_file_location(f"{HOME}.planted_{module}", path)
    assert spec is not None
    assert spec.loader is not None
    wrong = module_from_spec(spec)
    spec.loader.exec_module(wrong)
    for name, kernel in vars(wrong).items():
        right = getattr(real, name, None)
        if not isinstance(kernel, KernelInterface) or kernel is right:
            continue
        for user in [m for n, m in sys.modules.items() if n.startswith(HOME)]:
            for attribute, value in list(vars(user).items()):
                if value is right:
                    patch.setattr(user, attribute, kernel)
    patch.setattr(import_module(f"{HOME}.plans"), "_plans", {})  # which have the kernels that were there


def fails(check: Callable[[], None]) -> bool:
    """Whether the check finds a wrong number or an access out of bounds; no other error will do."""
    from triton.runtime.errors import InterpreterError

    try:
        check()
    except (AssertionError, InterpreterError) as error:
        return isinstance(error, AssertionError) or "OutOfBounds" in str(error)
    return False
