# SPDX-License-Identifier: MIT
"""What is the case, why, and the cure: for /diagnostics, ~/status and the log."""

from __future__ import annotations

from collections.abc import Iterator

from selavpr_model.records import SECOND, State
from selavpr_ros.node import qos
from selavpr_ros.node.context import Context
from selavpr_ros.node.health.camera import CameraLine
from selavpr_ros.node.health.clocks import NO_CLOCK
from selavpr_ros.node.health.health import AND, ERROR, OK, Part, WARN
from selavpr_ros.node.health.odometry import OdometryLine
from selavpr_ros.node.health.stamps import StampLine
from selavpr_ros.node.inputs import Inputs
from selavpr_ros.node.mounting import Mounting
from selavpr_ros.node.pipeline.pipeline import Pipeline
from selavpr_ros.node.pipeline.states import Asset, problem_with
from selavpr_ros.node.stream import Stream
from selavpr_ros.node.tf.broadcaster import Broadcaster


class Diagnostics:
    """Reads the other parts and changes nothing."""

    def __init__(
        self,
        context: Context,
        inputs: Inputs,
        stream: Stream,
        pipeline: Pipeline,
        mounting: Mounting,
        broadcaster: Broadcaster,
    ) -> None:
        self._context, self._inputs, self._pipeline = context, inputs, pipeline
        self._worker, self._mounting, self._broadcaster = stream.worker, mounting, broadcaster
        self._stamps = StampLine(context, inputs, stream.stamps, stream.images)
        self._odometry = OdometryLine(context, inputs, pipeline)
        self._camera = CameraLine(context, inputs)

    def parts(self) -> list[Part]:
        """All lines, in a fixed order."""
        return [
            self._input(),
            self._camera.part(),
            self._odometry.part(),
            self._inference(),
            self._map(),
            self._localization(),
            self._watchdog(),
            *filter(None, (self._broadcaster.part(),)),
            *self.parameters(),
            *self._names(),
        ]

    def _input(self) -> Part:
        health, inputs = self._context.health, self._inputs
        values: dict[str, object] = {
            'topic': inputs.image_topic,
            'image': health.image,
            'rate Hz': f'{health.rate_hz():.1f}',
            'received': health.received,
            'processed': health.processed,
            **{f'dropped {reason}': n for reason, n in sorted(health.dropped().items())},
            'last drop': health.last_drop,
            'camera_info': inputs.camera.about(),
        }
        if not self._context.processing:
            return Part('Input', OK, 'not processing images', values)
        if trouble := (
            self._silence()
            or self._waste()
            or inputs.qos_problem
            or AND.join(self._stamps.troubles())
        ):
            return Part('Input', WARN, trouble, values)
        return Part('Input', OK, health.image or 'waiting for the first image', values)

    def _silence(self) -> str | None:
        """Why no image may be arriving, once it has lasted; None while images come."""
        context, inputs = self._context, self._inputs
        seconds = context.health.silent_s(context.active_since_ns)
        if seconds < context.config.no_image_after_s:
            return None
        ends, drop = inputs.publishers(), context.health.last_drop or 'none'
        return (
            f'no image for {seconds:.0f} s on {inputs.image_topic}; we request '
            f'{qos.describe(inputs.image_qos)}; {len(ends)} publishers: '
            f'{qos.describe_ends(ends)}; last drop: {drop}; {self._silence_cure(len(ends))}'
        )

    def _silence_cure(self, publishers: int) -> str:
        if self._context.uses_sim_time and self._context.now_ns() == 0:
            return NO_CLOCK
        if transport := self._inputs.other_transport():
            return f'there are images of the other kind: set image_transport to {transport}'
        if not publishers and (others := self._inputs.foreign_transports()):
            return (
                f'there is {", ".join(others)}: let the driver send raw or compressed images, or '
                "decode them to raw ones with image_transport's republish"
            )
        if publishers:
            return 'check that the camera runs and that the QoS fit (parameter qos_image)'
        remap = '--ros-args -r image:=/your/topic'
        return f'start the camera or remap: {remap} (see `ros2 topic list -t`)'

    def _waste(self) -> str | None:
        """Why images arrive and none gives a result, once it has lasted."""
        context = self._context
        seconds = context.health.fruitless_s(context.active_since_ns)
        if seconds < context.config.no_image_after_s or self._worker.busy_ns():
            return None
        return (
            f'no result for {seconds:.0f} s although images arrive; last drop: '
            f'{context.health.last_drop}'
        )

    def _inference(self) -> Part:
        health, state = self._context.health, self._pipeline.state
        values: dict[str, object] = {'errors': health.errors, 'last error': health.last_error}
        for stage, (p50, p95) in health.percentiles_ms().items():
            values[f'{stage} p50 / p95 ms'] = f'{p50:.1f} / {p95:.1f}'
        extractor = state.extractor
        if extractor is not None:
            values |= {'device': extractor.device, 'engine': extractor.engine}
            values |= {'precision': extractor.precision}
            values |= {'weights': extractor.identity.weights, 'note': extractor.identity.note}
        if self._context.loading:
            return Part('Inference', OK, 'loading', values)
        if (problem := problem_with(state, Asset.MODEL)) is not None:
            return Part('Inference', self._fault, problem, values)
        if health.failing:
            text = f'the last frame failed: {health.last_error}'
            return Part('Inference', ERROR, text, values)
        note = '' if extractor is None else f'model loaded; {extractor.identity.note}'
        return Part('Inference', OK, note.rstrip('; '), values)

    def _map(self) -> Part:
        state = self._pipeline.state
        place_map, problem = state.place_map, problem_with(state, Asset.MAP)
        values: dict[str, object] = {'requested': self._context.config.map}
        if place_map is not None:
            values |= {'path': place_map.path, 'map_id': place_map.map_id}
            values |= {'revision': place_map.revision, 'places': len(place_map)}
        if self._context.loading:
            return Part('Map', OK, 'loading', values)
        if problem is not None:
            kept = '' if place_map is None else '; the map in use stays'
            return Part('Map', self._fault, problem + kept, values)
        if place_map is None:
            return Part('Map', self._fault, 'waits for the model', values)
        return Part('Map', OK, f'{values["places"]} places', values)

    @property
    def _fault(self) -> int:
        """Before the node is configured nothing is expected to be loaded."""
        return ERROR if self._context.configured else OK

    def _localization(self) -> Part:
        context = self._context
        state, reason = context.health.state, context.health.reason
        if not context.processing or state is None:
            text = 'no result yet' if context.processing else 'not processing'
            return Part('Localization', OK, text)
        mounting = self._mounting.trouble()
        level = OK if state is State.LOCALIZED and not mounting else WARN
        text = '; '.join(filter(None, (f'{state.name}: {reason}', mounting)))
        return Part('Localization', level, text, {'state': state.name})

    def _watchdog(self) -> Part:
        busy_s = self._worker.busy_ns() / SECOND
        values: dict[str, object] = {'busy s': f'{busy_s:.1f}'}
        if not self._worker.alive:
            text = 'the worker thread has ended; restart the node'
            return Part('Watchdog', ERROR, text, values)
        if busy_s > self._context.config.stuck_after_s:
            what = 'loading takes' if self._context.loading else 'one frame or job has taken'
            return Part('Watchdog', WARN, f'{what} {busy_s:.0f} s', values)
        return Part('Watchdog', OK, 'working' if busy_s else 'waiting', values)

    def parameters(self) -> Iterator[Part]:
        """One line for each value that was given at the start and cannot be used."""
        for name, reason in self._context.parameters.problems.items():
            cure = f'correct it with `ros2 param set {self._context.name} {name} VALUE`'
            yield Part('Parameters', ERROR, f'{reason}; {cure}', {'parameter': name})

    def _names(self) -> Iterator[Part]:
        """Two nodes of one name hear each other's calls."""
        count, name = self._inputs.namesakes(), self._context.name
        if count > 1:
            text = (
                f'{count} nodes are called {name}, so services and parameters reach either; end '
                'one, or start it with -r __node:=OTHER_NAME or in another namespace (-r __ns:=)'
            )
            yield Part('Node', WARN, text, {'name': name, 'nodes': count})
