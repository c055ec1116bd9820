# SPDX-License-Identifier: MIT
"""What is the case, why, and the cure: for /diagnostics, ~/status and the log."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from selavpr_ros.node import qos

if TYPE_CHECKING:
    from selavpr_ros.node.localizer import LocalizerNode

OK, WARN, ERROR = 0, 1, 2
SECOND = 1_000_000_000
NO_CLOCK = 'use_sim_time is set and nothing publishes /clock: play the bag with --clock'


@dataclass(frozen=True, slots=True)
class Part:
    """One line of the diagnostics. level: OK, WARN or ERROR."""

    name: str
    level: int
    message: str
    values: dict[str, object] = field(default_factory=dict)


def parts(node: LocalizerNode) -> list[Part]:
    """All lines, in a fixed order."""
    return [
        input_part(node),
        inference_part(node),
        map_part(node),
        localization_part(node),
        watchdog_part(node),
        *parameter_parts(node),
    ]


def worst(lines: list[Part]) -> Part:
    """The most serious line, the first of equals."""
    return max(lines, key=lambda part: part.level)


def input_part(node: LocalizerNode) -> Part:
    health, inputs = node.health, node.inputs
    values: dict[str, object] = {
        'topic': inputs.image_topic,
        'image': health.image,
        'rate Hz': f'{health.rate_hz():.1f}',
        'received': health.received,
        'processed': health.processed,
        **{f'dropped {reason}': n for reason, n in sorted(health.dropped().items())},
        'last drop': health.last_drop,
        'camera_info': _camera_info(node),
    }
    if not node.processing:
        return Part('Input', OK, 'not processing images', values)
    if trouble := silence(node) or waste(node):
        return Part('Input', WARN, trouble, values)
    if inputs.qos_problem:
        return Part('Input', WARN, inputs.qos_problem, values)
    if node.stamps.foreign:
        return Part('Input', WARN, foreign_clock(node), values)
    return Part('Input', OK, health.image or 'waiting for the first image', values)


def _camera_info(node: LocalizerNode) -> str:
    camera = node.inputs.camera
    if camera is None:
        return node.inputs.camera_problem or 'none received'
    return f'{camera.size[0]}x{camera.size[1]} {camera.model}'


def silence(node: LocalizerNode) -> str:
    """Why no image may be arriving, once it has lasted; '' while images come."""
    seconds = node.health.silent_s(node.active_since_ns)
    if seconds < node.parameters.node.no_image_after_s:
        return ''
    inputs, drop = node.inputs, node.health.last_drop or 'none'
    ends = inputs.publishers()
    return (
        f'no image for {seconds:.0f} s on {inputs.image_topic}; we request '
        f'{qos.describe(inputs.image_qos)}; {len(ends)} publishers: {qos.describe_ends(ends)}; '
        f'last drop: {drop}; {_silence_cure(node, len(ends))}'
    )


def waste(node: LocalizerNode) -> str:
    """Why images arrive and none gives a result, once it has lasted; '' while results come."""
    seconds = node.health.fruitless_s(node.active_since_ns)
    if seconds < node.parameters.node.no_image_after_s or node.worker.busy_ns():
        return ''
    return (
        f'no result for {seconds:.0f} s although images arrive; last drop: {node.health.last_drop}'
    )


def _silence_cure(node: LocalizerNode, publishers: int) -> str:
    if node.uses_sim_time and node.now_ns() == 0:
        return NO_CLOCK
    if transport := node.inputs.other_transport():
        return f'there are images of the other kind: set image_transport to {transport}'
    if publishers:
        return 'check that the camera runs and that the QoS fit (parameter qos_image)'
    return 'start the camera or remap: --ros-args -r image:=/your/topic (see `ros2 topic list -t`)'


def foreign_clock(node: LocalizerNode) -> str:
    cure = 'when a bag is played, set use_sim_time:=true and play it with --clock'
    if node.uses_sim_time:
        cure = NO_CLOCK if node.now_ns() == 0 else 'the camera driver stamps with another clock'
    limit = node.parameters.node.foreign_clock_s
    return (
        f'image stamps are more than {limit:.0f} s away from the clock of this node, so '
        f'max_frame_age_s is not applied; {cure}'
    )


def inference_part(node: LocalizerNode) -> Part:
    health, pipeline = node.health, node.pipeline
    values: dict[str, object] = {'errors': health.errors, 'last error': health.last_error}
    for stage, (p50, p95) in health.percentiles_ms().items():
        values[f'{stage} p50 / p95 ms'] = f'{p50:.1f} / {p95:.1f}'
    extractor = pipeline.extractor
    if extractor is not None:
        values |= {'device': extractor.device, 'engine': extractor.engine}
        values |= {'precision': extractor.precision}
        values |= {'weights': extractor.identity.weights, 'note': extractor.identity.note}
    if node.loading:
        return Part('Inference', OK, 'loading', values)
    if pipeline.model_problem:
        level = ERROR if node.configured else OK
        return Part('Inference', level, pipeline.model_problem, values)
    if health.failing:
        return Part('Inference', ERROR, f'the last frame failed: {health.last_error}', values)
    note = f'model loaded; {extractor.identity.note}' if extractor else ''
    return Part('Inference', OK, note.rstrip('; '), values)


def map_part(node: LocalizerNode) -> Part:
    place_map, problem = node.pipeline.place_map, node.pipeline.map_problem
    values: dict[str, object] = {'wanted': node.parameters.node.map}
    if place_map is not None:
        values |= {'path': place_map.path, 'map_id': place_map.map_id}
        values |= {'revision': place_map.revision, 'places': len(place_map)}
    if node.loading:
        return Part('Map', OK, 'loading', values)
    if problem:
        kept = '; the map in use stays' if place_map is not None else ''
        level = ERROR if node.configured else OK
        return Part('Map', level, problem + kept, values)
    return Part('Map', OK, f'{values.get("places", 0)} places', values)


def localization_part(node: LocalizerNode) -> Part:
    state, reason = node.health.state, node.health.reason
    if not node.processing or not state:
        return Part('Localization', OK, 'no result yet' if node.processing else 'not processing')
    mounting = unknown_mounting(node)
    level = OK if state == 'LOCALIZED' and not mounting else WARN
    text = '; '.join(filter(None, (f'{state}: {reason}', mounting)))
    return Part('Localization', level, text, {'state': state})


def unknown_mounting(node: LocalizerNode) -> str:
    """What it means that nobody said where the camera sits on the robot; '' when it is known."""
    base, camera = node.parameters.node.base_frame, node.stream.camera_frame
    known = node.inputs.transforms.find(base, camera) is not None  # also where camera is base
    if not camera or known or not np.allclose(node.body().T_base_camera, np.eye(4)):
        return ''
    return (
        f'base_camera is the identity: the pose given for {base!r} is that of {camera!r}, and '
        'odometry is applied along the wrong axes; give T_base_camera as '
        f'base_camera:=[x,y,z,qx,qy,qz,qw], or base_frame:={camera} to get the pose of the camera'
    )


def watchdog_part(node: LocalizerNode) -> Part:
    busy_s = node.worker.busy_ns() / SECOND
    values: dict[str, object] = {'busy s': f'{busy_s:.1f}'}
    if not node.worker.alive:
        return Part('Watchdog', ERROR, 'the worker thread has ended; restart the node', values)
    if busy_s > node.parameters.node.stuck_after_s:
        what = 'loading takes' if node.loading else 'one frame or job has taken'
        return Part('Watchdog', WARN, f'{what} {busy_s:.0f} s', values)
    return Part('Watchdog', OK, 'working' if busy_s else 'waiting', values)


def parameter_parts(node: LocalizerNode) -> Iterator[Part]:
    for name, reason in node.parameters.problems.items():
        cure = f'correct it with `ros2 param set {node.get_fully_qualified_name()} {name} VALUE`'
        yield Part('Parameters', ERROR, f'{reason}; {cure}', {'parameter': name})
