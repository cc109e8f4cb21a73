"""The pages in a real browser: no request, every figure drawn, fit for a telephone and for the dark."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from browser.checks import VIEWS, faults
from likelihead.report.blocks import (
    Bars,
    Callout,
    Figure,
    Images,
    Legend,
    Lines,
    Picture,
    Table,
    Text,
    Tokens,
)
from likelihead.report.page import Card, Page, Section, write_page
from likelihead.report.pictures import class_colours, heat_map, mask_picture, png_of
from likelihead.train import TrainConfig, train
from likelihead.train.compare import compare
from likelihead.train.report import Curves
from likelihead.train.report.plots import learning_curves
from likelihead.watch.pages.html import html_text
from watch.pages.records import RECORDS

HOSTILE = ("<b>bold</b>", "a_name_without_any_place_to_break_it_" * 3, "日本語のクラス", "العربية", "x & y")


def table(folder: Path, target: Callable[[np.ndarray], list[str]], heads: str) -> str:
    """A CSV of 60 rows with two features of which the target is a function."""
    x = np.random.default_rng(0).normal(size=(60, 2))
    lines = [f"{a:.3f},{b:.3f},{t}" for (a, b), t in zip(x, target(x), strict=True)]
    path = folder / "table.csv"
    path.write_text("\n".join([f"first,second,{heads}", *lines]) + "\n", "utf-8")
    return str(path)


def regression(folder: Path) -> TrainConfig:
    data = table(folder, lambda x: [f"{a - b:.3f}" for a, b in x], "height")
    return TrainConfig(data=data, task="regression", epochs=3)


def multilabel(folder: Path) -> TrainConfig:
    data = table(folder, lambda x: [f"{a > 0:d},{b > 0:d},{a > b:d}" for a, b in x], "news,sport,arts")
    return TrainConfig(data=data, target=("news", "sport", "arts"), task="multilabel", epochs=3)


def hostile(folder: Path) -> TrainConfig:
    data = table(folder, lambda x: [HOSTILE[int(abs(5 * a)) % 5] for a, _ in x], "class")
    return TrainConfig(data=data, task="multiclass", epochs=2)


def language(folder: Path) -> TrainConfig:
    for i, name in enumerate(HOSTILE[1:]):
        (folder / f"{name}.txt").write_text(" ".join(HOSTILE) * (5 + i) + "\n\t" + "y" * 300, "utf-8")
    return TrainConfig(
        data=str(folder), task="language", hidden=(8,), context=16, epochs=2, test_fraction=0.4
    )


def scenes(task: str) -> Callable[[Path], TrainConfig]:
    """A few steps on ``digit-scenes``, tested on 50 of them."""
    return lambda folder: TrainConfig(
        data="digit-scenes", task=task, hidden=(4, 8), epochs=2, steps=4, test_fraction=0.01
    )


# The report of each task: a line here opens it in the browser. The folder is for a run's data.
REPORTS: dict[str, Callable[[Path], TrainConfig]] = {
    "binary": lambda folder: TrainConfig(data="breast-cancer", epochs=3),
    "multiclass": lambda folder: TrainConfig(data="digits", epochs=3),
    "multiclass-hostile-names": hostile,
    "language": language,
    "multilabel": multilabel,
    "regression": regression,
    "segmentation": scenes("segmentation"),
    "multilabel-images": scenes("multilabel"),
}


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    made: dict[str, Path] = {}

    def get(name: str) -> Path:
        if name not in made:
            folder = tmp_path_factory.mktemp(name)
            made[name] = train(REPORTS[name](folder), out=folder / "run").folder / "report.html"
        return made[name]

    return get


def check(driver: Any, page: Path) -> None:
    found = {str(view): faults(driver, page, view) for view in VIEWS}
    assert found == {str(view): [] for view in VIEWS}


@pytest.mark.parametrize("name", REPORTS)
def test_the_report_of(name: str, driver: Any, report: Callable[[str], Path]) -> None:
    check(driver, report(name))


@pytest.mark.parametrize(
    "options",
    [
        [{"lr": 0.02}, {"hidden": (8,)}],
        [{"seed": n, "epochs": n} for n in range(1, 9)],
    ],
    ids=["two", "eight-with-other-data"],
)
def test_a_comparison(options: list[dict[str, Any]], driver: Any, tmp_path: Path) -> None:
    runs = [
        train(
            TrainConfig(data="iris", **{"epochs": 2, **changes}), out=tmp_path / f"a-run-with-a-name-{i}"
        ).folder
        for i, changes in enumerate(options)
    ]
    check(driver, compare(runs, tmp_path / "compare.html").out)


def test_every_block(driver: Any, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    image, mask = rng.random((24, 32)), rng.integers(-1, 12, (24, 32))
    pictures = [
        Picture(png_of(image), "scene 1, mean NLL 0.31"),
        Picture(png_of(mask_picture(mask, ignore_index=-1)), "mask"),
        Picture(png_of(heat_map(image, rng.random((24, 32)))), "loss"),
    ]
    curves = Curves([1, 2, 3], [2.0, 1.0, 0.8], [2.1, 1.2, 1.0], 3.1)
    words = ["def", " softmax", "(", "x", "):\n", "\t", "return", " 日本", " <b>", "\x00"]
    tokens = [(word, float(rng.exponential(3))) for word in words * 9]
    colours = [(f"class {c}", colour) for c, colour in enumerate(class_colours(12))]
    names = [*HOSTILE, "plain"]
    sections = [
        Section("Curves", [Figure(learning_curves(curves, "unigram baseline", unit="token"), "By epoch.")]),
        Section(
            "Pictures", [Legend(colours), Images(pictures * 4, per_line=3), Images(pictures, smooth=True)]
        ),
        Section(
            "Bars",
            [Bars(names, {"before": rng.random(6), "after": rng.random(6)}, share=True, caption="Recall.")],
        ),
        Section(
            "Text",
            [Tokens([*tokens, ("y" * 400, 4.0)], title="os.py", caption="The stronger, the less expected.")],
        ),
        Section(
            "Table",
            [
                Callout("Mind", "the gap", names),
                Table(names, [names], title="Names"),
                Lines(names),
                Text("End."),
            ],
        ),
    ]
    page = Page("every block", "demo", "demo", ["One page."], [Card("NLL", "1.3", "nats")], sections)
    write_page(tmp_path, page, {})
    check(driver, tmp_path / "report.html")


@pytest.mark.parametrize("name", RECORDS)
def test_a_watched_run(name: str, driver: Any, tmp_path: Path) -> None:
    page = tmp_path / "watch.html"
    page.write_text(html_text(RECORDS[name]), "utf-8")
    check(driver, page)
