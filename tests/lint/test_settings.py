"""``[tool.likelihead.lint]``, and what the command line says over it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from likelihead.errors import OptionError
from likelihead.hazards import HAZARDS
from likelihead.lint import settings as module
from likelihead.lint.settings import LOSS_NAMES, RULES, Configuration, Settings, parse_settings


def written(folder: Path, text: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "pyproject.toml").write_text(text)
    return folder / "a.py"


def test_the_rules_are_those_of_the_table() -> None:
    assert {code for code, hazard in HAZARDS.items() if hazard.lint} == set(RULES)
    assert "LH101" in RULES
    assert "LH203" not in RULES


@pytest.mark.parametrize(
    ("select", "ignore", "code", "reports"),
    [
        (["ALL"], [], "LH101", True),
        (["LH1"], [], "LH101", True),
        (["LH1"], [], "LH201", False),
        ([], [], "LH101", False),
        (["LH101"], ["LH1"], "LH101", True),
        (["LH101"], ["LH1"], "LH102", False),
        (["LH1"], ["LH101"], "LH101", False),
        (["LH1"], ["LH1"], "LH101", False),
        (["ALL"], ["ALL"], "LH101", False),
        (["LH"], ["ALL"], "LH101", True),
    ],
)
def test_the_longest_selector_decides(select: list[str], ignore: list[str], code: str, reports: bool) -> None:
    assert Settings(tuple(select), tuple(ignore)).reports(code, "a.py") is reports


@pytest.mark.parametrize(
    ("pattern", "path", "fits"),
    [
        ("tests/**", "tests/a/b.py", True),
        ("tests/*", "tests/a/b.py", True),
        ("tests", "tests/a/b.py", True),
        ("tests/", "tests/a.py", True),
        ("./tests", "tests/a.py", True),
        ("tests/**", "src/tests.py", False),
        ("b.py", "tests/a/b.py", True),
        ("*.ipynb", "a/b.ipynb", True),
        ("{src,tests}/*.py", "tests/a.py", True),
        ("{src,tests}/*.py", "docs/a.py", False),
        ("!src/**", "docs/a.py", True),
        ("!src/**", "src/a.py", False),
        ("Tests", "tests/a.py", False),
    ],
)
def test_patterns_of_files(pattern: str, path: str, fits: bool, tmp_path: Path) -> None:
    settings = Settings(per_file_ignores={pattern: ("LH1",)}, folder=tmp_path)
    assert settings.reports("LH101", tmp_path / path) is not fits
    assert settings.reports("LH201", tmp_path / path)


def test_a_files_own_word_is_the_last() -> None:
    settings = Settings(select=("LH101",), per_file_ignores={"a.py": ("LH1",)})
    assert not settings.reports("LH101", "a.py")
    assert settings.reports("LH101", "b.py")


def test_the_nearest_file_with_settings_counts(tmp_path: Path) -> None:
    top = written(tmp_path, '[tool.likelihead.lint]\nselect = ["lh1"]\n')
    inner = written(tmp_path / "inner", '[tool.likelihead.lint]\nselect = ["LH2"]\nignore = ["LH206"]\n')
    other = written(tmp_path / "other", "[tool.ruff]\n")
    configuration = Configuration()
    assert configuration.of(top).select == ("LH1",)
    assert configuration.of(inner).select == ("LH2",)
    assert configuration.of(inner).ignore == ("LH206",)
    assert configuration.of(other).select == ("LH1",)
    assert configuration.of(tmp_path / "a/b/c.py").folder == tmp_path


def test_the_command_line_goes_over_the_file(tmp_path: Path) -> None:
    path = written(tmp_path, '[tool.likelihead.lint]\nselect = ["LH1"]\nignore = ["LH109"]\n')
    assert Configuration(["LH2"], ["LH206"]).of(path).select == ("LH2",)
    assert Configuration(["LH2"], ["LH206"]).of(path).ignore == ("LH109", "LH206")
    assert Configuration([], ["LH206"]).of(path).select == ("LH1",)


def test_fixed_settings_read_no_file(tmp_path: Path) -> None:
    path = written(tmp_path, "= broken")
    assert Configuration(fixed=Settings(select=("LH1",))).of(path).select == ("LH1",)


def test_all_keys(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        "[tool.likelihead.lint]\n"
        'per-file-ignores = { "tests/**" = ["ALL"] }\n'
        '[tool.likelihead.lint.losses]\n"mylib.ce" = "cross_entropy"\n',
    )
    settings = Configuration().of(path)
    assert settings.losses == {"mylib.ce": "cross_entropy"}
    assert settings.rules(tmp_path / "tests/a.py") == frozenset()
    assert settings.rules(path) == frozenset(RULES)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("= x", "not TOML"),
        ("a = '\x00'", "not TOML"),
        ("tool.likelihead.lint = 3", "is 3; expected a table"),
        ("[tool.likelihead.lint]\nselct = []", "there is no key 'selct'; did you mean 'select'?"),
        ("[tool.likelihead.lint]\nzzz = 1", "the keys are select, ignore, per-file-ignores, losses"),
        ("[tool.likelihead.lint]\nselect = 'LH1'", "select is 'LH1'; expected a list of codes"),
        ("[tool.likelihead.lint]\nignore = [1]", "ignore is [1]; expected a list of codes"),
        ("[tool.likelihead.lint]\nselect = ['LH999']", "select holds 'LH999', which fits no rule"),
        ("[tool.likelihead.lint]\nselect = ['']", "select holds '', which fits no rule"),
        ("[tool.likelihead.lint]\nselect = ['LH203']", "'LH203', which is told by the data and not"),
        ("[tool.likelihead.lint]\nper-file-ignores = []", "per-file-ignores is []; expected a table"),
        ("[tool.likelihead.lint.per-file-ignores]\nx = 'LH1'", "per-file-ignores of 'x' is 'LH1'; expected"),
        ("[tool.likelihead.lint.per-file-ignores]\nx = ['E5']", "per-file-ignores of 'x' holds 'E5', which"),
        ("[tool.likelihead.lint]\nlosses = 1", "losses is 1; expected a table"),
        ("[tool.likelihead.lint.losses]\nce = 1", "losses has 1 for 'ce'; expected the name of a loss"),
        ("[tool.likelihead.lint.losses]\na.ce = 'nll_loss'", "and the dotted name of the wrapper in quotes"),
        ("[tool.likelihead.lint.losses]\nce = 'crossentropy'", "did you mean 'cross_entropy'?"),
        ("[tool.likelihead.lint.losses]\nce = 'mse'", "expected one of binary_cross_entropy, "),
        ("[tool.likelihead.lint.losses]\n'a b' = 'nll_loss'", "losses has 'a b'; expected the dotted name"),
    ],
)
def test_what_is_wrong_is_one_line_that_names_the_file(text: str, words: str, tmp_path: Path) -> None:
    path = written(tmp_path, text)
    with pytest.raises(OptionError) as caught:
        Configuration().of(path)
    said = str(caught.value)
    assert said.startswith(f"{tmp_path / 'pyproject.toml'}: ")
    assert words in said
    assert "\n" not in said


def test_a_file_that_is_not_utf_8_or_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_bytes(b"a = '\xff'")
    with pytest.raises(OptionError, match="not TOML"):
        Configuration().of(tmp_path / "a.py")
    (tmp_path / "b/pyproject.toml").mkdir(parents=True)
    with pytest.raises(OptionError, match="cannot be read: Is a directory"):
        Configuration().of(tmp_path / "b/a.py")


def test_a_long_value_is_shown_in_short() -> None:
    with pytest.raises(OptionError) as caught:
        parse_settings({"select": "x" * 1_000}, Path())
    assert len(str(caught.value)) < 200


def test_the_command_line_s_selectors_are_checked_at_once() -> None:
    with pytest.raises(OptionError, match=r"select holds 'LH19', which fits no rule; did you mean LH1\d\d\?"):
        Configuration(["LH19"])
    with pytest.raises(OptionError, match="ignore holds 'E501'"):
        Configuration([], ["E501"])


def test_on_python_3_10_without_tomli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> Any:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.setattr(sys, "version_info", (3, 10, 0))
    monkeypatch.setattr(module, "import_module", absent)
    path = written(tmp_path, "[tool.likelihead.lint]\n")
    with pytest.raises(OptionError, match=r"run: pip install 'likelihead\[lint\]'"):
        Configuration().of(path)
    written(tmp_path, "[tool.ruff]\n")
    assert Configuration().of(path) == Settings()


def test_every_loss_can_be_named() -> None:
    assert Settings(losses=dict.fromkeys(("a.b", "c"), LOSS_NAMES[0])).losses
