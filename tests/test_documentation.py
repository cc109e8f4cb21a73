"""The README's and the documentation's Python runs, block after block, as a reader would run it."""

from __future__ import annotations

import doctest
import re
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[1]
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *(
        page
        for page in sorted((ROOT / "docs").rglob("*.md"))
        if page.parent.name not in {"hazards", "_build"}
    ),
]
BLOCK = re.compile(r"^```(python|pycon)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def run_blocks(text: str, name: str) -> None:
    """Run a page's Python in one namespace, in order."""
    torch.manual_seed(0)
    namespace: dict[str, object] = {"__name__": "__page__"}
    for block in BLOCK.finditer(text):
        line = text.count("\n", 0, block.start()) + 2
        if block[1] == "python":
            # The line numbers of a traceback are those of the page.
            exec(compile("\n" * (line - 1) + block[2], name, "exec"), namespace)
        else:
            test = doctest.DocTestParser().get_doctest(block[2], namespace, name, name, line - 1)
            test.globs = namespace
            report: list[str] = []
            doctest.DocTestRunner(optionflags=FLAGS).run(test, out=report.append, clear_globs=False)
            assert not report, "".join(report)


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def test_the_examples_of_a_page_run(page: Path) -> None:
    if page.name == "hugging-face.md":
        for name in ("transformers", "accelerate", "peft"):
            pytest.importorskip(name)
    run_blocks(page.read_text(encoding="utf-8"), str(page))


@pytest.mark.parametrize("page", ["README.md", "docs/mathematics.md", "docs/guard.md", "docs/likelihoods.md"])
def test_these_pages_have_examples(page: str) -> None:
    assert len(BLOCK.findall((ROOT / page).read_text(encoding="utf-8"))) >= 2


def test_a_wrong_example_is_noticed() -> None:
    with pytest.raises(AssertionError, match="Expected"):
        run_blocks("```pycon\n>>> 1 + 1\n3\n```\n", "page")
    with pytest.raises(ZeroDivisionError):
        run_blocks("```python\nx = 0\n```\n\ntext\n\n```python\n1 / x\n```\n", "page")


def test_every_hazard_has_a_page_in_the_documentation() -> None:
    import importlib.util

    from likelihead.hazards import HAZARDS

    spec = importlib.util.spec_from_file_location("hazard_pages", ROOT / "docs" / "_ext" / "hazard_pages.py")
    assert spec is not None
    assert spec.loader is not None
    extension = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(extension)
    pages = extension.pages()
    assert set(pages) == {"index.md"} | {f"{code}.md" for code in HAZARDS}
    for code in HAZARDS:
        assert f"[{code}]({code}.md)" in pages["index.md"]
