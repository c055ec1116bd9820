# SPDX-License-Identifier: MIT
"""Render a run through the procedural town to PNG frames and poses.csv (see demo/README.md).

Example: render_town.py --seed 7 --season summer --run summer --out /tmp/town/summer
Needs `pip install bpy==4.5.* numpy opencv-python-headless tqdm` for Python 3.11; no GPU.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
import contextlib
import os
from pathlib import Path
import sys

from tqdm import tqdm


def _size(text: str) -> tuple[int, int]:
    """WIDTHxHEIGHT to two ints."""
    width, height = text.split('x')
    return int(width), int(height)


def _frames(text: str, count: int) -> list[int]:
    """'all', '5', '3:40' or '0:200:10' to frame numbers."""
    if text == 'all':
        return list(range(count))
    parts = [int(p) if p else None for p in text.split(':')]
    return list(range(count))[slice(*parts)] if len(parts) > 1 else [parts[0]]


def _coarse_first(numbers: list[int]) -> list[int]:
    """Every fourth frame, then every second, then the rest: a stopped run is still a run."""
    return sorted(numbers, key=lambda k: (k % 4 > 0) + (k % 2 > 0))


def parser() -> argparse.ArgumentParser:
    """Command line."""
    p = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument('--seed', type=int, default=7, help='which town')
    p.add_argument('--season', choices=('summer', 'winter', 'autumn'), required=True)
    p.add_argument(
        '--run', choices=('summer', 'winter', 'autumn'), help='which drive (default: season)'
    )
    p.add_argument('--out', type=Path, required=True, help='folder of the PNG frames')
    p.add_argument('--frames', default='all', help='all, N, A:B or A:B:STEP')
    p.add_argument('--spacing-m', type=float, default=2.2, help='metres between frames')
    p.add_argument('--size', type=_size, default=(320, 240), help='WIDTHxHEIGHT, pixels')
    p.add_argument('--samples', type=int, default=16, help='light paths a pixel')
    p.add_argument('--threads', type=int, default=2)
    return p


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Send Blender's chatter on stdout to nowhere."""
    sys.stdout.flush()
    keep, nowhere = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    try:
        yield
    finally:
        os.dup2(keep, 1)
        os.close(keep)
        os.close(nowhere)


def main(argv: list[str] | None = None) -> int:
    """Render what is missing."""
    sys.path.insert(0, str(Path(__file__).parent))
    from town import layout, routes, scene
    from town.seasons import SEASONS

    args = parser().parse_args(argv)
    run, season = args.run or args.season, SEASONS[args.season]
    poses = routes.frames(layout.make(args.seed), run, args.spacing_m)
    args.out.mkdir(parents=True, exist_ok=True)
    rows = [f'{k:04d}.png,{x:.9f},{y:.9f},{yaw:.9f}\n' for k, (x, y, yaw) in enumerate(poses)]
    (args.out / 'poses.csv').write_text(f'file,x,y,yaw_rad\n{"".join(rows)}', encoding='utf-8')
    todo = [
        (k, args.out / f'{k:04d}.png') for k in _coarse_first(_frames(args.frames, len(poses)))
    ]
    todo = [(k, path) for k, path in todo if not path.exists()]
    if not todo:
        return 0
    with quiet():
        scene.build(args.seed, season, run)
        scene.configure(season, args.size, args.samples, args.threads)
        eye = scene.camera()
    for k, path in tqdm(todo, unit='frame'):
        with quiet():
            scene.shoot(eye, poses[k], path, k)
    return 0


if __name__ == '__main__':
    raise SystemExit(main())
