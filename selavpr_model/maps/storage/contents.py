# SPDX-License-Identifier: MIT
"""A map on disk, read and verified whole: the bytes, and what they must hold beyond that."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from selavpr_model.config import MapConfig
from selavpr_model.decision.calibration import Calibration
from selavpr_model.errors import ConfigError, MapEmptyError
from selavpr_model.maps import thumbnails
from selavpr_model.maps.checks import makes_local, require_model, UNIT_TOLERANCE
from selavpr_model.maps.coarse_index import CoarseIndex
from selavpr_model.maps.links import no_links, ODOMETRY_ROW
from selavpr_model.maps.place_table import PlaceTable, read_columns
from selavpr_model.maps.robot_mask import MOST_OF_IMAGE
from selavpr_model.maps.row_checksums import Guarded, is_finite, RowGuard
from selavpr_model.maps.storage import manifest as map_manifest
from selavpr_model.maps.storage.link_checks import fault_of_links, fault_of_odometry
from selavpr_model.maps.storage.manifest import (
    CHECKSUMS,
    GLOBAL,
    HEAD,
    INDEX_CODES,
    INDEX_FILES,
    INDEX_VALUES,
    LINKS,
    LOCAL,
    ODOMETRY,
    PLACES,
    POSES,
    ROBOT,
    THUMBNAIL_OFFSETS,
    THUMBNAILS,
    TRAINED,
)
from selavpr_model.maps.storage.reader import consistently, damaged, Files, read_files
from selavpr_model.matching.codec import Codec, codec_of
from selavpr_model.matching.compact_codec import CompactCodec
from selavpr_model.matching.local_head import LocalHead
from selavpr_model.records import Camera, ModelIdentity

ROWS_AT_ONCE = 256
MOST_METRES = 1e18  # squares of it are far from the end of what a float holds


@dataclass(frozen=True, slots=True, eq=False)
class Contents:
    """All that a map holds. global_: (N, D) float32; local: (N, ...) as the storage has it.

    head: of maps that keep tokens; jpegs: (n,) uint8 a place; coarse: of large maps; guard: of
    rows that are still to be verified when they are read, None where all are; links: (m,) LINK;
    odometry: (N,) ODOMETRY_ROW.
    """

    manifest: dict[str, Any]
    identity: ModelIdentity
    config: MapConfig
    head: LocalHead | None
    table: PlaceTable
    global_: np.ndarray
    local: np.ndarray
    jpegs: list[np.ndarray]
    coarse: CoarseIndex | None
    guard: RowGuard | None
    calibration: Calibration | None
    cameras: dict[str, Camera]
    unaligned_sessions: set[str]
    links: np.ndarray
    odometry: np.ndarray | None
    robot_mask: np.ndarray | None


def read(path: Path, identity: ModelIdentity | None, everything: bool = False) -> Contents:
    """A map, verified whole; with `identity`, also that this model made it.

    Rows of large files are verified when they are read, unless `everything` is asked for. Raises
    the MapError that says what is wrong.
    """

    def contents(manifest: dict[str, Any]) -> Contents:
        if identity is not None:
            require_model(path, map_manifest.identity_of(manifest), identity)
        if manifest['counts']['places'] == 0:
            raise MapEmptyError(f'{path}: the map holds no place; build it again')
        return _verified(path, read_files(path, manifest, everything))

    return consistently(path, contents)


def _verified(path: Path, files: Files) -> Contents:
    """MapError unless shapes, types and values are what the manifest promises."""
    manifest, arrays = files.manifest, files.arrays
    config, identity = map_manifest.map_config(manifest, path), map_manifest.identity_of(manifest)
    head = _head(files, identity, config)
    _check_shapes(files, codec_of(config.local_dtype, identity.local_shape, head))
    _check_values(files)
    jpegs = _split(arrays, manifest['counts']['places'])
    return Contents(
        manifest, identity, config, head,
        table=_table(files),
        global_=arrays[GLOBAL],
        local=arrays[LOCAL],
        jpegs=jpegs,
        coarse=_coarse_index(files, config),
        guard=_guard(files, jpegs) if files.late else None,
        calibration=map_manifest.calibration(manifest, path),
        cameras=map_manifest.cameras(manifest, path),
        unaligned_sessions=map_manifest.unaligned_sessions(manifest, path),
        links=np.array(arrays.get(LINKS, no_links())),
        odometry=arrays.get(ODOMETRY),
        robot_mask=_robot_mask(files),
    )  # fmt: skip


def _head(files: Files, identity: ModelIdentity, config: MapConfig) -> LocalHead | None:
    """What makes local features of tokens; MapDataError where it is not that of the model."""
    if config.local_dtype != CompactCodec.name or not makes_local(identity):
        return None
    if HEAD not in files.arrays:
        raise damaged(files.folder / HEAD, 'it is needed for tokens, and not in the manifest')
    try:
        model: Any = identity.description['model']
        return LocalHead.from_vector(np.asarray(files.arrays[HEAD]), model)
    except (ConfigError, KeyError, RuntimeError, TypeError, ValueError) as error:
        raise damaged(files.folder / HEAD, f'{error}') from error


def _check_shapes(files: Files, codec: Codec) -> None:
    places, dim = files.manifest['counts']['places'], files.manifest['model']['global_dim']
    expected: dict[str, tuple[tuple[int, ...], Any]] = {
        GLOBAL: ((places, dim), '<f4'),
        LOCAL: ((places, *codec.shape), codec.dtype),
        POSES: ((places, 4, 4), '<f8'),
        THUMBNAIL_OFFSETS: ((places + 1,), '<i8'),
        CHECKSUMS: ((places, 2), '<u4'),
        ODOMETRY: ((places,), ODOMETRY_ROW),
        ROBOT: (codec.local_shape[:2], '|u1'),
    }
    for name, (shape, kind) in expected.items():
        if name not in files.arrays:
            continue
        got = files.arrays[name].shape, files.arrays[name].dtype
        if got != (shape, np.dtype(kind)):
            words = f'{shape} {np.dtype(kind).str}, got {got[0]} {got[1].str}'
            raise damaged(files.folder / name, f'expected {words}')


def _check_values(files: Files) -> None:
    folder, arrays = files.folder, files.arrays
    for name in (GLOBAL, LOCAL):
        if name not in files.late:
            _check_finite(folder / name, arrays[name])
    for rows in _in_steps(arrays[GLOBAL]):
        if np.abs(np.linalg.norm(rows, axis=1) - 1.0).max() > UNIT_TOLERANCE:
            raise damaged(folder / GLOBAL, 'rows are not of unit length')
    for rows in _in_steps(arrays[POSES]):
        _check_poses(folder / POSES, rows)
    _check_motions(files)
    _check_offsets(folder, arrays)


def _check_motions(files: Files) -> None:
    """Closures and odometry, where there are some."""
    folder, arrays = files.folder, files.arrays
    if LINKS in arrays:
        fault = fault_of_links(np.asarray(arrays[LINKS]), len(arrays[POSES]))
        if fault:
            raise damaged(folder / LINKS, fault)
    if ODOMETRY in arrays:
        fault = fault_of_odometry(np.asarray(arrays[ODOMETRY]))
        if fault:
            raise damaged(folder / ODOMETRY, fault)


def _in_steps(array: np.ndarray) -> Iterator[np.ndarray]:
    """Some rows at a time: the array may be larger than what should be in RAM."""
    plain = np.asarray(array)
    for start in range(0, len(plain), ROWS_AT_ONCE):
        yield plain[start : start + ROWS_AT_ONCE]


def _check_finite(file: Path, array: np.ndarray) -> None:
    for step, rows in enumerate(_in_steps(array)):
        if not is_finite(rows):
            at = next(i for i, row in enumerate(rows) if not is_finite(row))
            raise damaged(file, f'row {step * ROWS_AT_ONCE + at} is not finite')


def _check_poses(file: Path, poses: np.ndarray) -> None:
    """Each pose is finite with a last row 0 0 0 1, or NaN all over: a place without a pose."""
    missing = np.isnan(poses).all(axis=(1, 2))
    rest = poses[~missing]
    usable = np.isfinite(rest).all() and (np.abs(rest) < MOST_METRES).all()
    if not (usable and (rest[:, 3] == [0, 0, 0, 1]).all()):
        raise damaged(file, 'a pose is neither a finite rigid transform nor all NaN')


def _check_offsets(folder: Path, arrays: dict[str, Any]) -> None:
    if (THUMBNAILS in arrays) != (THUMBNAIL_OFFSETS in arrays):
        raise damaged(folder, 'only one of thumbnails.npy and thumbnail_offsets.npy is there')
    if THUMBNAILS not in arrays:
        return
    blob, offsets = arrays[THUMBNAILS], arrays[THUMBNAIL_OFFSETS]
    ordered = offsets[0] == 0 and offsets[-1] == blob.size and (offsets[1:] >= offsets[:-1]).all()
    if ordered and np.diff(offsets).max() > thumbnails.MOST_BYTES:
        raise damaged(folder / THUMBNAILS, f'one is larger than {thumbnails.MOST_BYTES} bytes')
    if blob.ndim != 1 or blob.dtype != np.uint8 or not ordered:
        raise damaged(folder / THUMBNAIL_OFFSETS, 'the offsets do not fit thumbnails.npy')


def _split(arrays: dict[str, Any], places: int) -> list[np.ndarray]:
    """Thumbnails, one (n,) uint8 view a place, still memory-mapped."""
    if THUMBNAILS not in arrays:
        return [np.empty(0, np.uint8)] * places
    blob, offsets = arrays[THUMBNAILS], arrays[THUMBNAIL_OFFSETS].tolist()
    return [blob[a:b] for a, b in pairwise(offsets)]


def _robot_mask(files: Files) -> np.ndarray | None:
    """(h, w) bool; MapDataError where no cell would be left to match."""
    if ROBOT not in files.arrays:
        return None
    mask = np.array(files.arrays[ROBOT])
    if mask.max() > 1 or mask.mean() > MOST_OF_IMAGE:
        raise damaged(files.folder / ROBOT, f'expected 0 or 1, at most {MOST_OF_IMAGE:.0%} of 1')
    return mask.astype(bool)


def _guard(files: Files, jpegs: list[np.ndarray]) -> RowGuard:
    sums = np.array(files.arrays[CHECKSUMS])
    return RowGuard(
        Guarded(files.folder / LOCAL, files.arrays[LOCAL], sums[:, 0]),
        Guarded(files.folder / THUMBNAILS, jpegs, sums[:, 1]),
    )


def _table(files: Files) -> PlaceTable:
    """The places; MapDataError if a line is not one or an id occurs twice."""
    try:
        return PlaceTable(read_columns(files.arrays[PLACES], np.asarray(files.arrays[POSES])))
    except (ValueError, RecursionError) as error:
        raise damaged(files.folder / PLACES, f'{error}') from error


def _coarse_index(files: Files, config: MapConfig) -> CoarseIndex | None:
    """The short lists of the map, if it has some; MapDataError if they are not of its rows."""
    there = [name for name in INDEX_FILES if name in files.arrays]
    if len(there) == 1:
        raise damaged(files.folder, f'only {there[0]} of {" and ".join(INDEX_FILES)} is there')
    if not there or config.index == 'flat':
        return None
    rows, dim = files.arrays[GLOBAL].shape
    values, codes = files.arrays[INDEX_VALUES], files.arrays[INDEX_CODES]
    if len(codes) != rows:
        raise damaged(files.folder / INDEX_CODES, f'expected {rows} rows, got {len(codes)}')
    trained = files.manifest['counts'][TRAINED]
    try:
        return CoarseIndex.from_arrays(values, codes, trained, dim, config.index_refine)
    except ValueError as error:
        raise damaged(files.folder / INDEX_VALUES, f'{error}') from error
