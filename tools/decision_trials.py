# SPDX-License-Identifier: MIT
"""What the frames of drives say about the places of a map, kept so that decisions can be replayed.

Extraction and matching take minutes, deciding milliseconds: tools/fit_sequence.py decides on the
same frames again and again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
import pickle
from typing import Any

from decision_drives import Asked
import numpy as np
from tqdm import tqdm

from selavpr_model.config import RecognizerConfig, ScoreConfig, TemporalConfig
from selavpr_model.decision.belief import Belief, Moment
from selavpr_model.decision.confidence import Confidence, with_confidence
from selavpr_model.decision.ranking import Ranked
from selavpr_model.evaluation.slam_score import same_by_pose
from selavpr_model.features.extractor import Extractor
from selavpr_model.maps.building.builder import build_map
from selavpr_model.maps.place_map import PlaceMap
from selavpr_model.maps.retrieval import Query, ranked
from selavpr_model.maps.storage.store import open_map
from selavpr_model.recognizer import believe
from selavpr_model.records import Candidate, Frame


@dataclass(frozen=True, eq=False)
class Seen:
    """One frame. candidates: in re-ranked order, without confidences; right: rows of the map that
    show its place."""

    moment: Moment
    candidates: tuple[Candidate, ...]
    right: frozenset[int]


@dataclass(frozen=True, eq=False)
class Drive:
    """A drive in a map. place_map: open, without what `seen` tells."""

    seen: Sequence[Seen]
    place_map: PlaceMap
    model: Confidence

    @property
    def with_odometry(self) -> bool:
        return self.seen[-1].moment.odom is not None


def driven(asked: Asked, extractor: Extractor, cache: Path) -> Drive:
    """The frames of a drive, from the cache or looked at now."""
    folder = cache / asked.name.replace(' ', '_').replace(',', '')
    file = folder / 'seen.pkl'
    if not (folder / 'map').is_dir():
        build_map(asked.mapped, extractor, folder / 'map', overwrite=True,
                  source={'drive': asked.name}, progress=False)  # fmt: skip
    place_map = open_map(folder / 'map')
    if not file.is_file():
        seen = [*_looked(asked, place_map, extractor)]
        file.write_bytes(pickle.dumps(seen))
    assert place_map.calibration is not None and place_map.calibration.confidence is not None
    return Drive(pickle.loads(file.read_bytes()), place_map, place_map.calibration.confidence)


def _looked(asked: Asked, place_map: PlaceMap, extractor: Extractor) -> Iterator[Seen]:
    config, rows = RecognizerConfig(), _rows(asked.mapped, place_map)
    matcher = place_map.matcher(config.score, quick=True)
    same = _same(asked)
    for frame, shows in zip(tqdm(asked.queries, asked.name), same, strict=True):
        query = Query.of_frame(place_map, extractor.extract(frame.image))
        places = ranked(place_map, query, matcher, config)
        moment = Moment(frame.stamp_ns, frame.odom, query.view)
        right = frozenset(rows[i] for i in np.flatnonzero(shows).tolist() if i in rows)
        yield Seen(moment, places.candidates, right)


def _rows(mapped: Sequence[Frame], place_map: PlaceMap) -> dict[int, int]:
    """Number of a mapped frame -> row; of those that became keyframes."""
    of_stamp = {place.stamp_ns: row for row, place in enumerate(place_map.places)}
    return {i: of_stamp[f.stamp_ns] for i, f in enumerate(mapped) if f.stamp_ns in of_stamp}


def _same(asked: Asked) -> np.ndarray:
    """(queries, mapped) bool by the rule of `selavpr replay`."""
    if asked.same is not None:
        return asked.same
    every, count = [f.pose for f in (*asked.mapped, *asked.queries)], len(asked.mapped)
    same = same_by_pose(every, ScoreConfig())
    return np.array([[same(r, c) for c in range(count)] for r in range(count, len(every))])


@dataclass(frozen=True, slots=True)
class Said:
    """What one frame and the sequence say. alone: the frame's own confidence in the place of the
    mode; mass: of the mode; evidence: of the frame for it, nat; first: whether the frame's best
    place is in the mode; right: whether the mode's place is; possible: whether the map has it."""

    alone: float
    mass: float
    evidence: float
    first: bool
    right: bool
    possible: bool
    shown: bool = True  # some candidate is in the mode


def said(drive: Drive, temporal: TemporalConfig, odometry: bool, model: Confidence) -> list[Said]:
    """The whole drive, from a belief that knows nothing."""
    config = RecognizerConfig()
    belief = believe(drive.place_map, config, temporal)
    assert belief is not None
    found = []
    for one in drive.seen:
        places = Ranked.of(one.candidates, config, joined=drive.place_map.joined)
        places = with_confidence(places, model)
        moment = one.moment if odometry else replace(one.moment, odom=None)
        after = belief.update(moment, places.candidates)
        found.append(_said(places, after, one.right))
    return found


def _said(places: Ranked, after: Belief, right: frozenset[int]) -> Said:
    """As selavpr_model.decision.follow looks at it."""
    share, candidates = after.mode.share, places.candidates
    at_place = [c for c in candidates if c.row in share]
    if not at_place:
        return Said(1e-6, after.mode.mass, after.evidence, False, False, bool(right), False)
    believed = max(at_place, key=lambda c: share[c.row])
    elsewhere = {c.row for c in places.rivals(believed.row)}
    known: list[tuple[bool, Any]] = [(c.row not in elsewhere, c.confidence) for c in candidates]
    here = [p for mine, p in known if mine and p is not None]
    every = [p for _, p in known if p is not None]
    return Said(
        max(here, default=min(every, default=0.0)), after.mode.mass, after.evidence,
        candidates[0].row in share, believed.row in right, bool(right),
    )  # fmt: skip
