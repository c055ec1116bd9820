# SPDX-License-Identifier: MIT
"""What the node writes into its log, and how often."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
import sys
from typing import Any

import pytest
from rclpy.logging import get_logger

from selavpr_ros.node.health import status
from selavpr_ros.node.health.diagnostics import ERROR, OK, Part, WARN
from selavpr_ros.node.health.status import Voice


class Log:
    """A logger that keeps (severity, line)."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []

    def __getattr__(self, severity: str) -> Any:
        return lambda line: self.lines.append((severity, line))


@pytest.fixture
def log() -> Log:
    return Log()


def test_lines_that_differ_in_their_numbers_are_one(log: Log) -> None:
    voice = Voice(log)
    for size in (12345, 999, 40):
        voice.warn(f'image: {size} bytes of jpeg cannot be decoded')
    voice.warn('odom: expected frame odom')
    assert log.lines == [
        ('warning', 'image: 12345 bytes of jpeg cannot be decoded'),
        ('warning', 'odom: expected frame odom'),
    ]


def test_a_lasting_trouble_is_told_again_after_a_while(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    voice, now = Voice(log), [1000.0]
    monkeypatch.setattr(status.time, 'monotonic', lambda: now[0])
    for now[0] in (1000.0, 1000.0 + status.REPEAT_S / 2, 1000.0 + status.REPEAT_S):
        voice.error('no map 1')
        voice.once('stamp 0')
    assert [line for _, line in log.lines] == ['no map 1', 'stamp 0', 'no map 1']


def test_it_forgets_what_it_said_before_it_fills_the_memory(log: Log) -> None:
    voice = Voice(log)
    texts = ['x' * n for n in range(3 * status.REMEMBERED)]
    for text in texts:
        voice.warn(text)
    assert len(log.lines) == len(texts) and len(voice._said) == status.REMEMBERED


def test_another_trouble_of_the_same_part_is_told_and_growing_numbers_are_not(log: Log) -> None:
    voice = Voice(log)
    for level, text in (
        (OK, 'fine'), (WARN, 'no image for 5 s'), (WARN, 'no image for 6 s'), (WARN, 'bad QoS'),
        (WARN, 'no image for 9 s'), (WARN, 'bad QoS'), (ERROR, 'bad QoS'), (OK, '640x480'),
        (OK, 'other'),
    ):  # fmt: skip
        voice.tell([Part('Input', level, text)])
    assert log.lines == [
        ('warning', 'Input: no image for 5 s'),
        ('warning', 'Input: bad QoS'),
        ('warning', 'Input: no image for 9 s'),
        ('error', 'Input: bad QoS'),
        ('info', 'Input: well again, 640x480'),
    ]


def test_rclpys_own_logger_takes_every_severity_in_any_order(
    ros: None, capfd: pytest.CaptureFixture[str]
) -> None:
    levels = [WARN, ERROR, OK, ERROR, WARN]
    voice = Voice(get_logger('voice'))
    for n, level in enumerate(levels):
        voice.tell([Part('Input', level, 'abcde'[n])])
    said = capfd.readouterr().err
    assert [f'Input: {letter}' in said for letter in 'abde'] == [True] * 4
    assert 'Input: well again, c' in said


def test_both_threads_of_the_node_may_speak_at_once(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    voice = Voice(log)
    monkeypatch.setattr(status, 'REPEAT_S', 0.0005)  # so that lines are forgotten all the time
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(2) as pool:
            lines = ('x' * (n % 90) for n in range(20_000))
            list(pool.map(voice.warn, lines))  # raises what a thread raised
    finally:
        sys.setswitchinterval(before)


def test_two_bad_parameters_are_told_once_each(log: Log) -> None:
    voice = Voice(log)
    both = [Part('Parameters', ERROR, f'bad {n}', {'parameter': n}) for n in ('map', 'hypotheses')]
    for _ in range(3):
        voice.tell(both)
    assert [line for _, line in log.lines] == ['Parameters: bad map', 'Parameters: bad hypotheses']
    voice.tell([])
    voice.tell(both[:1])
    assert len(log.lines) == 3  # cured, and wrong again
