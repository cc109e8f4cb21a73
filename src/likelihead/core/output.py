"""Where a command may write: the one place that decides, for every command.

A command never writes over what it reads, nor over a file of a run. Any other file that is there already it
replaces with ``--overwrite`` alone, unless the file is one that the same command made and can make again, or
holds just the bytes that would be written. What is written appears whole or not at all.
"""

from __future__ import annotations

import errno
import filecmp
import os
import re
import shutil
import stat
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from likelihead.core.atomic import replacing, unwritable
from likelihead.errors import OptionError

__all__ = ["STANDARD_OUTPUT", "Output", "OutputFolder", "check_stream"]

#: Names that stand for standard output.
STANDARD_OUTPUT = ("-", "/dev/stdout")

_RUN_FILES = (
    "config.toml",
    "schema.json",
    "metrics.jsonl",
    "model.safetensors",
    "report.html",
    "report.json",
)
_CHECKPOINT = re.compile(r"step-\d+\.ckpt")


def _never(_: Path) -> bool:
    return False


class Output:
    """A file that a command is going to write.

    Args:
        path: its name; one of :data:`STANDARD_OUTPUT` is the stream. A pipe or a device is written into.
        inputs: the files and folders that the command reads; names of nothing on the disk are left out.
        overwrite: whether a file that is there may be replaced; never an input or a file of a run.
        option: what messages call it.
        ours: whether a file that is there was made by the same command, and can be made again.
        again: whether a file that is there may turn out to hold just what is written; then it is compared
            when all is written, and refused if it differs.

    Raises:
        OptionError: it may not be written, as :meth:`check` says.
    """

    def __init__(
        self,
        path: Path,
        *,
        inputs: Iterable[str | os.PathLike[str]] = (),
        overwrite: bool = False,
        option: str = "--out",
        ours: Callable[[Path], bool] = _never,
        again: Callable[[Path], bool] = _never,
    ) -> None:
        self.path, self.option, self.overwrite = path, option, overwrite
        self._inputs = [Path(name) for name in inputs]
        self._ours, self._again = ours, again
        self.check()

    @property
    def is_stream(self) -> bool:
        """Whether it is standard output."""
        return str(self.path) in STANDARD_OUTPUT

    def check(self) -> None:
        """Refuse a place that may not be written; done before any long work, and again when writing.

        Raises:
            OptionError: it is an input, a file of a run, a folder, a link that leads nowhere, or a file that
                is there already.
            RunError: its folder is not there or cannot be written.
        """
        if self.is_stream:
            check_stream(self._inputs)
            return
        path, named = self.path, f"{self.option} {self.path}"
        try:
            is_there = os.path.lexists(path)
            if is_there and not path.exists():
                raise OptionError(f"{named} is a link that leads nowhere; remove it, or give another name")
            if path.is_dir():
                raise OptionError(f"{named}: that is a folder; give the name of a file")
            if not is_there:
                self._check_folder()
                return
            for given in self._inputs:
                if same_file(path, given):
                    raise OptionError(
                        f"{named} is the input {given} itself, which would be lost; give another name"
                    )
            if _is_of_a_run(path):
                raise OptionError(f"{named} is a file of a run; give a name that is free")
            mode = path.stat().st_mode
        except OSError as error:
            raise unwritable(path, error) from error
        if _is_pipe(mode):
            return
        if not stat.S_ISREG(mode):
            raise OptionError(f"{named} is no regular file; give the name of a file")
        if not (self.overwrite or self._ours(path) or self._again(path)):
            raise OptionError(
                f"{named} is there already; give another name, or --overwrite to replace that file"
            )
        self._check_folder()

    def _check_folder(self) -> None:
        folder = Path(os.path.realpath(self.path)).parent
        if not folder.is_dir():
            raise unwritable(self.path, OSError(errno.ENOTDIR if folder.exists() else errno.ENOENT, ""))
        if not os.access(folder, os.W_OK | os.X_OK):
            raise unwritable(self.path, OSError(errno.EACCES, ""))

    @contextmanager
    def open(self) -> Iterator[BinaryIO]:
        """A binary file, which takes its name when the block ends without an exception.

        Raises:
            OptionError: it may not be written by now.
            RunError: it cannot be written.
        """
        self.check()
        if self.is_stream:
            yield sys.stdout.buffer
            sys.stdout.buffer.flush()
            return
        # A link goes on leading to the file.
        path = Path(os.path.realpath(self.path))
        if os.path.lexists(path) and not path.is_file():
            try:
                with path.open("wb") as pipe:
                    yield pipe
            except OSError as error:
                raise unwritable(self.path, error) from error
            return
        with replacing(path, settle=self._settle) as file:
            yield file

    def write(self, content: bytes) -> None:
        """Write it whole."""
        with self.open() as file:
            file.write(content)

    def _settle(self, temporary: Path, path: Path) -> None:
        """Give a finished file its name."""
        if self.overwrite or (path.exists() and self._ours(path)):
            self.check()
            with suppress(OSError):
                # Who could read the old file can read the new one, and nobody else.
                shutil.copymode(path, temporary)
            os.replace(temporary, path)
            return
        if take_free_name(temporary, path):
            return
        if filecmp.cmp(temporary, path, shallow=False):
            temporary.unlink()
            return
        temporary.unlink()
        raise OptionError(
            f"{self.option} {self.path} is there already and holds something else; give another name, or "
            "--overwrite to replace that file"
        )


class OutputFolder:
    """A folder that a command fills with files of given names; a new folder appears whole or not at all.

    Args:
        path: the folder.
        names: of the files.
        inputs, overwrite, option: as in :class:`Output`.

    Raises:
        OptionError: it is a file, one of the inputs, or has a file that may not be replaced.
    """

    def __init__(
        self,
        path: Path,
        names: Iterable[str],
        *,
        inputs: Iterable[str | os.PathLike[str]] = (),
        overwrite: bool = False,
        option: str = "--out",
    ) -> None:
        self.path, self.option, self.overwrite = path, option, overwrite
        self._names, self._inputs = list(names), [Path(name) for name in inputs]
        self.check()

    def check(self) -> None:
        """Refuse a folder that may not be written into."""
        named = f"{self.option} {self.path}"
        if os.path.lexists(self.path) and not self.path.exists():
            raise OptionError(f"{named} is a link that leads nowhere; remove it, or give another name")
        if self.path.exists() and not self.path.is_dir():
            raise OptionError(f"{named} is a file; give the name of a folder")
        if not self.path.is_dir():
            return
        for given in self._inputs:
            if given.is_dir() and same_file(self.path, given):
                raise OptionError(f"{named} is the folder of the input {given}; give another folder")
        if (self.path / "config.toml").is_file():
            raise OptionError(f"{named} is the folder of a run; give another folder")
        for name in self._names:
            file = self.path / name
            if not os.path.lexists(file):
                continue
            inside = next((g for g in self._inputs if _is_inside(file, g)), None)
            if inside is not None:
                raise OptionError(f"{named}: {name} is a file of the input {inside}; give another folder")
            if not self.overwrite or not file.is_file():
                hint = "" if not file.is_file() else ", or --overwrite to replace such files"
                raise OptionError(f"{named} has a file {name} already; give another folder{hint}")

    @contextmanager
    def open(self) -> Iterator[Callable[[str, bytes], None]]:
        """A function that writes one of the files.

        Raises:
            OptionError: it may not be written by now.
            RunError: it cannot be written.
        """
        self.check()
        if self.path.is_dir():
            inside = self.path

            def write(name: str, content: bytes) -> None:
                output = Output(inside / name, inputs=self._inputs, overwrite=self.overwrite)
                output.write(content)

            yield write
            return
        with self._made_whole() as temporary:

            def fill(name: str, content: bytes) -> None:
                (temporary / name).write_bytes(content)

            yield fill

    @contextmanager
    def _made_whole(self) -> Iterator[Path]:
        path = self.path
        temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary.mkdir()
            try:
                yield temporary
                # Takes the name of nothing but an empty folder.
                os.rename(temporary, path)
            except BaseException:
                shutil.rmtree(temporary)
                raise
        except OSError as error:
            raise unwritable(path, error) from error


def check_stream(inputs: Iterable[str | os.PathLike[str]]) -> None:
    """Refuse a standard output that a shell has directed into an input (``>> in.csv``).

    Raises:
        OptionError: names the input.
    """
    try:
        stream = os.fstat(sys.stdout.fileno())
    except (OSError, ValueError, AttributeError):
        return
    if not stat.S_ISREG(stream.st_mode):
        return
    for given in inputs:
        try:
            same = os.path.samestat(stream, os.stat(given))
        except (OSError, ValueError):  # a bundled set, or no name of a file
            continue
        if same:
            raise OptionError(f"standard output is the input {given}; direct it into another file")


def same_file(one: Path, other: Path) -> bool:
    """Whether two names are of one file, however they are written: links, hard links, ``..``, case."""
    try:
        return os.path.samefile(one, other)
    except (OSError, ValueError):
        return False


def take_free_name(temporary: Path, path: Path) -> bool:
    """Give a file its name unless something has that name; whether it got it."""
    try:
        os.link(temporary, path)
    except FileExistsError:
        return False
    except (OSError, NotImplementedError, AttributeError):
        # A file system without hard links.
        if os.path.lexists(path):
            return False
        os.rename(temporary, path)
        return True
    temporary.unlink()
    return True


def _is_pipe(mode: int) -> bool:
    return stat.S_ISFIFO(mode) or stat.S_ISCHR(mode) or stat.S_ISSOCK(mode)


def _is_inside(path: Path, folder: Path) -> bool:
    with suppress(OSError, ValueError):
        return folder.is_dir() and Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))
    return False


def _is_of_a_run(path: Path) -> bool:
    for name in {path.absolute(), Path(os.path.realpath(path))}:
        folder = name.parent
        if name.name in _RUN_FILES and (folder / "config.toml").is_file():
            return True
        if _CHECKPOINT.fullmatch(name.name) and (folder.parent / "config.toml").is_file():
            return True
    return False
