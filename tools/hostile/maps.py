# SPDX-License-Identifier: MIT
"""Map folders with something wrong and all checksums right, by number."""

from __future__ import annotations

from collections.abc import Callable
import hashlib
import io
import json
import os
from pathlib import Path
import random
import shutil
import struct
from typing import Any

import numpy as np

from selavpr_model.maps.storage import manifest as map_manifest

VALUES: list[Any] = [
    None, True, 0, -1, 1, 2**31, 2**63 - 1, -(2**63), 10**30, 0.5, -0.0, 1e308, '', 'x' * 5000,
    '\x1b[2J', '../../etc', '/etc/passwd', '\ud800', 'a\0b', [], {}, [[]] * 50, {'a': {'b': []}},
    [1e308, -1], [2**62] * 3, {'x' * 300: 1}, float('nan'), float('inf'),
]  # fmt: skip
RAW = [b'[' * 100_000, b'{"a":' * 2000, b'[]' * 10, b'\xff' * 99, b'', b'1' * 5000, b'null']


def hostile_map(good: Path, out: Path, seed: int) -> str:
    """A copy of the map `good` with something wrong and all checksums right; what was done."""
    rng = random.Random(seed)
    shutil.copytree(good, out)
    change = rng.choice(MAP_CHANGES)
    change(out, rng)
    return change.__name__.strip('_')


def data_of(path: Path) -> Path:
    return next(path.glob('data-*'))


def _redo(path: Path, change: Callable[[dict[str, Any]], object] | None = None) -> None:
    """Sizes and checksums of all files as they are now; then `change`, and the digest."""
    manifest = json.loads((path / 'manifest.json').read_bytes())
    for name, entry in manifest['files'].items():
        file = data_of(path) / name
        if file.is_file() and not file.is_symlink():
            raw = file.read_bytes()
            entry.update(bytes=len(raw), sha256=hashlib.sha256(raw).hexdigest())
    if change is not None:
        change(manifest)
    (path / 'manifest.json').write_bytes(map_manifest.encode(manifest))


def _file(path: Path, rng: random.Random) -> Path:
    return rng.choice(sorted(data_of(path).iterdir()))


def bytes_changed(path: Path, rng: random.Random) -> None:
    file = _file(path, rng)
    raw = bytearray(file.read_bytes())
    for _ in range(rng.choice([1, 1, 3, 20])):
        raw[rng.randrange(len(raw))] = rng.choice([0, 1, 127, 128, 255, rng.randrange(256)])
    file.write_bytes(raw)
    _redo(path)


def header_changed(path: Path, rng: random.Random) -> None:
    """Of a .npy: another shape, type or order, in the manifest, too, half of the time."""
    file = rng.choice(sorted(data_of(path).glob('*.npy')))
    raw = file.read_bytes()
    shape = [rng.choice([0, 1, 7, 2**20, 2**40, -1]) for _ in range(rng.randrange(4))]
    kind = rng.choice(['<f4', '<f8', '|u1', '|O', '<U9', '>i8', '|V3', '<c16', "('<f4',(9,9))"])
    header = {'descr': kind, 'fortran_order': rng.random() < 0.2, 'shape': tuple(shape)}
    text = rng.choice([repr(header), '(' * 300, "{'descr': 1}", repr(header)[:-3]]).encode()
    body = raw[128:] if rng.random() < 0.7 else raw[128:200]
    file.write_bytes(b'\x93NUMPY\1\0' + struct.pack('<H', len(text)) + text + body)

    def agree(manifest: dict[str, Any]) -> None:
        if rng.random() < 0.5:
            manifest['files'][file.name].update(dtype=kind, shape=[abs(n) for n in shape])

    _redo(path, agree)


def array_replaced(path: Path, rng: random.Random) -> None:
    """Values that no save writes, in the right shape."""
    file = rng.choice(sorted(data_of(path).glob('*.npy')))
    array = np.load(file)
    if array.dtype.names or array.dtype.kind not in 'fiu':
        return bytes_changed(path, rng)
    flat = array.reshape(-1)
    worst = [np.nan, np.inf, 1e38, -1e38, 1e-45] if array.dtype.kind == 'f' else []
    if array.dtype.kind in 'iu':
        worst = [np.iinfo(array.dtype).max, np.iinfo(array.dtype).min, 0, 1]
    for _ in range(rng.choice([1, 2, flat.size])):
        flat[rng.randrange(flat.size)] = rng.choice(worst)
    made = io.BytesIO()
    np.save(made, array)
    file.write_bytes(made.getvalue())
    _redo(path)


def manifest_changed(path: Path, rng: random.Random) -> None:
    """Some value of it, however deep, is another or is gone."""

    def change(manifest: dict[str, Any]) -> None:
        node: Any = manifest
        while True:
            keys = list(node) if isinstance(node, dict) else list(range(len(node)))
            if not keys:
                return
            key = rng.choice(keys)
            if isinstance(node[key], dict | list) and node[key] and rng.random() < 0.75:
                node = node[key]
            elif rng.random() < 0.1:
                del node[key]
                return
            else:
                node[key] = rng.choice(VALUES)
                return

    _redo(path, change)


def manifest_replaced(path: Path, rng: random.Random) -> None:
    (path / 'manifest.json').write_bytes(rng.choice(RAW))


def places_changed(path: Path, rng: random.Random) -> None:
    file = data_of(path) / 'places.jsonl'
    rows = [json.loads(line) for line in file.read_bytes().splitlines()]
    for _ in range(rng.choice([1, 2])):
        row = rng.choice(rows)
        row[rng.choice(list(row))] = rng.choice(VALUES)
    lines = [json.dumps(row).encode() for row in rows]
    if rng.random() < 0.2:
        lines[rng.randrange(len(lines))] = rng.choice([*RAW, b'x' * 300_000])
    file.write_bytes(b'\n'.join(lines) + b'\n')
    _redo(path)


def thumbnail_bomb(path: Path, rng: random.Random) -> None:
    """Each says that it has as many pixels as a JPEG may, or is no JPEG."""
    file = data_of(path) / 'thumbnails.npy'
    raw = file.read_bytes()
    sides = struct.pack('>HH', rng.choice([65000, 3000, 1]), rng.choice([65000, 9000]))
    parts = raw.split(b'\xff\xc0')
    file.write_bytes(b'\xff\xc0'.join([parts[0], *(p[:3] + sides + p[7:] for p in parts[1:])]))
    _redo(path)


def linked(path: Path, rng: random.Random) -> None:
    """A file or the data folder is a link, a FIFO or a device."""
    target = rng.choice([_file(path, rng), data_of(path), path / 'manifest.json'])
    kind = rng.choice(['zero', 'fifo', 'out', 'loop', 'gone'])
    moved = path.parent / f'{path.name}.moved'
    target.rename(moved)
    if kind == 'fifo':
        os.mkfifo(target)
    else:
        where = {'zero': '/dev/zero', 'out': moved, 'loop': target, 'gone': '/nowhere'}
        target.symlink_to(where[kind])


MAP_CHANGES: list[Callable[[Path, random.Random], None]] = [
    bytes_changed, bytes_changed, header_changed, array_replaced, manifest_changed,
    manifest_changed, manifest_replaced, places_changed, thumbnail_bomb, linked,
]  # fmt: skip
