# SPDX-License-Identifier: MIT
"""Bytes of image files that are damaged, or far larger or slower than they look, by number."""

from __future__ import annotations

from collections.abc import Callable, Iterator
import random
import struct
import zlib

import cv2
import numpy as np

SUFFIXES = ('.jpg', '.png', '.webp', '.tiff', '.bmp', '.ppm', '.gif')
SIDES = [(9000, 9000), (7000, 7000), (9999, 9999), (65535, 1500), (1, 65535), (4000, 3000)]
"""Below what a folder takes; the next ones are above."""
BOMBS = [(32_767, 32_767), (20_000, 9000), (10**6, 10**6), (65_535, 65_535)]
BLOCK = 1 << 20
PNG_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by colour type


def hostile_image(seed: int) -> tuple[bytes, str]:
    """Bytes of an image file, and what was done to a good one."""
    rng = random.Random(seed)
    make = rng.choice(MAKERS) if rng.random() < 0.3 else bitten
    return make(rng), make.__name__


def small(rng: random.Random, suffix: str, *options: int) -> bytearray:
    """A good file of a few thousand pixels."""
    pixels = np.random.default_rng(rng.randrange(2**32)).integers(0, 256, (40, 60, 3), np.uint8)
    return bytearray(cv2.imencode(suffix, pixels, list(options))[1].tobytes())


def sides(rng: random.Random) -> tuple[int, int]:
    return rng.choice(SIDES if rng.random() < 0.7 else BOMBS)


def bitten(rng: random.Random) -> bytes:
    """Some bytes are others, and the end may be missing."""
    raw = small(rng, rng.choice(SUFFIXES))
    for _ in range(rng.choice([1, 4, 30])):
        reach = len(raw) if rng.random() < 0.5 else min(64, len(raw))
        raw[rng.randrange(reach)] = rng.choice([0, 127, 255, rng.randrange(256)])
    if rng.random() < 0.2:
        del raw[rng.randrange(len(raw)) :]
    return bytes(raw)


def png(rng: random.Random) -> bytes:
    """One colour: a large image of few bytes, of any depth."""
    (width, height), colour = sides(rng), rng.choice(list(PNG_CHANNELS))
    depth = rng.choice([1, 8] if colour == 3 else [8, 16] if colour in (2, 4, 6) else [1, 8, 16])
    row = (width * depth * PNG_CHANNELS[colour] + 7) // 8 + 1
    length = min(row * min(height, 65_535), 400_000_000)  # as much as is ever decoded
    head = struct.pack('>IIBBBBB', width, height, depth, colour, 0, 0, rng.random() < 0.1)
    chunks = [(b'IHDR', head), (b'PLTE', bytes(6)), (b'IDAT', deflated(length)), (b'IEND', b'')]
    return b'\x89PNG\r\n\x1a\n' + b''.join(
        struct.pack('>I', len(body)) + kind + body + struct.pack('>I', zlib.crc32(kind + body))
        for kind, body in chunks
        if kind != b'PLTE' or colour == 3
    )


def deflated(length: int) -> bytes:
    """Zeros, packed without having them all."""
    packer, block = zlib.compressobj(1), bytes(BLOCK)
    parts = [packer.compress(block[: min(BLOCK, length - at)]) for at in range(0, length, BLOCK)]
    return b''.join([*parts, packer.flush()])


def jpeg_of_another_size(rng: random.Random) -> bytes:
    """Its header says more than its data has; a scan of a progressive one is a pass over all."""
    raw = small(rng, '.jpg', cv2.IMWRITE_JPEG_PROGRESSIVE, rng.randrange(2))
    width, height = sides(rng)
    for at in markers(raw, (0xC0, 0xC1, 0xC2)):
        raw[at + 5 : at + 9] = struct.pack('>HH', min(height, 65535), min(width, 65535))
    return bytes(raw)


def jpeg_of_many_scans(rng: random.Random) -> bytes:
    """A few bytes a scan, each of which is a pass over the whole image."""
    raw = bytes(jpeg_of_another_size(random.Random(rng.randrange(2**32))))
    scans = [*markers(bytearray(raw), (0xDA,)), len(raw) - 2]
    scan = raw[scans[-2] : scans[-1]]
    return raw[: scans[-1]] + scan * rng.choice([10, 200, 5000]) + raw[-2:]


def markers(raw: bytearray, kinds: tuple[int, ...]) -> list[int]:
    """Where markers of a JPEG of these kinds stand."""
    return [at for at in range(2, len(raw) - 9) if raw[at] == 255 and raw[at + 1] in kinds]


def tiff(rng: random.Random) -> bytes:
    """A directory of nonsense: sides, tiles, samples, bits, strips, compressions."""
    width, height = sides(rng)
    strange = [0, 1, 3, 4, 65535, 2**31, 2**32 - 1]
    entries = {
        256: width, 257: height, 258: rng.choice([1, 8, 16, 32, 64, 65535]),
        259: rng.choice([1, 5, 7, 8, 32773, 32946, 34712]), 262: rng.choice([0, 1, 2, 3, 5, 6]),
        273: rng.choice([8, 200, 2**32 - 1]), 277: rng.choice([1, 3, 4, 65535]),
        278: rng.choice([height, 1, *strange]), 279: rng.choice([10, *strange]),
        339: rng.choice([1, 2, 3]),
    }  # fmt: skip
    if rng.random() < 0.3:
        entries |= {322: rng.choice([16, 65536, 2**31]), 323: rng.choice([16, 65536, 2**31])}
    body = deflated(100_000)
    directory = b''.join(
        struct.pack('<HHII', tag, 4, 1, value) for tag, value in sorted(entries.items())
    )
    start = 8 + len(body)
    return (
        b'II*\0' + struct.pack('<I', start) + body + struct.pack('<H', len(entries)) + directory
        + bytes(4)
    )  # fmt: skip


def webp(rng: random.Random) -> bytes:
    """A canvas that is larger than the frame in it."""
    width, height = (min(side, 2**24) for side in sides(rng))
    canvas = bytes(4) + (width - 1).to_bytes(3, 'little') + (height - 1).to_bytes(3, 'little')
    frame = bytes(small(rng, '.webp'))[12:]
    body = b'WEBPVP8X' + struct.pack('<I', 10) + canvas + frame * rng.choice([1, 2, 50])
    return b'RIFF' + struct.pack('<I', len(body)) + body


def bmp(rng: random.Random) -> bytes:
    raw = small(rng, '.bmp')
    width, height = sides(rng)
    raw[18:26] = struct.pack('<ii', width, rng.choice([height, -height]))
    raw[28:30] = struct.pack('<H', rng.choice([1, 4, 8, 16, 24, 32]))
    raw[30:34] = struct.pack('<I', rng.choice([0, 1, 2, 3]))
    return bytes(raw)


def pnm(rng: random.Random) -> bytes:
    """Text or bytes, with comments between, or more than 8 bits."""
    width, height = sides(rng)
    between = rng.choice([' ', '\n', '\n# x 1 1\n', '\t' * 5000, '\n#' + '9' * 9000 + '\n'])
    highest = rng.choice(['', '255', '65535', '0', '-1', '9' * 5000])
    head = between.join([f'P{rng.randrange(1, 8)}', str(width), str(height), highest])
    return head.encode() + b'\n' + bytes(rng.choice([0, 9, 10**6]))


def exif(rng: random.Random) -> bytes:
    """A sound JPEG whose EXIF is nonsense, or goes in a circle."""
    raw = bytes(small(rng, '.jpg'))
    entries = b''.join(_entry(rng) for _ in range(rng.choice([1, 5, 4000])))
    block = rng.choice([b'II*\0', b'MM\0*', b'xx']) + struct.pack('<I', rng.choice([8, 0, 2**31]))
    block = (b'Exif\0\0' + block + struct.pack('<H', len(entries) // 12) + entries)[:65_000]
    return raw[:2] + b'\xff\xe1' + struct.pack('>H', len(block) + 2) + block + raw[2:]


def _entry(rng: random.Random) -> bytes:
    tag, kind = rng.choice([0x8825, 0x0112, 2, 4, 6, 17]), rng.randrange(13)
    count, value = (rng.choice([0, 1, 3, 8, 2**31, 2**32 - 1]) for _ in range(2))
    return struct.pack('<HHII', tag, kind, count, value)


MAKERS: list[Callable[[random.Random], bytes]] = [
    png, png, jpeg_of_another_size, jpeg_of_many_scans, tiff, tiff, webp, bmp, pnm, exif,
]  # fmt: skip


def all_kinds() -> Iterator[str]:
    """Names of what is done."""
    yield from sorted({make.__name__ for make in (bitten, *MAKERS)})
