# SPDX-License-Identifier: MIT
"""A node under a camera of 30 Hz for hours: memory, descriptors, threads and time of a frame.

Samples are kept as they come, so that an hour can be made of several runs: each is a node of its
own, and slopes are those within runs.
"""

from __future__ import annotations

from collections.abc import Sequence
import itertools
import json
from pathlib import Path
import statistics
import tempfile
import threading
import time
from typing import Any

from nav_msgs.msg import Odometry
import numpy as np
import rclpy

from hostile.remote import RemoteRobot
from selavpr_ros.convert import from_ros, to_ros

RATE = 30.0
SAMPLE_S = 5.0
SAVE_S = 60.0  # between two saves of a map that grows
WARM_S = 300.0  # caches fill; of short runs a fifth
WINDOW_S = 300.0  # at the beginning and at the end
MOST_MB_AN_HOUR = 1.0
Sample = dict[str, Any]


class Camera(threading.Thread):
    """Publishes the frames of the demo's summer run, and odometry, back and forth for ever."""

    def __init__(self, robot: RemoteRobot) -> None:
        super().__init__(daemon=True)
        from selavpr_ros.bags.reader import BagFrames

        root = Path(__file__).resolve().parents[2]
        frames = [frame for frame in BagFrames(root / 'demo' / 'summer') if frame.odom is not None]
        self._frames = [(to_ros.image(frame.image, 0, 'camera'), frame.odom) for frame in frames]
        self._images = robot.camera()
        self._odometry = robot.user.create_publisher(Odometry, 'odom', 50)
        self.ended = threading.Event()

    def run(self) -> None:
        due = time.monotonic()
        for image, odom in itertools.cycle([*self._frames, *self._frames[-2:0:-1]]):
            stamp = to_ros.time(time.time_ns())
            moved = Odometry(child_frame_id='camera')
            moved.header.frame_id, moved.header.stamp = 'odom', stamp
            moved.pose.pose = to_ros.pose_of(odom)
            image.header.stamp = stamp
            self._odometry.publish(moved)
            self._images.publish(image)
            due = max(due + 1.0 / RATE, time.monotonic() - 1.0)
            if self.ended.wait(max(0.0, due - time.monotonic())):
                return


def hours(seconds: float, slam: bool, keep: Path) -> int:
    """Go on until `keep` has that many seconds; the exit code."""
    samples = kept(keep)
    done = sum(run[-1]['seconds'] for run in _runs(samples))
    if done < seconds:
        ours = not rclpy.ok()
        if ours:
            rclpy.init()
        try:
            _watch(seconds - done, slam, keep, 1 + max((s['run'] for s in samples), default=0))
        finally:
            if ours:
                rclpy.try_shutdown()
    return report(kept(keep))


def kept(keep: Path) -> list[Sample]:
    lines = keep.read_text().splitlines() if keep.exists() else []
    return [json.loads(line) for line in lines]


def _runs(samples: Sequence[Sample]) -> list[list[Sample]]:
    return [list(run) for _, run in itertools.groupby(samples, lambda sample: sample['run'])]


def _watch(seconds: float, slam: bool, keep: Path, run: int) -> None:
    keep.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix='hours') as name:
        folder = Path(name)
        with _robot(folder, slam) as robot, keep.open('a') as out:
            robot.until(lambda: robot.status and robot.status.lifecycle_state == 3)
            camera = Camera(robot)
            camera.start()
            started, saved, places = time.monotonic(), 0.0, {'places': 0, 'map_bytes': 0}
            while (elapsed := time.monotonic() - started) < seconds:
                robot.rest(SAMPLE_S)
                if slam and elapsed - saved > SAVE_S:
                    saved, places = elapsed, _saved(robot, folder / 'slam')
                sample = {'run': run, 'seconds': elapsed, **places, **_sample(robot)}
                out.write(json.dumps(sample) + '\n')
                out.flush()
            camera.ended.set()
            camera.join()


def _saved(robot: RemoteRobot, path: Path) -> Sample:
    """The growing map, as a careful owner saves it."""
    info = robot.call('save_map', path=str(path), overwrite=True).map
    return {'places': int(info.num_places), 'map_bytes': int(info.num_bytes)}


def _robot(folder: Path, slam: bool) -> RemoteRobot:
    if slam:
        return RemoteRobot(folder, maps_root=str(folder), map=str(folder / 'slam'), mode='slam')
    from hostile.node import street

    return RemoteRobot(folder, map=str(street(folder)[1]), maps_root=str(folder))


def _sample(robot: RemoteRobot) -> Sample:
    answers = list(robot.answers.values())
    ms = [1e3 * from_ros.duration_s(answer.compute_latency) for answer in answers]
    ticks = Path(f'/proc/{robot.process.pid}/stat').read_text().rpartition(')')[2].split()[11:13]
    return {
        'kb': robot.memory_kb(), 'descriptors': robot.descriptors(), 'threads': robot.threads(),
        'ms': statistics.median(ms) if ms else None, 'cpu_ms': 10 * sum(map(int, ticks)),
        'processed': robot.status.frames_processed, 'received': robot.status.frames_received,
    }  # fmt: skip


def report(samples: Sequence[Sample]) -> int:
    """Print what the hours say; 1 where memory, handles or time grow."""
    runs = [run for run in _runs(samples) if len(run) > 2]
    if not runs:
        print('hours: no samples')
        return 1
    total = sum(run[-1]['seconds'] for run in runs)
    weights = [run[-1]['seconds'] for run in runs]
    slopes = [slope_mb(run) for run in runs]
    slope = round(float(np.average(slopes, weights=weights)), 2) + 0.0
    flat = {name: _spread(runs, name) for name in ('descriptors', 'threads')}
    first, last = _ends(runs, 'ms')
    cpu = [_cpu_ms(run) for run in runs]
    print(
        f'hours: {total / 3600:.2f} h in {len(runs)} runs, '
        f'{sum(run[-1]["processed"] for run in runs)} frames answered, '
        f'{runs[-1][-1]["places"]} places in the map'
    )
    print(f'memory {slope:+.2f} MB/h (by run: {", ".join(f"{s:+.2f}" for s in slopes)})')
    print(f'descriptors {flat["descriptors"]}, threads {flat["threads"]} after the warm-up')
    print(f'a frame: {first:.0f} ms in the first five minutes, {last:.0f} ms in the last; CPU '
          + ', '.join(f'{a:.0f} to {b:.0f} ms' for a, b in cpu))  # fmt: skip
    grown = slope > MOST_MB_AN_HOUR or any(high - low > 2 for low, high in flat.values())
    return int(grown)


def _warm(run: Sequence[Sample]) -> list[Sample]:
    """Without the beginning."""
    start = min(WARM_S, run[-1]['seconds'] / 5)
    return [sample for sample in run if sample['seconds'] >= start]


def slope_mb(run: Sequence[Sample]) -> float:
    """MB an hour apart from what the places of the map take, after the warm-up."""
    warm = _warm(run)
    mb = [(1024 * sample['kb'] - sample['map_bytes']) / 1e6 for sample in warm]
    slope = np.polyfit([sample['seconds'] / 3600 for sample in warm], mb, 1)[0]
    return round(float(slope), 2) + 0.0


def _spread(runs: Sequence[Sequence[Sample]], name: str) -> tuple[int, int]:
    """Fewest and most, within the run where they differ most."""
    values = [[sample[name] for sample in _warm(run)] for run in runs]
    return max(((min(v), max(v)) for v in values), key=lambda pair: pair[1] - pair[0])


def _ends(runs: Sequence[Sequence[Sample]], name: str) -> tuple[float, float]:
    """Medians of the first and the last five minutes of a run, in the middle of the runs."""
    firsts, lasts = [], []
    for run in runs:
        end = run[-1]['seconds']
        known = [sample for sample in run if sample[name] is not None]
        firsts.append(statistics.median(s[name] for s in known if s['seconds'] <= WINDOW_S))
        lasts.append(statistics.median(s[name] for s in known if s['seconds'] >= end - WINDOW_S))
    return statistics.median(firsts), statistics.median(lasts)


def _cpu_ms(run: Sequence[Sample]) -> tuple[float, float]:
    """CPU time of a frame, in the first and in the last quarter behind the warm-up."""
    warm = _warm(run)
    quarter = max(1, len(warm) // 4)
    pairs = ((warm[0], warm[quarter - 1]), (warm[-quarter], warm[-1]))
    first, last = (
        (b['cpu_ms'] - a['cpu_ms']) / max(1, b['processed'] - a['processed']) for a, b in pairs
    )
    return first, last
