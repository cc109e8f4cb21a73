"""Records of runs that were never run: usual ones, and such as a page must stand."""

from __future__ import annotations

import math
from typing import Any

from likelihead.watch.record import Classes, Cost, Curve, Finding, Note, Place, Record, Site

HOSTILE = "/home/u/<b>x&y</b>/日本語\x1b[31m/" + "a_long_name" * 8 + ".py"
NAN = math.nan
INFINITE = math.inf


def place(line: int, text: str = "", file: str = "/home/u/project/train.py") -> Place:
    return Place(file, line, text)


def falling(first: float, last: float, points: int = 400, stride: int = 3) -> Curve:
    values = [
        last + (first - last) * math.exp(-5 * i / points) + 0.05 * first * math.sin(7.3 * i * i)
        for i in range(points)
    ]
    values[0] = first
    return Curve([stride * i for i in range(points)], values)


def site(**changes: Any) -> Site:
    loss = changes.pop("loss", falling(2.3026, 0.42))
    values: dict[str, Any] = {
        "function": "cross_entropy",
        "at": place(31, "loss = F.cross_entropy(model(x), y)"),
        "calls": 1200,
        "looked_at": 46,
        "went_in": "logits, float32 [64, 10]",
        "expects": "logits",
        "fits": True,
        "made_at": place(12, "return self.head(x)", "/home/u/project/model.py"),
        "target": "class indices, int64 [64]",
        "options": {"ignore_index": "0"},
        "loss": loss,
        "first_loss": loss.values[0] if loss.values else None,
        "last_loss": loss.values[-1] if loss.values else None,
        "baseline": 2.2994,
        "entropy": falling(2.29, 0.31),
        "saturated": 0.031,
        "confident_wrong": 0.22,
        "classes": Classes(10, {c: 5421.0 + 140 * c for c in range(10) if c != 4}, 17, [4], 1),
    }
    return Site(**{**values, **changes})


def misuse(code: str = "LH101", **changes: Any) -> Finding:
    values: dict[str, Any] = {
        "at": place(31, "loss = F.cross_entropy(probs, y)"),
        "detail": "The input is a softmax over dimension 1: each of its 64 rows sums to 1.",
        "made_at": place(12, "return x.softmax(dim=1)", "/home/u/project/model.py"),
        "values": {"largest_row_sum": 1.0000001, "rows": 64, "dim": 1},
        "count": 46,
    }
    return Finding(code, **{**values, **changes})


def usual(**changes: Any) -> Record:
    """A script with one mistake, and all that a record may hold."""
    values: dict[str, Any] = {
        "command": ["train.py", "--lr", "0.1"],
        "seconds": 63.2,
        "steps": 1200,
        "deep_steps": 46,
        "sites": [
            site(went_in="softmax over dimension 1, float32 [64, 10]", fits=False),
            site(
                at=place(52, "val += F.cross_entropy(model(x), y, reduction='sum')"),
                phase="evaluation",
                calls=157,
                looked_at=10,
                reduction="sum",
                loss=falling(2.1, 0.5, 12, 100),
                classes=None,
                saturated=None,
                confident_wrong=None,
                entropy=Curve(),
            ),
        ],
        "findings": [
            misuse(),
            misuse(
                "LH704",
                detail="After 1,200 steps the loss is 2.301; the class-prior baseline is 2.299.",
                made_at=None,
                step=1199,
                count=1,
                ranks=(0, 1, 2, 7),
            ),
        ],
        "notes": [
            Note("unseen-label", "Class 4 was never a target.", place(31)),
            Note("dtype", "The loss is computed in bfloat16.", place(31)),
            Note("children", "Two processes were started, and not followed."),
        ],
        "costs": [Cost("cross_entropy", (64, 10), "float32", "cpu", 1200, 0.21, 0.052, 0.01, 0.005)],
        "compiled": [place(44, "step = torch.compile(step)")],
        "versions": {"likelihead": "0.1.0", "torch": "2.13.0", "python": "3.11.2"},
        "overhead_seconds": 0.7,
    }
    return Record(**{**values, **changes})


def many_classes() -> Record:
    """A language model's vocabulary, most of it never seen."""
    counts = {c: float(round(60000 / (1 + c))) for c in range(0, 10_000, 3)}
    classes = Classes(10_000, counts, 0, list(range(1, 60, 3)), 6666)
    return usual(sites=[site(went_in="unknown, float32 [64, 10000]", fits=None, classes=classes)])


def many_sites() -> Record:
    losses = [
        site(at=place(10 + i, file=f"/home/u/project/losses/part_{i % 7}.py"), calls=i + 1, entropy=Curve())
        for i in range(300)
    ]
    found = [misuse("LH109", at=place(i), step=i) for i in range(60)]
    return usual(sites=losses, findings=found)


def hostile() -> Record:
    """Names and lines that want to be markup, commands of a terminal, or wider than any page."""
    bad = Place(HOSTILE, 7, "loss = f('<script>alert(1)</script>\x1b[2J', " + "x" * 400 + ")")
    return usual(
        command=["<script>alert(1)</script>.py", "\x1b[31m", "[red]x[/red]"],
        ended="raised <b>ValueError</b>\x07",
        sites=[
            site(
                at=bad,
                made_at=bad,
                function="keras.<i>loss</i>",
                options={"<u>": "</u>"},
                went_in="<b>\x1b[1m",
            )
        ],
        findings=[
            misuse(at=bad, made_at=bad, detail="[bold]<img src=x>\x1b]0;title\x07[/bold] " + "y" * 300)
        ],
        notes=[Note("<kind>", "[blink]<b>note</b>\x1b[5m", bad)],
        versions={"<b>": "</b>"},
    )


def not_numbers() -> Record:
    curve = Curve(list(range(20)), [2.3, INFINITE, 2.0] + [NAN] * 17)
    return usual(
        sites=[
            site(
                loss=curve,
                baseline=NAN,
                entropy=Curve([0, 1], [NAN, INFINITE]),
                first_loss=2.3,
                last_loss=NAN,
                saturated=NAN,
                confident_wrong=NAN,
            )
        ],
        findings=[misuse("LH801", values={"loss": NAN, "x": -INFINITE})],
        costs=[],
    )


def one_step() -> Record:
    return usual(
        steps=1,
        deep_steps=1,
        sites=[
            site(calls=1, looked_at=1, loss=Curve([0], [2.31]), entropy=Curve([0], [2.29]), baseline=None)
        ],
        findings=[],
        costs=[],
        compiled=[],
        notes=[],
    )


def unlooked() -> Record:
    """Losses that were called and never looked into: all in compiled regions, say."""
    bare = Site("binary_cross_entropy", place(8), calls=3)
    return usual(sites=[bare], findings=[], notes=[], costs=[])


RECORDS: dict[str, Record] = {
    "usual": usual(),
    "silent": usual(sites=[site()], findings=[], notes=[], compiled=[], costs=[]),
    "empty": Record(),
    "no-loss": usual(sites=[], findings=[], notes=[], costs=[], compiled=[]),
    "evaluation-alone": usual(sites=[site(phase="evaluation")], findings=[], steps=0),
    "one-step": one_step(),
    "unlooked": unlooked(),
    "not-numbers": not_numbers(),
    "many-classes": many_classes(),
    "many-sites": many_sites(),
    "hostile": hostile(),
    "accelerated": usual(accelerated=True, ranks=8),
}
