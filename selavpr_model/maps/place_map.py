# SPDX-License-Identifier: MIT
"""The map in memory: places with their features, searched by the global ones.

A pose is in the frame of the map, or in the odometry of one run that is not aligned with it.
Odometry starts at its own origin, so the poses of two runs lie on each other by coincidence only.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
import itertools
from pathlib import Path
from typing import Any
import uuid

import numpy as np

from selavpr_model.config import MapConfig
from selavpr_model.decision.calibration import Calibration
from selavpr_model.errors import InputError
from selavpr_model.features.extractor import Extractor
from selavpr_model.maps import links as map_links
from selavpr_model.maps import thumbnails
from selavpr_model.maps.checks import check_features, check_place, require_head, require_model
from selavpr_model.maps.index import VectorIndex
from selavpr_model.maps.local_store import LocalStore
from selavpr_model.maps.place_table import PlaceTable
from selavpr_model.maps.row_checksums import RowGuard
from selavpr_model.matching.codec import codec_of
from selavpr_model.matching.compact_codec import CompactCodec
from selavpr_model.matching.local_head import head_of, LocalHead
from selavpr_model.matching.matcher import mask_at, Matcher
from selavpr_model.records import Camera, Features, LoopClosure, ModelIdentity, Place, Recognition

ODOMETRY = 'odom'  # frame of a map that grew: that of one run's odometry


def free_name(name: str, taken: Collection[str]) -> str:
    """`name`, or with the first number that makes it a name of its own."""
    numbered = (f'{name}-{n}' for n in itertools.count(2))
    return next(one for one in itertools.chain([name], numbered) if one not in taken)


class PlaceMap:
    """Places in rows; rows and ids never change, adding appends.

    maps/storage opens and saves it. What was opened stays memory-mapped and read-only; places
    added later live in RAM until the next save, and poses may be corrected. `path` and `manifest`
    are those of the last save or opening. `table`, `index`, `store`, `jpegs` and `guard` are its
    parts, for maps/storage.
    """

    def __init__(
        self, identity: ModelIdentity, config: MapConfig, head: LocalHead | None = None
    ) -> None:
        require_head(identity, config, head)
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
        self.unaligned_sessions: set[str] = set()  # with poses in their own odometry
        self.links = map_links.no_links()  # of places that closures join
        self._joined: tuple[np.ndarray, dict[int, set[int]]] = self.links, {}
        self.odometry = map_links.OdometryRows()  # as it was measured, of runs in SLAM mode
        self.robot_mask: np.ndarray | None = None  # (h, w) bool of the model's cells, see there
        self.table = PlaceTable()
        self.index = VectorIndex(identity.global_dim, config.use_gpu_index)
        self.store = LocalStore(codec_of(config.local_dtype, identity.local_shape, head))
        self.jpegs: list[np.ndarray] = []  # (n,) uint8 a place; empty: no thumbnail
        self.guard: RowGuard | None = None  # of rows that were not verified when opened

    @classmethod
    def empty(
        cls,
        identity: ModelIdentity,
        config: MapConfig | None = None,
        head: LocalHead | None = None,
    ) -> PlaceMap:
        """A map to add places to; head: what makes local features of tokens (storage compact)."""
        return cls(identity, config or MapConfig(), head)

    @classmethod
    def for_extractor(cls, extractor: Extractor, config: MapConfig | None = None) -> PlaceMap:
        """A map to add places to, of the features that `extractor` makes."""
        config, local = config or MapConfig(), extractor.local
        tokens = config.local_dtype == CompactCodec.name and local is not None
        return cls(extractor.identity, config, head_of(local) if tokens else None)

    def __len__(self) -> int:
        return len(self.table)

    @property
    def places(self) -> Sequence[Place]:
        return self.table

    @property
    def positions(self) -> np.ndarray:
        """(N, 3) float64 of the cameras in the map frame, m; NaN where there is no pose in it."""
        positions = self.poses[:, :3, 3]
        if not self.unaligned_sessions:
            return positions
        sessions = self.table.session_of_rows()[: len(positions)]  # another thread may add some
        unaligned = np.array([s in self.unaligned_sessions for s in sessions], bool)
        return np.where(unaligned[:, None], np.nan, positions)

    @property
    def poses(self) -> np.ndarray:
        """(N, 4, 4) float64 T_map_camera; all NaN where there is no pose."""
        return self.table.poses()

    def frame_of(self, place: Place) -> str:
        """'' where its pose is in the frame of the map, else the session whose odometry it is."""
        return place.session if place.session in self.unaligned_sessions else ''

    @property
    def sessions(self) -> set[str]:
        return self.table.sessions()

    @property
    def next_id(self) -> int:
        """An id that no place of this map has."""
        return self.table.next_id

    @property
    def head(self) -> LocalHead | None:
        """What makes the local features of rows that are tokens."""
        return self.store.codec.head

    def add(self, features: Features, place: Place, thumbnail: np.ndarray | None = None) -> int:
        """Append a place and return its row. thumbnail: (H, W, 3) uint8 RGB of any size."""
        check_features(features, self.identity)
        check_place(place)
        self.table.require_new([place.id])
        jpeg = thumbnails.encode(thumbnail, self.config.thumbnail_px)
        self.store.add(features)
        return self._append(np.asarray(features.global_, np.float32), place, jpeg)

    def copy(self, other: PlaceMap, row: int, place: Place) -> int:
        """Append a row of `other`, stored alike, as `place`; its bytes stay as they are."""
        self.table.require_new([place.id])
        other._verified([row])
        if other.guard is not None:
            other.guard.thumbnail(row)
        self.store.append(other.store.stored(row))
        self._copy_odometry(other, row, len(self.table))
        return self._append(other.global_(row), place, other.jpegs[row])

    def _copy_odometry(self, other: PlaceMap, row: int, mine: int) -> None:
        measured = other.odometry.get(row)
        if measured is not None:
            self.odometry.set(mine, *measured)

    def copy_links(self, other: PlaceMap, rows: Mapping[int, int]) -> None:
        """The links of another map; rows: of it -> of this map, for those that were copied.

        Where a link is left out, poses that it has corrected become what odometry says: nothing
        else would know of the correction.
        """
        kept = map_links.moved(other.links, rows)
        self.links = np.concatenate([self.links, kept])
        for row in rows.values() if len(kept) < len(other.links) else ():
            measured, pose = self.odometry.get(row), self.table[row].pose
            if measured is not None and pose is not None:
                self.odometry.set(row, pose, measured[1])

    def link(
        self, before: int, after: int, pose: np.ndarray, covariance: np.ndarray, metric: bool
    ) -> None:
        """Join two rows by a verified closure; see LINK for its parts."""
        partners = self.joined  # known so far: a growing map gets many links one by one
        new = map_links.link(before, after, pose, covariance, metric)
        self.links = np.concatenate([self.links, new])
        partners.setdefault(before, set()).add(after)
        partners.setdefault(after, set()).add(before)
        self._joined = self.links, partners

    def move(self, poses: np.ndarray) -> None:
        """Correct the poses of the first rows: (n, 4, 4) T_map_camera, all NaN where none."""
        self.table.move(poses)

    def weigh_links(self, weights: np.ndarray) -> None:
        """(m,) new weights of the first links, 0 to 1."""
        links = self.links.copy()
        links['weight'][: len(weights)] = weights
        self.links = links

    @property
    def joined(self) -> dict[int, set[int]]:
        """Row -> rows that show the same place by a closure, whatever their poses say."""
        if self._joined[0] is not self.links:
            self._joined = self.links, map_links.joined(self.links)
        return self._joined[1]

    def _append(self, global_: np.ndarray, place: Place, jpeg: np.ndarray) -> int:
        self.index.add(global_[None])
        self.jpegs.append(jpeg)
        self.table.append(place)
        return len(self.table) - 1

    def require_alike(self, other: PlaceMap) -> None:
        """InputError unless rows of `other` can be copied into this map."""
        self.store.require_alike(other.store)

    def extend(self, other: PlaceMap) -> None:
        """Append all places of `other`, made by the same model and stored alike."""
        require_model(other.path or Path('map'), other.identity, self.identity)
        self.require_alike(other)
        self.table.require_new(other.table.ids(), 'in both maps; ids must differ')
        other.verify()
        for block in other.store.blocks:
            self.store.append(block)
        for vectors in other.index.blocks():
            self.index.add(vectors)
        self.jpegs += other.jpegs
        start = len(self.table)
        self.table.extend(other.table)
        for row in range(len(other) if other.odometry else 0):
            self._copy_odometry(other, row, start + row)
        self.copy_links(other, {row: start + row for row in range(len(other))})

    def search(self, global_: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """(D,) -> rows (k',) int64 and cosines (k',) float32, best first, ties by row."""
        query = np.asarray(global_, np.float32)
        if query.shape != (self.identity.global_dim,) or not np.isfinite(query).all():
            expected = f'finite ({self.identity.global_dim},)'
            raise InputError(f'global features: expected {expected}, got {query.shape}')
        return self.index.search(query, k)

    def local(self, rows: Sequence[int] | np.ndarray) -> np.ndarray:
        """(n,) rows -> (n, cells, C) float32 unit vectors; cells of `grid`, reads those rows."""
        return self.store.read(self._verified(rows))

    def codes(self, rows: Sequence[int] | np.ndarray) -> list[np.ndarray]:
        """The same as stored, to count mutual matches with `code` of a query; not copied."""
        return self.store.views(self._verified(rows))

    def code(self, features: Features) -> np.ndarray:
        """A query coded as this map's places are: a view that `matcher` compares."""
        return self.store.codec.encode(features)

    def matcher(self, score: str, quick: bool = False) -> Matcher:
        """How views of this map are compared; score: RecognizerConfig.score.

        quick: where comparing takes long, only the promising ones are, see TokenMatcher.
        """
        matcher = self.store.codec.matcher(score, quick)
        return replace(matcher, robot=mask_at(self.robot_mask, matcher.grid))

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of the cells of a place; fewer than the model makes, if thinned."""
        return self.store.codec.grid

    def _verified(self, rows: Sequence[int] | np.ndarray) -> np.ndarray:
        """(n,) int64; MapDataError if one of them is damaged."""
        numbers = np.asarray(rows, np.int64)
        if self.guard is not None:
            self.guard.local(numbers)
        return numbers

    def global_(self, row: int) -> np.ndarray:
        """(D,) float32 of one place."""
        return self.index.vector(row)

    def thumbnail(self, row: int) -> np.ndarray | None:
        """(h, w, 3) uint8 RGB, or None where none was stored."""
        if self.guard is not None:
            self.guard.thumbnail(row)
        return thumbnails.decode(self.jpegs[row])

    def verify(self) -> None:
        """Raise MapDataError if a row that was not read since opening is damaged."""
        if self.guard is not None:
            self.guard.everything()


def shown(place: Place, place_map: PlaceMap) -> Place:
    """To be told to others: with its pose, where that is one in the frame of the map."""
    return replace(place, pose=None) if place_map.frame_of(place) else place


def shown_answer(answer: Recognition, place_map: PlaceMap) -> Recognition:
    """`shown` of the places of all its candidates."""
    candidates = tuple(replace(c, place=shown(c.place, place_map)) for c in answer.candidates)
    return replace(answer, candidates=candidates)


def shown_closure(closure: LoopClosure, place_map: PlaceMap) -> LoopClosure:
    """`shown` of both its ends; the pose of one in the other holds in any frame."""
    before, after = (shown(place, place_map) for place in (closure.before, closure.after))
    return replace(closure, before=before, after=after)
