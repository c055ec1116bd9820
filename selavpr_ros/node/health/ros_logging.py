# SPDX-License-Identifier: MIT
"""Hand what the ROS-free packages log over to the node's logger."""

from __future__ import annotations

import logging
from typing import Any

PACKAGES = ('selavpr_model', 'selavpr_ros')


class RosHandler(logging.Handler):
    """A logging handler that speaks through rclpy."""

    def __init__(self, logger: Any) -> None:
        super().__init__()
        self._logger = logger

    def emit(self, record: logging.LogRecord) -> None:
        text = self.format(record)
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
