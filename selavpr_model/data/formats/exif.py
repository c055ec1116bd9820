# SPDX-License-Identifier: MIT
"""Where a photograph was taken, as its EXIF says it: of jpg, png, webp and tiff files."""

from __future__ import annotations

from dataclasses import dataclass
import math
from pathlib import Path
import struct

from selavpr_model.errors import InputError

READ = 4_000_000
"""Bytes of a file that are looked through; EXIF stands near the beginning."""
GPS_IFD, ORIENTATION = 0x8825, 0x0112
NORTH_SOUTH, LATITUDE, EAST_WEST, LONGITUDE, BELOW, ALTITUDE, DIRECTION = 1, 2, 3, 4, 5, 6, 17
SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 7: 1, 9: 4, 10: 8}
Values = list[float] | str


@dataclass(frozen=True, slots=True)
class Exif:
    """orientation: 1 to 8. latitude, longitude, direction (clockwise from north): degrees."""

    orientation: int = 1
    latitude: float | None = None
    longitude: float | None = None
    altitude: float | None = None
    direction: float | None = None


def read_exif(path: Path) -> Exif:
    """What the file says; what is missing or damaged is None."""
    try:
        with path.open('rb') as file:
            data = file.read(READ)
    except OSError as error:
        raise InputError(f'{path}: cannot be read: {error.strerror}') from error
    return parse_exif(data)


def parse_exif(data: bytes) -> Exif:
    """What the bytes of an image file say."""
    try:
        block = _block(data)
        return _parsed(block) if block else Exif()
    except (struct.error, IndexError, ValueError, OverflowError):
        return Exif()


def _block(data: bytes) -> bytes:
    """The TIFF structure that holds EXIF, empty for none."""
    if data[:4] in (b'II*\0', b'MM\0*'):
        return data
    if data[:8] == b'\x89PNG\r\n\x1a\n':
        return _chunk(data, 8, b'eXIf', '>', name_first=False)
    if data[:4] == b'RIFF' and data[8:12] == b'WEBP':
        return _chunk(data, 12, b'EXIF', '<', name_first=True).removeprefix(b'Exif\0\0')
    return _of_jpeg(data)


def _chunk(data: bytes, at: int, wanted: bytes, order: str, name_first: bool) -> bytes:
    """The chunk of this name of a png (length, name, bytes, CRC) or webp (name, length, bytes)."""
    while at + 8 <= len(data):
        name = data[at : at + 4] if name_first else data[at + 4 : at + 8]
        (size,) = struct.unpack_from(f'{order}I', data, at + 4 if name_first else at)
        if name == wanted:
            return data[at + 8 : at + 8 + size]
        at += 8 + size + (size % 2 if name_first else 4)
    return b''


def _of_jpeg(data: bytes) -> bytes:
    at = 2
    while data[:2] == b'\xff\xd8' and at + 4 <= len(data) and data[at] == 0xFF:
        marker, (size,) = data[at + 1], struct.unpack_from('>H', data, at + 2)
        if marker == 0xE1 and data[at + 4 : at + 10] == b'Exif\0\0':
            return data[at + 10 : at + 2 + size]
        if marker == 0xDA:  # the image itself
            break
        at += 2 + size
    return b''


def _parsed(block: bytes) -> Exif:
    order = '<' if block[:2] == b'II' else '>'
    (first,) = struct.unpack_from(f'{order}I', block, 4)
    main = _entries(block, first, order)
    turned = _number(main.get(ORIENTATION)) or 1.0
    pointer = _number(main.get(GPS_IFD))
    gps = _entries(block, int(pointer), order) if pointer else {}
    latitude = _degrees(gps.get(LATITUDE), gps.get(NORTH_SOUTH), 'S')
    longitude = _degrees(gps.get(LONGITUDE), gps.get(EAST_WEST), 'W')
    known = latitude is not None and longitude is not None
    known = known and abs(latitude or 0) <= 90 and abs(longitude or 0) <= 180
    height = _number(gps.get(ALTITUDE))
    if height is not None and _number(gps.get(BELOW)) == 1.0:
        height = -height
    orientation = int(turned) if 1 <= turned <= 8 else 1
    if not known:
        return Exif(orientation)
    return Exif(orientation, latitude, longitude, height, _number(gps.get(DIRECTION)))


def _entries(block: bytes, at: int, order: str) -> dict[int, Values]:
    (count,) = struct.unpack_from(f'{order}H', block, at)
    values = {}
    for i in range(count):
        tag, kind, number = struct.unpack_from(f'{order}HHI', block, at + 2 + 12 * i)
        if kind in SIZES and number <= 64:
            values[tag] = _value(block, at + 10 + 12 * i, kind, number, order)
    return values


def _value(block: bytes, at: int, kind: int, number: int, order: str) -> Values:
    if SIZES[kind] * number > 4:
        (at,) = struct.unpack_from(f'{order}I', block, at)
    if kind == 2:
        return block[at : at + number].split(b'\0')[0].decode('ascii', 'replace')
    code = {1: 'B', 3: 'H', 4: 'I', 5: 'II', 7: 'B', 9: 'i', 10: 'ii'}[kind]
    parts = struct.unpack_from(f'{order}{code * number}', block, at)
    if kind not in (5, 10):
        return [float(p) for p in parts]
    pairs = zip(parts[::2], parts[1::2], strict=True)
    return [a / b if b else math.nan for a, b in pairs]


def _number(values: Values | None) -> float | None:
    good = isinstance(values, list) and values and math.isfinite(values[0])
    return values[0] if good and isinstance(values, list) else None


def _degrees(values: Values | None, side: Values | None, negative: str) -> float | None:
    if not isinstance(values, list) or len(values) < 3 or not all(map(math.isfinite, values[:3])):
        return None
    degrees = values[0] + values[1] / 60.0 + values[2] / 3600.0
    return -degrees if isinstance(side, str) and side.upper().startswith(negative) else degrees
