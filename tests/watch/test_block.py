"""``with likelihead.watch() as w:``: what it says, what it shows, and what it leaves to the block."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import likelihead
from likelihead.errors import MisuseError, OptionError, RunError
from likelihead.watch import pages

pages_libraries = pytest.mark.skipif(
    find_spec("matplotlib") is None or find_spec("jinja2") is None, reason="the page needs the extra train"
)
TARGET = torch.tensor([0, 1])


def right() -> Tensor:
    return F.cross_entropy(torch.zeros(2, 3, requires_grad=True), TARGET)


def wrong() -> Tensor:
    return F.cross_entropy(torch.zeros(2, 3, requires_grad=True).softmax(dim=1), TARGET)


def codes(watched: Any) -> list[str]:
    return [finding.code for finding in watched.findings]


@pytest.fixture(autouse=True)
def _nothing_is_left() -> Iterator[None]:
    code = F.cross_entropy.__code__
    yield
    assert F.cross_entropy.__code__ is code
    assert torch._C._len_torch_function_stack() == 0


def test_a_test_can_ask_for_what_was_found() -> None:
    with likelihead.watch(show=False) as w:
        right().backward()
    assert not w.findings
    assert w.record.ended == "finished"
    with w:  # again: another run
        wrong()
    assert codes(w) == ["LH101"]


@pages_libraries
def test_the_report_is_printed_and_a_notebook_shows_the_page(capsys: pytest.CaptureFixture[str]) -> None:
    with likelihead.watch() as w:
        assert w._repr_html_() is None
        with pytest.raises(RuntimeError, match="read the record after the block"):
            codes(w)
        wrong()
    assert capsys.readouterr().out.startswith("likelihead watch\n")
    page = w._repr_html_()
    assert page is not None
    assert page.startswith('<iframe srcdoc="&lt;!DOCTYPE html&gt;')
    assert page.count('"') == 4  # whatever the page holds is inside the attribute
    assert "LH101" in page
    assert repr(likelihead.watch(costs=True)) == "watch(costs=True)"


def test_a_notebook_without_the_pages_libraries_shows_the_text(monkeypatch: pytest.MonkeyPatch) -> None:
    with likelihead.watch(show=False) as w:
        wrong()

    def missing(*_: object) -> str:
        raise ModuleNotFoundError("No module named 'jinja2'", name="jinja2")

    monkeypatch.setitem(vars(pages), "html_text", missing)
    page = w._repr_html_()
    assert page is not None
    assert page.startswith("<pre>")
    assert "LH101" in page


@pages_libraries
def test_what_the_block_raises_goes_on_and_the_report_is_shown(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    error = ZeroDivisionError("the block's")
    w = likelihead.watch(json=tmp_path / "r.json", html=str(tmp_path / "r.html"))

    def block() -> None:
        with w:
            wrong()
            raise error

    with pytest.raises(ZeroDivisionError) as caught:
        block()
    assert caught.value is error
    assert caught.value.__context__ is None
    assert w.record.ended == "raised ZeroDivisionError"
    assert "raised ZeroDivisionError" in capsys.readouterr().out
    assert json.loads((tmp_path / "r.json").read_text())["findings"][0]["code"] == "LH101"
    assert "LH101" in (tmp_path / "r.html").read_text()


def test_a_report_that_cannot_be_written_after_all_is_told(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    folder = tmp_path / "gone"
    w = likelihead.watch(json=folder / "r.json", show=False)

    def block(error: Exception | None) -> None:
        folder.mkdir()
        with w:
            folder.rmdir()
            if error is not None:
                raise error

    for error in (None, KeyError("the block's")):
        with pytest.raises(RunError if error is None else KeyError):
            block(error)
        assert w.record.sites == []
    assert capsys.readouterr().err.startswith("likelihead: the report could not be written: cannot write ")


def test_a_file_keeps_its_place_when_the_block_changes_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with likelihead.watch(json="r.json", show=False):
        os.chdir("/")
    assert (tmp_path / "r.json").is_file()


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"json": "no/such/r.json"}, RunError, "there is no such folder"),
        ({"json": "."}, OptionError, "json .*: that is a folder; give the name of a file"),
        ({"json": "r", "html": "./r"}, OptionError, "json and html are both .*; give each a name"),
        ({"json": 3}, TypeError, "json is 3; expected the name of a file"),
        ({"show": "no"}, TypeError, "show is 'no'; expected True or False"),
        ({"fail_fast": 1}, TypeError, "fail_fast is 1; expected True or False"),
    ],
)
def test_a_wrong_option_is_refused_on_entry(
    options: dict[str, Any],
    error: type[Exception],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=said), likelihead.watch(**options):
        raise AssertionError("entered")
    assert list(tmp_path.iterdir()) == []


def test_blocks_within_blocks_see_what_is_theirs() -> None:
    with likelihead.watch(show=False) as outer:
        wrong()
        with likelihead.watch(show=False) as inner:
            F.nll_loss(torch.zeros(2, 3, requires_grad=True).softmax(dim=1), TARGET)
        with pytest.raises(RuntimeError, match="open already"), outer:
            pass
        wrong()
    assert codes(inner) == ["LH104"]
    assert sorted(codes(outer)) == ["LH101", "LH104"]
    assert [finding.count for finding in outer.findings if finding.code == "LH101"] == [2]  # at one place


def test_fail_fast_raises_what_was_found_out_of_its_own_block() -> None:
    w = likelihead.watch(fail_fast=True, show=False)

    def block() -> None:
        with w:
            try:
                wrong()
            except Exception:  # of the script's: it does not stop the watch
                raise AssertionError("caught") from None

    with likelihead.watch(show=False) as outer, pytest.raises(MisuseError) as caught:
        block()
    assert caught.value.code == "LH101"
    assert f"{__file__}:" in str(caught.value)
    assert caught.value.__cause__ is None
    assert codes(w) == codes(outer) == ["LH101"]


def test_a_block_in_a_thread_and_one_that_is_left_in_another() -> None:
    seen: list[str] = []
    kept = likelihead.watch(show=False)

    def own() -> None:
        with likelihead.watch(show=False) as w:
            wrong()
        seen.extend(codes(w))

    for target in (own, kept.__enter__):
        thread = threading.Thread(target=target)
        thread.start()
        thread.join()
    kept.__exit__(None, None, None)
    own()
    assert seen == ["LH101"] * 2


def test_what_the_user_has_put_in_place_of_torch_s_losses(monkeypatch: pytest.MonkeyPatch) -> None:
    original = F.nll_loss

    def mine(*args: Any, **kwargs: Any) -> Tensor:
        return original(*args, **kwargs)

    class Callable:
        def __call__(self, *args: Any, **kwargs: Any) -> Tensor:
            return original(*args, **kwargs)

    monkeypatch.delattr(F, "hinge_embedding_loss")
    for stands in (mine, Callable()):
        monkeypatch.setattr(F, "nll_loss", stands)
        with likelihead.watch(show=False) as w:
            F.nll_loss(torch.zeros(2, 3, requires_grad=True).softmax(dim=1), TARGET)
        assert codes(w) == ["LH104"]
        assert F.nll_loss is stands
