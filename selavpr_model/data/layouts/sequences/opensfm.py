# SPDX-License-Identifier: MIT
"""OpenSfM and OpenDroneMap: reconstruction.json with world-to-camera poses, images/."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from selavpr_model.data.formats.geo import Origin
from selavpr_model.data.layouts.sequences.nerfstudio import read_json
from selavpr_model.data.listing import list_images
from selavpr_model.data.pose_files import PoseRow
from selavpr_model.data.sequence import ImageSequence
from selavpr_model.errors import SourceError
from selavpr_model.poses import inverse

NAME = 'OpenSfM: reconstruction.json and images/'


def fits(path: Path) -> bool:
    return (path / 'reconstruction.json').is_file()


def load(path: Path, base_camera: np.ndarray | None) -> ImageSequence:
    """The reconstruction of most shots; images of the others have no pose."""
    table = path / 'reconstruction.json'
    parts = read_json(table, list)
    sizes = [len(p.get('shots', {})) if isinstance(p, dict) else 0 for p in parts]
    if not sizes or not max(sizes):
        raise SourceError(f'{table}: expected a reconstruction with shots, got none')
    best = parts[sizes.index(max(sizes))]
    folder = path / 'images'
    files = list_images(folder if folder.is_dir() else path, recursive=True)
    shots = best['shots']
    rows = [_row(table, file, shots, base_camera) for file in files]
    if not any(row.pose is not None for row in rows):
        raise SourceError(
            f'{table}: expected its images ({next(iter(shots))!r} and {len(shots) - 1} more) in '
            f'{folder}, got none of them'
        )
    others = sum(sizes) - max(sizes)
    notes: tuple[str, ...] = (
        (f'{others} shots of {len(sizes) - 1} other reconstructions',) if others else ()
    )
    notes += _panoramas(best)
    missing = len(shots) - sum(row.pose is not None or row.lost for row in rows)
    out = {'named, but not there': missing} if missing else {}
    words = f'{table.name} (OpenSfM, world-to-camera)'
    return ImageSequence(files, rows, words, notes, out, origin=_origin(path, best))


def _row(
    table: Path, file: Path, shots: dict[str, Any], base_camera: np.ndarray | None
) -> PoseRow:
    if file.name not in shots:
        return PoseRow(file.name)
    pose = np.eye(4)
    try:
        turn = np.array(shots[file.name]['rotation'], np.float64)
        pose[:3, 3] = np.array(shots[file.name]['translation'], np.float64)
        if turn.shape != (3,):
            raise ValueError(f'a rotation of shape {turn.shape}')
    except (KeyError, TypeError, ValueError) as error:
        raise SourceError(
            f'{table}: {file.name}: expected rotation and translation of three numbers; {error!r}'
        ) from error
    if not np.isfinite([*turn, *pose[:3, 3]]).all():
        return PoseRow(file.name, lost=True)
    pose[:3, :3] = Rotation.from_rotvec(turn).as_matrix()
    back = inverse(pose)
    return PoseRow(file.name, None, back if base_camera is None else back @ base_camera)


def _panoramas(part: dict[str, Any]) -> tuple[str, ...]:
    """What is said of cameras that see all round."""
    cameras = part.get('cameras')
    kinds = (
        [c.get('projection_type') for c in cameras.values()] if isinstance(cameras, dict) else []
    )
    if not {'spherical', 'equirectangular'} & set(kinds):
        return ()
    return ('panoramas: each is compared as one wide image; cut them into views for a camera',)


def _origin(path: Path, part: dict[str, Any]) -> Origin | None:
    """Of the reconstruction, or of the file beside it that older versions write."""
    beside = path / 'reference_lla.json'
    lla: Any = part.get('reference_lla')
    if lla is None and beside.is_file():
        lla = read_json(beside, dict)
    try:
        return Origin(*(float(lla[n]) for n in ('latitude', 'longitude', 'altitude')))
    except (KeyError, TypeError, ValueError):
        return None
