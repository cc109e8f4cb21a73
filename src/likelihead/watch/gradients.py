"""Which backward passes a gradient is the sum of, told by the gradients themselves.

A pass adds in place to a gradient that is there; whatever else happens to it in between (it is set to zero
or to None, divided, replaced) shows in which tensor it is and in that tensor's version counter. So nothing
has to be known of how a script zeroes its gradients.
"""

from __future__ import annotations

import weakref
from typing import Any

import torch

__all__ = ["Gradients"]

_MOST = 64  # parameters looked at of an optimizer, evenly spread

_State = tuple["weakref.ref[Any]", int] | None
_CHANGED: _State = weakref.ref(torch.zeros(0)), -1  # never the same as what is there


class Gradients:
    """Of one optimizer. Keeps no tensor alive."""

    def __init__(self, optimizer: Any) -> None:
        parameters = [one for group in optimizer.param_groups for one in group["params"]]
        stride = -(-len(parameters) // _MOST) or 1
        # The last layers are where several heads lie.
        chosen = {id(one): one for one in [*parameters[::stride], *parameters[-8:]]}
        self._of = [_Gradient(one) for one in chosen.values()]

    def before_pass(self) -> None:
        """A backward pass is about to run."""
        for one in self._of:
            one.before_pass()

    def after_pass(self, number: int) -> None:
        """The pass of that number has run."""
        for one in self._of:
            one.after_pass(number)

    def rescaling(self) -> None:
        """They are about to be changed by one factor that does not tell passes apart."""
        for one in self._of:
            one.rescaling()

    def rescaled(self) -> None:
        """They have been."""
        for one in self._of:
            one.rescaled()

    def unversioned(self, tensor: Any) -> None:
        """This may be a gradient, and be changed without a trace from now on."""
        for one in self._of:
            one.unversioned(tensor)

    def passes(self) -> tuple[int, ...]:
        """The passes that all of them are the sum of; empty where that differs or is not known.

        To be asked once, before the optimizer steps.
        """
        found = {one.before_step() for one in self._of} - {None}
        return (found.pop() or ()) if len(found) == 1 else ()


class _Gradient:
    """Of one parameter."""

    def __init__(self, parameter: Any) -> None:
        self._parameter = weakref.ref(parameter)
        self._state: _State = None
        self._before: _State = None
        self._passes: list[int] = []
        self._untouched = False  # since the last pass, when a rescaling began
        self._stepped = False  # an optimizer has used it, and it was not zeroed since
        self._added = False  # a pass has reached it since the last step

    def _now(self) -> _State:
        parameter = self._parameter()
        gradient = None if parameter is None else parameter.grad
        if gradient is None:
            return None
        gradient = getattr(gradient, "_local_tensor", gradient)  # of a DTensor: what the pass adds to
        return weakref.ref(gradient), gradient._version

    def before_pass(self) -> None:
        now = self._before = self._now()
        if not _same(now, self._state):
            self._passes, self._stepped = [], False

    def after_pass(self, number: int) -> None:
        now = self._now()
        if _same(now, self._before):
            return
        if self._before is not None and now is not None and now[0]() is not self._before[0]():
            self._passes = []  # made anew, as where the gradient has a gradient
        self._added = True
        self._passes.append(number)
        self._state = now

    def rescaling(self) -> None:
        self._untouched = self._state is not None and _same(self._now(), self._state)

    def rescaled(self) -> None:
        if self._untouched:
            self._state = self._now()

    def unversioned(self, tensor: Any) -> None:
        now = self._now()
        if now is not None and now[0]() is tensor:
            self._state = _CHANGED

    def before_step(self) -> tuple[int, ...] | None:
        """The passes; None where none has reached it, () where it is not known."""
        added, self._added = self._added, False
        known = not self._stepped and _same(self._now(), self._state) and not self._hooked()
        passes = tuple(self._passes)
        self._stepped, self._passes = True, []
        if not added:
            return None
        return passes if known else ()

    def _hooked(self) -> bool:
        """Whether the script changes the gradient on its way."""
        parameter = self._parameter()
        return bool(
            getattr(parameter, "_backward_hooks", None)
            or getattr(parameter, "_post_accumulate_grad_hooks", None)
        )


def _same(one: _State, other: _State) -> bool:
    if one is None or other is None:
        return one is other
    return one[0]() is not None and one[0]() is other[0]() and one[1] == other[1]
