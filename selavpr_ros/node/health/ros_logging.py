# SPDX-License-Identifier: MIT
"""Hand what the ROS-free packages log over to the node's logger."""

from __future__ import annotations

import logging
import time
from typing import Any

from selavpr_model.runtime.shown import one_line
from selavpr_ros.node.health.throttled_logger import Budget

MOST = 4000  # characters of a line
PACKAGES = ('selavpr_model', 'selavpr_ros')


class RosHandler(logging.Handler):
    """A logging handler that speaks through rclpy."""

    def __init__(self, logger: Any) -> None:
        super().__init__()
        self._logger = logger
        self._budget = Budget()

    def emit(self, record: logging.LogRecord) -> None:
        text = (
            one_line(self.format(record), MOST) if record.exc_info is None else self.format(record)
        )
        if record.levelno > logging.DEBUG and not self._budget.take(time.monotonic()):
            return
        text += self._budget.lost()
        # One line of code a level: rclpy refuses a call that changes its severity.
        if record.levelno >= logging.ERROR:
            self._logger.error(text)
        elif record.levelno >= logging.WARNING:
            self._logger.warning(text)
        elif record.levelno >= logging.INFO:
            self._logger.info(text)
        else:
            self._logger.debug(text)


def forward_to(logger: Any) -> None:
    """From now on the packages' logs go to this rclpy logger; its level filters them."""
    for name in PACKAGES:
        package = logging.getLogger(name)
        package.addHandler(RosHandler(logger))
        package.setLevel(logging.DEBUG)
        package.propagate = False
