"""Which file an import means."""

from __future__ import annotations

from pathlib import Path

from likelihead.lint.project import Project, top_of


def put(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def test_absolute_imports_from_the_folder_up_to_the_top(tmp_path: Path) -> None:
    put(tmp_path, "outside.py", "p/setup.py", "p/lib/__init__.py", "p/lib/nets.py", "p/src/pkg/__init__.py")
    put(tmp_path, "p/scripts/train.py", "p/scripts/helper.py")
    train = tmp_path / "p/scripts/train.py"
    project = Project()
    for module, name in {
        "helper": "scripts/helper.py",
        "lib": "lib/__init__.py",
        "lib.nets": "lib/nets.py",
        "pkg": "src/pkg/__init__.py",
    }.items():
        assert project.resolve(module, train) == tmp_path / "p" / name
    for module in ("outside", "torch", "lib.none", ""):
        assert project.resolve(module, train) is None


def test_a_file_is_not_what_it_imports_itself(tmp_path: Path) -> None:
    put(tmp_path, "setup.py", "utils.py", "a/utils.py", "a/train.py")
    project = Project()
    assert project.resolve("utils", tmp_path / "a/utils.py") == tmp_path / "utils.py"
    assert project.resolve("utils", tmp_path / "a/train.py") == tmp_path / "a/utils.py"


def test_a_package_goes_before_a_module_of_its_name(tmp_path: Path) -> None:
    put(tmp_path, "setup.py", "nets.py", "nets/__init__.py", "train.py")
    assert Project().resolve("nets", tmp_path / "train.py") == tmp_path / "nets/__init__.py"


def test_relative_imports(tmp_path: Path) -> None:
    put(tmp_path, "p/__init__.py", "p/a.py", "p/q/__init__.py", "p/q/b.py")
    project, b = Project(), tmp_path / "p/q/b.py"
    assert project.resolve_relative(1, "", b) == tmp_path / "p/q/__init__.py"
    assert project.resolve_relative(2, "", b) == tmp_path / "p/__init__.py"
    assert project.resolve_relative(2, "a", b) == tmp_path / "p/a.py"
    assert project.resolve_relative(1, "a", b) is None
    assert project.resolve_relative(99, "no_module_of_that_name", b) is None


def test_a_file_is_read_once_and_a_broken_one_is_a_problem(tmp_path: Path) -> None:
    put(tmp_path, "a.py")
    project = Project({tmp_path / "b.py": b"def f(:\n"})
    first = project.source(tmp_path / "a.py")
    assert first is not None
    (tmp_path / "a.py").write_text("x = 1\n")
    assert project.source(tmp_path / "a.py") is first
    assert project.source(tmp_path / "b.py") is None
    assert "not Python 3" in project.problems[tmp_path / "b.py"].reason


def test_the_top_of_a_project(tmp_path: Path) -> None:
    put(tmp_path, "p/pyproject.toml", "p/a/b/x.py")
    assert top_of(tmp_path / "p/a/b") == tmp_path / "p"
    assert top_of(tmp_path / "p") == tmp_path / "p"
    assert top_of(tmp_path) is None
