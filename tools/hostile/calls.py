# SPDX-License-Identifier: MIT
"""Calls of the services of a node, answered soon whatever is asked, by number."""

from __future__ import annotations

from collections.abc import Callable
import os
from pathlib import Path
import random
import shutil
import time
from typing import Any

from builtin_interfaces.msg import Duration
from rclpy.parameter import Parameter
from sensor_msgs.msg import CompressedImage

from hostile.images import hostile_image
from hostile.maps import hostile_map
from hostile.messages import image, NAMES, posed
from hostile.remote import RemoteRobot

SOON_S = 5.0
PARAMETERS: list[tuple[str, Any]] = [
    ('map', '/etc'), ('map', '~nobody_x/y'), ('advanced_config', '/etc/passwd'),
    ('maps_root', '/'), ('nothing', 'x' * 10**5),
    ('services_off', ''), ('extractor.weights', '/dev/zero'), ('recognizer.candidates', 2**62),
    ('recognizer.candidates', -1), ('hypotheses', 10**9), ('base_camera', [float('nan')] * 7),
    ('base_camera', [0.0] * 10**5), ('transform_tolerance_s', float('inf')),
    ('extractor.device', '\x1b[2J'), ('recognizer.min_precision', float('nan')),
    ('temporal.speed_mps', 1e308), ('extractor.threads', 10**6),
]  # fmt: skip
"""None of them may be taken."""


class Calls:
    """One call of a service, answered soon whatever is asked."""

    def __init__(self, robot: RemoteRobot, good: Path, folder: Path) -> None:
        self.robot, self.good, self.folder = robot, good, folder
        self._calls: tuple[Callable[[random.Random, int], Any], ...] = (
            self._load, self._save, self._relocalize, self._mode, self._query,
            self._parameter,
        )  # fmt: skip

    def one(self, rng: random.Random, number: int) -> tuple[str, str]:
        """Beside it, the service is asked that every lifecycle manager asks."""
        call = rng.choice(self._calls)
        future, started = call(rng, number), time.monotonic()
        state = self.robot.send('get_state')
        self.robot.until(state.done)
        late = time.monotonic() - started > SOON_S
        self.robot.until(future.done)
        late = late or time.monotonic() - started > SOON_S
        return call.__name__.strip('_'), 'silent' if late else self._judged(future.result())

    def _judged(self, answer: Any) -> str:
        text = getattr(answer, 'message', '')
        if hasattr(answer, 'results'):
            text = answer.results[0].reason
            if answer.results[0].successful:
                return 'wrong'
        return 'wrong' if '\n' in text or len(text) > 3000 else 'answered'

    def _path(self, rng: random.Random) -> str:
        pipe = self.folder / 'pipe' / 'manifest.json'
        if not pipe.exists():
            pipe.parent.mkdir(exist_ok=True)
            os.mkfifo(pipe)
        paths = ['/', '/etc', '/dev/zero', '/proc/self/mem', '~nobody_x/y', '..', pipe.parent]
        return str(rng.choice([*paths, *NAMES, self.folder / rng.choice(NAMES)]))[:5000]

    def _load(self, rng: random.Random, number: int) -> Any:
        if rng.random() < 0.5:
            return self.robot.send('load_map', path=self._path(rng))
        path = self.folder / 'hostile'
        for old in (path, path.with_name('hostile.moved')):
            shutil.rmtree(old, ignore_errors=True)  # nothing to a file or a link
            old.unlink(missing_ok=True)
        hostile_map(self.good, path, number)
        return self.robot.send('load_map', path=str(path))

    def _save(self, rng: random.Random, number: int) -> Any:
        path = self._path(rng)
        if Path(path).resolve() in (self.folder.resolve(), self.good.resolve()):
            path = '/'
        return self.robot.send('save_map', path=path, overwrite=rng.random() < 0.5)

    def _relocalize(self, rng: random.Random, number: int) -> Any:
        timeout = Duration(
            sec=rng.choice([0, -1, 1, 2**31 - 1]), nanosec=rng.choice([0, 2**32 - 1])
        )
        return self.robot.send(
            'relocalize', timeout=timeout, min_frames=rng.choice([0, 1, 2**32 - 1]),
            use_prior=rng.random() < 0.5, prior=posed(rng, number),
        )  # fmt: skip

    def _mode(self, rng: random.Random, number: int) -> Any:
        return self.robot.send('set_mode', mode=rng.choice([0, 1, 2, 3, 255]))

    def _query(self, rng: random.Random, number: int) -> Any:
        if rng.random() < 0.5:
            return self.robot.send('query_image', image=image(rng, number))
        raw, kind = hostile_image(number)
        packed = CompressedImage(data=raw, format=rng.choice([kind, *NAMES]))
        return self.robot.send(
            'query_image', compressed_image=packed, k=rng.choice([0, 2**32 - 1])
        )

    def _parameter(self, rng: random.Random, number: int) -> Any:
        name, value = rng.choice(PARAMETERS)
        return self.robot.send(
            'set_parameters', parameters=[Parameter(name, value=value).to_parameter_msg()]
        )
