# SPDX-License-Identifier: MIT
"""Training drives in SLAM mode, for tools/fit_confidence.py: what each answer was worth.

Every drive is taken twice, with its poses for odometry and blind.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
import math
from pathlib import Path

import numpy as np
from tqdm import tqdm

from selavpr_model.config import MapConfig, ScoreConfig
from selavpr_model.data.datasets import open_dataset
from selavpr_model.data.image_folder import read_rgb
from selavpr_model.decision.confidence import FEATURES, features_of, JUDGED, LEVELS
from selavpr_model.decision.decide import Decision
from selavpr_model.decision.ranking import Ranked
from selavpr_model.evaluation.slam_score import Same, same_by_pose
from selavpr_model.evaluation.trials import poses_of
from selavpr_model.features.extractor import Extractor
from selavpr_model.maps.place_map import PlaceMap
from selavpr_model.records import Candidate, Features, Frame
from selavpr_model.slam.odometry_track import TrackPoint
from selavpr_model.slam.session import SlamSession

UNIT_M = 0.2  # of the circuits
ODOMETRY = {'': True, ' blind': False}


@dataclass(frozen=True, eq=False)
class Drive:
    """Images in the order they were taken, with the poses (N, 4, 4) of the camera."""

    files: tuple[Path, ...]
    poses: np.ndarray


@dataclass(frozen=True, eq=False)
class Asked:
    """Of each keyframe that was looked for the best JUDGED candidates.

    x: (Q, JUDGED, F), LEVELS over what consecutive keyframes match; right, mass: (Q, JUDGED);
    answer: (Q,) which of them the sequence answers; cosine, cosine_right: (Q,) of the best by
    cosine; matches, matches_right: by matches; possible: (Q,) whether its place was there to be
    found.
    """

    x: np.ndarray
    right: np.ndarray
    mass: np.ndarray
    answer: np.ndarray
    cosine: np.ndarray
    cosine_right: np.ndarray
    matches: np.ndarray
    matches_right: np.ndarray
    possible: np.ndarray


def drives(data: Path, towns: Path) -> Iterator[tuple[str, Drive]]:
    """The circuits of the fit, both laps, and each season of the towns."""
    for circuit in sorted((data / 'circuits').iterdir())[::2]:
        yield circuit.name, _drive(circuit, UNIT_M)
    for town in sorted(towns.glob('w2?')):
        for season in ('summer', 'summer2', 'winter'):
            yield f'{town.name} {season}', _drive(town / season, 1.0)


def _drive(folder: Path, unit_m: float) -> Drive:
    images = open_dataset(folder, training=True).queries
    poses = poses_of(images)
    assert poses is not None, folder
    poses[:, :3, 3] *= unit_m
    return Drive(images.files, poses)


@dataclass
class Noted:
    """One keyframe as it is asked."""

    candidates: list[Candidate] = field(default_factory=list)
    x: np.ndarray = field(default_factory=lambda: np.empty(0))
    mass: list[float] = field(default_factory=list)


class Probe(SlamSession):
    """Notes what the confidences of the last keyframe are made of."""

    noted = Noted()

    def _decide(self, point: TrackPoint, view: np.ndarray, places: Ranked) -> Decision:
        x = features_of(places)
        level = np.array([name in LEVELS for name in FEATURES])
        x[:, level] -= math.log((self._judge.step_matches or 0.0) + 1.0)
        decision = super()._decide(point, view, places)
        mass = [self._belief.mass_of(c.row) for c in places.candidates[:JUDGED]]
        self.noted = Noted(list(places.candidates), x, mass)
        return decision


def asked(
    drive: Drive, extractor: Extractor, known: dict[Path, Features], odometry: bool
) -> Asked:
    """The trials of one drive. known: features so far, by file."""
    slam = Probe(extractor, PlaceMap.empty(extractor.identity, MapConfig(thumbnail_px=0)))
    same, taken, rows = same_by_pose(list(drive.poses), ScoreConfig()), [], []
    for index, file in enumerate(tqdm(drive.files, 'slam', leave=False)):
        frame = Frame(index * 10**9, read_rgb(file), name=file.name)
        if file not in known:
            known[file] = extractor.extract(frame.image)
        odom = drive.poses[index] if odometry else None
        step = slam.advance(replace(frame, odom=odom), known[file])
        if step.place is None:
            continue
        if step.recognition.candidates:
            answer = step.recognition.candidates[0].row
            rows.append(_row(slam.noted, answer, index, taken, slam.searched, same))
        taken.append(index)
    return Asked(*(np.array(column) for column in zip(*rows, strict=True)))


def _row(
    noted: Noted, answer: int, now: int, taken: list[int], searched: int, same: Same
) -> tuple[object, ...]:
    """What Asked has of one keyframe. taken: frame of each row of the map."""
    best = noted.candidates[:JUDGED]
    right = [same(now, taken[c.row]) for c in best]
    top = min(noted.candidates, key=lambda c: c.global_rank)
    most = max(noted.candidates, key=lambda c: (c.mutual_matches, -c.global_rank))
    which = next((i for i, c in enumerate(best) if c.row == answer), 0)
    possible = any(same(now, other) for other in taken[:searched])
    return (
        noted.x, right, noted.mass, which, top.global_similarity, same(now, taken[top.row]),
        most.mutual_matches, same(now, taken[most.row]), possible,
    )  # fmt: skip
