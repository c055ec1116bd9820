# SPDX-License-Identifier: MIT
"""Progress bars are for people at a terminal: nothing of them is written into a log."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios

import pytest

from where import ROOT

WORK = 'from selavpr_model.runtime.progress import progress_bar as bar\n'


def said(code: str, *, at_a_terminal: bool) -> str:
    """What a process wrote to stderr."""
    words = [sys.executable, '-c', WORK + code]
    if not at_a_terminal:
        return subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True).stderr
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack('HHHH', 24, 80, 0, 0))
    subprocess.run(words, cwd=ROOT, stderr=theirs, check=True)
    os.close(theirs)
    try:
        return os.read(ours, 65536).decode()
    except OSError:  # Linux: nothing was written
        return ''
    finally:
        os.close(ours)


@pytest.mark.parametrize(
    'code', ['list(bar(range(3), "rows"))', 'with bar(None, "rows", total=3) as b: b.update(3)']
)
def test_a_bar_is_shown_at_a_terminal_alone(code):
    assert 'rows: 100%' in said(code, at_a_terminal=True)
    assert said(code, at_a_terminal=False) == ''
    assert said(code.replace('"rows"', '"rows", False'), at_a_terminal=True) == ''


def test_every_bar_of_the_packages_is_one_of_these():
    folders = ('selavpr_model', 'selavpr_ros')
    users = {p for f in folders for p in (ROOT / f).rglob('*.py') if 'tqdm' in p.read_text()}
    assert users == {ROOT / 'selavpr_model' / 'runtime' / 'progress.py'}
