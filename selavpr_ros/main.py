# SPDX-License-Identifier: MIT
"""The `localizer` executable."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
import importlib

import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor

from selavpr_model.runtime.threads import share_cores
from selavpr_ros.node.health.ros_logging import forward_to
from selavpr_ros.node.localizer import LocalizerNode


def preload() -> None:
    """Import what is slow before there is a node: its services would stall meanwhile."""
    with suppress(ImportError):  # the node will say what is missing
        importlib.import_module('selavpr_model.recognizer')


def main(args: Sequence[str] | None = None) -> None:
    """Spin a LocalizerNode until SIGINT or SIGTERM."""
    share_cores()
    preload()
    rclpy.init(args=args)
    node = LocalizerNode()
    forward_to(node.get_logger())
    # One thread is enough: callbacks only store and count, and long answers are awaited.
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    try:
        spin(node, executor)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    finally:
        node.destroy_node()
        rclpy.try_shutdown()


def spin(node: LocalizerNode, executor: SingleThreadedExecutor) -> None:
    """Run callbacks until shutdown; one that raises is reported and the node goes on."""
    while rclpy.ok(context=node.context):
        try:
            executor.spin_once()
        except (KeyboardInterrupt, ExternalShutdownException):
            raise
        except Exception as error:
            node.log.exception('a callback failed', error)


if __name__ == '__main__':
    main()
