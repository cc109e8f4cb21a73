"""The report in the terminal, as JSON and as a page, of usual records and of such as a page must stand."""

from __future__ import annotations

import io
import json
import re
import sys
from html import unescape

import pytest

from likelihead.watch import pages
from likelihead.watch.pages import check_html
from likelihead.watch.pages.html import html_text
from likelihead.watch.pages.json import json_text
from likelihead.watch.pages.terminal import FINDINGS, SITES, print_report, render
from likelihead.watch.pages.words import sentences, settled
from likelihead.watch.record import Classes
from watch.pages.records import NAN, RECORDS, Curve, falling, site, usual


def words(page: str) -> str:
    body = page[page.index("<body>") :]
    return " ".join(unescape(re.sub(r"<svg.*?</svg>|<[^>]*>", " ", body, flags=re.DOTALL)).split())


@pytest.mark.parametrize("name", RECORDS)
def test_each_face_of_each_record(name: str) -> None:
    record = RECORDS[name]
    for width in (30, 80, 140):
        text = render(record, width=width)
        assert "\x1b" not in text
        assert "\x07" not in text
    page = html_text(record)
    assert page == html_text(record)
    assert "<script" not in page
    read = json.loads(json_text(record))
    assert (read["schema"], read["schema_version"]) == ("likelihead.watch", 1)
    first = " ".join(sentences(record))
    assert " ".join(read["summary"]) == first
    assert first in words(page)
    assert " ".join(first.split()) in " ".join(render(record, width=10_000).split())


def test_a_finding_with_its_two_places_and_its_remedy() -> None:
    text = render(RECORDS["usual"])
    assert "/home/u/project/train.py:31: LH101 error: " in text
    assert "\n     31 | loss = F.cross_entropy(probs, y)\n" in text
    assert "  made at /home/u/project/model.py:12:\n     12 | return x.softmax(dim=1)\n" in text
    assert "  seen 46 times, first at step 0\n  remedy: Pass the logits" in text
    assert "on ranks 0 to 2, 7" in text


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({}, "fell from 2.303 to 0.4236 nats (mean of the last tenth), 81.6% below the 2.299"),
        ({"loss": falling(2.3, 2.31)}, "which is no better than the 2.299 of a model"),
        (
            {"loss": falling(2.3, 2.31), "classes": Classes(999, dict.fromkeys(range(900), 1.0))},
            "; the best constant prediction for these targets, in hindsight, costs 2.299, and there are",
        ),
        ({"loss": Curve([0, 1], [1.0, 3.0])}, "rose from 1.000 to 3.000 nats, which is no better"),
        ({"loss": Curve([0, 1], [1.0, 1.0]), "baseline": None}, "stayed at 1.000 nats."),
        ({"loss": Curve([4], [2.0]), "baseline": NAN, "expects": "numbers"}, "was 2.000."),
        (
            {"loss": Curve([3, 4], [2.0, NAN])},
            "not a finite number at 1 step of the 2 looked at, first at step 4",
        ),
        ({"loss": Curve()}, "none of its values was looked at"),
    ],
)
def test_what_a_loss_did(changes: dict[str, object], says: str) -> None:
    assert says in sentences(usual(sites=[site(**changes)]))[0]


@pytest.mark.parametrize(
    ("ended", "says"),
    [
        ("finished", "train.py ran to its end:"),
        ("exit code 3", "train.py ended with exit code 3:"),
        ("killed by SIGTERM", "train.py was killed by SIGTERM:"),
        ("raised ValueError", "train.py raised ValueError:"),
    ],
)
def test_how_a_run_ended(ended: str, says: str) -> None:
    assert sentences(usual(ended=ended))[0].startswith(says)


def test_what_was_not_seen_is_said() -> None:
    assert sentences(RECORDS["usual"])[-1].startswith("1 compiled region was left alone")
    assert "None of 3 loss calls was looked into." in sentences(RECORDS["unlooked"])
    assert "No hazard was met; 46 of 1,200 loss calls were looked into." in sentences(RECORDS["silent"])


def test_the_end_of_a_curve_is_the_mean_of_its_last_tenth() -> None:
    assert settled([9.0] * 18 + [1.0, 3.0]) == 2.0
    assert settled([5.0, NAN]) == 5.0


def test_long_reports_are_cut_in_the_terminal_alone() -> None:
    record = RECORDS["many-sites"]
    text = render(record)
    assert text.count("LH109 warning: ") == FINDINGS
    assert f"and {len(record.sites) - SITES:,} more" in text
    read = json.loads(json_text(record))
    assert (len(read["sites"]), len(read["findings"])) == (300, 60)


def test_json_has_no_nan_and_all_fields() -> None:
    read = json.loads(json_text(RECORDS["not-numbers"]), parse_constant=pytest.fail)
    assert read["sites"][0]["loss"]["values"][:4] == [2.3, None, 2.0, None]
    finding = json.loads(json_text(RECORDS["usual"]))["findings"][0]
    assert (finding["code"], finding["severity"], finding["level"]) == ("LH101", "E", "error")
    assert finding["remedy"].startswith("Pass the logits")


def test_files_of_one_name_are_told_apart() -> None:
    text = html_text(RECORDS["many-sites"])
    assert "part_3.py:13" in text
    assert "losses/part_3.py:13" not in text


class Terminal(io.TextIOWrapper):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_a_stream_of_any_encoding(encoding: str) -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding)
    print_report(RECORDS["hostile"], stream)
    text = raw.getvalue().decode(encoding)
    assert ("日本語" in text) == (encoding == "utf-8")
    assert "\x1b" not in text


def test_colours_in_a_terminal_that_has_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    raw = io.BytesIO()
    stream = Terminal(raw, encoding="utf-8")
    print_report(RECORDS["usual"], stream)
    assert b"\x1b[" in raw.getvalue()


def test_a_page_that_cannot_be_made_is_said_before_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    check_html()
    monkeypatch.setitem(sys.modules, "jinja2", None)
    monkeypatch.setattr(pages, "find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError) as caught:
        check_html()
    assert caught.value.name == "jinja2"
