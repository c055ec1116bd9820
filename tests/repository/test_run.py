# SPDX-License-Identifier: MIT
"""`tests/run.py`, which `make test` and `make quick` call: each test once, no failure lost."""

from __future__ import annotations

from pathlib import Path
import subprocess
import sys

import pytest

from where import ROOT

FILES = ['tests/runtime', 'tests/test_public_api.py', 'tests/doctor']


def run(*arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, str(ROOT / 'tests' / 'run.py'), '-p', 'no:cacheprovider', *arguments]
    return subprocess.run(words, capture_output=True, text=True, cwd=cwd)


def names(*arguments: str) -> list[str]:
    """The tests that are selected, in the order of both halves."""
    lines = run('--collect-only', '-q', *arguments, *FILES).stdout.splitlines()
    return [line for line in lines if '::' in line and ' ' not in line.split('[')[0]]


def test_each_test_is_in_one_half() -> None:
    selected = names()
    words = [
        sys.executable,
        '-m',
        'pytest',
        '--collect-only',
        '-q',
        '-p',
        'no:cacheprovider',
        *FILES,
    ]
    plain = subprocess.run(words, capture_output=True, text=True, cwd=ROOT).stdout.splitlines()
    assert len(selected) > 30 and 'tests/doctor' in selected[-1]
    assert sorted(selected) == sorted(line for line in plain if '::' in line)


def test_an_expression_of_ones_own_is_kept() -> None:
    slow, others = names('-m', 'slow'), names('-m', 'not slow')
    assert slow and others and sorted(slow + others) == sorted(names())


def test_quick_leaves_out_what_is_slow_or_live() -> None:
    kept = names('--quick')
    assert kept and not [name for name in kept if name.startswith('tests/doctor')]


@pytest.mark.parametrize(
    ('test', 'code'),
    [('def test_a():\n    assert False', 1), ('def test_a():\n    pass', 0), ('', 5)],
)
def test_the_exit_code_is_that_of_the_half_that_failed(
    test: str, code: int, tmp_path: Path
) -> None:
    (tmp_path / 'test_one.py').write_text(test)
    (tmp_path / 'pytest.ini').write_text('[pytest]\nmarkers = live\n')
    assert run('test_one.py', cwd=tmp_path).returncode == code


def test_a_live_failure_counts_though_the_other_half_passes(tmp_path: Path) -> None:
    (tmp_path / 'test_one.py').write_text(
        'import pytest\n\ndef test_a():\n    pass\n\n'
        '@pytest.mark.live\ndef test_b():\n    assert False\n'
    )
    (tmp_path / 'pytest.ini').write_text('[pytest]\nmarkers = live\n')
    assert run('test_one.py', cwd=tmp_path).returncode == 1
