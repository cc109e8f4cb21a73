"""What ``likelihead train`` shows while it trains."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

if TYPE_CHECKING:
    from likelihead.train.loop import Trainer

__all__ = ["TrainingProgress", "shown"]


class TrainingProgress:
    """A bar with the NLL beside the baseline; where there is no terminal, about ten lines in a run."""

    def __init__(self, console: Console, on_begin: Callable[[], None] = lambda: None) -> None:
        self.console = console
        self._on_begin = on_begin
        self._bar = Progress(
            TextColumn("epoch {task.fields[epoch]}"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TextColumn("{task.fields[figures]}"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task("train", total=None, epoch="", figures="")
        self._test = ""
        self._has_warned = False

    def __enter__(self) -> TrainingProgress:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def begin(self, trainer: Trainer) -> None:
        """Say what is trained on what."""
        self._on_begin()
        problem = trainer.problem
        self._say(escape(problem.describe()))
        for note in problem.notes:
            shown = escape(note)
            self._say(f"[yellow]{shown}[/yellow]" if note.startswith("warning: ") else f"[dim]{shown}[/dim]")
        self._say(
            f"{escape(problem.summary())}; baseline NLL [bold]{problem.resolved.baseline_nll:.4f}[/bold] nats"
        )
        if trainer.position.step:
            self._say(f"resumed after step {trainer.position.step} of {problem.total_steps}")
        self._bar.update(self._task, total=problem.total_steps, completed=trainer.position.step)

    def step(self, trainer: Trainer) -> None:
        """Move the bar."""
        problem = trainer.problem
        figures = (
            f"{problem.figures(trainer.train_nll)}{self._test}, baseline {problem.resolved.baseline_nll:.4f}"
        )
        self._bar.update(
            self._task,
            completed=trainer.position.step,
            epoch=f"{trainer.position.epoch + 1}/{trainer.config.epochs}",
            figures=figures,
        )

    def epoch(self, trainer: Trainer, record: dict[str, Any]) -> None:
        """Take in an epoch's figures."""
        test = record["test_nll"]
        self._test = "" if test is None else f", test {test:.4f}"
        self._warn(trainer, record["train_nll"] if test is None else test)
        if self.console.is_terminal or record["epoch"] % max(1, trainer.config.epochs // 10):
            return
        name = trainer.problem.score_name
        self._say(
            f"epoch {record['epoch']}/{trainer.config.epochs}: train NLL "
            f"{shown(record['train_nll'])}{self._test}, "
            f"baseline {trainer.problem.resolved.baseline_nll:.4f}, {name.replace('_', ' ')} "
            f"{shown(record[name])}",
        )

    def _warn(self, trainer: Trainer, nll: float) -> None:
        """Say at once, and once, that a run goes nowhere."""
        from likelihead.train.resolved import far_above

        baseline = trainer.problem.resolved.baseline_nll
        if not self._has_warned and far_above(nll, baseline):
            self._has_warned = True
            self._say(
                f"[yellow]warning: the NLL is {nll:,.4g} nats, far above the baseline of {baseline:.4g}; "
                "if it stays so, stop and take a lower --lr[/yellow]"
            )

    def _say(self, line: str) -> None:
        self.console.print(line, highlight=False, soft_wrap=True)


def shown(value: object) -> str:
    """A figure as the terminal shows it; text is escaped for rich.

    >>> shown(0.123456), shown(None), shown(12)
    ('0.1235', 'undefined', '12')
    """
    if value is None:
        return "undefined"
    return f"{value:.4f}" if isinstance(value, float) else escape(str(value))
