# SPDX-License-Identifier: MIT
"""What goes wrong on a robot: the node stays up, says what, why and the cure, and recovers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
import signal
import subprocess
import sys
import threading
import time
from types import SimpleNamespace
from typing import Any
import weakref

from geometry_msgs.msg import TransformStamped
import numpy as np
import pytest
from rclpy.parameter import Parameter
from rclpy.qos import qos_profile_sensor_data
from robot import PATIENCE_S, Robot
from selavpr.msg import LocalizerStatus
from selavpr.srv import LoadMap
from sensor_msgs.msg import CompressedImage, Image

from selavpr_model.config import ExtractorConfig
from selavpr_ros import conversions, diagnostics, messages, qos

SECOND = 1_000_000_000


@pytest.fixture(scope='module')
def robot(ros: None, street_map: Path) -> Iterator[Robot]:
    with Robot(map=str(street_map), no_image_after_s=600.0) as robot:
        yield robot.until_active()


@pytest.fixture(scope='module')
def camera(robot: Robot) -> Any:
    return robot.camera()


def drops(robot: Robot, reason: str) -> int:
    return int(robot.localizer.health.dropped().get(reason, 0))


def until_dropped(robot: Robot, camera: Any, message: Any, reason: str) -> None:
    """Publish until one is dropped for that reason."""
    before = drops(robot, reason)

    def dropped() -> bool:
        robot.publish(camera, message)
        robot.rest(0.1)
        return drops(robot, reason) > before

    robot.until(dropped, f'drop {reason}')


# ---------------------------------------------------------------- what is missing


def test_without_a_map_the_node_is_up_and_load_map_cures_it(
    ros: None, street_map: Path, street: Any
):
    with Robot() as robot:
        robot.until_active()
        status = robot.until_status('no map is given')
        assert status.level == LocalizerStatus.ERROR and '~/load_map' in status.message
        camera = robot.camera()
        until_dropped(robot, camera, robot.picture(street[0].image), 'no_map')
        assert not robot.heard['hypotheses']
        assert (
            'no map is given'
            in robot.call('query_image', image=robot.picture(street[0].image)).message
        )
        assert robot.call('load_map', path=str(street_map)).result == LoadMap.Response.SUCCESS
        assert robot.ask(camera, street[0].image).hypotheses[0].place_id == 0


def test_a_map_that_is_not_there_is_named_and_the_parameter_cures_it(
    ros: None, street_map: Path, street: Any
):
    with Robot(map='/nowhere/map') as robot:
        robot.until_active()
        assert robot.until_status('/nowhere/map').level == LocalizerStatus.ERROR
        robot.until(lambda: robot.diagnostic('Map'), 'diagnostics')
        assert '/nowhere/map' in robot.diagnostic('Map').message
        assert robot.set('map', str(street_map)).successful
        assert robot.ask(robot.camera(), street[1].image).hypotheses[0].place_id == 1


def test_missing_weights_are_named_everywhere_and_the_parameter_cures_it(
    ros: None, street_map: Path, street: Any
):
    with Robot(map=str(street_map), extractor__weights='/nowhere/w.safetensors') as robot:
        robot.until_active()
        assert robot.until_status('/nowhere/w.safetensors').message.startswith('Inference')
        answer = robot.call('load_map', path=str(street_map))
        assert answer.result == LoadMap.Response.FAILURE and '/nowhere/w' in answer.message
        until_dropped(robot, robot.camera(), robot.picture(street[1].image), 'no_model')
        assert robot.set('extractor.weights', ExtractorConfig().weights).successful
        assert robot.ask(robot.camera(), street[1].image).hypotheses[0].place_id == 1


def test_a_model_that_does_not_load_leaves_the_one_in_use(robot: Robot, camera: Any, street: Any):
    assert robot.set('extractor.weights', '/nowhere/w.safetensors').successful
    robot.until_status('/nowhere/w.safetensors')
    assert robot.ask(camera, street[5].image).hypotheses[0].place_id == 5
    assert robot.set('extractor.weights', ExtractorConfig().weights).successful
    robot.until(lambda: not robot.localizer.pipeline.model_problem, 'recovery')


def test_a_map_that_does_not_load_leaves_the_one_in_use_and_stays_named(
    robot: Robot, camera: Any, street: Any, street_map: Path
):
    assert robot.set('map', '/nowhere/map').successful
    robot.until_status('the map in use stays')
    assert robot.set('recognizer.candidates', 10).successful
    assert robot.ask(camera, street[5].image).hypotheses[0].place_id == 5
    assert '/nowhere/map' in robot.status().message
    assert robot.set('map', str(street_map)).successful
    robot.until(lambda: not robot.localizer.pipeline.map_problem, 'recovery')


def test_a_bad_parameter_keeps_the_node_unconfigured_until_it_is_corrected(
    ros: None, street_map: Path, street: Any
):
    with Robot(map=str(street_map), image_transport='compresed') as robot:
        status = robot.until_status("got 'compresed'")
        assert status.lifecycle_state == LocalizerStatus.UNCONFIGURED
        assert 'ros2 param set' in status.message
        assert not robot.transition('configure')
        assert not robot.set('image_transport', 'zip').successful
        assert robot.set('image_transport', 'raw').successful
        robot.until_active()
        assert robot.ask(robot.camera(), street[3].image).hypotheses[0].place_id == 3


def test_without_a_camera_the_status_says_where_it_listens_and_to_whom(
    ros: None, street_map: Path
):
    with Robot(remap=('image:=front/image',), no_image_after_s=0.2) as robot:
        robot.until_active()
        assert robot.call('load_map', path=str(street_map)).result == LoadMap.Response.SUCCESS
        text = robot.until_status('no image for').message
        assert f'{robot.namespace}/front/image' in text and '0 publishers: none' in text
        assert 'best_effort, volatile' in text and 'image:=' in text


@pytest.mark.parametrize(
    ('given', 'published', 'kind', 'cure'),
    [
        ('raw', 'image/compressed', CompressedImage, 'compressed'),
        ('raw', 'image', CompressedImage, 'compressed'),
        ('compressed', 'image', Image, 'raw'),
    ],
)
def test_images_of_the_other_transport_are_found_and_the_cure_is_named(
    ros: None, given: str, published: str, kind: Any, cure: str
):
    with Robot(no_image_after_s=0.2, image_transport=given) as robot:
        robot.camera(published, kind)
        robot.until_active()
        robot.until(
            lambda: (
                robot.diagnostic('Input')
                and f'set image_transport to {cure}' in robot.diagnostic('Input').message
            ),
            'the cure',
        )


def test_with_sim_time_and_no_clock_it_says_that_the_clock_is_missing(ros: None, street_map: Path):
    with Robot(map=str(street_map), use_sim_time=True, no_image_after_s=0.2) as robot:
        robot.until_active()
        robot.until_status('nothing publishes /clock')


def test_incompatible_qos_is_reported_with_both_profiles(ros: None, street_map: Path, street: Any):
    with Robot(map=str(street_map), qos_image='reliable') as robot:
        robot.until_active()
        camera = robot.camera(profile=qos_profile_sensor_data)
        text = robot.until_status('incompatible QoS').message
        assert 'we request reliable, volatile' in text and 'best_effort' in text
        assert robot.set('qos_image', 'sensor_data').successful
        assert robot.ask(camera, street[2].image).hypotheses[0].place_id == 2


# ---------------------------------------------------------------- bad images


def test_an_image_that_cannot_be_decoded_is_dropped_and_named(
    robot: Robot, camera: Any, street: Any
):
    bad = Image(encoding='rgb8', height=10, width=10, step=30, data=bytes(17))
    bad.header = messages.header(robot.next_stamp(), 'camera_optical')
    until_dropped(robot, camera, bad, 'undecodable')
    assert '300 bytes, got 17' in robot.localizer.health.last_drop
    depth = robot.picture(street[0].image)
    depth.encoding = '16UC1'
    until_dropped(robot, camera, depth, 'undecodable')
    assert robot.ask(camera, street[0].image).hypotheses[0].place_id == 0


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
        ('base_camera', [0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0], [0.0] * 6 + [1.0]),
    ):
        assert robot.set(name, value).successful
        robot.until(lambda: not reported(), 'a known mounting')
        assert robot.set(name, unset).successful
    robot.until(reported, 'the cure again')


def test_where_tf_static_says_where_the_camera_sits_it_need_not_be_given(
    ros: None, street_map: Path, street: Any
):
    with Robot(map=str(street_map)) as robot:
        robot.until_active()
        made = TransformStamped(header=messages.header(0, 'base_link'))
        made.child_frame_id = 'camera_optical'
        made.transform.translation.z = 1.5
        # Called as the subscription would be: tf2_msgs is not on PyPI.
        robot.localizer.inputs.on_tf_static(SimpleNamespace(transforms=[made]))
        robot.ask(robot.camera(), street[2].image)
        robot.until(lambda: robot.heard['pose'], 'pose')
        T_base_camera = np.eye(4)
        T_base_camera[2, 3] = 1.5
        pose = conversions.pose_matrix(robot.heard['pose'][-1])
        np.testing.assert_allclose(pose @ T_base_camera, street[2].pose, atol=1e-6)
        assert not diagnostics.unknown_mounting(robot.localizer)


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
    assert conversions.stamp_ns(answer) == 0 and answer.hypotheses[0].place_id == 4


def test_an_old_frame_is_dropped_before_inference(robot: Robot, camera: Any, street: Any):
    assert robot.set('clock_jump_s', 1000.0).successful
    robot.ask(camera, street[0].image)
    assert robot.set('max_frame_age_s', 1.0).successful
    old = robot.picture(street[1].image, time.time_ns() - 20 * SECOND)
    until_dropped(robot, camera, old, 'too_old')
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


# ---------------------------------------------------------------- lifecycle


def test_recognizer_parameters_take_effect_at_once(robot: Robot, camera: Any, street: Any):
    assert robot.ask(camera, street[7].image).state == 2
    assert robot.set('recognizer.min_matches', 100000).successful
    strict = robot.ask(camera, street[7].image)
    assert strict.state == 0 and strict.hypotheses[0].reject_mask & 2
    refused = robot.set('recognizer.min_similarity', 7.0)
    assert not refused.successful and 'RecognizerConfig.min_similarity' in refused.reason
    assert robot.set('recognizer.min_matches', -1).successful
    assert robot.ask(camera, street[7].image).state == 2


def test_cleanup_gives_the_memory_back_and_the_node_can_be_configured_again(
    ros: None, street_map: Path, street: Any
):
    with Robot(map=str(street_map)) as robot:
        robot.until_active()
        camera = robot.camera()
        robot.ask(camera, street[0].image)
        extractor = weakref.ref(robot.localizer.pipeline.extractor)
        place_map = weakref.ref(robot.localizer.pipeline.place_map)
        assert robot.transition('deactivate')
        until_dropped(robot, camera, robot.picture(street[1].image), 'not_active')
        assert robot.transition('cleanup')
        robot.until(lambda: extractor() is None and place_map() is None, 'release')
        answer = robot.call('load_map', path=str(street_map))
        assert answer.result == LoadMap.Response.FAILURE and 'not configured' in answer.message
        assert robot.transition('configure') and robot.transition('activate')
        assert robot.ask(camera, street[2].image).hypotheses[0].place_id == 2


def test_without_autostart_the_node_waits_for_its_manager(ros: None, street_map: Path):
    with Robot(map=str(street_map), autostart=False) as robot:
        robot.until(robot.status, 'status')
        robot.rest(0.5)
        assert robot.call('get_state').current_state.label == 'unconfigured'
        assert robot.transition('configure')
        assert robot.call('get_state').current_state.label == 'inactive'
        assert robot.transition('shutdown')
        assert robot.call('get_state').current_state.label == 'finalized'


ARGUMENTS = ['--ros-args', '-r', '__ns:=/alone', '-p', 'mapp:=x']


def run_alone(command: list[str], words: str) -> str:
    """Run the node in a process of its own until it says this, press Ctrl-C; its log."""
    process = subprocess.Popen([*command, *ARGUMENTS], stderr=subprocess.PIPE, text=True)
    try:
        Listener().until(words)
        process.send_signal(signal.SIGINT)
        _, log = process.communicate(timeout=PATIENCE_S)
    finally:
        process.kill()
    assert process.returncode == 0 and 'Traceback' not in log, log
    return log


def test_the_executable_starts_says_what_is_missing_and_ends_on_sigint(ros: None):
    log = run_alone([sys.executable, '-m', 'selavpr_ros.main'], 'no map is given')
    assert "did you mean 'map'?" in log


WITHOUT_TORCH = """
import sys
class NoTorch:
    def find_spec(self, name, path=None, target=None):
        if name == 'torch':
            raise ModuleNotFoundError("No module named 'torch'", name='torch')
sys.meta_path.insert(0, NoTorch())
from selavpr_ros.main import main
main()
"""


def test_without_torch_the_node_is_up_and_says_how_to_get_it(ros: None):
    run_alone([sys.executable, '-c', WITHOUT_TORCH], 'pip install torch')


class Listener:
    """Hears /alone/localizer/status."""

    def __init__(self) -> None:
        import rclpy

        self.node = rclpy.create_node('listener', parameter_overrides=[Parameter('a', value=1)])
        self.said = ''
        self.node.create_subscription(
            LocalizerStatus, '/alone/localizer/status', self.hear, qos.LATCHED
        )

    def hear(self, message: Any) -> None:
        self.said = message.message

    def until(self, text: str) -> None:
        import rclpy

        end = time.monotonic() + PATIENCE_S
        while text not in self.said:
            assert time.monotonic() < end, self.said
            rclpy.spin_once(self.node, timeout_sec=0.1)
        self.node.destroy_node()
