# SPDX-License-Identifier: MIT
"""Maps are opened and saved here; maps/README.md describes the format."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone
import logging
from pathlib import Path
from typing import Any

import numpy as np

from selavpr_model.errors import MapEmptyError, MapMemoryError
from selavpr_model.maps.index import needs_index, VectorIndex
from selavpr_model.maps.links import OdometryRows
from selavpr_model.maps.place_map import PlaceMap
from selavpr_model.maps.row_checksums import checksum
from selavpr_model.maps.storage import contents as map_contents
from selavpr_model.maps.storage import manifest as map_manifest
from selavpr_model.maps.storage import writer as map_writer
from selavpr_model.maps.storage.camera_entry import camera_entry
from selavpr_model.maps.storage.contents import Contents
from selavpr_model.maps.storage.reader import tidy
from selavpr_model.maps.storage.writer import DataWriter
from selavpr_model.records import ModelIdentity
from selavpr_model.runtime.version import software_version

logger = logging.getLogger(__name__)
ROW_BYTES = 1024  # of a place, beside its features and its thumbnail


def open_map(
    path: str | Path, identity: ModelIdentity | None = None, everything: bool = False
) -> PlaceMap:
    """A map on disk, verified; with `identity`, also that this model made it.

    Local features and thumbnails of a large map are verified row by row when they are read,
    unless `everything` is asked for. Raises the MapError that says what is wrong with it.
    """
    path = Path(path)
    contents = map_contents.read(path, identity, everything)
    try:
        place_map = _made_of(contents)
    except MemoryError as error:
        raise MapMemoryError(f'{path}: the map does not fit into memory') from error
    _saved_as(place_map, path, contents.manifest)
    tidy(path)
    logger.debug('%s: %d places, revision %d', path, len(place_map), place_map.revision)
    return place_map


def _made_of(contents: Contents) -> PlaceMap:
    identity, config = contents.identity, contents.config
    place_map = PlaceMap(identity, config, contents.head)
    place_map.table = contents.table
    place_map.index = VectorIndex(
        identity.global_dim, config.use_gpu_index, contents.global_, contents.coarse
    )
    place_map.store.append(contents.local)
    place_map.jpegs, place_map.guard = contents.jpegs, contents.guard
    place_map.source = contents.manifest['source']
    place_map.configs = contents.manifest['configs']
    place_map.calibration, place_map.cameras = contents.calibration, contents.cameras
    place_map.unaligned_sessions = contents.unaligned_sessions
    place_map.links, place_map.odometry = contents.links, OdometryRows(contents.odometry)
    place_map.robot_mask = contents.robot_mask
    return place_map


def _saved_as(place_map: PlaceMap, path: Path, manifest: dict[str, Any]) -> None:
    """Remember what is on disk."""
    place_map.path, place_map.manifest = path, manifest
    place_map.map_id, place_map.revision = manifest['map_id'], manifest['revision']


def save_map(place_map: PlaceMap, path: str | Path, overwrite: bool = False) -> None:
    """Write to the folder `path`; a kill at any moment leaves the old map or this one."""
    path = Path(path)
    place_map.verify()  # what is written now gets a checksum that says it is right
    if len(place_map) == 0:
        raise MapEmptyError(f'{path}: nothing to save, the map holds no place')
    map_writer.require_free(path, overwrite)
    with map_writer.writing(path):
        map_writer.make_folder(path)
        with map_writer.lock(path):
            map_writer.require_free(path, overwrite)
            manifest = _write(place_map, path)
            map_writer.commit(path, manifest)
            map_writer.remove_leftovers(path, manifest['data'])
    _saved_as(place_map, path, manifest)


def _write(place_map: PlaceMap, path: Path) -> dict[str, Any]:
    """All files of the map as it is now: SLAM may add places meanwhile. Its manifest."""
    revision, rows = place_map.revision + 1, len(place_map)
    jpegs = place_map.jpegs[:rows]
    features = place_map.store.row_bytes + 4 * place_map.identity.global_dim
    need = rows * (features + ROW_BYTES) + sum(jpeg.size for jpeg in jpegs)
    with map_writer.new_data_folder(path, revision, need) as folder:
        writer = DataWriter(folder)
        writer.array(map_manifest.GLOBAL, place_map.index.blocks(rows), rows)
        local = writer.array(
            map_manifest.LOCAL, place_map.store.parts(rows), rows, row_checksums=True
        )
        write_head(writer, place_map)
        write_robot_mask(writer, place_map)
        writer.array(map_manifest.POSES, [place_map.poses[:rows]], rows)
        writer.lines(map_manifest.PLACES, place_map.table.lines(rows))
        write_links(writer, place_map, rows)
        write_thumbnails(writer, jpegs)
        write_checksums(writer, local, jpegs)
        trained = write_index(writer, place_map, rows)
    return _described(place_map, revision, rows, folder.name, writer.entries, trained)


def write_head(writer: DataWriter, place_map: PlaceMap) -> None:
    """What makes local features of tokens, so that the map is read without the model."""
    if place_map.head is not None:
        vector = place_map.head.vector()
        writer.array(map_manifest.HEAD, [vector], len(vector))


def write_links(writer: DataWriter, place_map: PlaceMap, rows: int) -> None:
    """The closures between the first rows, and their odometry; neither where there is none."""
    links = place_map.links
    links = links[(links['before'] < rows) & (links['after'] < rows)]
    if len(links):
        writer.array(map_manifest.LINKS, [links], len(links))
    if place_map.odometry:
        writer.array(map_manifest.ODOMETRY, [place_map.odometry.array(rows)], rows)


def write_robot_mask(writer: DataWriter, place_map: PlaceMap) -> None:
    """Where the robot sees itself, if that is known."""
    if place_map.robot_mask is not None:
        mask = place_map.robot_mask.astype(np.uint8)
        writer.array(map_manifest.ROBOT, [mask], len(mask))


def write_thumbnails(writer: DataWriter, jpegs: Sequence[np.ndarray]) -> None:
    """JPEGs one after the other, and where each begins; neither where no place has one."""
    offsets = np.cumsum([0, *(jpeg.size for jpeg in jpegs)], dtype='<i8')
    if offsets[-1]:
        writer.array(map_manifest.THUMBNAILS, jpegs, int(offsets[-1]))
        writer.array(map_manifest.THUMBNAIL_OFFSETS, [offsets], len(offsets))


def write_checksums(writer: DataWriter, local: list[int], jpegs: Sequence[np.ndarray]) -> None:
    """local: of each row's local features."""
    sums = np.array([local, [checksum(jpeg) for jpeg in jpegs]], '<u4').T
    writer.array(map_manifest.CHECKSUMS, [np.ascontiguousarray(sums)], len(sums))


def write_index(writer: DataWriter, place_map: PlaceMap, rows: int) -> int:
    """Short lists of large maps; the rows that their values were chosen for, 0 without."""
    config = place_map.config
    if not needs_index(rows, place_map.identity.global_dim, config.index):
        return 0
    coarse = place_map.index.trained(rows, config.index_refine)
    values = coarse.values()
    writer.array(map_manifest.INDEX_VALUES, [values], len(values))
    writer.array(map_manifest.INDEX_CODES, [coarse.codes()], rows)
    return coarse.trained


def _described(
    place_map: PlaceMap, revision: int, rows: int, data: str, files: dict[str, dict[str, Any]],
    trained: int,
) -> dict[str, Any]:  # fmt: skip
    """The manifest."""
    calibration = place_map.calibration
    return {
        'map_id': place_map.map_id,
        'revision': revision,
        'created': datetime.now(timezone.utc).isoformat(timespec='seconds'),
        'selavpr_version': software_version(),
        'model': map_manifest.model_entry(place_map.identity),
        'preprocessing': place_map.identity.description.get('preprocessing'),
        'frame_id': place_map.config.frame_id,
        'counts': {
            'places': rows,
            'with_pose': int((~np.isnan(place_map.poses[:rows, 0, 0])).sum()),
            'thumbnails': sum(jpeg.size > 0 for jpeg in place_map.jpegs[:rows]),
            'sessions': len(place_map.sessions),
            map_manifest.TRAINED: trained,
        },
        'local_dtype': place_map.config.local_dtype,
        'data': data,
        'files': files,
        'configs': {**place_map.configs, 'storage': place_map.config.to_dict()},
        'calibration': None if calibration is None else calibration.to_dict(),
        'source': place_map.source,
        'cameras': {s: camera_entry(c) for s, c in place_map.cameras.items()},
        map_manifest.UNALIGNED: sorted(place_map.unaligned_sessions),
    }
