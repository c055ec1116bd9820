# SPDX-License-Identifier: MIT
"""Two views of one place: rotation, direction of travel, and whether they agree at all.

T_reference_query = [rotation | length * direction]: the length is not known from two views.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from selavpr_model.config import GeometryConfig
from selavpr_model.geometry.rays import Cells, match_pixels, pixel_rays
from selavpr_model.geometry.robust_fit import (
    BLOCKS,
    blocks_of,
    bounded,
    descend,
    pseudo_inverse,
    rotation,
    sandwich,
)
from selavpr_model.records import Camera, PoseKind

NEEDED = 8  # matches below which no motion is looked for
FEW_STEPS = 4  # tell which of several starts leads to the best motion
GATE = 2.0  # standard deviations across the epipolar line; wrong matches get through wider ones


@dataclass(frozen=True, slots=True, eq=False)
class Matches:
    """Matches of a query with one reference. cells (M, 2), pixels (M, 2), unit rays (M, 3)."""

    cells: np.ndarray
    pixels: np.ndarray
    query_rays: np.ndarray
    reference_rays: np.ndarray
    size: tuple[int, int]
    noise: float  # rad


@dataclass(frozen=True, slots=True, eq=False)
class TwoView:
    """What two views say. rotation: (3, 3) R_reference_query; direction: (3,) unit, where the
    query camera lies as seen from the reference, None: not observable; covariance: (6, 6) of
    direction and rotation vector, in the reference frame; spread: share of the image with inliers;
    cells: (M, 2) matched cells of query and reference, see match_pixels; mask: (M,) bool, inliers.
    """

    agrees: bool
    inliers: int
    matches: int
    spread: float
    reason: str
    rotation: np.ndarray | None = None
    direction: np.ndarray | None = None
    covariance: np.ndarray | None = None
    parallax_deg: float = 0.0
    mask: np.ndarray | None = None
    cells: np.ndarray | None = None

    @property
    def pose_kind(self) -> PoseKind:
        if self.rotation is None or self.direction is None:
            return PoseKind.NONE
        return PoseKind.ROTATION_AND_DIRECTION


def match_views(
    query: Cells,
    reference: Cells,
    query_camera: Camera,
    reference_camera: Camera,
    input_size: tuple[int, int],
    config: GeometryConfig,
) -> Matches:
    """input_size: (H, W) pixels seen by the network."""
    sizes = query_camera.size, reference_camera.size
    cells, mine, other = match_pixels(query, reference, sizes, input_size)
    a, b = pixel_rays(mine, query_camera), pixel_rays(other, reference_camera)
    good = np.isfinite(a).all(axis=1) & np.isfinite(b).all(axis=1)
    pixel = config.noise_px * query_camera.size[0] / input_size[1]
    noise = pixel / float(query_camera.K[0, 0])
    return Matches(cells[good], mine[good], a[good], b[good], query_camera.size, noise)


def solve(matches: Matches, config: GeometryConfig) -> TwoView:
    """The motion that most matches agree on; a result with a reason for any input."""
    count = len(matches.cells)
    if count < NEEDED:
        return TwoView(False, 0, count, 0.0, f'{count} matches, {NEEDED} needed')
    tried = [_refine(matches, R, t, config, FEW_STEPS) for R, t in _starts(matches)]
    (R, t), *_ = max(tried, key=lambda fit: fit[4].sum())
    x, start, r, J, w = _refine(matches, R, t, config)
    inlier = (r[:, 0] ** 2 < GATE**2) & (r[:, 1] ** 2 < 9.0)
    return _judge(matches, config, (x, start, r, J, w), inlier)


def _starts(matches: Matches) -> list[tuple[np.ndarray, np.ndarray]]:
    """Motions to begin at: that of the essential matrix, and rotations without travel."""
    a, b = (np.ascontiguousarray(v[:, :2] / v[:, 2:]) for v in _rays(matches))
    turned = kabsch(matches.query_rays, matches.reference_rays, matches.noise)
    starts = [(turned, np.eye(3)[0]), (turned, np.eye(3)[2])]
    try:
        E, mask = cv2.findEssentialMat(
            a, b, np.eye(3), method=cv2.USAC_MAGSAC, prob=0.999, threshold=2.0 * matches.noise
        )
        if E is not None and E.shape == (3, 3):
            _, R, t, _ = cv2.recoverPose(E, a, b, np.eye(3), mask=mask.copy())
            # OpenCV: b = R a + t, so the query camera's centre lies at t in the reference.
            starts += [(R, t[:, 0]), (turned, t[:, 0])]
    except cv2.error:
        pass  # no essential matrix in degenerate matches; the rotations stay
    return starts


def _rays(matches: Matches) -> tuple[np.ndarray, np.ndarray]:
    return matches.query_rays, matches.reference_rays


def kabsch(a: np.ndarray, b: np.ndarray, noise: float) -> np.ndarray:
    """(3, 3) R with b = R a for most rays, reweighted from coarse to fine."""
    R, w = np.eye(3), np.ones(len(a))
    for scale in (*np.geomspace(0.3, 4.0 * noise, 8), *[4.0 * noise] * 4):
        U, _, V = np.linalg.svd((b * w[:, None]).T @ a)
        R = U @ np.diag([1.0, 1.0, np.linalg.det(U @ V)]) @ V
        w = (1.0 + ((b - a @ R.T) ** 2).sum(axis=1) / scale**2) ** -2.0
    return R


def _refine(
    matches: Matches, R: np.ndarray, t: np.ndarray, config: GeometryConfig, steps: int = 12
) -> tuple:
    """Residuals across the epipolar line count fully; along it as far as parallax is unlikely.

    Parallax is taken for normally distributed with config.parallax_deg: where there is next to
    none, that alone keeps the rotation from being traded for travel.
    """
    along = np.radians(config.parallax_deg)
    basis = np.linalg.svd(t[None])[2][1:]

    def residual(x: np.ndarray) -> np.ndarray:
        across, shift, _ = flow(matches, rotation(x[:3]) @ R, _unit(t + x[3:] @ basis))
        return np.stack([across / matches.noise, shift / along], axis=1)

    x, r, J, w = descend(np.zeros(5), residual, lambda d: (1.0 + d / 4.0) ** -2.0, steps)
    return (rotation(x[:3]) @ R, _unit(t + x[3:] @ basis)), basis, r, J, w


def flow(
    matches: Matches, R: np.ndarray, t: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What is left after the rotation, rad: (M,) across the epipolar line, along it (positive:
    the point lies in front), and the sine of the angle between ray and travel."""
    rays = matches.query_rays @ R.T
    toward = t - (rays @ t)[:, None] * rays
    length = np.linalg.norm(toward, axis=1)
    toward /= np.maximum(length, 1e-9)[:, None]
    moved = matches.reference_rays - rays
    return (moved * np.cross(rays, toward)).sum(axis=1), (moved * toward).sum(axis=1), length


def _judge(matches: Matches, config: GeometryConfig, fit: tuple, inlier: np.ndarray) -> TwoView:
    (R, t), basis, r, J, w = fit
    _, shift, _ = flow(matches, R, t)
    if np.sum(shift[inlier]) < 0:
        t, shift = -t, -shift
    blocks = blocks_of(matches.pixels, matches.size)
    spread = len(np.unique(blocks[inlier])) / BLOCKS**2
    count, share = int(inlier.sum()), float(inlier.mean())
    C = sandwich(r, J, w, blocks)
    lift = np.zeros((6, 5))
    lift[3:, :3], lift[:3, 3:] = np.eye(3), basis.T
    C = bounded(C * config.covariance_scale + common_parallax(J, w))
    full = lift @ C @ lift.T + 1e-8 * np.eye(6)
    full[3:, 3:] += (matches.noise * config.shared_px / config.noise_px) ** 2 * np.eye(3)
    parallax = float(np.median(np.abs(shift[inlier]))) if count else 0.0
    doubt = _direction_doubt(shift[inlier], matches.noise, full, config)
    if doubt is not None:
        full[:3], full[:, :3] = 0.0, 0.0
        full[:3, :3] = np.eye(3)
    refusal = _refusal(count, share, spread, config)
    agreed = f'{count} of {len(inlier)} matches fit one motion'
    reason = refusal or (agreed if doubt is None else f'{agreed}, {doubt}')
    return TwoView(
        refusal is None, count, len(inlier), spread, reason, R, t if doubt is None else None, full,
        float(np.degrees(parallax)), inlier, matches.cells,
    )  # fmt: skip


def common_parallax(J: np.ndarray, w: np.ndarray) -> np.ndarray:
    """(5, 5) of a parallax that all points share: in the scene it is not drawn anew for each."""
    A = np.einsum('nij,n,nik->jk', J, w, J) + 1e-9 * np.eye(J.shape[-1])
    shift = pseudo_inverse(A) @ np.einsum('nj,n->j', J[:, 1], w)
    return np.outer(shift, shift)


def _direction_doubt(
    shift: np.ndarray, noise: float, covariance: np.ndarray, config: GeometryConfig
) -> str | None:
    """Why the direction of travel cannot be told; None where it can."""
    if len(shift) == 0 or np.median(np.abs(shift)) < config.min_parallax * noise:
        return 'too little parallax for the direction'
    if np.mean(shift > 0) < config.min_in_front:
        return 'the direction is not clear: points would lie behind'
    sigma = np.degrees(np.sqrt(np.linalg.eigvalsh(covariance[:3, :3])[-1]))
    if sigma > config.max_direction_deg:
        return f'direction known to {min(sigma, 180.0):.0f} degrees only'
    return None


def _refusal(count: int, share: float, spread: float, config: GeometryConfig) -> str | None:
    """Why two views do not agree; None where they do."""
    if count < config.min_inliers:
        return f'{count} inliers, {config.min_inliers} needed'
    if share < config.min_inlier_share:
        return f'{share:.0%} of the matches fit one motion, {config.min_inlier_share:.0%} needed'
    if spread < config.min_spread:
        return f'inliers on {spread:.0%} of the image, {config.min_spread:.0%} needed'
    return None


def _unit(v: np.ndarray) -> np.ndarray:
    return v / max(float(np.linalg.norm(v)), 1e-12)
