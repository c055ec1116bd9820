# SPDX-License-Identifier: MIT
"""What the files of a map must hold, beyond being the bytes that were written."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
import logging
from pathlib import Path
from typing import Any, TYPE_CHECKING

import numpy as np

from selavpr_model.maps.coarse_index import CoarseIndex
from selavpr_model.config import MapConfig
from selavpr_model.errors import ConfigError, InputError
from selavpr_model.matching.token_matcher import LocalHead
from selavpr_model.maps.storage.reader import Contents, damaged
from selavpr_model.maps.local_store import stored_form
from selavpr_model.maps.storage.manifest import HEAD, identity_of, INDEX
from selavpr_model.maps.row_checksums import CHECKSUMS
from selavpr_model.maps.place_table import PlaceTable, read_columns
from selavpr_model.records import Features, ModelIdentity, Place

if TYPE_CHECKING:
    from selavpr_model.maps.place_map import PlaceMap

logger = logging.getLogger(__name__)
UNIT_TOLERANCE = 0.02  # half precision leaves unit vectors this far from length 1
ROWS_AT_ONCE = 256
SAME = 0.9999


def check_features(features: Features, identity: ModelIdentity) -> None:
    """Raise InputError unless the features are what the model of this map makes."""
    global_, local = np.asarray(features.global_), np.asarray(features.local)
    if global_.shape != (identity.global_dim,) or local.shape != identity.local_shape:
        expected = f'({identity.global_dim},) and {identity.local_shape}'
        got = f'{global_.shape} and {local.shape}'
        raise InputError(f'features: expected {expected}, got {got}; use the model of the map')
    if not (np.isfinite(global_).all() and np.isfinite(local).all()):
        raise InputError('features: not finite; run the model in fp32')
    if abs(float(np.linalg.norm(global_)) - 1.0) > UNIT_TOLERANCE:
        raise InputError(f'features: expected unit length, got {np.linalg.norm(global_):.3f}')


def check_place(place: Place) -> None:
    """Raise InputError unless the place can be stored."""
    if not 0 <= place.id < 2**64 or not -(2**63) <= place.stamp_ns < 2**63:
        raise InputError(
            f'place: expected uint64 id, int64 stamp; got {place.id}, {place.stamp_ns}'
        )
    if place.pose is not None:
        pose = np.asarray(place.pose)
        if pose.shape != (4, 4) or not np.isfinite(pose).all():
            raise InputError(f'place {place.id}: expected a finite (4, 4) pose, got {pose}')


def check_contents(folder: Path, contents: Contents) -> ModelIdentity:
    """Raise MapDataError unless shapes, types and values are what the manifest promises.

    Gives the model that made the map, with the head that it stores.
    """
    data, late = contents.data, contents.late
    identity = _identity_with_head(folder, contents)
    _check_shapes(folder, contents, identity)
    for name in ('global.npy', 'local.npy', 'local_scales.npy'):
        if name in data and name not in late:
            _check_finite(folder / name, data[name])
    for rows in _in_steps(data['global.npy']):
        if np.abs(np.linalg.norm(rows, axis=1) - 1.0).max() > UNIT_TOLERANCE:
            raise damaged(folder / 'global.npy', 'rows are not of unit length')
    for rows in _in_steps(data['poses.npy']):
        _check_poses(folder / 'poses.npy', rows)
    _check_offsets(folder, data)
    return identity


def _check_shapes(folder: Path, contents: Contents, identity: ModelIdentity) -> None:
    manifest, data = contents.manifest, contents.data
    places, model = manifest['counts']['places'], manifest['model']
    shape, dtype = stored_form(manifest['local_dtype'], identity.local_shape, identity.head)
    expected: dict[str, tuple[tuple[int, ...], Any]] = {
        'global.npy': ((places, model['global_dim']), '<f4'),
        'local.npy': ((places, *shape), dtype),
        'local_scales.npy': ((places, shape[0]), '<f4'),
        'poses.npy': ((places, 4, 4), '<f8'),
        'thumbnail_offsets.npy': ((places + 1,), '<i8'),
        CHECKSUMS: ((places, 2), '<u4'),
    }
    for name, (wanted, kind) in expected.items():
        if name in data and (data[name].shape, data[name].dtype) != (wanted, np.dtype(kind)):
            got = f'{data[name].shape} {data[name].dtype.str}'
            raise damaged(folder / name, f'expected {wanted} {np.dtype(kind).str}, got {got}')


def _in_steps(array: np.ndarray) -> Iterator[np.ndarray]:
    """Some rows at a time: the array may be larger than what should be in RAM."""
    plain = np.asarray(array)
    for start in range(0, len(plain), ROWS_AT_ONCE):
        yield plain[start : start + ROWS_AT_ONCE]


def _identity_with_head(folder: Path, contents: Contents) -> ModelIdentity:
    """Of the model that made the map, with what makes its local features, where that is stored.

    MapDataError where it is not that of such a model.
    """
    identity = identity_of(contents.manifest)
    if HEAD not in contents.data:
        if contents.data['local.npy'].dtype.names:
            raise damaged(folder / HEAD, 'it is needed for tokens, and not in the manifest')
        return identity
    try:
        model: Any = identity.description['model']
        head = LocalHead.from_vector(np.asarray(contents.data[HEAD]), model)
    except (ConfigError, KeyError, RuntimeError, TypeError, ValueError) as error:
        raise damaged(folder / HEAD, f'{error}') from error
    return replace(identity, head=head)


def _check_finite(file: Path, array: np.ndarray) -> None:
    """Whole numbers are; of coded tokens the scales are looked at."""
    if not np.issubdtype(array.dtype, np.floating) and not array.dtype.names:
        return
    for step, rows in enumerate(_in_steps(array)):
        good = np.isfinite(rows['scale'] if rows.dtype.names else rows)
        if not good.all():
            row = step * ROWS_AT_ONCE + int(np.argwhere(~good)[0][0])
            raise damaged(file, f'row {row} is not finite')


def _check_poses(file: Path, poses: np.ndarray) -> None:
    """Each pose is finite with a last row 0 0 0 1, or NaN all over: a place without a pose."""
    missing = np.isnan(poses).all(axis=(1, 2))
    rest = poses[~missing]
    if not (np.isfinite(rest).all() and (rest[:, 3] == [0, 0, 0, 1]).all()):
        raise damaged(file, 'a pose is neither a finite rigid transform nor all NaN')


def _check_offsets(folder: Path, data: dict[str, Any]) -> None:
    if ('thumbnails.npy' in data) != ('thumbnail_offsets.npy' in data):
        raise damaged(folder, 'only one of thumbnails.npy and thumbnail_offsets.npy is there')
    if 'thumbnails.npy' not in data:
        return
    blob, offsets = data['thumbnails.npy'], data['thumbnail_offsets.npy']
    ordered = offsets[0] == 0 and offsets[-1] == blob.size and (np.diff(offsets) >= 0).all()
    if blob.ndim != 1 or blob.dtype != np.uint8 or not ordered:
        raise damaged(folder / 'thumbnail_offsets.npy', 'the offsets do not fit thumbnails.npy')


def places_from(folder: Path, data: dict[str, Any]) -> PlaceTable:
    """The places; MapDataError if a line is not one or an id occurs twice."""
    file = folder / 'places.jsonl'
    try:
        return PlaceTable(read_columns(data[file.name], np.asarray(data['poses.npy'])))
    except (ValueError, RecursionError) as error:
        raise damaged(file, f'{error}') from error


def coarse_index(folder: Path, data: dict[str, Any], config: MapConfig) -> CoarseIndex | None:
    """The short lists of the map, if it has some of this version's kind.

    MapDataError if they are not of its rows.
    """
    if INDEX not in data or config.index == 'flat':
        return None
    rows, dim = data['global.npy'].shape
    try:
        coarse = CoarseIndex.from_bytes(data[INDEX], config.index_refine)
    except ValueError as error:
        raise damaged(folder / INDEX, f'{error}') from error
    if coarse is None:
        logger.info('%s: of another version; all places are compared until it is saved', INDEX)
        return None
    if (len(coarse), coarse.dim) != (rows, dim):
        got = f'{len(coarse)} rows of {coarse.dim}'
        raise damaged(folder / INDEX, f'expected {rows} rows of {dim}, got {got}')
    return coarse


def problems(place_map: PlaceMap, row: int) -> Iterator[str]:
    """The deep check of one place: what is odd although its bytes are right, one line each."""
    place = place_map.places[row]
    label = f'place {place.id} ({place.name or "no name"}, row {row})'
    lengths = np.linalg.norm(place_map.local([row])[0], axis=1)
    if ((np.abs(lengths - 1.0) > UNIT_TOLERANCE) & (lengths > 0)).any():
        yield f'{label}: local features are not of unit length'
    if place.pose is not None and not _rigid(place.pose):
        yield f'{label}: the pose is no rotation and translation'
    try:
        place_map.thumbnail(row)
    except InputError as error:
        yield f'{label}: {error}'
    rows, similarities = place_map.search(place_map.global_(row), 1)
    if rows[0] != row and similarities[0] < SAME:  # a twin of it is no fault
        yield f'{label}: a search for its own features finds row {rows[0]}'


def _rigid(T: np.ndarray) -> bool:
    R = T[:3, :3]
    return bool(np.allclose(R @ R.T, np.eye(3), atol=1e-4) and np.linalg.det(R) > 0)
