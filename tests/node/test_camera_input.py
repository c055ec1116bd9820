# SPDX-License-Identifier: MIT
"""camera_info over DDS: latched or not, rectified or not, changed, missing, and of two cameras."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from rcl_interfaces.msg import Log
from robot import Robot
from selavpr.msg import LocalizerStatus
from sensor_msgs.msg import CameraInfo

from selavpr_ros.convert import to_ros
from selavpr_ros.node import qos

WARN = bytes([LocalizerStatus.WARN])


def info(focal: float = 171.5, frame: str = 'camera_optical', **fields: Any) -> CameraInfo:
    message = CameraInfo(width=320, height=240, distortion_model='plumb_bob', **fields)
    message.header = to_ros.header(0, frame)
    message.k = [focal, 0.0, 159.5, 0.0, focal, 119.5, 0.0, 0.0, 1.0]
    return message


def until_said(robot: Robot, text: str) -> Any:
    def said() -> Any:
        part = robot.diagnostic('Camera')
        return part if part and part.level == WARN and text in part.message else None

    return robot.until(said, text)


def test_what_was_sent_once_before_the_node_came_is_received_and_kept(
    ros: None, street_map: Path, street: Any
) -> None:
    with Robot(map=str(street_map), geometry__enabled=True) as robot:
        latched = robot.user.create_publisher(CameraInfo, 'camera_info', qos.LATCHED)
        latched.publish(info())
        robot.until_active()
        camera_input = robot.localizer.inputs.camera
        robot.until(lambda: camera_input.known, 'the calibration')
        robot.localizer.inputs.forget()  # as a bag that starts over
        assert camera_input.of(street[0].image, 'camera_optical').K[0, 0] == 171.5
        robot.ask(robot.camera(), street[1].image)
        robot.until(lambda: robot.diagnostic('Camera').level != WARN, 'no trouble')


def test_geometry_without_a_calibration_is_said_with_the_topic_to_take(
    ros: None, street_map: Path
) -> None:
    with Robot(map=str(street_map), geometry__enabled=True) as robot:
        robot.until_active()
        assert 'nobody publishes it: remap -r camera_info:=' in until_said(
            robot, 'geometry.enabled is true'
        ).message  # fmt: skip
        robot.user.create_publisher(CameraInfo, 'front/camera_info', 10)
        assert '-r camera_info:=' in until_said(robot, 'front/camera_info').message
        assert robot.set('geometry.enabled', False).successful
        robot.until(lambda: robot.diagnostic('Camera').level != WARN, 'no trouble')


def test_rectified_images_have_the_projection_of_p(
    ros: None, street_map: Path, street: Any
) -> None:
    remap = ('image:=front/image_rect', 'camera_info:=front/camera_info')
    raw = info(150.0, d=[-0.3, 0.1, 0.0, 0.0, 0.0])
    raw.p = [171.5, 0.0, 159.5, 0.0, 0.0, 171.5, 119.5, 0.0, 0.0, 0.0, 1.0, 0.0]
    with Robot(remap=remap, map=str(street_map)) as robot:
        robot.until_active()
        publisher = robot.user.create_publisher(CameraInfo, 'front/camera_info', 10)
        camera_input = robot.localizer.inputs.camera
        for setting, focal, bent in (('auto', 171.5, 0), ('no', 150.0, 5), ('yes', 171.5, 0)):
            assert robot.set('rectified', setting).successful

            def known() -> bool:
                robot.publish(publisher, raw)
                robot.rest(0.1)
                return camera_input.known

            robot.until(known, 'the calibration')
            made = camera_input.of(street[0].image, 'camera_optical')
            assert made.K[0, 0] == focal and len(made.distortion) == bent


def test_a_calibration_that_changes_is_said_and_used(
    ros: None, street_map: Path, street: Any
) -> None:
    logged: list[str] = []
    with Robot(map=str(street_map)) as robot:
        robot.until_active()
        robot.user.create_subscription(Log, '/rosout', lambda m: logged.append(m.msg), 100)
        publisher = robot.user.create_publisher(CameraInfo, 'camera_info', 10)
        camera_input = robot.localizer.inputs.camera

        def until_focal(focal: float) -> None:
            def is_used() -> bool:
                robot.publish(publisher, info(focal))
                robot.rest(0.1)
                made = camera_input.of(street[0].image, 'camera_optical')
                return made is not None and bool(made.K[0, 0] == focal)

            robot.until(is_used, 'the calibration')

        until_focal(171.5)
        until_focal(180.0)
        robot.until(lambda: any('calibration changed from' in m for m in logged), 'a word')
        for focal in (171.5, 180.0, 171.5):
            until_focal(focal)
        assert 'remap' in until_said(robot, 'calibrations take turns').message


def test_the_calibration_of_another_camera_on_the_topic_is_not_used(
    ros: None, street_map: Path, street: Any
) -> None:
    with Robot(map=str(street_map)) as robot:
        robot.until_active()
        publisher = robot.user.create_publisher(CameraInfo, 'camera_info', 10)
        camera_input = robot.localizer.inputs.camera

        def both() -> bool:
            found = []
            for focal, frame in ((100.0, 'rear_optical'), (171.5, 'camera_optical')):
                robot.publish(publisher, info(focal, frame))
                robot.rest(0.1)
                made = camera_input.of(street[0].image, frame)
                found.append(made is not None and made.K[0, 0] == focal)
            return all(found)

        robot.until(both, 'both')
        assert not camera_input.alternates


@pytest.mark.parametrize(
    ('field', 'value', 'reason'),
    [
        ('width', 0, 'expected the size of the image'),
        ('distortion_model', 'omni', "distortion_model 'omni' is not known"),
        ('k', [float('nan')] * 9, 'K is not finite'),
    ],
)
def test_a_calibration_that_is_none_is_named(
    ros: None, street_map: Path, field: str, value: Any, reason: str
) -> None:
    bad = info()
    setattr(bad, field, value)
    with Robot(map=str(street_map)) as robot:
        robot.until_active()
        publisher = robot.user.create_publisher(CameraInfo, 'camera_info', 10)
        robot.until(publisher.get_subscription_count, 'connection')

        def said() -> bool:
            publisher.publish(bad)
            robot.rest(0.2)
            part = robot.diagnostic('Camera')
            return part is not None and part.level == WARN and reason in part.message

        robot.until(said, reason)
