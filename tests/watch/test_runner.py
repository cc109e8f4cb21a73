"""Programs run as under python, beside python itself, in processes of their own; without torch."""

from __future__ import annotations

import py_compile
import signal
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import NamedTuple

import pytest

from lint_projects import write

# Runs as `python DRIVER KIND OPTIONS NAME ARGS...` what python runs as `python NAME ARGS...`. The report is a
# line that begins with REPORT; an option is a word that the watcher looks for.
DRIVER = """
import sys
from likelihead.watch import program
from likelihead.watch.runner import aside, run

_, kind, options, name, *arguments = sys.argv


class Watcher:
    started = ""

    def start(self):
        self.started = ", torch seen"
        if "start-fails" in options:
            raise KeyError("start")

    def finish(self, ended):
        if "report-fails" in options:
            raise KeyError("report")
        if "slowly" in options:
            import os, signal
            os.kill(os.getpid(), signal.SIGTERM)
        with aside() as stream:
            stream.write(f"REPORT {ended}{self.started}\\n")
        return "found" in options

    def stopped(self, error):
        return "LH101" if type(error).__name__ == "Stop" else None


run(getattr(program, kind)(name), arguments, Watcher(), strict="strict" in options)
"""


class Ended(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "launcher").mkdir()
    (tmp_path / "launcher" / "driver.py").write_text(DRIVER)
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")


def process(*words: str, given: str = "", flags: tuple[str, ...] = ()) -> Ended:
    done = subprocess.run(
        [sys.executable, *flags, *words], input=given, capture_output=True, text=True, timeout=60
    )
    return Ended(done.returncode, done.stdout, done.stderr)


def watched(
    *words: str, kind: str = "script", options: str = "-", given: str = "", flags: tuple[str, ...] = ()
) -> tuple[Ended, list[str]]:
    """How a watched program ended, and the lines of its report."""
    ended = process("../launcher/driver.py", kind, options, *words, given=given, flags=flags)
    lines = ended.err.splitlines(keepends=True)
    rest = "".join(line for line in lines if not line.startswith("REPORT "))
    return ended._replace(err=rest), [line[7:-1] for line in lines if line.startswith("REPORT ")]


def same(*words: str, kind: str = "script", given: str = "", flags: tuple[str, ...] = ()) -> str:
    """The one line of the report, where the program ended and printed as under python."""
    option = {"script": (), "module": ("-m",), "code": ("-c",)}[kind]
    plain = process(*option, *words, given=given, flags=flags)
    ended, lines = watched(*words, kind=kind, given=given, flags=flags)
    assert ended == plain
    (line,) = lines
    return line


SHOW_MAIN = """
import sys, __main__
main = {name: value for name, value in vars(__main__).items() if name not in ("sys", "__main__")}
loader, spec = main.pop("__loader__"), main.pop("__spec__")
print(sorted(main.items(), key=str), getattr(loader, "path", loader), sys.argv, sys.path[0])
print(spec and (spec.name, spec.origin, spec.parent), __name__)
print(__main__ is sys.modules["__main__"], sys.path[1:] == __import__("json").loads(sys.stdin.read()))
"""


@pytest.mark.parametrize("name", ["a.py", "./a.py", "inner/../a.py", "linked", "inner//noending"])
def test_main_is_what_a_script_finds(name: str) -> None:
    rest = process("-c", "import json, sys; print(json.dumps(sys.path[1:]))").out
    write(Path.cwd(), {"a.py": SHOW_MAIN, "inner/noending": SHOW_MAIN})
    Path("linked").symlink_to("inner/noending")
    assert same(name, "--help", "-m", "x", given=rest) == "finished"


def test_main_is_what_modules_code_and_standard_input_find() -> None:
    rest = process("-c", "import json, sys; print(json.dumps(sys.path[1:]))").out
    files = {"alone.py": SHOW_MAIN, "package/__init__.py": "", "package/__main__.py": SHOW_MAIN}
    write(Path.cwd(), files | {"package/part.py": SHOW_MAIN})
    for name in ("alone", "package", "package.part"):
        assert same(name, "-c", "--", "x", kind="module", given=rest) == "finished"
    assert same(SHOW_MAIN, "-z", kind="code", given=rest) == "finished"
    assert same("-", "x", given="print(__name__, __file__, __import__('sys').argv)") == "finished"


def test_byte_code_and_zip_files() -> None:
    write(Path.cwd(), {"a.py": "import sys\nprint(sys.argv, __file__)\n1 / 0\n"})
    py_compile.compile("a.py", "compiled.pyc")
    with zipfile.ZipFile("packed", "w") as archive:
        archive.write("a.py", "__main__.py")
        archive.writestr("other.py", "")
    assert same("compiled.pyc", "x") == "raised ZeroDivisionError"
    Path("other.pyc").write_bytes(b"of another python")
    assert same("other.pyc") == "raised RuntimeError"
    assert same("packed", "x") == "raised ZeroDivisionError"


@pytest.mark.parametrize(
    ("flags", "text"),
    [
        (("-P",), "import sys; print(sys.path, sys.flags)"),
        (("-u", "-O", "-W", "error"), "import sys, warnings; assert 0; print(sys.flags); warnings.warn('x')"),
    ],
)
def test_options_of_python_itself(flags: tuple[str, ...], text: str) -> None:
    if flags == ("-P",) and sys.version_info < (3, 11):
        pytest.skip("python has -P from 3.11 on")
    write(Path.cwd(), {"a.py": text})
    same("a.py", flags=flags)


def test_modules_beside_the_script_are_its_own_even_where_the_launcher_has_others_loaded() -> None:
    write(Path.cwd(), {"dataclasses.py": "here = 1", "click.py": "here = 1", "contextlib.py": "here = 1"})
    write(Path.cwd(), {"a.py": "import click, contextlib, dataclasses; print(dataclasses.here, click.here)"})
    code = (
        "import sys; del sys.path[0]; import click, runpy; sys.path.insert(0, '../launcher'); "
        "sys.argv[:] = sys.argv[1:]; runpy.run_path(sys.argv[0])"
    )
    plain, loaded = process("a.py"), process("-c", code, "../launcher/driver.py", "script", "-", "a.py")
    assert plain.out == loaded.out == "1 1\n"


# ---- ends


ENDS = {
    "sys.exit()": "finished",
    "sys.exit(0)": "finished",
    "sys.exit(3)": "exit code 3",
    "sys.exit(-1)": "exit code -1",
    "sys.exit(True)": "exit code 1",
    "sys.exit('words')": "exit code 1",
    "sys.exit((1, 2))": "exit code 1",
    "raise SystemExit": "finished",
    "f()": "raised ZeroDivisionError",
    "raise KeyboardInterrupt": "raised KeyboardInterrupt",
    "os.kill(os.getpid(), signal.SIGINT); time.sleep(9)": "raised KeyboardInterrupt",
    "os.kill(os.getpid(), signal.SIGTERM); time.sleep(9)": "killed by SIGTERM",
    "os.kill(os.getpid(), signal.SIGHUP); time.sleep(9)": "killed by SIGHUP",
    "print('lost', end=''); os._exit(5)": "exit code 5",
    "threading.Thread(target=os._exit, args=(6,)).start(); time.sleep(9)": "exit code 6",
    "signal.signal(signal.SIGTERM, lambda *_: sys.exit(7)); os.kill(os.getpid(), 15); time.sleep(9)": (
        "exit code 7"
    ),
    "sys.excepthook = lambda *e: print('hook', e[1], e[2].tb_lineno); f()": "raised ZeroDivisionError",
    "sys.excepthook = lambda *e: sys.exit(8); f()": "raised ZeroDivisionError",
    "sys.excepthook = f; f()": "raised ZeroDivisionError",
    "atexit.register(print, 'last'); logging.warning('x'); sys.stdout.write('no newline')": "finished",
    "atexit.register(f); atexit.register(os._exit, 9); print('x', flush=True)": "finished",
    "threading.Thread(target=lambda: (time.sleep(0.2), print('late'))).start(); f()": (
        "raised ZeroDivisionError"
    ),
    "ThreadPoolExecutor(1).submit(print, 'pooled')": "finished",
    "threading.Thread(target=f).start()": "finished",
    "os.chdir('/'); sys.argv.clear(); sys.stderr = None; sys.stdout = None": "finished",
    "try:\n    f()\nexcept ZeroDivisionError as e:\n    raise KeyError(1) from e": "raised KeyError",
    "print(sys.getsizeof(1), end=''); sys.stdout.close()": "finished",
}
HEAD = """import atexit, logging, os, signal, sys, threading, time
from concurrent.futures import ThreadPoolExecutor
def f(*_):
    return 1 / 0
"""


@pytest.mark.parametrize("line", ENDS)
def test_a_program_ends_as_under_python(line: str) -> None:
    write(Path.cwd(), {"a.py": HEAD + line + "\n"})
    assert same("a.py") == ENDS[line]


@pytest.mark.parametrize("kind", ["module", "code"])
@pytest.mark.parametrize("line", ["f()", "raise KeyboardInterrupt", "sys.exit('words')"])
def test_modules_and_code_end_as_under_python(kind: str, line: str) -> None:
    write(Path.cwd(), {"a.py": HEAD + line + "\n"})
    same("a" if kind == "module" else HEAD + line, kind=kind)


@pytest.mark.parametrize(
    "source",
    [
        b"x = (\n",
        b"def f():\nreturn\n",
        b"# coding: latin-1\nprint(ascii('caf\xe9'))\n",
        b"\xef\xbb\xbfprint('with a mark')\n",
        b"print('no newline at the end')",
        b"",
        b"from __future__ import annotations\nx: undefined = 1\nprint(__annotations__)\n",
    ],
)
def test_source_is_read_as_python_reads_it(source: bytes) -> None:
    Path("a.py").write_bytes(source)
    same("a.py")


@pytest.mark.parametrize("source", [b"x = '\xe9'\n", b"# coding: nope\nx = 1\n"])
def test_source_that_cannot_be_decoded_is_a_syntax_error(source: bytes) -> None:
    Path("a.py").write_bytes(source)
    ended, lines = watched("a.py")
    assert ended.code == process("a.py").code == 1
    assert "SyntaxError: " in ended.err
    assert "Traceback" not in ended.err
    assert lines == ["raised SyntaxError"]


def test_the_report_comes_after_the_threads() -> None:
    write(
        Path.cwd(),
        {
            "a.py": HEAD
            + "threading.Thread(target=lambda: (time.sleep(0.1), print('t', file=sys.stderr))).start()"
        },
    )
    assert process("../launcher/driver.py", "script", "-", "a.py").err == "t\nREPORT finished\n"


# ---- children


def test_pickles_data_classes_and_spawned_workers_find_main() -> None:
    program = """
import dataclasses, multiprocessing, pickle, sys
@dataclasses.dataclass
class Point:
    x: int
def double(point):
    return Point(2 * point.x)
if __name__ == "__main__":
    assert pickle.loads(pickle.dumps(Point(1))) == Point(1)
    with multiprocessing.get_context(sys.argv[1]).Pool(1) as pool:
        print(pool.map(double, [Point(3)]))
"""
    write(Path.cwd(), {"a.py": program})
    for method in ("spawn", "fork"):
        assert same("a.py", method) == "finished"
    assert same("a", "spawn", kind="module") == "finished"


@pytest.mark.parametrize(
    "line",
    [
        "os._exit(3)",
        "sys.exit(3)",
        "f()",
        "os.kill(os.getpid(), signal.SIGTERM); time.sleep(9)",
        "print(os._exit, signal.signal.__module__, signal.getsignal(signal.SIGTERM), flush=True)",
    ],
)
def test_a_forked_child_writes_no_report(line: str) -> None:
    fork = f"if os.fork() == 0:\n    {line}\nelse:\n    print(os.wait()[1])\n"
    write(Path.cwd(), {"a.py": HEAD + fork})
    same("a.py")


# ---- what a program sees


def test_signals_look_as_without_the_watch() -> None:
    program = """
import os, signal
print(repr(signal.getsignal(signal.SIGTERM)), repr(signal.signal(signal.SIGTERM, print)))
print(signal.getsignal(signal.SIGTERM), repr(signal.signal(signal.SIGTERM, signal.SIG_DFL)))
print(repr(signal.getsignal(signal.SIGTERM)), repr(signal.getsignal(signal.SIGINT)))
try:
    os._exit("no code")
except TypeError as error:
    print(error)
os.kill(os.getpid(), signal.SIGTERM)
"""
    write(Path.cwd(), {"a.py": program})
    assert same("a.py") == "killed by SIGTERM"


def test_an_ignored_signal_stays_ignored() -> None:
    write(Path.cwd(), {"a.py": "import os, signal\nos.kill(os.getpid(), signal.SIGHUP)\nprint('alive')"})
    command = [sys.executable, "../launcher/driver.py", "script", "-", "a.py"]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN),
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "alive\n", "REPORT finished\n")


def test_killed_from_outside_in_the_middle_of_its_work() -> None:
    write(Path.cwd(), {"a.py": "print('ready', flush=True)\nwhile True: pass"})
    command = [sys.executable, "../launcher/driver.py", "script", "-", "a.py"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        running.stdout.readline()
        running.send_signal(signal.SIGTERM)
        assert running.stderr.read() == "REPORT killed by SIGTERM\n"
    assert running.returncode == -signal.SIGTERM


def test_the_watch_begins_when_the_script_has_imported_torch() -> None:
    torch = "import os\nthreads = os.environ.get('THREADS')\nloader = type(__loader__).__name__"
    script = """
import os, sys
os.environ["THREADS"] = "1"
before = list(sys.meta_path)
import torch
print(torch.threads, torch.loader, type(torch.__spec__.loader).__name__, len(sys.meta_path) - len(before))
import torch
"""
    write(
        Path.cwd(),
        {"elsewhere/torch.py": torch, "a.py": "import sys\nsys.path.insert(1, 'elsewhere')" + script},
    )
    ended, lines = watched("a.py")
    assert ended == Ended(0, "1 SourceFileLoader SourceFileLoader -1\n", "")
    assert lines == ["finished, torch seen"]


def test_a_torch_that_cannot_be_imported_is_the_scripts_to_handle() -> None:
    script = """
import sys
sys.path.insert(1, "elsewhere")
for _ in range(2):
    try:
        import torch
    except OSError as error:
        print(error)
"""
    write(Path.cwd(), {"elsewhere/torch.py": "raise OSError('libcudart')", "a.py": script})
    ended, lines = watched("a.py")
    assert ended == Ended(0, "libcudart\nlibcudart\n", "")
    assert lines == ["finished"]


# ---- what is asked of the watch


@pytest.mark.parametrize(
    ("line", "options", "code"),
    [
        ("pass", "strict", 0),
        ("pass", "found", 0),
        ("pass", "strict found", 1),
        ("sys.exit(0)", "strict found", 1),
        ("sys.exit(3)", "strict found", 3),
        ("os._exit(0)", "strict found", 1),
        ("os._exit(3)", "strict found", 3),
        ("f()", "strict found", 1),
        ("os.kill(os.getpid(), 15); time.sleep(9)", "strict found", -15),
        ("class Stop(BaseException): pass\nraise Stop", "-", 1),
        ("pass", "slowly", -15),
        ("atexit.register(print, 'x'); atexit.register(os._exit, 0)", "strict found", 1),
    ],
)
def test_exit_codes(line: str, options: str, code: int) -> None:
    write(Path.cwd(), {"a.py": HEAD + line})
    ended, lines = watched("a.py", options=options)
    assert ended.code == code
    assert len(lines) == 1
    if "Stop" in line:
        assert ended.err == "likelihead: stopped by LH101\n"
        assert lines == ["was stopped by LH101"]


@pytest.mark.parametrize(("options", "code"), [("report-fails", 0), ("report-fails strict", 1)])
def test_a_fault_of_the_watch_is_one_line(options: str, code: int) -> None:
    write(Path.cwd(), {"a.py": "print('x')"})
    ended, _ = watched("a.py", options=options)
    assert ended == Ended(code, "x\n", "likelihead: the watch itself failed: KeyError: 'report'\n")


def test_a_watch_that_cannot_begin_is_told_at_the_end() -> None:
    write(
        Path.cwd(),
        {"elsewhere/torch.py": "", "a.py": "import sys\nsys.path.insert(1, 'elsewhere')\nimport torch"},
    )
    ended, lines = watched("a.py", options="start-fails")
    assert ended == Ended(0, "", "likelihead: the watch itself failed: KeyError: 'start'\n")
    assert lines == ["finished, torch seen"]


def test_the_report_is_written_whatever_becomes_of_standard_error() -> None:
    for line in (
        "os.close(2)",
        "sys.stderr.close()",
        "sys.stderr = None",
        "sys.stdout = sys.stderr = open(os.devnull)",
    ):
        write(Path.cwd(), {"a.py": f"import os, sys\n{line}"})
        assert watched("a.py")[1] == ([] if "os.close" in line else ["finished"])


@pytest.mark.parametrize("line", ["sys.exit(4)", "f()", "os._exit(5)", "pass", "os.kill(os.getpid(), 15)"])
def test_a_watch_in_a_watch(line: str) -> None:
    write(Path.cwd(), {"a.py": HEAD + line})
    plain = process("a.py")
    ended, lines = watched("../launcher/driver.py", "script", "strict", "a.py")
    assert ended == plain
    assert len(lines) == 2
