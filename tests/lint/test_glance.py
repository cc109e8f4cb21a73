"""Which files are worth a look."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from likelihead.lint.glance import Glances
from likelihead.lint.project import Project


def concerned(folder: Path, files: dict[str, str], name: str = "a.py") -> bool:
    for one, text in {"setup.py": "", **files}.items():
        (folder / one).parent.mkdir(parents=True, exist_ok=True)
        (folder / one).write_text(text)
    return Glances(Project(), {}).at(folder / name).problem is None and Glances(Project(), {}).concerned(
        folder / name
    )


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("import torch\n", True),
        ("from tensorflow import keras\n", True),
        ("import numpy\n", False),
        ("import net\n", True),
        ("import numpy, net as n\n", True),
        ("from net import Net\n", True),
        ("from pkg import net\n", True),
        ("from pkg import (\n    other,\n    net,\n)\n", True),
        ("import pkg.net\n", True),
        ("from . import net\n", True),
        ("from .pkg import net\n", True),
        ("from .pkg.net import Net\n", True),
        ("def f():\n    from net import Net\n", True),
        ("import through\n", True),
        ("import pkg\n", False),
        ("from pkg import other\n", False),
        ("# import net\n", False),
        ("x = 'net'\n", False),
    ],
)
def test_torch_itself_or_by_a_file_of_the_project(text: str, says: bool, tmp_path: Path) -> None:
    files = {
        "a.py": text,
        "net.py": "import torch\n",
        "through.py": "import through\nimport further\n",
        "further.py": "import through\nfrom pkg.net import Net\n",
        "pkg/__init__.py": "",
        "pkg/net.py": "import torch\n",
        "pkg/other.py": "",
    }
    assert concerned(tmp_path, files) is says


def test_a_notebooks_imports_are_seen(tmp_path: Path) -> None:
    def book(*lines: str) -> str:
        return json.dumps({"cells": [{"cell_type": "code", "source": [f"{line}\n" for line in lines]}]})

    files = {
        "net.py": "import torch\n",
        "a.ipynb": book("import os", "from net import Net"),
        "b.ipynb": book("x"),
    }
    assert concerned(tmp_path, files, "a.ipynb")
    assert not concerned(tmp_path, files, "b.ipynb")


def test_what_is_known_of_one_file_serves_the_next(tmp_path: Path) -> None:
    """Long chains of imports are walked once: each file is glanced at once, whatever the order."""
    (tmp_path / "setup.py").touch()
    for number in range(30):
        (tmp_path / f"m{number}.py").write_text(f"import m{number + 1}\n")
    (tmp_path / "m30.py").write_text("import torch\n")
    glances = Glances(Project(), {})
    assert all(glances.concerned(tmp_path / f"m{number}.py") for number in (29, 0, 15, 30))
    (tmp_path / "m30.py").write_text("x = 1\n")
    glances = Glances(Project(), {})
    assert not any(glances.concerned(tmp_path / f"m{number}.py") for number in (29, 0, 15, 30))


def test_a_file_that_is_gone(tmp_path: Path) -> None:
    glance = Glances(Project(), {}).at(tmp_path / "none.py")
    assert glance.problem is not None
    assert glance.digest == ""
