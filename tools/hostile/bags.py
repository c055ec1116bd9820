# SPDX-License-Identifier: MIT
"""Recordings that are damaged, or sound and absurd, of every storage, by number."""

from __future__ import annotations

from collections.abc import Callable
import itertools
from pathlib import Path
import random
import shutil
import struct
from typing import Any

from bag_helpers import (
    drive,
    IMAGE,
    make,
    ROS1,
    ROS2,
    START,
    transform,
    write,
    write_mcap,
    write_ros1,
)
import numpy as np

from hostile import bag_bombs
from hostile.images import hostile_image

KINDS: dict[str, Callable[[Path], Path]] = {
    'mcap': lambda p: write(p / 'bag', drive()),
    'mcap_zstd': lambda p: write(p / 'bag', drive(), 'mcap', 'storage'),
    'mcap_by_message': lambda p: write(p / 'bag', drive(), 'mcap', 'message'),
    'mcap_by_file': lambda p: write(p / 'bag', drive(), 'mcap', 'file'),
    'mcap_lz4_no_index': lambda p: write_mcap(p / 'x.mcap', drive(), 'lz4'),
    'sqlite3': lambda p: write(p / 'bag', drive(), 'sqlite3'),
    'sqlite3_by_message': lambda p: write(p / 'bag', drive(), 'sqlite3', 'message'),
    'ros1': lambda p: write_ros1(p / 'x.bag', drive(store=ROS1)),
    'ros1_lz4': lambda p: write_ros1(p / 'x.bag', drive(store=ROS1), 'lz4'),
    'ros1_bz2': lambda p: write_ros1(p / 'x.bag', drive(store=ROS1), 'bz2'),
}
NUMBERS = [float('nan'), float('inf'), -1e308, 1e-300, 0.0, 2.0]
NAMES = ['', '/', 'map', 'x' * 10**6, '\x1b[2J\n', 'ä' * 300]
HUGE = [b'\xff' * 4, b'\xff' * 8, struct.pack('<I', 2**31 - 1), struct.pack('<Q', 2**40)]


def make_good(folder: Path) -> None:
    for name, write_it in KINDS.items():
        (folder / name).mkdir()
        write_it(folder / name)


def hostile_bag(good: Path, out: Path, seed: int) -> tuple[Path, str]:
    """(a recording below `out`, what was done)."""
    rng = random.Random(seed)
    if rng.random() < 0.5:
        kind = rng.choice(list(KINDS))
        shutil.copytree(good / kind, out, dirs_exist_ok=True)
        file = rng.choice(sorted(p for p in out.rglob('*') if p.is_file()))
        file.write_bytes(damaged(file.read_bytes(), rng))
        return out / ('bag' if (out / 'bag').is_dir() else file.name), f'damaged {kind}'
    made: Callable[[Path, random.Random], Path] = rng.choice(
        [absurd, absurd, absurd, metadata, *bag_bombs.BOMBS]
    )
    return made(out, rng), made.__name__


def damaged(raw: bytes, rng: random.Random) -> bytes:
    """Flipped, cut, overwritten with huge lengths or zeros, or with a part twice."""
    changed = bytearray(raw)
    near = rng.randrange(min(400, len(changed)))  # where headers and indices are
    at = rng.choice([rng.randrange(len(changed)), near, len(changed) - 1 - near])
    kind = rng.randrange(6)
    if kind == 0:
        for _ in range(rng.randrange(1, 30)):
            changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    elif kind == 1:
        del changed[at:]
    elif kind == 2:
        huge = rng.choice(HUGE)
        changed[at : at + len(huge)] = huge
    elif kind == 3:
        changed[at : at + 200] = bytes(200)
    elif kind == 4:
        changed[at:at] = changed[: rng.randrange(1, 500)]
    else:
        changed[at : at + 60] = rng.randbytes(60)
    return bytes(changed)


def absurd(out: Path, rng: random.Random) -> Path:
    """A sound file of messages that say nonsense."""
    entries = drive(4)
    for at in rng.sample(range(len(entries)), 3):
        topic, time, message = entries[at]
        entries[at] = topic, rng.choice([time, time, 0, 2**62]), _absurd(message, rng)
    entries += rng.choice([_transforms, _images, _nothing])(rng)
    storage = rng.choice(['mcap', 'sqlite3'])
    return write(out / 'bag', sorted(entries, key=lambda e: e[1]), storage)


def _absurd(message: Any, rng: random.Random) -> Any:
    if hasattr(message, 'pose'):
        for part in (message.pose.position, message.pose.orientation):
            for axis in rng.sample('xyz', 2):
                object.__setattr__(part, axis, rng.choice(NUMBERS))
    else:
        object.__setattr__(message, 'format', rng.choice(NAMES))
    object.__setattr__(message.header, 'frame_id', rng.choice(NAMES))
    return message


def _images(rng: random.Random) -> list[tuple[str, int, Any]]:
    entries = []
    for number in range(3):
        raw, _ = hostile_image(rng.randrange(10**6))
        sent = make(
            ROS2, 'sensor_msgs/CompressedImage', drive(1)[0][2].header, 'png',
            np.frombuffer(raw, np.uint8),
        )  # fmt: skip
        entries.append((IMAGE, START + number, sent))
    return entries


def _transforms(rng: random.Random) -> list[tuple[str, int, Any]]:
    """A circle, a long chain, or many at one time."""
    count = rng.choice([3, 300, 3000])
    names = [f'f{i}' for i in range(count)]
    if rng.random() < 0.5:
        names[-1] = names[0]
    if rng.random() < 0.3:
        names = [rng.choice(['cam', 'map', 'base_link', *NAMES[:3]]) for _ in range(count)]
    pairs = itertools.pairwise(names)
    topic = rng.choice(['/tf', '/tf_static'])
    return [
        (topic, START, transform(START, a, b, rng.choice(NUMBERS) if i % 7 == 0 else 1.0))
        for i, (a, b) in enumerate(pairs)
    ]


def _nothing(rng: random.Random) -> list[tuple[str, int, Any]]:
    return []


def metadata(out: Path, rng: random.Random) -> Path:
    """A sound file beside a metadata.yaml that is none, is a bomb, or names others."""
    bag = write(out / 'bag', drive(4))
    text = (bag / 'metadata.yaml').read_text()
    folded = 'a: &a [x,x,x,x,x,x,x,x,x]\n' + ''.join(
        f'{b}: &{b} [{",".join([f"*{a}"] * 9)}]\n'
        for a, b in zip('abcdefgh', 'bcdefghi', strict=True)
    )
    names = ['/etc/passwd', '../../x.mcap', '[' * 5000, '*a', '!!python/object:os.system x', '']
    (bag / 'metadata.yaml').write_text(rng.choice([
        '', folded, folded + text, text.replace('bag.mcap', rng.choice(names)), text * 1000,
        'relative_file_paths: [' + ','.join(['"bag.mcap"'] * 400) + ']',
        'relative_file_paths: [' + '{a: ' * 2000 + ']', '\0' * 99, '- ' * 10**6,
    ]))  # fmt: skip
    return bag
