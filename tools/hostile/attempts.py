# SPDX-License-Identifier: MIT
"""A file of each kind made and used as the commands and the node use it; in a process of its own.

`make` returns what was done; `use` raises SelaVPRError for what is refused. What else it raises,
and what it returns in words, is a fault.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
import shutil
from typing import Any, Protocol

import numpy as np

from selavpr_model.maps.links import link


class Attempt(Protocol):
    def make(self, seed: int) -> str: ...

    def use(self) -> str: ...


class Case:
    """An empty folder for each case."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / 'case'

    def fresh(self) -> Path:
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir()
        return self.folder


class Maps(Case):
    """A copy of a good map with something wrong, its checksums redone; opened, asked, read."""

    def __init__(self, folder: Path) -> None:
        from map_helpers import some_map

        from selavpr_model.config import MapConfig
        from selavpr_model.maps.storage.store import save_map

        super().__init__(folder)
        self.good = []
        for dtype, index in (('fast', 'codes'), ('exact', 'flat'), ('tiny', 'auto')):
            made = some_map(150 if index == 'codes' else 12, dtype)
            made.config = MapConfig(local_dtype=dtype, thumbnail_px=16, index=index)
            if dtype == 'tiny':
                joined(made)
            save_map(made, folder / dtype)
            self.good.append(folder / dtype)

    def make(self, seed: int) -> str:
        from hostile.maps import hostile_map

        self.out = self.fresh() / 'map'
        return hostile_map(self.good[seed % len(self.good)], self.out, seed)

    def use(self) -> str:
        from map_helpers import IDENTITY, some_features

        from selavpr_model.cli.map_show import describe
        from selavpr_model.maps.building.inspect import problems
        from selavpr_model.maps.storage.reader import read_manifest
        from selavpr_model.maps.storage.store import open_map
        from selavpr_model.slam.straight import optimize_map
        from selavpr_ros.node.health.status import map_info

        describe(read_manifest(self.out))
        place_map = open_map(self.out, IDENTITY)
        map_info(place_map, 0, 'map')
        rows, _ = place_map.search(some_features(3).global_, 5)
        place_map.local(rows)
        for row in range(min(20, len(place_map))):
            list(problems(place_map, row))
        if len(place_map.links):
            optimize_map(self.out, self.folder / 'straight')
        return ''


def joined(place_map: Any) -> None:
    """As of a drive in SLAM mode: odometry of each place, and two closures."""
    for row in range(len(place_map)):
        pose = np.eye(4)
        pose[0, 3] = row
        place_map.odometry.set(row, pose, 0)
    for before, after, metric in ((0, 8, True), (2, 10, False)):
        closure = link(before, after, np.eye(4), 0.1 * np.eye(6), metric)
        place_map.links = np.concatenate([place_map.links, closure])


class Images(Case):
    """As a message, and as a file of a folder; what is decoded is made ready for the network."""

    def __init__(self, folder: Path) -> None:
        from selavpr_model.config import ExtractorConfig
        from selavpr_model.features.extractor import load_extractor

        super().__init__(folder)
        self.extractor = load_extractor(ExtractorConfig())

    def make(self, seed: int) -> str:
        from hostile.images import hostile_image

        self.raw, kind = hostile_image(seed)
        (self.fresh() / f'{seed}.png').write_bytes(self.raw)
        return kind

    def use(self) -> str:
        from selavpr_model.data.image_folder import ImageFolder
        from selavpr_model.errors import InputError
        from selavpr_ros.config import NodeConfig
        from selavpr_ros.convert.encodings import decode_compressed

        frames = ImageFolder(self.folder)
        with contextlib.suppress(InputError):  # the file may be taken where the message is not
            self.extractor.preprocess(
                decode_compressed(self.raw, 'jpeg', NodeConfig().max_image_px)
            )
        self.extractor.preprocess(frames[0].image)
        return ''


class Bags(Case):
    """All frames of a recording."""

    def __init__(self, folder: Path) -> None:
        from hostile.bags import make_good

        super().__init__(folder)
        self.good = folder / 'bags'
        self.good.mkdir()
        make_good(self.good)

    def make(self, seed: int) -> str:
        from hostile.bags import hostile_bag

        self.path, kind = hostile_bag(self.good, self.fresh(), seed)
        return kind

    def use(self) -> str:
        from selavpr_model.data.source_report import Source
        from selavpr_ros.bags.reader import BagFrames

        frames: Source = BagFrames(self.path)
        poses = [frame.pose for frame in frames]
        frames.report.words()
        return not_finite(poses)


class Weights(Case):
    """A file of weights made a network."""

    def __init__(self, folder: Path) -> None:
        from hostile.weights import make_good

        super().__init__(folder)
        self.good = folder / 'weights'
        self.good.mkdir()
        make_good(self.good)

    def make(self, seed: int) -> str:
        from hostile.weights import hostile_weights

        self.file, kind = hostile_weights(self.good, self.fresh(), seed)
        return kind

    def use(self) -> str:
        from hostile.weights import TRAP
        from selavpr_model.features.checkpoint import build_network, read_checkpoint

        try:
            build_network(read_checkpoint(self.file))
        finally:
            ran = Path(TRAP).exists()
            Path(TRAP).unlink(missing_ok=True)
        return 'code was run' if ran else ''


class Poses(Case):
    """A folder of images with poses."""

    def make(self, seed: int) -> str:
        from hostile.poses import hostile_poses

        self.root, self.table, kind = hostile_poses(self.fresh() / 'x', seed)
        return kind

    def use(self) -> str:
        from selavpr_model.data.image_folder import ImageFolder

        frames = ImageFolder(self.root, self.table)
        poses = [row.pose for row in frames.rows]
        for number in range(min(2, len(frames))):
            frames[number]
        frames.report.words()
        return not_finite(poses)


def not_finite(poses: list[np.ndarray | None]) -> str:
    """What is wrong with a pose that is no rotation and shift; ''."""
    for pose in poses:
        if pose is not None and not np.isfinite(pose).all():
            return 'a pose that is not finite'
        if pose is not None and not np.allclose(
            pose[:3, :3] @ pose[:3, :3].T, np.eye(3), atol=1e-3
        ):
            return 'a pose that is no rotation'
    return ''


KINDS: dict[str, type[Case]] = {
    'maps': Maps, 'images': Images, 'bags': Bags, 'weights': Weights, 'poses': Poses,
}  # fmt: skip
