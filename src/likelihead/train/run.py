"""A run's folder: made whole, locked while in use, and read back with everything in it verified."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save as save_tensors
from torch import Tensor

from likelihead.core.atomic import sync_folder, unwritable, write_bytes
from likelihead.errors import CheckpointError, RunError
from likelihead.train import toml
from likelihead.train.atomic import locked

__all__ = [
    "CHECKPOINTS",
    "CONFIG",
    "METRICS",
    "MODEL",
    "SCHEMA",
    "MetricsLog",
    "check_new",
    "created",
    "newest",
    "opened",
    "read_metrics",
    "read_model",
    "read_schema",
    "read_toml",
    "write_model",
]

CONFIG, SCHEMA, METRICS, MODEL, CHECKPOINTS = (
    "config.toml",
    "schema.json",
    "metrics.jsonl",
    "model.safetensors",
    "checkpoints",
)
RUNS = Path("runs")

_METADATA = "likelihead"

_STALE = re.compile(r"\..+\.\d+\.tmp")
_CHECKPOINT = re.compile(r"\.?step-\d+\.ckpt(\.\d+\.tmp)?")


def _stem(data: str) -> str:
    return re.sub(r"[^\w.-]+", "-", Path(data).stem).strip(".-") or "data"


def _numbered(data: str) -> list[tuple[int, Path]]:
    """The runs of a data set under ``runs/``, by number."""
    pattern = re.compile(re.escape(_stem(data)) + r"-(\d+)")
    if not RUNS.is_dir():
        return []
    found = [(int(match[1]), path) for path in RUNS.iterdir() if (match := pattern.fullmatch(path.name))]
    return sorted(found)


def newest(data: str) -> Path:
    """The run of ``data`` under ``runs/`` with the highest number.

    Raises:
        RunError: there is none.
    """
    found = _numbered(data)
    if not found:
        raise RunError(f"there is no run of {data} in {RUNS.absolute()}; name the run's folder with --out")
    return found[-1][1]


def check_new(out: Path | None, data: str) -> None:
    """Refuse a run folder that cannot be made, which is worth knowing before the data are read.

    Raises:
        RunError: it has no name, or is there already and not empty, or its parent cannot be written.
    """
    if out is None:
        return
    if out.name in ("", ".."):
        raise RunError(
            f"--out {out} has no name of its own; give a new folder's, such as {RUNS / _stem(data)}"
        )
    try:
        if out.is_symlink() and not out.exists():
            raise RunError(f"--out {out} is a link that leads nowhere; remove it, or choose another folder")
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            what = "is a folder with files in it" if out.is_dir() else "is a file"
            hint = ", or resume the run in it with --resume" if (out / CONFIG).exists() else ""
            raise RunError(f"--out {out} {what}; choose another folder{hint}")
        there = next(folder for folder in out.absolute().parents if folder.exists())
    except OSError as error:
        raise unwritable(out, error) from error
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        reason = errno.EACCES if there.is_dir() else errno.ENOTDIR
        raise unwritable(out, OSError(reason, os.strerror(reason)))


@contextmanager
def created(out: Path | None, data: str, fill: Callable[[Path], None]) -> Iterator[Path]:
    """Make a run folder and hold its lock.

    The folder is filled under a temporary name and then renamed, so that a run folder is one that can be
    resumed.

    Args:
        out: where; None takes ``runs/<data>-<n>`` with the next free n.
        data: the data's name, for that.
        fill: writes the first files into the folder that it is given.

    Raises:
        RunError: the folder cannot be written, has no name, or is there already and not empty.
    """
    check_new(out, data)
    parent = RUNS if out is None else out.parent
    with contextlib.ExitStack() as stack:
        made = _make_folders(parent)
        try:
            _remove_stale(parent)
            temporary = parent / f".{(out or Path(_stem(data))).name}.{os.getpid()}.tmp"
            folder = _fill(stack, temporary, fill, lambda: _take_name(temporary, out, data))
        except BaseException as error:
            for path in made:
                with contextlib.suppress(OSError):  # another run may have put its folder there meanwhile
                    path.rmdir()
            if isinstance(error, OSError):
                raise unwritable(out or parent, error) from error
            raise
        yield folder


def _fill(
    stack: contextlib.ExitStack, temporary: Path, fill: Callable[[Path], None], name: Callable[[], Path]
) -> Path:
    temporary.mkdir()
    try:
        # The lock belongs to the folder itself, not to its name, and so outlasts the renaming.
        stack.enter_context(locked(temporary))
        fill(temporary)
        folder = name()
    except BaseException as error:
        shutil.rmtree(temporary)
        if isinstance(error, RunError):
            # The user knows nothing of the temporary name.
            asked = temporary.name[1:].rsplit(".", 2)[0]
            raise RunError(str(error).replace(temporary.name, asked)) from error
        raise
    sync_folder(folder.parent)
    return folder


def _make_folders(parent: Path) -> list[Path]:
    missing = [folder for folder in (parent, *parent.parents) if not folder.exists()]
    made: list[Path] = []
    try:
        for folder in reversed(missing):
            folder.mkdir(exist_ok=True)
            made.insert(0, folder)
    except OSError as error:
        for folder in made:
            folder.rmdir()
        raise unwritable(parent, error) from error
    return made


def _remove_stale(parent: Path) -> None:
    """Remove half-made folders that killed processes left; a living process holds the lock of its own."""
    for path in parent.iterdir():
        if _STALE.fullmatch(path.name) and path.is_dir() and not path.is_symlink():
            with locked(path) as ours:
                if ours and _is_half_made(path):
                    shutil.rmtree(path)


def _is_half_made(folder: Path) -> bool:
    """Whether a folder holds what :func:`created` puts there, and nothing of anybody else's."""
    ours = re.compile(rf"\.?({re.escape(CONFIG)}|{re.escape(SCHEMA)}|{re.escape(METRICS)})(\.\d+\.tmp)?")
    entries = [path for path in folder.iterdir() if path.name != CHECKPOINTS]
    entries += (folder / CHECKPOINTS).iterdir() if (folder / CHECKPOINTS).is_dir() else ()
    return all(ours.fullmatch(path.name) or _CHECKPOINT.fullmatch(path.name) for path in entries)


def _take_name(temporary: Path, out: Path | None, data: str) -> Path:
    if out is not None:
        if out.exists():
            out.rmdir()
        os.rename(temporary, out)
        return out
    number = max((n for n, _ in _numbered(data)), default=0) + 1
    while True:
        folder = RUNS / f"{_stem(data)}-{number}"
        try:
            os.rename(temporary, folder)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
            number += 1  # another process took the name
        else:
            return folder


@contextmanager
def opened(folder: Path) -> Iterator[Path]:
    """Hold the lock of a run that is to go on.

    Raises:
        RunError: it is no run folder, or another process is at work in it.
    """
    read_toml(folder)
    with locked(folder) as ours:
        if not ours:
            raise RunError(f"another process is training in {folder}; wait for it, or stop it first")
        yield folder


def read_toml(folder: Path) -> dict[str, Any]:
    """The content of a run's ``config.toml``.

    Raises:
        RunError: the folder is no run folder, or the file is damaged.
    """
    path = folder / CONFIG
    if not folder.is_dir():
        raise RunError(
            f"{folder} is {'a file' if folder.exists() else 'not there'}; give the folder of a run"
        )
    if not path.is_file():
        raise RunError(f"{folder} is not a run folder: it has no {CONFIG}; give a folder that `train` made")
    try:
        values = toml.loads(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, toml.TOMLDecodeError, RecursionError) as error:
        raise RunError(f"{path} is damaged ({error}); restore it, or train again") from error
    if not isinstance(values.get("options"), dict) or not isinstance(values.get("resolved"), dict):
        raise RunError(f"{path} is not the configuration of a run; give a folder that `train` made")
    return values


def read_schema(folder: Path) -> dict[str, Any]:
    """The content of a run's ``schema.json``.

    Raises:
        RunError: it is gone or damaged.
    """
    path = folder / SCHEMA
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(values, dict):
            raise ValueError("it is not a schema")
    except (OSError, ValueError, RecursionError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise RunError(f"cannot read {path} ({reason}); restore it, or train again") from error
    return values


def write_model(folder: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write ``model.safetensors``; its metadata hold a checksum, which the format itself has not.

    Raises:
        RunError: it cannot be written.
    """
    plain = {name: tensor.detach().contiguous() for name, tensor in tensors.items()}
    values = {**metadata, "sha256": _fingerprint(plain, metadata)}
    # One key: safetensors writes several in an order that changes from process to process.
    content = save_tensors(plain, {_METADATA: json.dumps(values, sort_keys=True)})
    write_bytes(folder / MODEL, content)


def read_model(folder: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors and the metadata of ``model.safetensors``.

    Raises:
        RunError: the run is not finished.
        CheckpointError: the file is truncated or altered.
    """
    path = folder / MODEL
    if not path.exists():
        raise RunError(
            f"{folder} has no {MODEL}: its training is not finished; "
            f"finish it with `likelihead train --resume --out {folder}`"
        )
    remedy = f"remove it, and `likelihead train --resume --out {folder}` writes it anew"
    try:
        with safe_open(path, framework="pt") as file:
            metadata = _metadata((file.metadata() or {}).get(_METADATA, "{}"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # no mapping
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(f"{path} is damaged ({error}); {remedy}") from error
    if metadata.pop("sha256", None) != _fingerprint(tensors, metadata):
        raise CheckpointError(f"{path} is damaged: its checksum does not match; {remedy}")
    return tensors, metadata


def _metadata(text: str) -> dict[str, str]:
    values = json.loads(text)
    if not isinstance(values, dict):
        raise ValueError("its metadata are not those of a model")
    return {str(key): str(value) for key, value in values.items()}


def _fingerprint(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> str:
    digest = hashlib.sha256(json.dumps(dict(metadata), sort_keys=True).encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
        digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()


class MetricsLog:
    """``metrics.jsonl``: one JSON object per line, and never half a line.

    It holds no times, so that a resumed run's log has the bytes of an uninterrupted one's.

    Args:
        path: the file.
        length: the bytes to keep; what a killed process wrote after its last checkpoint is cut off.

    Raises:
        CheckpointError: the file is gone, or shorter than ``length``.
        RunError: it cannot be written, or is a link to another file.
    """

    def __init__(self, path: Path, length: int) -> None:
        self.path = path
        if path.is_symlink():
            raise RunError(
                f"{path} is a link, and what it leads to would be cut and written; put the file itself in "
                "its place"
            )
        try:
            if path.is_file() and path.stat().st_nlink > 1:
                # The other name, of a backup perhaps, keeps what it has.
                write_bytes(path, path.read_bytes())
            try:
                self._file = path.open("r+b", buffering=0)
            except FileNotFoundError as error:
                raise CheckpointError(f"{path} is gone; restore it, or train again") from error
            size = self._file.seek(0, os.SEEK_END)
            if size < length:
                self._file.close()
                raise CheckpointError(
                    f"{path} has {size} bytes, but the checkpoint was made when it had {length}: it was cut "
                    "or edited; "
                    "restore it, or train again"
                )
            self._file.truncate(length)
            self.length = self._file.seek(length)
        except OSError as error:
            raise unwritable(path, error) from error

    def write(self, record: Mapping[str, object]) -> None:
        """Append a line.

        Raises:
            RunError: it cannot be written; the file is as it was before.
        """
        line = (json.dumps(record, allow_nan=False) + "\n").encode()
        try:
            written = self._file.write(line) or 0
            while written < len(line):
                written += self._file.write(line[written:]) or 0
        except OSError as error:
            self._file.truncate(self.length)
            raise unwritable(self.path, error) from error
        self.length += len(line)

    def sync(self) -> None:
        """Wait until the lines are on the disk."""
        try:
            os.fsync(self._file.fileno())
        except OSError as error:
            raise unwritable(self.path, error) from error

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def read_metrics(folder: Path) -> list[dict[str, Any]]:
    """The records of a run's log.

    Raises:
        RunError: a line that is no JSON.
    """
    records = []
    path = folder / METRICS
    for number, line in enumerate(path.read_bytes().splitlines(), 1):
        try:
            records.append(json.loads(line))
        except ValueError as error:
            raise RunError(f"{path}, line {number}: not JSON ({error}); the log was edited or cut") from error
    return records
