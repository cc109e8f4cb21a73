"""A Sphinx extension: writes one page per hazard, and their index, from likelihead.hazards."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from likelihead.hazards import FAMILIES, HAZARDS, SEVERITIES
from likelihead.lint.rules.pages import full_page

INTRODUCTION = """\
# Hazards

Each way to get a wrong, a fragile or a redundant loss has a code. The [guard's](../guard.md) warnings and
errors and the [linter's](../lint.md) findings name it, and `likelihead explain LH104` shows its page in the
terminal. The examples assume

```python
import torch
import torch.nn.functional as F

import likelihead
```

and behave the same with `from likelihead import functional as F`, except that the guard then speaks up.
"""


def pages() -> dict[str, str]:
    """Every page by its file name."""
    index = [INTRODUCTION]
    for family, title in FAMILIES.items():
        rows = [
            f"| [{hazard.code}]({hazard.code}.md) | {SEVERITIES[hazard.severity]} | {hazard.name} |"
            for code, hazard in HAZARDS.items()
            if code.startswith(family)
        ]
        index.append("\n".join([f"## {title}\n", "| code | severity | what |", "|---|---|---|", *rows, ""]))
    index.append("\n".join(["```{toctree}", ":hidden:", "", *HAZARDS, "```", ""]))
    return {"index.md": "\n".join(index)} | {
        f"{code}.md": full_page(hazard) for code, hazard in HAZARDS.items()
    }


def write_pages(app: Any) -> None:
    folder = Path(app.srcdir) / "hazards"
    folder.mkdir(exist_ok=True)
    wanted = pages()
    for stale in folder.glob("*.md"):
        if stale.name not in wanted:
            stale.unlink()
    for name, text in wanted.items():
        path = folder / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def setup(app: Any) -> dict[str, bool]:
    app.connect("builder-inited", write_pages)
    return {"parallel_read_safe": True}
