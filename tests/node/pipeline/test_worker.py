# SPDX-License-Identifier: MIT
"""The mailbox keeps the newest item and the worker outlives whatever it is given."""

from __future__ import annotations

from collections.abc import Iterator
import threading
import time
import weakref

from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pytest

from selavpr_model.records import State
from selavpr_ros.node.health.clocks import StampJudge, STRAYS
from selavpr_ros.node.health.health import Health
from selavpr_ros.node.pipeline.worker import Worker

LONG_S = 30.0
SECOND = 1_000_000_000


class Recorder:
    """Keeps what a worker was given; `gate` holds it back."""

    def __init__(self) -> None:
        self.items: list[object] = []
        self.errors: list[Exception] = []
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Event()
        self.worker: Worker[object] = Worker(self.process, self.errors.append)
        self.worker.start()

    def process(self, item: object) -> None:
        self.entered.set()
        assert self.gate.wait(LONG_S)
        self.items.append(item)
        if isinstance(item, Exception):
            raise item

    def settle(self) -> None:
        end = time.monotonic() + LONG_S
        while not self.worker.idle:
            assert time.monotonic() < end
            time.sleep(0.001)

    def hold(self) -> None:
        """Block the worker inside its first item."""
        self.gate.clear()
        self.worker.offer('first')
        assert self.entered.wait(LONG_S)


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    recorder = Recorder()
    yield recorder
    recorder.gate.set()
    assert recorder.worker.stop(LONG_S)


def test_the_newest_item_wins_and_the_replaced_ones_are_told(recorder: Recorder):
    recorder.hold()
    replaced = [recorder.worker.offer(i) for i in range(4)]
    recorder.gate.set()
    recorder.settle()
    assert replaced == [False, True, True, True]
    assert recorder.items == ['first', 3]


def test_an_exception_is_reported_and_the_next_item_is_processed(recorder: Recorder):
    for error in (ValueError('one'), MemoryError(), RuntimeError('three')):
        recorder.worker.offer(error)
        recorder.settle()
    recorder.worker.offer('after')
    recorder.settle()
    assert [type(e) for e in recorder.errors] == [ValueError, MemoryError, RuntimeError]
    assert recorder.items[-1] == 'after' and recorder.worker.alive


def test_jobs_run_in_order_before_the_waiting_item(recorder: Recorder):
    recorder.hold()
    recorder.worker.offer('item')
    futures = [recorder.worker.post(lambda i=i: recorder.items.append(i)) for i in range(3)]
    recorder.gate.set()
    for future in futures:
        future.result(LONG_S)
    recorder.settle()
    assert recorder.items == ['first', 0, 1, 2, 'item']


def test_a_job_hands_back_its_result_or_its_exception(recorder: Recorder):
    def fail() -> None:
        raise KeyError('no')

    assert recorder.worker.post(lambda: 7).result(LONG_S) == 7
    assert isinstance(recorder.worker.post(fail).exception(LONG_S), KeyError)
    assert recorder.worker.alive and not recorder.errors


def test_discard_empties_the_slot_and_says_whether_it_held_something(recorder: Recorder):
    recorder.hold()
    recorder.worker.offer('lost')
    assert recorder.worker.discard() and not recorder.worker.discard()
    recorder.gate.set()
    recorder.settle()
    assert recorder.items == ['first']


def test_stopping_cancels_what_waits_and_refuses_what_comes(recorder: Recorder):
    recorder.hold()
    waiting = recorder.worker.post(lambda: 1)
    assert not recorder.worker.stop(0.01)  # the first item is still being processed
    assert waiting.cancelled() and recorder.worker.post(lambda: 2).cancelled()
    recorder.gate.set()
    assert recorder.worker.stop(LONG_S) and not recorder.worker.alive


def test_the_worker_does_not_keep_the_last_item_in_memory():
    worker: Worker[np.ndarray] = Worker(lambda item: None, lambda error: None)
    worker.start()
    image = np.zeros(10)
    gone = weakref.ref(image)
    worker.offer(image)
    del image
    end = time.monotonic() + LONG_S
    while gone() is not None:
        assert time.monotonic() < end
        time.sleep(0.001)
    assert worker.stop(LONG_S)


@given(st.lists(st.integers(0, 2**62), max_size=30), st.integers(1, 2**40))
@settings(deadline=None)
def test_the_clock_jumps_exactly_where_a_stamp_lies_far_before_the_last(
    stamps: list[int], jump: int
):
    judge = StampJudge()
    found = [judge.jumped_back(stamp, jump) for stamp in stamps]
    real = [s for s in stamps if s]
    assert [f for f, s in zip(found, stamps, strict=True) if s] == [
        i > 0 and real[i] < real[i - 1] - jump for i in range(len(real))
    ]
    assert not any(f for f, s in zip(found, stamps, strict=True) if not s)


def observed(ages_s: list[float]) -> StampJudge:
    judge, now = StampJudge(), 10_000 * SECOND
    for age in ages_s:
        judge.observe(now - round(age * SECOND), now, 60 * SECOND)
    return judge


def test_a_bag_from_another_day_is_a_foreign_clock_from_its_first_frame():
    judge = observed([5000])
    assert judge.foreign and not judge.too_old(5000 * SECOND, 10_000 * SECOND, SECOND)


def test_one_very_late_frame_is_too_old_and_not_a_foreign_clock():
    judge = observed([0.1, 0.1, 70])
    assert not judge.foreign and judge.too_old(9930 * SECOND, 10_000 * SECOND, SECOND)


def test_a_clock_that_stays_away_becomes_foreign_and_may_come_back():
    assert observed([0.1] + [70] * STRAYS).foreign
    assert not observed([0.1] + [70] * STRAYS + [0.1]).foreign


def test_stamp_zero_is_never_too_old():
    assert not observed([0.1]).too_old(0, 10_000 * SECOND, SECOND)


def test_an_age_limit_of_zero_drops_nothing():
    assert not observed([0.1]).too_old(SECOND, 10_000 * SECOND, 0)


def test_health_counts_drops_by_reason_and_starts_anew():
    health = Health()
    for reason in ('replaced', 'replaced', 'too_old'):
        health.drop(reason, 'why')
    assert health.dropped() == {'replaced': 2, 'too_old': 1}
    assert health.last_drop == 'too_old: why'
    health.restart()
    assert health.dropped() == {} and health.last_drop == ''


def test_percentiles_are_over_the_frames_of_each_stage():
    health = Health()
    for ms in range(1, 101):
        health.done(State.LOST, '', {'forward': ms * 1_000_000})
    p50, p95 = health.percentiles_ms()['forward']
    assert p50 == pytest.approx(50.5) and p95 == pytest.approx(95.05)


def test_a_failing_frame_shows_until_one_succeeds():
    health = Health()
    health.failed(RuntimeError('no'))
    assert health.failing and health.last_error == 'RuntimeError: no'
    health.done(State.LOST, '', {})
    assert not health.failing and health.errors == 1
