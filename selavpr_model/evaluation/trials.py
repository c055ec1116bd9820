# SPDX-License-Identifier: MIT
"""A retrieval data set as a map and a drive: poses or stamps, and places taken away."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from selavpr_model.config import RecognizerConfig
from selavpr_model.data.retrieval_sets import ImageSet, near, RetrievalSet
from selavpr_model.errors import ConfigError
from selavpr_model.records import Place

AROUND = 5.0  # radii around a query within which its place is taken away: what is near looks alike
FAR = 1e7  # between groups, which have no common frame


def take_away(data: RetrievalSet, share: float, seed: int) -> RetrievalSet:
    """Without the places of queries drawn at random, until at least `share` of all have none.

    Takes away all references around such a query; those of its group further off stay.
    """
    rng = np.random.default_rng(seed)
    around = near(data.queries, data.references, AROUND * data.radius)
    left, rows = np.ones(len(data.references), bool), data.positives()
    absent = np.array([not len(r) for r in rows], bool)
    for query in rng.permutation(len(data.queries)):
        if np.mean(absent) >= share:
            break
        if not absent[query]:
            left[around[query]] = False
            absent = np.array([not left[r].any() for r in rows], bool)
    rows_left = np.flatnonzero(left)
    kept = data.references.take(rows_left)
    listed = data.listed
    if listed is not None:
        listed = tuple(np.flatnonzero(np.isin(rows_left, rows)) for rows in listed)
    if not len(kept):
        raise ConfigError(f'{data.name}: absent: expected less than {share:g}, no place is left')
    words = f', {int(absent.sum())} queries without their place (absent {share:g}, seed {seed})'
    return replace(data, references=kept, protocol=data.protocol + words, listed=listed)


def is_drive(queries: ImageSet) -> bool:
    """Whether the queries have full poses and come as they were driven."""
    with_headings = queries.headings is not None and bool(np.isfinite(queries.headings).all())
    return is_posed(queries) and with_headings and queries.runs is not None


def is_posed(images: ImageSet) -> bool:
    """Whether positions are metres (or units) in a plane or in space; else indices of frames."""
    return images.positions.shape[1] > 1


def poses_of(images: ImageSet) -> np.ndarray | None:
    """(N, 4, 4) T_map_camera: optical axis along the heading, the same way up; or None."""
    if not is_posed(images):
        return None
    count, axes = images.positions.shape
    poses = np.tile(np.eye(4), (count, 1, 1))
    poses[:, :axes, 3] = images.positions
    poses[:, 0, 3] += FAR * images.groups
    if images.headings is not None and np.isfinite(images.headings).all():
        poses[:, :3, :3] = _looking(images.headings, images.positions)
    return poses


def _looking(headings: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """(N, 3) unit axes -> (N, 3, 3) rotations whose third column they are.

    Up is the axis along which the positions differ least.
    """
    up = np.zeros(3)
    up[int(np.argmin(np.ptp(positions, axis=0)))] = 1.0
    right = np.cross(headings, up)
    right /= np.maximum(np.linalg.norm(right, axis=1, keepdims=True), 1e-9)
    return np.stack([right, np.cross(headings, right), headings], axis=-1)


def places_of(images: ImageSet) -> list[Place]:
    """Row i is place i; without poses the stamp is the index of the frame, in seconds."""
    poses = poses_of(images)
    return [
        Place(
            i,
            i * 10**9 if poses is not None else round(1e9 * float(images.positions[i, 0])),
            file.name,
            str(images.groups[i]),
            pose=None if poses is None else poses[i],
        )
        for i, file in enumerate(images.files)
    ]


def same_place(data: RetrievalSet, config: RecognizerConfig) -> RecognizerConfig:
    """Places are different for the recogniser where they are for the data set."""
    if is_posed(data.references):
        return replace(
            config, distinct_radius_m=float(data.radius), distinct_angle_deg=data.max_angle_deg
        )
    return replace(config, distinct_time_s=float(data.radius))
