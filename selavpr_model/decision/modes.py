# SPDX-License-Identifier: MIT
"""Modes of a belief over places: which places make one hypothesis, and the pose that it says."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation


@dataclass(frozen=True, slots=True)
class Mode:
    """Places next to each other that are believed in together: one hypothesis, whose extent along
    the map is the uncertainty of the pose.

    share: row -> probability; mass: their sum.
    """

    share: Mapping[int, float] = field(default_factory=dict)
    mass: float = 0.0


def tree_of(points: np.ndarray) -> cKDTree:
    """Of (n, d). Nodes are halved in space: this is built in half the time that equal halves of
    the points take, and places along streets are found as soon."""
    return cKDTree(points, balanced_tree=False, compact_nodes=False)


def grouped(
    positions: np.ndarray, axes: np.ndarray, radius_m: float, cos_same: float, pairs: np.ndarray
) -> np.ndarray:
    """(n,) the number of the mode of each place.

    Two places belong together where a robot can be thought to be at either: near each other and
    seen in one direction, or joined by a closure. positions: (n, d); axes: (n, 3) unit; pairs:
    (m, 2) numbers of places that a closure joins.
    """
    near = tree_of(positions).query_pairs(radius_m, output_type='ndarray')
    alike = np.einsum('ni,ni->n', axes[near[:, 0]], axes[near[:, 1]]) >= cos_same
    n = len(axes)
    here, there = np.concatenate([near[alike], pairs]).T
    # each edge once, both ways and row by row: what scipy would make of an undirected graph, but
    # more slowly; its search for strong components never ends where an edge is there twice
    here, there = np.divmod(np.unique(np.append(here * n + there, there * n + here)), n)
    starts = np.searchsorted(here, np.arange(n + 1))
    graph = csr_array((np.ones(len(there)), there, starts), shape=(n, n))
    return np.asarray(connected_components(graph, connection='strong')[1])


def joined(rows: np.ndarray, links: Mapping[int, Collection[int]]) -> np.ndarray:
    """(m, 2) numbers in `rows` (n,) of rows that are linked; links: row -> rows."""
    at = {row: number for number, row in enumerate(rows.tolist())}
    pairs = [
        (n, at[other]) for row, n in at.items() for other in links.get(row, ()) if other in at
    ]
    return np.array(pairs, np.int64).reshape(-1, 2)


def mode_pose(
    share: Mapping[int, float], poses: np.ndarray, keyframe: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The pose (4, 4) and covariance (6, 6) as in Recognition.

    share: row -> probability, of rows with a pose in the map; poses: (N, 4, 4); keyframe: (6, 6)
    of a keyframe's pose taken for that of the camera, along the axes of the keyframe's camera.
    """
    rows = np.fromiter(share, np.int64, len(share))
    weights = np.fromiter(share.values(), float, len(share))
    weights = weights / weights.sum()
    T = np.eye(4)
    T[:3, 3] = weights @ poses[rows, :3, 3]
    turns = Rotation.from_matrix(poses[rows, :3, :3])
    T[:3, :3] = turns.mean(weights).as_matrix()
    off = np.empty((len(rows), 6))
    off[:, :3] = poses[rows, :3, 3] - T[:3, 3]
    off[:, 3:] = (turns * Rotation.from_matrix(T[:3, :3]).inv()).as_rotvec()
    return T, (off * weights[:, None]).T @ off + turned(keyframe, T)


def turned(covariance: np.ndarray, T_map_camera: np.ndarray) -> np.ndarray:
    """(6, 6) along the axes of a camera -> along those of the map."""
    axes = np.kron(np.eye(2), T_map_camera[:3, :3])
    return np.asarray(axes @ covariance @ axes.T)
