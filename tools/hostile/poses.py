# SPDX-License-Identifier: MIT
"""Folders of images whose files of poses are damaged or absurd, of every layout, by number."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
import random
import re

from damage_helpers import damaged, FOREIGN, MAKERS, tables
import numpy as np

ABSURD = [
    b'nan', b'-inf', b'1e400', b'9' * 5000, b'-1', b'0', b'1e308', b'0x1p3', b'1_000', b'', b'"',
    b'\0', b'\xff\xfe', b'[' * 2000, b'\x1b[2J', b'=1+1', b'../../etc/passwd', b'x' * 70_000,
    '\N{ARABIC-INDIC DIGIT FIVE}'.encode(),
]  # fmt: skip
NUMBER = re.compile(rb'-?\d+(?:\.\d+)?(?:e-?\d+)?')


def hostile_poses(folder: Path, seed: int) -> tuple[Path, str, str]:
    """(what a user gives, the table or '', what was done) below `folder`."""
    rng = random.Random(seed)
    name = rng.choice(list(MAKERS))
    root, table, _ = MAKERS[name](folder)
    change = rng.choice(CHANGES)
    file = rng.choice(tables(folder))
    file.write_bytes(change(file.read_bytes(), rng))
    return root, table, f'{name} {change.__name__}'


def absurd(raw: bytes, rng: random.Random) -> bytes:
    """Some numbers are absurd ones."""
    found = list(NUMBER.finditer(raw))
    for one in sorted(rng.sample(found, min(len(found), rng.choice([1, 3]))), reverse=True,
                      key=lambda match: match.start()):  # fmt: skip
        raw = raw[: one.start()] + rng.choice(ABSURD) + raw[one.end() :]
    return raw


def bytes_changed(raw: bytes, rng: random.Random) -> bytes:
    changed = bytearray(raw)
    for _ in range(rng.choice([1, 5, 50])):
        changed[rng.randrange(len(changed))] = rng.randrange(256)
    return bytes(changed)


def as_copies_go_wrong(raw: bytes, rng: random.Random) -> bytes:
    return damaged(raw, np.random.default_rng(rng.randrange(2**32)))


def of_another_program(raw: bytes, rng: random.Random) -> bytes:
    return rng.choice([*FOREIGN, b'[' * 10**6, b'{"a":' * 10**5, b'0 ' * 10**6, b'\n' * 10**6])


def long(raw: bytes, rng: random.Random) -> bytes:
    """Far more lines than images, or one line of a megabyte."""
    return rng.choice([raw * 2000, raw.replace(b'\n', b' ') * 2000])[: 5 * 10**6]


CHANGES: list[Callable[[bytes, random.Random], bytes]] = [
    absurd, absurd, bytes_changed, as_copies_go_wrong, of_another_program, long,
]  # fmt: skip
