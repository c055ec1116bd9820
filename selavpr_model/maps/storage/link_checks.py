# SPDX-License-Identifier: MIT
"""What links.npy and odometry.npy must hold, so that no solution ever meets anything else."""

from __future__ import annotations

import numpy as np

from selavpr_model.maps.links import LINK

MOST_LINKS = 100  # for each place
MOST_METRES = 1e9
LEAST, MOST = 1e-12, 1e12  # eigenvalues of a covariance, m^2 and rad^2
TOLERANCE = 1e-6  # of the rows of a rotation


def fault_of_links(links: np.ndarray, places: int) -> str:
    """What is wrong with the closures of a map of so many places; '' where nothing is."""
    if links.dtype != LINK or links.ndim != 1:
        return f'expected (n,) {LINK.str}, got {links.shape} {links.dtype.str}'
    if len(links) > MOST_LINKS * places:
        return f'expected at most {MOST_LINKS} links a place, got {len(links)}'
    ends = np.stack([links['before'], links['after']])
    if len(links) and (ends.min() < 0 or ends.max() >= places or (ends[0] == ends[1]).any()):
        return f'a link does not join two of {places} places'
    if not are_rigid(links['pose']).all():
        return 'a pose is no rigid transform'
    if not _are_covariances(links['covariance']):
        return 'a covariance is not symmetric and positive'
    weights = links['weight']
    if not ((weights >= 0.0) & (weights <= 1.0)).all() or (links['metric'] > 1).any():
        return 'a weight is not from 0 to 1'
    return ''


def fault_of_odometry(odometry: np.ndarray) -> str:
    """What is wrong with (N,) ODOMETRY_ROW; '' where nothing is."""
    known = odometry['segment'] >= 0
    if (odometry['segment'] < -1).any() or not np.isnan(odometry['pose'][~known]).all():
        return 'expected segments from 0, or -1 and a pose of NaN'
    return '' if are_rigid(odometry['pose'][known]).all() else 'a pose is no rigid transform'


def are_rigid(poses: np.ndarray) -> np.ndarray:
    """(n, 4, 4) -> (n,) bool, whether each is a rotation and a position that is not absurd."""
    finite = np.isfinite(poses).all(axis=(1, 2))
    some = np.where(finite[:, None, None], poses, np.eye(4))
    turn = some[:, :3, :3]
    orthogonal = np.abs(turn @ turn.transpose(0, 2, 1) - np.eye(3)).max(axis=(1, 2), initial=0.0)
    near = np.abs(some[:, :3, 3]).max(axis=1, initial=0.0) < MOST_METRES
    last = (some[:, 3] == [0, 0, 0, 1]).all(axis=1)
    return finite & (orthogonal < TOLERANCE) & (np.linalg.det(turn) > 0) & near & last


def _are_covariances(matrices: np.ndarray) -> bool:
    """(n, 6, 6), all of them."""
    if not np.isfinite(matrices).all() or (np.abs(matrices) > MOST).any():
        return False
    symmetric = np.allclose(matrices, matrices.transpose(0, 2, 1), rtol=1e-6, atol=1e-12)
    return symmetric and bool((np.linalg.eigvalsh(matrices) > LEAST).all())
