"""What a check is: an object of a session that is told of events and reports what it is sure of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from likelihead.watch.call import Backward, FailedCall, LossCall, Step, Use
from likelihead.watch.record import Record
from likelihead.watch.signs import Sign

if TYPE_CHECKING:
    from likelihead.watch.session import Session

__all__ = ["Check"]


class Check:
    """One idea about what may go wrong. Every method may be left out; none may keep a tensor.

    What a method raises is a fault of the watch: it is written into the report and not seen by the script.
    """

    def __init__(self, session: Session) -> None:
        self.session = session

    def call(self, call: LossCall) -> None:
        """A loss was called and looked into; its tensors are there, on a device its numbers not yet."""

    def looked(self, call: LossCall) -> None:
        """The numbers of a call (``call.look``) have come; its tensors may be gone."""

    def counted(self, call: LossCall) -> None:
        """A loss was called, looked into or not: with shapes and options, and no more."""

    def failed(self, call: FailedCall) -> None:
        """Torch refused a loss call."""

    def backward_begins(self, event: None) -> None:
        """A backward pass is about to run, where tensors are followed."""

    def backward(self, event: Backward) -> None:
        """A backward pass has ended."""

    def step_begins(self, optimizer: Any) -> None:
        """An optimizer is about to step, where tensors are followed."""

    def step(self, event: Step) -> None:
        """An optimizer has stepped."""

    def happened(self, sign: Sign) -> None:
        """One of the other functions of `signs` was called."""

    def used(self, event: Use) -> None:
        """A tagged tensor was put to use."""

    def end(self, record: Record) -> None:
        """The run has ended; sites and curves are in the record, and findings may still be made."""
