# SPDX-License-Identifier: MIT
"""What a service has the worker do, awaited on the ROS thread; no call waits long to begin."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import CancelledError
from concurrent.futures import Future as WorkerFuture
import time
from typing import Any

from rclpy.callback_groups import CallbackGroup
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.task import Future

from selavpr_model.errors import SelaVPRError
from selavpr_model.records import SECOND
from selavpr_ros.node.context import Context
from selavpr_ros.node.pipeline.worker import Worker

BEGIN_S = 4.0  # within which the worker has to come to a job, else it is not done


class BusyError(SelaVPRError):
    """The worker did not come to a job in time."""

    code = 'BUSY'


class Jobs:
    """For services, whose callers may have given up when a long load ends."""

    def __init__(
        self, node: Node, context: Context, worker: Worker[Any], group: CallbackGroup
    ) -> None:
        self._node, self._context, self._worker, self._group = node, context, worker, group

    def do(self, job: Callable[[], Any], patient: bool = False) -> Future:
        """An awaitable of the worker's result; BusyError where it does not come to the job soon.

        patient: wait however long it takes.
        """
        result, posted, since = self.future(), self._worker.post(job), time.monotonic()
        if not patient:
            steady = Clock(clock_type=ClockType.STEADY_TIME)
            timer = self._node.create_timer(BEGIN_S, posted.cancel, self._group, clock=steady)
            result.add_done_callback(lambda _: self._node.destroy_timer(timer))

        def copy(finished: WorkerFuture[Any]) -> None:
            if finished.cancelled():
                result.set_exception(self._not_done(time.monotonic() - since))
            elif (error := finished.exception()) is not None:
                result.set_exception(error)
            else:
                result.set_result(finished.result())

        posted.add_done_callback(copy)
        return result

    def _not_done(self, waited_s: float) -> Exception:
        if waited_s < BEGIN_S:
            return CancelledError('the node is shutting down')
        what = 'loading' if self._context.loading else 'busy with another call or an image'
        busy_s = self._worker.busy_ns() / SECOND
        return BusyError(f'the node is {what} since {busy_s:.0f} s; nothing was done, ask again')

    def future(self) -> Future:
        future: Future = Future(executor=self._node.executor)
        # Having a callback is what makes the executor wake up when another thread sets the result.
        future.add_done_callback(lambda _: None)
        return future
