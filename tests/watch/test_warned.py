"""Warnings under the watch: the same text at the same place, as often as the filters let it through."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from likelihead.watch.session import Session


def two_lines_out() -> None:
    warnings.warn("two out", DeprecationWarning, 2)


WARNED: list[Callable[[], object]] = [
    lambda: F.mse_loss(torch.zeros(3), torch.zeros(3, 1)),
    lambda: nn.MSELoss()(torch.zeros(3), torch.zeros(3, 1)),
    lambda: F.kl_div(torch.zeros(2, 3), torch.zeros(2, 3)),
    lambda: F.softmax(torch.zeros(2, 3)),
    lambda: nn.Softmax()(torch.zeros(2, 3)),
    lambda: torch.tensor(torch.zeros(2)),
    lambda: warnings.warn("here", stacklevel=1),
    lambda: warnings.warn(UserWarning("an object"), None, 1),
    lambda: warnings.warn_explicit("elsewhere", UserWarning, "file.py", 3),
    lambda: warnings.warn("beyond everything", stacklevel=1000),
    two_lines_out,
    two_lines_out,
]
Seen = list[tuple[str, int, str, type[Warning]]]


def seen(action: str) -> Seen:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter(action)  # type: ignore[arg-type]
        for case in WARNED:
            for _ in range(2):
                case()
    return [(one.filename, one.lineno, str(one.message), one.category) for one in caught]


@pytest.mark.parametrize("action", ["always", "default"])
def test_warnings_are_placed_as_without_the_watch(action: str) -> None:
    plain = seen(action)
    assert len(plain) >= len(WARNED)
    session = Session().start()
    try:
        watched = seen(action)
    finally:
        record = session.finish()
    assert watched == plain
    assert not [note for note in record.notes if note.kind == "fault"]


def test_a_filter_by_module_holds() -> None:
    session = Session().start()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.filterwarnings("error", module=__name__)
            with pytest.raises(UserWarning, match="Implicit dimension"):
                F.softmax(torch.zeros(2, 3))
            with pytest.raises(UserWarning, match="target size"):
                F.mse_loss(torch.zeros(3), torch.zeros(3, 1))
            nn.MSELoss()(torch.zeros(3), torch.zeros(3, 1))  # placed in torch's module
    finally:
        session.finish()


def test_python_s_functions_are_put_back() -> None:
    before = warnings.warn, warnings._showwarnmsg  # type: ignore[attr-defined]
    Session().start().finish()
    assert (warnings.warn, warnings._showwarnmsg) == before  # type: ignore[attr-defined]
