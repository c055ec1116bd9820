# SPDX-License-Identifier: MIT
"""A bag or folder driven in SLAM mode, every frame in order: closures, their score, the map."""

from __future__ import annotations

from collections.abc import Iterable
import csv
from dataclasses import dataclass, field, replace
import math
from pathlib import Path
from typing import Any

import numpy as np

from selavpr_model.config import ExtractorConfig, MapConfig, ScoreConfig
from selavpr_model.data.standstill import watched
from selavpr_model.errors import ConfigError
from selavpr_model.evaluation.export.rerun_file import RerunFile
from selavpr_model.evaluation.slam_score import (
    counts,
    Run,
    same_by_picture,
    same_by_pose,
    score,
    trust_of,
)
from selavpr_model.evaluation.trajectory_error import ape_m, fitted, LEAST
from selavpr_model.evaluation.trust_plots import write_plots
from selavpr_model.features.extractor import Extractor, load_extractor
from selavpr_model.maps.place_map import ODOMETRY, PlaceMap
from selavpr_model.maps.storage.store import save_map
from selavpr_model.maps.storage.writer import require_free
from selavpr_model.poses import inverse
from selavpr_model.records import Frame, LoopClosure, Recognition
from selavpr_model.runtime.outputs import write_json
from selavpr_model.runtime.progress import progress_bar
from selavpr_model.slam.session import SlamConfigs, SlamSession
from selavpr_model.slam.straight import Report
from selavpr_ros.bags.files import is_bag
from selavpr_ros.bags.reader import BagFrames
from selavpr_ros.bags.recordings import open_recording, Recording
from selavpr_ros.replay.recorded import watch_slam, WatchSlam

TRUTH_PICTURE = 'truth.png'
COLUMNS = (
    'kind', 'key_from', 'key_to', 'stamp_from_ns', 'stamp_to_ns', 'similarity', 'matches',
    'inliers', 'pose_type', 'reject', 'reason',
)  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class SlamRequest:
    """What to drive. truth: pose topic of a bag; a folder's own poses are truth and odometry at
    once, `unit_m` metres a unit. image_topic, base_camera: as BagFrames has them. rerun: .rrd file
    for the rerun viewer.
    """

    source: Path
    out: Path
    truth: str = ''
    odometry: bool = True
    unit_m: float = 1.0
    extractor: ExtractorConfig = field(default_factory=ExtractorConfig)
    configs: SlamConfigs = field(default_factory=SlamConfigs)
    score: ScoreConfig = field(default_factory=ScoreConfig)
    image_topic: str = ''
    base_camera: np.ndarray | None = None
    rerun: Path | None = None

    def __post_init__(self) -> None:
        if not 0.0 < self.unit_m < math.inf:
            raise ConfigError(f'--unit-m: expected a length in m above 0, got {self.unit_m:g}')

    def frames(self) -> Recording:
        truth = self.truth if is_bag(self.source) else ''  # a folder's poses are found
        return open_recording(self.source, truth, self.image_topic, self.base_camera)


class Drive:
    """The frames of a request, with odometry; `poses` are the true ones of the frames so far."""

    def __init__(self, request: SlamRequest) -> None:
        self.request = request
        self.poses: list[np.ndarray | None] = []
        self.frames = request.frames()
        picture = request.source / TRUTH_PICTURE
        self.picture = picture if picture.is_file() else None

    def __iter__(self) -> Any:
        bag = isinstance(self.frames, BagFrames)
        for frame in watched(self.frames, self.request.source, 'odom' if bag else 'pose'):
            if frame.name == TRUTH_PICTURE:
                continue
            pose = None if frame.pose is None else scaled(frame.pose, self.request.unit_m)
            self.poses.append(pose)
            odom = frame.odom if bag else pose
            yield replace(frame, pose=None, odom=odom if self.request.odometry else None)


def scaled(pose: np.ndarray, unit_m: float) -> np.ndarray:
    moved = pose.copy()
    moved[:3, 3] *= unit_m
    return moved


def run(request: SlamRequest) -> dict[str, Any]:
    """Drive, score and write into `request.out`: map/, closures.csv, summary.json, drive.png."""
    require_free(request.out / 'map', overwrite=True)  # before the model loads
    return run_with(request, load_extractor(request.extractor))


def run_with(request: SlamRequest, extractor: Extractor) -> dict[str, Any]:
    """`run` with a loaded model."""
    drive, slam = Drive(request), open_session(request, extractor)
    driven, track = _recorded_drive(request, drive, slam)
    made, straight = slam.finish(), straightened(slam, driven)
    request.out.mkdir(parents=True, exist_ok=True)
    same = (
        same_by_picture(drive.picture)
        if drive.picture
        else same_by_pose(drive.poses, request.score)
    )
    scorable = drive.picture is not None or any(pose is not None for pose in drive.poses)
    summary: dict[str, Any] = {
        'source': f'{request.source}: {drive.frames.report.words()}',
        'weights': extractor.identity.weights,
    }
    true = {i: pose for i in track if (pose := drive.poses[i]) is not None}
    summary |= trajectory(made, track, straight, true)
    if not scorable:
        summary |= counts(driven)
    else:
        worth = trust_of(driven, same)
        summary |= {**score(driven, same), 'trust': worth.to_dict()}
        write_plots(request.out, worth)
    write_json(request.out / 'summary.json', summary)
    write_closures(request.out / 'closures.csv', driven.closures)
    save_map(slam.place_map, request.out / 'map', overwrite=True)
    _draw(request.out / 'drive.png', driven, (track, straight, true))
    return summary


def open_session(request: SlamRequest, extractor: Extractor) -> SlamSession:
    empty = PlaceMap.for_extractor(extractor, MapConfig(frame_id=ODOMETRY))
    return SlamSession(extractor, empty, request.configs)


Driven = tuple[Run, dict[int, np.ndarray]]


def _recorded_drive(request: SlamRequest, drive: Drive, slam: SlamSession) -> Driven:
    if request.rerun is None:
        return drive_through(drive, slam)
    with RerunFile(request.rerun, f'slam {request.source.name}') as recording:
        return drive_through(drive, slam, watch_slam(recording, slam))


def drive_through(
    frames: Iterable[Frame], slam: SlamSession, watch: WatchSlam | None = None
) -> Driven:
    """The closures, and where odometry put the keyframes: index of the frame -> (4, 4).

    watch: called with each frame and what it gave.
    """
    closures: list[LoopClosure] = []
    indices: dict[int, int] = {}
    searchable: dict[int, list[int]] = {}
    track: dict[int, np.ndarray] = {}
    answers: dict[int, Recognition] = {}
    for index, frame in enumerate(progress_bar(frames, 'slam', unit='frame', leave=False)):
        step = slam.process(frame)
        if watch is not None:
            watch(frame, step)
        closures += step.closures
        if step.place is not None:
            answers[index] = step.recognition
            searchable[index] = list(indices.values())[: slam.searched]
            indices[step.place.id], track[index] = index, slam.last_pose
    return Run(closures, indices, searchable, answers), track


def write_closures(path: Path, closures: Iterable[LoopClosure]) -> None:
    """One row a closure, in the order they were published."""
    with path.open('w', newline='') as file:
        writer = csv.writer(file, lineterminator='\n')
        writer.writerow(COLUMNS)
        for c in closures:
            writer.writerow((
                c.kind.name, c.before.id, c.after.id, c.before.stamp_ns, c.after.stamp_ns,
                f'{c.global_similarity:.6f}', c.mutual_matches, c.inliers, c.pose_kind.name,
                int(c.reject), c.reason,
            ))  # fmt: skip


def straightened(slam: SlamSession, driven: Run) -> dict[int, np.ndarray]:
    """Where the map has the keyframes now: index of the frame -> (4, 4); those with a pose."""
    places = (p for p in slam.place_map.places if p.id in driven.frames)
    return {driven.frames[p.id]: p.pose for p in places if p.pose is not None}


def trajectory(
    made: Report | None, before: dict[int, np.ndarray], after: dict[int, np.ndarray],
    true: dict[int, np.ndarray],
) -> dict[str, Any]:  # fmt: skip
    """What the closures did to the map, and its error where the truth is known."""
    if made is None or not after:
        return {}
    errors = ape_m({i: before[i] for i in after}, true), ape_m(after, true)
    names = 'ape_odometry_m', 'ape_m'
    told = {n: round(e, 3) for n, e in zip(names, errors, strict=True) if e is not None}
    return {
        'links': made.links, 'links_refused': made.refused, 'moved_m': round(made.moved_m, 3),
        **told,
    }  # fmt: skip


Ways = tuple[dict[int, np.ndarray], dict[int, np.ndarray], dict[int, np.ndarray]]


def _draw(path: Path, driven: Run, ways: Ways) -> None:
    """The way by odometry, as the map has it and the true one, with the closures."""
    from selavpr_model.evaluation.slam_plot import draw_drive

    track, straight, true = ways
    if true and len(true) == len(track) and track:
        first = next(iter(track))
        track = placed(track, true[first] @ inverse(track[first]))  # as odometry begins
        straight = placed(straight, lying(straight, true))
    draw_drive(path, driven, track, true, straight)


def placed(way: dict[int, np.ndarray], T: np.ndarray) -> dict[int, np.ndarray]:
    return {frame: T @ pose for frame, pose in way.items()}


def lying(way: dict[int, np.ndarray], true: dict[int, np.ndarray]) -> np.ndarray:
    """(4, 4) that lays the way on the true one."""
    if len(way) < LEAST:
        return np.eye(4)
    return fitted(*(np.stack([side[i][:3, 3] for i in way]) for side in (way, true)))
