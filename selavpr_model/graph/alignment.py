# SPDX-License-Identifier: MIT
"""One frame for two runs, from the metric closures between them: only where enough of them agree.

Each closure by itself says where one run lies in the other. A wrong one says anything; so the
frame is that of the closure with which most others agree, and there is none where these are few,
near each other, or not the larger part.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
import math

import numpy as np

from selavpr_model.config import GraphConfig
from selavpr_model.graph.pose_graph import Edges, solve, uncertainty
from selavpr_model.graph.rotations import log
from selavpr_model.poses import inverse

REACH = 3.0  # standard deviations within which two closures agree
LEAST_SHARE = 0.5  # of the metric closures must agree


@dataclass(frozen=True, slots=True, eq=False)
class Sighting:
    """A metric closure between two frames. place: (4, 4) T_map_camera of the keyframe that is in
    the frame of the map; seen: (4, 4) T_place_camera of the other keyframe, with covariance (6, 6)
    along the axes of the place; own: (4, 4) of that keyframe in the frame of its run; row: its.
    """

    place: np.ndarray
    seen: np.ndarray
    covariance: np.ndarray
    own: np.ndarray
    row: int

    @property
    def frame(self) -> np.ndarray:
        """(4, 4) T_map_run that it speaks for."""
        return self.place @ self.seen @ inverse(self.own)

    @property
    def sigma(self) -> tuple[float, float]:
        """Largest standard deviations of position, m, and rotation, rad."""
        parts = self.covariance[:3, :3], self.covariance[3:, 3:]
        position, turn = (math.sqrt(float(np.linalg.eigvalsh(part)[-1])) for part in parts)
        return position, turn


@dataclass(frozen=True, slots=True, eq=False)
class Alignment:
    """Where a run lies in the map. T_map_run: (4, 4), None: not known, see reason; covariance:
    (6, 6) of the run's keyframes in the middle of those seen, m^2 and rad^2, along the axes of the
    map; agreeing: of so many metric closures.
    """

    reason: str
    agreeing: int
    T_map_run: np.ndarray | None = None
    covariance: np.ndarray | None = None


def align(sightings: Sequence[Sighting], config: GraphConfig) -> Alignment:
    """The frame that most metric closures agree on; never one from few or near ones."""
    if len(sightings) < config.min_metric:
        return Alignment(f'{len(sightings)} metric closures, {config.min_metric} needed', 0)
    groups = [[s for s in sightings if agree(one, s, config)] for one in sightings]
    best = max(groups, key=len)
    said = f'{len(best)} of {len(sightings)} metric closures agree'
    if len({s.row for s in best}) < config.min_metric or len(best) < LEAST_SHARE * len(sightings):
        return Alignment(f'{said}, {config.min_metric} and half of them needed', len(best))
    ways = np.ptp([s.own[:3, 3] for s in best], axis=0)
    if float(np.linalg.norm(ways)) < config.min_span_m:
        return Alignment(f'{said}, all within {config.min_span_m:g} m', len(best))
    T, covariance = _fitted(best, config)
    sigma = np.sqrt(np.linalg.eigvalsh(covariance[:3, :3])[-1])
    turn = math.degrees(np.sqrt(np.linalg.eigvalsh(covariance[3:, 3:])[-1]))
    said = f'{said}, to {sigma:.2f} m and {turn:.1f} degrees'
    if sigma > config.max_aligned_m or turn > config.max_aligned_deg:
        return Alignment(f'{said}, too uncertain', len(best))
    return Alignment(said, len(best), T, covariance)


def agree(one: Sighting, other: Sighting, config: GraphConfig) -> bool:
    """Whether the other closure is where the frame of the first one puts it, as far as both and
    the odometry between them are certain."""
    off = inverse(other.place @ other.seen) @ one.frame @ other.own
    lever = float(np.linalg.norm(other.own[:3, 3] - one.own[:3, 3]))
    (a, turn_a), (b, turn_b) = one.sigma, other.sigma
    drift_m, drift = odometry_sigma(lever, config)
    turned = math.hypot(turn_a, turn_b, drift)
    moved = math.hypot(a, b, drift_m, lever * math.hypot(turn_a, drift))
    far = float(np.linalg.norm(off[:3, 3]))
    return far <= REACH * moved and float(np.linalg.norm(log(off[None, :3, :3]))) <= REACH * turned


def odometry_sigma(way_m: float, config: GraphConfig) -> tuple[float, float]:
    """Standard deviations of a motion by odometry: m, rad."""
    root = math.sqrt(way_m)
    return config.odometry_m * root, math.radians(config.odometry_deg) * root


def _fitted(best: Sequence[Sighting], config: GraphConfig) -> tuple[np.ndarray, np.ndarray]:
    """T_map_run of all that agree, and its covariance in the middle of them.

    A graph of one free vertex: the middle of the keyframes seen, with the run's axes.
    """
    middle = np.eye(4)
    middle[:3, 3] = np.mean([s.own[:3, 3] for s in best], axis=0)
    count = len(best)
    motions = np.stack([s.seen @ inverse(s.own) @ middle for s in best])
    spread = [_carried(s, middle, config) for s in best]
    start = best[0].frame @ middle
    poses = np.stack([*(s.place for s in best), start])
    edges = Edges(
        np.arange(count), np.full(count, count), motions, np.stack(spread), np.zeros(count, bool)
    )
    fixed = np.arange(count + 1) < count
    solution = solve(poses, edges, fixed)
    C = uncertainty(solution, edges, fixed, count)
    return solution.poses[count] @ inverse(middle), C


def _carried(sighting: Sighting, middle: np.ndarray, config: GraphConfig) -> np.ndarray:
    """(6, 6) of T_place_middle along the axes of the place: the closure's own, which its rotation
    carries over the way to the middle, and that of the odometry on this way."""
    arm = sighting.seen[:3, :3] @ (inverse(sighting.own) @ middle)[:3, 3]
    lever = np.eye(6)
    x, y, z = -arm
    lever[:3, 3:] = [[0, -z, y], [z, 0, -x], [-y, x, 0]]
    shift, turn = odometry_sigma(float(np.linalg.norm(arm)), config)
    drift = np.diag([shift**2 + (turn * float(np.linalg.norm(arm))) ** 2 / 3] * 3 + [turn**2] * 3)
    carried: np.ndarray = lever @ sighting.covariance @ lever.T + drift
    return carried
