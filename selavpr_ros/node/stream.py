# SPDX-License-Identifier: MIT
"""The way of a camera image: in at on_image, through the mailbox, out as a published result."""

from __future__ import annotations

from dataclasses import replace
import time
from typing import Any

from selavpr_model.errors import InputError
from selavpr_model.records import Frame, Recognition, SECOND
from selavpr_ros.convert import debug_image, from_ros, to_ros
from selavpr_ros.node.context import Context
from selavpr_ros.node.health.clocks import StampJudge
from selavpr_ros.node.incoming.stamps import ImageStamps
from selavpr_ros.node.inputs import Arrival, Inputs
from selavpr_ros.node.mounting import Mounting
from selavpr_ros.node.navigation import Navigation
from selavpr_ros.node.outputs import Outputs
from selavpr_ros.node.pipeline.pipeline import Pipeline
from selavpr_ros.node.pipeline.states import Answer, Asset, odometry_is_frozen
from selavpr_ros.node.pipeline.worker import Worker
from selavpr_ros.node.relocalizations import Relocalizations

TOO_OLD = (
    "stamped {age:.1f} s before this node's clock, max_frame_age_s is {limit:g} s; "
    'synchronise the clocks (chrony, PTP), or raise it'
)


class Stream:
    """on_image, restart and discard belong to the ROS thread, the rest to the worker."""

    def __init__(
        self,
        context: Context,
        pipeline: Pipeline,
        inputs: Inputs,
        outputs: Outputs,
        mounting: Mounting,
        navigation: Navigation,
        relocalizations: Relocalizations,
    ) -> None:
        self._context, self._pipeline, self._mounting = context, pipeline, mounting
        self._inputs, self._outputs = inputs, outputs
        self._navigation, self._relocalizations = navigation, relocalizations
        self.worker: Worker[Arrival] = Worker(self.process, self.failed)
        self.stamps, self.images = StampJudge(), ImageStamps()
        self._drawn_ns = 0  # when the growing map was drawn

    def restart(self) -> None:
        """Begin anew, as after activation: the robot may be elsewhere by now."""
        self.stamps.restart()
        self.images.restart()
        self.worker.post(self.reset)

    def on_image(self, message: Any) -> None:
        """Keep the newest image for the worker; count every one that is not used."""
        context, stamp = self._context, from_ros.stamp_ns(message)
        health, now = context.health, context.now_ns() or time.time_ns()
        health.image_arrived(from_ros.describe_image(message), stamp, now)
        if not context.processing:
            health.drop('paused' if context.active else 'not_active')
            return
        received = time.monotonic_ns()
        frame, jump = from_ros.frame_id(message), _ns(context.config.clock_jump_s)
        if refused := self.images.refused(stamp, frame, now, jump, received):
            health.drop(refused)
            return
        self._judge_clock(stamp)
        has_time = stamp and not self.images.stand_still
        arrival = Arrival(message, stamp, health.received, received, stamp if has_time else now)
        if self.worker.offer(arrival):
            health.drop('replaced')

    def _judge_clock(self, stamp: int) -> None:
        context, config = self._context, self._context.config
        if self.stamps.jumped_back(stamp, _ns(config.clock_jump_s)):
            context.log.warn('image stamps jumped back (a bag starting over?): starting afresh')
            self.discard('clock_jump')
            self._inputs.forget()
            self.worker.post(self.reset)
        self.stamps.observe(stamp, context.now_ns(), _ns(config.foreign_clock_s))

    def discard(self, reason: str) -> None:
        """Throw the waiting image away."""
        if self.worker.discard():
            self._context.health.drop(reason)

    def stop(self, reason: str, why: str) -> None:
        """No more images are used: whoever waits for some is told why."""
        self.discard(reason)
        self.interrupt(why)

    def interrupt(self, why: str) -> None:
        """A call that waits for images gets none that it can use."""
        self._relocalizations.cancel(why)

    def reset(self) -> None:
        """Where the robot was is no longer known."""
        self._pipeline.reset()
        self._navigation.reset()

    def process(self, arrival: Arrival) -> None:
        """One image from message to published result."""
        started = time.monotonic_ns()
        frame = self._frame(arrival)
        if frame is None:
            return
        decoded = time.monotonic_ns()
        answer = self._pipeline.process(frame, force_verification=self._relocalizations.waiting)
        outcome = outcome_of(
            answer, self._pipeline, frame.camera_frame, arrival.number,
            started - arrival.received_ns, time.monotonic_ns() - started,
            sum(self._context.health.dropped().values()),
        )  # fmt: skip
        self._inputs.odometry.observe_use(self._used(frame))
        self._navigation.on_outcome(outcome, frame.odom)
        outcome = stamped(outcome, arrival.stamp_ns)
        self._outputs.recognition(outcome, self._mounting.body(), self._context.config.hypotheses)
        total = {'decode': decoded - started, 'total': time.monotonic_ns() - arrival.received_ns}
        recognition = outcome.recognition
        stages = recognition.timings_ns | total
        self._context.health.done(recognition.state, recognition.reason, stages)
        self._relocalizations.on_outcome(outcome)
        self._draw(frame, recognition)
        self._draw_growth(answer, frame.stamp_ns)

    def failed(self, error: Exception) -> None:
        """An image raised what nobody expected."""
        context = self._context
        if not context.can_publish:
            return  # Ctrl-C during inference: there is nowhere left to publish to
        context.health.failed(error)
        context.health.drop('error', str(error))
        context.log.exception('a frame could not be processed', error)

    def _frame(self, arrival: Arrival) -> Frame | None:
        """The decoded image; None, with the drop counted, when it is not to be processed."""
        context, config = self._context, self._context.config
        if not self._pipeline.ready:
            problem = self._pipeline.problem(Asset.MODEL)
            context.health.drop('no_model' if problem else 'no_map', problem or '')
            return None
        now, limit = context.now_ns(), config.max_frame_age_s
        if self.stamps.too_old(arrival.time_ns, now, _ns(limit)):
            age = (now - arrival.time_ns) / SECOND
            context.health.drop('too_old', TOO_OLD.format(age=age, limit=limit))
            return None
        try:
            return self._decoded(arrival)
        except InputError as error:
            context.health.drop('undecodable', str(error))
            context.log.warn(str(error))
            return None

    def _decoded(self, arrival: Arrival) -> Frame:
        context, inputs = self._context, self._inputs
        image = from_ros.rgb_image(arrival.message, context.config.max_image_px)
        log = context.log
        frame = from_ros.frame_id(arrival.message)
        if not frame:
            log.once('images have no frame_id; it is taken to be "camera"')
        if self._mounting.look(frame or 'camera', arrival.time_ns):
            self.reset()  # motion between two mountings would be none of the robot
        if trouble := self._mounting.trouble():
            log.once(trouble)
        T_base_camera = self._mounting.body().T_base_camera
        inputs.odometry.camera_frame = frame or 'camera'
        T_odom_base, segment = inputs.odometry.at(arrival.time_ns)
        odom = None if T_odom_base is None else T_odom_base @ T_base_camera
        return Frame(
            arrival.time_ns, image, frame or 'camera', odom=odom, odom_segment=segment,
            camera=inputs.camera.of(image, frame),
        )  # fmt: skip

    def _used(self, frame: Frame) -> bool:
        """Whether the frame had odometry that was believed."""
        return frame.odom is not None and not odometry_is_frozen(self._pipeline.state)

    def _draw(self, frame: Frame, recognition: Recognition) -> None:
        place_map = self._pipeline.place_map
        if place_map is None or not self._outputs.has_listener('debug_image'):
            return
        best = recognition.candidates[:1]
        match = place_map.thumbnail(best[0].row) if best else None
        overlay = self._pipeline.overlay(recognition)
        drawn = debug_image.draw(frame.image, match, recognition, overlay)
        message = to_ros.image(drawn, recognition.stamp_ns, frame.camera_frame)
        self._outputs.send('debug_image', message)

    def _draw_growth(self, answer: Answer, stamp_ns: int) -> None:
        """The places of a growing map, at most once a second."""
        now, place_map = time.monotonic_ns(), self._pipeline.place_map
        if answer.keyframe is None or answer.keyframe.pose is None or place_map is None:
            return
        if now - self._drawn_ns >= SECOND:
            self._drawn_ns = now
            frame = self._context.config.map_frame
            self._outputs.keyframes(place_map.positions, stamp_ns, frame)


def outcome_of(
    answer: Answer, pipeline: Pipeline, camera_frame: str, number: int = 0, queue_ns: int = 0,
    compute_ns: int = 0, dropped: int = 0,
) -> to_ros.Outcome:  # fmt: skip
    """On the worker: a recognition with what the messages need besides."""
    place_map = pipeline.place_map
    assert place_map is not None  # it gave the answer
    return to_ros.Outcome(
        answer.recognition, number, camera_frame, place_map.map_id, place_map.revision,
        pipeline.keyframe_covariance(), queue_ns, compute_ns, dropped, answer.closures,
        answer.keyframe,
    )  # fmt: skip


def stamped(outcome: to_ros.Outcome, stamp_ns: int) -> to_ros.Outcome:
    """With the stamp that the image has, be it 0, so that results can be told to images."""
    return replace(outcome, recognition=replace(outcome.recognition, stamp_ns=stamp_ns))


def _ns(seconds: float) -> int:
    return round(seconds * SECOND)
