#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The picture of the README: the head of the demo's report and four of its examples, as a PNG.

Example: make demo && python tools/demo_picture.py build/demo/report.html docs/demo.png
Needs Chromium (apt-get install chromium). Standard library only.
"""

from __future__ import annotations

import argparse
from pathlib import Path
import shutil
import subprocess
import tempfile

BROWSERS = ('chromium', 'chromium-browser', 'google-chrome')
WIDTH, HEIGHT = 1180, 1490  # px
# Not shown: the speed of one computer (the seventh card), all but the first plots and examples.
STYLE = """<style>
  .cards { grid-template-columns: repeat(7, minmax(0, 1fr)); }
  .card:nth-child(7), details, .grid > section { display: none; }
  .grid > section:nth-child(1), .grid > section:nth-child(2), .grid > section:last-child {
    display: block; }
  figure:nth-child(n + 5), .examples > figure + p { display: none; }
</style></head>"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('report', type=Path, help='the demo report, build/demo/report.html')
    parser.add_argument('picture', type=Path, help='the PNG to write, docs/demo.png')
    words = parser.parse_args()
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        parser.error(f'expected one of {", ".join(BROWSERS)}; apt-get install chromium')
    page = words.report.read_text(encoding='utf-8').replace('</head>', STYLE, 1)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / 'page.html'
        path.write_text(page, encoding='utf-8')
        subprocess.run(
            [
                *(browser, '--headless', '--no-sandbox', '--disable-gpu', '--hide-scrollbars'),
                f'--window-size={WIDTH},{HEIGHT}',
                f'--screenshot={words.picture.absolute()}',
                path.as_uri(),
            ],
            check=True, stderr=subprocess.DEVNULL, timeout=120,
        )  # fmt: skip


if __name__ == '__main__':
    main()
