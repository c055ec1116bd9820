# SPDX-License-Identifier: MIT
"""LocalizerNode: a lifecycle node around PlaceRecognizer.

The callbacks store, count and return; one worker thread decodes, recognises and publishes.
Nothing that can go wrong ends the node: it says what is wrong and what cures it, and waits.
"""

from __future__ import annotations

from concurrent.futures import CancelledError, Future
import time
from typing import Any

from lifecycle_msgs.msg import State as LifecycleState
import numpy as np
from rcl_interfaces.msg import SetParametersResult
from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleNode, TransitionCallbackReturn
from rclpy.parameter import Parameter

from selavpr_model.records import Recognition
from selavpr_ros.convert import from_ros, to_ros
from selavpr_ros.node.health import diagnostics, status
from selavpr_ros.node.health.health import Health, StampJudge
from selavpr_ros.node.inputs import Arrival, Inputs
from selavpr_ros.node.navigation import Navigation
from selavpr_ros.node.outputs import Outputs
from selavpr_ros.node.parameters import Parameters
from selavpr_ros.node.pipeline.pipeline import Pipeline
from selavpr_ros.node.pipeline.request import Wanted
from selavpr_ros.node.pipeline.worker import Worker
from selavpr_ros.node.services import Services
from selavpr_ros.node.stream import Stream

SUCCESS, FAILURE = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE
AUTOSTART_PERIOD_S = 0.05
STOP_TIMEOUT_S = 5.0
SAVE_TIMEOUT_S = 60.0
CAMERA_SETTINGS = frozenset({'image_transport', 'qos_image'})


class LocalizerNode(LifecycleNode):
    """Finds each camera image's place in a map."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__('localizer', **kwargs)
        self.state_id = LifecycleState.PRIMARY_STATE_UNCONFIGURED
        self.mode = 'LOCALIZE'
        self.active_since_ns = 0
        self._load_job: Future[None] | None = None
        self._refused = False
        self.parameters = Parameters(self)
        self.health, self.stamps, self.pipeline = Health(), StampJudge(), Pipeline()
        self.stream = Stream(self)
        self.worker: Worker[Arrival] = Worker(self.stream.process, self.stream.failed)
        self.voice = status.Voice(self.get_logger())
        self.inputs = Inputs(self, self.stream.on_image, self.voice.warn)
        self.outputs = Outputs(self, self.voice.warn)
        self.calls = Services(self)
        self.navigation = Navigation(self)
        self.parameters.on_change(self.on_parameters)
        for line in self.parameters.unknown(self._parameter_overrides):
            self.voice.warn(line)
        self.worker.start()
        # Steady clocks: with use_sim_time and no /clock the node must still say what is missing.
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(1.0, self.report, clock=steady)
        self._autostart = self.create_timer(AUTOSTART_PERIOD_S, self.autostart, clock=steady)

    # ---------------------------------------------------------------- lifecycle

    def autostart(self) -> None:
        """Configure, and activate when loading has ended: from then on images are used."""
        wanted = self.parameters.node.autostart
        if wanted and self.configured and self.loading:
            return  # the timer comes again
        if wanted and not self.configured and self.trigger_configure() == SUCCESS:
            return
        self._autostart.cancel()
        if self.configured and wanted and not self.active:
            self.trigger_activate()

    def on_configure(self, state: Any) -> TransitionCallbackReturn:
        """Subscribe and start loading; a bad parameter refuses, a bad map or model does not."""
        self._refused = bool(self.parameters.problems)
        if self._refused:
            for part in diagnostics.parameter_parts(self):
                self.voice.error(part.message)
            return FAILURE
        self.mode = self.parameters.node.mode.upper()
        self.outputs.open()
        self.inputs.open(self.parameters.node)
        self.state_id = LifecycleState.PRIMARY_STATE_INACTIVE
        self.load()
        return super().on_configure(state)

    def on_activate(self, state: Any) -> TransitionCallbackReturn:
        self.health.restart()
        self.stamps.restart()
        self.worker.post(self.reset)  # the robot may be elsewhere by now
        self.active_since_ns = time.monotonic_ns()
        result = super().on_activate(state)
        self.state_id = LifecycleState.PRIMARY_STATE_ACTIVE
        self.announce_map()
        return result

    def on_deactivate(self, state: Any) -> TransitionCallbackReturn:
        self.state_id = LifecycleState.PRIMARY_STATE_INACTIVE
        self.stream.discard('not_active')
        return super().on_deactivate(state)

    def on_cleanup(self, state: Any) -> TransitionCallbackReturn:
        self._close()
        self.state_id = LifecycleState.PRIMARY_STATE_UNCONFIGURED
        return super().on_cleanup(state)

    def on_shutdown(self, state: Any) -> TransitionCallbackReturn:
        self._close()
        self.state_id = LifecycleState.PRIMARY_STATE_FINALIZED
        return super().on_shutdown(state)

    def on_error(self, state: Any) -> TransitionCallbackReturn:
        """A transition raised: start over from unconfigured."""
        self._close()
        self.state_id = LifecycleState.PRIMARY_STATE_UNCONFIGURED
        self.voice.error(f'the transition from {state.label} failed; configure the node again')
        return super().on_error(state)

    def _close(self) -> None:
        self.stream.discard('not_active')
        self.inputs.close()
        self.outputs.close()
        self.worker.post(self.pipeline.release)

    def destroy_node(self) -> None:
        self._end_slam()
        if not self.worker.stop(STOP_TIMEOUT_S):
            self.voice.warn(f'the worker did not end within {STOP_TIMEOUT_S} s')
        super().destroy_node()

    def _end_slam(self) -> None:
        """Wait for the map to be saved: it is all that this run has seen."""
        job = self.worker.post(self.pipeline.end_slam)
        try:
            job.result(SAVE_TIMEOUT_S)
        except CancelledError:  # destroyed before
            return
        except Exception as error:  # no space, not allowed, took too long
            self.voice.error(f'the map was not saved: {str(error) or type(error).__name__}')

    @property
    def configured(self) -> bool:
        return self.state_id in (
            LifecycleState.PRIMARY_STATE_INACTIVE,
            LifecycleState.PRIMARY_STATE_ACTIVE,
        )

    @property
    def active(self) -> bool:
        return self.state_id == LifecycleState.PRIMARY_STATE_ACTIVE

    @property
    def processing(self) -> bool:
        """Whether images are wanted now."""
        return self.active and self.mode != 'PAUSE'

    @property
    def can_publish(self) -> bool:
        """Whether ROS is still up. The handle says so without the lock of its context, which a
        shutdown holds while it waits for the worker."""
        handle = self.context.handle
        return handle is not None and handle.ok()

    @property
    def loading(self) -> bool:
        return self._load_job is not None and not self._load_job.done()

    @property
    def uses_sim_time(self) -> bool:
        return bool(self.get_parameter('use_sim_time').value)

    # ---------------------------------------------------------------- parameters and loading

    def set_parameters_atomically(self, parameter_list: list[Parameter]) -> SetParametersResult:
        """Refuse in the config's words, which rclpy's own range check would come before."""
        refusal = self.parameters.refusal(parameter_list)
        if refusal:
            return SetParametersResult(successful=False, reason=refusal)
        return super().set_parameters_atomically(parameter_list)

    def on_parameters(self, names: frozenset[str]) -> None:
        """Make accepted values take effect at once."""
        if not self.configured:
            if self._refused and not self.parameters.problems:
                self._refused = False
                self._autostart.reset()  # cured: an autostarting node goes on
            return
        if names & CAMERA_SETTINGS:
            self.inputs.open(self.parameters.node)
        if 'map' in names or any(n.startswith('extractor.') for n in names):
            self.load()
        if any(n.startswith(('recognizer.', 'temporal.', 'geometry.')) for n in names):
            wanted = self.wanted()
            self.worker.post(lambda: self.pipeline.configure_recognizer(wanted))

    def wanted(self) -> Wanted:
        """What the parameters ask of the pipeline now."""
        given = self.parameters
        slam = given.slam if self.mode == 'SLAM' else None
        return Wanted(
            given.extractor, given.node.map, given.recognizer, given.temporal, slam,
            given.keyframes, given.geometry,
        )  # fmt: skip

    def load(self) -> None:
        """Have the worker load what the parameters ask for; services keep answering meanwhile."""
        wanted = self.wanted()
        self._load_job = self.worker.post(lambda: self.pipeline.load(wanted))
        self._load_job.add_done_callback(self._loaded)

    def _loaded(self, job: Future[None]) -> None:
        """On the worker, also when the job was cancelled by the end of the node."""
        if not job.cancelled() and self.can_publish:
            if error := job.exception():
                self.voice.exception('loading failed', error)
            self.announce_map()

    def set_mode(self, mode: str) -> None:
        if self.mode != mode:
            self.worker.post(self.reset)  # nobody saw where the robot went in PAUSE
        self.mode = mode
        if mode == 'SLAM':
            wanted = self.wanted()
            self.worker.post(lambda: self.pipeline.start_slam(wanted))
        elif mode == 'LOCALIZE':
            self.worker.post(self.pipeline.leave_slam).add_done_callback(self._loaded)
        self.active_since_ns = time.monotonic_ns()
        if mode == 'PAUSE':
            self.stream.discard('paused')
        self.report()

    # ---------------------------------------------------------------- what others ask for

    def now_ns(self) -> int:
        return int(self.get_clock().now().nanoseconds)

    def body(self) -> to_ros.Body:
        """A base_camera left at the identity is looked up in /tf_static."""
        config = self.parameters.node
        T_base_camera = from_ros.checked_pose(config.base_camera)
        if np.allclose(T_base_camera, np.eye(4)):
            found = self.inputs.transforms.find(config.base_frame, self.stream.camera_frame)
            T_base_camera = T_base_camera if found is None else found
        return to_ros.Body(config.map_frame, config.base_frame, T_base_camera)

    def outcome(
        self, recognition: Recognition, camera_frame: str, number: int = 0,
        queue_ns: int = 0, compute_ns: int = 0,
    ) -> to_ros.Outcome:  # fmt: skip
        """On the worker: a recognition with what the messages need besides."""
        place_map = self.pipeline.place_map
        assert place_map is not None
        return to_ros.Outcome(
            recognition, number, camera_frame, place_map.map_id, place_map.revision,
            self.pipeline.keyframe_covariance(), queue_ns, compute_ns,
            sum(self.health.dropped().values()), self.pipeline.closures,
            self.pipeline.keyframe,
        )  # fmt: skip

    def reset(self) -> None:
        """On the worker: what was known of where the robot is holds no more."""
        self.pipeline.reset()
        self.navigation.reset()

    def map_info(self) -> Any:
        return status.map_info(self)

    def adopt_map(self) -> None:
        """After a service changed the map: the parameter says which it is, and all are told."""
        place_map = self.pipeline.place_map
        if place_map is not None:
            self.set_parameters([Parameter('map', value=str(place_map.path))])
        self.announce_map()

    def announce_map(self) -> None:
        """Publish the map in use, or that there is none."""
        self.outputs.map_info.publish(self.map_info())
        place_map = self.pipeline.place_map
        if place_map is not None:
            frame = self.parameters.node.map_frame
            self.outputs.keyframes(place_map.positions, self.now_ns(), frame)
        self.report()

    def report(self) -> None:
        """Diagnostics, ~/status, and in the log what has changed; at 1 Hz and on changes."""
        lines = diagnostics.parts(self)
        self.voice.tell(lines)
        self.outputs.diagnostics.publish(status.diagnostic_array(self, lines))
        self.outputs.status.publish(status.localizer_status(self, diagnostics.worst(lines)))
