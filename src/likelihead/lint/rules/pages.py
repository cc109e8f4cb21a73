"""The pages of the hazards, with what each rule says of itself: for the terminal and the documentation."""

from __future__ import annotations

import ast
import re
from importlib.resources import files

from likelihead.hazards import Hazard

__all__ = ["full_page", "rule_page"]


def rule_page(hazard: Hazard) -> str | None:
    """The page of a hazard's rule, in Markdown with headings of the second level; None if it has no rule.

    It is the docstring of the rule's file, which is read and not imported: ``python -OO`` has no docstrings.
    """
    if not hazard.lint:
        return None
    source = (files(__package__) / f"{hazard.code.lower()}.py").read_text(encoding="utf-8")
    return ast.get_docstring(ast.parse(source))


def full_page(hazard: Hazard) -> str:
    """The page of a hazard, and that of its rule at its end.

    >>> from likelihead.hazards import lookup
    >>> [line for line in full_page(lookup("LH104")).splitlines() if line.startswith("## ")]
    ['## Wrong', '## Right', '## Detection', '## In the source']
    """
    page = rule_page(hazard)
    if page is None:
        return hazard.page
    return f"{hazard.page}\n## In the source\n\n{re.sub(r'^## ', '### ', page, flags=re.MULTILINE)}\n"
