"""What stands in the script's way: it sees loss calls, backward passes, optimizer steps, and hands them on.

One engine serves all sessions of a process. While none is open nothing of it is in place. Of tensors it sees
nothing unless `Mode` is on, which is during the first steps and a sample of the later ones (`_deep_step`).
"""

from __future__ import annotations

import math
import os
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

from likelihead.watch import kinds, libraries, signs, warned
from likelihead.watch.call import Backward, FailedCall, LossCall, Step, Use
from likelihead.watch.look import Pending, look
from likelihead.watch.losses import LOSSES, LossSpec
from likelihead.watch.mode import Mode, readable
from likelihead.watch.places import caller, entered_by_user
from likelihead.watch.regions import Regions
from likelihead.watch.session import FailFast, Session
from likelihead.watch.tags import Book, LossTerm, Tag
from likelihead.watch.taps import Taps

__all__ = ["ENGINE", "EVERY", "FIRST_STEPS", "Engine"]

FIRST_STEPS = 20  # looked at closely, all of them
EVERY = 64  # then one in so many
_UNREAD = "inside a transform or a trace, of a subclass, sparse, nested or without data"
_MOST_FAULTS = 20  # then the checks are left alone


class Engine:
    """See the module."""

    def __init__(self) -> None:
        self.book = Book()
        self.sessions: list[Session] = []
        self.step = 0
        self.calls = 0
        self._mode = Mode(kinds.handlers(self), self.fault)
        self._regions = Regions(self)
        self._taps = Taps()
        self._local = threading.local()
        self._deep = False
        self._deep_since_step = False
        self._let_go = False  # since the last step or backward pass
        self._hidden = 0
        self._thread = 0
        self._steps: dict[int, int] = {}  # by optimizer
        self._deep_steps = 0
        self._site_calls: dict[Any, int] = {}
        self._strange_calls: dict[Any, int] = {}
        self._pending: list[tuple[Pending, LossCall]] = []
        self._hooks: list[Any] = []
        self._overhead = 0.0
        self._wakes = 0  # by the beginning of an evaluation
        self._pauses = 0  # by a block without gradients
        self._young = False  # the line of the last training loss
        self._faults = 0
        self._forks_seen = False

    # -- sessions --------------------------------------------------------------------------------------

    def enter(self, session: Session) -> None:
        """Begin to hand events to this session, which sees the first steps from here."""
        if not self.sessions:
            self._install()
        self.sessions.append(session)
        self._mode.rested()
        self._set_deep(True)

    def leave(self, session: Session) -> tuple[int, int, float]:
        """End that; steps, steps followed and seconds taken since the engine was put in place."""
        self._collect(wait=True)
        if session in self.sessions:
            self.sessions.remove(session)
        seen = self.step, self._deep_steps, self._overhead
        if not self.sessions:
            self._uninstall()
        return seen

    def _install(self) -> None:
        self._thread = threading.get_ident()
        self._local = threading.local()  # a session may have ended in the middle of a region
        self.step = self.calls = self._deep_steps = self._faults = self._wakes = self._pauses = 0
        self._young = False
        self._steps.clear()
        self._site_calls.clear()
        self._strange_calls.clear()
        self._overhead = 0.0
        for name, spec in LOSSES.items():
            self._taps.swap(F, name, self._around_loss(spec))
        libraries.place(self, self._taps)
        self._regions.place(self._taps)
        self._taps.swap(torch.autograd, "backward", self._around_backward)
        self._taps.place(torch.nn.Module, "train", self._around_train)
        warned.place(self._taps)
        for block in (torch.no_grad, torch.inference_mode):
            self._taps.place(block, "__enter__", self._around_no_grad)
        for owner, name, what in signs.signs():
            self._taps.place(owner, name, self._around_sign(what))
        self._hooks = [
            register_optimizer_step_pre_hook(self._stepping),
            register_optimizer_step_post_hook(self._stepped),
        ]
        if not self._forks_seen and hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self.abandon)
            self._forks_seen = True

    def _uninstall(self) -> None:
        if self._deep and threading.get_ident() != self._thread:
            # The block was left in another thread than it was entered in.
            self._mode.leave_behind()
            self._mode, self._deep = Mode(kinds.handlers(self), self.fault), False
        self._set_deep(False)
        self._taps.remove()
        self._regions.remove()
        libraries.remove()
        for hook in self._hooks:
            hook.remove()
        self._hooks.clear()
        self.book.clear()
        self._pending.clear()

    def abandon(self) -> None:
        """In a forked child: watch nothing, and write no report."""
        if self.sessions:
            self.sessions = []
            self._uninstall()

    # -- following tensors -----------------------------------------------------------------------------

    @property
    def deep(self) -> bool:
        """Whether tensors are followed now, in this thread."""
        return self._deep and threading.get_ident() == self._thread

    def _set_deep(self, wanted: bool) -> None:
        if wanted == self._deep or threading.get_ident() != self._thread:
            return
        if wanted:
            self._put_on()
            self._deep = True
        elif self._take_off():
            self._deep = False
            self._deep_since_step = False
            self._let_go = True
            self.book.clear()

    def _put_on(self) -> None:
        if self._in_region():
            self._local.followed_after = True
        else:
            self._mode.put_on()

    def _take_off(self) -> bool:
        if getattr(self._local, "followed_after", False):
            self._local.followed_after = False
            return True
        return self._mode.take_off()

    @contextmanager
    def hidden(self) -> Iterator[None]:
        """Run something as if nothing was watched."""
        was = self.deep and self._take_off()
        try:
            yield
        finally:
            if was:
                self._put_on()

    def region(self, frame: FrameType, compiling: bool) -> None:
        """In this frame a compiled region begins, which must not see the mode; or it ends.

        What happens within, until the frame tells of it again, is a part of that region.
        """
        inside = getattr(self._local, "region", None)
        if inside != (id(frame) if inside is not None else None) or (inside is None and not compiling):
            return
        was = self.deep and self._take_off()
        self._local.region = id(frame) if inside is None else None
        self._taps.rest(inside is None)
        if was:
            self._put_on()
        if inside is None:
            spot = caller(2)
            for session in self.sessions:
                session.compiled.add(spot)

    def _in_region(self) -> bool:
        return getattr(self._local, "region", None) is not None

    def _decide(self, key: Any, training: bool) -> None:
        calls = self._site_calls.get(key, 0)
        step = self.step if self._steps else calls
        wanted = step < FIRST_STEPS or step % EVERY == 0
        if training:
            self._young = calls < FIRST_STEPS  # a second stage begins, or a student learns
        if not wanted:
            wanted = self._young if training else calls < FIRST_STEPS or calls % EVERY == 0
        self._set_deep(wanted)

    def _around_train(
        self, original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """An evaluation is about to begin: the first ones are followed from their first batch on."""
        mode = args[1] if len(args) > 1 else kwargs.get("mode", True)
        if mode is False and not self._deep and self._wakes < FIRST_STEPS and self.sessions:
            self._wakes += 1
            self._set_deep(True)
        return original(*args, **kwargs)

    def _around_no_grad(
        self, original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """So is one that begins in this way, of a model that has no training mode."""
        if not self._deep and self._pauses < FIRST_STEPS and self.sessions and entered_by_user(2):
            self._pauses += 1
            self._set_deep(True)
        return original(*args, **kwargs)

    # -- losses ----------------------------------------------------------------------------------------

    def _around_loss(self, spec: LossSpec) -> Callable[..., Any]:
        def around(original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            return self.loss(spec, original, args, kwargs)

        return around

    def loss(
        self,
        spec: LossSpec,
        original: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        options: Mapping[str, Any] | None = None,
    ) -> Any:
        """Call a loss and look at it; ``options`` are those that an object carries."""
        local = self._local
        if getattr(local, "busy", False) or not self.sessions or self._in_region():
            return original(*args, **kwargs)  # inside another loss, or compiled
        if torch._C._current_graph_task_id() != -1:
            return original(*args, **kwargs)  # computed again in a backward pass
        local.busy = True
        run = self._replacement(spec, original) if self._accelerates(spec, args) else original
        try:
            result = run(*args, **kwargs)
        except Exception as error:
            self._safely(self._failed, spec, args, kwargs, options, error)
            raise
        finally:
            local.busy = False
        self._safely(self._seen, spec, args, kwargs, options, result)
        self._stop_if_asked()
        return result

    def _accelerates(self, spec: LossSpec, args: tuple[Any, ...]) -> bool:
        """Whether a session wants another function in the place of this one, on tensors that it knows."""
        if spec.library != "torch" or not any(session.accelerate for session in self.sessions):
            return False
        return all(readable(value) for value in args if isinstance(value, Tensor))

    def _replacement(self, spec: LossSpec, original: Callable[..., Any]) -> Callable[..., Any]:
        from likelihead.watch.cost import accelerated

        def refused(name: str, error: Exception) -> None:
            first = next(iter(str(error).splitlines()), "")
            for session in self.sessions:
                session.note("accelerate", f"{name} was left to torch: {type(error).__name__}: {first}")

        return accelerated(spec.name, original, refused)

    @contextmanager
    def unwatched(self) -> Iterator[None]:
        """Losses that are called in here are nobody's."""
        before = getattr(self._local, "busy", False)
        self._local.busy = True
        try:
            with self.hidden():
                yield
        finally:
            self._local.busy = before

    def _seen(
        self,
        spec: LossSpec,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        options: Mapping[str, Any] | None,
        result: Any,
    ) -> None:
        given = dict(options or ()) | spec.bound(args, kwargs)
        input, target = given.pop(spec.names[0], None), given.pop(spec.target, None)
        spot = caller(2)
        if not readable(result) or not readable(input):
            for session in self.sessions:
                session.note(
                    "unread", f"{spec.name} was given tensors without numbers to read: {_UNREAD}.", spot
                )
            return
        self._mode.rested()
        phase = "training" if result.requires_grad else "evaluation"
        key = (spec.name, spot, phase)
        number, self.calls = self.calls, self.calls + 1
        calls = self._site_calls[key] = self._site_calls.get(key, 0) + 1
        # Without one of torch's optimizers each training call of a site is a step.
        step = self.step if self._steps or phase == "evaluation" else calls - 1
        deep = self.deep
        closely = deep or calls <= 3 or self._strange(key, result)
        call = LossCall(
            number, spec, spot, phase, step, given, input, target, result,  # type: ignore[arg-type]
            self.book.get(input) if deep else None,
            self.book.get(target) if deep and target is not None else None,
            deep, tuple(input.shape), tuple(target.shape) if readable(target) else (),
        )  # fmt: skip
        if closely:
            measured = look(call)
            if isinstance(measured, Pending):
                self._pending.append((measured, call))
            else:
                call.look = measured
        value = call.look.loss if call.look is not None else self._value(result)
        for session in self.sessions:
            site = session.site(spec, spot, phase)  # type: ignore[arg-type]
            site.calls += 1
            if value is not None:
                session.plot(site.loss, step, value)
        self._tell("counted", call)
        if closely:
            self._tell("call", call)
            if call.look is not None:
                self._tell("looked", call)
        call.input = call.target = call.result = None
        if deep:
            count = call.look.count if call.look is not None else None
            term = LossTerm(number, key, 1.0, call.reduction == "mean", count)
            self.book.put(result, Tag("loss", spot, terms=(term,)))
        self._collect()
        self._decide(key, phase == "training")

    def _strange(self, key: Any, result: Tensor) -> bool:
        """Whether this loss is NaN or infinite, one of the first of its site."""
        value = self._value(result)
        if value is None or math.isfinite(value):
            return False
        count = self._strange_calls[key] = self._strange_calls.get(key, 0) + 1
        return count <= 3

    @staticmethod
    def _value(result: Tensor) -> float | None:
        """The loss where reading it waits for nothing."""
        return float(result.detach()) if result.device.type == "cpu" and result.dim() == 0 else None

    def _failed(
        self,
        spec: LossSpec,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        options: Mapping[str, Any] | None,
        error: Exception,
    ) -> None:
        given = dict(options or ()) | spec.bound(args, kwargs)
        input, target = given.pop(spec.names[0], None), given.pop(spec.target, None)
        self._tell("failed", FailedCall(spec, caller(2), self.step, given, input, target, error))

    def _collect(self, wait: bool = False) -> None:
        """Hand round the numbers that have come from a device."""
        while self._pending and (wait or self._pending[0][0].ready()):
            pending, call = self._pending.pop(0)
            call.look = pending.result()
            if call.look is not None:
                self._tell("looked", call)

    # -- backward passes, steps, uses --------------------------------------------------------------------

    def _around_backward(
        self, original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        if self.sessions and self.deep:
            self._safely(self._tell, "backward_begins", None)
        with self.hidden():
            result = original(*args, **kwargs)
        if self.sessions and self.deep:
            self._safely(self._backward, args, kwargs)
            self._stop_if_asked()
        return result

    def _backward(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        tensors = args[0] if args else kwargs.get("tensors", ())
        tensors = (tensors,) if isinstance(tensors, Tensor) else tuple(tensors)
        tags = tuple(self.book.get(tensor) for tensor in tensors)
        # gradient, retain_graph, create_graph, grad_variables, inputs
        plain = not any(value is not None and value is not False for value in args[1:]) and not any(
            value is not None and value is not False and name != "tensors" for name, value in kwargs.items()
        )
        self._tell("backward", Backward(caller(2), self.step, tags, self.deep and not self._let_go, plain))
        self._let_go = False

    def _around_sign(self, what: str) -> Callable[..., Any]:
        def around(original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            told = self.sessions and threading.get_ident() == self._thread
            if told and what == "rescaled":
                self._safely(self._tell, "happened", signs.Sign("rescaling", args, kwargs, self.step))
            result = original(*args, **kwargs)
            if told:
                self._safely(self._tell, "happened", signs.Sign(what, args, kwargs, self.step))
            return result

        return around

    def _stepping(self, optimizer: Any, args: Any, kwargs: Any) -> None:
        # First, and alone: what stands before it, torch.compile would guard a compiled step by.
        if torch.compiler.is_compiling():
            return
        if self.sessions and self._deep:
            self._safely(self._tell, "step_begins", optimizer)

    def _stepped(self, optimizer: Any, args: Any, kwargs: Any) -> None:
        if torch.compiler.is_compiling():
            return
        if not self.sessions:
            return
        self._safely(self._after_step, optimizer)
        self._stop_if_asked()

    def _after_step(self, optimizer: Any) -> None:
        self._mode.rested()
        count = self._steps[id(optimizer)] = self._steps.get(id(optimizer), 0) + 1
        deep = self._deep and self._deep_since_step
        self._tell("step", Step(optimizer, caller(2), count - 1, deep))
        if count > self.step:
            self.step = count
            self._deep_steps += deep
        self._set_deep(self.step < FIRST_STEPS or self.step % EVERY == 0 or self._young)
        self._deep_since_step = self._deep
        self._let_go = False

    def use(self, what: str, tag: Tag, **details: Any) -> None:
        """A handler of `kinds` saw a tagged tensor being used."""
        value, dim = details.pop("value", None), details.pop("dim", None)
        event = Use(what, tag, caller(2), self.step, torch.is_grad_enabled(), value, dim, details)
        self._tell("used", event)

    def happened(self, what: str, *args: Any) -> None:
        """A handler of `kinds` saw one of the things of `signs`."""
        self._tell("happened", signs.Sign(what, args, {}, self.step))

    # -- telling -----------------------------------------------------------------------------------------

    def _tell(self, event: str, what: Any) -> None:
        for session in self.sessions:
            for told in session.listeners(event):
                try:
                    told(what)
                except Exception as error:
                    self.fault(error)

    def _safely(self, function: Callable[..., None], *args: Any) -> None:
        """Run a part of the watch: unseen by the modes of the script, and whatever it raises is its own."""
        if self._faults > _MOST_FAULTS:
            return
        began = time.perf_counter()
        try:
            with torch._C.DisableTorchFunction(), torch.no_grad():
                function(*args)
        except Exception as error:
            self.fault(error)
        self._overhead += time.perf_counter() - began

    def fault(self, error: BaseException) -> None:
        """Write a fault of the watch itself into the report, and not into the script's way."""
        self._faults += 1
        where = traceback.extract_tb(error.__traceback__)[-1:]
        at = f" ({os.path.basename(where[0].filename)}:{where[0].lineno})" if where else ""
        for session in self.sessions:
            session.note("fault", f"The watch itself failed: {type(error).__name__}: {error}{at}")

    def _stop_if_asked(self) -> None:
        for session in self.sessions:
            if session.stop is not None:
                finding, session.fail_fast = session.stop, False
                session.stop = None
                raise FailFast(finding, session)


ENGINE = Engine()
