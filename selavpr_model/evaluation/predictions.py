# SPDX-License-Identifier: MIT
"""What a replay answered, one row a frame, to and from CSV without loss."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
import csv
from dataclasses import dataclass
import json
import math
from pathlib import Path

import numpy as np

from selavpr_model.errors import InputError, SourceError
from selavpr_model.poses import inverse, position_quaternion
from selavpr_model.records import Recognition, Reject, State

POSE_COLUMNS = ('x', 'y', 'z', 'qx', 'qy', 'qz', 'qw')
COLUMNS = (
    'stamp_ns', 'state', 'reason', 'reject', 'confidence', 'alone_confidence', 'place_ids',
    'names', 'similarities', 'global_ranks', 'matches', 'ranks', *POSE_COLUMNS,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Prediction:
    """The answer for one frame; candidates best first, as parallel tuples.

    similarities: cosines at float32 precision; ranks: in the re-ranked order of the frame alone;
    confidence of the best candidate, alone_confidence of the first in that order, None where not
    calibrated; reject: why
    the best candidate was turned down; pose: T_map_base as x, y, z and quaternion x, y, z, w,
    None unless LOCALIZED.
    """

    stamp_ns: int
    state: State
    reason: str = ''
    reject: Reject = Reject.NONE
    confidence: float | None = None
    place_ids: tuple[int, ...] = ()
    names: tuple[str, ...] = ()
    similarities: tuple[float, ...] = ()
    global_ranks: tuple[int, ...] = ()
    matches: tuple[int, ...] = ()
    ranks: tuple[int, ...] = ()
    pose: tuple[float, ...] | None = None
    alone_confidence: float | None = None

    def __post_init__(self) -> None:
        lists = (self.names, self.similarities, self.global_ranks, self.matches, self.ranks)
        if any(len(values) != len(self.place_ids) for values in lists):
            lengths = [len(values) for values in lists]
            raise InputError(
                f'prediction: expected {len(self.place_ids)} of each list, got {lengths}'
            )
        if self.pose is not None and len(self.pose) != len(POSE_COLUMNS):
            raise InputError(f'prediction: expected a pose of 7 numbers, got {len(self.pose)}')


def short_float(value: float) -> float:
    """The shortest decimal that is the same float32: messages and rows then agree exactly."""
    return float(str(np.float32(value)))


def from_recognition(recognition: Recognition, base_camera: np.ndarray) -> Prediction:
    """Turn an answer about the camera into a row about the base; base_camera: T_base_camera."""
    candidates = recognition.candidates
    best = candidates[0] if candidates else None
    pose = recognition.pose
    return Prediction(
        stamp_ns=recognition.stamp_ns,
        state=recognition.state,
        reason=recognition.reason,
        reject=best.reject if best else Reject.NONE,
        confidence=short_confidence(best.confidence) if best else None,
        alone_confidence=short_confidence(recognition.alone_confidence),
        place_ids=tuple(c.place.id for c in candidates),
        names=tuple(c.place.known_as for c in candidates),
        similarities=tuple(short_float(c.global_similarity) for c in candidates),
        global_ranks=tuple(c.global_rank for c in candidates),
        matches=tuple(c.mutual_matches for c in candidates),
        ranks=tuple(c.rank for c in candidates),
        pose=None if pose is None else position_quaternion(pose @ inverse(base_camera)),
    )


def short_confidence(confidence: float | None) -> float | None:
    """None also for NaN, which messages have where nothing is calibrated."""
    return None if confidence is None or math.isnan(confidence) else short_float(confidence)


def agreement(
    replayed: Sequence[Prediction], live: Sequence[Prediction]
) -> dict[str, int | float | list[int]]:
    """Do two runs say the same about the frames that both answered?

    Equal: same state, same places in the same order, same numbers of matches.
    """
    expected = {p.stamp_ns: p for p in replayed}
    pairs = [(expected[p.stamp_ns], p) for p in live if p.stamp_ns in expected]
    differing = [b.stamp_ns for a, b in pairs if _decision(a) != _decision(b)]
    gaps = [abs(x - y) for a, b in pairs for x, y in zip(a.similarities, b.similarities)]  # noqa: B905
    doubts = [abs((a.confidence or 0.0) - (b.confidence or 0.0)) for a, b in pairs]
    return {
        'compared': len(pairs),
        'equal': len(pairs) - len(differing),
        'differing_stamps': differing,
        'largest_similarity_difference': max(gaps, default=0.0),
        'largest_confidence_difference': max(doubts, default=0.0),
    }


def _decision(p: Prediction) -> tuple[State, tuple[int, ...], tuple[int, ...]]:
    return p.state, p.place_ids, p.matches


def write_csv(path: Path, predictions: Iterable[Prediction]) -> None:
    """Equal predictions give equal bytes; `read_csv` gives back equal predictions."""
    with path.open('w', newline='', encoding='utf-8') as file:
        writer = csv.writer(file, lineterminator='\r\n')
        writer.writerow(COLUMNS)
        writer.writerows(_to_row(p) for p in predictions)


def read_csv(path: Path) -> list[Prediction]:
    """Raise SourceError with the line that cannot be read."""
    try:
        with path.open(newline='', encoding='utf-8') as file:
            return _read_rows(path, csv.DictReader(file))
    except (OSError, csv.Error, UnicodeDecodeError) as error:
        raise SourceError(f'{path}: expected a predictions CSV; {error}') from error


def _read_rows(path: Path, reader: csv.DictReader[str]) -> list[Prediction]:
    if tuple(reader.fieldnames or ()) != COLUMNS:
        raise SourceError(f'{path}: expected columns {", ".join(COLUMNS)}')
    rows = []
    for row in reader:
        try:
            rows.append(_from_row(row))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise SourceError(f'{path}, line {reader.line_num}: {error}') from error
    return rows


def _to_row(p: Prediction) -> list[str]:
    pose = [''] * len(POSE_COLUMNS) if p.pose is None else [repr(v) for v in p.pose]
    return [
        str(p.stamp_ns),
        p.state.name,
        p.reason,
        str(int(p.reject)),
        _optional(p.confidence),
        _optional(p.alone_confidence),
        _join(p.place_ids),
        json.dumps(p.names),
        _join(p.similarities),
        _join(p.global_ranks),
        _join(p.matches),
        _join(p.ranks),
        *pose,
    ]


def _from_row(row: dict[str, str]) -> Prediction:
    pose = [row[name] for name in POSE_COLUMNS]
    return Prediction(
        stamp_ns=int(row['stamp_ns']),
        state=State[row['state']],
        reason=row['reason'],
        reject=Reject(int(row['reject'])),
        confidence=float(row['confidence']) if row['confidence'] else None,
        alone_confidence=float(row['alone_confidence']) if row['alone_confidence'] else None,
        place_ids=tuple(map(int, row['place_ids'].split())),
        names=tuple(json.loads(row['names'])),
        similarities=tuple(map(float, row['similarities'].split())),
        global_ranks=tuple(map(int, row['global_ranks'].split())),
        matches=tuple(map(int, row['matches'].split())),
        ranks=tuple(map(int, row['ranks'].split())),
        pose=tuple(map(float, pose)) if any(pose) else None,
    )


def _optional(value: float | None) -> str:
    return '' if value is None else repr(value)


def _join(values: Sequence[float]) -> str:
    return ' '.join(map(repr, values))
