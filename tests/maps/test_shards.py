# SPDX-License-Identifier: MIT
"""A map built by two processes: every frame once, the places of one process, parts that stay."""

from __future__ import annotations

from pathlib import Path
import subprocess
import sys

from map_helpers import build_drive, CheapExtractor, Drive
import numpy as np
import pytest

from selavpr_model.config import KeyframeConfig, MapConfig
from selavpr_model.maps.storage.store import open_map

from where import TESTS

SCRIPT = """
import sys
from pathlib import Path
import torch
torch.set_num_threads(1)
sys.path.insert(0, sys.argv[2])
from map_helpers import CheapExtractor, Drive
from selavpr_model.config import KeyframeConfig, MapConfig
from selavpr_model.runtime.distributed import process_group, rank
from selavpr_model.maps.building.shards import build_map_in_shards
extractor = CheapExtractor()
with process_group():
    build_map_in_shards(
        Drive(60, broken=(5, 17, *map(int, sys.argv[3:]))), extractor, Path(sys.argv[1]),
        keyframes=KeyframeConfig(distance_m=1.0), config=MapConfig(thumbnail_px=16),
        source={'type': 'test', 'length': 60}, progress=False,
    )
    sys.stdout.write(f'extracted {rank()} {extractor.extracted}\\n')  # one write: two processes
"""


def two_processes(out: Path, script: Path, *broken: int) -> subprocess.CompletedProcess[str]:
    script.write_text(SCRIPT)
    return subprocess.run(
        [sys.executable, '-m', 'torch.distributed.run', '--nproc-per-node', '2',
         '--master-port', '0', '--standalone', str(script), str(out), str(TESTS),
         *map(str, broken)],
        cwd=TESTS.parent, capture_output=True, text=True, timeout=300,
    )  # fmt: skip


def test_two_processes_build_the_map_of_one(tmp_path):
    done = two_processes(tmp_path / 'shared', tmp_path / 'script.py')
    assert done.returncode == 0, done.stderr[-2000:]
    shared, alone = open_map(tmp_path / 'shared'), build_drive(tmp_path / 'alone')
    # the frame the second part begins with is a keyframe of its own; all others are the same
    begins = '0030.jpg'
    names = [place.name for place in shared.places if place.name != begins]
    assert names == [place.name for place in alone.places if place.name != begins]
    rows = {place.name: row for row, place in enumerate(alone.places)}
    both = [(row, rows[p.name]) for row, p in enumerate(shared.places) if p.name in rows]
    assert len(both) >= len(alone) - 1
    for row, its in both:
        np.testing.assert_array_equal(shared.global_(row), alone.global_(its))
        np.testing.assert_array_equal(shared.places[row].pose, alone.places[its].pose)
    assert [place.id for place in shared.places] == list(range(len(shared)))
    assert shared.source['shards'] == 2 and shared.source['frames'] == 60
    assert shared.source['skipped'] == 2 == alone.source['skipped']
    assert shared.calibration is not None
    assert sorted(p.name for p in tmp_path.iterdir()) == ['alone', 'script.py', 'shared']


def test_a_part_that_is_done_is_not_extracted_again(tmp_path):
    """The second process cannot read a frame at all and fails; then it can."""
    failed = two_processes(tmp_path / 'map', tmp_path / 'script.py', *range(30, 60))
    assert failed.returncode and 'expected places, got none' in failed.stderr
    assert not (tmp_path / 'map').exists()
    done = two_processes(tmp_path / 'map', tmp_path / 'script.py')
    assert done.returncode == 0, done.stderr[-2000:]
    extracted = dict(line.split()[1:] for line in done.stdout.splitlines() if 'extracted' in line)
    assert int(extracted['1']) > 0
    if (failed.stdout or '').count('extracted 0'):  # unless it was killed before it was done
        assert extracted['0'] == '0'
    assert open_map(tmp_path / 'map').source['frames'] == 60


def test_one_process_builds_as_ever(tmp_path):
    from selavpr_model.maps.building.shards import build_map_in_shards

    place_map = build_map_in_shards(
        Drive(20), CheapExtractor(), tmp_path / 'map',
        keyframes=KeyframeConfig(distance_m=1.0), config=MapConfig(thumbnail_px=16),
        progress=False,
    )  # fmt: skip
    assert 'shards' not in place_map.source and len(place_map) == 10


@pytest.mark.parametrize('extra', [(), (0,)])
def test_a_broken_frame_is_counted_once(extra, tmp_path):
    done = two_processes(tmp_path / 'map', tmp_path / 'script.py', *extra)
    assert done.returncode == 0, done.stderr[-2000:]
    assert open_map(tmp_path / 'map').source['skipped'] == 2 + len(extra)
