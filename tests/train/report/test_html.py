"""The page: complete, self-contained, well-formed, and safe against what stands in the data."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest

from likelihead.errors import RunError
from likelihead.train.report import write_report

TASKS = ["multiclass", "binary", "multilabel", "regression"]
COMMON = {"summary", "curves", "losses", "guard", "data", "config", "versions"}
SECTIONS = {
    "multiclass": COMMON | {"confusion", "reliability", "classes"},
    "binary": COMMON | {"confusion", "reliability", "classes"},
    "multilabel": COMMON | {"confusion", "reliability", "classes"},
    "regression": COMMON | {"regression"},
}
VOID = {"meta", "link", "br", "hr", "img", "input"}


class Page(HTMLParser):
    """Checks that tags nest, and collects ids, tags, attributes and the text that a reader sees."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        self.ids += [value or "" for name, value in attrs if name == "id"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


@pytest.fixture
def page(tmp_path: Path) -> Any:
    def build(content: Any) -> Page:
        write_report(tmp_path, content)
        return Page((tmp_path / "report.html").read_text("utf-8"))

    return build


@pytest.mark.parametrize("task", TASKS)
def test_every_section_is_there_and_the_page_is_well_formed(task: str, make: Any, page: Any) -> None:
    built = page(make(task))
    assert set(built.ids) >= SECTIONS[task]
    assert len(built.ids) == len(set(built.ids))
    assert built.tags.count("svg") == 2 + (task != "multilabel") * (task == "regression") + (
        task != "regression"
    )
    labels = [value for tag, name, value in built.attributes if (tag, name) == ("svg", "aria-label")]
    assert len(labels) == built.tags.count("svg")
    assert all(len(label) > 20 for label in labels)


@pytest.mark.parametrize("task", TASKS)
def test_the_page_asks_nothing_of_any_network(task: str, make: Any, tmp_path: Path) -> None:
    write_report(tmp_path, make(task))
    text = (tmp_path / "report.html").read_text("utf-8")
    assert not re.search(r"https?:|//[a-z]|@import|<script|<iframe|<img", text)
    assert set(re.findall(r"url\((.)", text)) <= {"#"}
    targets = re.findall(r'(?:href|src)="([^"]*)"', text)
    assert all(t.startswith(("#", "data:")) for t in targets)
    # Every reference within the page finds its element.
    ids = set(re.findall(r'\bid="([^"]*)"', text))
    assert {t[1:] for t in targets if t.startswith("#")} | set(re.findall(r"url\(#([^)]*)\)", text)) <= ids


@pytest.mark.parametrize("task", TASKS)
def test_the_same_content_gives_the_same_bytes(task: str, make: Any, tmp_path: Path) -> None:
    written = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        write_report(tmp_path / name, make(task))
        written.append([(tmp_path / name / f).read_bytes() for f in ("report.html", "report.json")])
    assert written[0] == written[1]
    assert sorted(p.name for p in (tmp_path / "a").iterdir()) == ["report.html", "report.json"]


def test_the_users_matplotlib_settings_neither_matter_nor_change(make: Any, tmp_path: Path) -> None:
    write_report(tmp_path, make("multiclass"))
    before = (tmp_path / "report.html").read_bytes()
    with matplotlib.rc_context({"font.size": 30, "lines.linewidth": 9, "axes.facecolor": "red"}):
        write_report(tmp_path, make("multiclass"))
        assert matplotlib.rcParams["font.size"] == 30
    assert (tmp_path / "report.html").read_bytes() == before


def test_hostile_names_and_cells_are_text(make: Any, page: Any) -> None:
    names = (
        "<script>alert(1)</script>",
        "cost $5$ & $x_$",
        "日本語",
        "العربية",
        "x" * 5000,
        '" onload="',
        "\ud800\x00😀",
    )
    content = make("multiclass", names=names)
    cells = {"</td><script>": "<img src=x onerror=alert(1)>", "list": [1, None], "long": "word " * 100_000}
    content = replace(
        content,
        run_name="<b>run</b>",
        raw_rows=dict.fromkeys(content.raw_rows, cells),
        notes=["<i>note</i>"],
        guard_findings=[{"code": "<u>", "message": "<script>", "count": 1}],
        config={"<k>": "</table>"},
        versions={"<v>": "&amp;"},
    )
    built = page(content)
    assert not {"script", "img", "i", "u", "k", "v"} & set(built.tags)
    assert not [name for _, name, _ in built.attributes if name.startswith("on")]
    assert "<script>alert(1)</script>" in built.text
    assert "cost $5$ & $x_$" in built.text
    assert "日本語" in built.text
    assert "<b>run</b>" in built.text
    assert "&amp;" in built.text
    assert len(built.text) < 60_000


def test_the_summary_is_one_plain_sentence_with_its_numbers(make: Any, page: Any) -> None:
    content = make("multiclass")
    nll, baseline = float(content.test.nll.mean()), content.curves.baseline_nll
    share = f"{100 * (1 - nll / baseline):.1f}%"
    text = page(content).text
    assert f"The model explains {share} of the class-prior baseline's NLL: {nll:.4f} nats" in text
    right = int((content.test.predictions.argmax(axis=1) == content.test.targets).sum())
    assert f"It is right on {right} of 60 test rows." in text


def test_a_model_below_the_baseline_is_called_so(make: Any, make_curves: Any, page: Any) -> None:
    content = make("binary", curves=make_curves(0.7, 0.7, baseline_nll=0.01))
    assert "does no better than the class-prior baseline" in page(content).text
    assert "LH704" in page(content).text


def test_a_class_without_test_rows_has_dashes(make: Any, page: Any) -> None:
    content = make("multiclass", n=12, names=("a", "b", "never"))
    test = content.test
    probs = test.predictions.copy()
    probs[:, 2] = 0.0
    built = page(replace(content, test=replace(test, targets=np.minimum(test.targets, 1), predictions=probs)))
    assert "never 0 – – – –" in built.text


@pytest.mark.parametrize("task", TASKS)
def test_one_epoch(task: str, make: Any, make_curves: Any, page: Any) -> None:
    assert "curves" in page(make(task, curves=make_curves(1.0, 0.5, epochs=1))).ids


@pytest.mark.parametrize("task", TASKS)
def test_no_epoch_and_values_that_are_not_finite(task: str, make: Any, make_curves: Any, page: Any) -> None:
    assert "curves" in page(make(task, curves=make_curves(1.0, 0.5, epochs=0))).ids  # the baseline
    inf = float("inf")
    broken = make_curves(1.0, 0.5, epochs=3, train_nll=[inf, float("nan"), 1e300], baseline_nll=inf)
    assert "curves" in page(make(task, curves=broken)).ids


@pytest.mark.parametrize("task", TASKS)
def test_an_empty_test_set_and_a_single_row(task: str, make: Any, page: Any) -> None:
    assert "The test set is empty" in page(make(task, n=0)).text
    assert "The test set is empty" not in page(make(task, n=1)).text


@pytest.mark.parametrize("task", TASKS)
def test_predictions_that_are_not_finite_are_counted_and_left_out(task: str, make: Any, page: Any) -> None:
    content = make(task)
    predictions, nll = content.test.predictions.copy(), content.test.nll.copy()
    predictions[:4], nll[:4] = np.nan, np.nan
    built = page(replace(content, test=replace(content.test, predictions=predictions, nll=nll)))
    assert f"4 of {len(nll)} test rows have predictions that are not finite" in built.text
    predictions[:] = np.nan
    built = page(replace(content, test=replace(content.test, predictions=predictions, nll=nll)))
    assert f"{len(nll)} of {len(nll)} test rows have predictions that are not finite" in built.text


def test_findings_carry_code_remedy_and_count(make: Any, page: Any) -> None:
    text = page(make("multiclass")).text
    assert "LH103" in text
    assert "Remedy." in text
    assert "seen 240 times" in text
    assert "The guard found nothing to report." in page(make("multiclass", guard_findings=[])).text


def test_many_classes_get_a_picture_and_numbers(make: Any, page: Any) -> None:
    built = page(make("multiclass", n=500, names=tuple(f"class {i}" for i in range(130))))
    assert "image" in built.tags
    assert "td" in built.tags
    assert not [value for _, name, value in built.attributes if name == "class" and "matrix" in value]
    assert "129 class 129" in built.text
    assert "image" not in page(make("multiclass", n=500, names=tuple(f"class {i}" for i in range(25)))).tags


def test_more_classes_than_a_matrix_can_hold(make: Any, page: Any) -> None:
    assert "too large to be drawn" in page(make("multiclass", n=30, names=tuple(map(str, range(1001))))).text


def test_many_labels_many_columns_and_many_targets(make: Any, page: Any) -> None:
    assert "The first 24 of 60 labels" in page(make("multilabel", names=tuple(map(str, range(60))))).text
    cells = {f"c{i}": i for i in range(64)}
    content = make("regression", n=3000, names=tuple("abcdefgh"))
    built = page(replace(content, raw_rows=dict.fromkeys(content.raw_rows, cells)))
    assert "34 more columns in report.json" in built.text
    assert "2,000 of 3,000 rows are drawn" in built.text


@pytest.mark.parametrize("value", [0.0, -3.5, 1e-300, 1e90])
def test_constant_targets_and_predictions(value: float, make: Any, page: Any) -> None:
    content = make("regression", n=8)
    test = replace(content.test, targets=np.full(8, value), predictions=np.full(8, value))
    assert "R² –" in page(replace(content, test=test)).text


def test_predictions_too_large_to_square(make: Any, page: Any) -> None:
    content = make("regression", n=8)
    predictions = content.test.predictions.copy()
    predictions[0] = 1e300
    built = page(replace(content, test=replace(content.test, predictions=predictions)))
    assert "1 of 8 test rows have predictions that are not finite" in built.text


def test_a_folder_that_is_not_there_is_one_clear_line(make: Any, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"cannot write .*report\.html"):
        write_report(tmp_path / "absent", make("binary"))
    assert list(tmp_path.iterdir()) == []
