# SPDX-License-Identifier: MIT
"""Run the tests: first those that can share the computer, on all its cores; then the live ones.

With --quick, only those that are neither slow nor live. All other arguments go to pytest, both
times: `python tests/run.py -k map`. Plain `pytest` runs the same tests one after the other.
"""

from __future__ import annotations

import subprocess
import sys

PARALLEL = [
    '-n',
    'auto',
    '--maxprocesses',
    '8',
    '--dist',
    'loadfile',
]  # a file's fixtures are made once
NOTHING = 5  # pytest's exit code where no test was selected


def main(arguments: list[str]) -> int:
    """The first exit code that is not 0; `NOTHING` only where neither half had a test."""
    if '--quick' in arguments:
        rest = [word for word in arguments if word != '--quick']
        return run('not slow and not live', PARALLEL, rest)
    codes = [run('not live', PARALLEL, arguments), run('live', [], arguments)]
    failed = [code for code in codes if code not in (0, NOTHING)]
    return failed[0] if failed else min(codes)


def run(kind: str, options: list[str], arguments: list[str]) -> int:
    """pytest on the tests of a kind that the arguments select, too."""
    rest, selected = split_markers(arguments)
    marker = ' and '.join(f'({each})' for each in [kind, *selected])
    words = [sys.executable, '-m', 'pytest', *options, '-m', marker, *rest]
    return subprocess.run(words, check=False).returncode


def split_markers(arguments: list[str]) -> tuple[list[str], list[str]]:
    """The arguments without each `-m EXPRESSION`, and those expressions: pytest takes only one."""
    rest, markers = [], []
    words = iter(arguments)
    for word in words:
        if word == '-m':
            markers.append(next(words, ''))
        else:
            rest.append(word)
    return rest, markers


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
