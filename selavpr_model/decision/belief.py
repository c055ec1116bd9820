# SPDX-License-Identifier: MIT
"""Belief over places from a sequence of frames: a discrete Bayes filter with an off-map state.

One image of a changed place is weak evidence, and a look-alike street is strong evidence for the
wrong one. Frames that agree with each other *and* with the robot's motion are neither. After
Xu et al., "Probabilistic Visual Place Recognition for Hierarchical Localization" (2020).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
import math

import numpy as np

from selavpr_model.config import TemporalConfig
from selavpr_model.decision.evidence import by_matches, Evidence, shared
from selavpr_model.decision.modes import grouped, joined, largest, Mode, tree_of
from selavpr_model.matching.nearest import count_mutual
from selavpr_model.poses import inverse
from selavpr_model.records import Candidate

# The most believed places are moved one by one; what the others hold is nearly flat and stays.
ACTIVE = 500
MODES = 10  # places looked at as the centre of the belief
FAINT = 0.001  # of the belief in the best place: what holds less parts modes
MOST_IN_MODES = 200  # places; a belief that is spread over more knows nothing
MEASURED_AGAIN = 1.1  # times as many places as when their spacing was measured
REACH = 3.0  # standard deviations of motion that are followed
FAR_M = 1e7  # between places whose poses have no common frame


@dataclass(frozen=True, slots=True)
class Belief:
    """Where the robot is thought to be after a frame.

    rows: the places around the most probable one; mass: their probability together; on_map: the
    probability of being anywhere in the map; evidence: what the frame itself says for the best of
    these places, nat; mode: around the most probable place.
    """

    rows: frozenset[int]
    mass: float
    on_map: float
    evidence: float
    mode: Mode = field(default_factory=Mode)


@dataclass(frozen=True, slots=True, eq=False)
class Moment:
    """When, where and what a frame saw. odom: (4, 4) T_odom_camera or None where it is not known;
    view: (cells, C), PlaceMap.code of the frame.
    """

    stamp_ns: int
    odom: np.ndarray | None
    view: np.ndarray

    def motion_to(self, later: Moment) -> np.ndarray | None:
        """(4, 4) T_before_after of the camera; None when either end is not known."""
        if self.odom is None or later.odom is None:
            return None
        return inverse(self.odom) @ later.odom


class TemporalBelief:
    """Probability of each place and of none, updated frame by frame."""

    def __init__(
        self, poses: np.ndarray, config: TemporalConfig, radius_m: float, angle_deg: float,
        segments: int | np.ndarray = 0, evidence: Evidence = by_matches,
        looks: np.ndarray | None = None,
    ) -> None:  # fmt: skip
        """poses, segments: as for `grow`; radius_m, angle_deg: places this near are one place;
        evidence: what a frame's candidates say for their places; looks: rows of other looks, as
        `shared` takes them, None: there is none."""
        self._evidence_of = evidence
        self._looks = np.empty((0, 0), np.int64) if looks is None else looks
        self._config = config
        self._radius_m, self._cos_same = radius_m, math.cos(math.radians(angle_deg))
        self._poses: np.ndarray = np.empty((0, 4, 4))
        self._belief: np.ndarray = np.empty(0)
        self._segments: np.ndarray = np.empty(0)
        self._links: dict[int, set[int]] = {}
        self._measured = 0  # places whose spacing is known
        self.grow(poses, segments)
        self.reset()

    def __len__(self) -> int:
        return len(self._belief)

    def grow(self, poses: np.ndarray, segments: int | np.ndarray = 0) -> None:
        """Append places that are not believed in yet.

        poses: (n, 4, 4); segments: (n,) of odometry, or the one of all. How the poses of two
        segments relate is not known, as of two runs: no motion leads from one to the other.
        """
        self._belief = np.append(self._belief, np.zeros(len(poses)))
        self._poses = np.concatenate([self._poses, poses])
        self._segments = np.append(self._segments, np.broadcast_to(segments, len(poses)) * FAR_M)
        self._axes = self._poses[:, :3, 2]  # optical axes
        self._positions = self._points(self._poses, self._segments)
        self._tree = tree_of(self._positions)
        extent = np.ptp(self._poses[:, :3, 3], axis=0) if len(self) else np.zeros(3)
        self._extent_m = float(np.linalg.norm(extent))
        if len(self) >= MEASURED_AGAIN * self._measured:
            self._measured, spacing = len(self), self._spacing()
            self._sigma_m = self._config.motion_sigma_m + spacing / 2

    @staticmethod
    def _points(poses: np.ndarray, segments: np.ndarray) -> np.ndarray:
        """(n, 3): positions, and those of other segments so far away that nothing is near."""
        points = poses[:, :3, 3].copy()
        points[:, 0] += segments
        return points

    def _spacing(self) -> float:
        """Median distance of a place to its nearest neighbour, m."""
        if len(self) < 2:
            return 0.0
        nearest = self._tree.query(self._positions, k=2)[0][:, 1]
        near = nearest < FAR_M / 2
        return float(np.median(nearest[near])) if near.any() else 0.0

    @property
    def probabilities(self) -> np.ndarray:
        """(n,) of each place; what is missing to 1 is the probability of being off the map."""
        return self._belief.copy()

    def link(self, a: int, b: int) -> None:
        """Rows a and b show one place, whatever their poses say; as a verified closure does."""
        self._links.setdefault(a, set()).add(b)
        self._links.setdefault(b, set()).add(a)

    def relink(self, links: Mapping[int, Collection[int]]) -> None:
        """Row -> rows that are linked with it; those known so far are forgotten."""
        self._links = {row: {*others} for row, others in links.items()}

    def reset(self, off: float = 0.5) -> None:
        """Know nothing but that the robot is off the map with this probability."""
        self._off = off if len(self) else 1.0
        self._belief = np.full(len(self), (1.0 - self._off) / max(1, len(self)))
        self._anchor: Moment | None = None  # the last frame that counted
        self._modes: dict[int, int] = {}

    def expect(self, weights: np.ndarray, share: float) -> None:
        """Begin anew where somebody says that the robot is. weights: (n,), not negative, of the
        places; share: what they have of the belief that is left to the map."""
        self.reset()
        if len(self) and weights.sum() > 0.0:
            self._belief *= 1.0 - share
            self._belief += (1.0 - self._off) * share * weights / weights.sum()

    def lose_track(self) -> None:
        """How the robot moved since the last frame is not known."""
        if self._anchor is not None:
            self._anchor = replace(self._anchor, odom=None)

    def update(self, here: Moment, candidates: Sequence[Candidate]) -> Belief:
        """Predict with the motion since the last frame that counted, then weigh by the evidence.

        A frame that repeats the last view changes no belief: the same look-alike seen ten times
        is one look-alike. candidates: re-ranked.
        """
        evidence, anchor = self._evidence(candidates), self._anchor
        if anchor is None:
            self._anchor = here
            self._weigh(evidence)
        elif self._is_news(anchor, here):
            self._anchor = here
            self._predict(anchor, here)
            self._weigh(evidence)
        return self._summary(evidence)

    def _is_news(self, anchor: Moment, here: Moment) -> bool:
        """Whether the camera has moved or turned enough; without odometry: sees something else."""
        config, motion = self._config, anchor.motion_to(here)
        if motion is None:
            same = int(count_mutual(here.view, [anchor.view])[0]) / len(here.view)
            return 1.0 - same >= config.independent_view
        turned = math.degrees(math.acos(float(np.clip(motion[2, 2], -1.0, 1.0))))
        moved = float(np.linalg.norm(motion[:3, 3]))
        return moved >= config.independent_m or turned >= config.independent_deg

    def _predict(self, anchor: Moment, here: Moment) -> None:
        """Move the belief on; some of it leaves the map, some of what is off enters it."""
        config, motion = self._config, anchor.motion_to(here)
        if motion is None:  # anywhere within reach, most likely where it was
            seconds = max(0.0, (here.stamp_ns - anchor.stamp_ns) * 1e-9)
            spread, motion = self._sigma_m + config.speed_mps * seconds, np.eye(4)
        else:
            moved = float(np.linalg.norm(motion[:3, 3]))
            spread = self._sigma_m + config.motion_sigma_ratio * moved
        stayed = (1 - config.leave_probability) * self._moved(motion, spread)
        entered = self._off * config.enter_probability
        self._off = max(0.0, 1.0 - float(stayed.sum()) - entered)
        self._belief = stayed + entered / len(stayed)

    def _moved(self, motion: np.ndarray, spread_m: float) -> np.ndarray:
        """The belief after a motion (4, 4) T_before_after of the camera.

        Each place hands its belief to those near where the motion leads from it; where there are
        too few, at the edge of the map, the rest leaves the map.
        """
        count = len(self._belief)
        if REACH * spread_m > self._extent_m:  # it can be anywhere by now
            return np.full(count, float(self._belief.sum()) / count)
        rows = largest(self._belief, ACTIVE)
        rest = self._belief.copy()
        rest[rows] = 0.0
        led = (self._poses[rows].reshape(-1, 4) @ motion).reshape(-1, 4, 4)
        tree = tree_of(self._points(led, self._segments[rows]))
        near = tree.sparse_distance_matrix(self._tree, REACH * spread_m, output_type='ndarray')
        source, target = near['i'], near['j']
        share = self._closeness(near['v'], led[:, :3, 2][source], target, spread_m)
        total = np.bincount(source, share, minlength=len(rows))
        share *= (self._belief[rows] / np.maximum(total, 1.0))[source]
        return np.bincount(target, share, minlength=count) + rest

    def _closeness(
        self, distances: np.ndarray, axes: np.ndarray, target: np.ndarray, spread_m: float
    ) -> np.ndarray:
        """exp(-(distance / spread)^2 / 2 - (angle / spread)^2 / 2), (n,)."""
        cosines = np.einsum('ni,ni->n', axes, self._axes[target])
        angles = np.arccos(np.clip(cosines, -1.0, 1.0, out=cosines), out=cosines)
        turned = (angles / math.radians(self._config.turn_sigma_deg)) ** 2
        return np.exp(-0.5 * ((distances / spread_m) ** 2 + turned))

    def _evidence(self, candidates: Sequence[Candidate]) -> np.ndarray:
        """What this frame says for each place, (N,) nat; nothing where nothing was retrieved."""
        if not candidates:
            return np.zeros_like(self._belief)
        evidence = np.full_like(self._belief, self._config.missed_evidence)
        evidence[[c.row for c in candidates]] = self._evidence_of(candidates, self._config)
        return shared(evidence, self._looks)

    def _weigh(self, evidence: np.ndarray) -> None:
        """Bayes' rule; the off-map state explains any frame equally well (evidence 0)."""
        self._belief *= np.exp(evidence)
        total = float(self._belief.sum()) + self._off
        self._belief /= total
        self._off /= total

    def _summary(self, evidence: np.ndarray) -> Belief:
        """The place with the most probability around it, and the mode that it belongs to."""
        most = largest(self._belief, MOST_IN_MODES)
        top = most[:MODES]
        around = self._around(top)
        masses = [float(self._belief[rows].sum()) for rows in around]
        best = int(np.argmax(masses))
        rows = around[best]
        self._modes = self._find_modes(most)
        mode = self._mode_of(int(top[best]))
        spoken = float(evidence[rows].max())
        return Belief(
            frozenset(rows.tolist()), masses[best], 1.0 - self._off, spoken, mode,
        )  # fmt: skip

    def _find_modes(self, rows: np.ndarray) -> dict[int, int]:
        """Row -> number of its mode, of rows (n,), best first, that hold a share of the belief."""
        rows = rows[self._belief[rows] >= FAINT * self._belief[rows[0]]]
        where = self._positions[rows], self._axes[rows]
        labels = grouped(*where, self._radius_m, self._cos_same, joined(rows, self._links))
        return dict(zip(rows.tolist(), labels.tolist(), strict=True))

    def _mode_of(self, row: int) -> Mode:
        """The mode that a place belongs to; of a place that holds next to nothing its own."""
        number = self._modes.get(row)
        if number is None:
            rows = self._around(np.array([row]))[0].tolist()
        else:
            rows = [r for r, other in self._modes.items() if other == number]
        share = dict(zip(rows, self._belief[rows].tolist(), strict=True))
        return Mode(share, sum(share.values()))

    def mass_of(self, row: int) -> float:
        """The probability of the mode that a place belongs to."""
        return self._mode_of(row).mass

    def _around(self, rows: np.ndarray) -> list[np.ndarray]:
        """For each of the rows (n,) those that show the same place, itself included."""
        close = self._close(rows)
        return [self._with_linked(near) for near in close] if self._links else close

    def _with_linked(self, near: np.ndarray) -> np.ndarray:
        """Rows and those around what closures join them with."""
        linked = set().union(*(self._links.get(r, ()) for r in near.tolist())) - set(near.tolist())
        others = np.array(sorted(r for r in linked if r < len(self)), np.int64)
        return np.unique(np.concatenate([near, *self._close(others)])) if len(others) else near

    def _close(self, rows: np.ndarray) -> list[np.ndarray]:
        found = self._tree.query_ball_point(self._positions[rows], self._radius_m)
        near = [np.array(one) for one in found]
        return [
            one[self._axes[one] @ self._axes[row] >= self._cos_same]
            for row, one in zip(rows, near, strict=True)
        ]
