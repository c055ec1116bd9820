# SPDX-License-Identifier: MIT
"""map -> odom on /tf: ahead of time, again and again, without a jump, and only while it holds.

The recogniser filters the pose; here it is sent.
"""

from __future__ import annotations

import threading
import time

import numpy as np
from rclpy.clock import Clock, ClockType
from rclpy.node import Node

from selavpr_model.poses import inverse
from selavpr_model.records import Recognition, SECOND, State
from selavpr_ros.convert import to_ros
from selavpr_ros.convert.tf_message import TFMessage
from selavpr_ros.node import qos
from selavpr_ros.node.context import Context
from selavpr_ros.node.health.health import ERROR, OK, Part, WARN
from selavpr_ros.node.mounting import Mounting
from selavpr_ros.node.outputs import Outputs
from selavpr_ros.node.tf.glide import glide

PERIOD_S = 0.05
GLIDE_MPS, GLIDE_RADPS = 2.0, 0.35  # at which what is sent follows the estimate
SILENT_S = 1.0  # without odometry nobody can use map -> odom
DOUBTED = 3  # answers in a row that do not fit odometry cast doubt on it
ANEW_M = 5.0  # an estimate that moved by more than this is sent at once
NEVER = 'the robot was not found yet'
STANDS_STILL = 'odometry stands still while the views change'


class Broadcaster:
    """The worker tells it the answers, the ROS thread tells it odometry and has it send."""

    def __init__(self, node: Node, context: Context, outputs: Outputs, mounting: Mounting) -> None:
        self._node, self._context = node, context
        self._outputs, self._mounting = outputs, mounting
        self._lock = threading.Lock()
        self._odometry: tuple[int, np.ndarray, int] | None = None  # stamp, T_odom_base, arrival
        self._begin(NEVER)
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        node.create_timer(PERIOD_S, self._tick, clock=steady)

    def reset(self) -> None:
        """The robot, the clock or the map is another now."""
        with self._lock:
            self._begin(NEVER)

    def _begin(self, why: str, valid_from_ns: int = 0) -> None:
        """Nothing is known; answers to images of before do not count."""
        self._T_map_odom: np.ndarray | None = None
        self._covariance, self._answers = np.eye(6), 0
        self._sent: np.ndarray | None = None  # (4, 4) T_map_odom
        self._sent_ns = 0  # stamps never go back, however late odometry arrives
        self._why_not: str | None = why  # nothing is sent; None: it is
        self._valid_from_ns = valid_from_ns
        self._found_ns = time.monotonic_ns()  # when an answer other than LOST came last

    def on_odometry(self, stamp_ns: int, T_odom_base: np.ndarray, broken: str) -> None:
        """Each sample, on the ROS thread; broken: why odometry does not lead to it, in words."""
        if not self._context.config.publish_tf:
            return
        with self._lock:
            if self._odometry is None or stamp_ns > self._odometry[0] or broken:
                self._odometry = stamp_ns, T_odom_base, self._elapsing_ns()
            if broken and self._T_map_odom is not None:
                self._withdraw(f'odometry was restarted, {broken}', stamp_ns)

    def on_answer(self, recognition: Recognition, T_odom_camera: np.ndarray | None) -> None:
        """After each frame, on the worker; T_odom_camera: (4, 4) at the image's stamp."""
        if not self._context.config.publish_tf:
            return
        with self._lock:
            if recognition.state is not State.LOST:
                self._found_ns = time.monotonic_ns()
            if recognition.outside >= DOUBTED:
                self._why_not, self._sent = self._doubt(recognition.outside), None
            if recognition.pose is None or recognition.covariance is None:
                return
            if trouble := self._mounting.trouble():
                self._withdraw(trouble)
            elif T_odom_camera is None:
                self._no_odometry()
            elif not recognition.filtered:
                self._why_not, self._sent = STANDS_STILL, None
            elif recognition.stamp_ns >= self._valid_from_ns:
                self._take(recognition.pose, recognition.covariance, T_odom_camera)

    def expect(self, T_map_base: np.ndarray, covariance: np.ndarray) -> None:
        """On the worker: somebody says where the robot is, (4, 4) with its covariance (6, 6)."""
        with self._lock:
            if not self._context.config.publish_tf or self._odometry is None:
                return
            if trouble := self._mounting.trouble():
                self._withdraw(trouble)
                return
            T_base_camera = self._mounting.body().T_base_camera
            self._begin(NEVER)
            T_odom_base = self._odometry[1]
            self._take(T_map_base @ T_base_camera, covariance, T_odom_base @ T_base_camera)

    def _take(
        self, T_map_camera: np.ndarray, covariance: np.ndarray, T_odom_camera: np.ndarray
    ) -> None:
        before, self._T_map_odom = self._T_map_odom, T_map_camera @ inverse(T_odom_camera)
        self._covariance, self._answers, self._why_not = covariance, self._answers + 1, None
        if before is None:
            return
        metres = float(np.linalg.norm((before @ T_odom_camera - T_map_camera)[:3, 3]))
        if metres > ANEW_M:
            self._sent = None
            self._context.log.warn(
                f'{self._name()}: the answers agree that the robot is {metres:.1f} m from where '
                'it was said to be; it is taken anew'
            )

    def _doubt(self, answers: int) -> str:
        return (
            f'{answers} answers in a row do not fit odometry: it slipped or '
            'stands still while the robot moves, or the place looks like another one'
        )

    def _no_odometry(self) -> None:
        if self._why_not is not None:
            topic = self._node.resolve_topic_name('odom')
            ends = self._node.get_publishers_info_by_topic(topic)
            self._why_not = (
                f'the robot is found, but no odometry on {topic} goes with the images '
                f'({len(ends)} publishers: {qos.describe_ends(ends)}); remap it with '
                "-r odom:=/your/topic, or see that it is stamped with the images' clock"
            )

    def _withdraw(self, why: str, valid_from_ns: int = 0) -> None:
        """Send no more until the robot is found again."""
        if self._sent is not None:
            self._context.log.warn(f'{self._name()} is withdrawn: {why}')
        self._begin(why, valid_from_ns)

    def _tick(self) -> None:
        """On the ROS thread."""
        if not self._context.config.publish_tf or not self._context.processing:
            return
        with self._lock:
            self._expire()
            T_map_odom, odometry = self._T_map_odom, self._odometry
            if self._why_not is not None or T_map_odom is None or odometry is None:
                return
            stamp_ns, T_odom_base, arrived_ns = odometry
            elapsed_ns = max(self._elapsing_ns() - arrived_ns, 0)
            if elapsed_ns > SILENT_S * SECOND:
                return
            self._sent = self._next(T_map_odom, T_odom_base)
            ahead_ns = round(self._context.config.transform_tolerance_s * SECOND)
            self._sent_ns = max(self._sent_ns, stamp_ns + elapsed_ns + ahead_ns)
            self._send(self._sent_ns, self._sent)

    def _expire(self) -> None:
        limit_s = self._context.config.tf_hold_s
        seconds = (time.monotonic_ns() - self._found_ns) / SECOND
        if self._T_map_odom is not None and seconds > limit_s:
            self._withdraw(f'the robot is LOST, or no image is answered, for {limit_s:g} s')

    def _next(self, T_map_odom: np.ndarray, T_odom_base: np.ndarray) -> np.ndarray:
        """(4, 4) from what was sent towards the estimate; measured at the robot."""
        if self._sent is None:
            return T_map_odom
        goal, now = T_map_odom @ T_odom_base, self._sent @ T_odom_base
        most_m, most_rad = GLIDE_MPS * PERIOD_S, GLIDE_RADPS * PERIOD_S
        T_map_base = glide(now, goal, most_m, most_rad)
        return np.asarray(T_map_base @ inverse(T_odom_base))

    def _send(self, stamp_ns: int, T_map_odom: np.ndarray) -> None:
        if TFMessage is not None:
            config = self._context.config
            frames = config.map_frame, config.odom_frame
            self._outputs.send('tf', to_ros.transform(stamp_ns, frames, T_map_odom))

    def _elapsing_ns(self) -> int:
        """Now, for differences: with simulated time it stands still where that does."""
        context = self._context
        return context.now_ns() if context.uses_sim_time else time.monotonic_ns()

    def _name(self) -> str:
        return f'{self._context.config.map_frame} -> {self._context.config.odom_frame}'

    def part(self) -> Part | None:
        """The line of the diagnostics; None where nothing is to be sent."""
        if not self._context.config.publish_tf:
            return None
        if TFMessage is None:
            return Part('Transform', ERROR, 'publish_tf: tf2_msgs is not installed; install it')
        with self._lock:
            return self._part()

    def _part(self) -> Part:
        name, odometry = self._name(), self._odometry
        if self._why_not is not None or self._T_map_odom is None:
            level = OK if self._why_not == NEVER else WARN
            return Part('Transform', level, f'{name} is not sent: {self._why_not}')
        if odometry is None or self._elapsing_ns() - odometry[2] > SILENT_S * SECOND:
            topic = self._node.resolve_topic_name('odom')
            text = f'{name} is not sent: no odometry on {topic} for more than {SILENT_S:g} s'
            return Part('Transform', WARN, f'{text}; see that its driver runs')
        sigma = np.sqrt(np.diagonal(self._covariance))
        text = f'{name} is sent, 1 sigma {np.linalg.norm(sigma[:2]):.2f} m'
        values = {'sigma x y z rx ry rz': ' '.join(f'{v:.3f}' for v in sigma)}
        values['answers'] = str(self._answers)
        return Part('Transform', OK, f'{text}, {np.degrees(sigma[5]):.1f} deg', dict(values))
