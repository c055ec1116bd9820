# SPDX-License-Identifier: MIT
"""The checklist for people and as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from rich.console import Console

from selavpr_model.config import ExtractorConfig
from selavpr_model.errors import MissingPackageError
from selavpr_ros.doctor import camera, robot
from selavpr_ros.doctor.bag import observe_bag
from selavpr_ros.doctor.check import Check, fail, Level, warn
from selavpr_ros.doctor.observation import Observation, Settings
from selavpr_ros.doctor.recognition import recognition

COLOURS = {Level.OK: 'green', Level.WARN: 'yellow', Level.FAIL: 'red'}
WIDTH = 12


def observe(bag: Path | None, settings: Settings, namespace: str) -> Observation:
    """Listen to the bag, or to the robot that runs here."""
    if bag is not None:
        return observe_bag(bag, settings)
    try:
        from selavpr_ros.doctor.live import observe_robot
    except ModuleNotFoundError as error:
        raise MissingPackageError(
            f'no bag was given, and beside a robot {error.name} is needed: source '
            '/opt/ros/DISTRO/setup.bash and the workspace, or give a bag'
        ) from error
    return observe_robot(settings, namespace)


def examine(seen: Observation, settings: Settings, computer: ExtractorConfig) -> list[Check]:
    """The whole checklist, in the order in which faults are to be mended."""
    return [
        camera.camera(seen, settings),
        camera.calibration(seen, settings),
        robot.mounting(seen, settings),
        robot.odometry(seen, settings),
        camera.clocks(seen, settings),
        robot.tree(seen, settings),
        *recognition(seen, settings, computer),
        *_node(seen),
    ]


def _node(seen: Observation) -> Iterator[Check]:
    """What a running localizer says that is not well."""
    for name, (level, message) in sorted(seen.node.items()):
        if level:
            say = fail if level > 1 else warn
            yield say('node', f'{name}: {message}', 'as the line says')


def show(source: str, checks: list[Check]) -> None:
    console = Console(soft_wrap=True, highlight=False)
    console.print(source, markup=False)
    for check in checks:
        colour = COLOURS[check.level]
        console.print(f'[{colour}]{check.level.value:4}[/{colour}]', end=' ')
        console.print(f'{check.name:{WIDTH}} {check.text}', markup=False)
        if check.cure:
            console.print(f'     {"":{WIDTH}} -> {check.cure}', markup=False)


def summary(seen: Observation, checks: list[Check], map_: Path | None) -> dict[str, object]:
    """For --json."""
    lines = [
        {'check': c.name, 'level': c.level.value, 'text': c.text, 'cure': c.cure} for c in checks
    ]
    return {
        'source': seen.source,
        'map': None if map_ is None else str(map_),
        'worst': worst(checks).value,
        'checks': lines,
    }


def worst(checks: list[Check]) -> Level:
    order = list(Level)
    return max((check.level for check in checks), key=order.index)


def failed(checks: list[Check]) -> bool:
    return worst(checks) is Level.FAIL
