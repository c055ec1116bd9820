# SPDX-License-Identifier: MIT
"""What a map knows about where its places lie, and where they lie best."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
import math

import numpy as np

from selavpr_model.config import GraphConfig
from selavpr_model.graph.alignment import align, Alignment, Sighting
from selavpr_model.graph.pose_graph import Edges, joined_edges, solve

OURS, NOWHERE = -1, -2  # frames: that of the map, none
LEAST_M, LEAST_DEG = 0.01, 0.05  # sigma of odometry between keyframes however near


@dataclass(frozen=True, slots=True, eq=False)
class MapGraph:
    """poses: (N, 4, 4), all NaN where none: of the map, or of the frame of the track's own;
    tracks: (N,) the stretch of odometry of each row, -1: none; odometry: (N, 4, 4) T_odom_camera;
    aligned: (tracks,) bool, whether poses of a track are in the frame of the map; fixed: (N,)
    bool, rows that stay; links: (M,) LINK.
    """

    poses: np.ndarray
    tracks: np.ndarray
    odometry: np.ndarray
    aligned: np.ndarray
    fixed: np.ndarray
    links: np.ndarray

    @property
    def frames(self) -> np.ndarray:
        """(N,) -1: the frame of the map, -2: no pose, else the track in whose own frame it is."""
        known = self.tracks >= 0
        own = (
            known & ~self.aligned[np.where(known, self.tracks, 0)] if len(self.aligned) else known
        )
        return np.where(np.isnan(self.poses[:, 0, 0]), NOWHERE, np.where(own, self.tracks, OURS))


@dataclass(frozen=True, slots=True, eq=False)
class Straight:
    """poses: (N, 4, 4); weights: (M,) of the links; alignments: track -> what became of it, of
    those that were in a frame of their own."""

    poses: np.ndarray
    weights: np.ndarray
    alignments: dict[int, Alignment]


def straighten(graph: MapGraph, config: GraphConfig) -> Straight:
    """Align what can be aligned, then move all that is not fixed to where everything fits best."""
    graph, alignments = _aligned(graph, config)
    vertices = np.flatnonzero(graph.frames > NOWHERE)
    number = np.full(len(graph.poses), -1)
    number[vertices] = np.arange(len(vertices))
    used = _inside(graph)
    edges = joined_edges(_odometry(graph, number, config), _closures(graph, number, used, config))
    solution = solve(graph.poses[vertices], edges, _held(graph, used)[vertices])
    poses, weights = graph.poses.copy(), graph.links['weight'].copy()
    poses[vertices] = solution.poses
    weights[used] = solution.weights[len(edges) - len(used) :]
    return Straight(poses, weights, alignments)


def _aligned(graph: MapGraph, config: GraphConfig) -> tuple[MapGraph, dict[int, Alignment]]:
    """The graph with all tracks in the frame of the map that closures put there.

    A track that is aligned may be what another one is aligned by.
    """
    said: dict[int, Alignment] = {}
    waiting = [track for track in range(len(graph.aligned)) if not graph.aligned[track]]
    while waiting:
        found = {track: align(_sightings(graph, track), config) for track in waiting}
        said |= found
        best = max(
            waiting, key=lambda track: (found[track].T_map_run is not None, found[track].agreeing)
        )
        T = found[best].T_map_run
        if T is None:
            break
        graph = _moved(graph, best, T)
        waiting.remove(best)
    return graph, said


def _moved(graph: MapGraph, track: int, T_map_run: np.ndarray) -> MapGraph:
    poses, aligned = graph.poses.copy(), graph.aligned.copy()
    poses[graph.tracks == track] = T_map_run @ poses[graph.tracks == track]
    aligned[track] = True
    return replace(graph, poses=poses, aligned=aligned)


def _sightings(graph: MapGraph, track: int) -> list[Sighting]:
    """The metric closures between a track and the frame of the map, whichever end is which."""
    return list(_seen(graph, track))


def _seen(graph: MapGraph, track: int) -> Iterator[Sighting]:
    frames, poses = graph.frames, graph.poses
    for link in graph.links[graph.links['metric'] == 1]:
        before, after = int(link['before']), int(link['after'])
        if frames[before] == OURS and frames[after] == track:
            yield Sighting(poses[before], link['pose'], link['covariance'], poses[after], after)
        elif frames[after] == OURS and frames[before] == track:
            back, C = turned_around(link['pose'], link['covariance'])
            yield Sighting(poses[after], back, C, poses[before], before)


def turned_around(T_a_b: np.ndarray, covariance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """T_b_a and its covariance along the axes of b, from that along the axes of a."""
    R = T_a_b[:3, :3].T
    x, y, z = T_a_b[:3, 3]
    J = np.zeros((6, 6))
    J[:3, :3], J[3:, 3:] = -R, -R
    J[:3, 3:] = -R @ np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    back = np.eye(4)
    back[:3, :3], back[:3, 3] = R, -R @ T_a_b[:3, 3]
    return back, J @ covariance @ J.T


def _inside(graph: MapGraph) -> np.ndarray:
    """(m,) the links whose ends have poses in one frame."""
    frames = graph.frames
    before, after = frames[graph.links['before']], frames[graph.links['after']]
    return np.flatnonzero((before == after) & (before > NOWHERE))


def _held(graph: MapGraph, used: np.ndarray) -> np.ndarray:
    """(N,) bool, rows that stay: those asked for, those of frames in which nothing closes, and the
    first of each frame where none was asked for."""
    held, frames = graph.fixed.copy(), graph.frames
    closed = {*frames[graph.links['before'][used]].tolist()}
    for frame in np.unique(frames[frames > NOWHERE]).tolist():
        rows = np.flatnonzero(frames == frame)
        if frame not in closed:
            held[rows] = True
        elif not held[rows].any():
            held[rows[0]] = True
    return held


def _odometry(graph: MapGraph, number: np.ndarray, config: GraphConfig) -> Edges:
    """The motions between consecutive rows of each track."""
    order = np.lexsort((np.arange(len(graph.tracks)), graph.tracks))
    order = order[(graph.tracks[order] >= 0) & (number[order] >= 0)]
    first, second = order[:-1], order[1:]
    same = graph.tracks[first] == graph.tracks[second]
    first, second = first[same], second[same]
    motion = np.linalg.inv(graph.odometry[first]) @ graph.odometry[second]
    way = np.linalg.norm(motion[:, :3, 3], axis=1)
    shift = config.odometry_m**2 * way + LEAST_M**2
    turn = math.radians(config.odometry_deg) ** 2 * way + math.radians(LEAST_DEG) ** 2
    covariance = np.zeros((len(first), 6, 6))
    covariance[:, range(3), range(3)] = shift[:, None]
    covariance[:, range(3, 6), range(3, 6)] = turn[:, None]
    certain = np.ones(len(first), bool)
    return Edges(number[first], number[second], motion, covariance, certain)


def _closures(graph: MapGraph, number: np.ndarray, used: np.ndarray, config: GraphConfig) -> Edges:
    links = graph.links[used]
    certain = np.zeros(len(links), bool)
    return Edges(
        number[links['before']], number[links['after']], np.array(links['pose']),
        np.array(links['covariance']), certain,
    )  # fmt: skip
