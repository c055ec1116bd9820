# SPDX-License-Identifier: MIT
"""`selavpr doctor` beside a robot, over real DDS."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
import re
import threading
import time
from typing import Any

from nav_msgs.msg import Odometry
import numpy as np
import pytest
import rclpy
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from robot import leave_nothing
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from tf_helpers import pose, TFMessage, transform

from selavpr_model.config import ExtractorConfig
from selavpr_model.poses import pose_matrix
from selavpr_ros.config import NodeConfig
from selavpr_ros.convert import to_ros
from selavpr_ros.doctor import report
from selavpr_ros.doctor.check import Check
from selavpr_ros.doctor.live import observe_robot
from selavpr_ros.doctor.observation import Settings
from selavpr_ros.node import qos

pytestmark = pytest.mark.usefixtures('ros')
RELIABLE = QoSProfile(depth=5, reliability=ReliabilityPolicy.RELIABLE)
LATCHED = QoSProfile(
    depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL
)
SECONDS = 2.5
OPTICAL = pose_matrix((0.3, 0.0, 1.2), (-0.5, 0.5, -0.5, 0.5))


class Driver:
    """Camera, wheels and transforms of a robot, sent by a thread while the doctor listens."""

    count = 0

    def __init__(self, street: Any, change: Callable[[Driver], None]) -> None:
        Driver.count += 1
        self.namespace = f'/patient{Driver.count}'
        self.node = rclpy.create_node('driver', namespace=self.namespace)
        self.street, self.offset_ns, self.with_images = street, 0, True
        self.image_qos, self.static_topic = RELIABLE, 'tf_static'
        self.info_qos = LATCHED
        self.sent_ns: list[int] = []  # images
        change(self)
        node = self.node
        self.image = node.create_publisher(Image, 'camera/image', self.image_qos)
        self.odom = node.create_publisher(Odometry, 'odom', 10)
        self.info = node.create_publisher(CameraInfo, 'camera/camera_info', self.info_qos)
        self.static = node.create_publisher(TFMessage, self.static_topic, qos.TF_STATIC)
        self.static.publish(transform('base_link', 'camera_optical', OPTICAL))
        self._send_info()
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)

    def _send_info(self) -> None:
        """Once, as a latched one."""
        K = [171.0, 0.0, 159.5, 0.0, 171.0, 119.5, 0.0, 0.0, 1.0]
        info = CameraInfo(width=320, height=240, distortion_model='plumb_bob', k=K)
        info.header = to_ros.header(time.time_ns(), 'camera_optical')
        self.info.publish(info)

    def _run(self) -> None:
        k = 0
        while not self.stopping.wait(0.05):
            now = time.time_ns()
            message = Odometry(header=to_ros.header(now, 'odom'), child_frame_id='base_link')
            message.pose.pose = to_ros.pose_of(pose(x=0.01 * k))
            self.odom.publish(message)
            if k % 4 == 0 and self.with_images:
                image = self.street[3].image.copy()
                image[0, 0] = k % 256  # no camera sends the same picture twice
                stamp = now + self.offset_ns
                self.image.publish(to_ros.image(image, stamp, 'camera_optical'))
                self.sent_ns.append(now)
            k += 1

    @property
    def rate_hz(self) -> float:
        """Of the images; what a busy computer leaves of five a second."""
        return (len(self.sent_ns) - 1) * 1e9 / (self.sent_ns[-1] - self.sent_ns[0])

    def __enter__(self) -> Driver:
        self.thread.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self.stopping.set()
        self.thread.join()
        self.node.destroy_node()
        leave_nothing()


def examine(driver: Driver, street_map: Path, **node: Any) -> dict[str, Check]:
    """What the doctor says of it, by name."""
    with driver:
        settings = Settings(street_map, node=NodeConfig(**node), seconds=SECONDS)
        seen = observe_robot(settings, driver.namespace)
    return {c.name: c for c in report.examine(seen, settings, ExtractorConfig())}


@pytest.fixture
def examined(street: Any, street_map: Path) -> Callable[..., dict[str, Check]]:
    def run(change: Callable[[Driver], None] = lambda d: None, **node: Any) -> dict[str, Check]:
        return examine(Driver(street, change), street_map, **node)

    return run


def test_a_sound_robot_in_its_namespace(street: Any, street_map: Path) -> None:
    driver = Driver(street, lambda d: None)
    checks = examine(driver, street_map)
    assert {c.level.value for c in checks.values()} == {'OK'}, checks
    said = re.search(r'camera/image: 320x240 rgb8, ([\d.]+) Hz', checks['camera'].text)
    assert said is not None and float(said[1]) == pytest.approx(driver.rate_hz, rel=0.25)


def test_a_reliable_request_of_a_best_effort_camera(examined: Any) -> None:
    def sensor(driver: Driver) -> None:
        driver.image_qos = qos.camera('sensor_data')

    checks = examined(sensor, qos_image='reliable')
    assert checks['camera'].level.value == 'FAIL'
    assert 'offered is best_effort' in checks['camera'].text
    assert 'sensor_data' in checks['camera'].cure
    assert examined(sensor)['camera'].level.value == 'OK'


def test_a_camera_that_sends_nothing(examined: Any) -> None:
    checks = examined(lambda driver: setattr(driver, 'with_images', False))
    assert checks['camera'].level.value == 'FAIL'
    assert 'no image in 2.5 s' in checks['camera'].text and 'driver' in checks['camera'].text


@pytest.mark.parametrize(('offset_s', 'words'), [(-3.0, 'behind'), (1.0, 'ahead of')])
def test_a_camera_with_another_clock(examined: Any, offset_s: float, words: str) -> None:
    checks = examined(lambda driver: setattr(driver, 'offset_ns', round(offset_s * 1e9)))
    assert checks['clocks'].level.value == 'FAIL' and words in checks['clocks'].text
    assert 'chrony' in checks['clocks'].cure


def test_a_camera_whose_images_only_a_plugin_decodes(street: Any, street_map: Path) -> None:
    driver = Driver(street, lambda d: None)
    driver.node.destroy_publisher(driver.image)
    topic = f'{driver.namespace}/camera/image/zstd'
    driver.image = driver.node.create_publisher(CompressedImage, topic, 5)
    driver.with_images = False
    check = examine(driver, street_map)['camera']
    assert check.level.value == 'FAIL' and f'but {topic}' in check.text


def test_transforms_of_another_topic(examined: Any) -> None:
    checks = examined(lambda driver: setattr(driver, 'static_topic', 'elsewhere/tf_static'))
    assert checks['mounting'].level.value == 'FAIL'
    assert 'elsewhere/tf_static' in checks['mounting'].text


def test_nothing_runs_here(street_map: Path) -> None:
    settings = Settings(street_map, seconds=0.5)
    seen = observe_robot(settings, '/nobody')
    checks = {c.name: c for c in report.examine(seen, settings, ExtractorConfig())}
    assert checks['camera'].level.value == 'FAIL' and 'no topic of Image' in checks['camera'].text
    assert checks['odometry'].level.value == 'WARN'
    assert np.all([bool(c.cure) for c in checks.values() if c.level.value != 'OK'])
