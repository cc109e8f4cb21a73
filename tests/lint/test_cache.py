"""What earlier runs found: it holds as long as nothing changed that counts, and never gets in the way."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from likelihead.lint import cache as module
from likelihead.lint import lint_paths
from likelihead.lint.cache import CACHE_FOLDER, Cache
from likelihead.lint.run import Result
from likelihead.lint.settings import Settings
from likelihead.lint.source import digest_of
from lint_projects import ACROSS, BAD, GOOD, HELPER, MODEL, write

FILES = {"model.py": MODEL, "train.py": ACROSS, "alone.py": BAD, "broken.py": "import torch\nprint 'x'\n"}


def run(folder: Path, where: Path | None = None, settings: Settings | None = None) -> Result:
    cache = Cache(where)
    result = lint_paths([folder], cache=cache, settings=settings)
    cache.save()
    return result


def work(result: Result) -> tuple[int, int]:
    return result.statistics.analysed, result.statistics.cached


def test_a_second_run_does_nothing_and_says_the_same(tmp_path: Path) -> None:
    write(tmp_path, FILES)
    first, second = run(tmp_path), run(tmp_path)
    assert (work(first), work(second)) == ((4, 0), (0, 4))
    assert second.findings == first.findings
    assert len(first.findings) == 2
    assert second.problems == first.problems
    assert len(first.problems) == 1
    assert second.statistics.functions == first.statistics.functions


def test_a_change_of_a_file_reaches_those_that_import_it(tmp_path: Path) -> None:
    write(tmp_path, {**FILES, "helper.py": HELPER, "far.py": "import helper\n"})
    run(tmp_path)
    (tmp_path / "model.py").write_text(MODEL.replace("torch.softmax(self.body(x), dim=1)", "self.body(x)"))
    result = run(tmp_path)
    assert work(result) == (4, 2)  # model, train, helper, far; not alone, broken
    assert [Path(one.path).name for one in result.findings] == ["alone.py"]


def test_a_change_of_bytes_alone_counts(tmp_path: Path) -> None:
    write(tmp_path, FILES)
    run(tmp_path)
    for path in tmp_path.glob("*.py"):
        os.utime(path, (0, 0))
    assert work(run(tmp_path)) == (0, 4)


def test_a_new_file_that_an_import_now_means(tmp_path: Path) -> None:
    write(tmp_path, {"lib/model.py": MODEL, "setup/train.py": ACROSS, "alone.py": BAD})
    assert len(run(tmp_path).findings) == 1
    write(tmp_path, {"setup/model.py": MODEL})
    result = run(tmp_path)
    assert len(result.findings) == 2
    (tmp_path / "setup/model.py").unlink()
    assert len(run(tmp_path).findings) == 1


def test_settings_that_change_the_analysis_count_and_others_do_not(tmp_path: Path) -> None:
    write(tmp_path, FILES)
    run(tmp_path)
    ignoring = run(tmp_path, settings=Settings(ignore=("LH1",)))
    assert (work(ignoring), ignoring.findings) == ((0, 4), [])
    assert work(run(tmp_path, settings=Settings(losses={"a.b": "cross_entropy"}))) == (4, 0)


def test_a_comment_that_hides_is_a_change_like_any_other(tmp_path: Path) -> None:
    write(tmp_path, FILES)
    run(tmp_path)
    (tmp_path / "alone.py").write_text(BAD.replace("y)\n", "y)  # noqa\n"))
    assert len(run(tmp_path).findings) == 1


def test_another_linter_has_another_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, FILES)
    run(tmp_path)
    monkeypatch.setattr(module, "_linter", lambda: "another")
    assert work(run(tmp_path)) == (4, 0)
    assert work(run(tmp_path)) == (0, 4)


def test_the_linter_is_its_source(monkeypatch: pytest.MonkeyPatch) -> None:
    before = module._linter()
    module._linter.cache_clear()
    read = Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda path: read(path) + b"#" * (path.name == "hazards.py"))
    assert module._linter() != before
    module._linter.cache_clear()


def test_what_another_version_wrote_may_look_different(tmp_path: Path) -> None:
    write(tmp_path, FILES)
    run(tmp_path)
    (file,) = (tmp_path / CACHE_FOLDER).glob("lint-*")
    for content in (b"[]", b"3", b'{"version": 7}'):
        file.write_bytes(module.digest_of(content).encode() + b"\n" + content)
        assert work(run(tmp_path)) == (4, 0)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\n{}", b"[]", None])
def test_a_damaged_cache_is_none(content: bytes | None, tmp_path: Path) -> None:
    write(tmp_path, FILES)
    run(tmp_path)
    (file,) = (tmp_path / CACHE_FOLDER).glob("lint-*")
    if content is None:  # one bit
        data = bytearray(file.read_bytes())
        data[len(data) // 2] ^= 1
        content = bytes(data)
    file.write_bytes(content)
    assert work(run(tmp_path)) == (4, 0)
    assert work(run(tmp_path)) == (0, 4)


def test_the_folder_is_marked_as_a_cache_and_holds_one_file(tmp_path: Path) -> None:
    write(tmp_path, {**FILES, "inner/x.py": BAD})
    run(tmp_path / "inner")
    run(tmp_path)
    names = sorted(path.name for path in (tmp_path / CACHE_FOLDER).iterdir())
    assert names[:2] == [".gitignore", "CACHEDIR.TAG"]
    assert len(names) == 3
    assert (tmp_path / CACHE_FOLDER / ".gitignore").read_text().endswith("\n*\n")
    assert (
        (tmp_path / CACHE_FOLDER / "CACHEDIR.TAG")
        .read_text()
        .startswith("Signature: 8a477f597d28d172789f06886806bc55\n")
    )


def test_another_folder(tmp_path: Path) -> None:
    write(tmp_path / "p", FILES)
    write(tmp_path / "q", FILES)
    where = tmp_path / "deep/cache"
    for folder in ("p", "q"):
        assert work(run(tmp_path / folder, where)) == (4, 0)
    for folder in ("p", "q"):
        assert work(run(tmp_path / folder, where)) == (0, 4)
        assert not (tmp_path / folder / CACHE_FOLDER).exists()


def test_files_of_no_project_leave_nothing_behind(tmp_path: Path) -> None:
    write(tmp_path, FILES)
    (tmp_path / "pyproject.toml").unlink()
    for _ in range(2):
        assert work(run(tmp_path)) == (4, 0)
    assert not (tmp_path / CACHE_FOLDER).exists()


def test_a_cache_of_memory_alone(tmp_path: Path) -> None:
    write(tmp_path, FILES)
    cache = Cache(on_disk=False)
    assert work(lint_paths([tmp_path], cache=cache)) == (4, 0)
    assert work(lint_paths([tmp_path], cache=cache)) == (0, 4)
    cache.save()
    assert not (tmp_path / CACHE_FOLDER).exists()


def test_a_place_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    write(tmp_path, FILES)
    (tmp_path / CACHE_FOLDER).write_text("a file")
    for _ in range(2):
        assert work(run(tmp_path)) == (4, 0)


def test_files_that_are_gone_are_forgotten(tmp_path: Path) -> None:
    write(tmp_path, FILES)
    run(tmp_path)
    (tmp_path / "alone.py").unlink()
    (tmp_path / "train.py").write_text(GOOD)
    run(tmp_path)
    (file,) = (tmp_path / CACHE_FOLDER).glob("lint-*")
    checksum, _, content = file.read_bytes().partition(b"\n")
    assert checksum == digest_of(content).encode()
    names = {Path(name).name for name in json.loads(content)["files"]}
    assert names == {"model.py", "train.py", "broken.py"}


def test_what_failed_by_a_mistake_of_ours_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from likelihead.lint import analysis

    write(tmp_path, {"a.py": BAD})
    with monkeypatch.context() as patch:
        patch.setattr(analysis, "analyse", lambda *_: 1 / 0)
        assert run(tmp_path).statistics.internal == 1
    assert len(run(tmp_path).findings) == 1
