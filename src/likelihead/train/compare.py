"""Put finished runs side by side in one page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from likelihead.core.output import Output
from likelihead.errors import OptionError
from likelihead.report.page import html
from likelihead.report.svg import RUN_COLOURS
from likelihead.train.option import with_article
from likelihead.train.report.comparison import comparison_page, differing_data, run_names
from likelihead.train.report.finished import read_run

__all__ = ["Comparison", "compare"]


# Two likelihoods of the same outcomes: their probabilities compare.
_ALIKE = ({"count", "overdispersed-count"}, {"multiclass", "ordinal"})


@dataclass(frozen=True)
class Comparison:
    """What was compared.

    Attributes:
        out: the page.
        summary: which run has the lowest NLL, or that the data differ.
        warnings: a line for each run whose data are not those of the first.
    """

    out: Path
    summary: str
    warnings: tuple[str, ...]


def compare(
    folders: Sequence[Path], out: Path = Path("compare.html"), *, overwrite: bool = False
) -> Comparison:
    """Write one self-contained page that shows the runs side by side.

    The page holds the headline figures with the best of each marked, the learning curves on the same axes,
    the figures of each class, the calibration, and the options that differ. No best is marked where the data
    differ. The same runs give the same bytes.

    Args:
        folders: of two to eight finished runs of one task, or of two that are about the same outcomes: a
            count and an overdispersed count, classes and ranks.
        out: the page; one that this function wrote before is replaced.
        overwrite: whether any other file is; never a run's.

    Raises:
        OptionError: fewer than two runs or more than eight, the same run twice, runs of different tasks, or a
            page that would take the place of a run's file or of another file.
        RunError: a folder is no finished run, or the page cannot be written.
    """
    if not 2 <= len(folders) <= len(RUN_COLOURS):
        raise OptionError(
            f"{len(folders)} run{'s' if len(folders) != 1 else ''} given; a comparison takes two to "
            f"{len(RUN_COLOURS)} run folders"
        )
    seen: dict[Path, Path] = {}
    for folder in folders:
        if folder.resolve() in seen:
            raise OptionError(f"{folder} is given twice; give each run once")
        seen[folder.resolve()] = folder
    output = Output(out, inputs=folders, overwrite=overwrite, ours=_is_comparison)
    runs = [read_run(folder) for folder in folders]
    for run in runs[1:]:
        if not _alike(run.task, runs[0].task):
            one, other = with_article(runs[0].task), with_article(run.task)
            raise OptionError(
                f"{runs[0].folder} is {one} run and {run.folder} {other} run; their figures "
                "do not mean the same, compare runs of one task"
            )
    page = comparison_page(runs)
    output.write(html(page).encode("utf-8"))
    return Comparison(out, page.summary[0], tuple(differing_data(runs, run_names(runs))))


def _is_comparison(path: Path) -> bool:
    """Whether a file is a page that :func:`compare` wrote, to its last line."""
    try:
        content = path.read_bytes()
    except OSError:
        return False
    return (
        content[:15].lower() == b"<!doctype html>"
        and b"<footer>Made by likelihead compare," in content[-2000:]
    )


def _alike(task: str, other: str) -> bool:
    """Whether the figures of two tasks mean the same."""
    return task == other or any({task, other} <= tasks for tasks in _ALIKE)
