# SPDX-License-Identifier: MIT
"""The real node in its own process, fed with a bag's images over DDS as a camera would."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
import ctypes
from functools import partial
import json
import os
from pathlib import Path
import signal
import subprocess
import sys
import time
from typing import Any

from geometry_msgs.msg import PoseWithCovarianceStamped
from nav_msgs.msg import Odometry
import rclpy
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import qos_profile_sensor_data
from selavpr.msg import LocalizerStatus, LoopClosure, PlaceHypotheses
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from selavpr_model.config import Config, ReplayConfig
from selavpr_model.errors import SourceError
from selavpr_model.poses import position_quaternion
from selavpr_model.runtime.progress import progress_bar
from selavpr_ros.bags.reader import BagFrames, Recorded
from selavpr_ros.bags.topics import COMPRESSED_IMAGE
from selavpr_ros.node import advanced_config, qos
from selavpr_ros.replay.answers import LiveRun, NodeAnswers

NODE = 'localizer'
PR_SET_PDEATHSIG = 1  # <linux/prctl.h>
STOP_S = 10.0  # the node gets this long to shut down by itself
ODOMETRY_LEAD_S = 0.01  # an image leaves its camera later than wheel odometry of its moment
LAST_WORDS = 2000  # characters of the node's log in an error


def play(
    frames: BagFrames,
    map_path: Path,
    configs: Mapping[str, Config],
    replay: ReplayConfig,
    work: Path,
) -> LiveRun:
    """Start the node with the map, play every image, collect the answers, stop the node.

    configs: prefix of the node's parameters -> configuration; `work` gets node.yaml,
    advanced.yaml and node.log.
    """
    namespace = f'/replay_{os.getpid()}'
    work.mkdir(parents=True, exist_ok=True)
    write_parameters(work / 'node.yaml', frames, map_path, configs)
    with running_node(namespace, work) as process, context() as ros:
        player = Player(ros, namespace, frames, process, work / 'node.log')
        player.wait_until_ready(replay.start_timeout_s)
        player.play(replay)
        player.finish(replay.answer_timeout_s)
        return player.result()


def write_parameters(
    path: Path, frames: BagFrames, map_path: Path, configs: Mapping[str, Config]
) -> None:
    """The node's parameters file, and beside it advanced.yaml; JSON is YAML."""
    values, advanced = advanced_config.split(configs)
    advanced_config.write(path.parent / 'advanced.yaml', advanced)
    compressed = frames.image_type == COMPRESSED_IMAGE
    values |= {
        'map': str(map_path.absolute()),
        'advanced_config': str((path.parent / 'advanced.yaml').absolute()),
        'image_transport': 'compressed' if compressed else 'raw',
        'base_camera': list(position_quaternion(frames.base_camera)),
    }
    path.write_text(json.dumps({'/**': {'ros__parameters': values}}, indent=2))


@contextmanager
def running_node(namespace: str, work: Path) -> Iterator[subprocess.Popen[bytes]]:
    """`python -m selavpr_ros.main` in its own process; stopped as by Ctrl-C."""
    command = [sys.executable, '-m', 'selavpr_ros.main', '--ros-args', '-r', f'__ns:={namespace}']
    command += ['-r', f'__node:={NODE}', '--params-file', str(work / 'node.yaml')]
    with (work / 'node.log').open('wb') as log:
        process = subprocess.Popen(
            command, stdout=log, stderr=subprocess.STDOUT, preexec_fn=_end_with_parent
        )
        try:
            yield process
        finally:
            process.send_signal(signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                process.wait(STOP_S)
            process.kill()
            process.wait()


def _end_with_parent() -> None:
    """Ask Linux for a SIGTERM when we are killed: nobody else would stop the node."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


@contextmanager
def context() -> Iterator[Context]:
    """A ROS context of our own: the caller may already have one."""
    ros = Context()
    rclpy.init(context=ros)
    try:
        yield ros
    finally:
        ros.try_shutdown()


class Player:
    """Publishes the images of a bag and listens to the node."""

    def __init__(
        self,
        ros: Context,
        namespace: str,
        frames: BagFrames,
        process: subprocess.Popen[bytes],
        log: Path,
    ) -> None:
        self._frames, self._process, self._log = frames, process, log
        self._answers = NodeAnswers()
        self._published: list[int] = []
        self._node = Node('player', namespace=namespace, context=ros)
        self._executor = SingleThreadedExecutor(context=ros)
        self._executor.add_node(self._node)
        compressed = frames.image_type == COMPRESSED_IMAGE
        kind, topic = (CompressedImage, 'image/compressed') if compressed else (Image, 'image')
        self._images = self._node.create_publisher(kind, topic, qos_profile_sensor_data)
        self._camera = self._node.create_publisher(
            CameraInfo, 'camera_info', qos_profile_sensor_data
        )
        self._odometry = self._node.create_publisher(Odometry, 'odom', qos.reliable(100))
        self._listen(PlaceHypotheses, 'hypotheses', self._answers.on_hypotheses)
        self._listen(PoseWithCovarianceStamped, 'pose', self._answers.on_pose)
        self._listen(LoopClosure, 'loop_closures', self._answers.on_closure)
        self._node.create_subscription(
            LocalizerStatus, f'{NODE}/status', self._answers.on_status, qos.LATCHED
        )

    def _listen(self, kind: Any, name: str, callback: Callable[[Any], None]) -> None:
        self._node.create_subscription(kind, f'{NODE}/{name}', callback, qos.reliable(1000))

    def wait_until_ready(self, timeout_s: float) -> None:
        """Until the node is active and both sides know each other; SourceError if it fails."""

        def ready() -> bool:
            topics = [f'{NODE}/{name}' for name in ('hypotheses', 'pose', 'loop_closures')]
            published = all(self._node.count_publishers(self._resolved(t)) for t in topics)
            heard = all(p.get_subscription_count() for p in (self._images, self._camera))
            return published and self._answers.active and heard

        if not self._spin_until(ready, timeout_s):
            status = self._answers.status
            said = status.message if status else 'it said nothing'
            raise SourceError(f'node: not active after {timeout_s:g} s; {said}; {self._tail()}')

    def _resolved(self, topic: str) -> str:
        return str(self._node.resolve_topic_name(topic))

    def play(self, config: ReplayConfig) -> None:
        """Every image, at its time over `rate`; rate 0: the next one once the last is answered."""
        start, first = time.monotonic(), 0
        bar = progress_bar(None, 'live', total=len(self._frames), unit='frame', leave=False)
        for message in self._frames.serialized():
            first = first or message.time_ns
            if config.rate > 0:
                due = start + (message.time_ns - first) / 1e9 / config.rate
                self._spin_until(lambda: False, due - time.monotonic())
            if message.is_image:
                self._publish_image(message, config)
                bar.update()
            else:
                self._odometry.publish(message.data)
        bar.close()

    def _publish_image(self, message: Recorded, config: ReplayConfig) -> None:
        if self._frames.camera_info:  # each time: a sensor's messages may get lost
            self._camera.publish(self._frames.camera_info)
        self._spin_until(lambda: False, ODOMETRY_LEAD_S)
        self._images.publish(message.data)
        self._published.append(message.stamp_ns)
        if config.rate == 0:
            answered = partial(self._is_answered, message.stamp_ns)
            self._spin_until(answered, config.answer_timeout_s)

    def finish(self, quiet_s: float) -> None:
        """Until everything is answered, or nothing has come for `quiet_s`; then the counters."""
        while not self._all_answered():
            if not self._spin_until(partial(self._has_more, len(self._answers.rows)), quiet_s):
                break
        self._spin_until(lambda: self._answers.complete, quiet_s)
        self._answers.status = None  # latched, so the next is new
        self._spin_until(lambda: self._answers.status is not None, quiet_s)

    def _is_answered(self, stamp_ns: int) -> bool:
        return stamp_ns in self._answers.rows

    def _has_more(self, than: int) -> bool:
        return len(self._answers.rows) > than

    def _all_answered(self) -> bool:
        return set(self._published) <= self._answers.rows.keys()

    def result(self) -> LiveRun:
        answers = self._answers
        unanswered = sum(stamp not in answers.rows for stamp in self._published)
        dropped = answers.dropped
        if missing := unanswered - sum(dropped.values()):
            dropped['not received'] = missing
        return LiveRun(answers.predictions(), answers.closures, dropped, answers.latencies)

    def _spin_until(self, done: Callable[[], bool], timeout_s: float) -> bool:
        """Serve callbacks until `done` or the time is over; SourceError when the node dies."""
        end = time.monotonic() + timeout_s
        while not done():
            if self._process.poll() is not None:
                code = self._process.returncode
                raise SourceError(f'node: ended with code {code}; {self._tail()}')
            left = end - time.monotonic()
            if left <= 0:
                return False
            self._executor.spin_once(timeout_sec=min(left, 0.5))
        return True

    def _tail(self) -> str:
        text = self._log.read_text(errors='replace')[-LAST_WORDS:]
        return f'its log ({self._log}) ends:\n{text}'
