"""What a watched run leaves behind: plain data without tensors, which the pages and other programs read.

Steps count from 0: what happens before the first optimizer step ends is step 0. Losses and entropies are in
nats. NaN stands for a number that was looked at and is none; None for one that was not looked at.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from likelihead.hazards import Hazard, lookup

__all__ = ["Classes", "Cost", "Curve", "Finding", "Note", "Part", "Place", "Record", "Site"]


@dataclass(frozen=True, order=True)
class Place:
    """A line of the user's code.

    Attributes:
        file: as python has it: absolute, or ``"<stdin>"``, ``"<ipython-input-3>"``.
        line: counted from 1.
        text: the line itself, stripped; empty where it cannot be read.
    """

    file: str
    line: int
    text: str = ""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass
class Finding:
    """One hazard at one place, however often it was met.

    Attributes:
        code: of the hazard: ``"LH101"``.
        at: where the loss (or the step, the prediction, ...) took it.
        made_at: where the offending value was made, as far as it is known.
        detail: what was seen, in full sentences, with the values.
        values: the same values for programs.
        step: the first step at which it was seen.
        count: how often it was seen; looked-at calls only.
        ranks: the ranks that saw it; empty where there is one process.
    """

    code: str
    at: Place
    detail: str
    made_at: Place | None = None
    values: Mapping[str, float | int | str | bool | None] = field(default_factory=dict)
    step: int = 0
    count: int = 1
    ranks: tuple[int, ...] = ()

    @property
    def hazard(self) -> Hazard:
        """Its row of the table: name, severity, sentence and remedy."""
        return lookup(self.code)


@dataclass(frozen=True)
class Note:
    """Something worth knowing that is no hazard.

    Attributes:
        kind: ``"saturation"``, ``"confident"``, ``"dtype"``, ``"unseen-label"``, ``"unread"``,
            ``"children"``, ``"threads"``, ``"fault"`` (of the watch itself), ...
        text: full sentences.
        at: the line it is about.
    """

    kind: str
    text: str
    at: Place | None = None


@dataclass
class Curve:
    """Numbers over the steps of training; both lists have one length."""

    steps: list[int] = field(default_factory=list)
    values: list[float] = field(default_factory=list)


@dataclass
class Classes:
    """How often each class was a target.

    Attributes:
        classes: how many there are.
        counts: by class index; only those seen.
        ignored: targets that ignore_index left out.
        unseen: some of the classes that were never a target.
        unseen_count: how many there are of those.
    """

    classes: int
    counts: dict[int, float] = field(default_factory=dict)
    ignored: int = 0
    unseen: list[int] = field(default_factory=list)
    unseen_count: int = 0


@dataclass
class Site:
    """One place that calls a loss, in training or in evaluation.

    Attributes:
        function: ``"cross_entropy"``; for a loss of Keras or likelihead with the library's name before it.
        at: the user's line.
        phase: ``"training"`` where a gradient was wanted, else ``"evaluation"``.
        calls: how often it was called; looked_at: how many of these were looked into.
        went_in: the input in words: ``"softmax over dimension 1, float32 [64, 10]"``.
        expects: what this loss expects: ``"logits"``.
        fits: whether that is what went in; None where it is not known.
        made_at: where the input was made.
        target: the target in words: ``"class indices, int64 [64]"``.
        options: what differs from the defaults: ``{"ignore_index": 0}``.
        reduction: ``"mean"``, ``"sum"``, ``"none"``.
        device: ``"cpu"``, ``"cuda:0"``.
        first_loss, last_loss: of the curve, where it has any value.
        baseline: the loss of the best constant prediction for the targets seen, under the same options.
        loss: the curve of the values that it returned (of the mean, where there is no reduction).
        entropy: mean entropy of the predictions.
        saturated: share of the predicted probabilities within 1e-6 of 0 or 1, where last looked.
        confident_wrong: share of the gradient that comes from rows predicted wrong with more than 0.9.
        classes: of the targets.
        optimised: what part of the losses that are backpropagated it is, where it is known: 1.0, 0.25.
    """

    function: str
    at: Place
    phase: Literal["training", "evaluation"] = "training"
    calls: int = 0
    looked_at: int = 0
    went_in: str = ""
    expects: str = ""
    fits: bool | None = None
    made_at: Place | None = None
    target: str = ""
    options: dict[str, str] = field(default_factory=dict)
    reduction: str = "mean"
    device: str = "cpu"
    first_loss: float | None = None
    last_loss: float | None = None
    baseline: float | None = None
    loss: Curve = field(default_factory=Curve)
    entropy: Curve = field(default_factory=Curve)
    saturated: float | None = None
    confident_wrong: float | None = None
    classes: Classes | None = None
    optimised: float | None = None


@dataclass
class Cost:
    """What a loss call costs, forward and backward, in torch and by likelihead's kernels.

    Attributes:
        function: the loss.
        shape, dtype, device: of its input, as recorded in the run.
        calls: how often the run made such a call.
        torch_ms, likelihead_ms: median time of one call with its gradient, measured side by side.
        torch_mib, likelihead_mib: extra peak memory of one call.
        measured: ``"replayed"`` on made-up values of this shape.
    """

    function: str
    shape: tuple[int, ...]
    dtype: str
    device: str
    calls: int
    torch_ms: float
    likelihead_ms: float
    torch_mib: float | None = None
    likelihead_mib: float | None = None
    measured: str = "replayed"


@dataclass(frozen=True)
class Part:
    """One rank's part in the loss of an optimizer step.

    Attributes:
        function, at: the loss, and the user's line that called it.
        step: of the optimizer.
        loss: what it went backward from.
        total: the sum over its targets; count: how many there are.
    """

    function: str
    at: Place
    step: int
    loss: float
    total: float
    count: float


@dataclass
class Record:
    """Everything that the report says.

    Attributes:
        command: what was run, as the user wrote it: ``["train.py", "--lr", "0.1"]``.
        ended: how: ``"finished"``, ``"raised ValueError"``, ``"exit code 3"``, ``"killed by SIGTERM"``.
        seconds: from start to end.
        steps: optimizer steps seen.
        deep_steps: those during which tensors were followed.
        sites, findings, notes, costs: see above. Findings are sorted: E first, then by first step.
        compiled: places of compiled regions, which were left alone.
        ranks: how many processes this report is about.
        accelerated: whether likelihead's kernels ran in place of torch's losses.
        versions: torch, likelihead, python, processor.
        overhead_seconds: what the watch itself took, as far as it can tell.
        parts: of the first steps of one rank among several; none where the ranks have been compared.
    """

    command: Sequence[str] = ()
    ended: str = "finished"
    seconds: float = 0.0
    steps: int = 0
    deep_steps: int = 0
    sites: list[Site] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    costs: list[Cost] = field(default_factory=list)
    compiled: list[Place] = field(default_factory=list)
    ranks: int = 1
    accelerated: bool = False
    versions: dict[str, str] = field(default_factory=dict)
    overhead_seconds: float = 0.0
    parts: list[Part] = field(default_factory=list)

    @property
    def has_errors(self) -> bool:
        """Whether any finding is of severity E."""
        return any(finding.hazard.severity == "E" for finding in self.findings)
