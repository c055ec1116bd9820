# SPDX-License-Identifier: MIT
"""Rotations in stacks: exponential, logarithm, its derivative (Sola et al. 2018, section III)."""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

SMALL = 1e-6  # rad; below it series are exact to the last digit


def exp(vectors: np.ndarray) -> np.ndarray:
    """(n, 3) rotation vectors, rad -> (n, 3, 3)."""
    matrices: np.ndarray = Rotation.from_rotvec(vectors).as_matrix()
    return matrices


def log(rotations: np.ndarray) -> np.ndarray:
    """(n, 3, 3) -> (n, 3) rotation vectors, rad."""
    vectors: np.ndarray = Rotation.from_matrix(rotations).as_rotvec()
    return vectors


def cross(vectors: np.ndarray) -> np.ndarray:
    """(n, 3) v -> (n, 3, 3) with cross(v) @ x = v x x."""
    x, y, z = vectors.T
    zero = np.zeros_like(x)
    rows = [[zero, -z, y], [z, zero, -x], [-y, x, zero]]
    return np.array(rows).transpose(2, 0, 1)


def log_derivative(vectors: np.ndarray) -> np.ndarray:
    """(n, 3) v -> (n, 3, 3) J: log(exp(d) exp(v)) = v + J d for small d; the inverse of the left
    Jacobian (Sola et al. 2018, equation 146)."""
    angle = np.linalg.norm(vectors, axis=1)
    safe = np.maximum(angle, SMALL)
    half = 0.5 * safe
    factor = np.where(angle < SMALL, 1.0 / 12.0, (1.0 - half / np.tan(half)) / safe**2)
    skew = cross(vectors)
    return np.eye(3) - 0.5 * skew + factor[:, None, None] * (skew @ skew)
