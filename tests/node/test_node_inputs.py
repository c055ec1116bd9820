# SPDX-License-Identifier: MIT
"""Bad images, unknown mountings and odd clocks: the node names them and goes on."""

from __future__ import annotations

from pathlib import Path
import threading
import time
from typing import Any

import pytest
from robot import Robot, until_dropped
from selavpr.msg import LocalizerStatus
from sensor_msgs.msg import Image

from selavpr_ros.convert import from_ros, to_ros

SECOND = 1_000_000_000


# ---------------------------------------------------------------- bad images


def test_an_image_that_cannot_be_decoded_is_dropped_and_named(
    robot: Robot, camera: Any, street: Any
):
    bad = Image(encoding='rgb8', height=10, width=10, step=30, data=bytes(17))
    bad.header = to_ros.header(robot.next_stamp(), 'camera_optical')
    until_dropped(robot, camera, bad, 'undecodable')
    assert '300 bytes, got 17' in robot.localizer.health.last_drop
    depth = robot.picture(street[0].image)
    depth.encoding = '32FC1'
    until_dropped(robot, camera, depth, 'undecodable')
    assert robot.ask(camera, street[0].image).hypotheses[0].place_id == 0


def test_a_thermal_camera_is_answered_without_a_name_for_its_values(
    robot: Robot, camera: Any, street: Any
):
    """14 of 16 bits in 16UC1, as thermal cameras send them: all values lie close together."""
    message = robot.picture(street[2].image)
    grey = street[2].image.mean(2)
    message.encoding, message.step = '16UC1', 2 * message.width
    message.data = (7000 + 4 * grey).astype('<u2').tobytes()
    before = robot.localizer.health.last_drop
    answer = robot.ask(camera, message)
    assert answer.hypotheses[0].place_id == 2
    assert robot.localizer.health.last_drop == before


def test_images_that_are_all_dropped_are_reported_with_the_reason(ros: None, street_map: Path):
    with Robot(map=str(street_map), no_image_after_s=0.3) as robot:
        robot.until_active()
        camera = robot.camera()

        def reported() -> bool:
            robot.publish(camera, Image(encoding='rgb8', height=10, width=10, step=30))
            return 'although images arrive' in robot.status().message

        robot.until(reported, 'report')
        assert 'undecodable' in robot.status().message


def test_an_exception_in_the_worker_is_counted_and_the_next_image_is_answered(
    robot: Robot, camera: Any, street: Any, monkeypatch: pytest.MonkeyPatch
):
    def broken(frame: Any, **_: Any) -> Any:
        raise RuntimeError('a kernel failed')

    monkeypatch.setattr(robot.localizer.pipeline, 'process', broken)
    until_dropped(robot, camera, robot.picture(street[0].image), 'error')
    robot.until_status('a kernel failed')
    monkeypatch.undo()
    assert robot.ask(camera, street[0].image).hypotheses[0].place_id == 0
    assert robot.localizer.health.errors >= 1 and robot.localizer.worker.alive


# ---------------------------------------------------------------- mounting


def test_a_camera_at_an_unknown_place_on_the_robot_is_reported_until_it_is_given(
    robot: Robot, camera: Any, street: Any
):
    def reported() -> bool:
        robot.ask(camera, street[0].image)
        part = robot.diagnostic('Localization')
        return part is not None and 'base_camera:=[x,y,z,qx,qy,qz,qw]' in part.message

    robot.until(reported, 'the cure')
    part = robot.diagnostic('Localization')
    assert part.level == bytes([LocalizerStatus.WARN])
    assert "'base_link' is that of 'camera_optical'" in part.message
    for name, value, unset in (
        ('base_frame', 'camera_optical', 'base_link'),
        ('base_camera', [0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0], []),
    ):
        assert robot.set(name, value).successful
        robot.until(lambda: not reported(), 'a known mounting')
        assert robot.set(name, unset).successful
    robot.until(reported, 'the cure again')


# ---------------------------------------------------------------- clocks


def test_a_clock_that_jumps_back_starts_afresh_and_drops_what_waits(
    robot: Robot, camera: Any, street: Any, monkeypatch: pytest.MonkeyPatch
):
    resets: list[int] = []
    reset = robot.localizer.pipeline.reset
    monkeypatch.setattr(robot.localizer.pipeline, 'reset', lambda: (resets.append(1), reset()))
    start = robot.next_stamp()
    robot.ask(camera, robot.picture(street[0].image, start))
    release = threading.Event()
    robot.localizer.worker.post(release.wait)
    received = robot.localizer.health.received

    def waiting() -> bool:
        robot.publish(camera, robot.picture(street[1].image, start + SECOND // 10))
        robot.rest(0.1)
        return robot.localizer.health.received > received

    robot.until(waiting, 'a waiting image')
    back = robot.picture(street[2].image, start - 20 * SECOND)
    until_dropped(robot, camera, back, 'clock_jump')
    release.set()
    robot.until(lambda: resets, 'reset')
    answer = robot.ask(camera, robot.picture(street[2].image, start - 19 * SECOND))
    assert answer.hypotheses[0].place_id == 2 and len(resets) == 1


def test_stamp_zero_is_accepted_and_carried_through(robot: Robot, camera: Any, street: Any):
    answer = robot.ask(camera, robot.picture(street[4].image, 0))
    assert from_ros.stamp_ns(answer) == 0 and answer.hypotheses[0].place_id == 4


def test_an_old_frame_is_dropped_before_inference(robot: Robot, camera: Any, street: Any):
    assert robot.set('clock_jump_s', 1000.0).successful
    robot.ask(camera, robot.picture(street[0].image, time.time_ns()))  # a clock that fits again
    assert robot.set('max_frame_age_s', 1.0).successful
    old = robot.picture(street[1].image, time.time_ns() - 20 * SECOND)
    until_dropped(robot, camera, old, 'too_old')
    why = robot.localizer.health.last_drop
    assert 'stamped 2' in why and 'chrony' in why and 'max_frame_age_s is 1 s' in why
    assert robot.set('max_frame_age_s', 0.0).successful
    assert robot.ask(camera, old).hypotheses[0].place_id == 1


def test_a_bag_of_another_day_is_answered_with_a_hint_at_sim_time(
    ros: None, street_map: Path, street: Any
):
    with Robot(map=str(street_map), max_frame_age_s=1.0) as robot:
        robot.until_active()
        camera = robot.camera()
        answer = robot.ask(camera, robot.picture(street[6].image, 1_600_000_000 * SECOND))
        assert answer.hypotheses[0].place_id == 6
        robot.until_status('use_sim_time')
