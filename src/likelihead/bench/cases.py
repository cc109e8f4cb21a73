"""The CPU table: every op's cases, and how some of them are picked."""

from __future__ import annotations

import re
from collections.abc import Sequence

from likelihead.bench import linear_kl, linear_softmax_nll, sigmoid_nll, softmax_nll
from likelihead.bench.case import Case
from likelihead.errors import OptionError

__all__ = ["CASES", "select"]

MOST_NAMED = 24
"""So many cases fit into the one line of an error."""

CASES: tuple[Case, ...] = (
    *softmax_nll.CASES,
    *sigmoid_nll.CASES,
    *linear_softmax_nll.CASES,
    *linear_kl.CASES,
)


def select(only: str | None, cases: Sequence[Case] = CASES) -> list[Case]:
    """The cases whose name the regular expression finds.

    Raises:
        OptionError: it is no regular expression, or finds none.

    >>> [case.name for case in select("^lm")]
    ['lm', 'lm-bf16']
    """
    if only is None:
        return list(cases)
    try:
        pattern = re.compile(only)
    except re.error as error:
        raise OptionError(f"--only is {only!r}, which is no regular expression: {error}.") from error
    found = [case for case in cases if pattern.search(case.name)]
    if not found:
        raise OptionError(f"--only is {only!r}, which finds no case; {_remedy(only, cases)}.")
    return found


def _remedy(only: str, cases: Sequence[Case]) -> str:
    names = [case.name for case in cases]
    if any(only in name for name in names):  # as someone has it who copies a name with its brackets
        return f"as a regular expression that text is {re.escape(only)!r}"
    if len(names) > MOST_NAMED:
        return f"there are {len(names)}, from {names[0]!r} to {names[-1]!r}"
    return f"the cases are {', '.join(names)}"
