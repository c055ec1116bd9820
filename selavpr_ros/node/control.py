# SPDX-License-Identifier: MIT
"""What the worker is told to load, to begin and to end, and the map that is announced then."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
import time
from typing import Any

from selavpr_ros.config import Mode
from selavpr_ros.node.context import Context
from selavpr_ros.node.health import status
from selavpr_ros.node.health.reporter import Reporter
from selavpr_ros.node.outputs import Outputs
from selavpr_ros.node.pipeline.pipeline import Pipeline
from selavpr_ros.node.pipeline.request import Request
from selavpr_ros.node.stream import Stream


class Control:
    """Belongs to the ROS thread, but for the end of a job. set_map: sets the parameter `map`."""

    def __init__(
        self,
        context: Context,
        pipeline: Pipeline,
        stream: Stream,
        outputs: Outputs,
        reporter: Reporter,
        set_map: Callable[[str], None],
    ) -> None:
        self._context, self._pipeline, self._stream = context, pipeline, stream
        self._outputs, self._reporter, self._set_map = outputs, reporter, set_map

    def request(self) -> Request:
        """What the parameters ask of the pipeline now."""
        given = self._context.parameters
        mode = self._context.mode
        slam = given.slam if mode is Mode.SLAM else None
        update = given.update if mode is Mode.UPDATE else None
        return Request(
            given.extractor, given.node.map, given.recognizer, given.temporal, slam,
            given.keyframes, given.geometry, given.storage, given.graph, update,
        )  # fmt: skip

    def load(self) -> None:
        """Have the worker load what the parameters ask for; services keep answering meanwhile."""
        request = self.request()
        job = self._stream.worker.post(lambda: self._pipeline.load(request))
        self._context.load_job = job
        job.add_done_callback(self.on_loaded)

    def configure_recognizer(self) -> None:
        request = self.request()
        self._stream.worker.post(lambda: self._pipeline.configure_recognizer(request))

    def on_loaded(self, job: Future[None]) -> None:
        """On the worker, also when the job was cancelled by the end of the node."""
        if not job.cancelled() and self._context.can_publish:
            if error := job.exception():
                self._context.log.exception('loading failed', error)
            self.announce_map()

    def set_mode(self, mode: Mode) -> None:
        """Whether the pipeline can work in it is known when the worker has come to it."""
        context, worker = self._context, self._stream.worker
        if context.mode is not mode:
            worker.post(self._stream.reset)  # nobody saw where the robot went in PAUSE
        context.mode = mode
        if mode in (Mode.SLAM, Mode.UPDATE):
            if mode is Mode.SLAM:
                self._stream.interrupt('SLAM was begun')
            request = self.request()
            worker.post(lambda: self._pipeline.start_drive(request))
        elif mode is Mode.LOCALIZE:
            worker.post(self._pipeline.leave_drive).add_done_callback(self.on_loaded)
        else:
            self._stream.stop('paused', 'the node was paused')
        context.active_since_ns = time.monotonic_ns()
        self._reporter.report()

    def map_info(self) -> Any:
        stamp_ns, frame = self._context.now_ns(), self._context.config.map_frame
        return status.map_info(self._pipeline.place_map, stamp_ns, frame)

    def adopt_map(self) -> None:
        """After a service changed the map: the parameter says which it is, and all are told."""
        place_map = self._pipeline.place_map
        if place_map is not None:
            self._set_map(str(place_map.path))
        self.announce_map()

    def announce_map(self) -> None:
        """Publish the map in use, or that there is none."""
        self._outputs.map_info.publish(self.map_info())
        place_map = self._pipeline.place_map
        if place_map is not None:
            frame = self._context.config.map_frame
            self._outputs.keyframes(place_map.positions, self._context.now_ns(), frame)
        self._reporter.report()
