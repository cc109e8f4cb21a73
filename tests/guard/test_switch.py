from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading

import pytest

from likelihead.errors import OptionError
from likelihead.guard.switch import (
    Settings,
    current,
    first_report,
    forget_report,
    guard,
    reset_reported,
    set_guard,
)

SITE = ("LH101", "train.py", 3)


def test_a_block_sets_and_restores_and_inherits_what_it_leaves_out() -> None:
    assert current() == Settings("cheap", None)
    with guard("full"):
        assert current() == Settings("full", None)
        with guard(action="raise"):
            assert current() == Settings("full", "raise")
            with guard("off", action=None):
                assert current() == Settings("off", None)
            assert current() == Settings("full", "raise")
    assert current() == Settings("cheap", None)


def test_an_exception_leaves_the_block_restored() -> None:
    with pytest.raises(RuntimeError, match="inside"), guard("off"):
        raise RuntimeError("inside")
    assert current().level == "cheap"


def test_an_instance_may_be_entered_again() -> None:
    block = guard("full")
    with block, block:
        assert current().level == "full"
    assert current().level == "cheap"
    with block:
        assert current().level == "full"


def test_the_global_switch_changes_what_is_named() -> None:
    set_guard("full")
    set_guard(action="raise")
    assert current() == Settings("full", "raise")
    set_guard(action=None)
    assert current() == Settings("full", None)


def test_a_block_comes_before_the_global_switch() -> None:
    with guard("off"):
        set_guard("full")
        assert current().level == "off"
    assert current().level == "full"


@pytest.mark.parametrize("options", [{"level": "loud"}, {"action": "ignore"}, {"level": None}])
def test_an_unknown_setting_is_refused_where_it_is_written(options: dict[str, object]) -> None:
    with pytest.raises(OptionError, match="must be one of"):
        guard(**options)  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="must be one of"):
        set_guard(**options)  # type: ignore[arg-type]


def test_a_block_holds_for_its_own_thread() -> None:
    seen: list[str] = []
    with guard("off"):
        thread = threading.Thread(target=lambda: seen.append(current().level))
        thread.start()
        thread.join()
    assert seen == ["cheap"]


def test_one_instance_in_many_threads_at_once() -> None:
    block, barrier, wrong = guard("full"), threading.Barrier(4, timeout=60), []

    def work() -> None:
        barrier.wait()
        for _ in range(200):
            with block:
                if current().level != "full":
                    wrong.append("inside")
            if current().level != "cheap":
                wrong.append("outside")

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_block_holds_for_its_own_asyncio_task() -> None:
    async def inside(level: str) -> str:
        with guard(level):  # type: ignore[arg-type]
            await asyncio.sleep(0)
            return current().level

    async def both() -> list[str]:
        return await asyncio.gather(inside("off"), inside("full"))

    assert asyncio.run(both()) == ["off", "full"]


def test_a_site_is_new_once_for_each_block() -> None:
    assert first_report(SITE)
    assert not first_report(SITE)
    assert first_report(("LH102", "train.py", 3))
    with guard():
        assert first_report(SITE)
        assert not first_report(SITE)
    assert not first_report(SITE)
    forget_report(SITE)
    assert first_report(SITE)
    reset_reported()
    assert first_report(SITE)


def run_python(code: str, setting: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"LIKELIHEAD_GUARD": setting},
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize(
    ("setting", "expected"),
    [("", "cheap None"), ("off", "off None"), ("full,raise", "full raise"), (" Full , Warn ", "full warn")],
)
def test_the_environment_sets_the_start_and_nothing_heavy_is_loaded(setting: str, expected: str) -> None:
    code = (
        "import sys; from likelihead.guard.switch import current as c; "
        "assert not {'torch', 'numpy'} & set(sys.modules); print(c().level, c().action)"
    )
    done = run_python(code, setting)
    assert done.stdout.strip() == expected, done.stderr


def test_a_misspelt_environment_variable_is_named_at_first_use() -> None:
    done = run_python("import likelihead; print('imported'); likelihead.set_guard('off')", "ful")
    assert done.returncode != 0
    assert done.stdout == "imported\n"
    says = "guard level is 'ful'; it must be one of off, cheap, full"
    last = done.stderr.splitlines()[-1]
    assert last == f"likelihead.errors.OptionError: environment variable LIKELIHEAD_GUARD='ful': {says}"
