# SPDX-License-Identifier: MIT
"""Stamps and senders of images over DDS: named for what they are, and no run is lost for them."""

from __future__ import annotations

from pathlib import Path
import time
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
import pytest
from rclpy.node import Node
from robot import drops, Robot
from selavpr.msg import LocalizerStatus

from selavpr_ros.convert import from_ros
from selavpr_ros.node.health.clocks import duration, StampJudge
from selavpr_ros.node.incoming.stamps import ImageStamps, OTHER_CAMERA, OTHER_CLOCK

SECOND = 1_000_000_000
WARN = bytes([LocalizerStatus.WARN])
UNIT = [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0]


def until_said(robot: Robot, text: str, again: Any = None, name: str = 'Input') -> Any:
    def said() -> Any:
        if again is not None:
            again()
            robot.rest(0.1)
        part = robot.diagnostic(name)
        return part if part and part.level == WARN and text in part.message else None

    return robot.until(said, text)


# ---------------------------------------------------------------- without ROS


def refusals(images: list[tuple[float, float, str]]) -> list[str]:
    """Of (arrival in s, stamp in s, frame); our clock and that of arrivals are one."""
    judge = ImageStamps()
    return [judge.refused(round(stamp * SECOND), frame, round(at * SECOND), SECOND,
                          round(at * SECOND)) for at, stamp, frame in images]  # fmt: skip


def test_a_name_for_each_image_fills_no_memory() -> None:
    judge = ImageStamps()
    judge.refused(SECOND, 'camera', SECOND, SECOND, 0)
    for number in range(1000):
        name = f'{number}' + 'x' * 10**5
        assert judge.refused(SECOND + number, name, SECOND, SECOND, number) == OTHER_CAMERA
    assert len(judge.frames) <= 51 and sum(map(len, judge.frames)) < 10_000
    assert judge.frames[0] == 'camera'
    assert judge.refused(2 * SECOND, 'camera', SECOND, SECOND, 1001) == ''


def test_of_two_cameras_the_first_is_used_until_it_ends() -> None:
    both = [(0.1 * i, 100 + 0.1 * i, 'ab'[i % 2]) for i in range(10)]
    assert refusals(both) == ['', OTHER_CAMERA] * 5
    assert refusals([(0.0, 1.0, 'a'), (4.0, 5.0, 'b'), (4.1, 5.1, 'b')]) == ['', '', '']


@pytest.mark.parametrize('other', [-3600.0, -30.0, 30.0, 86400.0])
@pytest.mark.parametrize('first', [0, 1])
def test_of_two_clocks_ours_is_used_and_back_jumps_are_few(other: float, first: int) -> None:
    images = [
        (1000 + 0.1 * i, 1000 + 0.1 * i + (other if i % 2 == first else 0.0), 'a')
        for i in range(40)
    ]
    found = refusals(images)
    judge, jumps = StampJudge(), 0
    for (_, stamp, _), refused in zip(images, found, strict=True):
        jumps += not refused and judge.jumped_back(round(stamp * SECOND), SECOND)
    assert jumps <= 2
    for (at, stamp, _), refused in list(zip(images, found, strict=True))[6:]:
        assert (abs(at - stamp) > 5.0) == (refused == OTHER_CLOCK)


@settings(deadline=None)
@given(
    st.floats(0.01, 2.0),
    st.lists(st.floats(0.0, 4.0), min_size=3, max_size=40),
    st.floats(-1e6, 1e6),
)
def test_late_images_of_one_clock_are_all_used(period, delays, offset) -> None:
    arrival, images = 0.0, []
    for i, delay in enumerate(delays):
        arrival = max(arrival + 1e-3, period * i + delay)
        images.append((10.0 + arrival, 1e7 + offset + period * i, 'a'))
    assert set(refusals(images)) == {''}


def test_a_bag_that_starts_over_is_used_again() -> None:
    loop = [(1000 + 0.1 * i, 500 + 0.1 * (i % 50), 'a') for i in range(150)]
    assert set(refusals(loop)) == {''}


def test_durations_are_said_in_the_unit_that_fits() -> None:
    said = [duration(s) for s in (1.0, -90.0, 180.0, 10_800.0, -86_400.0 * 3)]
    assert said == [
        '1.0 s behind', '90.0 s ahead of', '3.0 min behind', '3.0 h behind', '3.0 days ahead of',
    ]  # fmt: skip


# ---------------------------------------------------------------- over DDS


def test_slam_without_stamps_uses_arrivals_and_says_so(
    ros: None, tmp_path: Path, street: Any
) -> None:
    with Robot(map=str(tmp_path / 'map'), mode='slam', keyframes__time_s=0.1) as robot:
        robot.until_active()
        camera = robot.camera()
        for frame in street[:4]:
            assert from_ros.stamp_ns(robot.ask(camera, robot.picture(frame.image, 0))) == 0
            robot.rest(0.3)
        assert 'header.stamp' in until_said(robot, 'have stamp 0').message
        places = robot.localizer.pipeline.place_map.places
        assert len(places) >= 4
        assert all(abs(p.stamp_ns - time.time_ns()) < 600 * SECOND for p in places)
        assert len({p.stamp_ns for p in places}) == len(places)


def test_stamps_that_stand_still_are_said_and_no_image_is_too_old(
    ros: None, street_map: Path, street: Any
) -> None:
    with Robot(map=str(street_map), base_camera=UNIT, max_frame_age_s=1.0) as robot:
        robot.until_active()
        camera, stamp = robot.camera(), robot.next_stamp()
        picture = robot.picture(street[1].image, stamp)
        until_said(robot, 'a stamp that stands still', lambda: robot.publish(camera, picture))
        robot.rest(1.5)
        done, dropped = robot.localizer.health.processed, drops(robot, 'too_old')

        def processed() -> bool:
            robot.publish(camera, picture)
            robot.rest(0.1)
            return robot.localizer.health.processed > done + 2

        robot.until(processed, 'answers')
        assert drops(robot, 'too_old') == dropped


def test_two_cameras_on_a_topic_are_named_and_one_is_used(
    ros: None, street_map: Path, street: Any
) -> None:
    with Robot(map=str(street_map), base_camera=UNIT) as robot:
        robot.until_active()
        cameras = robot.camera(), robot.camera()

        def both() -> None:
            for camera, frame in zip(cameras, ('left', 'right'), strict=True):
                picture = robot.picture(street[1].image)
                picture.header.frame_id = frame
                robot.publish(camera, picture)
                robot.rest(0.05)

        part = until_said(robot, 'images of 2 cameras', both)
        assert "'left'" in part.message and "'right'" in part.message and 'remap' in part.message
        assert '2 publishers' in part.message and drops(robot, OTHER_CAMERA) > 0


def test_interleaved_clocks_are_named_and_do_not_reset_at_every_frame(
    ros: None, street_map: Path, street: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    resets: list[int] = []
    with Robot(map=str(street_map), base_camera=UNIT) as robot:
        robot.until_active()
        cameras = robot.camera(), robot.camera()
        reset = robot.localizer.pipeline.reset
        monkeypatch.setattr(robot.localizer.pipeline, 'reset', lambda: (resets.append(1), reset()))

        def both() -> None:
            for camera, offset in zip(cameras, (0, -3600 * SECOND), strict=True):
                robot.publish(camera, robot.picture(street[1].image, robot.next_stamp() + offset))
                robot.rest(0.05)

        part = until_said(robot, 'of two clocks alternate', both)
        assert 'a bag that plays beside the camera' in part.message
        before = len(resets)
        for _ in range(10):
            both()
        assert len(resets) == before <= 3 and drops(robot, OTHER_CLOCK) > 3


def test_two_nodes_of_one_name_are_said(ros: None, street_map: Path) -> None:
    with Robot(map=str(street_map)) as robot:
        robot.until_active()
        double = Node('localizer', namespace=robot.namespace)
        part = until_said(robot, 'are called', name='Node')
        assert f'{robot.namespace}/localizer' in part.message and '__node:=' in part.message
        double.destroy_node()
