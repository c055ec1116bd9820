# SPDX-License-Identifier: MIT
"""Turn rendered frames into the demo's bags and world.json (see demo/README.md).

Example: render_town_bags.py --frames /tmp/town/final --out demo
Needs `pip install rosbags numpy opencv-python-headless` for Python 3.11.
"""

from __future__ import annotations

import argparse
from datetime import datetime, timezone
import json
from pathlib import Path
import shutil
import sys

START = {
    'summer': datetime(2026, 6, 18, 9, 30, tzinfo=timezone.utc),
    'winter': datetime(2026, 12, 9, 14, 45, tzinfo=timezone.utc),
    'autumn': datetime(2027, 10, 27, 16, 50, tzinfo=timezone.utc),
}


def parser() -> argparse.ArgumentParser:
    """Command line."""
    p = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument('--frames', type=Path, required=True, help='folder with a folder of each run')
    p.add_argument('--out', type=Path, required=True, help='folder of the bags')
    p.add_argument('--runs', nargs='+', choices=START, default=['summer', 'winter'])
    p.add_argument('--seed', type=int, default=7, help='the town of the frames')
    p.add_argument('--spacing-m', type=float, default=2.2, help='metres between frames')
    p.add_argument('--every', type=int, default=1, help='keep only every N-th image (a preview)')
    p.add_argument('--quality', type=int, default=87, help='of the JPEG images, 0 to 100')
    return p


def main(argv: list[str] | None = None) -> int:
    """Write the bags, replacing older ones, and world.json."""
    sys.path.insert(0, str(Path(__file__).parent))
    from town import bags, facts, layout, routes

    args = parser().parse_args(argv)
    plan = layout.make(args.seed)
    world = facts.world(plan, args.spacing_m, args.runs)
    for run, facts_of_run in world['runs'].items():
        poses = routes.frames(plan, run, args.spacing_m)
        paths = {k: args.frames / run / f'{k:04d}.png' for k in range(0, len(poses), args.every)}
        missing = [path.name for path in paths.values() if not path.exists()]
        if missing:
            raise SystemExit(
                f'{args.frames / run}: {len(missing)} frames missing, first '
                f'{missing[0]}; run render_town.py --season {run} again'
            )
        jpegs, size = bags.encode(paths, args.quality)
        start_ns = int(START[run].timestamp()) * 1_000_000_000
        shutil.rmtree(args.out / run, ignore_errors=True)
        bags.write(
            args.out / run, poses, jpegs, size, routes.HORIZONTAL_FOV_DEG, start_ns, args.seed
        )
        facts_of_run |= {'start_ns': start_ns, 'period_ns': bags.FRAME_NS}
    (args.out / 'world.json').write_text(json.dumps(world, indent=2) + '\n', encoding='utf-8')
    return 0


if __name__ == '__main__':
    raise SystemExit(main())
