"""The demo: both routes side by side, and an exit code that can fail."""

from __future__ import annotations

import pytest

from likelihead.train import demo


def test_the_demo_shows_both_routes(capsys: pytest.CaptureFixture[str]) -> None:
    assert demo.main() == 0
    shown = capsys.readouterr().out
    assert "CrossEntropyLoss" in shown
    assert "NLLLoss" in shown
    assert "largest difference between two weights" in shown


def test_the_demo_can_fail(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "DIFFERENCE", -1.0)
    assert demo.main(epochs=1) == 1
    assert "expected" in capsys.readouterr().out
