"""The report of a language model: curves in bits per byte, where the loss is, and what the model writes."""

from __future__ import annotations

import math
import platform
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import torch

from likelihead.report.blocks import Block, Cell, Figure, Table, Tokens
from likelihead.report.page import Card, Page, Section, write_page
from likelihead.report.text import clean, number, percent, visible
from likelihead.train.language.excerpts import excerpt, highest_tokens
from likelihead.train.language.plots import bits_curve, position_curve
from likelihead.train.language.sample import draw
from likelihead.train.language.scoring import Scores
from likelihead.train.language.tokens import Tokenizer, characters
from likelihead.train.resolved import failure_words
from likelihead.train.run import read_metrics

if TYPE_CHECKING:
    from likelihead.train.language.problem import LanguageProblem
    from likelihead.train.loop import Trainer

__all__ = ["write"]

WORST_DOCUMENTS = 12
SAMPLE_TOKENS, SAMPLE_TEMPERATURE = 400, 0.8


def write(problem: LanguageProblem, trainer: Trainer) -> None:
    """Write ``report.html`` and ``report.json`` into the run's folder.

    Raises:
        RunError: they cannot be written.
    """
    page, figures = _page(problem, trainer)
    write_page(trainer.folder, page, figures)


def _page(problem: LanguageProblem, trainer: Trainer) -> tuple[Page, dict[str, Any]]:
    scores, tokenizer, resolved = problem.scores(), problem.corpus.tokenizer, problem.resolved
    curves = _curves(problem, trainer)
    baseline = problem.baseline_bits_per_byte
    bits = scores.bits_per_byte
    text = _sample(problem)
    worst = highest_tokens(scores, tokenizer)
    seen, documents = scores.by_seen(), scores.by_document()
    documents.sort(key=lambda row: -row[2])
    page = Page(
        title=trainer.folder.name,
        task="language",
        line=f"language · {problem.config.network} · {resolved.parameters:,} parameters · "
        f"{scores.tokens:,} held-out tokens",
        summary=_summary(scores, resolved.baseline_nll, baseline),
        cards=[
            Card("Bits per byte", number(bits), f"{number(baseline)} by frequencies alone"),
            Card("Perplexity", number(scores.perplexity), "of the held-out tokens"),
            Card(
                "Test NLL", number(scores.mean), f"nats per token; baseline {number(resolved.baseline_nll)}"
            ),
            Card("Held out", f"{scores.text.bytes:,}", f"bytes in {len(scores.text):,} documents"),
        ],
        sections=[
            Section(
                "Learning curves",
                [
                    Figure(
                        bits_curve(
                            curves["epoch"],
                            curves["train_bits_per_byte"],
                            curves["test_bits_per_byte"],
                            baseline,
                        ),
                        "Bits per byte by epoch; lower is better. The training text is scored as the steps "
                        "met it, so that early steps of an epoch weigh on it.",
                    )
                ],
                "An epoch is a pass over the training text, or 500 steps of a longer one.",
                id="curves",
            ),
            _position(seen),
            _documents(documents),
            _highest(worst, scores, tokenizer, documents),
            Section(
                "A sample",
                [Tokens([(text, math.nan)])],
                f"What the model writes by itself, at a temperature of {SAMPLE_TEMPERATURE:g}; an arrow is "
                "the end of a line.",
                id="sample",
            ),
        ],
        findings=[
            {"code": code, "message": message, "count": 1} for code, message in trainer.position.findings
        ],
        data=[problem.corpus.describe()],
        notes=list(problem.notes),
        config={**problem.config.applying("language"), "resolved": resolved.to_dict()},
        versions={
            "likelihead": version("likelihead"),
            "torch": torch.__version__,
            "python": platform.python_version(),
        },
    )
    figures = {
        "likelihood": "Categorical",
        "unit": "token",
        "figures": {
            "tokens": scores.tokens,
            "bytes": scores.bytes,
            "nll": scores.mean,
            "baseline_nll": resolved.baseline_nll,
            "perplexity": scores.perplexity,
            "bits_per_token": scores.mean / math.log(2),
            "bits_per_byte": bits,
            "baseline_bits_per_byte": baseline,
        },
        "headline": {"parameters": resolved.parameters, "steps": trainer.position.step},
        "curves": curves,
        "by_tokens_read": [dict(zip(("first", "last", "tokens", "nll"), row, strict=True)) for row in seen],
        "documents": [
            dict(zip(("name", "tokens", "nll", "bits_per_byte"), row, strict=True))
            for row in documents[:WORST_DOCUMENTS]
        ],
        "highest_loss": worst,
        "sample": text,
    }
    return page, figures


def _summary(scores: Scores, baseline_nll: float, baseline_bits: float) -> list[str]:
    unsure = f"It is as unsure of the next token as of a fair choice among {number(scores.perplexity)}."
    pair = f"{number(scores.mean)} nats per token against {number(baseline_nll)}"
    failed = failure_words(scores.mean, baseline_nll, pair, "tokens' frequencies alone")
    if failed:
        return [failed, unsure]
    if not scores.mean < baseline_nll:
        return [
            f"The model takes {number(scores.mean)} nats for a token of text that it has not seen.",
            f"The tokens' frequencies alone take {number(baseline_nll)}: the model is of no use yet.",
            unsure,
        ]
    if math.isnan(scores.bits_per_byte):  # no token stands for bytes
        first, less = f"{number(scores.mean)} nats for a token", 1 - scores.mean / baseline_nll
        alone = number(baseline_nll)
    else:
        first, less = (
            f"{number(scores.bits_per_byte)} bits for a byte",
            1 - scores.bits_per_byte / baseline_bits,
        )
        alone = number(baseline_bits)
    return [
        f"The model takes {first} of text that it has not seen.",
        f"The tokens' frequencies alone take {alone}, of which it saves {percent(less)}.",
        unsure,
    ]


def _curves(problem: LanguageProblem, trainer: Trainer) -> dict[str, Any]:
    epochs = [record for record in read_metrics(trainer.folder) if record["kind"] == "epoch"]

    def column(name: str) -> list[float]:
        return [math.nan if record[name] is None else float(record[name]) for record in epochs]

    train = column("train_nll")
    return {
        "epoch": [record["epoch"] for record in epochs],
        "train_nll": train,
        "test_nll": column("test_nll"),
        "train_bits_per_byte": [problem.train_bits(nll) for nll in train],
        "test_bits_per_byte": column(problem.score_name),
        "baseline_nll": problem.resolved.baseline_nll,
    }


def _position(seen: list[tuple[int, int, int, float]]) -> Section:
    rows: list[list[Cell]] = [
        [f"{low:,} to {high:,}" if high > low else f"{low:,}", count, nll] for low, high, count, nll in seen
    ]
    return Section(
        "Loss by what was read before",
        [
            Figure(
                position_curve([row[0] for row in seen], [row[3] for row in seen]),
                "Mean NLL of a token by how many tokens the network had read before it in the same document. "
                "The curve falls as far as the network makes use of what it reads.",
            ),
            Table(["tokens read", "tokens scored", "NLL"], rows, label="NLL by tokens read"),
        ],
        id="position",
    )


def _documents(documents: list[tuple[str, int, float, float]]) -> Section:
    rows: list[list[Cell]] = [
        [clean(name), tokens, nll, bits] for name, tokens, nll, bits in documents[:WORST_DOCUMENTS]
    ]
    more = len(documents) - len(rows)
    return Section(
        "Documents",
        [
            Table(
                ["document", "tokens", "NLL", "bits per byte"],
                rows,
                label="NLL by document",
                note=f"{more:,} more have a lower NLL." if more else "",
            )
        ],
        "The held-out documents that the model finds least likely. NLL is in nats per token.",
        id="documents",
    )


def _highest(
    worst: list[dict[str, Any]],
    scores: Scores,
    tokenizer: Tokenizer,
    documents: list[tuple[str, int, float, float]],
) -> Section:
    rows = [
        [
            clean(w["document"], 40),
            visible(w["before"][-40:]),
            visible(w["token"]),
            w["nll"],
            visible(w["after"]),
        ]
        for w in worst
    ]
    blocks: list[Block] = [
        Table(
            ["document", "before", "token", "NLL", "after"],
            [[v.replace("\n", "") if isinstance(v, str) else v for v in row] for row in rows],
            label="Tokens with the highest loss",
        )
    ]
    names = [documents[0][0]]
    middle = documents[len(documents) // 2][0]
    names += [middle] if middle not in names else []
    for name, what in zip(names, ("the least likely document", "a document in the middle"), strict=False):
        blocks.append(excerpt(scores, tokenizer, name, what))
    lead = (
        "The held-out tokens that the model finds least likely, and the beginning of two documents, coloured "
        "by loss. An arrow is the end of a line."
    )
    return Section("Highest loss", blocks, lead, id="losses")


def _sample(problem: LanguageProblem) -> str:
    tokenizer = problem.corpus.tokenizer
    generator = torch.Generator().manual_seed(problem.config.seed)
    ids = draw(
        problem.model,
        tokenizer,
        [],
        problem.config.context,
        tokens=SAMPLE_TOKENS,
        temperature=SAMPLE_TEMPERATURE,
        top_k=0,
        generator=generator,
    )
    return "".join(characters(tokenizer.bytes_of[i] for i in ids))
