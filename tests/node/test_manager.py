# SPDX-License-Identifier: MIT
"""The node under a lifecycle manager: the calls, in both orders, that Nav2's makes."""

from __future__ import annotations

from pathlib import Path
import time
from typing import Any

import pytest
from robot import Robot

from selavpr_ros.node import qos
from selavpr_ros.node.nav2 import bond

pytestmark = pytest.mark.usefixtures('ros')
BOND_TIMEOUT_S = 4.0  # of nav2_lifecycle_manager


def lead(robot: Robot, transition: str, expected: str) -> None:
    """As the manager: change the state, then see that it is the right one."""
    assert robot.transition(transition), transition
    assert robot.call('get_state').current_state.label == expected


@pytest.mark.parametrize('autostart', [True, False])
@pytest.mark.parametrize('manager_first', [True, False])
def test_a_manager_leads_whoever_came_first(
    street_map: Path, street: Any, autostart: bool, manager_first: bool
) -> None:
    with Robot(map=str(street_map), autostart=autostart) as robot:
        camera = robot.camera()
        if not manager_first and autostart:
            robot.until_active()
            robot.ask(camera, street[1].image)
        elif not manager_first:
            robot.until(robot.status, 'status')
            robot.rest(0.5)
        for _ in range(2):
            lead(robot, 'configure', 'inactive')
            robot.rest(0.3)
            assert robot.call('get_state').current_state.label == 'inactive'
            lead(robot, 'activate', 'active')
            assert robot.ask(camera, street[2].image).hypotheses[0].place_id == 2
            lead(robot, 'deactivate', 'inactive')
            lead(robot, 'cleanup', 'unconfigured')
            robot.rest(0.3)
            assert robot.call('get_state').current_state.label == 'unconfigured'


def test_what_is_loaded_stays_when_a_manager_takes_over(street_map: Path, street: Any) -> None:
    with Robot(map=str(street_map)) as robot:
        robot.until_active()
        robot.ask(robot.camera(), street[1].image)
        extractor = robot.localizer.pipeline.extractor
        lead(robot, 'configure', 'inactive')
        lead(robot, 'activate', 'active')
        assert robot.localizer.pipeline.extractor is extractor is not None
        assert not robot.transition('configure')  # now it is the manager's own mistake


def test_without_bond_it_says_what_the_manager_will_do(
    street_map: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bond, 'Status', None)
    with Robot(map=str(street_map), autostart=False) as robot:
        robot.until(robot.status, 'status')
        lead(robot, 'configure', 'inactive')
        lead(robot, 'activate', 'active')
    assert 'bond_timeout' in capfd.readouterr().err


def test_the_heart_beats_while_it_is_active_and_says_farewell(street_map: Path) -> None:
    status = pytest.importorskip('bond.msg', reason='bond is not installed').Status
    heard: list[Any] = []
    with Robot(map=str(street_map), autostart=True) as robot:
        robot.user.create_subscription(status, 'bond', heard.append, qos.reliable(50))
        robot.until_active()
        robot.rest(0.5)
        assert not heard  # nobody leads it
        lead(robot, 'configure', 'inactive')
        lead(robot, 'activate', 'active')
        began = time.monotonic()
        robot.until(lambda: heard, 'a heartbeat')
        assert time.monotonic() - began < BOND_TIMEOUT_S / 2
        robot.rest(1.0)
        assert len(heard) > 5 and all(m.active and m.id == 'localizer' for m in heard)
        assert len({m.instance_id for m in heard}) == 1
        lead(robot, 'deactivate', 'inactive')
        robot.until(lambda: not heard[-1].active, 'the farewell')
        robot.rest(0.3)
        count = len(heard)
        robot.rest(0.5)
        assert len(heard) == count
        lead(robot, 'activate', 'active')
        robot.until(lambda: heard[-1].active, 'a heartbeat again')
        assert heard[-1].instance_id != heard[0].instance_id
