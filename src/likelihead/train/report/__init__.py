"""A run's report: one self-contained ``report.html`` and the same figures in ``report.json``."""

from __future__ import annotations

from likelihead.train.report.build import write_report
from likelihead.train.report.content import (
    Curves,
    ReportContent,
    Task,
    TestSet,
    highest_loss_rows,
)

__all__ = ["Curves", "ReportContent", "Task", "TestSet", "highest_loss_rows", "write_report"]
