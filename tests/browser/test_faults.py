"""The checks find what they are for: each planted fault is seen, and nothing is seen on a sound page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from browser.checks import VIEWS, View, faults
from browser.chromium import start
from likelihead.report.blocks import Table, Text
from likelihead.report.page import Card, Page, Section, html

WIDE, TELEPHONE, DARK = View(1200, "light"), View(375, "light"), View(1200, "dark")
LONG = "x" * 300
CELLS = "".join(f"<td>{'wide ' * 3}</td>" for _ in range(12))
LINE = '<path d="M0 0 L90 40" style="fill: none; stroke: {}; stroke-width: 2"/>'
SVG = '<figure><svg viewBox="0 0 100 50" role="img" aria-label="A line">{}</svg></figure>'


def sound() -> str:
    page = Page(
        title="a sound page",
        task="multiclass",
        line="multiclass",
        summary=["It has no fault."],
        cards=[Card("NLL", "0.1234", "nats per row")],
        sections=[
            Section("Table", [Table(["class", "F1"], [["a", 0.5]], best={(0, 1)}), Text("Nothing else.")])
        ],
    )
    return html(page)


@pytest.fixture
def planted(driver: Any, tmp_path: Path) -> Any:
    def look(snippet: str, view: View) -> list[str]:
        path = tmp_path / "page.html"
        path.write_text(sound().replace("</main>", f"{snippet}</main>"), "utf-8")
        return faults(driver, path, view)

    return look


@pytest.mark.parametrize("view", VIEWS, ids=str)
def test_a_sound_page(planted: Any, view: View) -> None:
    assert planted(SVG.format(LINE.format("var(--accent)")), view) == []


@pytest.mark.parametrize(
    ("snippet", "view", "kind"),
    [
        ("<script>console.error('planted')</script>", WIDE, "console"),
        ("<script>absent.member</script>", WIDE, "console"),
        # A port of this machine that nothing listens on: refused at once, without any network.
        ("<script>fetch('http://127.0.0.1:9/x').catch(() => 0)</script>", WIDE, "request"),
        ("<img alt='remote' src='http://127.0.0.1:9/x.png'>", WIDE, "request"),
        ("<style>@import 'http://127.0.0.1:9/x.css';</style>", WIDE, "request"),
        ("<img alt='broken' src='data:image/png;base64,AAAA'>", WIDE, "image"),
        (f"<table><tr>{CELLS}</tr></table>", TELEPHONE, "overflow"),
        (f"<table><tr>{CELLS}</tr></table>", TELEPHONE, "scroll"),
        (f"<p style='width: 20em'>{LONG}</p>", WIDE, "overflow"),
        (f"<p style='width: 20em; overflow: hidden'>{LONG}</p>", WIDE, "overflow"),
        ("<p style='position: absolute; left: -90px'>outside</p>", WIDE, "overflow"),
        (SVG.format("<text x='95' y='10'>far too long for its figure</text>"), WIDE, "overflow"),
        ("<p hidden>nobody reads this</p>", WIDE, "hidden"),
        (SVG.format(""), WIDE, "figure"),
        (SVG.format(LINE.format("var(--accent)")).replace("aria-label", "data-label"), WIDE, "figure"),
        ("<p style='color: #999'>pale</p>", WIDE, "contrast"),
        ("<p style='color: #222'>black on black</p>", DARK, "contrast"),
        ("<p style='opacity: 0.3'>faint</p>", WIDE, "contrast"),
        (SVG.format(LINE.format("#112")), DARK, "contrast"),
    ],
)
def test_a_planted_fault(planted: Any, snippet: str, view: View, kind: str) -> None:
    found = planted(snippet, view)
    assert kind in {fault.split(":")[0] for fault in found}, found


@pytest.mark.parametrize(("ci", "outcome"), [("", pytest.skip.Exception), ("true", pytest.fail.Exception)])
def test_no_browser_is_a_skip_here_and_a_failure_in_ci(
    ci: str, outcome: type[BaseException], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI", ci)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(outcome, match=r"selenium|chromium"):
        start(tmp_path)
