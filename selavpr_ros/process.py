# SPDX-License-Identifier: MIT
"""The process of the node: how it starts, spins and ends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
import importlib
import os
from pathlib import Path
import sys
import tempfile

import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.impl.implementation_singleton import rclpy_implementation

from selavpr_model.runtime.interrupt import INTERRUPTED
from selavpr_model.runtime.shown import one_line
from selavpr_model.runtime.threads import share_cores
from selavpr_ros.node.health.ros_logging import forward_to
from selavpr_ros.node.localizer import LocalizerNode


def preload() -> None:
    """Import what is slow before there is a node: its services would stall meanwhile."""
    share_cores()
    with suppress(ImportError):  # the node will say what is missing
        importlib.import_module('selavpr_model.recognizer')


def run_node(args: Sequence[str] | None = None) -> None:
    """Spin a LocalizerNode until SIGINT or SIGTERM."""
    try:
        log_somewhere()
        rclpy.init(args=args)
        node = LocalizerNode()
    except rclpy_implementation.RCLError as error:
        sys.exit(f'localizer: ROS does not start: {one_line(str(error))}; {_cure(str(error))}')
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except Exception:
        if rclpy.ok():
            raise
        return  # stopped while it started
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


def _cure(error: str) -> str:
    """Of what keeps ROS from starting."""
    if 'security' in error.lower():
        return (
            'ROS_SECURITY_ENABLE is set: check ROS_SECURITY_KEYSTORE and --enclave, or install '
            'an RMW that is built with security (docs/security.md)'
        )
    return 'check RMW_IMPLEMENTATION, ROS_DOMAIN_ID and the arguments behind --ros-args'


def log_somewhere() -> None:
    """ROS does not start where it cannot write its log: then take the folder for passing files."""
    why = unwritable(os.environ)
    if not why:
        return
    try:
        os.environ['ROS_LOG_DIR'] = tempfile.mkdtemp(prefix='ros_log')
    except OSError:
        sys.exit(f'localizer: no folder for the log of ROS: {why}; set ROS_LOG_DIR')
    print(
        f'localizer: {why}, so the log of ROS is in {os.environ["ROS_LOG_DIR"]}; set ROS_LOG_DIR, '
        'or HOME', file=sys.stderr,
    )  # fmt: skip


def unwritable(environment: Mapping[str, str]) -> str:
    """Why the folder of ROS's log cannot be used; '' where it can."""
    given = environment.get('ROS_LOG_DIR')
    base = environment.get('ROS_HOME') or environment.get('HOME')
    if not given and not base:
        return 'HOME is not set'
    below = 'log' if environment.get('ROS_HOME') else '.ros/log'
    folder = Path(given) if given else Path(str(base)) / below
    try:
        folder.expanduser().mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder.expanduser()):
            return ''
    except OSError as error:
        return f'{folder} cannot be written ({error.strerror or error})'


def spin(node: LocalizerNode, executor: SingleThreadedExecutor) -> None:
    """Run callbacks until shutdown; one that raises is reported and the node goes on."""
    while rclpy.ok(context=node.context):
        try:
            executor.spin_once()
        except (KeyboardInterrupt, ExternalShutdownException):
            raise
        except Exception as error:
            node.log.exception('a callback failed', error)
