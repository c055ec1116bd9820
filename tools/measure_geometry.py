# SPDX-License-Identifier: MIT
"""Measure two-view and metric poses on 7-Scenes (../shared/data/sevenscenes_redkitchen).

Map: frames whose number is a multiple of 40; queries: every --every-th of the rest. The first
third of the queries is for tuning, the table is about the others.
Example: python tools/measure_geometry.py --every 8 --focal 540 --json build/geometry.json
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from scipy.spatial.transform import Rotation
from tqdm import tqdm

from selavpr_model.config import ExtractorConfig, GeometryConfig
from selavpr_model.data.pose_files import read_matrix
from selavpr_model.features.extractor import Extractor, load_extractor
from selavpr_model.geometry.map_geometry import Keyframe, locate
from selavpr_model.matching.nearest import count_mutual
from selavpr_model.records import Camera

CHI2 = {3: 7.815, 6: 12.592}  # 95 %
DEPTH_K = np.array([[585.0, 0.0, 320.0], [0.0, 585.0, 240.0], [0.0, 0.0, 1.0]])
SIZE = (640, 480)


def main() -> None:
    told = parse()
    data, config = Path(told.data), GeometryConfig(**json.loads(told.config))
    extractor = load_extractor(
        ExtractorConfig(
            weights=told.weights, image_height=told.size[0], image_width=told.size[1], threads=1
        )
    )
    numbers = [int(f.stem) for f in sorted(data.glob('*.jpg'))]
    keys = {n: read(data, n, extractor) for n in tqdm(numbers, 'map') if n % 40 == 0}
    queries = [n for n in numbers if n % 40][:: told.every]
    rows = []
    for n in tqdm(queries, 'queries'):
        rows += ask(data, n, keys, extractor, camera(told.focal), config)
    third = queries[len(queries) // 3]
    held = {name: summary([r for r in rows if r['way'] == name and r['query'] >= third])
            for name in dict.fromkeys(r['way'] for r in rows)}  # fmt: skip
    for name, numbers_ in held.items():
        print(name, json.dumps(numbers_))
    if told.json:
        Path(told.json).write_text(json.dumps({'held_out': held, 'rows': rows}, indent=1))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add('--data', default='../shared/data/sevenscenes_redkitchen', help='folder of the frames')
    add('--every', type=int, default=8, help='use every n-th query')
    add('--focal', type=float, default=540.0, help='of the colour camera, px')
    add('--weights', default=ExtractorConfig().weights, help='name or path of weights')
    add('--size', type=int, nargs=2, default=(224, 224), help='network input, height and width')
    add('--config', default='{}', help='GeometryConfig as JSON')
    add('--json', default='', help='where to write every row')
    return parser.parse_args()


def camera(focal: float) -> Camera:
    K = np.array([[focal, 0.0, 320.0], [0.0, focal, 240.0], [0.0, 0.0, 1.0]])
    return Camera(K, np.zeros(5), SIZE)


def read(data: Path, number: int, extractor: Extractor) -> tuple[Any, np.ndarray, Any]:
    """Features, pose (4, 4) with an exact rotation, depth (240, 320) m or None."""
    image = cv2.imread(str(data / f'{number:06d}.jpg'))
    pose = read_matrix(data / f'{number:06d}.pose.txt')
    depth = cv2.imread(str(data / f'{number:06d}.depth.png'), cv2.IMREAD_UNCHANGED)
    metres = None if depth is None else np.where(depth < 6000, depth, 0) / 1000.0
    return extractor.extract(np.ascontiguousarray(image[:, :, ::-1])), pose, metres


def ask(
    data: Path, number: int, keys: dict[int, Any], extractor: Extractor, its: Camera,
    config: GeometryConfig,
) -> list[dict[str, Any]]:  # fmt: skip
    """One row for the two views, and one for each way to a metric pose."""
    features, truth, _ = read(data, number, extractor)
    cells = features.local.reshape(-1, features.local.shape[-1])
    names = list(keys)
    others = np.stack([keys[k][0].local.reshape(cells.shape) for k in names])
    best = [names[i] for i in np.argsort(-count_mutual(cells, others), kind='stable')]
    first = keys[best[0]][1]
    own = float(np.linalg.norm(first[:3, 3] - truth[:3, 3]))
    rows = []
    for way, count, deep in (('posed', 99, False), ('depth', 99, True), ('one depth', 1, True)):
        frames = [
            Keyframe(keys[k][0].local, its, keys[k][1], keys[k][2] if deep else None,
                     Camera(DEPTH_K, np.zeros(5), SIZE))
            for k in best[: min(count, config.keyframes)]
        ]  # fmt: skip
        view, pose = locate(features.local, its, frames, extractor.input_size, config)
        if way == 'posed':
            rows.append(two_view_row(number, view, first, truth))
        rows.append(metric_row(number, way, pose, truth, own))
    return rows


def two_view_row(number: int, view: Any, first: np.ndarray, truth: np.ndarray) -> dict[str, Any]:
    T = np.linalg.inv(first) @ truth
    row = {'query': number, 'way': 'two views', 'answered': view.agrees, 'reason': view.reason}
    if view.rotation is not None and view.agrees:
        error = Rotation.from_matrix(T[:3, :3] @ view.rotation.T).as_rotvec()
        row['rotation_deg'] = float(np.degrees(np.linalg.norm(error)))
        row['inside'] = bool(error @ np.linalg.solve(view.covariance[3:, 3:], error) < CHI2[3])
    if view.direction is not None:
        cosine = view.direction @ T[:3, 3] / np.linalg.norm(T[:3, 3])
        row['direction_deg'] = float(np.degrees(np.arccos(np.clip(cosine, -1, 1))))
    return row


def metric_row(number: int, way: str, pose: Any, truth: np.ndarray, own: float) -> dict[str, Any]:
    row = {'query': number, 'way': way, 'answered': pose.pose is not None, 'reason': pose.reason}
    row['keyframe_m'] = own
    if pose.pose is not None:
        turn = Rotation.from_matrix(pose.pose[:3, :3] @ truth[:3, :3].T).as_rotvec()
        error = np.r_[pose.pose[:3, 3] - truth[:3, 3], turn]
        C = pose.covariance
        row['position_m'] = float(np.linalg.norm(error[:3]))
        row['rotation_deg'] = float(np.degrees(np.linalg.norm(turn)))
        row['inside'] = bool(error[:3] @ np.linalg.solve(C[:3, :3], error[:3]) < CHI2[3])
        row['inside_6'] = bool(error @ np.linalg.solve(C, error) < CHI2[6])
        row['sigma_m'] = float(np.sqrt(np.trace(C[:3, :3])))
    return row


def summary(rows: list[dict[str, Any]]) -> dict[str, float]:
    """Medians of errors, shares of what is true or false."""
    made = {'queries': float(len(rows))}
    for key in ('answered', 'inside', 'inside_6'):
        values = [r[key] for r in rows if key in r]
        if values:
            made[key] = round(float(np.mean(values)), 3)
    for key in ('keyframe_m', 'position_m', 'sigma_m', 'rotation_deg', 'direction_deg'):
        values = [r[key] for r in rows if key in r]
        if values:
            made[key] = round(float(np.median(values)), 4)
    made['directions'] = sum('direction_deg' in r for r in rows)
    return made


if __name__ == '__main__':
    main()
