# SPDX-License-Identifier: MIT
"""How far a trajectory is from the true one, as evo's APE has it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

LEAST = 3  # poses, below which any trajectory fits


def fitted(positions: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """(4, 4) T_truth_positions that lays (n, 3) points on (n, 3) others best (Umeyama 1991),
    without a scale."""
    a, b = positions.mean(axis=0), truth.mean(axis=0)
    u, _, vt = np.linalg.svd((truth - b).T @ (positions - a))
    T = np.eye(4)
    T[:3, :3] = u @ np.diag([1.0, 1.0, np.linalg.det(u) * np.linalg.det(vt)]) @ vt
    T[:3, 3] = b - T[:3, :3] @ a
    return T


def ape_m(poses: Mapping[int, np.ndarray], truth: Mapping[int, np.ndarray]) -> float | None:
    """Root mean square of the position errors after the best rigid alignment, m; (4, 4) by frame.

    None where fewer than three frames have both.
    """
    both = sorted({*poses} & {*truth})
    if len(both) < LEAST:
        return None
    a, b = (np.stack([side[i][:3, 3] for i in both]) for side in (poses, truth))
    T = fitted(a, b)
    return float(np.sqrt(np.mean(np.sum((a @ T[:3, :3].T + T[:3, 3] - b) ** 2, axis=1))))
