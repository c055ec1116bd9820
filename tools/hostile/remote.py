# SPDX-License-Identifier: MIT
"""A node in a process of its own, as a robot has it, and what can be seen from outside."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
import json
import os
from pathlib import Path
import signal
import subprocess
import sys
import time
from typing import Any

from lifecycle_msgs.srv import GetState
import numpy as np
from rcl_interfaces.srv import SetParameters
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import qos_profile_sensor_data
from selavpr.msg import LocalizerStatus, PlaceHypotheses
from selavpr.srv import LoadMap, QueryImage, Relocalize, SaveMap, SetMode
from sensor_msgs.msg import Image

from selavpr_ros.convert import to_ros
from selavpr_ros.node import qos

PATIENCE_S = 120.0
SERVICES = {
    'load_map': LoadMap, 'save_map': SaveMap, 'relocalize': Relocalize, 'set_mode': SetMode,
    'query_image': QueryImage, 'get_state': GetState, 'set_parameters': SetParameters,
}  # fmt: skip


class DiedError(Exception):
    """The node's process ended."""


class RemoteRobot:
    """Use as a context manager. folder: for its log and its settings; `rclpy` is up."""

    count = 0

    def __init__(self, folder: Path, **parameters: object) -> None:
        """parameters: of the node; a prefix is set off by two underscores."""
        RemoteRobot.count += 1
        self.namespace = f'/remote{os.getpid()}_{RemoteRobot.count}'
        self.log = folder / f'node{RemoteRobot.count}.log'
        given = folder / f'node{RemoteRobot.count}.yaml'
        values = {k.replace('__', '.'): v for k, v in parameters.items()}
        given.write_text(json.dumps({'/**': {'ros__parameters': values}}))
        self._command = [
            sys.executable, '-m', 'selavpr_ros.main', '--ros-args', '-r',
            f'__ns:={self.namespace}', '--params-file', str(given),
        ]  # fmt: skip
        self.user = Node('user', namespace=self.namespace)
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self.user)
        self.answers: dict[int, Any] = {}  # by stamp; the last few
        self.status: Any = None
        self.user.create_subscription(
            PlaceHypotheses, 'localizer/hypotheses', self._answer, qos.reliable(100)
        )
        self.user.create_subscription(
            LocalizerStatus, 'localizer/status', self._heard, qos.LATCHED
        )
        self.clients = {
            name: self.user.create_client(kind, f'localizer/{name}')
            for name, kind in SERVICES.items()
        }
        self._stamp_ns = 0

    def __enter__(self) -> RemoteRobot:
        with self.log.open('wb') as file:
            self.process = subprocess.Popen(self._command, stdout=file, stderr=subprocess.STDOUT)
        return self

    def __exit__(self, *_: object) -> None:
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(20.0)
        except subprocess.TimeoutExpired:
            self.process.kill()
        self.user.destroy_node()
        self._executor.shutdown()

    def _heard(self, message: Any) -> None:
        self.status = message

    def _answer(self, message: Any) -> None:
        stamp = message.header.stamp
        self.answers[stamp.sec * 10**9 + stamp.nanosec] = message
        if len(self.answers) > 50:
            del self.answers[next(iter(self.answers))]

    def camera(self) -> Any:
        return self.user.create_publisher(Image, 'image', qos_profile_sensor_data)

    def rest(self, seconds: float) -> None:
        """Let things happen for a while, at least once."""
        end = time.monotonic() + seconds
        while True:
            self._executor.spin_once(timeout_sec=max(0.0, min(0.05, end - time.monotonic())))
            if time.monotonic() >= end:
                return

    def until(self, condition: Callable[[], Any], patience_s: float = PATIENCE_S) -> bool:
        """Whether it came to be; DiedError where the node's process ended."""
        end = time.monotonic() + patience_s
        while not condition():
            if self.process.poll() is not None:
                raise DiedError(f'the node ended with {self.process.returncode}')
            if time.monotonic() >= end:
                return False
            self._executor.spin_once(timeout_sec=0.02)
        return True

    def until_active(self) -> RemoteRobot:
        ready = self.until(
            lambda: self.status and self.status.lifecycle_state == 3 and self.status.map_id
        )
        assert ready, f'not active; {self.status}'
        return self

    def send(self, name: str, **fields: Any) -> Any:
        """The future of a call."""
        assert self.until(self.clients[name].service_is_ready), name
        return self.clients[name].call_async(SERVICES[name].Request(**fields))

    def call(self, name: str, **fields: Any) -> Any:
        """The answer; None where there is none for a long time."""
        future = self.send(name, **fields)
        return future.result() if self.until(future.done) else None

    def picture(self, image: np.ndarray) -> Any:
        """(H, W, 3) RGB as a message, stamped now and after the last one."""
        self._stamp_ns = max(self._stamp_ns + 10**6, time.time_ns())
        return to_ros.image(image, self._stamp_ns, 'camera_optical')

    def ask(self, camera: Any, image: np.ndarray) -> Any:
        """The hypotheses of an image, which is sent again and again; None where none come."""
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            message = self.picture(image)
            stamp = self._stamp_ns
            camera.publish(message)
            if self.until(lambda stamp=stamp: stamp in self.answers, 2.0):
                return self.answers[stamp]
        return None

    def memory_kb(self) -> int:
        """Of the node's process, in RAM."""
        return self._told('VmRSS')

    def threads(self) -> int:
        return self._told('Threads')

    def _told(self, what: str) -> int:
        with suppress(OSError):
            lines = Path(f'/proc/{self.process.pid}/status').read_text().splitlines()
            return next(int(line.split()[1]) for line in lines if line.startswith(what))
        raise DiedError(f'the node ended with {self.process.poll()}')

    def descriptors(self) -> int:
        return len(os.listdir(f'/proc/{self.process.pid}/fd'))  # noqa: PTH208, counted only

    def traces(self) -> int:
        """Tracebacks in the log so far."""
        return self.log.read_bytes().count(b'Traceback (most recent call last)')
