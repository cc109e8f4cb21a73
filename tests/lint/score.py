"""How the linter does on the corpus: ``python tests/lint/score.py [-v] [CODES or case names]``."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

from lint.expectations import cases, outcome

CORPUS = Path(__file__).parent / "corpus"


def main(wanted: list[str]) -> None:
    found: Counter[str] = Counter()
    missed: Counter[str] = Counter()
    false: Counter[str] = Counter()
    codes = [one for one in wanted if one.startswith("LH")]
    names = [one for one in wanted if not one.startswith(("LH", "-"))]
    for folder in ("single", "project", "frameworks", "figures"):
        for case in cases(CORPUS / folder):
            if names and not any(name in str(case) for name in names):
                continue
            result = outcome(case)
            for kind, which, counter in (
                ("found", result.expected & result.found, found),
                ("MISSED", result.missed, missed),
                ("FALSE", result.false, false),
            ):
                for path, line, code in sorted(which):
                    if codes and code not in codes:
                        continue
                    counter[code] += 1
                    if kind != "found" or "-v" in wanted:
                        print(
                            f"{kind:7} {code} {folder}/{case.name}"
                            + (f" {path}" if case.is_dir() else "")
                            + f":{line}"
                        )
    for code in sorted({*found, *missed, *false}):
        print(f"{code}: {found[code]} found, {missed[code]} missed, {false[code]} false")
    print(f"all: {sum(found.values())} found, {sum(missed.values())} missed, {sum(false.values())} false")


if __name__ == "__main__":
    main(sys.argv[1:])
