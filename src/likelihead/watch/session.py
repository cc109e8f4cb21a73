"""One watched run: its sites, its findings, its checks. Several may be open at once; each sees everything."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

from likelihead.hazards import lookup
from likelihead.watch import checks
from likelihead.watch.call import Phase
from likelihead.watch.checks.base import Check
from likelihead.watch.checks.shapes_seen import Shapes
from likelihead.watch.losses import LOSSES, LossSpec
from likelihead.watch.places import Spot, place
from likelihead.watch.record import Curve, Finding, Note, Place, Record, Site

__all__ = ["FailFast", "Session"]

_POINTS = 2048  # of a curve: beyond it every second one goes
_SEVERITIES = "EWI"


class FailFast(BaseException):
    """Ends the script at its first error, under ``--fail-fast``; no ``except Exception`` of its stops it."""

    def __init__(self, finding: Finding, session: Session) -> None:
        super().__init__(f"{finding.code} at {finding.at}: {finding.hazard.sentence}")
        self.finding = finding
        self.session = session


class Session:
    """Collects what the engine sees.

    Args:
        command: what is run, for the report.
        fail_fast: raise `FailFast` into the script at the first finding of severity E.
        accelerate: run likelihead's kernels in place of torch's losses.
        costs: at the end time torch's losses beside likelihead's at the shapes of the run, for a few seconds.
    """

    def __init__(
        self,
        command: tuple[str, ...] = (),
        *,
        fail_fast: bool = False,
        accelerate: bool = False,
        costs: bool = False,
    ) -> None:
        self.costs = costs
        self.command = command
        self.fail_fast = fail_fast
        self.accelerate = accelerate
        self.sites: dict[tuple[str, Spot, Phase], Site] = {}
        self.findings: dict[tuple[str, Spot], Finding] = {}
        self.notes: dict[tuple[str, str], Note] = {}
        self.compiled: set[Spot] = set()
        self.stop: Finding | None = None
        self.checks = [kind(self) for kind in checks.CHECKS]
        self._listeners: dict[str, list[Callable[[Any], None]]] = {}
        self._strides: dict[int, int] = {}
        self._began = 0.0
        self._record: Record | None = None

    # -- its life ------------------------------------------------------------------------------------

    def start(self) -> Session:
        """Begin to watch."""
        from likelihead.watch.engine import ENGINE

        self._began = time.perf_counter()
        ENGINE.enter(self)
        return self

    def finish(self, ended: str = "finished") -> Record:
        """End it; the second time the same record is given."""
        from likelihead.watch.engine import ENGINE

        if self._record is None:
            seen = ENGINE.leave(self)
            self._record = self._recorded(ended, *seen)
            self._compare_costs(ended)
        return self._record

    @property
    def ended(self) -> bool:
        """Whether there is a record."""
        return self._record is not None

    @property
    def record(self) -> Record:
        """What was found; once it has ended."""
        if self._record is None:
            raise RuntimeError("the run is still watched; read the record after the block.")
        return self._record

    def _compare_costs(self, ended: str) -> None:
        """Time the losses again, where the process has the time: not while it is being killed."""
        shapes = next((check.seen for check in self.checks if isinstance(check, Shapes)), None)
        if not self.costs or not shapes or self._record is None or ended.startswith("killed"):
            return
        from likelihead.watch.cost import replay
        from likelihead.watch.engine import ENGINE

        with ENGINE.unwatched():
            replay(self._record, shapes)

    def listeners(self, event: str) -> list[Callable[[Any], None]]:
        """The methods of the checks that want to be told of this event."""
        found = self._listeners.get(event)
        if found is None:
            heard = [
                check for check in self.checks if getattr(type(check), event) is not getattr(Check, event)
            ]
            found = self._listeners[event] = [getattr(check, event) for check in heard]
        return found

    # -- what the engine and the checks write ----------------------------------------------------------

    def site(self, spec: LossSpec, at: Spot, phase: Phase) -> Site:
        """The site of a call."""
        key = (spec.name, at, phase)
        site = self.sites.get(key)
        if site is None:
            where = place(at)
            name = spec.name if spec.library == "torch" else f"{spec.library}.{spec.name}"
            site = self.sites[key] = Site(name, where or Place(*at), phase, expects=spec.expects)
        return site

    def plot(self, curve: Curve, step: int, value: float) -> None:
        """A point of a curve; a long curve keeps every second, fourth, ... of its points."""
        stride = self._strides.get(id(curve), 1)
        if curve.steps and step - curve.steps[-1] < stride:
            return
        curve.steps.append(step)
        curve.values.append(value)
        if len(curve.steps) > _POINTS:
            del curve.steps[1::2], curve.values[1::2]
            self._strides[id(curve)] = 2 * stride

    def found(
        self,
        code: str,
        at: Spot,
        detail: str,
        *,
        step: int,
        made_at: Spot | None = None,
        values: Mapping[str, Any] | None = None,
    ) -> Finding:
        """Report a hazard; the same one at the same place is counted."""
        key = (code, at)
        finding = self.findings.get(key)
        if finding is not None:
            finding.count += 1
            if finding.made_at is None:
                finding.made_at = place(made_at)
            return finding
        finding = Finding(code, place(at) or Place(*at), detail, place(made_at), dict(values or {}), step)
        self.findings[key] = finding
        if self.fail_fast and self.stop is None and lookup(code).severity == "E":
            self.stop = finding
        return finding

    def note(self, kind: str, text: str, at: Spot | None = None) -> None:
        """Something worth knowing that is no hazard; said once."""
        self.notes.setdefault((kind, f"{text}{at}"), Note(kind, text, place(at)))

    # -- the end ---------------------------------------------------------------------------------------

    def _recorded(self, ended: str, steps: int, deep_steps: int, overhead: float) -> Record:
        record = Record(
            command=list(self.command),
            ended=ended,
            seconds=time.perf_counter() - self._began,
            steps=steps,
            deep_steps=deep_steps,
            sites=list(self.sites.values()),
            compiled=[where for spot in sorted(self.compiled) if (where := place(spot)) is not None],
            accelerated=self.accelerate,
            versions=_versions(),
            overhead_seconds=overhead,
        )
        for site in record.sites:
            if site.loss.values:
                site.first_loss, site.last_loss = site.loss.values[0], site.loss.values[-1]
        if self.accelerate:
            self._note_left()
        for check in self.checks:
            try:
                check.end(record)
            except Exception as error:
                self.note("fault", f"{type(check).__name__} failed at the end: {error!r}")
        record.findings = sorted(
            self.findings.values(),
            key=lambda finding: (_SEVERITIES.index(finding.hazard.severity), finding.step, finding.code),
        )
        record.notes = list(self.notes.values())
        return record

    def _note_left(self) -> None:
        """Name the losses that likelihead has no kernel for."""
        from likelihead.watch.cost import REPLACEMENTS

        seen = {spec for spec, _, _ in self.sites}
        left = sorted(name for name in seen if name in LOSSES and name not in REPLACEMENTS)
        if left:
            self.note("accelerate", f"Torch's own are {', '.join(left)}: likelihead has no kernel for them.")


def _versions() -> dict[str, str]:
    import platform

    import torch

    import likelihead

    return {
        "likelihead": likelihead.__version__,
        "torch": str(torch.__version__),
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
        "executable": sys.implementation.name,
    }
