# SPDX-License-Identifier: MIT
"""The node over real DDS with the real model: an image in, everything about it out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from builtin_interfaces.msg import Duration
import cv2
from nav_msgs.msg import Odometry
import numpy as np
import pytest
from rcl_interfaces.msg import Log
from robot import Robot
from selavpr.msg import PlaceHypotheses
from selavpr.srv import Relocalize, SetMode
from sensor_msgs.msg import CameraInfo, CompressedImage

from selavpr_model.config import ExtractorConfig
from selavpr_ros.convert import from_ros, to_ros
from selavpr_ros.node import qos

BASE_CAMERA = [0.5, 0.0, 1.0, -0.5, 0.5, -0.5, 0.5]


@pytest.fixture(scope='module')
def robot(ros: None, street_map: Path) -> Iterator[Robot]:
    with Robot(map=str(street_map), base_camera=BASE_CAMERA, extractor__precision='fp32') as robot:
        yield robot.until_active()


def test_an_image_of_a_mapped_place_gives_that_place_first(robot: Robot, camera: Any, street: Any):
    stamp = robot.next_stamp()
    answer = robot.ask(camera, robot.picture(street[7].image, stamp))
    assert from_ros.stamp_ns(answer) == stamp
    assert answer.header.frame_id == 'map' and answer.child_frame_id == 'base_link'
    assert answer.query_frame_id == 'camera_optical'
    assert answer.state == answer.LOCALIZED
    best = answer.hypotheses[0]
    assert best.place_id == 7 and best.status == best.ACCEPTED and best.reject_mask == 0
    assert best.global_similarity == pytest.approx(1.0, abs=1e-3)
    assert [h.rank for h in answer.hypotheses] == list(range(5))


def test_the_pose_is_of_the_base_and_its_covariance_is_not_zero(
    robot: Robot, camera: Any, street: Any
):
    stamp = from_ros.stamp_ns(robot.ask(camera, street[3].image))
    robot.until(lambda: [m for m in robot.heard['pose'] if from_ros.stamp_ns(m) == stamp], 'pose')
    pose = robot.heard['pose'][-1]
    T_base_camera = from_ros.checked_pose(tuple(BASE_CAMERA))
    np.testing.assert_allclose(
        from_ros.pose_matrix(pose) @ T_base_camera, street[3].pose, atol=1e-6
    )
    assert pose.header.frame_id == 'map'
    assert (np.diag(from_ros.pose_covariance(pose)) > 0).all()


def test_a_localized_frame_gives_one_loop_closure_without_an_identity_pose(
    robot: Robot, camera: Any, street: Any
):
    stamp = from_ros.stamp_ns(robot.ask(camera, street[5].image))

    def found() -> list[Any]:
        closures = robot.heard['loop_closures']
        return [c for c in closures if from_ros.stamp_ns(c.stamp_to) == stamp]

    robot.until(found, 'loop closure')
    assert len(found()) == 1
    closure = found()[0]
    assert closure.key_from == 5 and closure.type == closure.CANDIDATE
    assert closure.pose_type == closure.POSE_NONE
    assert np.isnan(closure.pose.pose.position.x) and np.isnan(closure.pose.pose.orientation.w)


def test_a_strange_image_is_answered_but_gives_no_pose(robot: Robot, camera: Any):
    poses, closures = len(robot.heard['pose']), len(robot.heard['loop_closures'])
    noise = np.random.default_rng(0).integers(0, 256, (240, 320, 3), np.uint8)
    answer = robot.ask(camera, noise)
    assert answer.state != answer.LOCALIZED
    assert answer.hypotheses[0].status == answer.hypotheses[0].REJECTED
    assert answer.hypotheses[0].reject_mask != 0
    robot.rest(0.3)
    assert (len(robot.heard['pose']), len(robot.heard['loop_closures'])) == (poses, closures)


def test_resolution_and_encoding_may_change_from_frame_to_frame(
    robot: Robot, camera: Any, street: Any
):
    image = street[2].image
    double = cv2.resize(image, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
    assert robot.ask(camera, double).hypotheses[0].place_id == 2
    message = robot.picture(image)
    message.encoding, message.step = 'mono8', image.shape[1]
    message.data = np.ascontiguousarray(image[:, :, 0]).tobytes()
    assert robot.ask(camera, message).hypotheses[0].place_id == 2


def test_a_camera_that_is_restarted_is_heard_again(robot: Robot, camera: Any, street: Any):
    second = robot.camera()
    assert robot.ask(second, street[1].image).hypotheses[0].place_id == 1
    robot.user.destroy_publisher(second)
    third = robot.camera()
    assert robot.ask(third, street[4].image).hypotheses[0].place_id == 4
    robot.user.destroy_publisher(third)


def test_map_info_and_status_are_latched_and_name_the_model(robot: Robot, street_map: Path):
    robot.until(lambda: robot.heard['map_info'], 'map info')
    info, status = robot.heard['map_info'][-1], robot.status()
    assert info.path == str(street_map) and info.num_places == 12 and info.local_dtype == 'fast'
    assert info.num_bytes > 0 and info.created.sec > 0
    assert status.fingerprint == info.fingerprint and status.weights == ExtractorConfig().weights
    assert status.map_id == info.map_id and status.precision == 'fp32'


def test_the_markers_show_the_map_and_the_match(robot: Robot, camera: Any, street: Any):
    robot.ask(camera, street[0].image)

    def seen() -> dict[str, Any]:
        return {m.ns: m for array in robot.heard['markers'] for m in array.markers}

    robot.until(lambda: {'keyframes', 'robot', 'match'} <= seen().keys(), 'markers')
    assert len(seen()['keyframes'].points) == 12
    assert seen()['match'].header.frame_id == 'map'


def test_the_debug_image_shows_query_and_match_to_who_asks(robot: Robot, camera: Any, street: Any):
    from sensor_msgs.msg import Image

    robot.listen('debug_image', Image, qos.reliable(1))
    robot.until(lambda: robot.localizer.outputs.has_listener('debug_image'), 'subscription')
    robot.ask(camera, street[6].image)
    robot.until(lambda: robot.heard['debug_image'], 'debug image')
    shown = from_ros.rgb_image(robot.heard['debug_image'][-1])
    assert shown[:200].std() > 10 and shown.shape[1] > 2 * 240


def test_diagnostics_have_all_parts_and_percentiles(robot: Robot, camera: Any, street: Any):
    robot.ask(camera, street[8].image)
    names = ('Input', 'Camera', 'Odometry', 'Inference', 'Map', 'Localization', 'Watchdog')
    robot.until(lambda: all(robot.diagnostic(n) for n in names), 'diagnostics')

    def values() -> dict[str, str]:
        return {v.key: v.value for v in robot.diagnostic('Inference').values}

    robot.until(lambda: 'forward p50 / p95 ms' in values(), 'latencies')
    assert robot.diagnostic('Map').message == '12 places'


def test_odometry_near_the_image_reaches_the_recogniser(
    robot: Robot, camera: Any, street: Any, monkeypatch: pytest.MonkeyPatch
):
    seen: list[Any] = []
    process = robot.localizer.pipeline.process
    monkeypatch.setattr(
        robot.localizer.pipeline,
        'process',
        lambda frame, **more: (seen.append(frame), process(frame, **more))[1],
    )
    odometry = robot.user.create_publisher(Odometry, 'odom', 10)
    robot.until(odometry.get_subscription_count, 'connection')
    stamp = robot.next_stamp()
    for offset_ms, x in ((-100, 1.0), (100, 3.0)):
        message = Odometry(header=to_ros.header(stamp + offset_ms * 1_000_000, 'odom'))
        message.pose.pose.position.x = x
        message.pose.pose.orientation.w = 1.0
        odometry.publish(message)
    robot.until(lambda: robot.localizer.inputs.odometry.arrivals.count >= 2, 'odometry')
    robot.ask(camera, robot.picture(street[2].image, stamp))
    assert seen[-1].odom[0, 3] == pytest.approx(1.0 + BASE_CAMERA[0])  # the last one before
    robot.ask(camera, robot.picture(street[2].image, stamp + 10**9))
    assert seen[-1].odom is None


def test_odometry_in_another_frame_than_the_parameter_says_now_is_reported(robot: Robot):
    robot.user.create_subscription(Log, '/rosout', robot.heard['log'].append, 100)
    odometry = robot.user.create_publisher(Odometry, 'odom', 10)
    assert robot.set('odom_frame', 'wheels').successful
    robot.until(odometry.get_subscription_count, 'connection')

    def reported() -> bool:
        message = Odometry(header=to_ros.header(robot.next_stamp(), 'odom'))
        message.pose.pose.orientation.w = 1.0
        odometry.publish(message)
        return any("expected frame 'wheels'" in m.msg for m in robot.heard['log'])

    robot.until(reported, 'report')
    assert robot.set('odom_frame', 'odom').successful


def test_camera_info_is_shown_in_the_diagnostics(robot: Robot, camera: Any, street: Any):
    publisher = robot.user.create_publisher(CameraInfo, 'camera_info', 10)
    robot.until(publisher.get_subscription_count, 'connection')
    info = CameraInfo(width=426, height=240, distortion_model='plumb_bob')
    info.k = [300.0, 0, 213, 0, 300, 120, 0, 0, 1]

    def shown() -> bool:
        publisher.publish(info)
        part = robot.diagnostic('Input')
        return part is not None and '426x240 f 300.0 no distortion' in {
            v.value for v in part.values
        }

    robot.until(shown, 'camera_info in the diagnostics')


def test_a_subscriber_that_cannot_be_reached_is_reported_with_both_profiles(robot: Robot):
    robot.user.create_subscription(Log, '/rosout', robot.heard['log'].append, 100)
    robot.until(lambda: robot.user.count_publishers('/rosout') > 1, 'the log of the node')
    robot.rest(0.5)
    robot.listen('hypotheses', PlaceHypotheses, qos.LATCHED)

    def reports() -> list[str]:
        return [m.msg for m in robot.heard['log'] if 'a subscriber has incompatible' in m.msg]

    robot.until(reports, 'report')
    assert 'we offer reliable, volatile' in reports()[0]
    assert 'reliable, transient_local' in reports()[0]


def test_a_sequence_is_believed_until_nobody_knows_where_the_robot_went(
    ros: None, street_map: Path, street: Any, tmp_path: Path
):
    with Robot(map=str(street_map), temporal__enabled=True) as robot:
        robot.until_active()
        camera, start = robot.camera(), robot.next_stamp()
        blurred = cv2.GaussianBlur(street[5].image, (0, 0), 8)  # not certain by itself
        near = cv2.resize(street[5].image[60:180, 100:320], None, fx=2, fy=2)

        def states(first: int, count: int = 6) -> list[int]:
            """Of the same place every 2 s, from that second on; in turn from afar and near."""
            views = [(blurred, near)[i % 2] for i in range(count)]
            stamps = [start + (first + 2 * i) * 10**9 for i in range(count)]
            images = [robot.picture(*pair) for pair in zip(views, stamps, strict=True)]
            return [robot.ask(camera, image).state for image in images]

        def known(first: int) -> bool:
            return states(first, 1) == [PlaceHypotheses.LOCALIZED]

        begun = states(0)
        assert begun[0] != PlaceHypotheses.LOCALIZED and PlaceHypotheses.LOCALIZED in begun
        robot.call('relocalize', timeout=Duration(nanosec=1))
        assert known(20)
        assert robot.call('save_map', path=str(tmp_path / 'saved')).result == 0
        assert known(22)
        for mode in (SetMode.Request.PAUSE, SetMode.Request.LOCALIZE):
            assert robot.call('set_mode', mode=mode).accepted
        assert not known(24)
        states(26)
        assert known(40)
        assert robot.transition('deactivate') and robot.transition('activate')
        assert not known(42)
        states(44)
        assert known(60)
        assert not known(-100)


def test_relocalize_finds_a_robot_that_stands_still(ros: None, street_map: Path, street: Any):
    with Robot(map=str(street_map), temporal__enabled=True) as robot:
        robot.until_active()
        camera = robot.camera()
        future = robot.clients['relocalize'].call_async(Relocalize.Request())

        def answered() -> bool:
            robot.publish(camera, robot.picture(street[5].image))
            robot.rest(0.1)
            return future.done()

        robot.until(answered, 'relocalize')
        found = future.result()
        assert found.outcome == Relocalize.Response.SUCCESS, found.message
        assert found.best.place_id == 5 and found.best.status == found.best.ACCEPTED
        np.testing.assert_allclose(from_ros.pose_matrix(found.pose), street[5].pose, atol=1e-6)
        assert robot.heard['hypotheses'][-1].state == PlaceHypotheses.LOCALIZED


def test_compressed_images_come_in_on_the_compressed_topic(
    ros: None, street_map: Path, street: Any
):
    with Robot(
        remap=('image:=front/image',), map=str(street_map), image_transport='compressed'
    ) as robot:
        robot.until_active()
        camera = robot.camera('front/image/compressed', CompressedImage)
        jpeg = cv2.imencode('.jpg', street[9].image[:, :, ::-1])[1]
        message = CompressedImage(format='jpeg', data=jpeg.tobytes())
        message.header = to_ros.header(robot.next_stamp(), 'camera_optical')
        assert robot.ask(camera, message).hypotheses[0].place_id == 9
