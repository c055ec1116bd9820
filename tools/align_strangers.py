# SPDX-License-Identifier: MIT
"""Maps of towns and buildings that have nothing in common: none may be aligned with another.

Each source is driven in SLAM mode, with its poses for odometry and, where the camera is not
calibrated, a guessed one, so that geometry has its say. Then every pair is merged.

    python tools/align_strangers.py --out build/strangers
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
import itertools
import math
from pathlib import Path

import numpy as np

from selavpr_model.features.extractor import Extractor, load_extractor
from selavpr_model.maps.building.merge import merge_maps
from selavpr_model.maps.place_map import PlaceMap
from selavpr_model.maps.storage.store import open_map, save_map
from selavpr_model.records import Camera, Frame
from selavpr_model.runtime.threads import share_cores
from selavpr_model.slam.join import join
from selavpr_ros.replay.slam import Drive, open_session, SlamRequest

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT.parent / 'shared' / 'data'
FOV_DEG = 65.0  # guessed


def sources() -> Iterator[tuple[str, Path, float]]:
    """Name, folder or bag, metres a unit of its poses."""
    for circuit in sorted((DATA / 'circuits').iterdir()):
        yield circuit.name, circuit, 0.2
    yield 'campus', DATA / 'campus_gray', 1.0
    yield 'kitchen', DATA / 'sevenscenes_redkitchen', 1.0
    yield 'town', ROOT / 'demo' / 'summer', 1.0


def driven(name: str, source: Path, unit_m: float, extractor: Extractor, most: int) -> PlaceMap:
    """The map of the first `most` frames."""
    slam = None
    for frame in itertools.islice(Drive(SlamRequest(source, Path(), unit_m=unit_m)), most):
        slam = slam or open_session(SlamRequest(source, Path()), extractor)
        slam.process(frame if frame.camera else replace(frame, camera=guessed(frame)))
    assert slam is not None, name
    slam.finish()
    return slam.place_map


def guessed(frame: Frame) -> Camera:
    height, width = frame.image.shape[:2]
    focal = width / 2 / math.tan(math.radians(FOV_DEG / 2))
    K = np.array([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1.0]])
    return Camera(K, np.zeros(5), (width, height))


def merged(paths: tuple[Path, Path], out: Path) -> tuple[int, int, bool]:
    """Links between the two maps, the metric ones of them, and whether they were aligned."""
    both = merge_maps(paths, out, overwrite=True, calibrated=False, progress=False, join=join)
    first = len(open_map(paths[0]))
    across = (both.links['before'] < first) != (both.links['after'] < first)
    metric = int(both.links['metric'][across].sum())
    return int(across.sum()), metric, not both.unaligned_sessions


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--out', type=Path, required=True, help='folder of the maps; kept')
    parser.add_argument('--frames', type=int, default=80, help='of each source')
    given = parser.parse_args()
    share_cores()
    extractor, maps = load_extractor(), {}
    for name, source, unit_m in sources():
        maps[name] = given.out / name
        if not maps[name].is_dir():
            save_map(driven(name, source, unit_m, extractor, given.frames), maps[name])
    aligned, pairs = 0, list(itertools.combinations(maps, 2))
    for a, b in pairs:
        links, metric, is_aligned = merged((maps[a], maps[b]), given.out / 'pair')
        aligned += is_aligned
        print(
            f'{a} + {b}: {links} closures, {metric} metric, {"ALIGNED" if is_aligned else "apart"}'
        )
    print(f'{aligned} of {len(pairs)} pairs aligned')


if __name__ == '__main__':
    main()
