"""From findings to edits: which findings hang together, what is done about them, and how certain that is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import libcst as cst

from likelihead.lint.findings import Finding
from likelihead.lint.fix import FIXABLE, Fixed, Skipped
from likelihead.lint.fix.code import Code, Project
from likelihead.lint.fix.criteria import Criteria, Criterion
from likelihead.lint.fix.edits import Clash, Edits
from likelihead.lint.fix.flow import Flow
from likelihead.lint.fix.local import unshifted, use_the_input, use_the_log
from likelihead.lint.fix.makers import Applied, Cannot, Made, made_at
from likelihead.lint.fix.names import changed_in_place

__all__ = ["fix"]

_BCE = ("torch.nn.functional.binary_cross_entropy", "torch.nn.BCELoss")
_NLL = ("torch.nn.functional.nll_loss", "torch.nn.NLLLoss")


@dataclass(frozen=True)
class _Remedy:
    """What is done for one code.

    Attributes:
        kind: the activation that must have made the value.
        log: whether that is to make the logarithm, rather than to go.
        loss: the losses of which the one that is called changes.
        unwrap: whether the call that takes the value goes.
    """

    kind: str | None = None
    log: bool = False
    loss: tuple[str, ...] = ()
    unwrap: bool = False


_REMEDIES = {
    "LH101": _Remedy("softmax"),
    "LH102": _Remedy("sigmoid"),
    "LH103": _Remedy("log_softmax"),
    "LH104": _Remedy("softmax", log=True),
    "LH105": _Remedy(loss=_NLL),
    "LH106": _Remedy("sigmoid"),
    "LH108": _Remedy(loss=_BCE),
    "LH109": _Remedy("sigmoid", loss=_BCE),
    "LH110": _Remedy("softmax", log=True, unwrap=True),
}


@dataclass(eq=False)
class _Task:
    """A finding, and what stands at its places."""

    finding: Finding
    code: Code
    call: cst.Call
    remedy: _Remedy
    made: Made | None = None
    criterion: Criterion | None = None

    @property
    def place(self) -> tuple[str, tuple[int, int]]:
        return self.code.path, self.code.span(self.call)

    @property
    def keys(self) -> list[object]:
        """What it shares with other findings that can only be fixed together with it."""
        keys: list[object] = [self.place]
        if self.made is not None:
            keys.append((self.made.code.path, self.made.code.span(self.made.start)))
        if self.criterion is not None:
            keys.append((self.criterion.code.path, self.criterion.code.span(self.criterion.func)))
        return keys


@dataclass
class _Outcome:
    edits: Edits = field(default_factory=Edits)
    doubts: list[str] = field(default_factory=list)


def fix(
    sources: Mapping[str, str], findings: Sequence[Finding], result: dict[str, Fixed], *, unsafe: bool
) -> None:
    """Fill `result`: the new texts, the findings that were fixed and those that were not."""
    project = Project(sources)
    criteria = Criteria(project)

    def skip(those: Iterable[Finding], reason: str) -> None:
        for finding in those:
            result[finding.path].skipped.append(Skipped(finding, reason))

    tasks = []
    for finding in findings:
        try:
            tasks.append(_task(project, criteria, finding))
        except Cannot as why:
            skip([finding], str(why))
    done = Edits()
    texts: dict[str, str] = {}
    for group in _groups(tasks):
        those = [task.finding for task in group]
        try:
            outcome = _outcome(project, group)
            if outcome.doubts and not unsafe:
                skip(those, f"only with --unsafe-fixes: {outcome.doubts[0]}")
                continue
            outcome.edits.check(done)
            together = Edits().merge([done, outcome.edits])
            changed = {code.path: together.text(code, project) for code in outcome.edits.codes}
        except Cannot as why:
            skip(those, str(why))
        except Clash:
            skip(those, "another fix changes the same lines: fix again after it")
        else:
            done = together
            texts |= changed
            for finding in those:
                result[finding.path].applied.append(finding)
    for path, text in texts.items():
        mark = "\ufeff" if sources[path].startswith("\ufeff") else ""
        result[path].text = mark + text


def _task(project: Project, criteria: Criteria, finding: Finding) -> _Task:
    remedy = _REMEDIES[finding.code]
    code = project.code(finding.path)
    if code is None:
        raise Cannot("libcst cannot read the file")
    call = code.call_at(finding.place)
    if call is None:
        raise Cannot("the call that was found is not there: has the file changed?")
    if finding.code in ("LH104", "LH105") and _per_example(code, call):
        raise Cannot("a loss of each example alone may be meant to pick its entry")
    task = _Task(finding, code, call, remedy)
    if remedy.kind is not None:
        if finding.made is None:
            raise Cannot("where the value is made is not known")
        task.made = made_at(project, finding.made)
        if task.made.kind != remedy.kind:
            raise Cannot(f"a {task.made.kind} stands where a {remedy.kind} was found: has the file changed?")
    if remedy.loss:
        task.criterion = criteria.at(code, call, remedy.loss)
    return task


def _per_example(code: Code, call: cst.Call) -> bool:
    return any(
        arg.keyword is not None
        and arg.keyword.value == "reduction"
        and code.source(arg.value).strip("\"'") not in ("mean", "sum")
        for arg in call.args
    )


def _groups(tasks: Sequence[_Task]) -> list[list[_Task]]:
    """The tasks that share a place, an activation or a loss object, directly or through others."""
    groups: list[tuple[set[object], list[_Task]]] = []
    for task in tasks:
        keys, members = set(task.keys), [task]
        for group in [g for g in groups if g[0] & keys]:
            groups.remove(group)
            keys |= group[0]
            members = group[1] + members
        groups.append((keys, members))
    return [members for _, members in groups]


def _outcome(project: Project, group: Sequence[_Task]) -> _Outcome:
    outcome = _Outcome()
    if len({(t.remedy.log, t.remedy.unwrap, t.remedy.kind is None) for t in group}) > 1:
        codes = " and ".join(sorted({task.finding.code for task in group}))
        raise Cannot(f"{codes} meet here and want different things: fix one by hand")
    for task in group:
        if FIXABLE[task.finding.code] == "unsafe":
            outcome.doubts.append(f"the remedy of {task.finding.code} depends on what is meant")
    for criterion in {task.criterion for task in group if task.criterion is not None}:
        _change_loss(criterion, group, outcome)
    made: dict[object, Made] = {}
    for task in group:
        if task.made is not None:
            made.setdefault((task.made.code.path, task.made.code.span(task.made.start)), task.made)
    if made:
        _change_activations(project, list(made.values()), group, outcome)
    if outcome.edits.losses:
        outcome.doubts.append(f"the comment at {min(outcome.edits.losses)} would go with it")
    return outcome


def _change_loss(criterion: Criterion, group: Sequence[_Task], outcome: _Outcome) -> None:
    if criterion.others:
        raise Cannot(f"what the loss object does at {min(criterion.others)} was not followed")
    elsewhere = criterion.called - {task.place for task in group if task.criterion is criterion}
    if elsewhere:
        path, span = min(elsewhere)
        where = next(task.criterion.code for task in group if task.criterion is criterion)
        line = f"{path}:{where.line_at(span[0])}" if path == where.path else path
        raise Cannot(f"the loss object is also called at {line}, where nothing was found")
    if criterion.mixed and any(task.made is not None for task in group):
        outcome.doubts.append(f"another loss may be called in its place ({min(criterion.mixed)})")
    criterion.take_logits(outcome.edits)


def _change_activations(
    project: Project, mades: Sequence[Made], group: Sequence[_Task], outcome: _Outcome
) -> None:
    ends = frozenset(task.place for task in group)
    whole = Flow(project, ends)
    reached: set[object] = set()
    at_source: set[object] = set()
    for made in mades:
        if made.layer is not None:
            flow = Flow(project, ends, made.dim).run(made.code, made.layer.sequential, layer=True)
            whole.run(made.code, made.layer.sequential, layer=True)
            at_source |= flow.reached
            _doubt(flow, outcome)
            if group[0].remedy.log:
                made.take_the_log(outcome.edits)
            else:
                outcome.edits.remove_elements(made.code, [made.layer.element], made.layer.among)
            continue
        flows = {
            applied: Flow(project, ends, made.dim).run(applied.code, applied.call, layer=False)
            for applied in made.applied
        }
        taken = [applied for applied, flow in flows.items() if flow.reached]
        if not taken:
            raise Cannot(
                f"what becomes of the value of {made.code.path}:{made.code.line(made.start)} was not followed"
            )
        changed: list[Applied] = []
        gone = 0
        for applied in taken:
            flow = flows[applied]
            if flow.shifted:
                outcome.doubts.append("what is added to the value goes with it, or has another meaning")
            local = _locally(applied, flow, group, outcome)
            gone += local == "gone"
            if local:
                reached |= flow.reached
                continue
            changed.append(applied)
            whole.run(applied.code, applied.call, layer=False)
            at_source |= flow.reached
            _doubt(flow, outcome)
        _change_calls(made, changed, group, outcome)
        if gone + (0 if group[0].remedy.log else len(changed)) == len(made.applied):
            made.forget_the_layer(outcome.edits)
    for task in group:
        if task.remedy.unwrap and task.place not in reached:
            outcome.edits.unwrap(task.code, task.call, _taken_by_log(task))
        if task.place not in reached | at_source:
            raise Cannot(
                f"the way of the value to {task.code.path}:{task.code.line(task.call)} was not followed"
            )
    if at_source and any(task.criterion or task.remedy.unwrap for task in group) and (mixed := whole.mixed()):
        outcome.doubts.append(f"another value may come the same way at {min(mixed)}")


def _doubt(flow: Flow, outcome: _Outcome) -> None:
    if flow.others:
        outcome.doubts.append(f"the value has another use at {min(flow.others)}")
    if flow.promised:
        outcome.doubts.append(f"{min(flow.promised)} would no longer be what its name says")


def _locally(applied: Applied, flow: Flow, group: Sequence[_Task], outcome: _Outcome) -> str:
    """Let the loss take another value, so that the other uses of the activation stay as they are.

    Returns:
        ``"gone"`` if nothing needs the activation any more, ``"kept"`` if something does, ``""`` if this
        cannot be.
    """
    calls = [task.call for task in group if task.code is applied.code and task.place in flow.reached]
    if len({applied.code.span(c) for c in calls}) != len(flow.reached):
        return ""
    if group[0].remedy.log:
        return use_the_log(applied, calls, outcome.edits, whole=group[0].remedy.unwrap, alone=not flow.others)
    return use_the_input(applied, calls, outcome.edits, alone=not flow.others)


def _change_calls(made: Made, changed: Sequence[Applied], group: Sequence[_Task], outcome: _Outcome) -> None:
    if group[0].remedy.log:
        if changed:
            if made.construct is not None and (made.others or len(changed) != len(made.applied)):
                raise Cannot("the layer is used elsewhere too")
            made.take_the_log(outcome.edits)
        return
    for applied in changed:
        if applied.casts:
            outcome.doubts.append("the activation also casts to another dtype")
        if isinstance(applied.input, cst.Name) and changed_in_place(applied.code, applied.input):
            outcome.doubts.append(f"{applied.input.value} is changed in place")
        parent = applied.code.parent(applied.call)
        if (
            isinstance(parent, cst.Assign)
            and len(parent.targets) == 1
            and isinstance(applied.input, cst.Name)
            and applied.code.source(parent.targets[0].target) == applied.input.value
        ):
            outcome.edits.remove_statement(applied.code, parent)
        else:
            outcome.edits.unwrap(applied.code, applied.call, applied.input)


def _taken_by_log(task: _Task) -> cst.BaseExpression:
    """What a call of ``log`` takes."""
    call = task.call
    if task.code.imported(call.func) == "torch.log" and len(call.args) == 1:
        return unshifted(call.args[0].value)
    if isinstance(call.func, cst.Attribute) and call.func.attr.value == "log" and not call.args:
        return unshifted(call.func.value)
    raise Cannot("the call that was found is no logarithm of one value: has the file changed?")
