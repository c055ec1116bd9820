# SPDX-License-Identifier: MIT
"""Where the vehicle drives: poses T_map_base of every frame (metres, radians)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from town.layout import Layout, rng_of

LANE = 1.35  # m to the right of the centre line
TURN_RADIUS = 18.0  # m of path over which the heading of a corner is spread
HORIZONTAL_FOV_DEG = 86.0
STEP = 0.05  # m, sampling of the path
CAMERA_HEIGHT, CAMERA_FORWARD, CAMERA_PITCH = 1.55, 0.6, np.deg2rad(-7.0)  # pitch: up is negative

# Junctions (column, row) in driving order; the path starts and ends inside the first street.
RUNS = {
    'summer': (((1, 1), (3, 1), (3, 2), (1, 2), (1, 1), (3, 1)), 12.0, 62.0),
    'winter': (((1, 1), (3, 1), (4, 1), (4, 2), (3, 2), (1, 2), (1, 1), (3, 1)), 10.0, 52.0),
    'autumn': (((1, 1), (3, 1), (3, 2), (1, 2), (1, 1), (3, 1)), 11.0, 57.0),
}


@dataclass(frozen=True, slots=True)
class Path:
    """Densely sampled path: arc length (n,), xy (n, 2), yaw (n,)."""

    s: np.ndarray
    xy: np.ndarray
    yaw: np.ndarray

    def pose(self, s: np.ndarray) -> np.ndarray:
        """(m, 3) x, y, yaw at arc lengths (m,)."""
        return np.stack(
            [np.interp(s, self.s, c) for c in (self.xy[:, 0], self.xy[:, 1], self.yaw)], axis=1
        )


def _right_lane(points: np.ndarray) -> np.ndarray:
    """Shift a polyline (n, 2) to its right by the lane offset, mitred."""
    along = np.diff(points, axis=0)
    along /= np.linalg.norm(along, axis=1)[:, None]
    right = np.stack([along[:, 1], -along[:, 0]], 1)
    shifted = [points[0] + LANE * right[0]]
    for k in range(1, len(points) - 1):
        if abs(float(np.cross(along[k - 1], along[k]))) < 0.2:
            mean = right[k - 1] + right[k]
            shifted.append(points[k] + LANE * mean / np.linalg.norm(mean))
            continue
        matrix = np.stack([right[k - 1], right[k]])
        shifted.append(np.linalg.solve(matrix, matrix @ points[k] + LANE))
    return np.array([*shifted, points[-1] + LANE * right[-1]])


def _smooth(points: np.ndarray) -> Path:
    """Round the corners by a moving average of the path and of its heading."""
    legs = np.diff(points, axis=0)
    lengths = np.linalg.norm(legs, axis=1)
    s = np.arange(0.0, lengths.sum(), STEP)
    knots = np.concatenate([[0.0], np.cumsum(lengths)])
    xy = np.stack([np.interp(s, knots, points[:, k]) for k in range(2)], axis=1)
    for _ in range(2):
        xy = _average(xy, int(TURN_RADIUS / STEP))
    return _along(xy)


def _along(xy: np.ndarray) -> Path:
    """Path with arc length and heading from dense points (n, 2)."""
    direction = np.gradient(xy, axis=0)
    yaw = np.unwrap(np.arctan2(direction[:, 1], direction[:, 0]))
    travelled = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(xy, axis=0), axis=1))])
    return Path(travelled, xy, yaw)


def _average(values: np.ndarray, width: int) -> np.ndarray:
    """Moving average of columns (n, k) with repeated ends."""
    padded = np.pad(values, ((width // 2, width - 1 - width // 2), (0, 0)), mode='edge')
    sums = np.cumsum(np.pad(padded, ((1, 0), (0, 0))), axis=0)
    return (sums[width:] - sums[:-width]) / width


def path(layout: Layout, run: str) -> Path:
    """The driven path of a run in the right lane, without offsets."""
    nodes, skip, rest = RUNS[run]
    points = _right_lane(np.array([layout.junctions[n] for n in nodes]))
    whole = _smooth(points)
    last = float(np.linalg.norm(points[-1] - points[-2]))
    keep = (whole.s >= skip) & (whole.s <= whole.s[-1] - last + rest)
    return Path(whole.s[keep] - whole.s[keep][0], whole.xy[keep], whole.yaw[keep])


def _wave(rng: np.random.Generator, s: np.ndarray, amplitude: float) -> np.ndarray:
    """Smooth random offset within +-amplitude along arc length s (m)."""
    waves = [
        np.sin(2 * np.pi * s / rng.uniform(*span) + rng.uniform(0, 2 * np.pi))
        for span in ((70, 110), (28, 45), (14, 20))
    ]
    return amplitude * (0.55 * waves[0] + 0.33 * waves[1] + 0.12 * waves[2])


def _stops(driven: Path, spacing: float) -> np.ndarray:
    """Arc lengths of the images: closer together where the path turns."""
    bend = np.abs(np.gradient(driven.yaw, driven.s))
    bend = _average(np.minimum(bend, 0.1)[:, None], int(12 / STEP))[:, 0]
    images = np.concatenate([[0.0], np.cumsum(STEP / (spacing * (1.08 - 4.5 * bend)))])[:-1]
    return np.interp(np.arange(int(images[-1]) + 1), images, driven.s)


def frames(layout: Layout, run: str, spacing: float) -> np.ndarray:
    """(n, 3) x, y, yaw of the vehicle at every image, about `spacing` metres apart."""
    line = path(layout, run)
    rng = rng_of(layout.seed, 'drive-' + run)
    wide = run != 'summer'
    offset = _wave(rng, line.s, 1.2 if wide else 0.15)
    driven = _along(line.xy + offset[:, None] * np.stack([-np.sin(line.yaw), np.cos(line.yaw)], 1))
    s = _stops(driven, spacing)
    poses = driven.pose(s)
    poses[:, 2] += _wave(rng, s, np.deg2rad(5.0 if wide else 0.6))
    return poses


def T_base_camera() -> np.ndarray:
    """Camera (optical: z forward, x right, y down) in base_link (x forward, y left, z up)."""
    c, s = np.cos(CAMERA_PITCH), np.sin(CAMERA_PITCH)
    T_base_mount = np.array(
        [[c, 0, s, CAMERA_FORWARD], [0, 1, 0, 0], [-s, 0, c, CAMERA_HEIGHT], [0, 0, 0, 1.0]]
    )
    T_mount_optical = np.array([[0, 0, 1, 0], [-1, 0, 0, 0], [0, -1, 0, 0], [0, 0, 0, 1.0]])
    return T_base_mount @ T_mount_optical


def T_map_base(pose: np.ndarray) -> np.ndarray:
    """(3,) x, y, yaw to (4, 4)."""
    x, y, yaw = pose
    c, s = np.cos(yaw), np.sin(yaw)
    return np.array([[c, -s, 0, x], [s, c, 0, y], [0, 0, 1, 0], [0, 0, 0, 1.0]])
