# SPDX-License-Identifier: MIT
"""Damaged and foreign files of every kind that is read: one line, or right poses, never others."""

from __future__ import annotations

from collections import Counter
import json
from pathlib import Path

from damage_helpers import cases, damaged, MAKERS, NAMES, tables
import numpy as np
import pytest

from selavpr_model.data.image_folder import ImageFolder
from selavpr_model.errors import SelaVPRError
from selavpr_ros.cli import main

COUNT = 240
FROM_THE_FIRST = ('robotcar', 'geotagged')
"""Their origin is the first pose, so that they move together where it is gone."""
NEAR = 0.02


def broken(path: Path, name: str, seed: int) -> tuple[Path, str, dict[str, np.ndarray]]:
    """(path, table of poses, pose of each image before the damage)."""
    root, table, poses = MAKERS[name](path)
    files = ImageFolder(root, table).files
    rng = np.random.default_rng(seed)
    there = tables(path)
    file = there[rng.integers(len(there))]
    file.write_bytes(damaged(file.read_bytes(), rng))
    return root, table, {f.name: pose for f, pose in zip(files, poses, strict=True)}


def right(name: str, frames: ImageFolder, wanted: dict[str, np.ndarray]) -> bool:
    """Whether every pose is that of its image."""
    pairs = [
        (row.pose, wanted[file.name])
        for file, row in zip(frames.files, frames.rows, strict=True)
        if row.pose is not None
    ]
    if name in FROM_THE_FIRST and pairs:
        moved = pairs[0][1][:3, 3] - pairs[0][0][:3, 3]
        for found, _ in pairs:
            found[:3, 3] += moved
    return all(np.allclose(found, pose, atol=NEAR) for found, pose in pairs)


@pytest.mark.parametrize('name', MAKERS)
def test_each_is_right_before_it_is_damaged(tmp_path, name):
    root, table, poses = MAKERS[name](tmp_path / 'x')
    frames = ImageFolder(root, table)
    assert frames.report.posed == 4
    assert np.allclose([row.pose for row in frames.rows], poses, atol=NEAR)


def test_no_damage_gives_a_wrong_pose_or_a_traceback(tmp_path):
    ends: Counter[str] = Counter()
    for name, seed in cases(COUNT):
        root, table, wanted = broken(tmp_path / str(seed), name, seed)
        try:
            frames = ImageFolder(root, table)
        except SelaVPRError as error:
            ends['refused'] += 1
            assert '\n' not in ' '.join(str(error).split()), (name, seed)
        else:
            ends['read'] += 1
            assert right(name, frames, wanted), (name, seed)
    assert ends['refused'] > COUNT / 2 and ends['read'] > COUNT / 10


def test_the_command_says_one_line_and_ends_with_1(tmp_path, capsys):
    taken = tmp_path / 'taken'  # no map: what can be read ends here, before the model is loaded
    taken.mkdir()
    (taken / 'mine.txt').write_text('keep')
    said: Counter[bool] = Counter()
    for name, seed in cases(COUNT):
        root, table, _ = broken(tmp_path / str(seed), name, seed)
        poses = ['--poses', table] if table else []
        with pytest.raises(SystemExit) as stopped:
            main(['map', 'build', str(root), '--out', str(taken), *poses])
        lines = [line for line in capsys.readouterr().err.splitlines() if 'selavpr: ' in line]
        assert stopped.value.code == 1 and len(lines) == 1, (name, seed, lines)
        said[str(taken) in lines[0]] += 1
    assert said[False] > COUNT / 2


@pytest.mark.parametrize('number', [1e308, -3e11])
@pytest.mark.parametrize('key', ['translation', 'rotation'])
def test_a_pose_that_no_robot_can_have_is_lost(tmp_path, number, key):
    """Finite in its file, and infinite or beyond the Earth after the arithmetic."""
    root, table, _ = MAKERS['opensfm'](tmp_path / 'x')
    file = root / 'reconstruction.json'
    parts = json.loads(file.read_text())
    shot = parts[0]['shots'][NAMES[1]]
    shot['translation'] = [2 * number if key == 'translation' else 1.7e308] * 3
    shot['rotation'] = [number] * 3 if key == 'rotation' else shot['rotation']
    file.write_text(json.dumps(parts))
    frames = ImageFolder(root, table)
    assert frames.rows[1].pose is None and frames.rows[1].lost
    assert frames.report.posed == 3 and '1 where the tracker was lost' in frames.report.words()
