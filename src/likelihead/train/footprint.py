"""The memory that a training will take, counted before any of it is allocated.

The counts are of what certainly is there at the same time, without what the libraries need for themselves: a
run that is let through may still be slow for want of memory, but one that is refused could not have run.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from likelihead.errors import OptionError

__all__ = [
    "Footprint",
    "available",
    "conv_net",
    "mlp",
    "recurrent",
    "require",
    "require_rows",
    "transformer",
    "u_net",
]

#: Tensors of a parameter's size that an optimizer keeps for it.
_KEPT = {"adam": 2, "adamw": 2, "sgd": 1}
#: Copies of the network and the optimizer's state while a checkpoint is written.
_COPIES = 3


@dataclass(frozen=True)
class Footprint:
    """What a step takes.

    Attributes:
        parameters: how many numbers are trained.
        activations: how many numbers one item of a batch (a row, a token, an image) leaves for the backward
            pass.
        batch: how many items a batch has.
        item: what an item is called.
        size: bytes of a number.
        remedy: the options that make it smaller, beside ``--hidden``.
    """

    parameters: int
    activations: int
    batch: int
    item: str
    size: int
    remedy: str = "--batch-size"

    def parts(self, optimizer: str) -> dict[str, int]:
        """The bytes of each part; of the batch and a checkpoint, which are not there together, the larger."""
        network = self.parameters * self.size
        state = _KEPT[optimizer] * network
        parts = {
            f"network ({self.parameters:,} parameters)": network,
            "gradients": network,
            f"optimizer ({optimizer})": state,
        }
        batch = self.batch * self.activations * self.size
        checkpoint = _COPIES * (network + state)
        if batch >= checkpoint:
            items = self.item if self.batch == 1 else f"{self.item}s"
            return parts | {f"a batch of {self.batch:,} {items}": batch}
        return parts | {"writing a checkpoint": checkpoint}


def require(footprint: Footprint, optimizer: str) -> None:
    """Refuse what does not fit into the memory that is free.

    Raises:
        OptionError: with the sum, its parts and the remedy.
    """
    parts = footprint.parts(optimizer)
    total, free = sum(parts.values()), available()
    if free is None or total <= free:
        return
    shown = ", ".join(f"{name} {in_words(size)}" for name, size in parts.items() if size)
    network = 4 * footprint.parameters * footprint.size
    per_item = footprint.activations * footprint.size
    if network > free // 2:
        remedy = "use smaller layers (--hidden)"
    else:
        fits = max(1, (free - network) * 9 // 10 // max(1, per_item))
        fewer = (
            f", such as {footprint.remedy} {fits}" if footprint.remedy == "--batch-size" and fits > 1 else ""
        )
        remedy = f"use less of {footprint.remedy}{fewer}, or smaller layers (--hidden)"
    raise OptionError(
        f"the training takes {in_words(total)} of memory ({shown}), and {in_words(free)} are free; {remedy}"
    )


def require_rows(size: int, rows: int, features: int) -> None:
    """Refuse encoded rows, each category a column of its own, that do not fit into the memory that is free.

    Raises:
        OptionError: with the sum and the remedy.
    """
    free = available()
    if free is not None and size > free:
        raise OptionError(
            f"{rows:,} rows of {features:,} features (a category is a feature) take {in_words(size)} of "
            f"memory, and {in_words(free)} are free; give less --memory, such as --memory "
            f"{max(1, free >> 20)}MiB: above half of that the file is streamed"
        )


def in_words(size: int) -> str:
    """A number of bytes for people.

    >>> in_words(3 * 2**30), in_words(5 * 2**20)
    ('3.0 GiB', '5.0 MiB')
    """
    for unit, power in (("PiB", 50), ("TiB", 40), ("GiB", 30), ("MiB", 20)):
        if size >= 2**power:
            # Whole numbers: a width may be larger than any float.
            tenths = 10 * size // 2**power
            return f"{tenths // 10:,}.{tenths % 10} {unit}"
    return f"{size / 2**10:.1f} KiB"


def mlp(features: int, hidden: Sequence[int], outputs: int) -> tuple[int, int]:
    """Parameters of a multilayer perceptron, and numbers that a row leaves: inputs, sums, activations."""
    widths = [features, *hidden, outputs]
    parameters = sum((i + 1) * o for i, o in pairwise(widths))
    return parameters, features + 2 * sum(hidden) + 2 * outputs


def recurrent(vocabulary: int, embedding: int, hidden: Sequence[int]) -> tuple[int, int]:
    """Parameters of a GRU with its embedding and head, and numbers that a token leaves."""
    before = [embedding, *hidden[:-1]]
    gates = sum(3 * o * (i + o + 2) for i, o in zip(before, hidden, strict=True))
    parameters = vocabulary * embedding + gates + (hidden[-1] + 1) * vocabulary
    # Three gates before and behind their functions. Of the logits there is a chunk at a time.
    return parameters, embedding + 7 * sum(hidden)


def transformer(vocabulary: int, hidden: Sequence[int]) -> tuple[int, int]:
    """The same of blocks of attention and two dense layers."""
    width = hidden[0]
    block = 4 * width * (width + 1) + 4 * width * (width + 1) + width * (4 * width + 1) + 4 * width
    parameters = vocabulary * width + len(hidden) * block + 2 * width + (width + 1) * vocabulary
    return parameters, width + 16 * width * len(hidden)


def u_net(channels: int, hidden: Sequence[int], outputs: int, pixels: int) -> tuple[int, int]:
    """Parameters of a U-Net, and numbers that an image of so many pixels leaves."""
    parameters = (hidden[0] + 1) * outputs
    numbers = pixels * (channels + 2 * outputs)
    for level, (i, o) in enumerate(zip((channels, *hidden[:-1]), hidden, strict=True)):
        parameters += _block(i, o)
        numbers += 4 * o * pixels // 4**level
    for level, (fine, coarse) in enumerate(pairwise(hidden)):
        parameters += _block(fine + coarse, fine)
        numbers += (4 * fine + fine + coarse) * pixels // 4**level
    return parameters, numbers


def conv_net(channels: int, hidden: Sequence[int], outputs: int, pixels: int) -> tuple[int, int]:
    """Parameters of a convolutional net, and numbers that an image leaves."""
    last = hidden[-1]
    parameters = 2 * last * (last + 1) + (2 * last + 1) * outputs
    numbers = pixels * channels
    for level, (i, o) in enumerate(zip((channels, *hidden[:-1]), hidden, strict=True)):
        parameters += _block(i, o)
        numbers += 4 * o * pixels // 4**level
    return parameters, numbers


def _block(inputs: int, outputs: int) -> int:
    return 9 * inputs * outputs + 9 * outputs * outputs + 4 * outputs


def available() -> int | None:
    """Bytes of memory that a process may still take; None where the platform does not tell.

    What the system calls available, or, where that is less, what is left to the container (cgroup) or to the
    process (``ulimit -v``).
    """
    found = [size for size in (_of_the_machine(), *_of_the_groups(), _of_the_process()) if size is not None]
    return max(0, min(found)) if found else None


def _of_the_machine() -> int | None:
    values = _pairs(Path("/proc/meminfo"))
    if "MemAvailable" in values:
        return values["MemAvailable"] * 1024
    try:
        # Elsewhere all of the memory: less is not known.
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return None


def _of_the_groups(root: Path = Path("/sys/fs/cgroup"), own: Path = Path("/proc/self/cgroup")) -> list[int]:
    """What is left below the limits of the control groups that the process is in.

    Args:
        root: where the groups are, as folders.
        own: says which of them the process is in.
    """
    found = []
    for line in _lines(own):
        _, controllers, name = [*line.split(":", 2), "", ""][:3]
        if controllers not in ("", "memory"):
            continue
        top = root if not controllers else root / "memory"
        limit, used = (
            ("memory.max", "memory.current")
            if not controllers
            else ("memory.limit_in_bytes", "memory.usage_in_bytes")
        )
        folder = top / name.lstrip("/")
        # A container often sees its own group as the root.
        for group in (top, *(f for f in (folder, *folder.parents) if top in f.parents)):
            most, now = _number(group / limit), _number(group / used)
            if most is not None and now is not None:
                cache = _pairs(group / "memory.stat").get("inactive_file", 0)
                found.append(most - now + cache)
    return found


def _of_the_process() -> int | None:
    try:
        import resource

        most = resource.getrlimit(resource.RLIMIT_AS)[0]
        pages = int(Path("/proc/self/statm").read_text().split()[0])
    except (ImportError, OSError, ValueError, IndexError):
        return None
    if most == resource.RLIM_INFINITY:
        return None
    return most - pages * resource.getpagesize()


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        return []


def _number(path: Path) -> int | None:
    lines = _lines(path)
    return int(lines[0]) if lines and lines[0].strip().isdigit() else None


def _pairs(path: Path) -> Mapping[str, int]:
    """Names and numbers, of lines such as ``MemAvailable: 12 kB``."""
    found = {}
    for line in _lines(path):
        parts = line.replace(":", " ").split()
        if len(parts) > 1 and parts[1].isdigit():
            found[parts[0]] = int(parts[1])
    return found
