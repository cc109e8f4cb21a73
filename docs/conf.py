"""Sphinx configuration. The build needs no network: there is no intersphinx."""

from __future__ import annotations

import sys
from importlib.metadata import version as installed_version
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "likelihead"
author = "The likelihead developers"
copyright = "The likelihead developers, Apache-2.0"
release = version = installed_version("likelihead")

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.mathjax",
    "sphinx.ext.napoleon",
    "hazard_pages",
]
exclude_patterns = ["_build", "_ext"]

myst_enable_extensions = ["amsmath", "deflist", "dollarmath"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_custom_sections = ["Shape", "Units"]
default_role = "literal"
toc_object_entries = False

html_theme = "furo"
html_title = "likelihead"
html_show_sphinx = False
