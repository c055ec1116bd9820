# SPDX-License-Identifier: MIT
"""How large an image file says it is, read from its header: nothing is decoded or allocated.

A file of 130 kB may claim a billion pixels, and decoding it takes gigabytes and a minute. Pixels
of more than 8 bits, and those of a JPEG that is decoded in several passes, count as several: so
much memory they take.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
import re
import struct

from selavpr_model.errors import InputError

MAX_PIXELS = 100_000_000  # 300 MB of RGB; the largest cameras have about that
MAX_SIDE = 65_535  # as much as a JPEG can have
MOST_PASSES = 10
"""Of a JPEG over as many pixels as are allowed; encoders make about ten."""
_MOST_ENTRIES = 4096  # of a TIFF directory; chunks of a WebP; segments of a JPEG
_END, _SCAN = re.compile(rb'\xff\xd9'), re.compile(rb'\xff\xda')
_PNM = re.compile(rb'P\d\s+(?:#[^\n]*\n\s*)*(\d{1,10})\s+(\d{1,10})\s')
_MARKER = re.compile(rb'\xff([\x01-\xfe])')  # of a JPEG
_WHOLE = {1: 'B', 3: 'H', 4: 'I', 16: 'Q'}  # types of TIFF values that are numbers
_TIFF_BITS, _TIFF_SAMPLES = 258, 277  # of a sample; of a pixel
# Tiles have sides, too.
_TIFF_TAGS = {256: 256, 322: 256, 257: 257, 323: 257, _TIFF_BITS: 258, _TIFF_SAMPLES: 277}
_JPEG_SIZE = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})  # markers of frames
_JPEG_BARE = frozenset({0x01, *range(0xD0, 0xD9)})  # markers without a length

Sizes = Iterator[tuple[int, int, int]]
"""Width, height, and how many pixels of 8 bits a pixel counts as."""


def is_decodable(data: bytes | memoryview, max_pixels: int = MAX_PIXELS) -> bool:
    """Whether the header is that of an image file; InputError where it claims too many pixels.

    JPEG, PNG, WebP, TIFF, BMP, GIF and PNM are known; others are not to be decoded.
    """
    sizes = _sizes(data)
    for width, height, weight in sizes:
        require_size(width, height, max_pixels, weight)
    return bool(sizes)


def require_size(width: int, height: int, max_pixels: int = MAX_PIXELS, weight: int = 1) -> None:
    """InputError for an image that is too large to be worked with, or has no pixel.

    weight: pixels of 8 bits that a pixel counts as.
    """
    if min(width, height) < 1:
        raise InputError(f'image: expected at least one pixel, got {width}x{height}')
    if width * height * weight > max_pixels or max(width, height) > MAX_SIDE:
        counted = f', each counted as {weight} for its bits or passes' if weight > 1 else ''
        raise InputError(
            f'image: expected at most {max_pixels} pixels and {MAX_SIDE} a side, got '
            f'{width}x{height}{counted}; make it smaller, or raise max_image_px where it is meant'
        )


def _sizes(data: bytes | memoryview) -> list[tuple[int, int, int]]:
    """Of all that the file holds; empty where it is no image of a known kind."""
    head = bytes(data[:32])
    for magic, read in _READERS:
        if re.match(magic, head, re.DOTALL):
            try:
                return list(read(memoryview(data)))
            except (struct.error, IndexError, ValueError, OverflowError):
                return []  # cut off, or nonsense
    return []


def _png(data: memoryview) -> Sizes:
    if bytes(data[12:16]) == b'IHDR':
        width, height, bits = struct.unpack_from('>IIB', data, 16)
        yield width, height, _bytes(bits)


def _jpeg(data: memoryview) -> Sizes:
    """Of each frame header before the first scan. Where there are several scans, each is a pass
    over all pixels, whose coefficients are kept in between.
    """
    at = 2
    frames: list[tuple[int, ...]] = []
    for _ in range(_MOST_ENTRIES):
        found = _MARKER.search(data, at)
        if found is None or found[1][0] in (0xDA, 0xD9):
            passes = _scans(data, at) if frames else 0
            yield from ((w, h, _weight(bits, passes)) for bits, h, w in frames)
            return
        marker, at = found[1][0], found.end()
        if marker in _JPEG_SIZE:
            frames.append(struct.unpack_from('>BHH', data, at + 2))
        if marker not in _JPEG_BARE:
            at += max(2, *struct.unpack_from('>H', data, at))
    raise ValueError('too many segments')


def _scans(data: memoryview, at: int) -> int:
    """How many there are before the end of the image; other pictures may come behind it."""
    end = _END.search(data, at)
    return sum(1 for _ in _SCAN.finditer(data, at, end.start() if end else len(data)))


def _weight(bits: int, passes: int) -> int:
    """Of a pixel of a JPEG; several passes keep two bytes of each sample in between."""
    if passes < 2:
        return _bytes(bits)
    return max(2 * _bytes(bits), -(-passes // MOST_PASSES))


def _bytes(bits: int) -> int:
    """At least one, for a sample."""
    return max(1, (bits + 7) // 8)


def _webp(data: memoryview) -> Sizes:
    at = 12
    for _ in range(_MOST_ENTRIES):
        if at + 8 > len(data):
            return
        kind, length = bytes(data[at : at + 4]), struct.unpack_from('<I', data, at + 4)[0]
        body = data[at + 8 : at + 8 + min(length, 32)]
        if kind in (b'VP8X', b'ANMF'):
            first = 4 if kind == b'VP8X' else 6
            sides = (int.from_bytes(body[i : i + 3], 'little') + 1 for i in (first, first + 3))
            yield next(sides), next(sides), 1
        elif kind == b'VP8L':
            bits = struct.unpack_from('<I', body, 1)[0]
            yield (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1, 1
        elif kind == b'VP8 ':
            width, height = struct.unpack_from('<HH', body, 6)
            yield width & 0x3FFF, height & 0x3FFF, 1
        at += 8 + length + length % 2
    raise ValueError('too many chunks')


def _tiff(data: memoryview) -> Sizes:
    """Of the first directory, which is the one that is decoded: the largest of sides and tiles."""
    order = '<' if bytes(data[:2]) == b'II' else '>'
    big = struct.unpack_from(f'{order}H', data, 2)[0] == 43
    count_kind, entry_bytes, word = ('Q', 20, 'Q') if big else ('H', 12, 'I')
    at = struct.unpack_from(f'{order}{word}', data, 8 if big else 4)[0]
    count = struct.unpack_from(f'{order}{count_kind}', data, at)[0]
    if count > _MOST_ENTRIES:
        raise ValueError('too many entries')
    at += struct.calcsize(count_kind)
    found = {256: 0, 257: 0, _TIFF_BITS: 1, _TIFF_SAMPLES: 1}
    for entry in range(at, at + count * entry_bytes, entry_bytes):
        tag, kind = struct.unpack_from(f'{order}HH', data, entry)
        if tag in _TIFF_TAGS and kind in _WHOLE:
            key = _TIFF_TAGS[tag]
            found[key] = max(found[key], _tiff_value(data, order, word, entry, _WHOLE[kind]))
    width, height, bits, samples = found.values()
    yield width, height, _bytes(bits) * max(1, (samples + 3) // 4)


def _tiff_value(data: memoryview, order: str, word: str, entry: int, kind: str) -> int:
    """The first value of an entry; where it has more than fit in, they are somewhere else."""
    bytes_of_word = struct.calcsize(word)
    at = entry + 4 + bytes_of_word
    count = struct.unpack_from(f'{order}{word}', data, entry + 4)[0]
    if count * struct.calcsize(kind) > bytes_of_word:
        at = struct.unpack_from(f'{order}{word}', data, at)[0]
    return int(struct.unpack_from(f'{order}{kind}', data, at)[0])


def _bmp(data: memoryview) -> Sizes:
    if struct.unpack_from('<I', data, 14)[0] == 12:
        width, height = struct.unpack_from('<HH', data, 18)
    else:
        width, height = struct.unpack_from('<ii', data, 18)
    yield abs(width), abs(height), 1


def _gif(data: memoryview) -> Sizes:
    width, height = struct.unpack_from('<HH', data, 6)
    yield width, height, 1


def _pnm(data: memoryview) -> Sizes:
    head = bytes(data[:4096])
    numbers = _PNM.match(head)
    if numbers:
        highest = re.match(rb'\s*(\d{1,10})', head[numbers.end() :])
        bitmap = head[1:2] in b'14' or highest is None
        bits = 8 if bitmap or highest is None else int(highest[1]).bit_length()
        yield int(numbers[1]), int(numbers[2]), _bytes(bits)


_READERS: tuple[tuple[bytes, Callable[[memoryview], Sizes]], ...] = (
    (rb'\x89PNG\r\n\x1a\n', _png),
    (rb'\xff\xd8\xff', _jpeg),
    (rb'RIFF....WEBP', _webp),
    (rb'II[\x2a\x2b]\0|MM\0[\x2a\x2b]', _tiff),
    (rb'BM', _bmp),
    (rb'GIF8[79]a', _gif),
    (rb'P[1-6]\s', _pnm),
)
