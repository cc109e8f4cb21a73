"""``with likelihead.watch() as w:`` — the watch of a block of code, in a notebook or a program.

This module loads nothing but the standard library: `likelihead` binds the class under the package's name.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from likelihead.core.output import Output
    from likelihead.watch.record import Finding, Record
    from likelihead.watch.session import Session

__all__ = ["watch"]


class watch:  # a context manager, named as torch.no_grad is
    """Follow the losses of a block, and say what they really do.

    What runs in the block gives the results that it gives without; a report is shown at its end.

    Args:
        fail_fast: raise at the first finding that is certainly wrong.
        accelerate: run likelihead's kernels in place of torch's losses; with `costs`.
        costs: at the end time torch's losses beside likelihead's at the shapes of the block; takes seconds.
        json: a file for what was seen, for programs.
        html: a file for the report as a page.
        show: print the report at the end; a notebook shows it where the object is the last of a cell.

    Raises:
        MisuseError: with ``fail_fast``, what was found.
        OptionError, RunError: a file that cannot be written, said on entry.
        TypeError: an option of another type.

    >>> import torch
    >>> with watch(show=False) as w:
    ...     logits = torch.zeros(2, 3).softmax(dim=1)
    ...     loss = torch.nn.functional.cross_entropy(logits, torch.tensor([0, 2]))
    >>> [finding.code for finding in w.findings]
    ['LH101']
    """

    def __init__(
        self,
        *,
        fail_fast: bool = False,
        accelerate: bool = False,
        costs: bool = False,
        json: str | os.PathLike[str] | None = None,
        html: str | os.PathLike[str] | None = None,
        show: bool = True,
    ) -> None:
        self._options: dict[str, Any] = {"fail_fast": fail_fast, "accelerate": accelerate, "costs": costs}
        for name, value in {**self._options, "show": show}.items():
            if not isinstance(value, bool):
                raise TypeError(f"watch(): {name} is {value!r}; expected True or False.")
        self._files = {form: path for form, path in (("json", json), ("html", html)) if path is not None}
        for name, path in self._files.items():
            if not isinstance(path, str | os.PathLike):
                raise TypeError(f"watch(): {name} is {path!r}; expected the name of a file.")
        self._outputs: dict[str, Output] = {}
        self._show = show
        self._session: Session | None = None

    def __enter__(self) -> watch:
        if self._session is not None and not self._session.ended:
            raise RuntimeError("this watch is open already; for a block within it make another.")
        from likelihead.core.output import Output
        from likelihead.errors import OptionError
        from likelihead.watch.pages import check_html
        from likelihead.watch.session import Session

        files = {form: Path(os.path.abspath(path)) for form, path in self._files.items()}
        if len(set(files.values())) < len(files):
            raise OptionError(f"json and html are both {files['json']}; give each a name of its own.")
        if "html" in self._files:
            check_html()
        self._outputs = {form: Output(path, option=form, overwrite=True) for form, path in files.items()}
        options = {**self._options, "costs": self._options["costs"] or self._options["accelerate"]}
        self._session = Session(**options).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        from likelihead.watch.session import FailFast

        session = self._session
        if session is None or session.ended:
            return
        record = session.finish("finished" if kind is None else f"raised {kind.__name__}")
        try:
            self._write(record)
        except Exception as fault:
            if kind is None:
                raise
            # What the block has raised goes on; it matters more.
            print(f"likelihead: the report could not be written: {fault}", file=sys.stderr)
        if isinstance(error, FailFast) and error.session is session:
            from likelihead.errors import MisuseError

            finding = error.finding
            message = f"{finding.hazard.sentence} {finding.detail} {finding.hazard.remedy} (at {finding.at})"
            raise MisuseError(message, code=finding.code) from None

    def _write(self, record: Record) -> None:
        from likelihead.watch import pages

        if self._show:
            pages.print_report(record)
        for form, output in self._outputs.items():
            text = pages.json_text(record) if form == "json" else pages.html_text(record)
            output.write(text.encode())

    @property
    def record(self) -> Record:
        """What was seen: sites, findings, notes; see `likelihead.watch.record.Record`.

        Raises:
            RuntimeError: the block has not ended.
        """
        if self._session is None:
            raise RuntimeError("nothing was watched yet; enter the block: with likelihead.watch() as w:")
        return self._session.record

    @property
    def findings(self) -> list[Finding]:
        """The hazards that were met, the certain ones first: ``assert not w.findings`` in a test.

        Raises:
            RuntimeError: the block has not ended.
        """
        return self.record.findings

    def _repr_html_(self) -> str | None:
        if self._session is None or not self._session.ended:
            return None
        from html import escape

        from likelihead.watch import pages

        try:
            page = pages.html_text(self._session.record)
        except ModuleNotFoundError:  # the page's libraries are an extra; the terminal's text needs none
            return f"<pre>{escape(pages.render(self._session.record))}</pre>"
        # A frame, so that neither the page's style nor the notebook's reaches the other.
        return f'<iframe srcdoc="{escape(page)}" style="width: 100%; height: 40em; border: 0"></iframe>'

    def __repr__(self) -> str:
        options = {name: value for name, value in self._options.items() if value}
        return f"watch({', '.join(f'{name}={value!r}' for name, value in options.items())})"
