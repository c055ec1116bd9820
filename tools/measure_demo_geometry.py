# SPDX-License-Identifier: MIT
"""Measure metric poses and metric loop closures on the demo's drives against their true poses.

Poses: winter frames inside the summer map, then summer frames in a map of every third of them.
Closures: those that geometry makes METRIC when a drive runs in SLAM mode.
Example: python tools/measure_demo_geometry.py --json build/demo_geometry.json
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
import json
from pathlib import Path
import tempfile
from typing import Any

from measure_geometry import CHI2, metric_row, summary
import numpy as np
from tqdm import tqdm

from selavpr_model.config import ExtractorConfig, ScoreConfig
from selavpr_model.decision.distinct import distinct_from
from selavpr_model.evaluation.slam_score import same_by_pose
from selavpr_model.features.extractor import Extractor, load_extractor
from selavpr_model.geometry.map_geometry import MapGeometry, MetricPose
from selavpr_model.maps.building.builder import build_map
from selavpr_model.poses import inverse
from selavpr_model.recognizer import PlaceRecognizer
from selavpr_model.records import ClosureKind, Frame, LoopClosure, PoseKind
from selavpr_ros.bags.reader import BagFrames
from selavpr_ros.replay.slam import Drive, drive_through, open_session, SlamRequest

RUNS = ('summer', 'winter')
TRUTH = '/ground_truth/pose'
DEMO = Path(__file__).resolve().parent.parent / 'demo'


def main() -> None:
    given = parse()
    extractor = load_extractor(ExtractorConfig(weights=given.weights))
    summer, winter = (list(BagFrames(DEMO / run, pose_topic=TRUTH)) for run in RUNS)
    third = summer[::3]
    rest = [frame for index, frame in enumerate(summer) if index % 3]
    result = {
        'winter frames in the summer map': poses(inside(winter, summer)[::3], summer, extractor),
        'summer frames in a third of summer': poses(rest[::3], third, extractor),
        **{f'closures of {run}': closures(DEMO / run, extractor) for run in RUNS},
    }
    for name, numbers in result.items():
        print(name, json.dumps(numbers))
    if given.json:
        given.json.write_text(json.dumps(result, indent=1))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--weights', default=ExtractorConfig().weights, help='name or path')
    parser.add_argument('--json', type=Path, help='write the result here, too')
    return parser.parse_args()


def inside(queries: Sequence[Frame], mapped: Sequence[Frame]) -> list[Frame]:
    """The queries that show a place of the map, by the rule of `selavpr replay`."""
    every = [*mapped, *queries]
    same = same_by_pose([frame.pose for frame in every], ScoreConfig())
    count = len(mapped)
    return [
        frame
        for index, frame in enumerate(queries, count)
        if any(same(index, other) for other in range(count))
    ]


def poses(
    queries: Sequence[Frame], mapped: Sequence[Frame], extractor: Extractor
) -> dict[str, float]:
    """Medians of the errors, and how often they lie inside the 95 % ellipsoid."""
    with tempfile.TemporaryDirectory() as folder:
        place_map = build_map(mapped, extractor, Path(folder) / 'map', progress=False)
        recognizer = PlaceRecognizer(extractor, place_map)
        rows = [ask(query, recognizer) for query in tqdm(queries, 'queries', leave=False)]
    found = [row for row in rows if row['answered']]
    return {**summary(found), 'queries': len(rows), 'answered': len(found)}


def ask(query: Frame, recognizer: PlaceRecognizer) -> dict[str, Any]:
    """The pose that geometry gives at the place with the most matches, whatever was decided."""
    answer = recognizer.process(query)
    order = sorted(answer.candidates, key=lambda c: (-c.mutual_matches, c.global_rank))
    best = order[0]
    far = distinct_from(best.place, [c.place for c in order], recognizer.config)
    near = [c.row for c, elsewhere in zip(order, far, strict=True) if not elsewhere]
    rival = next((c.row for c, elsewhere in zip(order, far, strict=True) if elsewhere), None)
    local = recognizer.extractor.extract(query.image).local
    assert query.camera is not None and query.pose is not None and best.place.pose is not None
    geometry = MapGeometry(recognizer.place_map, recognizer.geometry)
    seen = geometry.locate(local, query.camera, near, rival)
    pose = MetricPose(0, 'no camera') if seen is None else seen[1]
    own = float(np.linalg.norm(best.place.pose[:3, 3] - query.pose[:3, 3]))
    return metric_row(query.stamp_ns, 'posed', pose, query.pose, own)


def closures(bag: Path, extractor: Extractor) -> dict[str, Any]:
    """How many closures are verified and metric, and how far the metric ones are off."""
    drive = Drive(SlamRequest(bag, Path('unused'), TRUTH))
    run, _ = drive_through(drive, open_session(drive.request, extractor))
    verified = [c for c in run.closures if c.kind is ClosureKind.VERIFIED]
    metric = [c for c in verified if c.pose_kind is PoseKind.METRIC]
    errors = [error_of(c, run.frames, drive.poses) for c in metric]
    return {
        'verified': len(verified),
        'looked at': sum(c.inliers > 0 for c in verified),
        'metric': len(metric),
        'position_m': sorted(round(error, 3) for error, _ in errors),
        'inside': sum(within for _, within in errors),
    }


def error_of(
    closure: LoopClosure, frames: dict[int, int], true: Sequence[np.ndarray | None]
) -> tuple[float, bool]:
    """Error of the position in m, and whether it lies inside the 95 % ellipsoid."""
    before, after = true[frames[closure.before.id]], true[frames[closure.after.id]]
    assert before is not None and after is not None
    assert closure.pose is not None and closure.covariance is not None
    error = closure.pose[:3, 3] - (inverse(before) @ after)[:3, 3]
    within = error @ np.linalg.solve(closure.covariance[:3, :3], error) < CHI2[3]
    return float(np.linalg.norm(error)), bool(within)


if __name__ == '__main__':
    main()
