"""Compiling the kernels: what is compiled again, where the library goes, what is said where it cannot."""

from __future__ import annotations

import ctypes
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from likelihead.kernels.native import build
from likelihead.kernels.native.build import BuildError, after_installation, compile_kernels, places

needs_compiler = pytest.mark.skipif(
    not any(map(shutil.which, ("g++", "clang++", "c++"))), reason="no C++ compiler"
)


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CXX", "CPPFLAGS", "CXXFLAGS", "LDFLAGS", "MAX_JOBS"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package of two small sources and a header of one of them, in place of the kernels."""
    folder = tmp_path / "native"
    (folder / "csrc").mkdir(parents=True)
    (folder / "csrc" / "isa_some.cpp").write_text(
        '#include "number.h"\n#ifdef LK_DTYPE\n#define JOIN(a, b) a##b\n#define NAME(a, b) JOIN(a, b)\n'
        '__attribute__((visibility("default"))) extern "C" int NAME(number_, LK_DTYPE)() { return NUMBER; }\n'
        "#endif\n".replace('__attribute__((visibility("default"))) extern "C"', 'extern "C" SHOWN')
    )
    (folder / "csrc" / "number.h").write_text(
        '#define NUMBER 1\n#define SHOWN __attribute__((visibility("default")))\n'
    )
    (folder / "csrc" / "other.cpp").write_text(
        "static int unused_here() { return 0; }\nint f() { return unused_here(); }\n"
    )
    monkeypatch.setattr(build, "FOLDER", folder)
    monkeypatch.setattr(build, "SOURCES", folder / "csrc")
    return folder / "csrc"


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[str]]:
    """What has been done since it was last asked."""
    done: list[str] = []
    run = build._run

    def recorded(command: list[str], doing: str) -> None:
        run(command, doing)
        done.append(doing.removeprefix("compiling "))

    def since() -> list[str]:
        taken = sorted(name for name in done if not name.startswith("linking"))
        done.clear()
        return taken

    monkeypatch.setattr(build, "_run", recorded)
    return since


def _number(library: Path, dtype: str, tmp_path: Path) -> int:
    copy = tmp_path / f"{library.stat().st_mtime_ns}.so"  # a name is loaded once
    shutil.copy(library, copy)
    number: int = getattr(ctypes.CDLL(str(copy)), f"number_{dtype}")()
    return number


@needs_compiler
def test_only_what_changed_is_compiled_again(
    sources: Path, compiled: Callable[[], list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library, objects = tmp_path / "out" / "lib.so", tmp_path / "objects"

    def again() -> list[str]:
        compile_kernels(library, objects)
        return compiled()

    parts = ["isa_some.cpp"] * (1 + len(build.DTYPES))
    assert again() == [*parts, "other.cpp"]
    assert _number(library, "bf16", tmp_path) == 1
    assert again() == []
    with (sources / "other.cpp").open("a") as file:
        file.write("// more\n")
    assert again() == ["other.cpp"]
    header = sources / "number.h"
    header.write_text(header.read_text().replace("NUMBER 1", "NUMBER 2"))
    assert again() == parts
    assert _number(library, "f64", tmp_path) == 2
    (objects / "other.o").unlink()
    assert again() == ["other.cpp"]
    monkeypatch.setenv("CXXFLAGS", "-DSOMETHING=1")
    assert again() == [*parts, "other.cpp"]


@needs_compiler
def test_a_failing_compiler_is_quoted_and_leaves_the_library_alone(
    sources: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    library, objects = tmp_path / "lib.so", tmp_path / "objects"
    compile_kernels(library, objects)
    before = library.read_bytes()
    (sources / "other.cpp").write_text("int f( { }\n")
    with pytest.raises(BuildError, match=r"compiling other\.cpp failed: .*other\.cpp:1:.*error"):
        compile_kernels(library, objects)
    assert "other.cpp:1" in capfd.readouterr().err
    assert library.read_bytes() == before
    assert [path.name for path in tmp_path.glob("*.so*")] == ["lib.so"]
    # Not taken for done the next time.
    with pytest.raises(BuildError, match=r"other\.cpp"):
        compile_kernels(library, objects)


@needs_compiler
def test_the_library_goes_beside_the_package_or_into_the_cache(
    sources: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    stale = sources.parent / "_kernels-0123456789abcdef.abi3.so"
    stale.write_bytes(b"")
    library = after_installation()
    assert library == places()[0]
    assert library.parent == sources.parent
    assert [path.name for path in library.parent.iterdir() if path.is_file()] == [library.name]
    assert not stale.exists()
    # A folder below a file can be written by nobody, which permissions would not say of root.
    monkeypatch.setattr(build, "FOLDER", sources / "other.cpp" / "native")
    library = after_installation()
    assert library == places()[1]
    assert library.parent == tmp_path / "cache" / "likelihead"
    assert [path.name for path in library.parent.iterdir()] == [library.name]
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(
        BuildError, match=r"cannot be written to .*other\.cpp.* or .*file.*set XDG_CACHE_HOME"
    ):
        after_installation()


def test_a_library_of_other_sources_is_not_taken_for_ours(sources: Path) -> None:
    before = places()[0]
    assert places()[0] == before
    (sources / "other.cpp").write_text("int f() { return 1; }\n")
    assert places()[0] != before


def test_a_user_without_a_home_has_the_package_only(sources: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(build.Path, "home", nowhere)
    assert [place.parent for place in places()] == [sources.parent]


def test_what_is_missing_is_named_with_its_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler -O2")
    with pytest.raises(BuildError, match=r"CXX is 'no-such-compiler -O2', which is not there\. Install one"):
        build.toolchain()
    monkeypatch.delenv("CXX")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BuildError, match=r"there is none of g\+\+, clang\+\+ and c\+\+\. Install one .*apt"):
        build.toolchain()
    compiler = tmp_path / "g++"
    compiler.write_text("")
    compiler.chmod(0o755)
    assert build.toolchain()[0] == ["g++"]
    monkeypatch.setattr(build, "find_spec", lambda name: None)
    with pytest.raises(BuildError, match=r"torch is not installed in this environment; pip install torch"):
        build.toolchain()
    monkeypatch.setattr(
        build, "find_spec", lambda name: SimpleNamespace(origin=str(tmp_path / "__init__.py"))
    )
    with pytest.raises(BuildError, match=r"without its C\+\+ headers"):
        build.toolchain()
    monkeypatch.setattr(build, "version", lambda name: "2.9.1+cpu")
    with pytest.raises(BuildError, match=r"torch is 2\.9\.1\+cpu; expected 2\.10 or newer"):
        build.toolchain()
    monkeypatch.setattr(build.sys, "platform", "win32")
    with pytest.raises(BuildError, match=r"GCC or Clang"):
        build.toolchain()


def test_a_file_that_is_no_program_is_no_compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiler = tmp_path / "c++"
    compiler.write_bytes(b"\x7fELF but not really")
    compiler.chmod(0o755)
    monkeypatch.setenv("CXX", str(compiler))
    with pytest.raises(BuildError, match=r"cannot be run .*set CXX"):
        compile_kernels(tmp_path / "lib.so", tmp_path / "objects")


def test_dependencies_are_read_as_compilers_write_them(tmp_path: Path) -> None:
    rule = tmp_path / "x.d"
    rule.write_text("out/x.o: a.cpp /usr/in\\ clude/b.h \\\n  c\\#.h d$$.h\n")
    assert list(build._dependencies(rule)) == ["a.cpp", "/usr/in clude/b.h", "c#.h", "d$.h"]
