# SPDX-License-Identifier: MIT
"""A 30 Hz stream, faster than inference: what must hold whatever the machine's speed.

Times are not asserted here; tools/measure_node.py measures them.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
import threading
import time
from typing import Any

import pytest
from robot import Robot

from selavpr_ros.convert import from_ros

PERIOD_S = 1 / 30
SECONDS = 4.0


class Stream(threading.Thread):
    """Publishes images at 30 Hz until told to stop; `sent` holds their stamps in order."""

    def __init__(self, robot: Robot, camera: Any, images: list[Any]) -> None:
        super().__init__(daemon=True)
        self.robot, self.camera, self.images = robot, camera, images
        self.sent: list[int] = []
        self.over = threading.Event()

    def run(self) -> None:
        while not self.over.wait(PERIOD_S):
            stamp = time.time_ns()
            image = self.images[len(self.sent) % len(self.images)]
            self.camera.publish(self.robot.picture(image, stamp))
            self.sent.append(stamp)


@pytest.fixture(scope='module')
def run(ros: None, street_map: Path, street: Any) -> Iterator[tuple[Robot, list[int], list[Any]]]:
    """The robot, the stamps sent, and the answers of services that were asked meanwhile."""
    with Robot(map=str(street_map)) as robot:
        robot.until_active()
        camera = robot.camera()
        robot.ask(camera, street[0].image)
        robot.heard['hypotheses'].clear()
        stream = Stream(robot, camera, [frame.image for frame in street])
        stream.start()
        answers, end = [], time.monotonic() + SECONDS
        while time.monotonic() < end:
            answers.append(robot.call('get_parameters', names=['hypotheses']))
            answers.append(robot.call('get_state'))
        stream.over.set()
        stream.join()
        robot.until(lambda: robot.localizer.worker.idle, 'the last answer')
        robot.rest(0.5)
        yield robot, stream.sent, answers


Run = tuple[Robot, list[int], list[Any]]


def test_every_image_is_answered_or_counted_as_dropped(run: Run):
    health = run[0].localizer.health
    assert health.received == health.processed + sum(health.dropped().values())
    assert health.errors == 0 and health.processed > 2


def test_only_newer_images_push_older_ones_out(run: Run):
    assert set(run[0].localizer.health.dropped()) <= {'replaced'}


def test_answers_come_in_order_and_belong_to_images_that_were_sent(run: Run):
    stamps = [from_ros.stamp_ns(m) for m in run[0].heard['hypotheses']]
    assert stamps == sorted(set(stamps)) and set(stamps) <= set(run[1])


def test_the_last_image_that_arrived_is_answered(run: Run):
    answered = from_ros.stamp_ns(run[0].heard['hypotheses'][-1])
    assert answered in run[1][-5:]  # best effort may lose the very last ones


def test_services_answered_all_the_while(run: Run):
    assert len(run[2]) >= 20
    assert all(a.values[0].integer_value == 5 for a in run[2][::2])
    assert all(a.current_state.label == 'active' for a in run[2][1::2])


def test_each_answer_tells_its_waiting_and_its_computing_time(run: Run):
    for message in run[0].heard['hypotheses']:
        assert from_ros.duration_s(message.compute_latency) > 0
        assert from_ros.duration_s(message.queue_latency) >= 0
