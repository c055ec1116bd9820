# SPDX-License-Identifier: MIT
"""The way of a camera image: in at on_image, through the mailbox, out as a published result."""

from __future__ import annotations

import time
from typing import Any, TYPE_CHECKING

import numpy as np

from selavpr_model.errors import InputError
from selavpr_model.records import Camera, Frame, Recognition
from selavpr_ros.config import NodeConfig
from selavpr_ros.convert import debug_image, from_ros, to_ros
from selavpr_ros.node.health import diagnostics
from selavpr_ros.node.inputs import Arrival

if TYPE_CHECKING:
    from selavpr_ros.node.localizer import LocalizerNode

SECOND = 1_000_000_000
TOO_OLD = (
    "stamped {age:.1f} s before this node's clock, max_frame_age_s is {limit:g} s; "
    'synchronise the clocks (chrony, PTP), or raise it'
)


class Stream:
    """on_image belongs to the ROS thread, process and failed to the worker."""

    def __init__(self, node: LocalizerNode) -> None:
        self._node = node
        self._T_base_camera = np.eye(4)  # in use for odometry
        self.camera_frame = ''  # of the last image that was decoded
        self._shown_ns = 0  # when the growing map was drawn

    def on_image(self, message: Any) -> None:
        """Keep the newest image for the worker; count every one that is not used."""
        node, stamp = self._node, from_ros.stamp_ns(message)
        node.health.image_arrived(from_ros.describe_image(message))
        if not node.processing:
            node.health.drop('paused' if node.active else 'not_active')
            return
        self._judge_clock(stamp)
        arrival = Arrival(message, stamp, node.health.received, time.monotonic_ns())
        if node.worker.offer(arrival):
            node.health.drop('replaced')

    def _judge_clock(self, stamp: int) -> None:
        node, config, foreign = self._node, self._node.parameters.node, self._node.stamps.foreign
        if stamp == 0:
            node.voice.once('images have stamp 0; results carry it too, and age is not checked')
        if node.stamps.jumped_back(stamp, _ns(config.clock_jump_s)):
            node.voice.warn('image stamps jumped back (a bag starting over?): starting afresh')
            self.discard('clock_jump')
            node.inputs.forget()
            node.worker.post(node.reset)
        node.stamps.observe(stamp, node.now_ns(), _ns(config.foreign_clock_s))
        if node.stamps.foreign and not foreign:
            node.voice.warn(diagnostics.foreign_clock(node))

    def discard(self, reason: str) -> None:
        """Throw the waiting image away."""
        if self._node.worker.discard():
            self._node.health.drop(reason)

    def process(self, arrival: Arrival) -> None:
        """On the worker: one image from message to published result."""
        node, started = self._node, time.monotonic_ns()
        frame = self._frame(arrival)
        if frame is None:
            return
        decoded = time.monotonic_ns()
        recognition = node.pipeline.process(frame, asked=node.calls.waiting)
        queue_ns, compute_ns = started - arrival.received_ns, time.monotonic_ns() - started
        outcome = node.outcome(
            recognition, frame.camera_frame, arrival.number, queue_ns, compute_ns
        )
        node.navigation.on_outcome(outcome, frame.odom)
        node.outputs.recognition(outcome, node.body(), node.parameters.node.hypotheses)
        total = {'decode': decoded - started, 'total': time.monotonic_ns() - arrival.received_ns}
        stages = recognition.timings_ns | total
        node.health.done(recognition.state.name, recognition.reason, stages)
        node.calls.on_outcome(outcome)
        self._draw(frame, recognition)
        self._show_growth(frame.stamp_ns)

    def _show_growth(self, stamp_ns: int) -> None:
        """The places of a growing map, at most once a second."""
        node, now = self._node, time.monotonic_ns()
        place_map, new = node.pipeline.place_map, node.pipeline.keyframe
        if new is None or new.pose is None or place_map is None:
            return
        if now - self._shown_ns >= SECOND:
            self._shown_ns = now
            frame = node.parameters.node.map_frame
            node.outputs.keyframes(place_map.positions, stamp_ns, frame)

    def failed(self, error: Exception) -> None:
        """On the worker: an image raised what nobody expected."""
        if not self._node.can_publish:
            return  # Ctrl-C during inference: there is nowhere left to publish to
        self._node.health.failed(error)
        self._node.health.drop('error', str(error))
        self._node.voice.exception('a frame could not be processed', error)

    def _frame(self, arrival: Arrival) -> Frame | None:
        """The decoded image; None, with the drop counted, when it is not to be processed."""
        node, config = self._node, self._node.parameters.node
        if not node.pipeline.ready:
            problem = node.pipeline.model_problem
            node.health.drop('no_model' if problem else 'no_map', problem)
            return None
        now, limit = node.now_ns(), config.max_frame_age_s
        if node.stamps.too_old(arrival.stamp_ns, now, _ns(limit)):
            age = (now - arrival.stamp_ns) / SECOND
            node.health.drop('too_old', TOO_OLD.format(age=age, limit=limit))
            return None
        try:
            return self._decoded(arrival, config)
        except InputError as error:
            node.health.drop('undecodable', str(error))
            node.voice.warn(str(error))
            return None

    def _decoded(self, arrival: Arrival, config: NodeConfig) -> Frame:
        image = from_ros.rgb_image(arrival.message)
        frame = from_ros.frame_id(arrival.message)
        if not frame:
            self._node.voice.once('images have no frame_id; it is taken to be "camera"')
        self.camera_frame = frame or 'camera'
        if mounting := diagnostics.unknown_mounting(self._node):
            self._node.voice.once(mounting)
        T_base_camera = self._node.body().T_base_camera
        if not np.array_equal(T_base_camera, self._T_base_camera):
            self._T_base_camera = T_base_camera
            self._node.reset()  # motion between two mountings would be none of the robot
        T_odom_base = self._node.inputs.odometry(arrival.stamp_ns, _ns(config.odom_gap_s))
        odom = None if T_odom_base is None else T_odom_base @ T_base_camera
        camera = self.camera_of(image)
        return Frame(arrival.stamp_ns, image, self.camera_frame, odom=odom, camera=camera)

    def camera_of(self, image: np.ndarray) -> Camera | None:
        """The calibration of camera_info, where it can be of this image."""
        camera = self._node.inputs.camera
        if camera is None or camera.sees(image):
            return camera
        told, got = 'x'.join(map(str, camera.size)), f'{image.shape[1]}x{image.shape[0]}'
        self._node.voice.once(f'camera_info is of {told}, images are {got}: it is not used')
        return None

    def _draw(self, frame: Frame, recognition: Recognition) -> None:
        node, place_map = self._node, self._node.pipeline.place_map
        if place_map is None or not node.outputs.wanted('debug_image'):
            return
        best = recognition.candidates[:1]
        match = place_map.thumbnail(best[0].row) if best else None
        joined = node.pipeline.joined(recognition)
        drawn = debug_image.draw(frame.image, match, recognition, joined)
        message = to_ros.image(drawn, frame.stamp_ns, frame.camera_frame)
        node.outputs.send('debug_image', message)


def _ns(seconds: float) -> int:
    return round(seconds * SECOND)
