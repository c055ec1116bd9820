# SPDX-License-Identifier: MIT
"""The pose of a query in metres, from keyframes whose poses, and perhaps depths, are known.

One adjustment of the query's pose over all its matches. A point is seen by the query and by one
or more keyframes; it is not an unknown of its own but follows from their rays (and depths).
What keyframes disagree about, no residual of the adjustment tells: it is redone without each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.spatial.transform import Rotation

from selavpr_model.config import GeometryConfig
from selavpr_model.geometry.robust_fit import (
    blocks_of,
    bounded,
    descend,
    pseudo_inverse,
    rotation,
    sandwich,
)
from selavpr_model.geometry.two_view import Matches

MOST = 800  # points, those first that most keyframes see
COARSE = 8.0
NEAR_M = 0.1  # no point is nearer
PRIOR = (0.2, 1.0)  # 1/m, inverse distance of a point of which nothing is known, and its sigma
DEPTH_RATIO = 0.03  # standard deviation of a depth over the depth


@dataclass(frozen=True, slots=True, eq=False)
class Reference:
    """A keyframe with a pose. pose: (4, 4) T_map_camera; depth: (M,) m along each matched ray's
    z, NaN where not known; rotation: (3, 3) R_reference_query; mask: (M,) bool, the inliers.
    """

    pose: np.ndarray
    matches: Matches
    rotation: np.ndarray
    mask: np.ndarray
    depth: np.ndarray | None = None


@dataclass(frozen=True, slots=True, eq=False)
class MetricPose:
    """pose: (4, 4) T_map_camera and covariance: (6, 6) as in Recognition, None: see reason."""

    points: int
    reason: str
    pose: np.ndarray | None = None
    covariance: np.ndarray | None = None
    angle_deg: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class Tracks:
    """Query cells with what each keyframe sees of them, in the map frame.

    query (N, 3) in the camera; rays (N, V, 3), zero where not seen; seen (N, V); centres (V, 3);
    distance (N, V) m, NaN: not measured; noise (V,) rad.
    """

    query: np.ndarray
    pixels: np.ndarray
    rays: np.ndarray
    seen: np.ndarray
    centres: np.ndarray
    distance: np.ndarray
    noise: float


def metric_pose(references: Sequence[Reference], config: GeometryConfig) -> MetricPose:
    """A pose, or the reason why there is none; never raises for hard input."""
    fit = _certain_enough(_fit(references, config), config)
    if fit.covariance is None or fit.pose is None or len(references) < 3:
        return fit
    C = bounded(fit.covariance + jackknife(fit.pose, references, config))
    return _certain_enough(replace(fit, covariance=C), config)


def jackknife(
    T_map_camera: np.ndarray, references: Sequence[Reference], config: GeometryConfig
) -> np.ndarray:
    """(6, 6) covariance by how the pose changes without each keyframe: Tukey's delete-one
    jackknife, on average not too small (Efron and Stein 1981).

    In another season all matches with a keyframe err together, which blocks of the image cannot
    tell. Each fit starts from afar: one to four steps from the pose of all keep half its error.
    """
    count, moved = len(references), list[np.ndarray]()
    for i in range(count):
        other = _fit([*references[:i], *references[i + 1 :]], config).pose
        if other is not None:
            turn = Rotation.from_matrix(other[:3, :3] @ T_map_camera[:3, :3].T).as_rotvec()
            moved.append(np.r_[other[:3, 3] - T_map_camera[:3, 3], turn])
    by = np.reshape(moved, (-1, 6))
    return (count - 1) / count * by.T @ by


def _certain_enough(fit: MetricPose, config: GeometryConfig) -> MetricPose:
    """A pose whose position is less certain than config.max_position_m is taken away."""
    if fit.covariance is None:
        return fit
    sigma = float(np.sqrt(np.linalg.eigvalsh(fit.covariance[:3, :3])[-1]))
    if sigma <= config.max_position_m:
        return fit
    why = f'position known to {sigma:.2f} m only, {config.max_position_m:g} m allowed'
    return replace(fit, reason=why, pose=None, covariance=None)


def _fit(references: Sequence[Reference], config: GeometryConfig) -> MetricPose:
    """The pose of all keyframes, however well it is known."""
    if not references:
        return MetricPose(0, 'no keyframe with a pose agrees')
    tracks = join(references)
    scaled = np.isfinite(tracks.distance).any(axis=1)
    if len(references) == 1 and not scaled.any():
        return MetricPose(0, 'one keyframe without depth: the distance is not known')
    angle = _angles(tracks)
    fixed = scaled | (angle > np.radians(config.min_baseline_deg))
    if fixed.sum() < config.min_inliers:
        why = f'{fixed.sum()} points with depth or a baseline, {config.min_inliers} needed'
        return MetricPose(int(fixed.sum()), why)
    fits = [_adjust(tracks, r.pose[:3, :3] @ r.rotation, r.pose[:3, 3]) for r in references[:2]]
    _, R, c, r, J, w = min(fits, key=lambda fit: float(np.minimum((fit[3] ** 2).sum(1), 50).sum()))
    return _conclude(tracks, fixed, (R, c), (r, J, w), config)


def join(references: Sequence[Reference]) -> Tracks:
    """One track for each query cell that is an inlier with any keyframe."""
    matched = np.concatenate([r.matches.cells[r.mask, 0] for r in references])
    cells, views = np.unique(matched, return_counts=True)
    cells = np.sort(cells[np.argsort(-views, kind='stable')[:MOST]])
    n, v = len(cells), len(references)
    tracks = Tracks(
        np.zeros((n, 3)), np.zeros((n, 2)), np.zeros((n, v, 3)), np.zeros((n, v), bool),
        np.stack([r.pose[:3, 3] for r in references]), np.full((n, v), np.nan),
        references[0].matches.noise,
    )  # fmt: skip
    total = np.zeros((n, 1))
    for i, r in enumerate(references):
        chosen = r.mask & np.isin(r.matches.cells[:, 0], cells)
        at = np.searchsorted(cells, r.matches.cells[chosen, 0])
        rays = r.matches.reference_rays[chosen]
        tracks.query[at] += r.matches.query_rays[chosen]
        tracks.pixels[at] += r.matches.pixels[chosen]
        total[at] += 1
        tracks.rays[at, i], tracks.seen[at, i] = rays @ r.pose[:3, :3].T, True
        if r.depth is not None:
            tracks.distance[at, i] = r.depth[chosen] / rays[:, 2]
    tracks.query[:] /= np.linalg.norm(tracks.query, axis=1, keepdims=True)
    tracks.pixels[:] /= total
    return tracks


def _angles(tracks: Tracks) -> np.ndarray:
    """(N,) largest angle between the rays of two keyframes to a point, rad."""
    cosine = np.einsum('nvi,nwi->nvw', tracks.rays, tracks.rays)
    both = tracks.seen[:, :, None] & tracks.seen[:, None, :]
    return np.arccos(np.clip(np.where(both, cosine, 1.0).min(axis=(1, 2)), -1.0, 1.0))


def _adjust(tracks: Tracks, R0: np.ndarray, c0: np.ndarray) -> tuple:
    """From a first pose to the one that fits all rays; perturbed along the axes of the map."""
    dof = 2.0 * tracks.seen.sum(axis=1) - 1.0 + np.isfinite(tracks.distance).sum(axis=1)

    def residual(x: np.ndarray) -> np.ndarray:
        return residuals(tracks, rotation(x[3:]) @ R0, c0 + x[:3])

    def weight(d: np.ndarray) -> np.ndarray:
        return (1.0 + d / (4.0 * dof)) ** -2.0

    # From afar all matches look wrong: first with a noise that lets them pull.
    x = descend(np.zeros(6), lambda x: residual(x) / COARSE, weight, steps=6)[0]
    x, r, J, w = descend(x, residual, weight, steps=12)
    return x, rotation(x[3:]) @ R0, c0 + x[:3], r, J, w


def residuals(tracks: Tracks, R: np.ndarray, c: np.ndarray) -> np.ndarray:
    """(N, 4 V): angles between each keyframe's ray and the query's point, over the noise, and
    inverse distances over theirs; 0 where there is no observation."""
    query = tracks.query @ R.T
    base = c - tracks.centres  # (V, 3)
    inverse, spread = inverse_distances(tracks, query, c)
    rays = tracks.rays
    tilt = query[:, None] - rays * np.einsum('ni,nvi->nv', query, rays)[..., None]
    shift = base - rays * np.einsum('vi,nvi->nv', base, rays)[..., None]
    rho = nearest(tracks, tilt, shift, inverse, spread)
    ahead = np.einsum('nvi,nvi->nv', rho[:, None, None] * base + query[:, None], rays)
    # The query's ray is as uncertain as the keyframe's: the angle between them has both errors.
    noise = np.sqrt(2.0) * tracks.noise * np.maximum(ahead, 0.1)
    off = (tilt + rho[:, None, None] * shift) / noise[..., None] * tracks.seen[..., None]
    depth = np.where(np.isfinite(inverse), (rho[:, None] - inverse) / spread, 0.0)
    return np.concatenate([off.reshape(len(query), -1), depth], axis=1)


def inverse_distances(
    tracks: Tracks, query: np.ndarray, c: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(N, V) 1/m from the query to the point at each keyframe's depth, NaN unknown; its sigma."""
    measured = np.isfinite(tracks.distance)
    points = tracks.centres + tracks.rays * np.where(measured, tracks.distance, 1.0)[..., None]
    inverse = 1.0 / np.maximum(np.linalg.norm(points - c, axis=2), NEAR_M)
    return np.where(measured, inverse, np.nan), DEPTH_RATIO * inverse


def nearest(
    tracks: Tracks, tilt: np.ndarray, shift: np.ndarray, inverse: np.ndarray, spread: np.ndarray
) -> np.ndarray:
    """(N,) inverse distances along the query's rays that fit best, 0 to 1 / NEAR_M.

    Angles are linear in the inverse distance, also for points far away or without a baseline.
    """
    weight = tracks.seen / (2.0 * tracks.noise**2)
    measured = np.isfinite(inverse)
    certainty = measured / spread**2
    top = -np.einsum('nv,nvi,nvi->n', weight, shift, tilt)
    top += (certainty * np.where(measured, inverse, 0.0)).sum(axis=1) + PRIOR[0] / PRIOR[1] ** 2
    bottom = np.einsum('nv,nvi,nvi->n', weight, shift, shift)
    bottom += certainty.sum(axis=1) + 1.0 / PRIOR[1] ** 2
    return np.clip(top / bottom, 0.0, 1.0 / NEAR_M)


def _conclude(
    tracks: Tracks, fixed: np.ndarray, pose: tuple, fit: tuple, config: GeometryConfig
) -> MetricPose:
    (R, c), (r, J, w) = pose, fit
    size = tracks.pixels.max(axis=0) + 1.0
    C = sandwich(r, J, w, blocks_of(tracks.pixels, (int(size[0]), int(size[1]))))
    C = bounded(config.covariance_scale * C + shared_error(J, w, tracks, config))
    angle = float(np.degrees(np.median(_angles(tracks)[fixed])))
    good = int((fixed & (w > 0.25)).sum())
    if good < config.min_inliers:
        return MetricPose(good, f'{good} points fit, {config.min_inliers} needed')
    T = np.eye(4)
    T[:3, :3], T[:3, 3] = R, c
    return MetricPose(good, f'{good} points fit one pose', T, C, angle)


def shared_error(
    J: np.ndarray, w: np.ndarray, tracks: Tracks, config: GeometryConfig
) -> np.ndarray:
    """(6, 6) of an error of config.shared_px that all matches with a keyframe have in common."""
    A = np.einsum('nij,n,nik->jk', J, w, J) + 1e-9 * np.eye(6)
    amount = config.shared_px / config.noise_px / np.sqrt(2.0)
    pulls = np.einsum('nij,n->ij', J[:, : 3 * len(tracks.centres)], w) * amount
    moved = pseudo_inverse(A) @ pulls.T
    return moved @ moved.T
