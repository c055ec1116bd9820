# SPDX-License-Identifier: MIT
"""The node's own services. Work goes to the worker and the answer follows when it is done."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import CancelledError
from typing import Any

from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.task import Future
from selavpr.srv import LoadMap, QueryImage, Relocalize, SaveMap, SetMode

from selavpr_model.errors import InputError
from selavpr_model.records import Frame
from selavpr_model.runtime.shown import one_line, shown
from selavpr_ros.config import Mode
from selavpr_ros.convert import from_ros, to_ros
from selavpr_ros.convert.node_messages import mode_of
from selavpr_ros.node.context import Context
from selavpr_ros.node.control import Control
from selavpr_ros.node.inputs import Inputs
from selavpr_ros.node.jobs import BusyError, Jobs
from selavpr_ros.node.mounting import Mounting
from selavpr_ros.node.pipeline.pipeline import Pipeline
from selavpr_ros.node.pipeline.relocalize import Ending, Prior, prior_of, Relocalization
from selavpr_ros.node.pipeline.states import Asset, Localizing, Mapping, Updating
from selavpr_ros.node.pipeline.worker import Worker
from selavpr_ros.node.relocalizations import Relocalizations
from selavpr_ros.node.stream import outcome_of

DRIVES = {Mode.SLAM: Mapping, Mode.UPDATE: Updating}
MOST_FRAMES = 1000  # of one ~/relocalize, as relocalize_frames
GROWING = 'a growing map has no frame to be found in; leave SLAM first'


class Services:
    """Always there, in every lifecycle state: what cannot be done is answered with the reason."""

    def __init__(
        self,
        node: Node,
        context: Context,
        control: Control,
        pipeline: Pipeline,
        worker: Worker[Any],
        inputs: Inputs,
        mounting: Mounting,
        relocalizations: Relocalizations,
    ) -> None:
        self._node, self._context, self._control = node, context, control
        self._pipeline = pipeline
        self._inputs, self._mounting = inputs, mounting
        self.relocalizations = relocalizations
        self._group = ReentrantCallbackGroup()  # a waiting answer must not hold up the next call
        self.busy: str | None = None  # name of the call that excludes others
        self._jobs = Jobs(node, context, worker, self._group)
        self._queries = 0  # that wait for the worker
        for kind, callback in (
            (LoadMap, self.load_map),
            (SaveMap, self.save_map),
            (Relocalize, self.relocalize),
            (SetMode, self.set_mode),
            (QueryImage, self.query_image),
        ):
            name = callback.__name__
            if name not in context.config.without:
                node.create_service(kind, f'~/{name}', callback, callback_group=self._group)

    async def load_map(self, request: Any, response: Any) -> Any:
        def load() -> None:
            path = self._context.parameters.roots.map_folder(request.path)
            self._pipeline.load_map(str(path), self._control.request())

        return await self._map_job('load_map', load, response)

    async def save_map(self, request: Any, response: Any) -> Any:
        def save() -> None:
            path = request.path and self._context.parameters.roots.map_folder(request.path)
            self._pipeline.save_map(str(path), request.overwrite)

        return await self._map_job('save_map', save, response)

    async def _map_job(self, name: str, job: Callable[[], None], response: Any) -> Any:
        """Run it on the worker and fill in the code of what it raised."""
        if self.busy:
            response.result, response.message = response.BUSY, f'~/{self.busy} is under way'
        else:
            self.busy = name
            try:
                await self._jobs.do(job)
                response.result, response.message = response.SUCCESS, 'done'
                self._control.adopt_map()
            except Exception as error:  # whatever it was, the caller gets an answer
                response.result = result_code(response, error)
                response.message = one_line(str(error) or type(error).__name__)
                self._context.log.error(f'~/{name}: {response.message}')
            finally:
                self.busy = None
        response.map = self._control.map_info()
        return response

    async def set_mode(self, request: Any, response: Any) -> Any:
        mode = mode_of(request.mode)
        if mode is None:
            response.message = (
                f'mode {request.mode} does not exist; 0 is LOCALIZE, 1 is PAUSE, 2 is SLAM, '
                '3 is UPDATE'
            )
            return response
        model_problem = self._pipeline.problem(Asset.MODEL)
        if mode in DRIVES and self._context.configured and model_problem is not None:
            response.message = model_problem
            return response
        if (busy := await self._busy_for(mode)) is not None:
            response.message = busy
            return response
        before = self._context.mode
        self._control.set_mode(mode)
        problem = await self._mode_problem(mode)
        response.accepted = problem is None
        response.message = f'in mode {mode.name}' if problem is None else problem
        if problem is not None and self._context.mode is mode:  # nobody chose another meanwhile
            self._control.set_mode(before)
        return response

    async def _busy_for(self, mode: Mode) -> str | None:
        """Why nothing can come of another mode now; PAUSE holds at once."""
        if mode is Mode.PAUSE or not self._context.configured:
            return None
        try:
            await self._jobs.do(lambda: None)
        except (BusyError, CancelledError) as error:
            return str(error)
        return None

    async def _mode_problem(self, mode: Mode) -> str | None:
        """Why the mode asked for is not the one it works in; None where it is."""
        if mode is Mode.PAUSE or not self._context.configured:
            return None
        try:
            await self._jobs.do(lambda: None, patient=True)  # behind what starts or ends a drive
        except CancelledError as error:
            return str(error)
        state = self._pipeline.state
        driving = next((m for m, kind in DRIVES.items() if isinstance(state, kind)), None)
        if driving is (mode if mode in DRIVES else None):
            return None
        return self._pipeline.problem(Asset.MAP)

    async def query_image(self, request: Any, response: Any) -> Any:
        config = self._context.config
        if self._queries >= config.queries_waiting:
            response.message = f'{self._queries} calls of ~/query_image wait already; ask again'
            return response
        image = request.compressed_image if from_ros.is_empty(request.image) else request.image

        def query() -> to_ros.Outcome:
            pixels = from_ros.rgb_image(image, config.max_image_px)
            frame = Frame(
                from_ros.stamp_ns(image),
                pixels,
                from_ros.frame_id(image) or 'camera',
                camera=self._inputs.camera.of(pixels, from_ros.frame_id(image)),
            )
            dropped = sum(self._context.health.dropped().values())
            answer = self._pipeline.query(frame)
            return outcome_of(answer, self._pipeline, frame.camera_frame, dropped=dropped)

        self._queries += 1
        try:
            outcome = await self._jobs.do(query)
        except Exception as error:  # whatever it was, the caller gets an answer
            response.message = one_line(str(error) or type(error).__name__)
            return response
        finally:
            self._queries -= 1
        limit = request.k or self._context.config.hypotheses
        response.hypotheses = to_ros.hypotheses(outcome, self._mounting.body(), limit)
        response.success, response.message = True, outcome.recognition.reason
        return response

    async def relocalize(self, request: Any, response: Any) -> Any:
        refusal = self._refusal()
        if refusal is not None:
            response.outcome, response.message = refusal
            return response
        try:
            prior, frames = self._prior(request), self._frames(request)
        except InputError as error:
            response.outcome, response.message = Ending.TF_ERROR, one_line(str(error))
            return response
        attempt = Relocalization(
            frames,
            self._context.parameters.recognizer.distinct_radius_m,
            self._mounting.body().T_base_camera,
            prior,
        )
        await self._attempt(attempt, self._timeout_s(request))
        self.relocalizations.describe(response, attempt, self._mounting.body())
        return response

    def _frames(self, request: Any) -> int:
        """Images in a row that must agree; InputError for more than can be waited for."""
        wanted = request.min_frames or self._context.config.relocalize_frames
        if wanted > MOST_FRAMES:
            raise InputError(f'min_frames: expected at most {MOST_FRAMES}, got {wanted}')
        return int(wanted)

    def _timeout_s(self, request: Any) -> float:
        """As asked for, within what others can wait; where the request says nothing, ours."""
        config, asked = self._context.config, from_ros.duration_s(request.timeout)
        if asked > config.relocalize_limit_s:
            self._context.log.warn(
                f'~/relocalize: a timeout of {asked:.0f} s was asked for, it is cut to '
                f'relocalize_limit_s: {config.relocalize_limit_s:g} s'
            )
        wanted = asked if asked > 0 else config.relocalize_timeout_s
        return float(min(wanted, config.relocalize_limit_s))

    async def _attempt(self, attempt: Relocalization, timeout_s: float) -> None:
        """Feed it the stream's recognitions until it has enough or time is up."""
        self.busy, done = 'relocalize', self._jobs.future()
        clock = Clock(clock_type=ClockType.STEADY_TIME)  # a paused bag must not stop the timeout
        timer = self._node.create_timer(timeout_s, lambda: _finish(done), self._group, clock=clock)
        try:
            seen = self._context.health.received
            self.relocalizations.begin(attempt, seen, lambda: _finish(done))
            await done
        finally:
            self.relocalizations.end()
            self.busy = None
            self._node.destroy_timer(timer)

    def _refusal(self) -> tuple[int, str] | None:
        state = self._pipeline.state
        if self.busy:
            return Ending.BUSY, f'~/{self.busy} is under way'
        if not self._context.processing:
            return Ending.NOT_ACTIVE, 'activate the node and leave PAUSE first'
        if self._context.mode is Mode.SLAM:
            return Ending.NOT_ACTIVE, GROWING
        if not isinstance(state, Localizing | Updating):
            return Ending.NO_MAP, GROWING if state.problem is None else state.problem.text
        return None

    def _prior(self, request: Any) -> Prior | None:
        if not request.use_prior:
            return None
        frame, map_frame = from_ros.frame_id(request.prior), self._context.config.map_frame
        if frame != map_frame:
            raise InputError(f'prior: expected a pose in frame {map_frame!r}, got {shown(frame)}')
        return prior_of(
            from_ros.pose_matrix(request.prior)[:3, 3],
            from_ros.pose_covariance(request.prior)[:3, :3],
        )


def result_code(response: Any, error: BaseException) -> int:
    """The LoadMap or SaveMap constant of an error."""
    if isinstance(error, MemoryError):
        return int(response.OUT_OF_MEMORY)
    return int(getattr(response, getattr(error, 'code', 'FAILURE'), response.FAILURE))


def _finish(future: Future) -> None:
    if not future.done():
        future.set_result(None)
