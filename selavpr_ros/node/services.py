# SPDX-License-Identifier: MIT
"""The node's own services. Work goes to the worker and the answer follows when it is done."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import CancelledError
from concurrent.futures import Future as WorkerFuture
from typing import Any, TYPE_CHECKING

from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.clock import Clock, ClockType
from rclpy.task import Future
from selavpr.srv import LoadMap, QueryImage, Relocalize, SaveMap, SetMode

from selavpr_model.errors import InputError
from selavpr_model.records import Frame
from selavpr_ros.convert import from_ros, to_ros
from selavpr_ros.node.health.status import MODES
from selavpr_ros.node.pipeline.relocalize import Ending, Prior, Relocalization

if TYPE_CHECKING:
    from selavpr_ros.node.localizer import LocalizerNode

MODE_NAMES = {number: name for name, number in MODES.items()}


class Services:
    """Always there, in every lifecycle state: what cannot be done is answered with the reason."""

    def __init__(self, node: LocalizerNode) -> None:
        self._node = node
        self._group = ReentrantCallbackGroup()  # a waiting answer must not hold up the next call
        self._busy = ''
        self._relocalization: tuple[Relocalization, Future] | None = None
        self._outcome: to_ros.Outcome | None = None
        self._seen_before = 0
        for kind, callback in (
            (LoadMap, self.load_map),
            (SaveMap, self.save_map),
            (Relocalize, self.relocalize),
            (SetMode, self.set_mode),
            (QueryImage, self.query_image),
        ):
            name = f'~/{callback.__name__}'
            node.create_service(kind, name, callback, callback_group=self._group)

    async def load_map(self, request: Any, response: Any) -> Any:
        def load() -> None:
            self._node.pipeline.load_map(request.path, self._node.wanted())

        return await self._map_job('load_map', load, response)

    async def save_map(self, request: Any, response: Any) -> Any:
        def save() -> None:
            self._node.pipeline.save_map(request.path, request.overwrite)

        return await self._map_job('save_map', save, response)

    async def _map_job(self, name: str, job: Callable[[], None], response: Any) -> Any:
        """Run it on the worker and fill in the code of what it raised."""
        if self._busy:
            response.result, response.message = response.BUSY, f'~/{self._busy} is under way'
        else:
            self._busy = name
            try:
                await self._on_worker(job)
                response.result, response.message = response.SUCCESS, 'done'
                self._node.adopt_map()
            except Exception as error:  # whatever it was, the caller gets an answer
                response.result = result_code(response, error)
                response.message = str(error) or type(error).__name__
                self._node.get_logger().error(f'~/{name}: {response.message}')
            finally:
                self._busy = ''
        response.map = self._node.map_info()
        return response

    async def set_mode(self, request: Any, response: Any) -> Any:
        name, before = MODE_NAMES.get(request.mode), self._node.mode
        pipeline = self._node.pipeline
        if name == 'SLAM' and self._node.configured and pipeline.model_problem:
            response.message = pipeline.model_problem
        elif name:
            self._node.set_mode(name)
            response.message = await self._mode_problem(name)
            response.accepted = not response.message
            if response.accepted:
                response.message = f'in mode {name}'
            elif self._node.mode == name:  # nobody asked for another one meanwhile
                self._node.set_mode(before)
        else:
            response.message = (
                f'mode {request.mode} does not exist; 0 is LOCALIZE, 1 is PAUSE, 2 is SLAM'
            )
        return response

    async def _mode_problem(self, name: str) -> str:
        """Why the mode asked for is not the one it works in; '' where it is."""
        if name == 'PAUSE' or not self._node.configured:
            return ''
        try:
            await self._on_worker(lambda: None)  # behind what starts or ends SLAM
        except CancelledError as error:
            return str(error)
        pipeline = self._node.pipeline
        return '' if (pipeline.slam is not None) == (name == 'SLAM') else pipeline.map_problem

    async def query_image(self, request: Any, response: Any) -> Any:
        image = request.compressed_image if from_ros.is_empty(request.image) else request.image

        def query() -> to_ros.Outcome:
            pixels = from_ros.rgb_image(image)
            frame = Frame(
                from_ros.stamp_ns(image),
                pixels,
                from_ros.frame_id(image) or 'camera',
                camera=self._node.stream.camera_of(pixels),
            )
            return self._node.outcome(self._node.pipeline.query(frame), frame.camera_frame)

        try:
            outcome = await self._on_worker(query)
        except Exception as error:  # whatever it was, the caller gets an answer
            response.message = str(error) or type(error).__name__
            return response
        limit = request.k or self._node.parameters.node.hypotheses
        response.hypotheses = to_ros.hypotheses(outcome, self._node.body(), limit)
        response.success, response.message = True, outcome.recognition.reason
        return response

    async def relocalize(self, request: Any, response: Any) -> Any:
        refused = self._refusal()
        if refused:
            response.outcome, response.message = refused
            return response
        try:
            prior = self._prior(request)
        except InputError as error:
            response.outcome, response.message = Ending.TF_ERROR, str(error)
            return response
        config = self._node.parameters.node
        asked_s = from_ros.duration_s(request.timeout)
        timeout_s = asked_s if asked_s > 0 else config.relocalize_timeout_s
        attempt = Relocalization(
            request.min_frames or config.relocalize_frames,
            self._node.parameters.recognizer.distinct_radius_m,
            self._node.body().T_base_camera,
            prior,
        )
        await self._attempt(attempt, timeout_s)
        response.outcome, response.message = int(attempt.ending()), attempt.text()
        self._describe(response, attempt)
        return response

    async def _attempt(self, attempt: Relocalization, timeout_s: float) -> None:
        """Feed it the stream's recognitions until it has enough or time is up."""
        self._busy, self._outcome = 'relocalize', None
        self._seen_before = self._node.health.received
        done = self._future()
        clock = Clock(clock_type=ClockType.STEADY_TIME)  # a paused bag must not stop the timeout
        timer = self._node.create_timer(
            timeout_s, lambda: _finish(done, None), self._group, clock=clock
        )
        try:
            self._relocalization = (attempt, done)
            await done
        finally:
            self._relocalization, self._busy = None, ''
            self._node.destroy_timer(timer)

    def _refusal(self) -> tuple[int, str] | None:
        node = self._node
        if self._busy:
            return Ending.BUSY, f'~/{self._busy} is under way'
        if not node.processing:
            return Ending.NOT_ACTIVE, 'activate the node and leave PAUSE first'
        if node.mode == 'SLAM':
            return Ending.NOT_ACTIVE, 'a growing map has no frame to be found in; leave SLAM first'
        if node.pipeline.recognizer is None:
            return Ending.NO_MAP, node.pipeline.model_problem or node.pipeline.map_problem
        return None

    def _prior(self, request: Any) -> Prior | None:
        if not request.use_prior:
            return None
        frame, wanted = from_ros.frame_id(request.prior), self._node.parameters.node.map_frame
        if frame != wanted:
            raise InputError(f'prior: expected a pose in frame {wanted!r}, got {frame!r}')
        covariance = from_ros.pose_covariance(request.prior)
        return Prior(from_ros.pose_matrix(request.prior)[:3, 3], covariance[:3, :3])

    @property
    def waiting(self) -> bool:
        """Whether ~/relocalize waits for the next images."""
        return self._relocalization is not None

    def on_outcome(self, outcome: to_ros.Outcome) -> None:
        """Called by the worker after each frame."""
        current = self._relocalization
        if current is None or outcome.frame_number <= self._seen_before:
            return
        self._outcome = outcome
        if current[0].add(outcome.recognition):
            _finish(current[1], None)

    def _describe(self, response: Any, attempt: Relocalization) -> None:
        """Add the last image's best place and, where it is the answer, its pose."""
        outcome, best = self._outcome, attempt.best
        if outcome is None or best is None:
            return
        body = self._node.body()
        response.best = to_ros.hypothesis(0, best, body, outcome.keyframe_covariance)
        if response.outcome == Ending.SUCCESS and best.place.pose is not None:
            stamp = to_ros.header(outcome.recognition.stamp_ns, body.map_frame)
            response.pose = to_ros.stamped(stamp, response.best.pose)

    def _on_worker(self, job: Callable[[], Any]) -> Future:
        """An awaitable of the worker's result."""
        result = self._future()

        def copy(finished: WorkerFuture[Any]) -> None:
            if finished.cancelled():
                result.set_exception(CancelledError('the node is shutting down'))
            elif (error := finished.exception()) is not None:
                result.set_exception(error)
            else:
                result.set_result(finished.result())

        self._node.worker.post(job).add_done_callback(copy)
        return result

    def _future(self) -> Future:
        future: Future = Future(executor=self._node.executor)
        # Having a callback is what makes the executor wake up when another thread sets the result.
        future.add_done_callback(lambda _: None)
        return future


def result_code(response: Any, error: BaseException) -> int:
    """The LoadMap or SaveMap constant of an error."""
    if isinstance(error, MemoryError):
        return int(response.OUT_OF_MEMORY)
    return int(getattr(response, getattr(error, 'code', 'FAILURE'), response.FAILURE))


def _finish(future: Future, result: Any) -> None:
    if not future.done():
        future.set_result(result)
