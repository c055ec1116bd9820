# SPDX-License-Identifier: MIT
"""What writes maps, so that it can be killed or run out of space: afterwards the old map is there,
or the new one.

Run as a script it is a zygote of tests/killer.py that knows these works.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
import json
import os
from pathlib import Path
from typing import Any

import killer
from map_helpers import build_drive, CheapExtractor, Drive, IDENTITY, some_image, some_map, unit
import numpy as np

from selavpr_model.config import RecognizerConfig, TemporalConfig, UpdateConfig
from selavpr_model.maps.building.merge import merge_maps
from selavpr_model.maps.place_map import PlaceMap
from selavpr_model.maps.storage.store import open_map, save_map
from selavpr_model.records import Features, Frame

FEW, MANY = 4, 40  # places of the old map, and of each new one
LENGTH, BUILT = 45, 23  # frames of a drive, places of a map of it
ACKNOWLEDGED = 'acknowledged.jsonl'


class LostError(Exception):
    """What should be there is not."""


class DriveExtractor(CheapExtractor):
    """What SLAM needs of an Extractor."""

    input_size = (56, 56)

    def extract(self, image: Any) -> Features:
        return self.extract_batch([image])[0]


class Work:
    """Writes a map over an old one, both below a folder."""

    at = 'map'  # where the map is, in the folder
    operations = 22  # changes of the file system, about

    def prepare(self, folder: Path, seed: int) -> None:
        """The old map, and what the new one is made of."""
        save_map(some_map(FEW, seed=seed % 7), folder / self.at)

    def run(self, folder: Path, seed: int) -> None:
        """Made anew."""

    def places(self) -> int:
        """Of the new map."""
        return MANY

    def check(self, folder: Path, seed: int) -> str:
        """'old' or 'new': which is there, all of it verified; LostError."""
        there = self._open(folder / self.at)
        if len(there) == FEW and there.source.get('seed') == seed % 7:
            return 'old'
        if len(there) != self.places():
            raise LostError(f'{len(there)} places')
        return 'new'

    @staticmethod
    def _open(path: Path) -> PlaceMap:
        place_map = open_map(path, IDENTITY, everything=True)
        place_map.verify()
        return place_map


class Save(Work):
    def run(self, folder: Path, seed: int) -> None:
        save_map(some_map(MANY, seed=seed), folder / self.at, overwrite=True)


class Build(Work):
    operations = 105

    def run(self, folder: Path, seed: int) -> None:
        build_drive(folder / self.at, 0.005 if seed % 3 else 0.0, LENGTH, overwrite=True)

    def places(self) -> int:
        return BUILT


class Merge(Work):
    """Of two maps into a third."""

    def prepare(self, folder: Path, seed: int) -> None:
        super().prepare(folder, seed)
        for name, count in (('one', FEW), ('other', MANY - FEW)):
            save_map(some_map(count, seed=seed + count), folder / name)

    def run(self, folder: Path, seed: int) -> None:
        self._merge(folder / 'one', folder / 'other', folder / self.at)

    @staticmethod
    def _merge(one: Path, other: Path, out: Path) -> None:
        merge_maps([one, other], out, overwrite=True, progress=False)

    def check(self, folder: Path, seed: int) -> str:
        if len(self._open(folder / 'other')) != MANY - FEW:
            raise LostError('the map that was merged in')
        return super().check(folder, seed)


class MergeInto(Merge):
    """Of two maps into the first of them, which is read from where it is written."""

    def run(self, folder: Path, seed: int) -> None:
        out = folder / self.at
        if len(open_map(out)) == FEW:
            self._merge(out, folder / 'other', out)


class EveningExtractor(DriveExtractor):
    """The same drive in another light: its places are found, and look new."""

    def _one(self, image: np.ndarray) -> Features:
        seen = super()._one(image)
        noise = np.random.default_rng(int(image.sum())).normal(0.0, 0.4, seen.local.shape)
        return Features(seen.global_, unit(seen.local + noise))


class Update(Work):
    """`map update` by a later drive."""

    operations = 130

    def prepare(self, folder: Path, seed: int) -> None:
        build_drive(folder / self.at, 0.0, LENGTH)

    def run(self, folder: Path, seed: int) -> None:
        from selavpr_model.update import update_map as updating

        out = folder / self.at
        if len(open_map(out)) > BUILT:  # it was done, and killed before it had tidied up
            return
        updating.CHUNK_PLACES = 2
        configs = updating.UpdateConfigs(
            UpdateConfig(novelty=0.0, agree_m=20.0), RecognizerConfig(min_precision=0.3),
            TemporalConfig(),
        )  # fmt: skip
        frames = [*odometry_frames()]
        updating.update_map(out, frames, EveningExtractor(), configs, progress=False)

    def check(self, folder: Path, seed: int) -> str:
        there = self._open(folder / self.at)
        looks = sum(update['looks'] for update in there.source.get('updates', ()))
        if len(there) != BUILT + looks:
            raise LostError(f'{len(there)} places, {looks} looks')
        return 'new' if looks else 'old'


class Slam(Work):
    """`selavpr slam` of a folder of images with poses."""

    at = 'out/map'

    def prepare(self, folder: Path, seed: int) -> None:
        import cv2

        super().prepare(folder, seed)
        images = folder / 'images'
        images.mkdir()
        lines = []
        for number in range(LENGTH):
            cv2.imwrite(str(images / f'{number:04d}.png'), some_image(number))
            lines.append(f'{number:04d}.png {0.6 * number} 0 0 0 0 0 1\n')
        (images / 'poses.txt').write_text(''.join(lines))

    def run(self, folder: Path, seed: int) -> None:
        from selavpr_ros.replay.slam import run_with, SlamRequest

        run_with(SlamRequest(folder / 'images', folder / 'out'), DriveExtractor())

    def places(self) -> int:
        return LENGTH


class Live(Work):
    """A map that grows in the node and is saved again and again while it does."""

    operations = 190

    def run(self, folder: Path, seed: int) -> None:
        from selavpr_model.slam.session import SlamConfigs, SlamSession
        from selavpr_ros.node.pipeline import drives

        os.environ['SELAVPR_HOME'] = str(folder / 'home')
        extractor = DriveExtractor()
        slam = SlamSession(extractor, PlaceMap.for_extractor(extractor, None), SlamConfigs())
        with (folder / ACKNOWLEDGED).open('a') as log:
            for number, frame in enumerate(odometry_frames()):
                slam.process(frame)
                if number % 5 == 4:
                    drives.save(slam, str(folder / self.at))
                    log.write(json.dumps(len(slam.place_map)) + '\n')
                    log.flush()

    def check(self, folder: Path, seed: int) -> str:
        """At least what was said to be saved is there."""
        log = folder / ACKNOWLEDGED
        said = [int(line) for line in log.read_text().split()] if log.exists() else []
        there = self._open(folder / self.at)
        if not said and len(there) == FEW and there.source.get('seed') == seed % 7:
            return 'old'
        if len(there) < max(said, default=1) or [p.id for p in there.places] != [
            *range(len(there))
        ]:
            raise LostError(f'{len(there)} places, {max(said, default=0)} were said to be saved')
        log.unlink(missing_ok=True)
        return 'new'


def odometry_frames() -> Iterator[Frame]:
    for frame in Drive(LENGTH):  # type: ignore[attr-defined]
        yield replace(frame, pose=None, odom=frame.pose)


WORKS: dict[str, Work] = {
    'save': Save(), 'build': Build(), 'merge': Merge(),
    'merge into': MergeInto(), 'update': Update(), 'slam': Slam(), 'live': Live(),
}  # fmt: skip


def in_the_zygote(path: str, work: str, seed: int) -> None:
    WORKS[work].run(Path(path), seed)


if __name__ == '__main__':
    killer.JOBS['work'] = in_the_zygote
    killer.zygote()
