"""A run's report: one self-contained ``report.html`` and the same figures in ``report.json``.

A task makes a :class:`likelihead.report.page.Page` of sections and hands it to
:func:`likelihead.report.page.write_page`. What is here is what the runs' reports share;
:mod:`likelihead.train.report.plots` draws the figures.
"""

from __future__ import annotations

from likelihead.train.report.calibration import Bin, Reliability, reliability
from likelihead.train.report.content import (
    Curves,
    ReportContent,
    Task,
    TestSet,
    highest_loss_rows,
)
from likelihead.train.report.table_run import write_report

__all__ = [
    "Bin",
    "Curves",
    "Reliability",
    "ReportContent",
    "Task",
    "TestSet",
    "highest_loss_rows",
    "reliability",
    "write_report",
]
