"""The compiled library as the wheel will hold it: what it links, and on how old a Linux it loads."""

from __future__ import annotations

import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from likelihead.kernels.native import build

LIBRARY = build.FOLDER / build.SHIPPED
FROM_TORCH = {"libc10.so", "libtorch_cpu.so"}
SYSTEM = {"libstdc++.so.6", "libm.so.6", "libgcc_s.so.1", "libc.so.6", "ld-linux-x86-64.so.2"}
# As torch's own wheels: manylinux_2_28.
NEWEST = {"GLIBC": (2, 28), "GLIBCXX": (3, 4, 25), "CXXABI": (1, 3, 11)}

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux") or shutil.which("readelf") is None or not LIBRARY.exists(),
    reason="no library built here for Linux, or no readelf",
)


def _readelf(option: str, library: Path = LIBRARY) -> str:
    return subprocess.run(
        ["readelf", "--wide", option, str(library)], capture_output=True, text=True, check=True
    ).stdout


def test_it_links_torch_and_the_system_and_names_no_folder() -> None:
    dynamic = _readelf("--dynamic")
    needed = set(re.findall(r"\(NEEDED\).*\[(.*)\]", dynamic))
    assert needed >= FROM_TORCH
    assert needed <= FROM_TORCH | SYSTEM  # of torch neither libtorch_python nor what CUDA's builds alone have
    assert not re.search(r"\((RPATH|RUNPATH)\)", dynamic)


def _newer(library: Path) -> set[str]:
    found = re.findall(r"Name: (GLIBC|GLIBCXX|CXXABI)_([\d.]+) ", _readelf("--version-info", library))
    assert found
    return {f"{name}_{number}" for name, number in found if tuple(map(int, number.split("."))) > NEWEST[name]}


def test_it_loads_wherever_torch_does() -> None:
    assert _newer(LIBRARY) == set()


@pytest.mark.skipif(
    shutil.which("g++") is None or platform.machine() != "x86_64" or platform.libc_ver() < ("glibc", "2.29"),
    reason="no compiler, or nothing newer to link",
)
def test_a_function_of_a_newer_system_would_be_noticed(tmp_path: Path) -> None:
    source, library = tmp_path / "new.cpp", tmp_path / "new.so"
    source.write_text("#include <cmath>\ndouble f(double x) { return std::log(x); }\n")
    subprocess.run(["g++", "-shared", "-fPIC", str(source), "-o", str(library), "-lm"], check=True)
    assert "GLIBC_2.29" in _newer(library)


def test_the_sources_are_a_part_of_the_package(tmp_path: Path) -> None:
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, "setup.py", "-q", "build_py", "--build-lib", str(tmp_path)],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    made = tmp_path / "likelihead/kernels/native"
    assert sorted(p.name for p in (made / "csrc").iterdir()) == sorted(
        p.name for p in build.SOURCES.iterdir()
    )
    assert (made / "build.py").is_file()
    assert not list(made.glob("*.so"))
