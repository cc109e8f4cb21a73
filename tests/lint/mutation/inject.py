"""The mutants: each hazard, injected into every correct script where it can stand."""

from __future__ import annotations

from collections import defaultdict
from functools import cache

from lint.mutation import averages, links, predictions, targets
from lint.mutation.source import Mutant, Script, load

ENOUGH = 20
"""A hazard that stands in fewer scripts is injected in further ways into the same scripts."""

WAYS = (*links.WAYS, *targets.WAYS, *predictions.WAYS, *averages.WAYS)


@cache
def scripts() -> list[Script]:
    """The correct scripts."""
    return load()


def every_way(script: Script) -> dict[str, list[Mutant]]:
    """By hazard, the mutants of a script that differ from each other."""
    found: defaultdict[str, dict[tuple[str, ...], Mutant]] = defaultdict(dict)
    for way in WAYS:
        for mutant in way(script):
            if mutant is not None:
                found[mutant.code].setdefault(tuple(mutant.files.values()), mutant)
    return {code: list(mutants.values()) for code, mutants in found.items()}


@cache
def mutants() -> list[Mutant]:
    """Each hazard once in each script that offers a way, the ways taking turns; up to `ENOUGH`, more."""
    by_code: defaultdict[str, list[list[Mutant]]] = defaultdict(list)
    for turn, script in enumerate(scripts()):
        for code, ways in every_way(script).items():
            start = turn % len(ways)
            by_code[code].append(ways[start:] + ways[:start])
    chosen = []
    for _, of_scripts in sorted(by_code.items()):
        first = [ways[0] for ways in of_scripts]
        further = [way for ways in zip(*map(_padded, of_scripts), strict=True) for way in ways if way]
        chosen += first + further[: max(0, ENOUGH - len(first))]
    return chosen


def _padded(ways: list[Mutant]) -> list[Mutant | None]:
    """What comes behind the first way, as long for all scripts."""
    return (ways[1:] + [None] * 20)[:20]
