#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Measure the live node under a camera: age of results, dropped frames, memory, service latency.

The node, the camera and the client are three processes, as on a robot. The first line asks for
more than the node can do, the second for what it is to hold:

    .venv/bin/python tools/measure_node.py measure ../shared/data/campus_gray --seconds 300
    .venv/bin/python tools/measure_node.py measure ../shared/data/campus_gray --seconds 300 \\
        --rate 10 --candidates 20 --places 10000
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
import json
import os
from pathlib import Path
import signal
import subprocess
import sys
import tempfile
import time
from typing import Annotated, Any

import numpy as np
from rich.console import Console
from rich.table import Table
import typer

CALLS = 50
WARM_UP_S = 10.0
NAMESPACE = f'/measure_{os.getpid()}'
SERVICES = {
    'get_parameters': ('rcl_interfaces.srv', 'GetParameters', {'names': ['hypotheses']}),
    'get_state': ('lifecycle_msgs.srv', 'GetState', {}),
    'describe_parameters': ('rcl_interfaces.srv', 'DescribeParameters', {'names': ['map']}),
    'set_mode': ('selavpr.srv', 'SetMode', {'mode': 0}),
}
app = typer.Typer(add_completion=False)


def build_map(images: Path, out: Path, places: int) -> None:
    """A map of the images and, up to `places`, of more like them (benchmark_maps)."""
    from tqdm import trange

    from selavpr_model.benchmark.features import Growth
    from selavpr_model.benchmark.maps import place
    from selavpr_model.data.image_folder import ImageFolder
    from selavpr_model.features.extractor import load_extractor
    from selavpr_model.maps.building.builder import build_map as build
    from selavpr_model.maps.storage.store import save_map

    frames, extractor = list(ImageFolder(images)), load_extractor()
    made = build(frames, extractor, out)
    if places <= len(made):
        return
    real = [extractor.extract(frame.image) for frame in frames]
    vectors = Growth(np.stack([one.global_ for one in real])).grow(places)
    for row in trange(len(made), places, desc='more places'):
        made.add(replace(real[row % len(real)], global_=vectors[row]), place(row))
    save_map(made, out, overwrite=True)


@app.command()
def camera(images: Path, topic: str, rate: float) -> None:
    """Publish the folder's images for ever, `rate` a second, stamped with the time."""
    import rclpy
    from rclpy.qos import qos_profile_sensor_data
    from sensor_msgs.msg import Image

    from selavpr_model.data.image_folder import ImageFolder
    from selavpr_ros.convert import to_ros

    pictures = [to_ros.image(f.image, 0, 'camera') for f in ImageFolder(images)]
    rclpy.init()
    publisher = rclpy.create_node('camera').create_publisher(Image, topic, qos_profile_sensor_data)
    due, number = time.monotonic(), 0
    while rclpy.ok():
        picture = pictures[number % len(pictures)]
        picture.header.stamp = to_ros.time(time.time_ns())
        publisher.publish(picture)
        number, due = number + 1, due + 1 / rate
        time.sleep(max(0.0, due - time.monotonic()))


@contextmanager
def running(command: list[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open('wb') as file:
        process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()


class Client:
    """Asks the node's services and hears its results."""

    def __init__(self) -> None:
        from rclpy.node import Node
        from selavpr.msg import LocalizerStatus, PlaceHypotheses

        from selavpr_ros.convert import from_ros
        from selavpr_ros.node import qos

        self.node = Node('client', namespace=NAMESPACE)
        self.status: Any = None
        self.results: list[dict[str, float]] = []
        self._seconds, self._stamp = from_ros.duration_s, from_ros.stamp_ns
        self.node.create_subscription(
            PlaceHypotheses, 'localizer/hypotheses', self._result, qos.reliable(10)
        )
        self.node.create_subscription(
            LocalizerStatus, 'localizer/status', self._status, qos.LATCHED
        )

    def _status(self, message: Any) -> None:
        self.status = message

    def _result(self, message: Any) -> None:
        compute, queue = map(self._seconds, (message.compute_latency, message.queue_latency))
        age = (time.time_ns() - self._stamp(message)) / 1e9
        self.results.append({'compute': compute, 'queue': queue, 'age': age})

    def spin(self, seconds: float, done: Callable[[], Any] = lambda: False) -> bool:
        import rclpy

        end = time.monotonic() + seconds
        while not done() and time.monotonic() < end:
            rclpy.spin_once(self.node, timeout_sec=0.05)
        return bool(done())

    def latencies_ms(self, name: str) -> list[float]:
        """Of CALLS calls, one after the other at odd moments of the inference."""
        ask = self.caller(name)
        taken = []
        for call in range(CALLS):
            self.spin(0.03 + 0.0037 * (call % 10))
            taken.append(ask())
        return taken

    def latencies_while_loading_ms(self) -> list[float]:
        """From the first moment that the node answers until it has its map."""
        ask = self.caller('get_parameters')
        taken = [ask()]
        while not (self.status and self.status.map_id):
            taken.append(ask())
            self.spin(0.02)
        return taken

    def caller(self, name: str) -> Callable[[], float]:
        """Calls the service once and tells how long it took, in ms."""
        import importlib

        module, kind, fields = SERVICES[name]
        service = getattr(importlib.import_module(module), kind)
        client = self.node.create_client(service, f'localizer/{name}')
        client.wait_for_service(60)

        def ask() -> float:
            start = time.perf_counter()
            future = client.call_async(service.Request(**fields))
            if not self.spin(60, future.done):
                raise SystemExit(f'{name} did not answer')
            return (time.perf_counter() - start) * 1e3

        return ask


def rss_mb(pid: int) -> float:
    lines = Path(f'/proc/{pid}/status').read_text().splitlines()
    return next(int(x.split()[1]) / 1024 for x in lines if x.startswith('VmRSS'))


def summary(values: list[float]) -> dict[str, float]:
    p50, p95, highest = np.percentile(values, (50, 95, 100))
    return {'p50': round(p50, 1), 'p95': round(p95, 1), 'max': round(highest, 1)}


def freshness(results: list[dict[str, float]], period: float) -> dict[str, Any]:
    """How the age of each result compares with one inference plus one period of the camera, s."""
    excess = [r['queue'] - period for r in results]
    return {
        'inference_ms': summary([r['compute'] * 1e3 for r in results]),
        'waiting_ms': summary([r['queue'] * 1e3 for r in results]),
        'age_received_ms': summary([r['age'] * 1e3 for r in results]),
        'waited_longer_than_a_period': sum(e > 0 for e in excess),
        'worst_excess_ms': round(max(excess) * 1e3, 1),
        'age_beyond_inference_and_period_ms': summary(
            [(r['age'] - r['compute'] - period) * 1e3 for r in results]
        ),
        'results': len(results),
    }


def memory(samples: list[tuple[float, float]]) -> dict[str, float]:
    """samples: (seconds, MB); the slope over the second half, when caches have filled."""
    half = samples[len(samples) // 2 :]
    slope = np.polyfit([t for t, _ in half], [mb for _, mb in half], 1)[0] * 60
    return {
        'first_mb': round(samples[0][1], 1),
        'last_mb': round(samples[-1][1], 1),
        'highest_mb': round(max(mb for _, mb in samples), 1),
        'slope_second_half_mb_per_minute': round(float(slope), 3),
    }


@app.command()
def measure(
    images: Path,
    map_path: Annotated[Path | None, typer.Option('--map', help='else built from images')] = None,
    seconds: Annotated[float, typer.Option(help='how long to watch the memory')] = 300.0,
    rate: Annotated[float, typer.Option(help='images a second')] = 30.0,
    candidates: Annotated[int, typer.Option(help='places re-ranked; 0: the default')] = 0,
    places: Annotated[int, typer.Option(help='of the map, which is filled up to it')] = 0,
    out: Annotated[Path, typer.Option('--json')] = Path('build/measure_node.json'),
) -> None:
    """Print a table and write it as JSON."""
    import rclpy

    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as work:
        path = map_path or Path(work) / 'map'
        if map_path is None:
            build_map(images, path, places)
        rclpy.init()
        node = [sys.executable, '-m', 'selavpr_ros.main', '--ros-args', '-r', f'__ns:={NAMESPACE}']
        node += ['-p', f'map:={path}']
        node += ['-p', f'recognizer.candidates:={candidates}'] if candidates else []
        eye = [sys.executable, __file__, 'camera', str(images), f'{NAMESPACE}/image', str(rate)]
        with running(node, out.with_suffix('.log')) as process, running(eye, Path(work) / 'eye'):
            result = watch(Client(), process.pid, seconds, rate)
    out.write_text(json.dumps(result, indent=1))
    show(result)


def watch(client: Client, pid: int, seconds: float, rate: float) -> dict[str, Any]:
    loading = client.latencies_while_loading_ms()
    if not client.spin(120, lambda: len(client.results) > 3):
        raise SystemExit(f'no results; {client.status and client.status.message}')
    client.spin(WARM_UP_S)
    services = {'get_parameters while loading': summary(loading)}
    services |= {name: summary(client.latencies_ms(name)) for name in SERVICES}
    client.results.clear()
    before, samples, start = counts(client.status), [], time.monotonic()
    while (elapsed := time.monotonic() - start) < seconds:
        samples.append((elapsed, rss_mb(pid)))
        client.spin(1.0)
    status = client.status
    frames = {name: n - before.get(name, 0) for name, n in counts(status).items()}
    return {
        'services_ms': services,
        'freshness': freshness(client.results, 1 / rate),
        'memory': memory(samples) | {'seconds': round(elapsed)},
        'frames': {'asked_hz': rate, 'results_hz': round(len(client.results) / elapsed, 2)}
        | frames,
        'load_average': os.getloadavg(),
        'device': f'{status.device} {status.precision}',
    }


def counts(status: Any) -> dict[str, int]:
    """Frames received, processed and dropped, by reason, since the node started."""
    dropped = dict(zip(status.drop_reasons, map(int, status.drop_counts), strict=True))
    done = {'received': status.frames_received, 'processed': status.frames_processed}
    return done | {f'dropped: {reason}': count for reason, count in dropped.items()}


def show(result: dict[str, Any]) -> None:
    table = Table('measured', 'p50', 'p95', 'max', title='node under a stream, ms')
    rows = {f'service {k}': v for k, v in result['services_ms'].items()}
    rows |= {k: v for k, v in result['freshness'].items() if isinstance(v, dict)}
    for name, values in rows.items():
        table.add_row(name, *(str(values[k]) for k in ('p50', 'p95', 'max')))
    console = Console()
    console.print(table)
    console.print_json(json.dumps({k: v for k, v in result.items() if k != 'services_ms'}))


if __name__ == '__main__':
    app()
