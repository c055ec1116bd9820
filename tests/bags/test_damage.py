# SPDX-License-Identifier: MIT
"""Recordings with random damage: frames or one typed line, never a traceback, little memory."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
import shutil
import struct
import tracemalloc

from bag_helpers import drive, ROS1, write, write_mcap, write_ros1
import numpy as np
import pytest

from selavpr_model.errors import SourceError
from selavpr_ros.bags.reader import BagFrames

KINDS = {
    'mcap': lambda p: write(p / 'bag', drive()),
    'mcap zstd': lambda p: write(p / 'bag', drive(), 'mcap', 'storage'),
    'mcap by message': lambda p: write(p / 'bag', drive(), 'mcap', 'message'),
    'mcap by file': lambda p: write(p / 'bag', drive(), 'mcap', 'file'),
    'mcap lz4, no index': lambda p: write_mcap(p / 'x.mcap', drive(), 'lz4'),
    'sqlite3': lambda p: write(p / 'bag', drive(), 'sqlite3'),
    'sqlite3 by message': lambda p: write(p / 'bag', drive(), 'sqlite3', 'message'),
    'ros1': lambda p: write_ros1(p / 'x.bag', drive(store=ROS1)),
    'ros1 lz4': lambda p: write_ros1(p / 'x.bag', drive(store=ROS1), 'lz4'),
    'ros1 bz2': lambda p: write_ros1(p / 'x.bag', drive(store=ROS1), 'bz2'),
}
EACH = 22
HUGE = (b'\xff' * 4, b'\xff' * 8, struct.pack('<I', 2**31 - 1), struct.pack('<Q', 2**40))


def damaged(data: bytes, rng: np.random.Generator) -> bytes:
    """Flipped, cut, overwritten with huge lengths, zeros or another place, or doubled."""
    changed = bytearray(data)
    at = int(rng.integers(len(changed)))
    if rng.random() < 0.5:  # where headers and indices are
        at = int(rng.integers(min(400, len(changed))))
        at = at if rng.random() < 0.5 else len(changed) - 1 - at
    kind = rng.integers(6)
    if kind == 0:
        for place in rng.integers(len(changed), size=rng.integers(1, 30)):
            changed[place] ^= 1 << int(rng.integers(8))
    elif kind == 1:
        del changed[at:]
    elif kind == 2:
        huge = HUGE[rng.integers(len(HUGE))]
        changed[at : at + len(huge)] = huge
    elif kind == 3:
        changed[at : at + 200] = bytes(200)
    elif kind == 4:
        changed[at:at] = changed[: int(rng.integers(1, 500))]
    else:
        changed[at : at + 60] = rng.bytes(60)
    return bytes(changed)


def test_metadata_and_storage_with_random_damage(tmp_path, caplog):
    """220 files; each gives frames, or a SourceError of one line, within 200 MB."""
    ends: Counter[str] = Counter()
    rng = np.random.default_rng(16)
    for name, made in KINDS.items():
        folder = tmp_path / name.replace(' ', '_')
        folder.mkdir()
        path = made(folder)
        files = sorted(p for p in folder.rglob('*') if p.is_file())
        for _ in range(EACH):
            weights = [1.0 if f.name == 'metadata.yaml' else 9.0 for f in files]
            file = files[rng.choice(len(files), p=np.array(weights) / sum(weights))]
            whole = file.read_bytes()
            file.write_bytes(damaged(whole, rng))
            ends[read(path)] += 1
            file.write_bytes(whole)
    assert sum(ends.values()) == EACH * len(KINDS) >= 200
    assert ends['frames'] > 60 and ends['refused'] > 20
    assert not [r for r in caplog.records if '\n' in r.getMessage() or len(r.getMessage()) > 3000]


def read(path: Path) -> str:
    tracemalloc.start()
    try:
        list(BagFrames(path))
        return 'frames'
    except SourceError as error:
        assert '\n' not in str(error) and len(str(error)) < 3000
        return 'refused'
    finally:
        assert tracemalloc.get_traced_memory()[1] < 200e6
        tracemalloc.stop()


@pytest.mark.parametrize('kind', ['mcap', 'sqlite3'])
def test_a_folder_in_place_of_a_file_is_no_file(tmp_path, kind):
    path = write(tmp_path / 'bag', drive(), kind)
    file = next(p for p in path.iterdir() if p.name != 'metadata.yaml')
    file.unlink()
    file.mkdir()
    with pytest.raises(SourceError, match='not a readable bag'):
        BagFrames(path)
    shutil.rmtree(file)
    with pytest.raises(SourceError, match='not a readable bag'):
        BagFrames(path)
