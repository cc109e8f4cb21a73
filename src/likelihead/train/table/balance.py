"""The report's section on unequal class frequencies: what a correction does to recall and to calibration."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from likelihead.evaluate import CalibrationError
from likelihead.evaluate.inputs import stated
from likelihead.likelihoods import Likelihood
from likelihead.likelihoods.categorical import Categorical
from likelihead.report.blocks import Bars, Block, Figure, Legend, Table
from likelihead.report.page import Section
from likelihead.report.svg import COLOURS, bare, drawing, to_svg
from likelihead.report.text import number, percent
from likelihead.train.config import TrainConfig
from likelihead.train.table.data import Schema
from likelihead.train.table.means import Mean, weighing
from likelihead.train.table.network import through_logits

__all__ = ["TAUS", "UNEQUAL", "World", "balance_section", "worlds"]

TAUS = (0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0)
"""How much of the log prior is taken off the logits, in the report's table."""

UNEQUAL = 3.0
"""From this ratio of the most frequent class to the rarest on, a report has the section."""

_CLASSES_SHOWN = 30


@dataclass(frozen=True)
class World:
    """The figures of a model whose output was shifted to other frequencies of the classes.

    Attributes:
        tau: how much of the log prior is taken off; None for the run's own output.
        accuracy, balanced_accuracy, ece, nll: on the test rows.
        recall: of each class; NaN without test rows.
    """

    tau: float | None
    accuracy: float
    balanced_accuracy: float
    ece: float
    nll: float
    recall: tuple[float, ...]

    def figures(self) -> dict[str, object]:
        """As ``report.json`` has them."""
        return {
            "tau": self.tau,
            "accuracy": self.accuracy,
            "balanced_accuracy": self.balanced_accuracy,
            "ece": self.ece,
            "nll": self.nll,
            "recall": list(self.recall),
        }


def worlds(
    likelihood: Likelihood,
    output: Tensor,
    target: Tensor,
    log_prior: Tensor,
    shift: Tensor | None,
    *,
    sample_weight: Tensor | None = None,
) -> list[World]:
    r"""The same outputs for different frequencies of the classes, the run's own first.

    With s the shift that the training took off the log prior (:func:`prior_shift`), a row is
    :math:`z + s - \tau \log \pi`: at 0 for the training's own frequencies, at 1 for equal ones.

    Args:
        likelihood: the plain one.
        output: ``[N, C]`` or ``[N]``, as the run predicts.
        target: class indices.
        log_prior: ``[C]``, of the training rows.
        shift: ``[C]``; None where it is not known, and the run's own output stands in for 0.
        sample_weight: ``[N]``, how much each row counts; None where each counts once.
    """
    known = torch.zeros_like(log_prior) if shift is None else shift
    rows = [_world(None, likelihood, output, target, len(log_prior), sample_weight)]
    for tau in TAUS:
        moved = _shifted(likelihood, output, known - tau * log_prior)
        rows.append(_world(tau, likelihood, moved, target, len(log_prior), sample_weight))
    return rows


def _shifted(likelihood: Likelihood, output: Tensor, by: Tensor) -> Tensor:
    step = by if isinstance(likelihood, Categorical) else by[1] - by[0]
    return through_logits(likelihood, output, lambda z: z + step)


def _world(
    tau: float | None,
    likelihood: Likelihood,
    output: Tensor,
    target: Tensor,
    num_classes: int,
    weight: Tensor | None,
) -> World:
    predicted, truth = likelihood.predict(output).long(), target.long()
    right = predicted == truth
    of_right = None if weight is None else weight[right]
    support = torch.bincount(truth, weight, minlength=num_classes).double()
    hits = torch.bincount(truth[right], of_right, minlength=num_classes).double()
    nll = Mean()
    nll.add(likelihood.nll(output, target), weight)
    recall = hits / support
    error = CalibrationError()
    error.update(*stated(likelihood, output, target), **weighing(weight))
    return World(
        tau,
        float(hits.sum() / support.sum()),
        float(recall[support > 0].mean()),
        error.compute(),
        nll.value,
        tuple(recall.tolist()),
    )


def balance_section(config: TrainConfig, schema: Schema, rows: list[World], *, known: bool) -> Section:
    """The table over tau, its curves, and the recall of each class.

    Args:
        config: of the run.
        schema: of the run.
        rows: as :func:`worlds` gives them.
        known: whether the training's shift was.
    """
    own, post = rows[0], rows[1:]
    names, counts = schema.target.names, schema.target.counts
    most, least = max(counts), min(counts)
    cells: list[list[str | int | float | None]] = [
        [
            "as predicted" if w.tau is None else f"{w.tau:g}",
            w.accuracy,
            w.balanced_accuracy,
            _least(w),
            w.ece,
            w.nll,
        ]
        for w in rows
    ]
    zero, one = post[0], next(w for w in post if w.tau == 1.0)
    lead = (
        f"Of the training rows {_many(most)} are of the most frequent class, {_many(least)} of the rarest. "
        f"{_done(config)} Below, the same network's logits are moved by tau times the log of the classes' "
        "shares in training: at 0 they are for the training's own shares, at 1 for equally frequent classes. "
        "Nothing is trained again."
    )
    if not known:
        lead += " What its class weights took off is not known, so the network as it is stands in for 0."
    table = Table(
        ["tau", "accuracy", "balanced accuracy", "lowest recall", "ECE", "NLL"],
        cells,
        best=_best(cells),
        label="What moving the prior does",
        note="On the test rows, which are not there to choose a tau by: take it from what the classes' "
        "shares will be where the model is used, or leave it at 1.",
    )
    blocks: list[Block] = [
        table,
        Figure(
            _curve(post),
            f"Balanced accuracy goes from {percent(zero.balanced_accuracy)} at a tau of 0 to "
            f"{percent(one.balanced_accuracy)} at 1, ECE from {percent(zero.ece)} to {percent(one.ece)}.",
        ),
        Legend([("balanced accuracy", "accent"), ("accuracy", "second"), ("ECE", "muted")]),
    ]
    shown = _shown(counts)
    series = {"tau 0": zero, "tau 1": one}
    if own.recall not in (zero.recall, one.recall):
        series["as predicted"] = own
    blocks.append(
        Bars(
            [f"{names[c]} ({_many(counts[c])})" for c in shown],
            {name: [w.recall[c] for c in shown] for name, w in series.items()},
            share=True,
            caption="Recall of each class, with its training rows"
            + ("" if len(shown) == len(names) else f"; the {len(shown)} rarest of {len(names)}")
            + ".",
        )
    )
    return Section("Class frequencies", blocks, lead, id="balance")


def _done(config: TrainConfig) -> str:
    """What the training did about the frequencies."""
    done = []
    if config.logit_adjustment:
        done.append(f"logit adjustment with a tau of {config.logit_adjustment:g} in the loss")
    if config.class_weight != "none":
        weights = config.class_weight if config.class_weight in ("balanced", "effective") else "given"
        done.append(f"{weights} class weights")
    if config.resample != "none":
        done.append("rows drawn so that every class comes equally often")
    if config.focal:
        done.append(f"a focal loss with a gamma of {config.focal:g}")
    return f"The training had {' and '.join(done)}." if done else "The training did nothing about it."


def _many(count: float) -> str:
    return f"{count:,.0f}" if float(count).is_integer() else f"{count:,.1f}"


def _least(world: World) -> float:
    return min((value for value in world.recall if not math.isnan(value)), default=math.nan)


def _shown(counts: tuple[float, ...]) -> list[int]:
    """The rarest classes, in their own order."""
    by_count = sorted(range(len(counts)), key=lambda c: (counts[c], c))
    return sorted(by_count[:_CLASSES_SHOWN])


def _best(cells: list[list[str | int | float | None]]) -> list[tuple[int, int]]:
    best = []
    for column in range(1, 6):
        values = [float(str(row[column])) for row in cells]
        finite = [value for value in values if math.isfinite(value)]
        if finite and max(finite) > min(finite):
            wanted = min(finite) if column >= 4 else max(finite)
            best += [(row, column) for row, value in enumerate(values) if value == wanted]
    return best


def _curve(rows: list[World]) -> str:
    taus = [row.tau for row in rows if row.tau is not None]
    lines = {
        "accent": [row.balanced_accuracy for row in rows],
        "second": [row.accuracy for row in rows],
        "muted": [row.ece for row in rows],
    }
    with drawing():
        figure, axes = bare()
        for colour, values in lines.items():
            axes.plot(taus, values, "o-", color=COLOURS[colour], markersize=4)
        axes.set_ylim(0, 1.04)
        axes.set_yticks([0, 0.25, 0.5, 0.75, 1], ["0%", "25%", "50%", "75%", "100%"])
        axes.set_xlabel("tau: the share of the log prior taken off")
        described = "; ".join(
            f"at {row.tau:g} {number(row.balanced_accuracy)} and {number(row.ece)}" for row in rows
        )
        return to_svg(figure, "balance", f"Balanced accuracy and ECE over tau: {described}.")
