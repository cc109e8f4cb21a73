"""A run's report: one self-contained ``report.html`` and the same figures in ``report.json``.

A task makes a :class:`Page` of sections and hands it to :func:`write_page`. The blocks of a section are plain
data; :mod:`likelihead.train.report.plots` draws the figures and :mod:`likelihead.train.report.pictures` the
images.
"""

from __future__ import annotations

from likelihead.train.report.blocks import (
    Bars,
    Block,
    Callout,
    Figure,
    Grid,
    Images,
    Legend,
    Lines,
    Matrix,
    Picture,
    Row,
    Table,
    Text,
    Tokens,
)
from likelihead.train.report.calibration import Bin, Reliability, reliability
from likelihead.train.report.content import (
    Curves,
    ReportContent,
    Task,
    TestSet,
    highest_loss_rows,
)
from likelihead.train.report.page import Card, Page, Section, write_page
from likelihead.train.report.pictures import CLASS_COLOURS, class_colours, heat_map, mask_picture, png_of
from likelihead.train.report.table_run import write_report

__all__ = [
    "CLASS_COLOURS",
    "Bars",
    "Bin",
    "Block",
    "Callout",
    "Card",
    "Curves",
    "Figure",
    "Grid",
    "Images",
    "Legend",
    "Lines",
    "Matrix",
    "Page",
    "Picture",
    "Reliability",
    "ReportContent",
    "Row",
    "Section",
    "Table",
    "Task",
    "TestSet",
    "Text",
    "Tokens",
    "class_colours",
    "heat_map",
    "highest_loss_rows",
    "mask_picture",
    "png_of",
    "reliability",
    "write_page",
    "write_report",
]
