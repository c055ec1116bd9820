# SPDX-License-Identifier: MIT
"""Which pose is of which image: by name, by time, or by order; a frame number is never a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
import re

import numpy as np

from selavpr_model.data.pose_files import date_ns, PoseRow, read_text, stamp_ns
from selavpr_model.data.pose_tables import By, PoseTable
from selavpr_model.errors import SourceError
from selavpr_model.poses import PoseTrack
from selavpr_model.records import SECOND

STAMP_GAP_NS = 20_000_000
"""As TUM's associate.py: an image and a pose further apart do not belong together."""
BETWEEN_NS = 250_000_000
"""Two poses at most this far apart also give that of an image between them."""
FEW = 0.25
"""Where times give fewer of the images a pose, they are of another recording or clock."""
LARGEST_NUMBER = 10**8
"""A name that is a whole number below this is that of a frame; above, a time since 1973."""
TIMES = ('times.txt', 'timestamps.txt', 'times.csv')


def name_stamp(file: Path) -> int | None:
    """The time in a name, in ns: a number and nothing else, as `1305031102.175304.png`, a date of
    14 digits, or one number among words that is a time of 2001 to 2033, as `left_1305031102.1`."""
    if re.fullmatch(r'(19|20)\d{12}', file.stem):
        return _named_date(file.stem)
    if not re.fullmatch(r'\d{1,19}(\.\d+)?', file.stem):
        return _among_words(file.stem)
    if '.' not in file.stem and int(file.stem) < LARGEST_NUMBER:
        return None
    return stamp_ns(file.stem)


def _named_date(text: str) -> int | None:
    """`20240131123000` -> ns since 1970, UTC; None for what is no date."""
    try:
        date = datetime.strptime(text, '%Y%m%d%H%M%S').replace(tzinfo=timezone.utc)
    except ValueError:
        return None
    return int(date.timestamp()) * SECOND


def _among_words(stem: str) -> int | None:
    found = re.findall(r'(?<![\d.])(1\d{9}\.\d+|1\d{18}|1\d{15}|1\d{12}|1\d{9})(?![\d.])', stem)
    return stamp_ns(found[0]) if len(found) == 1 else None


def name_number(file: Path) -> int | None:
    """The frame number in a name that has one number only: `000012`, `frame-000012.color`."""
    found = re.findall(r'\d+', file.stem)
    return int(found[0]) if len(found) == 1 and len(found[0]) <= 10 else None


def counted(file: Path, index: int) -> int:
    """Which image it is: its name, where that is a number and nothing else, or else `index`."""
    return int(file.stem) if re.fullmatch(r'\d{1,8}', file.stem) else index


def image_stamps(files: Sequence[Path], root: Path) -> tuple[list[int | None], str]:
    """(time of each image in ns or None, where from): its name, or a file of times beside it."""
    named = [name_stamp(file) for file in files]
    if any(stamp is not None for stamp in named):
        return named, 'their names'
    folder = files[0].parent
    for place in dict.fromkeys((folder, root, folder.parent)):
        for name in TIMES:
            if (place / name).is_file():
                times = _of_lines(read_times(place / name), files)
                if times is not None:
                    return times, name
    return named, ''


def read_times(path: Path) -> list[int]:
    """Nanoseconds of each line, a number or a date (KITTI raw); [] for something else."""
    times = []
    for line in read_text(path).splitlines():
        text = line.split('#')[0].strip()
        if not text:
            continue
        try:
            times.append(date_ns(text) if '-' in text[1:] and ':' in text else stamp_ns(text))
        except (SourceError, ValueError):
            return []
    return times


def _of_lines(values: Sequence[int], files: Sequence[Path]) -> list[int | None] | None:
    """Line k is of image k: by count, or by the number in the name; None where neither fits."""
    if len(values) == len(files):
        return list(values)
    numbers = [name_number(file) for file in files]
    if all(n is not None and n < len(values) for n in numbers):
        return [values[n] for n in numbers if n is not None]
    return None


def match_rows(files: Sequence[Path], table: PoseTable, root: Path) -> list[PoseRow]:
    """The row of each file, with its time where that is known; an empty row for none.

    SourceError where no image has a row, or times give few of them one.
    """
    stamps, _ = image_stamps(files, root)
    if table.by is By.NAME:
        matched = by_name(files, table)
    elif table.by is By.STAMP and any(stamp is not None for stamp in stamps):
        matched = match_stamps(stamps, table)
    else:
        _require_fitting_times(files, table, root)
        matched = _by_order(files, table)
    if not any(row is not None for row in matched):
        raise SourceError(_unmatched(files, table))
    filled = zip(files, matched, stamps, strict=True)
    return [_with_stamp(file, row, stamp) for file, row, stamp in filled]


def _require_fitting_times(files: Sequence[Path], table: PoseTable, root: Path) -> None:
    """SourceError where there is a file of times, but not of these images."""
    if table.by is not By.STAMP:
        return
    for place in dict.fromkeys((files[0].parent, root, files[0].parent.parent)):
        for path in (place / name for name in TIMES if (place / name).is_file()):
            raise SourceError(
                f'{path}: expected one time a line for each of {len(files)} images, got '
                f'{len(read_times(path))}; is it of another folder?'
            )


def _with_stamp(file: Path, row: PoseRow | None, stamp: int | None) -> PoseRow:
    row = row or PoseRow(file.name)
    return replace(row, stamp_ns=stamp) if row.stamp_ns is None else row


def _unmatched(files: Sequence[Path], table: PoseTable) -> str:
    rows = table.rows
    if not rows:
        return f'{table.path}: expected rows of poses, got none'
    example = rows[0].file or f'{rows[0].stamp_ns} ns'
    return (
        f'{files[0].parent}: expected images that {table.path.name} names; it has {example!r} '
        f'and {len(rows) - 1} more, the images are {files[0].name!r} and {len(files) - 1} more; '
        'give the folder that belongs to it'
    )


def by_name(files: Sequence[Path], table: PoseTable) -> list[PoseRow | None]:
    """By the longest end of the path that both say; else by name without suffix, or the number
    in it where the table has the numbers of frames."""
    names: dict[str, list[PoseRow]] = {}
    for row in table.rows:
        there = names.setdefault(Path(row.file).name, [])
        if any(other.file == row.file for other in there):
            raise SourceError(
                f'{table.path.name}: expected each image once, got {row.file!r} twice'
            )
        there.append(row)
    return [_closest(file, names, table) for file in files]


def _closest(file: Path, names: dict[str, list[PoseRow]], table: PoseTable) -> PoseRow | None:
    there = names.get(file.name) or names.get(file.stem) or names.get(f'{name_number(file)}') or []
    if len(there) < 2:
        return there[0] if there else None
    alike = [_shared_end(file, Path(row.file)) for row in there]
    best = max(alike)
    if alike.count(best) > 1:
        raise SourceError(
            f'{table.path.name}: expected each image once, got {file.name!r} of '
            f'{" and ".join(row.file for row in there[:2])}; give the folder that holds both'
        )
    return there[alike.index(best)]


def _shared_end(a: Path, b: Path) -> int:
    pairs = zip(reversed(a.parts), reversed(b.parts))  # noqa: B905
    return next((i for i, (x, y) in enumerate(pairs) if x != y), min(len(a.parts), len(b.parts)))


def match_stamps(stamps: Sequence[int | None], table: PoseTable) -> list[PoseRow | None]:
    """The pose at each time: between two samples close to each other, or next to one."""
    samples = [(row.stamp_ns, row.pose) for row in table.rows if row.pose is not None]
    track = PoseTrack([stamp or 0 for stamp, _ in samples], [pose for _, pose in samples])
    poses = [None if s is None else _at(track, s) for s in stamps]
    lost = PoseTrack([row.stamp_ns or 0 for row in table.rows if row.lost],
                     [np.eye(4) for row in table.rows if row.lost])  # fmt: skip
    matched: list[PoseRow | None] = []
    for stamp, pose in zip(stamps, poses, strict=True):
        gone = stamp is not None and pose is None and lost.at(stamp, STAMP_GAP_NS) is not None
        known = pose is not None or gone
        matched.append(PoseRow(stamp_ns=stamp, pose=pose, lost=gone) if known else None)
    if sum(row is not None for row in matched) < FEW * len(stamps):
        raise SourceError(_of_another_time(stamps, table, sum(p is not None for p in poses)))
    return matched


def _at(track: PoseTrack, stamp: int) -> np.ndarray | None:
    after = int(np.searchsorted(track.stamps, stamp))
    close = 0 < after < len(track.stamps) and (
        int(track.stamps[after]) - int(track.stamps[after - 1]) <= BETWEEN_NS
    )
    return track.at(stamp, BETWEEN_NS if close else STAMP_GAP_NS)


def _of_another_time(stamps: Sequence[int | None], table: PoseTable, posed: int) -> str:
    times = [s for s in stamps if s is not None]
    rows = [row.stamp_ns for row in table.rows if row.stamp_ns is not None]
    return (
        f'{table.path}: expected images that {table.path.name} names by their times, got {posed} '
        f'of {len(stamps)} with a pose: images are of {_range(times)}, poses of {_range(rows)}; '
        'is it of another recording, clock or unit of time? --poses none goes without'
    )


def _range(times: Sequence[int]) -> str:
    if not times:
        return 'no time'
    return f'{min(times) / SECOND:.3f} to {max(times) / SECOND:.3f} s'


def _by_order(files: Sequence[Path], table: PoseTable) -> list[PoseRow | None]:
    """Row k is of image k: as many rows as images, or the number in a name is that of the row."""
    rows = table.rows
    numbered = {row.number: row for row in rows if row.number is not None}
    numbers = [name_number(file) for file in files]
    sparse = sorted(numbered) != list(range(len(rows)))
    if sparse and numbered and all(n is not None for n in numbers):
        return [numbered.get(n) for n in numbers if n is not None]
    if len(rows) == len(files):
        return list(rows)
    if numbered and not sparse and all(n is not None and n < len(rows) for n in numbers):
        return [rows[n] for n in numbers if n is not None]
    times = [row.stamp_ns for row in rows if row.stamp_ns is not None]
    got = f' of {_range(times)}' if times else ''
    raise SourceError(
        f'{table.path}: {len(rows)} poses{got} for {len(files)} images whose names '
        f'({files[0].name!r}) are frame numbers or words, not times; expected as many poses as '
        f'images, times in the names, or a {TIMES[0]} beside the images with one time a line'
    )
