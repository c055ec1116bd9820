# SPDX-License-Identifier: MIT
"""A robot for tests: a real LocalizerNode in a thread, and a camera that talks to it over DDS."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
import copy
import ctypes
import gc
from pathlib import Path
import tempfile
import threading
import time
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import PoseWithCovarianceStamped
from lifecycle_msgs.srv import ChangeState, GetState
import numpy as np
from rcl_interfaces.msg import Parameter as ParameterMsg
from rcl_interfaces.srv import GetParameters, SetParameters
import rclpy
from rclpy.context import Context
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import qos_profile_sensor_data
from selavpr.msg import LocalizerStatus, LoopClosure, MapInfo, PlaceHypotheses
from selavpr.srv import LoadMap, QueryImage, Relocalize, SaveMap, SetMode
from sensor_msgs.msg import Image
from visualization_msgs.msg import MarkerArray

from selavpr_ros.config import GROUPS, is_advanced, NODE_SECTION
from selavpr_ros.convert import to_ros
from selavpr_ros.node import advanced_config, qos
from selavpr_ros.node.localizer import LocalizerNode
from selavpr_ros.process import spin

LIBC = ctypes.CDLL('libc.so.6')
PATIENCE_S = 60.0  # far beyond what anything takes, even on a machine that is busy
TOPICS: dict[str, tuple[Any, Any]] = {
    'hypotheses': (PlaceHypotheses, qos.reliable(100)),
    'pose': (PoseWithCovarianceStamped, qos.reliable(100)),
    'loop_closures': (LoopClosure, qos.reliable(100)),
    'status': (LocalizerStatus, qos.LATCHED),
    'map_info': (MapInfo, qos.LATCHED),
    'markers': (MarkerArray, qos.LATCHED),
}
SERVICES = {
    'load_map': LoadMap,
    'save_map': SaveMap,
    'relocalize': Relocalize,
    'set_mode': SetMode,
    'query_image': QueryImage,
    'get_state': GetState,
    'change_state': ChangeState,
    'get_parameters': GetParameters,
    'set_parameters': SetParameters,
}


class Robot:
    """`heard` holds every message by topic; use as a context manager."""

    count = 0

    def __init__(self, remap: tuple[str, ...] = (), **parameters: Any) -> None:
        Robot.count += 1
        self.namespace = f'/robot{Robot.count}'
        # A busy test machine may take long, and most tests are about single frames; those about
        # age and sequences set these themselves.
        parameters = {
            'max_frame_age_s': 0.0, 'temporal__enabled': False, 'maps_root': '/', **parameters
        }  # fmt: skip
        given = {k.replace('__', '.'): v for k, v in parameters.items()}
        self._advanced: dict[str, dict[str, Any]] = {}
        self._folder = tempfile.TemporaryDirectory(prefix='robot')
        values = {k: v for k, v in given.items() if not self._is_advanced(k)}
        for name in filter(self._is_advanced, given):
            values['advanced_config'] = self._advanced_file(name, given[name])
        overrides = [Parameter(name, value=value) for name, value in values.items()]
        arguments = ['--ros-args', *(f for rule in remap for f in ('-r', rule))]
        self._context = Context()  # shutting it down is how a robot is switched off
        rclpy.init(context=self._context)
        self.localizer = LocalizerNode(
            context=self._context,
            namespace=self.namespace,
            parameter_overrides=overrides,
            cli_args=arguments,
        )
        self.user = Node('user', namespace=self.namespace)
        self.heard: dict[str, list[Any]] = defaultdict(list)
        for name, (kind, profile) in TOPICS.items():
            self.listen(name, kind, profile)
        self.user.create_subscription(
            DiagnosticArray, '/diagnostics', self._hear('diagnostics'), qos.reliable(10)
        )
        self.clients = {
            name: self.user.create_client(kind, f'localizer/{name}')
            for name, kind in SERVICES.items()
        }
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self.user)
        self._node_executor = SingleThreadedExecutor(context=self._context)
        self._node_executor.add_node(self.localizer)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._stamp_ns = time.time_ns()

    def __enter__(self) -> Robot:
        self._thread.start()
        return self

    def _run(self) -> None:
        with suppress(ExternalShutdownException):
            spin(self.localizer, self._node_executor)

    def __exit__(self, *_: Any) -> None:
        self._context.try_shutdown()
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive()
        self.localizer.destroy_node()
        self.user.destroy_node()
        self._executor.shutdown()
        self._node_executor.shutdown()
        self._folder.cleanup()
        leave_nothing()

    def _hear(self, name: str) -> Callable[[Any], None]:
        return self.heard[name].append

    def listen(self, name: str, kind: Any, profile: Any) -> None:
        self.user.create_subscription(kind, f'localizer/{name}', self._hear(name), profile)

    def camera(self, topic: str = 'image', kind: Any = Image, profile: Any = None) -> Any:
        """A publisher that the node, when subscribed, is connected to."""
        return self.user.create_publisher(kind, topic, profile or qos_profile_sensor_data)

    def until(self, condition: Callable[[], Any], what: str) -> Any:
        """Spin until the condition holds and return its value; fails after a long time."""
        end = time.monotonic() + PATIENCE_S
        while not (value := condition()):
            assert time.monotonic() < end, f'{what} did not happen; {self.report()}'
            self._executor.spin_once(timeout_sec=0.05)
        return value

    def rest(self, seconds: float) -> None:
        """Let things happen for a while."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self._executor.spin_once(timeout_sec=0.05)

    def report(self) -> str:
        """What a failing test shows."""
        health = self.localizer.health
        status = self.heard['status'][-1] if self.heard['status'] else None
        return f'status {status.message if status else "none"!r}; {health}'

    def status(self) -> Any:
        return self.heard['status'][-1] if self.heard['status'] else None

    def until_status(self, text: str) -> Any:
        """Wait until ~/status says this."""
        return self.until(
            lambda: self.status() if self.status() and text in self.status().message else None,
            f'status {text!r}',
        )

    def until_active(self) -> Robot:
        """Active, with whatever could be loaded loaded."""
        self.until(lambda: self.status() and self.status().lifecycle_state == 3, 'activation')
        return self

    def diagnostic(self, name: str) -> Any:
        """The last status line of that name."""
        lines = [s for a in self.heard['diagnostics'] for s in a.status
                 if s.name == f'{self.namespace.lstrip("/")}/localizer: {name}']  # fmt: skip
        return lines[-1] if lines else None

    def call(self, name: str, **fields: Any) -> Any:
        client = self.clients[name]
        self.until(client.service_is_ready, f'service {name}')
        future = client.call_async(SERVICES[name].Request(**fields))
        self.until(future.done, f'answer of {name}')
        return future.result()

    def transition(self, label: str) -> bool:
        request = ChangeState.Request()
        request.transition.label = label
        return bool(self.call('change_state', transition=request.transition).success)

    @staticmethod
    def _is_advanced(name: str) -> bool:
        prefix, _, field = name.rpartition('.')
        known = prefix in GROUPS and field in GROUPS[prefix].__dataclass_fields__
        return known and is_advanced(prefix, field)

    def _advanced_file(self, name: str, value: Any) -> str:
        """A file of all advanced settings so far, with this one."""
        prefix, _, field = name.rpartition('.')
        self._advanced.setdefault(prefix or NODE_SECTION, {})[field] = value
        path = Path(self._folder.name) / 'advanced.yaml'
        advanced_config.write(path, self._advanced)
        return str(path)

    def set(self, name: str, value: Any) -> Any:
        """As `ros2 param set`; an advanced setting goes into its file, which is read again."""
        before = copy.deepcopy(self._advanced)
        if self._is_advanced(name):
            name, value = 'advanced_config', self._advanced_file(name, value)
        parameter: ParameterMsg = Parameter(name, value=value).to_parameter_msg()
        result = self.call('set_parameters', parameters=[parameter]).results[0]
        if not result.successful:
            self._advanced = before
        return result

    def next_stamp(self) -> int:
        """A tenth of a second after the last one."""
        self._stamp_ns = max(self._stamp_ns + 100_000_000, time.time_ns())
        return self._stamp_ns

    def picture(self, image: np.ndarray, stamp_ns: int | None = None) -> Any:
        """(H, W, 3) RGB as a message of our camera, stamped next in turn."""
        stamp_ns = self.next_stamp() if stamp_ns is None else stamp_ns
        return to_ros.image(image, stamp_ns, 'camera_optical')

    def publish(self, camera: Any, message: Any) -> Any:
        """Publish once somebody listens."""
        self.until(camera.get_subscription_count, 'connection of the camera')
        camera.publish(message)

    def ask(self, camera: Any, image: Any) -> Any:
        """Publish an image or message until its hypotheses come back: best effort may lose one."""
        message = self.picture(image) if isinstance(image, np.ndarray) else image
        before = len(self.heard['hypotheses'])
        for _ in range(20):
            self.publish(camera, message)
            end = time.monotonic() + PATIENCE_S / 20
            while time.monotonic() < end:
                self._executor.spin_once(timeout_sec=0.05)
                for answer in self.heard['hypotheses'][before:]:
                    if answer.header.stamp == message.header.stamp:
                        return answer
        raise AssertionError(f'no hypotheses; {self.report()}')


def leave_nothing() -> None:
    """Nodes that were destroyed are cycles and hold their DDS participants, of which 32 in all
    are heard; and what a model took goes back to the system.
    """
    gc.collect()
    LIBC.malloc_trim(0)


def drops(robot: Robot, reason: str) -> int:
    return int(robot.localizer.health.dropped().get(reason, 0))


def until_dropped(robot: Robot, camera: Any, message: Any, reason: str) -> None:
    """Publish until one is dropped for that reason; stamps go on, as those of a camera do."""
    before, stamp = drops(robot, reason), message.header.stamp

    def dropped() -> bool:
        if stamp.sec:
            stamp.nanosec = (stamp.nanosec + 1_000_000) % 1_000_000_000
        robot.publish(camera, message)
        robot.rest(0.1)
        return drops(robot, reason) > before

    robot.until(dropped, f'drop {reason}')
