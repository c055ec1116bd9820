# SPDX-License-Identifier: MIT
"""LocalizerNode: a lifecycle node around PlaceRecognizer.

The callbacks store, count and return; one worker thread decodes, recognises and publishes.
Nothing that can go wrong ends the node: it says what is wrong and what cures it, and waits.
"""

from __future__ import annotations

from concurrent.futures import CancelledError
import time
from typing import Any

from lifecycle_msgs.msg import State as LifecycleState
from rcl_interfaces.msg import SetParametersResult
from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleNode, TransitionCallbackReturn
from rclpy.parameter import Parameter

from selavpr_model.config import ExtractorConfig
from selavpr_ros.config import Mode
from selavpr_ros.node.context import Context
from selavpr_ros.node.control import Control
from selavpr_ros.node.health.diagnostics import Diagnostics
from selavpr_ros.node.health.reporter import PERIOD_S, Reporter
from selavpr_ros.node.inputs import Inputs
from selavpr_ros.node.mounting import Mounting
from selavpr_ros.node.nav2.hint import Hint
from selavpr_ros.node.nav2.initial_pose import InitialPose
from selavpr_ros.node.nav2.manager import Manager
from selavpr_ros.node.navigation import Navigation
from selavpr_ros.node.outputs import Outputs
from selavpr_ros.node.parameters import Parameters
from selavpr_ros.node.pipeline import frame_cost
from selavpr_ros.node.pipeline.pipeline import Pipeline
from selavpr_ros.node.relocalizations import Relocalizations
from selavpr_ros.node.services import Services
from selavpr_ros.node.stream import Stream
from selavpr_ros.node.tf.broadcaster import Broadcaster

SUCCESS, FAILURE = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE
AUTOSTART_PERIOD_S = 0.05
STOP_TIMEOUT_S = 5.0
TYPICAL_FRAME_MS = 100.0  # where none was seen yet
SAVE_TIMEOUT_S = 60.0
INPUT_SETTINGS = frozenset({'image_transport', 'qos_image', 'rectified'})


class LocalizerNode(LifecycleNode):
    """Finds each camera image's place in a map: makes the parts and leads them through the
    lifecycle.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__('localizer', **kwargs)
        self.parameters = Parameters(self)
        self.shared = Context(self, self.parameters)
        self.log, self.health = self.shared.log, self.shared.health
        self._refused = False
        self.manager = Manager(self, self.shared)
        self._make_parts()
        self.parameters.cost_refusal = self._cost_refusal
        self.parameters.on_change(self._on_parameters)
        for line in self.parameters.unknown(self._parameter_overrides):
            self.log.warn(line)
        self.worker.start()
        # Steady clocks: with use_sim_time and no /clock the node must still say what is missing.
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(PERIOD_S, self.reporter.report, clock=steady)
        self._autostart = self.create_timer(AUTOSTART_PERIOD_S, self._start, clock=steady)

    def _make_parts(self) -> None:
        shared, pipeline = self.shared, Pipeline()
        inputs, outputs = Inputs(self, self.log), Outputs(self, self.log.warn)
        mounting, relocalizations = Mounting(shared, inputs.tf), Relocalizations()
        broadcaster = Broadcaster(self, shared, outputs, mounting)
        inputs.odometry.on_sample = broadcaster.on_odometry
        self.hint = Hint(self, shared, mounting)
        navigation = Navigation(shared, outputs, mounting, broadcaster, self.hint)
        stream = Stream(shared, pipeline, inputs, outputs, mounting, navigation, relocalizations)
        diagnostics = Diagnostics(shared, inputs, stream, pipeline, mounting, broadcaster)
        self.reporter = Reporter(shared, diagnostics, pipeline, outputs)
        self.control = Control(
            shared, pipeline, stream, outputs, self.reporter, self._set_map_parameter
        )
        self.calls = Services(
            self, shared, self.control, pipeline, stream.worker, inputs, mounting, relocalizations
        )
        InitialPose(self, shared, stream.worker, pipeline, navigation, mounting)
        self.pipeline, self.inputs, self.outputs = pipeline, inputs, outputs
        self.mounting, self.stream, self.worker = mounting, stream, stream.worker
        self.diagnostics = diagnostics

    def _start(self) -> None:
        """Configure, and activate when loading has ended: from then on images are used."""
        shared = self.shared
        autostart = self.parameters.node.autostart and not self.manager.leads
        if autostart and shared.configured and shared.loading:
            return  # the timer comes again
        if autostart and not shared.configured and self.trigger_configure() == SUCCESS:
            return
        self._autostart.cancel()
        if shared.configured and autostart and not shared.active:
            self.trigger_activate()

    def on_configure(self, state: Any) -> TransitionCallbackReturn:
        """Subscribe and start loading; a bad parameter refuses, a bad map or model does not."""
        self._refused = bool(self.parameters.problems)
        if self._refused:
            for part in self.diagnostics.parameters():
                self.log.error(part.message)
            return FAILURE
        self.shared.mode = Mode(self.parameters.node.mode)
        self.outputs.open()
        self.inputs.open(self.parameters.node, self.stream.on_image)
        self.hint.open(self.parameters.node)
        self.shared.lifecycle = LifecycleState.PRIMARY_STATE_INACTIVE
        self.control.load()
        return super().on_configure(state)

    def on_activate(self, state: Any) -> TransitionCallbackReturn:
        self.health.restart()
        self.stream.restart()
        self.shared.active_since_ns = time.monotonic_ns()
        result = super().on_activate(state)
        self.shared.lifecycle = LifecycleState.PRIMARY_STATE_ACTIVE
        self.control.announce_map()
        self.manager.on_activate()
        return result

    def on_deactivate(self, state: Any) -> TransitionCallbackReturn:
        self.shared.lifecycle = LifecycleState.PRIMARY_STATE_INACTIVE
        self.manager.on_deactivate()
        self.stream.stop('not_active', 'the node was deactivated')
        return super().on_deactivate(state)

    def on_cleanup(self, state: Any) -> TransitionCallbackReturn:
        self._close(LifecycleState.PRIMARY_STATE_UNCONFIGURED)
        return super().on_cleanup(state)

    def on_shutdown(self, state: Any) -> TransitionCallbackReturn:
        self._close(LifecycleState.PRIMARY_STATE_FINALIZED)
        return super().on_shutdown(state)

    def on_error(self, state: Any) -> TransitionCallbackReturn:
        """A transition raised: start over from unconfigured."""
        self._close(LifecycleState.PRIMARY_STATE_UNCONFIGURED)
        self.log.error(f'the transition from {state.label} failed; configure the node again')
        return super().on_error(state)

    def _close(self, lifecycle: int) -> None:
        self.manager.on_deactivate()
        self.stream.stop('not_active', 'the node was shut down')
        self.inputs.close()
        self.hint.close()
        self.outputs.close()
        self.worker.post(self.pipeline.release)
        self.shared.lifecycle = lifecycle

    def destroy_node(self) -> None:
        self._end_drive()
        if not self.worker.stop(STOP_TIMEOUT_S):
            self.log.warn(f'the worker did not end within {STOP_TIMEOUT_S} s')
        super().destroy_node()

    def _end_drive(self) -> None:
        """Wait for the map to be saved: it is all that this run has seen."""
        job = self.worker.post(self.pipeline.end_drive)
        try:
            job.result(SAVE_TIMEOUT_S)
        except CancelledError:  # destroyed before
            return
        except Exception as error:  # no space, not allowed, took too long
            self.log.error(f'the map was not saved: {str(error) or type(error).__name__}')

    def set_parameters_atomically(self, parameter_list: list[Parameter]) -> SetParametersResult:
        """Refuse in the config's words, which rclpy's own range check would come before."""
        refusal = self.parameters.refusal(parameter_list)
        if refusal is not None:
            return SetParametersResult(successful=False, reason=refusal)
        return super().set_parameters_atomically(parameter_list)

    def _cost_refusal(self, before: ExtractorConfig, after: ExtractorConfig) -> str | None:
        """Why a running node may not change to this input size; None before it runs."""
        if not self.shared.configured:
            return None
        _, slowest = self.health.percentiles_ms().get('total', (0.0, TYPICAL_FRAME_MS))
        return frame_cost.refusal(before, after, slowest / 1e3, self.parameters.node.frame_limit_s)

    def _set_map_parameter(self, path: str) -> None:
        self.set_parameters([Parameter('map', value=path)])

    def _on_parameters(self, names: frozenset[str]) -> None:
        """Make accepted values take effect at once."""
        if not self.shared.configured:
            if self._refused and not self.parameters.problems:
                self._refused = False
                self._autostart.reset()  # cured: an autostarting node goes on
            return
        self.inputs.odometry.configure(self.parameters.node)
        if names & INPUT_SETTINGS:
            self.inputs.open(self.parameters.node, self.stream.on_image)
        if any(n.startswith('extractor.') for n in names):
            self.log.warn('the model is loaded anew, as asked for: no answers until it is there')
        if 'map' in names or any(n.startswith('extractor.') for n in names):
            self.control.load()
        if any(n.startswith(('recognizer.', 'temporal.', 'geometry.')) for n in names):
            self.control.configure_recognizer()
