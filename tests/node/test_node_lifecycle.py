# SPDX-License-Identifier: MIT
"""Parameters at run time, the lifecycle, and the node in a process of its own."""

from __future__ import annotations

from pathlib import Path
import signal
import subprocess
import sys
import threading
import time
from typing import Any
import weakref

import pytest
from rclpy.parameter import Parameter
from robot import leave_nothing, PATIENCE_S, Robot, until_dropped
from selavpr.msg import LocalizerStatus
from selavpr.srv import LoadMap

from selavpr_ros.node import qos


def test_recognizer_parameters_take_effect_at_once(robot: Robot, camera: Any, street: Any):
    assert robot.ask(camera, street[7].image).state == 2
    assert robot.set('recognizer.min_matches', 100000).successful
    strict = robot.ask(camera, street[7].image)
    assert strict.state == 0 and strict.hypotheses[0].reject_mask & 2
    refused = robot.set('recognizer.min_similarity', 7.0)
    assert not refused.successful and 'RecognizerConfig.min_similarity' in refused.reason
    assert robot.set('recognizer.min_matches', None).successful
    assert robot.ask(camera, street[7].image).state == 2


def test_cleanup_gives_the_memory_back_and_the_node_can_be_configured_again(
    ros: None, street_map: Path, street: Any
):
    with Robot(map=str(street_map)) as robot:
        robot.until_active()
        camera = robot.camera()
        robot.ask(camera, street[0].image)
        extractor = weakref.ref(robot.localizer.pipeline.extractor)
        place_map = weakref.ref(robot.localizer.pipeline.place_map)
        assert robot.transition('deactivate')
        until_dropped(robot, camera, robot.picture(street[1].image), 'not_active')
        assert robot.transition('cleanup')
        robot.until(lambda: extractor() is None and place_map() is None, 'release')
        answer = robot.call('load_map', path=str(street_map))
        assert answer.result == LoadMap.Response.FAILURE and 'not configured' in answer.message
        assert robot.transition('configure') and robot.transition('activate')
        assert robot.ask(camera, street[2].image).hypotheses[0].place_id == 2


def test_a_node_that_is_destroyed_leaves_nothing_behind(ros: None, street_map: Path):
    """Of the participants of DDS on one computer 32 hear each other."""
    left = []
    for _ in range(2):
        with Robot(map=str(street_map)) as robot:
            robot.until_active()
            left.append(weakref.ref(robot.localizer))
        del robot
        leave_nothing()
    assert [node() for node in left] == [None, None]


def test_without_autostart_the_node_waits_for_its_manager(ros: None, street_map: Path):
    with Robot(map=str(street_map), autostart=False) as robot:
        robot.until(robot.status, 'status')
        robot.rest(0.5)
        assert robot.call('get_state').current_state.label == 'unconfigured'
        assert robot.transition('configure')
        assert robot.call('get_state').current_state.label == 'inactive'
        assert robot.transition('shutdown')
        assert robot.call('get_state').current_state.label == 'finalized'


def test_a_shutdown_from_python_and_a_load_that_ends_meanwhile_do_not_block_each_other(
    ros: None, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
):
    monkeypatch.setattr('selavpr_ros.node.localizer.SAVE_TIMEOUT_S', 10.0)
    ending = threading.Event()
    with Robot() as robot:
        node = robot.until_active().localizer
        destroy = node.destroy_node
        monkeypatch.setattr(node, 'destroy_node', lambda: (ending.set(), destroy()))
        node.worker.post(lambda: ending.wait(PATIENCE_S)).add_done_callback(node.control.on_loaded)
    assert 'not saved' not in capfd.readouterr().err


# ---------------------------------------------------------------- in a process of its own


ARGUMENTS = ['--ros-args', '-r', '__ns:=/alone', '-p', 'mapp:=x']


def run_alone(command: list[str], words: str) -> str:
    """Run the node in a process of its own until it says this, press Ctrl-C; its log."""
    process = subprocess.Popen([*command, *ARGUMENTS], stderr=subprocess.PIPE, text=True)
    try:
        Listener().until(words)
        process.send_signal(signal.SIGINT)
        _, log = process.communicate(timeout=PATIENCE_S)
    finally:
        process.kill()
    assert process.returncode == 0 and 'Traceback' not in log, log
    return log


def test_the_executable_starts_says_what_is_missing_and_ends_on_sigint(ros: None):
    log = run_alone([sys.executable, '-m', 'selavpr_ros.main'], 'no map is given')
    assert "did you mean 'map'?" in log


WITHOUT_TORCH = """
import sys
import threading
class NoTorch:
    def find_spec(self, name, path=None, target=None):
        if name == 'torch':
            raise ModuleNotFoundError("No module named 'torch'", name='torch')
sys.meta_path.insert(0, NoTorch())
from selavpr_ros.main import main
main()
"""


def test_without_torch_the_node_is_up_and_says_how_to_get_it(ros: None):
    run_alone([sys.executable, '-c', WITHOUT_TORCH], 'pip install torch')


class Listener:
    """Hears /alone/localizer/status."""

    def __init__(self) -> None:
        import rclpy

        self.node = rclpy.create_node('listener', parameter_overrides=[Parameter('a', value=1)])
        self.said = ''
        self.node.create_subscription(
            LocalizerStatus, '/alone/localizer/status', self.hear, qos.LATCHED
        )

    def hear(self, message: Any) -> None:
        self.said = message.message

    def until(self, text: str) -> None:
        import rclpy

        end = time.monotonic() + PATIENCE_S
        while text not in self.said:
            assert time.monotonic() < end, self.said
            rclpy.spin_once(self.node, timeout_sec=0.1)
        self.node.destroy_node()
