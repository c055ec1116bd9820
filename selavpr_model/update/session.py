# SPDX-License-Identifier: MIT
"""A later drive in a map: where the robot is sure, what it sees now becomes another look.

The places of the map stay as they are. The looks lie in a map of their own until `finish`, so no
frame is recognised by what its own drive has added: an error cannot confirm itself.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass
from typing import Any

import numpy as np

from selavpr_model.config import KeyframeConfig, UpdateConfig
from selavpr_model.errors import InputError
from selavpr_model.maps.building.keyframes import KeyframeSelector
from selavpr_model.maps.building.looks import looks_of, most_matches, usual_matches
from selavpr_model.maps.building.subset import without_places
from selavpr_model.maps.place_map import free_name, PlaceMap
from selavpr_model.maps.storage.source import UPDATES
from selavpr_model.recognizer import PlaceRecognizer
from selavpr_model.records import Features, Frame, Place, Recognition, State
from selavpr_model.update.trail import Trail

MOST_ELSEWHERE = 0.5  # share of the keyframes whose own pose is not where they were recognised


@dataclass(frozen=True, slots=True, eq=False)
class _Look:
    """A keyframe of the drive that waits for the answers after it.

    features, view: of the frame; odom: (4, 4) T_odom_camera or None; number: of the frame;
    travelled: m until it; answer: of the frame.
    """

    frame: Frame
    features: Features
    view: np.ndarray
    odom: np.ndarray | None
    number: int
    travelled: float
    answer: Recognition

    def is_complete(self, end: float) -> bool:
        """Whether later answers say nothing more; end: m travelled up to which none does."""
        return self.odom is None or self.travelled <= end

    @property
    def is_sure(self) -> bool:
        return self.answer.state is State.LOCALIZED and self.answer.pose is not None


class UpdateSession:
    """Recognises the frames of one drive and collects the looks that they add to the map.

    Live, from a bag and offline run `process`. `counts` tells what became of the keyframes: added,
    known (the place has such a look already), unsure (where it was taken), elsewhere (its own pose
    is not where it was recognised).
    """

    def __init__(
        self,
        recognizer: PlaceRecognizer,
        config: UpdateConfig | None = None,
        keyframes: KeyframeConfig | None = None,
        own_poses: bool = False,
    ) -> None:
        """own_poses: the frames' own poses are in the frame of the map and hold. InputError for a
        map without poses."""
        self.recognizer, self.config = recognizer, config or UpdateConfig()
        self.place_map: PlaceMap = recognizer.place_map
        require_poses(self.place_map)
        self.added = without_places(self.place_map)
        self.counts: Counter[str] = Counter()
        self.session, self.frames = '', 0
        self._own_poses = own_poses
        self._selector = KeyframeSelector(keyframes)
        self._trail = Trail(self.config)
        self._waiting: deque[_Look] = deque()
        self._matcher = self.place_map.matcher(recognizer.config.score, quick=True)
        usual = usual_matches(self.place_map, self._matcher, recognizer.config)
        self._enough = (1.0 - self.config.novelty) * usual  # matches of a look that is known
        self._free_id = self.place_map.next_id

    def process(
        self, frame: Frame, learn: bool = True, force_verification: bool = False
    ) -> Recognition:
        """Recognise a frame; it may become a look when the frames after it are known.

        learn: False where it only tells how the odometry lies in the map; force_verification: as
        for PlaceRecognizer.process.
        """
        answer = self.recognizer.process(frame, force_verification)
        usable = not self.recognizer.odometry.frozen
        if self._trail.breaks(frame, usable, self.recognizer.odometry.broken):
            self._settle(everything=True)
            self._trail.forget()
        self._trail.step(frame, usable, answer)
        if learn and self._selector.is_new(frame):
            self._wait(frame, answer)
        self.frames += 1
        self._settle()
        return answer

    @property
    def settled(self) -> int:
        """The number of the first frame that may still become a look."""
        return self._waiting[0].number if self._waiting else self.frames

    def restore(self, added: PlaceMap) -> None:
        """Go on after a break: looks that this drive added before it."""
        self.added.extend(added)
        self.added.cameras |= added.cameras
        self.session = added.places[0].session
        self._free_id = max(self._free_id, self.added.next_id)
        self.counts['added'] += len(added)

    def reset(self) -> None:
        """The clock jumped or the robot was carried: how it moved is not known."""
        self._settle(everything=True)
        self._trail.forget()
        self.recognizer.reset()

    def finish(self, source: dict[str, Any] | None = None) -> PlaceMap:
        """The map with all looks, to be saved; the one that was updated stays as it is.

        source: what the map says about the drive. InputError where the frames' own poses are not
        in the frame of the map.
        """
        self._settle(everything=True)
        self._require_poses_of_the_map()
        joined = without_places(self.place_map)
        joined.extend(self.place_map)
        joined.extend(self.added)
        joined.cameras |= {s: c for s, c in self.added.cameras.items() if s == self.session}
        told = {'session': self.session, 'looks': len(self.added), 'frames': self.frames}
        joined.source[UPDATES] = [*joined.source.get(UPDATES, ()), {**told, **(source or {})}]
        return joined

    def _wait(self, frame: Frame, answer: Recognition) -> None:
        features, view = self.recognizer.features, self.recognizer.view
        assert features is not None and view is not None  # of this frame
        odom, travelled = self._trail.odom, self._trail.travelled
        self._waiting.append(_Look(frame, features, view, odom, self.frames, travelled, answer))

    def _settle(self, everything: bool = False) -> None:
        """Decide about the keyframes that have seen all the answers that count for them."""
        end = self._trail.travelled - self.config.window_m
        while self._waiting and (everything or self._waiting[0].is_complete(end)):
            self.counts[self._decide(self._waiting.popleft())] += 1

    def _decide(self, look: _Look) -> str:
        """Add the look, or not: a key of `counts`."""
        if self._own_poses and self._is_elsewhere(look):
            return 'elsewhere'
        pose = self._pose(look)
        if pose is None:
            return 'unsure'
        if self._is_known(look, pose):
            return 'known'
        frame = look.frame
        self._begin(frame.stamp_ns)
        place = Place(
            self._free_id, frame.stamp_ns, frame.name, self.session, frame.camera_frame, pose
        )
        self.added.add(look.features, place, frame.image)
        self._free_id += 1
        if frame.camera is not None:
            self.added.cameras.setdefault(self.session, frame.camera)
        return 'added'

    def _begin(self, stamp_ns: int) -> None:
        if not self.session:
            taken = self.place_map.sessions
            self.session = free_name(self.config.session or f'update-{stamp_ns}', taken)

    def _pose(self, look: _Look) -> np.ndarray | None:
        """(4, 4) T_map_camera of the look; None where the robot is not sure of it.

        It is sure where the frame itself is LOCALIZED, or frames before and after it.
        """
        if self._own_poses:
            return look.frame.pose if look.is_sure else None
        if look.odom is None:
            return look.answer.pose if look.is_sure else None
        return self._trail.pose_of(look.odom, look.travelled, enclosed=not look.is_sure)

    def _is_elsewhere(self, look: _Look) -> bool:
        """Whether the frame's own pose contradicts where it was recognised."""
        own, answer = look.frame.pose, look.answer.pose
        if own is None or answer is None or not look.is_sure:
            return False
        away = float(np.linalg.norm(own[:3, 3] - answer[:3, 3]))
        return away > self.recognizer.config.distinct_radius_m

    def _is_known(self, look: _Look, pose: np.ndarray) -> bool:
        """Whether its place has a look that shows as much of it as keyframes beside it do."""
        return any(
            most_matches(
                one, looks_of(one, pose, self.recognizer.config), look.view, self._matcher
            )
            > self._enough
            for one in (self.place_map, self.added)
        )

    def _require_poses_of_the_map(self) -> None:
        elsewhere, decided = self.counts['elsewhere'], self.counts.total() - self.counts['unsure']
        if elsewhere > MOST_ELSEWHERE * decided:
            raise InputError(
                f'poses: expected poses in the frame of the map, got {elsewhere} of {decided} '
                'keyframes elsewhere than they were recognised; leave --poses out, so that poses '
                'come from the answers and the odometry'
            )


def require_poses(place_map: PlaceMap) -> None:
    """InputError for a map without a pose in its own frame: no look could be given one."""
    if not np.isfinite(place_map.positions).all(axis=1).any():
        raise InputError(
            f'{place_map.path or "map"}: expected places with poses in the frame of the map, got '
            'none; build it with poses (--poses)'
        )
