"""From paths to findings."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from likelihead.errors import OptionError, UserDataError
from likelihead.lint import analysis, lint_paths, workers
from likelihead.lint.analysis import Report
from likelihead.lint.findings import Finding, Place
from likelihead.lint.run import Result
from likelihead.lint.settings import Configuration, Settings
from lint_projects import ACROSS, BAD, GOOD, HELPER, MODEL, write


def found(result: Result) -> list[tuple[str, str, int]]:
    return [(Path(one.path).name, one.code, one.line) for one in result.findings]


def test_a_finding_names_both_places_and_the_calls_between(tmp_path: Path) -> None:
    write(tmp_path, {"model.py": MODEL, "train.py": ACROSS})
    result = lint_paths([tmp_path])
    assert found(result) == [("train.py", "LH101", 10)]
    (finding,) = result.findings
    assert finding.made is not None
    assert (Path(finding.made.path).name, finding.made.line) == ("model.py", 11)
    assert [(Path(call.path).name, call.line) for call in finding.calls] == [("train.py", 10)]
    assert result.problems == []
    assert (result.statistics.files, result.statistics.analysed) == (2, 2)


def test_paths_may_be_relative(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, {"model.py": MODEL, "scripts/train.py": ACROSS})
    monkeypatch.chdir(tmp_path / "scripts")
    assert found(lint_paths(["train.py"])) == [("train.py", "LH101", 10)]


def test_what_lies_outside_the_paths_is_looked_at_and_not_reported(tmp_path: Path) -> None:
    write(tmp_path, {"bad.py": BAD, "train.py": "import torch\n\nimport bad\n\nbad.loss(1, 2)\n"})
    assert found(lint_paths([tmp_path / "train.py"])) == []
    assert found(lint_paths([tmp_path])) == [("bad.py", "LH101", 5)]


def test_one_finding_for_one_place_and_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of several ways to it the shortest that says where the value was made."""
    write(tmp_path, {"a.py": GOOD, "b.py": GOOD})
    at = Place(str(tmp_path / "a.py"), 5, 12, 5, 30)
    made = Place(str(tmp_path / "b.py"), 5, 1, 5, 9, "softmax")
    ways = {
        "a.py": [Finding(at, "LH101", "x"), Finding(at, "LH102", "x")],
        "b.py": [Finding(at, "LH101", "x", made, (at,)), Finding(at, "LH101", "x", made)],
    }
    monkeypatch.setattr(analysis, "analyse", lambda path, *_: Report(list(ways[path.name])))
    assert lint_paths([tmp_path]).findings == [Finding(at, "LH101", "x", made), Finding(at, "LH102", "x")]


def test_files_without_torch_are_not_looked_at_unless_they_import_one_that_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def note(path: Path, *_: Any) -> Report:
        asked.append(path.name)
        return Report()

    monkeypatch.setattr(analysis, "analyse", note)
    files = {"model.py": MODEL, "helper.py": HELPER, "plain.py": "print 'Python 2, and nobody asks'\n"}
    statistics = lint_paths([write(tmp_path, files)]).statistics
    assert asked == ["helper.py", "model.py"]
    assert (statistics.files, statistics.unrelated, statistics.analysed) == (3, 1, 2)


def test_what_is_selected_and_what_a_comment_hides(tmp_path: Path) -> None:
    hidden = BAD.replace("y)\n", "y)  # likelihead: ignore[LH101]\n")
    write(tmp_path, {"a.py": BAD, "b.py": hidden, "c/d.py": BAD})
    assert found(lint_paths([tmp_path])) == [("a.py", "LH101", 5), ("d.py", "LH101", 5)]
    assert found(lint_paths([tmp_path], settings=Settings(ignore=("LH101",)))) == []
    assert found(lint_paths([tmp_path], settings=Configuration(["LH2"]))) == []
    (tmp_path / "pyproject.toml").write_text('[tool.likelihead.lint.per-file-ignores]\n"c/*" = ["LH1"]\n')
    assert found(lint_paths([tmp_path])) == [("a.py", "LH101", 5)]


def test_a_file_in_which_everything_is_ignored_is_not_looked_at(tmp_path: Path) -> None:
    write(tmp_path, {"a.py": "import torch\nprint 'x'\n", "b.py": GOOD})
    (tmp_path / "pyproject.toml").write_text('[tool.likelihead.lint.per-file-ignores]\n"a.py" = ["ALL"]\n')
    assert lint_paths([tmp_path]).problems == []


def test_the_settings_wrappers_reach_the_analysis(tmp_path: Path) -> None:
    text = "import torch\nfrom mylib import ce\n\n\ndef loss(x, y):\n    return ce(torch.softmax(x, 1), y)\n"
    write(tmp_path, {"a.py": text})
    assert found(lint_paths([tmp_path])) == []
    (tmp_path / "pyproject.toml").write_text('[tool.likelihead.lint.losses]\n"mylib.ce" = "cross_entropy"\n')
    assert found(lint_paths([tmp_path])) == [("a.py", "LH101", 6)]


def test_a_wrapper_may_be_the_projects_own_and_be_handed_on(tmp_path: Path) -> None:
    """What it calls cannot be seen through; its name says what it is, wherever it is imported from."""
    files = {
        "mylib/__init__.py": "from ._losses import ce, other\n",
        "mylib/_losses.py": "def ce(p, y):\n    return magic(p, y)\n\n\nother = ce\n",
        "train.py": (
            "import torch\nimport mylib as m\nfrom mylib import ce, other\n\n\n"
            "def one(x, y):\n    return ce(x.softmax(1), y)\n\n\n"
            "def two(x, y):\n    return m.ce(x.softmax(1), y)\n\n\n"
            "def three(x, y):\n    return other(x.softmax(1), y)\n"
        ),
        "star.py": "import torch\nfrom mylib import *\n\n\ndef f(x, y):\n    return ce(x.softmax(1), y)\n",
    }
    settings = Settings(losses={"mylib.ce": "cross_entropy"})
    assert found(lint_paths([write(tmp_path, files)], settings=settings)) == [
        ("star.py", "LH101", 6), ("train.py", "LH101", 7), ("train.py", "LH101", 11)
    ]  # fmt: skip
    assert found(lint_paths([tmp_path], settings=Settings())) == []


@pytest.mark.parametrize(
    ("loss", "code"),
    [("cross_entropy", "LH101"), ("nll_loss", "LH104"), ("binary_cross_entropy_with_logits", "LH107")],
)
@pytest.mark.parametrize("name", ["loss", "Loss"])
def test_a_wrapper_may_stand_for_each_loss_as_function_or_class(
    name: str, loss: str, code: str, tmp_path: Path
) -> None:
    call = "mylib.Loss()" if name == "Loss" else "mylib.loss"
    text = f"import mylib, torch\n\ndef f(m, x, y):\n    return {call}(torch.softmax(m(x), dim=1), y)\n"
    write(tmp_path, {"train.py": text})
    result = lint_paths([tmp_path], settings=Settings(losses={f"mylib.{name}": loss}))
    assert found(result) == [("train.py", code, 4)]


def test_notebooks_are_reported_by_cell(tmp_path: Path) -> None:
    cells = ["%matplotlib inline\n" + BAD.partition("\n\n\n")[0], "!ls\n" + BAD.partition("\n\n\n")[2]]
    book = {"cells": [{"cell_type": "code", "source": one} for one in cells], "nbformat": 4}
    write(tmp_path, {"a.ipynb": json.dumps(book)})
    (finding,) = lint_paths([tmp_path]).findings
    assert finding.made is not None
    assert (finding.place.cell, finding.line, finding.made.cell, finding.made.line) == (2, 3, 2, 3)
    cells[1] = cells[1].replace("y)\n", "y)  # noqa: LH101\n")
    book["cells"] = [{"cell_type": "code", "source": one} for one in cells]
    write(tmp_path, {"a.ipynb": json.dumps(book)})
    assert lint_paths([tmp_path]).findings == []


def test_files_that_cannot_be_looked_at_are_problems_and_the_run_goes_on(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "a.py": BAD,
            "python2.py": "import torch\nprint 'x'\n",
            "broken.py": "import torch\ndef f(:\n",
            "book.ipynb": "torch",
            "x.py": "import broken\n",
        },
    )
    (tmp_path / "latin.py").write_bytes(b"import torch  # caf\xe9\n")
    result = lint_paths([tmp_path])
    assert found(result) == [("a.py", "LH101", 5)]
    said = {Path(problem.path).name: problem.reason for problem in result.problems}
    assert list(said) == ["book.ipynb", "broken.py", "latin.py", "python2.py"]
    assert "its JSON cannot be read" in said["book.ipynb"]
    assert said["broken.py"] == "not Python 3: invalid syntax"


def test_a_file_deleted_while_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, {"a.py": BAD, "b.py": BAD})
    monkeypatch.setattr(workers.Analyser, "__call__", _deleting(workers.Analyser.__call__, tmp_path / "b.py"))
    result = lint_paths([tmp_path])
    assert found(result) == [("a.py", "LH101", 5)]
    assert [(Path(one.path).name, one.reason) for one in result.problems] == [
        ("b.py", "No such file or directory")
    ]


def _deleting(call: Any, path: Path) -> Any:
    def wrapped(analyser: workers.Analyser, task: workers.Task) -> Any:
        path.unlink(missing_ok=True)
        return call(analyser, task)

    return wrapped


@pytest.mark.parametrize(
    ("error", "words", "internal"),
    [
        (RecursionError(), "nested too deeply", 0),
        (MemoryError(), "not enough memory", 0),
        (KeyError("x\ny"), "the linter failed (KeyError: 'x\\ny', test_run.py:", 1),
    ],
)
def test_a_mistake_in_one_file_does_not_hide_what_the_others_hold(
    error: Exception, words: str, internal: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, {"a.py": BAD, "b.py": BAD})
    real = analysis.analyse

    def sometimes(path: Path, *more: Any) -> Report:
        if path.name == "a.py":
            raise error
        return real(path, *more)

    monkeypatch.setattr(analysis, "analyse", sometimes)
    result = lint_paths([tmp_path])
    assert found(result) == [("b.py", "LH101", 5)]
    assert words in result.problems[0].reason
    assert "\n" not in result.problems[0].reason
    assert result.statistics.internal == internal


def test_circular_imports(tmp_path: Path) -> None:
    write(tmp_path, {"a.py": "import b\n" + BAD, "b.py": "import a\n" + BAD, "c.py": "import c\n" + BAD})
    assert found(lint_paths([tmp_path])) == [(name, "LH101", 6) for name in ("a.py", "b.py", "c.py")]


def test_a_budget_that_is_used_up_is_said(tmp_path: Path) -> None:
    body = "".join(f"    loss = loss + f(loss, {number})\n" for number in range(30_000))
    write(tmp_path, {"a.py": f"import torch\n\n\ndef f(loss, y):\n{body}\n{BAD}"})
    statistics = lint_paths([tmp_path]).statistics
    assert any("a.py" in name for name in statistics.exhausted)


def test_an_overlay_stands_for_the_disk(tmp_path: Path) -> None:
    write(tmp_path, {"model.py": MODEL, "train.py": ACROSS})
    fixed = MODEL.replace("torch.softmax(self.body(x), dim=1)", "self.body(x)")
    assert found(lint_paths([tmp_path], overlay={tmp_path / "model.py": fixed.encode()})) == []
    assert found(lint_paths([tmp_path / "new.py"], overlay={tmp_path / "new.py": BAD.encode()})) == [
        ("new.py", "LH101", 5)
    ]


def test_several_processes_find_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "_FILES_PER_WORKER", 2)
    files = {f"{name}{number}.py": text for number in range(4) for name, text in [("a", BAD), ("b", ACROSS)]}
    write(tmp_path, {**files, "model.py": MODEL, "z.py": "import torch\nprint 'x'\n"})
    one, two = lint_paths([tmp_path]), lint_paths([tmp_path], jobs=2)
    assert len(one.findings) == 8
    assert two.findings == one.findings
    assert two.problems == one.problems
    assert two.statistics.functions == one.statistics.functions


def test_a_process_that_is_ended_is_a_problem_of_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "_FILES_PER_WORKER", 2)
    monkeypatch.setattr(workers, "_work", _deadly)
    write(tmp_path, dict.fromkeys(("a.py", "deadly.py", "z.py"), BAD) | {"y.py": GOOD})
    result = lint_paths([tmp_path], jobs=2)
    assert found(result) == [("a.py", "LH101", 5), ("z.py", "LH101", 5)]
    assert [Path(one.path).name for one in result.problems] == ["deadly.py"]
    assert "the process that interpreted it was ended" in result.problems[0].reason
    assert result.statistics.internal == 1


def _deadly(tasks: list[workers.Task]) -> list[Any]:
    import os

    if any(path.name == "deadly.py" for path, _ in tasks):
        os._exit(1)
    return [workers._analyser(task) for task in tasks]


def test_what_was_read_is_let_go_before_it_is_too_much(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """But not what the first file reads already: so much is read for each of them."""
    monkeypatch.setattr(workers, "_CHARACTERS", 100)
    write(tmp_path, {f"{name}.py": f"import torch\n# {'x' * 600}\n" for name in "abcdef"})
    first = "import torch\nimport a, b, c, d, e, f\n\nprint(a, b, c, d, e, f)\n"
    for text, kept in (("import torch\n", 1), (first, 7)):
        write(tmp_path, {"0.py": text})
        analyser = workers.Analyser()
        projects = {id(analyser._project): analyser._project}
        for path in sorted(tmp_path.glob("*.py")):
            analyser((path, {}))
            projects[id(analyser._project)] = analyser._project
        assert (len(projects) == 1) is (kept == 7)
    write(tmp_path, {"model.py": MODEL, "train.py": ACROSS, "z.py": BAD})
    assert found(lint_paths([tmp_path])) == [("train.py", "LH101", 10), ("z.py", "LH101", 5)]


def test_what_is_wrong_with_a_call(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="jobs is 0; expected a number of processes from 1 on"):
        lint_paths([tmp_path], jobs=0)
    with pytest.raises(UserDataError, match="is not there"):
        lint_paths([tmp_path / "none"])


def test_the_linter_loads_neither_torch_nor_what_it_does_not_need() -> None:
    program = (
        "import sys, likelihead.lint\nassert likelihead.lint.lint_paths\nimport likelihead.lint.analysis\n"
        "print(sorted({'torch', 'numpy', 'libcst', 'rich', 'multiprocessing.pool'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_the_face_has_its_names() -> None:
    import likelihead.lint as face

    assert all(getattr(face, name) for name in face.__all__)
    assert dir(face) == sorted(face.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        face.nothing  # noqa: B018
