# SPDX-License-Identifier: MIT
"""Hostile messages and calls, by number, at a real node over DDS; good images in between."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
import random
import tempfile
import time
from typing import Any

import rclpy

from hostile.calls import Calls, SOON_S
from hostile.messages import large, Messages
from hostile.remote import DiedError, RemoteRobot
from selavpr_ros.node import advanced_config

GOOD_EVERY = 200  # messages; 20 calls
MOST_KB = 50_000  # that the node may keep at the end
CALM = 50  # good images before and after, so that caches are full
Case = dict[str, Any]


def campaign(what: str, seed: int, count: int) -> Iterator[Case]:
    """A result a case, one for each good image that was not answered as before, and at the end
    one for the memory that is kept and for tracebacks in the log.
    """
    ours = not rclpy.ok()
    if ours:
        rclpy.init()
    try:
        with tempfile.TemporaryDirectory(prefix='campaign') as folder:
            yield from _campaign(what, seed, count, Path(folder))
    finally:
        if ours:
            rclpy.try_shutdown()


def _campaign(what: str, seed: int, count: int, folder: Path) -> Iterator[Case]:
    frames, good = street(folder)
    settings = folder / 'advanced.yaml'
    advanced_config.write(settings, {'node': {'relocalize_limit_s': 0.2}})
    with RemoteRobot(
        folder, map=str(good), maps_root=str(folder), advanced_config=str(settings)
    ) as robot:
        attempt = (Messages if what == 'messages' else Calls)(robot.until_active(), good, folder)
        check = _Check(robot, frames, good)
        every = GOOD_EVERY if what == 'messages' else GOOD_EVERY // 10
        for number in range(seed, seed + count):
            rng, started = random.Random(number), time.monotonic()
            try:
                kind, outcome = attempt.one(rng, number)
                yield {
                    'seed': number, 'kind': kind, 'outcome': outcome,
                    'seconds': time.monotonic() - started,
                }  # fmt: skip
                if number % every == every - 1 or number == seed + count - 1:
                    yield from check.good(number)
            except DiedError as error:
                yield {'seed': number, 'outcome': 'crash', 'told': str(error)}
                return
        yield from check.end(seed + count - 1)


class _Check:
    """Between the cases: is the next good image answered, and what was left behind?"""

    def __init__(self, robot: RemoteRobot, street: list[Any], good: Path) -> None:
        self.robot, self.street, self.map = robot, street, good
        self.camera = robot.camera()
        self.traces = 0
        self._large()
        self._calm()
        self.before = robot.memory_kb()

    def _large(self) -> None:
        """DDS keeps some payloads as large as the largest that came: that is no leak."""
        for _ in range(5):
            self.camera.publish(large())
            self.robot.rest(0.5)
            self.robot.call('query_image', image=large())

    def _calm(self) -> None:
        for number in range(CALM):
            self.robot.ask(self.camera, self.street[number % len(self.street)].image)

    def good(self, number: int) -> Iterator[Case]:
        """What is wrong; the map and the mode of before are set first."""
        robot = self.robot
        robot.call('load_map', path=str(self.map))
        robot.call('set_mode', mode=0)
        started = time.monotonic()
        answer = robot.ask(self.camera, self.street[3].image)
        if answer is None or time.monotonic() - started > SOON_S:
            yield {'seed': number, 'kind': 'good image', 'outcome': 'silent'}
        elif not answer.hypotheses or answer.hypotheses[0].place_id != 3:
            yield {'seed': number, 'kind': 'good image', 'outcome': 'wrong'}
        if (traces := robot.traces()) > self.traces:
            self.traces = traces
            yield {'seed': number, 'kind': 'log', 'outcome': 'traceback', 'told': self._last()}

    def _last(self) -> str:
        """The last traceback of the log."""
        return self.robot.log.read_text(errors='replace').rpartition('Traceback')[2][:3000]

    def end(self, number: int) -> Iterator[Case]:
        self._calm()
        kept = self.robot.memory_kb() - self.before
        size = self.robot.log.stat().st_size
        told = (
            f'{kept / 1e3:+.1f} MB kept, {self.robot.threads()} threads, log {size / 1e3:.0f} kB'
        )
        outcome = 'memory' if kept > MOST_KB else 'kept'
        yield {'seed': number, 'kind': 'end', 'outcome': outcome, 'kb': kept, 'told': told}


def street(folder: Path) -> tuple[list[Any], Path]:
    """Frames of the demo's summer run, and a map of them."""
    from selavpr_model.features.extractor import load_extractor
    from selavpr_model.maps.building.builder import build_map
    from selavpr_ros.bags.reader import BagFrames

    frames = list(BagFrames(Path(__file__).resolve().parents[2] / 'demo' / 'summer'))[::16][:8]
    build_map(frames, load_extractor(), folder / 'street', progress=False)
    return frames, folder / 'street'
