"""The report's sections that belong to one task: quantiles, counts, ranks."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from likelihead.likelihoods import Likelihood
from likelihead.report.blocks import Bars, Block, Figure, Table
from likelihead.report.page import Section
from likelihead.report.text import number, percent
from likelihead.train.config import TrainConfig
from likelihead.train.report import Bin, Reliability
from likelihead.train.report.plots import reliability_lines
from likelihead.train.table.data import Schema
from likelihead.train.table.data.schema import COUNTS
from likelihead.train.table.means import mean_of
from likelihead.train.table.numbers import NumberFigures
from likelihead.train.table.ranks import RankFigures

__all__ = ["own_sections"]

# So many counts have a bar of their own; the last stands for those above, too.
_COUNTS_SHOWN = 15
# From this far off 1 on, the page says what the dispersion means.
_NEAR_ONE = 0.2


def own_sections(
    likelihood: Likelihood,
    config: TrainConfig,
    schema: Schema,
    output: Tensor,
    target: Tensor,
    weight: Tensor | None,
) -> tuple[list[Section], dict[str, Any]]:
    """The sections, and their figures for ``report.json``: headline figures under ``figures``."""
    with torch.no_grad():
        if schema.task == "ordinal":
            return _ranks(likelihood, schema, output, target, weight)
        figures = NumberFigures(config.levels, schema, likelihood)
        figures.add(output, target, weight)
        if schema.task == "quantile":
            return _quantiles(figures)
        if schema.task in COUNTS:
            return _counts(figures, likelihood, schema, output, target, weight)
    return [], {}


def _quantiles(figures: NumberFigures) -> tuple[list[Section], dict[str, Any]]:
    rows, named = figures.per_level(), figures.figures()
    table = Table(
        ["level", "share of targets not above it", "pinball loss"],
        [[f"{row['level']:g}", percent(row["share_below"]), number(row["pinball"])] for row in rows],
        figures={0, 1, 2},
        label="The quantiles on the test set",
        note="The pinball loss is in the target's units; less is better.",
    )
    bins = tuple(Bin(0.0, 1.0, 1.0, row["level"], row["share_below"]) for row in rows)
    off = sum(abs(row["level"] - row["share_below"]) for row in rows) / len(rows)
    drawn = reliability_lines(
        [(Reliability(bins, off), "accent")], "level", "share of targets not above it", "quantiles"
    )
    covered = ""
    if "interval_coverage" in named:
        covered = (
            f" Between the outermost quantiles lie {percent(named['interval_coverage'])} of the targets; "
            f"{percent(named['interval_stated'])} should."
        )
    blocks: list[Block] = [
        Figure(drawn, f"On the dashed line a quantile holds as much as it says.{covered}"),
        table,
    ]
    lead = "Of the targets, a share equal to its level should lie at a quantile or below it."
    return [Section("Quantiles", blocks, lead, id="quantiles")], {"figures": named, "per_level": rows}


def _counts(
    figures: NumberFigures,
    likelihood: Likelihood,
    schema: Schema,
    output: Tensor,
    target: Tensor,
    weight: Tensor | None,
) -> tuple[list[Section], dict[str, Any]]:
    named = figures.figures()
    distribution = likelihood.distribution(output)
    last = int(min(_COUNTS_SHOWN, max(1, int(target.max()))))
    observed, expected = [], []
    for count in range(last):
        observed.append(mean_of((target == count).double(), weight))
        chance = distribution.log_prob(torch.full_like(target, count)).exp()
        expected.append(mean_of(chance, weight))
    observed.append(max(0.0, 1 - sum(observed)))
    expected.append(max(0.0, 1 - sum(expected)))
    names = [*map(str, range(last)), f"{last} and more"]
    dispersion = named["dispersion"]
    said = ""
    if dispersion > 1 + _NEAR_ONE:
        said = " The counts vary more than the model says"
        said += "; try --task overdispersed-count." if schema.task == "count" else "."
    elif dispersion < 1 - _NEAR_ONE:
        said = " The counts vary less than the model says."
    blocks: list[Block] = [
        Bars(
            names,
            {"observed": observed, "expected": expected},
            share=True,
            caption="Share of the test rows with each count, and what the model expects of the same rows.",
        ),
        Table(
            ["", "value"],
            [
                ["dispersion: squared errors over the predicted variance; 1 is right", dispersion],
                ["rows with a count of 0", percent(named["zeros"])],
                ["rows expected to have a count of 0", percent(named["zeros_stated"])],
            ],
            figures={1},
            label="How the counts are spread",
        ),
    ]
    lead = f"Whether the counts are spread as the {type(likelihood).__name__} distribution says.{said}"
    section = Section("Counts", blocks, lead, id="counts")
    shares = [
        {"count": name, "observed": seen, "expected": hoped}
        for name, seen, hoped in zip(names, observed, expected, strict=True)
    ]
    return [section], {"figures": named, "counts": shares}


def _ranks(
    likelihood: Likelihood, schema: Schema, output: Tensor, target: Tensor, weight: Tensor | None
) -> tuple[list[Section], dict[str, Any]]:
    predicted = likelihood.predict(output)
    ranks = RankFigures(len(schema.classes))
    ranks.add(predicted, target, weight)
    off = (predicted - target).abs()
    near = mean_of((off <= 1).double(), weight)
    named = {"mae": ranks.mae, "quadratic_kappa": ranks.kappa, "within_one": near}
    shares = [mean_of((off == step).double(), weight) for step in range(len(schema.classes))]
    blocks: list[Block] = [
        Bars(
            [f"{step} rank{'' if step == 1 else 's'}" for step in range(len(shares))],
            {"test rows": shares},
            share=True,
            caption="How far the predicted class is from the true one.",
        ),
        Table(
            ["", "value"],
            [
                ["mean distance in ranks", ranks.mae],
                ["at most one rank off", percent(near)],
                ["quadratic weighted kappa: 1 is perfect, 0 chance", ranks.kappa],
            ],
            figures={1},
            label="How far off",
        ),
    ]
    lead = "The classes have an order: a prediction beside the true class is better than one far from it."
    return [Section("Ranks", blocks, lead, id="ranks")], {"figures": named}
