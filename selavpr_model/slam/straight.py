# SPDX-License-Identifier: MIT
"""A map is made straight: what its closures and odometry say becomes the poses of its places."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
import dataclasses
from dataclasses import dataclass
import logging
import math
from pathlib import Path
from typing import Any

import numpy as np

from selavpr_model.config import GraphConfig
from selavpr_model.graph.map_graph import MapGraph, Straight, straighten
from selavpr_model.maps.building.merge import recalibrate
from selavpr_model.maps.links import JOINS
from selavpr_model.maps.place_map import PlaceMap
from selavpr_model.maps.storage import writer
from selavpr_model.maps.storage.store import open_map, save_map
from selavpr_model.poses import inverse
from selavpr_model.records import LoopClosure, PoseKind

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class Sketch:
    """The graph of a map at some moment. sessions: the session of each track."""

    graph: MapGraph
    sessions: tuple[str, ...]


def sketch(place_map: PlaceMap, first_free: int = 0) -> Sketch:
    """What can be made straight; rows before `first_free`, and those without odometry, stay."""
    rows = len(place_map)
    odometry = place_map.odometry.array(rows)
    poses, measured = place_map.poses.copy(), odometry['pose'].copy()
    tracks = np.full(rows, -1)
    numbers: dict[tuple[str, int], int] = {}
    posed, segments = ~np.isnan(poses[:, 0, 0]), odometry['segment'].tolist()
    for row, session in enumerate(place_map.table.session_of_rows()[:rows]):
        segment, unaligned = segments[row], session in place_map.unaligned_sessions
        if not posed[row] or (segment < 0 and not unaligned):
            continue
        if segment < 0:  # of an unaligned session; its poses are all that is known of odometry
            measured[row] = poses[row]
        tracks[row] = numbers.setdefault((session, segment), len(numbers))
    sessions = tuple(session for session, _ in numbers)
    first = {session: k for k, session in reversed(list(enumerate(sessions)))}
    aligned = np.array(
        [s not in place_map.unaligned_sessions and first[s] == k for k, s in enumerate(sessions)],
        bool,
    )
    fixed = (tracks < 0) | (np.arange(rows) < first_free)
    graph = MapGraph(poses, tracks, measured, aligned, fixed, place_map.links.copy())
    return Sketch(graph, sessions)


def apply(place_map: PlaceMap, drawn: Sketch, straight: Straight) -> list[str]:
    """Give the map these poses and weights; the sessions that are now in its frame."""
    there = [k for k, each in straight.alignments.items() if each.T_map_run is not None]
    unaligned = {*place_map.unaligned_sessions} & {*drawn.sessions}
    whole = {
        s for s in unaligned if all(k in there for k, o in enumerate(drawn.sessions) if o == s)
    } - _broken_since(place_map, len(drawn.graph.tracks))
    poses = straight.poses.copy()
    for track in there:  # a session has one frame or another, not both
        if drawn.sessions[track] in unaligned - whole:
            rows = drawn.graph.tracks == track
            poses[rows] = drawn.graph.poses[rows]
    place_map.move(_carried_on(place_map, poses))
    place_map.weigh_links(straight.weights)
    place_map.unaligned_sessions -= whole
    for track, each in straight.alignments.items():
        logger.debug('session %r: %s', drawn.sessions[track], each.reason)
    return sorted(whole)


def _broken_since(place_map: PlaceMap, rows: int) -> set[str]:
    """Sessions in which odometry has broken since there were so many rows: nothing says yet where
    the new stretch lies."""
    segments = place_map.odometry.array(len(place_map))['segment'].tolist()
    stretches = list(zip(place_map.table.session_of_rows(), segments, strict=False))
    new = {*stretches[rows:]} - {*stretches[:rows]}
    return {session for session, segment in new if segment >= 0}


def _carried_on(place_map: PlaceMap, poses: np.ndarray) -> np.ndarray:
    """(N, 4, 4) of all places: (n, 4, 4) of the first, and those that odometry has added since."""
    every = place_map.poses.copy()
    every[: len(poses)] = poses
    for row in range(max(len(poses), 1), len(every)):
        before, after = place_map.odometry.get(row - 1), place_map.odometry.get(row)
        same = place_map.places[row - 1].session == place_map.places[row].session
        if same and before is not None and after is not None and before[1] == after[1]:
            every[row] = every[row - 1] @ inverse(before[0]) @ after[0]
    return every


@dataclass(frozen=True, slots=True)
class Report:
    """What became of a map. links: closures with both ends in one frame; refused: of them, those
    that fit nothing else; moved_m: the farthest that a place was moved; aligned: sessions."""

    links: int
    refused: int
    moved_m: float
    aligned: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    def words(self) -> dict[str, object]:
        """Lines for people."""
        return {
            'closures': f'{self.links}, {self.refused} refused as they fit nothing else',
            'farthest move': f'{self.moved_m:.2f} m',
            'aligned sessions': ', '.join(self.aligned) or 'none',
        }


def optimize_map(path: Path, out: Path | None = None, overwrite: bool = False) -> Report:
    """Make a saved map straight, at `path` or in the folder `out`; thresholds are measured again.

    A kill at any moment leaves the old map or the new one.
    """
    target = path if out is None else out
    writer.require_free(target, overwrite or out is None)
    place_map = open_map(path)
    report = optimize(place_map, GraphConfig())
    recalibrate(place_map, progress=True)
    save_map(place_map, target, overwrite or out is None)
    return report


def optimize(place_map: PlaceMap, config: GraphConfig, first_free: int = 0) -> Report:
    """Make the whole map straight, now."""
    drawn = sketch(place_map, first_free)
    straight = straighten(drawn.graph, config)
    aligned = apply(place_map, drawn, straight)
    apart = np.linalg.norm((place_map.poses - drawn.graph.poses)[:, :3, 3], axis=1)
    still = np.array([place.session not in aligned for place in place_map.places], bool)
    weights = place_map.links['weight']
    return Report(
        len(weights), int((weights < JOINS).sum()),
        float(np.nanmax(np.where(still, apart, 0.0), initial=0.0)), tuple(aligned),
    )  # fmt: skip


class Straightener:
    """Keeps a growing map straight beside the drive.

    A solution is computed in a thread and applied a fixed number of keyframes later, so that a
    replay repeats what a robot did.
    """

    def __init__(self, place_map: PlaceMap, config: GraphConfig, first_free: int) -> None:
        """first_free: rows of earlier runs, before it, stay where they are."""
        self._map, self._config, self._first_free = place_map, config, first_free
        self._pool = ThreadPoolExecutor(1, thread_name_prefix='selavpr_straighten')
        self._running: tuple[int, Sketch, Future[Straight]] | None = None
        self._news = False

    def link(self, before: int, after: int, closure: LoopClosure, spacing_m: float) -> None:
        """Join two rows; spacing_m: distance of consecutive keyframes."""
        self._map.link(before, after, *measured(closure, spacing_m, self._config))
        self._news = self._config.enabled

    def step(self) -> bool:
        """To be called before each keyframe; applies what is due and starts what is new. Whether
        something was applied."""
        rows = len(self._map)
        is_due = self._running is not None and rows >= self._running[0]
        if self._running is not None and is_due:
            _, drawn, solution = self._running
            self._running = None
            self._say(apply(self._map, drawn, solution.result()))
        if self._news and self._running is None:
            drawn = sketch(self._map, self._first_free)
            solution = self._pool.submit(straighten, drawn.graph, self._config)
            self._running = rows + self._config.wait_keyframes, drawn, solution
            self._news = False
        return is_due

    def finish(self) -> Report | None:
        """Everything known so far, at once; None where nothing is made straight."""
        self._running, self._news = None, False
        if not self._config.enabled or not len(self._map):
            return None
        report = optimize(self._map, self._config, self._first_free)
        self._say(report.aligned)
        return report

    def _say(self, aligned: Sequence[str]) -> None:
        for session in aligned:
            logger.info('session %r is aligned with the map', session)


def measured(
    closure: LoopClosure, spacing_m: float, config: GraphConfig
) -> tuple[np.ndarray, np.ndarray, bool]:
    """What a verified closure says of T_before_after: pose, covariance (6, 6), whether metric.

    Without metres the keyframes are about as far apart as neighbours are, spacing_m; the rotation
    is that of two views where it was seen.
    """
    if closure.pose_kind is PoseKind.METRIC:
        assert closure.pose is not None and closure.covariance is not None
        return closure.pose, closure.covariance, True
    pose, near = np.eye(4), max(config.min_link_m, spacing_m)
    turn = math.radians(config.place_deg) ** 2 * np.eye(3)
    if closure.pose is not None and closure.covariance is not None:
        pose[:3, :3], turn = closure.pose[:3, :3], closure.covariance[3:, 3:]
    covariance = np.zeros((6, 6))
    covariance[:3, :3], covariance[3:, 3:] = near**2 * np.eye(3), turn
    return pose, covariance, False
