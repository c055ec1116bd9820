# SPDX-License-Identifier: MIT
"""What the node writes into its log, and how often."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
import logging
import sys
from typing import Any

import pytest
from rclpy.logging import get_logger

from selavpr_ros.node.health import throttled_logger
from selavpr_ros.node.health.health import ERROR, OK, Part, WARN
from selavpr_ros.node.health.ros_logging import RosHandler
from selavpr_ros.node.health.throttled_logger import ThrottledLogger


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
    logger = ThrottledLogger(log)
    for size in (12345, 999, 40):
        logger.warn(f'image: {size} bytes of jpeg cannot be decoded')
    logger.warn('odom: expected frame odom')
    assert log.lines == [
        ('warning', 'image: 12345 bytes of jpeg cannot be decoded'),
        ('warning', 'odom: expected frame odom'),
    ]


def test_a_lasting_trouble_is_told_again_after_a_while(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    logger, now = ThrottledLogger(log), [1000.0]
    monkeypatch.setattr(throttled_logger.time, 'monotonic', lambda: now[0])
    for now[0] in (
        1000.0,
        1000.0 + throttled_logger.REPEAT_S / 2,
        1000.0 + throttled_logger.REPEAT_S,
    ):
        logger.error('no map 1')
        logger.once('stamp 0')
    assert [line for _, line in log.lines] == ['no map 1', 'stamp 0', 'no map 1']


def test_it_forgets_what_it_said_before_it_fills_the_memory(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(throttled_logger, 'BURST', 1000)
    logger = ThrottledLogger(log)
    texts = ['x' * n for n in range(3 * throttled_logger.REMEMBERED)]
    for text in texts:
        logger.warn(text)
    assert len(log.lines) == len(texts) and len(logger._due) == throttled_logger.REMEMBERED


def test_another_trouble_of_the_same_part_is_told_and_growing_numbers_are_not(log: Log) -> None:
    logger = ThrottledLogger(log)
    for level, text in (
        (OK, 'fine'), (WARN, 'no image for 5 s'), (WARN, 'no image for 6 s'), (WARN, 'bad QoS'),
        (WARN, 'no image for 9 s'), (WARN, 'bad QoS'), (ERROR, 'bad QoS'), (OK, '640x480'),
        (OK, 'other'),
    ):  # fmt: skip
        logger.log_parts([Part('Input', level, text)])
    assert log.lines == [
        ('warning', 'Input: no image for 5 s'),
        ('warning', 'Input: bad QoS'),
        ('error', 'Input: bad QoS'),
        ('info', 'Input: well again, 640x480'),
    ]


def test_of_two_troubles_of_a_part_each_is_told_when_it_comes(log: Log) -> None:
    logger = ThrottledLogger(log)
    for text in ('no stamp', 'no stamp | 2 publishers', '2 publishers', 'no stamp | 3 publishers'):
        logger.log_parts([Part('Input', WARN, text)])
    assert log.lines == [('warning', 'Input: no stamp'), ('warning', 'Input: 2 publishers')]


def test_rclpys_own_logger_takes_every_severity_in_any_order(
    ros: None, capfd: pytest.CaptureFixture[str]
) -> None:
    levels = [WARN, ERROR, OK, ERROR, WARN]
    logger = ThrottledLogger(get_logger('log'))
    for n, level in enumerate(levels):
        logger.log_parts([Part('Input', level, 'abcde'[n])])
    said = capfd.readouterr().err
    assert [f'Input: {letter}' in said for letter in 'abde'] == [True] * 4
    assert 'Input: well again, c' in said


def test_both_threads_of_the_node_may_speak_at_once(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    logger = ThrottledLogger(log)
    monkeypatch.setattr(
        throttled_logger, 'REPEAT_S', 0.0005
    )  # so that lines are forgotten all the time
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(2) as pool:
            lines = ('x' * (n % 90) for n in range(20_000))
            list(pool.map(logger.warn, lines))  # raises what a thread raised
    finally:
        sys.setswitchinterval(before)


def test_two_bad_parameters_are_told_once_each(log: Log) -> None:
    logger = ThrottledLogger(log)
    both = [Part('Parameters', ERROR, f'bad {n}', {'parameter': n}) for n in ('map', 'hypotheses')]
    for _ in range(3):
        logger.log_parts(both)
    assert [line for _, line in log.lines] == ['Parameters: bad map', 'Parameters: bad hypotheses']
    logger.log_parts([])
    logger.log_parts(both[:1])
    assert len(log.lines) == 3  # cured, and wrong again


def test_a_stranger_cannot_fill_the_disk(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    """40 messages with frame ids of 1 MB made 19 MB."""
    logger, now = ThrottledLogger(log), [1000.0]
    monkeypatch.setattr(throttled_logger.time, 'monotonic', lambda: now[0])
    for number in range(1000):
        name = chr(ord('a') + number % 26) * (10**4 + number) + '\x1b[2J\n' + chr(0x4E00 + number)
        logger.warn(f'odom: expected frame odom, got {name}; set odom_frame')
    assert len(log.lines) == throttled_logger.BURST
    assert all(len(line) < 1100 and line.isprintable() for _, line in log.lines)
    now[0] += 2.0
    logger.warn('something else')
    left_out = 1000 - throttled_logger.BURST
    assert log.lines[-1][1] == f'something else ({left_out} other lines before it were left out)'


def test_lines_of_the_libraries_are_cut_and_counted_too() -> None:
    written = Log()
    handler = RosHandler(written)
    for number in range(200):
        record = logging.LogRecord('x', logging.WARNING, '', 0, '%s', ('z\n' * 10**5,), None)
        record.msg = f'{number} %s'
        handler.emit(record)
    assert len(written.lines) == throttled_logger.BURST
    assert all(len(line) < 9000 and '\n' not in line for _, line in written.lines)
