"""What every report of likelihead is made of: pages, blocks of plain data, figures, and figures in words.

- :mod:`likelihead.report.page`: a page of sections as one self-contained HTML file;
- :mod:`likelihead.report.blocks`: what a section holds, as plain data;
- :mod:`likelihead.report.svg` and :mod:`likelihead.report.axes`: drawings in the page's colours;
- :mod:`likelihead.report.pictures`: arrays as PNGs;
- :mod:`likelihead.report.text`: figures and foreign text as they are shown.

The page needs jinja2, the drawings matplotlib and the pictures Pillow; nothing is imported here, so that a
report in the terminal needs none of them.
"""
