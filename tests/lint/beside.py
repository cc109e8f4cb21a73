"""The corpus beside torch-preflight: ``python tests/lint/beside.py`` after ``pip install torch-preflight``.

What both look for is compared, activations that do not fit their loss: here LH101, LH102 and LH104 to
LH108, there TG005 and TG006. They report at different lines, so the cases are counted: one that holds a
mistake is found if anything of this kind is reported in it, and one that holds none is a false alarm.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from lint.expectations import cases, outcome

CORPUS = Path(__file__).parent / "corpus"
CODES = frozenset(("LH101", "LH102", "LH104", "LH105", "LH106", "LH107", "LH108"))
FOLDERS = ("single", "project", "frameworks", "figures")


def preflight() -> list[Path]:
    """The files in which torch-preflight reports such an activation."""
    command = [sys.executable, "-m", "torch_preflight", "check", "--format", "json", str(CORPUS)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = json.loads(done.stdout)["diagnostics"]
    return [Path(one["path"]).resolve() for one in found if one["code"] in ("TG005", "TG006")]


def main() -> None:
    flagged = preflight()
    print("cases       wrong  likelihead  torch-preflight  right  likelihead  torch-preflight")
    for folder in FOLDERS:
        counts = {(wrong, who): 0 for wrong in (True, False) for who in ("all", "ours", "theirs")}
        for case in cases(CORPUS / folder):
            result = outcome(case)
            wrong = any(code in CODES for _, _, code in result.expected)
            ours = result.expected & result.found if wrong else result.false
            counts[wrong, "all"] += 1
            counts[wrong, "ours"] += any(code in CODES for _, _, code in ours)
            counts[wrong, "theirs"] += any(path.is_relative_to(case.resolve()) for path in flagged)
        print(
            f"{folder:10}",
            *(f"{count:>{width}}" for count, width in zip(counts.values(), WIDTHS, strict=True)),
        )


WIDTHS = (6, 11, 16, 6, 11, 16)

if __name__ == "__main__":
    main()
