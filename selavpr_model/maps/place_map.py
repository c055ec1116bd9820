# SPDX-License-Identifier: MIT
"""The map: places with their features; searched by global features, re-ranked by local ones."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timezone
import itertools
import logging
from pathlib import Path
from typing import Any
import uuid

import numpy as np

from selavpr_model.maps.storage import contents as map_checks
from selavpr_model.maps.storage import reader
from selavpr_model.maps import thumbnails as map_images
from selavpr_model.maps.storage import manifest as map_manifest
from selavpr_model.maps import row_checksums
from selavpr_model.maps.storage import writer as map_writer
from selavpr_model.config import MapConfig
from selavpr_model.decision.calibration import Calibration
from selavpr_model.matching.matcher import Matcher
from selavpr_model.errors import InputError, MapEmptyError, MapMemoryError
from selavpr_model.maps.frames import shown_positions
from selavpr_model.maps.index import needs_index, VectorIndex
from selavpr_model.matching.token_matcher import TokenMatcher
from selavpr_model.maps.local_store import Block, LocalStore
from selavpr_model.maps.place_table import PlaceTable
from selavpr_model.runtime.version import software_version
from selavpr_model.records import Camera, Features, ModelIdentity, Place

logger = logging.getLogger(__name__)
ODOMETRY = 'odom'  # frame of a map that grew: that of one run's odometry


def free_name(wanted: str, taken: Collection[str]) -> str:
    """`wanted`, or with the first number that makes it a name of its own."""
    numbered = (f'{wanted}-{n}' for n in itertools.count(2))
    return next(name for name in itertools.chain([wanted], numbered) if name not in taken)


class PlaceMap:
    """Places in rows; rows and ids never change, adding appends.

    What was opened stays memory-mapped and read-only; places added later live in RAM and reach
    the disk with the next save. `configs`, `source`, `cameras`, `adrift` and `calibration` are
    saved, too.
    """

    def __init__(self, identity: ModelIdentity, config: MapConfig) -> None:
        self.identity = identity
        self.config = config
        self.map_id = str(uuid.uuid4())
        self.revision = 0
        self.path: Path | None = None
        self.manifest: dict[str, Any] = {}
        self.source: dict[str, Any] = {}
        self.configs: dict[str, dict[str, Any]] = {}
        self.calibration: Calibration | None = None
        self.cameras: dict[str, Camera] = {}  # of each session
        self.adrift: set[str] = set()  # sessions with poses in their own odometry, not the map's
        self._places = PlaceTable()
        self._thumbnails: list[np.ndarray] = []  # JPEG bytes, (n,) uint8; empty: none
        self._index = VectorIndex(identity.global_dim, config.use_gpu_index)
        self._local = LocalStore(config.local_dtype, identity.local_shape, identity.head)
        self._guard: row_checksums.RowGuard | None = None  # of what was not verified yet

    @classmethod
    def empty(cls, identity: ModelIdentity, config: MapConfig | None = None) -> PlaceMap:
        """A map to add places to."""
        return cls(identity, config or MapConfig())

    @classmethod
    def open(
        cls, path: str | Path, identity: ModelIdentity | None = None, everything: bool = False
    ) -> PlaceMap:
        """A map on disk, verified; with `identity`, also that this model made it.

        Local features and thumbnails of a large map are verified row by row when they are read,
        unless `everything` is asked for. Raises the MapError that says what is wrong with it.
        """
        path = Path(path)
        contents = reader.load(path, identity, everything)
        try:
            place_map = cls._from_files(path, contents)
        except MemoryError as error:
            raise MapMemoryError(f'{path}: the map does not fit into memory') from error
        reader.tidy(path)
        logger.debug('%s: %d places, revision %d', path, len(place_map), place_map.revision)
        return place_map

    @classmethod
    def _from_files(cls, path: Path, contents: reader.Contents) -> PlaceMap:
        manifest, data = contents.manifest, contents.data
        folder = path / manifest['data']
        identity = map_checks.check_contents(folder, contents)
        self = cls(identity, map_manifest.map_config(manifest, path))
        self._places = map_checks.places_from(folder, data)
        coarse = map_checks.coarse_index(folder, data, self.config)
        self._index = VectorIndex(
            identity.global_dim, self.config.use_gpu_index, data['global.npy'], coarse
        )
        self._local.append(Block(data['local.npy'], data.get('local_scales.npy')))
        self._thumbnails = map_images.split(data, len(self._places))
        if contents.late:
            self._guard = row_checksums.RowGuard(folder, data, self._thumbnails)
        self._adopt(path, manifest)
        self.source, self.configs = manifest['source'], manifest['configs']
        self.calibration = map_manifest.calibration(manifest, path)
        self.cameras = map_manifest.cameras(manifest, path)
        self.adrift = map_manifest.adrift(manifest, path)
        return self

    def _adopt(self, path: Path, manifest: dict[str, Any]) -> None:
        self.path, self.manifest = path, manifest
        self.map_id, self.revision = manifest['map_id'], manifest['revision']

    def __len__(self) -> int:
        return len(self._places)

    @property
    def places(self) -> Sequence[Place]:
        return self._places

    @property
    def positions(self) -> np.ndarray:
        """(N, 3) float64 of the cameras in the map frame, m; NaN where there is no pose in it."""
        return shown_positions(self.poses[:, :3, 3], self)

    @property
    def poses(self) -> np.ndarray:
        """(N, 4, 4) float64 T_map_camera; all NaN where there is no pose."""
        return self._places.poses()

    def frame_of(self, place: Place) -> str:
        """'' where its pose is in the frame of the map, else the session whose odometry it is."""
        return place.session if place.session in self.adrift else ''

    @property
    def sessions(self) -> set[str]:
        return self._places.sessions()

    @property
    def next_id(self) -> int:
        """An id that no place of this map has."""
        return self._places.next_id

    @property
    def search_device(self) -> str:
        return self._index.device

    def add(self, features: Features, place: Place, thumbnail: np.ndarray | None = None) -> int:
        """Append a place and return its row. thumbnail: (H, W, 3) uint8 RGB of any size."""
        map_checks.check_features(features, self.identity)
        map_checks.check_place(place)
        self._places.require_new([place.id])
        jpeg = map_images.encode(thumbnail, self.config.thumbnail_px)
        self._local.add(features)
        return self._append(np.asarray(features.global_, np.float32), place, jpeg)

    def copy(self, other: PlaceMap, row: int, place: Place) -> int:
        """Append a row of `other`, stored alike, as `place`; nothing of it is coded again."""
        self._places.require_new([place.id])
        other._verify([row])
        thumbnail = map_images.encode(other.thumbnail(row), self.config.thumbnail_px)
        self._local.append(other._local.stored(row))
        return self._append(other.global_(row), place, thumbnail)

    def _append(self, global_: np.ndarray, place: Place, jpeg: np.ndarray) -> int:
        self._index.add(global_[None])
        self._thumbnails.append(jpeg)
        self._places.append(place)
        return len(self._places) - 1

    def require_alike(self, other: PlaceMap) -> None:
        """InputError unless rows of `other` can be copied into this map."""
        self._local.require_alike(other._local)

    def extend(self, other: PlaceMap) -> None:
        """Append all places of `other`, made by the same model and stored alike."""
        reader.require_model(other.path or Path('map'), other.identity, self.identity)
        self.require_alike(other)
        self._places.require_new(other._places.ids(), 'in both maps; ids must differ')
        other.verify()
        for block in other._local.blocks:
            self._local.append(block)
        for vectors in other._index.blocks():
            self._index.add(vectors)
        self._thumbnails += other._thumbnails
        self._places.extend(other._places)

    def search(self, global_: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """(D,) -> rows (k',) int64 and cosines (k',) float32, best first, ties by row."""
        query = np.asarray(global_, np.float32)
        if query.shape != (self.identity.global_dim,) or not np.isfinite(query).all():
            expected = f'finite ({self.identity.global_dim},)'
            raise InputError(f'global features: expected {expected}, got {query.shape}')
        return self._index.search(query, k)

    def local(self, rows: Sequence[int] | np.ndarray) -> np.ndarray:
        """(n,) rows -> (n, cells, C) float32 unit vectors; cells of `grid`, reads those rows."""
        return self._local.read(self._verify(rows))

    def codes(self, rows: Sequence[int] | np.ndarray) -> list[np.ndarray]:
        """The same as stored, to count mutual matches with `code` of a query; not copied."""
        return self._local.codes(self._verify(rows))

    def code(self, features: Features) -> np.ndarray:
        """A query coded as this map's places are: a view that `matcher` compares."""
        return self._local.code(features)

    def matcher(self, score: str, quick: bool = False) -> Matcher:
        """How views of this map are compared; score: RecognizerConfig.score.

        quick: where comparing takes long, only the promising ones are, see TokenMatcher.
        """
        grid, reach, head = self.grid, self._local.reach, self._local.head
        if head is not None:
            return TokenMatcher(grid, reach, score, head, quick)
        return Matcher(grid, reach, score)

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of the cells of a place; fewer than the model makes, if thinned."""
        return self._local.grid

    def _verify(self, rows: Sequence[int] | np.ndarray) -> np.ndarray:
        wanted = np.asarray(rows, np.int64)
        if self._guard is not None:
            self._guard.local(wanted)
        return wanted

    def global_(self, row: int) -> np.ndarray:
        """(D,) float32 of one place."""
        return self._index.vector(row)

    def thumbnail(self, row: int) -> np.ndarray | None:
        """(h, w, 3) uint8 RGB, or None where none was stored."""
        if self._guard is not None:
            self._guard.thumbnail(row)
        return map_images.decode(self._thumbnails[row])

    def verify(self) -> None:
        """Raise MapDataError if a row that was not read since opening is damaged."""
        if self._guard is not None:
            self._guard.everything()

    def save(self, path: str | Path, overwrite: bool = False) -> None:
        """Write to the folder `path`; a kill at any moment leaves the old map or this one."""
        path = Path(path)
        self.verify()  # what is written now gets a checksum that says it is right
        if len(self) == 0:
            raise MapEmptyError(f'{path}: nothing to save, the map holds no place')
        map_writer.require_free(path, overwrite)
        with map_writer.writing(path):
            map_writer.make_folder(path)
            with map_writer.lock(path):
                map_writer.require_free(path, overwrite)
                manifest = self._write(path)
                map_writer.commit(path, manifest)
                map_writer.remove_leftovers(path, manifest['data'])
        self._adopt(path, manifest)

    def _write(self, path: Path) -> dict[str, Any]:
        revision, rows = self.revision + 1, len(self)
        thumbnails = self._thumbnails[:rows]
        need = rows * (self._row_bytes() + 1024) + sum(t.size for t in thumbnails)
        with map_writer.new_data_folder(path, revision, need) as folder:
            writer = map_writer.DataWriter(folder)
            writer.array('global.npy', self._index.blocks(rows), rows)
            self._local.write(writer, rows)
            self._write_head(writer)
            writer.array('poses.npy', [self.poses[:rows]], rows)
            writer.lines('places.jsonl', self._places.lines(rows))
            map_images.write(writer, thumbnails)
            row_checksums.write(writer, thumbnails)
            self._write_index(writer, rows)
        return self._describe(revision, rows, folder.name, writer.entries)

    def _write_head(self, writer: map_writer.DataWriter) -> None:
        """What makes local features of tokens, so that the map is read without the model."""
        if self._local.head is not None:
            vector = self._local.head.vector()
            writer.array(map_manifest.HEAD, [vector], len(vector))

    def _write_index(self, writer: map_writer.DataWriter, rows: int) -> None:
        config = self.config
        if needs_index(rows, self.identity.global_dim, config.index):
            coarse = self._index.trained(rows, config.index_refine)
            writer.blob(map_manifest.INDEX, coarse.to_bytes(), rows)

    def _row_bytes(self) -> int:
        block = self._local.blocks[0]
        scales = 0 if block.scales is None else block.scales[0].nbytes
        return block.codes[0].nbytes + scales + 4 * self.identity.global_dim

    def _describe(
        self, revision: int, rows: int, data: str, files: dict[str, dict[str, Any]]
    ) -> dict[str, Any]:
        return {
            'map_id': self.map_id,
            'revision': revision,
            'created': datetime.now(timezone.utc).isoformat(timespec='seconds'),
            'selavpr_version': software_version(),
            'model': map_manifest.model_entry(self.identity),
            'preprocessing': self.identity.description.get('preprocessing'),
            'frame_id': self.config.frame_id,
            'counts': {
                'places': rows,
                'with_pose': int((~np.isnan(self.poses[:rows, 0, 0])).sum()),
                'thumbnails': sum(t.size > 0 for t in self._thumbnails[:rows]),
                'sessions': len(self.sessions),
            },
            'local_dtype': self.config.local_dtype,
            'data': data,
            'files': files,
            'configs': {**self.configs, 'storage': self.config.to_dict()},
            'calibration': None if self.calibration is None else self.calibration.to_dict(),
            'source': self.source,
            'cameras': {s: map_manifest.camera_entry(c) for s, c in self.cameras.items()},
            'adrift': sorted(self.adrift),
        }
