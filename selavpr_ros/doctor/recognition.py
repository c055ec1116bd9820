# SPDX-License-Identifier: MIT
"""The map, the model, and what this computer makes of the images with them."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
import time
from typing import Any

import numpy as np

from selavpr_model.config import ExtractorConfig
from selavpr_model.errors import SelaVPRError
from selavpr_model.poses import PoseTrack
from selavpr_model.records import Frame, SECOND, State
from selavpr_ros.convert import from_ros
from selavpr_ros.doctor.check import Check, fail, ok, warn
from selavpr_ros.doctor.observation import Observation, Settings

ENOUGH_HZ = 1.0
WARM_UP = 2


def recognition(seen: Observation, settings: Settings, computer: ExtractorConfig) -> list[Check]:
    """Map, model, speed and answers; each needs the one before."""
    if settings.map is None:
        cure = 'give --map FOLDER, made with `selavpr map build`'
        return [fail('map', 'no map was given', cure)]
    try:
        place_map = _open(settings)
    except (SelaVPRError, OSError) as error:
        return [fail('map', str(error), 'give --map FOLDER, made with `selavpr map build`')]
    checks = [_map(place_map, settings)]
    try:
        extractor = _extractor(place_map, computer)
    except SelaVPRError as error:
        return [*checks, fail('model', str(error), 'see `selavpr weights list`')]
    identity = extractor.identity
    note = f'; {identity.note}' if identity.note else ''
    text = f'{identity.weights}, {extractor.engine}, {extractor.precision}, {extractor.device}'
    checks.append(ok('model', text + note))
    if identity.fingerprint != place_map.identity.fingerprint:
        text = f'{text}; the map was made with {place_map.identity.weights}'
        checks[-1] = fail('model', text, 'build the map again with these weights')
        return checks
    if seen.images.pictures:
        checks += _answers(seen, settings, extractor, place_map)
    return checks


def _open(settings: Settings) -> Any:
    from selavpr_model.maps.storage.store import open_map

    assert settings.map is not None
    return open_map(settings.map)


def _map(place_map: Any, settings: Settings) -> Check:
    posed = sum(place.pose is not None for place in place_map.places)
    text = f'{settings.map}: {len(place_map)} places, {posed} with a pose'
    if not len(place_map):
        return fail('map', text, 'build it with `selavpr map build`')
    if not posed:
        cure = 'build it with --poses; without, places are found but no pose is published'
        return warn('map', text, cure)
    if place_map.calibration is None:
        cure = 'run `selavpr map build` again: it measures how far answers can be trusted'
        return warn('map', f'{text}, not calibrated', cure)
    return ok('map', text)


def _extractor(place_map: Any, computer: ExtractorConfig) -> Any:
    from selavpr_model.features.extractor import load_extractor

    made_with = place_map.manifest.get('configs', {}).get('extractor', {})
    config = replace(
        ExtractorConfig.from_dict(made_with), device=computer.device,
        precision=computer.precision, threads=computer.threads,
    )  # fmt: skip
    return load_extractor(config)


def _answers(seen: Observation, settings: Settings, extractor: Any, place_map: Any) -> list[Check]:
    """The speed, and what is found of the images that were heard."""
    from selavpr_model.recognizer import PlaceRecognizer

    recognizer = PlaceRecognizer(extractor, place_map)
    states: Counter[State] = Counter()
    seconds, reason = [], ''
    for frame in _frames(seen, settings):
        began = time.perf_counter()
        answer = recognizer.process(frame)
        seconds.append(time.perf_counter() - began)
        states[answer.state] += 1
        reason = answer.reason
    return [_speed(seen, seconds[WARM_UP:] or seconds), _found(states, reason)]


def _frames(seen: Observation, settings: Settings) -> list[Frame]:
    """As the node would make them."""
    node, poses = settings.node, seen.odometry.poses
    track = PoseTrack(*zip(*poses, strict=True)) if poses else None
    camera_frame = seen.images.frames.most_common(1)[0][0] or 'camera'
    frames = []
    for stamp, picture in seen.images.pictures:
        T = None if track is None else track.latest(stamp, round(node.odom_gap_s * SECOND))
        if node.base_camera is not None:
            T_base_camera = from_ros.checked_pose(node.base_camera)
        else:
            known = seen.tree.buffer.find(node.base_frame, camera_frame, stamp)
            T_base_camera = np.eye(4) if known is None else known
        frames.append(Frame(stamp, picture, odom=None if T is None else T @ T_base_camera))
    return frames


def _speed(seen: Observation, seconds: list[float]) -> Check:
    p50, p95 = np.percentile(seconds, (50, 95))
    hz = 1.0 / max(float(p50), 1e-6)
    text = f'{hz:.1f} images a second ({p50 * 1e3:.0f} ms, p95 {p95 * 1e3:.0f} ms)'
    if seen.images.rate_hz:
        text += f'; the camera sends {seen.images.rate_hz:.1f}'
    if hz < min(ENOUGH_HZ, seen.images.rate_hz or ENOUGH_HZ):
        cure = 'take smaller weights, extractor.precision:=int8, or fewer recognizer.candidates'
        return warn('speed', text, cure)
    return ok('speed', text)


def _found(states: Counter[State], reason: str) -> Check:
    total, found = sum(states.values()), states[State.LOCALIZED]
    text = f'{found} of {total} images LOCALIZED, {states[State.AMBIGUOUS]} AMBIGUOUS'
    if found:
        return ok('answers', text)
    cure = 'drive on within the mapped area; else map the place again in this light'
    return warn('answers', f'{text}; the last: {reason}', cure)
