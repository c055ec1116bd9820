# SPDX-License-Identifier: MIT
"""Hostile messages and calls, by number, at a real node over DDS; good images in between."""

from __future__ import annotations

from collections.abc import Callable
import math
import os
from pathlib import Path
import random
import tempfile
import time
from typing import Any

from builtin_interfaces.msg import Duration, Time
from campaign_files import hostile_image, hostile_map
from geometry_msgs.msg import PoseWithCovarianceStamped, TransformStamped
from nav_msgs.msg import Odometry
import rclpy
from robot import Robot
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from selavpr_ros.convert.tf_message import TFMessage
from selavpr_ros.node import qos
from selavpr_ros.node.health.throttled_logger import ThrottledLogger

SOON_S = 5.0
GOOD_EVERY = 200  # messages; 20 calls
NUMBERS = [0.0, 1.0, -1.0, 1e300, -1e300, 1e-300, math.nan, math.inf, -math.inf, 0.5]
NAMES = ['', 'map', 'odom', 'base_link', 'x' * 10**5, '\x1b[2J\n\r', '../..', '%s%n', 'ä' * 500]
Case = dict[str, Any]


def campaign(what: str, count: int, seed: int) -> list[Case]:
    """A result a case, and one for each good image that was not answered as before."""
    traces: list[str] = []
    plain = ThrottledLogger.exception

    def exception(self: ThrottledLogger, text: str, error: BaseException) -> None:
        traces.append(f'{text}: {type(error).__name__}: {error}'[:500])
        plain(self, text, error)

    ThrottledLogger.exception = exception  # type: ignore[method-assign]
    ours = not rclpy.ok()
    if ours:
        rclpy.init()
    try:
        with tempfile.TemporaryDirectory(prefix='campaign') as folder:
            return _campaign(what, count, seed, Path(folder), traces)
    finally:
        ThrottledLogger.exception = plain  # type: ignore[method-assign]
        if ours:
            rclpy.try_shutdown()


def _campaign(what: str, count: int, seed: int, folder: Path, traces: list[str]) -> list[Case]:
    street, good = _street(folder)
    results: list[Case] = []
    with Robot(map=str(good), maps_root=str(folder), relocalize_limit_s=0.2) as robot:
        attempt = (Messages if what == 'messages' else Calls)(robot.until_active(), good, folder)
        camera = robot.camera()
        answered(robot, camera, street, good)
        before, every = _memory_kb(), GOOD_EVERY if what == 'messages' else GOOD_EVERY // 10
        for number in range(seed, seed + count):
            rng, started = random.Random(number), time.monotonic()
            kind, outcome = attempt.one(rng, number)
            told = traces.pop() if traces else ''
            results.append({
                'seed': number, 'kind': kind, 'outcome': 'traceback' if told else outcome,
                'told': told, 'seconds': time.monotonic() - started, 'kb': _memory_kb() - before,
            })  # fmt: skip
            if number % every == every - 1 and (bad := answered(robot, camera, street, good)):
                results.append({'seed': number, 'outcome': bad})
        robot.rest(1.0)
        print(f'memory after it {(_memory_kb() - before) / 1e3:+.0f} MB; '
              f'dropped {robot.localizer.health.dropped()}')  # fmt: skip
    return results


def _street(folder: Path) -> tuple[list[Any], Path]:
    """Frames of the demo's summer run, and a map of them."""
    from selavpr_model.features.extractor import load_extractor
    from selavpr_model.maps.building.builder import build_map
    from selavpr_ros.bags.reader import BagFrames

    frames = list(BagFrames(Path(__file__).resolve().parents[1] / 'demo' / 'summer'))[::16][:8]
    build_map(frames, load_extractor(), folder / 'street', progress=False)
    return frames, folder / 'street'


def answered(robot: Robot, camera: Any, street: list[Any], good: Path) -> str:
    """'' where the next good image is, as it should be."""
    deadline = time.monotonic() + 60.0
    while robot.localizer.worker.busy_ns() and time.monotonic() < deadline:
        robot.rest(0.05)  # its cause must be gone
    if robot.localizer.pipeline.place_map.path != good:
        robot.call('load_map', path=str(good))
    robot.call('set_mode', mode=0)
    started = time.monotonic()
    answer = robot.ask(camera, street[3].image)
    if time.monotonic() - started > SOON_S:
        return 'silent'
    best = answer.hypotheses[0] if answer.hypotheses else None
    return '' if best is not None and best.place_id == 3 else 'wrong'


def _memory_kb() -> int:
    lines = Path('/proc/self/status').read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith('VmRSS'))


class Messages:
    """One on a topic of the node, with nonsense in some of its fields."""

    def __init__(self, robot: Robot, good: Path, folder: Path) -> None:
        self.robot, user = robot, robot.user
        sensor = qos.camera('sensor_data')
        self._topics: list[tuple[str, Any, Callable[[random.Random, int], Any]]] = [
            ('image', robot.camera(), _image),
            ('camera_info', user.create_publisher(CameraInfo, 'camera_info', sensor), _info),
            ('odom', user.create_publisher(Odometry, 'odom', 50), _odometry),
        ]
        if TFMessage is not None:
            tf = user.create_publisher(TFMessage, '/tf_static', qos.TF_STATIC)
            self._topics.append(('tf_static', tf, _transforms))

    def one(self, rng: random.Random, number: int) -> tuple[str, str]:
        name, publisher, make = rng.choice(self._topics)
        publisher.publish(make(rng, number))
        self.robot.rest(0.0)
        if number % 10 == 0:
            self.robot.rest(0.005)
        return name, 'sent'


def _header(message: Any, rng: random.Random) -> Any:
    message.header.frame_id = rng.choice(NAMES)
    message.header.stamp = Time(sec=rng.choice([0, -1, 2**31 - 1, 7]), nanosec=rng.choice([0, 5]))
    return message


def _image(rng: random.Random, number: int) -> Image:
    sides = [0, 1, 2, 33, 640, 2**16, 2**32 - 1]
    kinds = ['rgb8', 'mono8', 'mono16', 'bayer_rggb8', 'nv12', 'yuv422', '16UC1', *NAMES]
    return _header(
        Image(
            height=rng.choice(sides), width=rng.choice(sides), step=rng.choice([*sides, 1920]),
            encoding=rng.choice(kinds), is_bigendian=rng.choice([0, 1, 255]),
            data=bytes(rng.choice([0, 1, 100, 640 * 480 * 3])),
        ),
        rng,
    )  # fmt: skip


def _info(rng: random.Random, number: int) -> CameraInfo:
    numbers = [rng.choice([*NUMBERS, 300.0]) for _ in range(9)]
    bent = [rng.choice(NUMBERS) for _ in range(rng.choice([0, 3, 4, 5, 6, 8, 14, 1000]))]
    sides = [0, 1, 320, 2**32 - 1]
    return _header(
        CameraInfo(
            height=rng.choice(sides), width=rng.choice(sides), k=numbers, d=bent,
            distortion_model=rng.choice(['plumb_bob', 'equidistant', 'rational', *NAMES]),
        ),
        rng,
    )  # fmt: skip


def _pose(pose: Any, rng: random.Random) -> None:
    for part, axes in ((pose.position, 'xyz'), (pose.orientation, 'xyzw')):
        for axis in axes:
            setattr(part, axis, rng.choice(NUMBERS))


def _odometry(rng: random.Random, number: int) -> Odometry:
    message = _header(Odometry(child_frame_id=rng.choice(NAMES)), rng)
    _pose(message.pose.pose, rng)
    message.pose.covariance = [rng.choice(NUMBERS) for _ in range(36)]
    return message


def _transforms(rng: random.Random, number: int) -> Any:
    edges = []
    for _ in range(rng.choice([0, 1, 5])):
        edge = _header(TransformStamped(child_frame_id=rng.choice(NAMES)), rng)
        edge.transform.rotation.w = rng.choice(NUMBERS)
        edge.transform.translation.x = rng.choice(NUMBERS)
        edges.append(edge)
    return TFMessage(transforms=edges)


class Calls:
    """One call of a service, answered soon whatever is asked."""

    def __init__(self, robot: Robot, good: Path, folder: Path) -> None:
        self.robot, self.good, self.folder = robot, good, folder
        self._calls = (self._load, self._save, self._relocalize, self._mode, self._query)

    def one(self, rng: random.Random, number: int) -> tuple[str, str]:
        call = rng.choice(self._calls)
        started = time.monotonic()
        message = call(rng, number)
        late = time.monotonic() - started > SOON_S
        broken = '\n' in message or len(message) > 3000
        return call.__name__.strip('_'), 'silent' if late else 'wrong' if broken else 'answered'

    def _path(self, rng: random.Random) -> str:
        pipe = self.folder / 'pipe' / 'manifest.json'
        if not pipe.exists():
            pipe.parent.mkdir(exist_ok=True)
            os.mkfifo(pipe)
        paths = ['/', '/etc', '/dev/zero', '/proc/self/mem', '~nobody_x/y', '..', pipe.parent]
        return str(rng.choice([*paths, *NAMES, self.folder / rng.choice(NAMES)]))[:5000]

    def _load(self, rng: random.Random, number: int) -> str:
        path = self.folder / f'hostile{number}'
        if rng.random() < 0.5:
            return str(self.robot.call('load_map', path=self._path(rng)).message)
        hostile_map(self.good, path, number)
        return str(self.robot.call('load_map', path=str(path)).message)

    def _save(self, rng: random.Random, number: int) -> str:
        path = self._path(rng)
        if Path(path).resolve() in (self.folder.resolve(), self.good.resolve()):
            path = '/'
        return str(self.robot.call('save_map', path=path, overwrite=rng.random() < 0.5).message)

    def _relocalize(self, rng: random.Random, number: int) -> str:
        prior = _header(PoseWithCovarianceStamped(), rng)
        prior.header.frame_id = rng.choice(['map', *NAMES])
        _pose(prior.pose.pose, rng)
        prior.pose.covariance = [rng.choice(NUMBERS) for _ in range(36)]
        timeout = Duration(
            sec=rng.choice([0, -1, 1, 2**31 - 1]), nanosec=rng.choice([0, 2**32 - 1])
        )
        return str(self.robot.call(
            'relocalize', timeout=timeout, min_frames=rng.choice([0, 1, 2**32 - 1]),
            use_prior=rng.random() < 0.5, prior=prior,
        ).message)  # fmt: skip

    def _mode(self, rng: random.Random, number: int) -> str:
        return str(self.robot.call('set_mode', mode=rng.choice([0, 1, 3, 255])).message)

    def _query(self, rng: random.Random, number: int) -> str:
        if rng.random() < 0.5:
            return str(self.robot.call('query_image', image=_image(rng, number)).message)
        raw, kind = hostile_image(number)
        packed = CompressedImage(data=raw, format=rng.choice([kind, *NAMES]))
        asked = self.robot.call(
            'query_image', compressed_image=packed, k=rng.choice([0, 2**32 - 1])
        )
        return str(asked.message)
