# SPDX-License-Identifier: MIT
"""Robust least squares on a motion, and a covariance that neighbours in agreement do not shrink.

Matches of nearby cells share their error: their features come from the same tokens. So the
covariance is the sandwich over blocks of the image (Liang and Zeger 1986), not over matches.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

BLOCKS = 8  # a side of the image: what lies in one block counts as one observation


def rotation(vector: np.ndarray) -> np.ndarray:
    """(3,) rotation vector -> (3, 3)."""
    return np.asarray(cv2.Rodrigues(np.asarray(vector, float))[0])  # scipy takes 20 times as long


def blocks_of(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(N, 2) pixels -> (N,) the number of the image block each lies in."""
    x, y = (np.clip(pixels[:, i] * BLOCKS / size[i], 0, BLOCKS - 1).astype(int) for i in (0, 1))
    return y * BLOCKS + x


def descend(
    start: np.ndarray,
    residual: Callable[[np.ndarray], np.ndarray],
    weight: Callable[[np.ndarray], np.ndarray],
    steps: int = 12,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Levenberg-Marquardt with reweighting -> x, residuals (N, d), Jacobian (N, d, n), weights.

    residual: x -> (N, d) in units of their standard deviation; weight: its squared length (N,) ->
    (N,) in [0, 1].
    """
    x, damping = start.copy(), 1e-3
    r = residual(x)
    w = weight((r**2).sum(axis=1))
    J = numeric_jacobian(residual, x, r)
    for _ in range(steps):
        A = np.einsum('nij,n,nik->jk', J, w, J)
        g = np.einsum('nij,n,ni->j', J, w, r)
        step = -np.linalg.solve(A + damping * np.diag(np.diag(A) + 1e-9), g)
        tried = residual(x + step)
        if (w * (tried**2).sum(axis=1)).sum() > (w * (r**2).sum(axis=1)).sum():
            damping *= 10.0
            continue
        x, r, damping = x + step, tried, max(damping * 0.3, 1e-9)
        w = weight((r**2).sum(axis=1))
        J = numeric_jacobian(residual, x, r)
        if np.abs(step).max() < 1e-6:
            break
    return x, r, J, w


def numeric_jacobian(
    residual: Callable[[np.ndarray], np.ndarray], x: np.ndarray, at: np.ndarray
) -> np.ndarray:
    """(N, d, n) by differences of 1e-5."""
    columns = [(residual(x + 1e-5 * unit) - at) / 1e-5 for unit in np.eye(len(x))]
    return np.stack(columns, axis=-1)


def pseudo_inverse(A: np.ndarray) -> np.ndarray:
    """Of (n, n), symmetric: the inverse where there is one, and never an error."""
    if not np.isfinite(A).all():
        return np.full_like(A, np.inf)
    return np.linalg.pinv(A, hermitian=True)


def sandwich(
    r: np.ndarray, J: np.ndarray, w: np.ndarray, blocks: np.ndarray, floor: float = 1e-12
) -> np.ndarray:
    """(n, n) covariance from residuals summed block by block; positive definite.

    Corrected for few blocks, and never below what independent matches would say.
    """
    n = J.shape[-1]
    A = np.einsum('nij,n,nik->jk', J, w, J) + floor * np.eye(n)
    pull = np.einsum('nij,n,ni->nj', J, w, r)
    sums = np.zeros((int(blocks.max(initial=0)) + 1, n))
    np.add.at(sums, blocks, pull)
    count = len(np.unique(blocks))
    inverse = pseudo_inverse(A)
    C = inverse @ (sums.T @ sums) @ inverse * count / max(count - n, 1)
    spread = (w * (r**2).sum(axis=1)).sum() / max(w.sum() - n, 1.0)
    C = C + spread * inverse
    return 0.5 * (C + C.T) + floor * np.eye(n)


def bounded(C: np.ndarray, low: float = 1e-8, high: float = 1e4) -> np.ndarray:
    """(n, n) with eigenvalues from low to high: degenerate matches know nothing, not infinity."""
    if not np.isfinite(C).all() or np.abs(C).max() > 1e12:
        return high * np.eye(len(C))
    values, vectors = np.linalg.eigh(0.5 * (C + C.T))
    clipped = (vectors * np.clip(values, low, high)) @ vectors.T
    return 0.5 * (clipped + clipped.T)
