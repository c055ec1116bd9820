# SPDX-License-Identifier: MIT
"""One ~/relocalize call: do several images in a row agree on one place? Knows no ROS."""

from __future__ import annotations

from dataclasses import dataclass
import enum

import numpy as np

from selavpr_model.records import Recognition, State


class Ending(enum.IntEnum):
    """Values of Relocalize.outcome."""

    SUCCESS = 0
    NO_MAP = 1
    NOT_ACTIVE = 2
    NO_IMAGES = 3
    TIMEOUT = 4
    NO_MATCH = 5
    AMBIGUOUS = 6
    INCONSISTENT = 7
    TF_ERROR = 8
    BUSY = 9


@dataclass(frozen=True, slots=True, eq=False)
class Prior:
    """Where the robot is said to be: (3,) m and its (3, 3) covariance, m^2, in the map frame."""

    position: np.ndarray
    covariance: np.ndarray

    def fits(self, T_map_base: np.ndarray) -> bool:
        """Within three sigma; axes with no variance are taken as a centimetre's."""
        offset = T_map_base[:3, 3] - self.position
        spread = self.covariance + 1e-4 * np.eye(3)
        return bool(offset @ np.linalg.pinv(spread) @ offset <= 9.0)


class Relocalization:
    """Collects recognitions until `needed` in a row agree within `radius_m`."""

    def __init__(self, needed: int, radius_m: float, prior: Prior | None = None) -> None:
        self._needed, self._radius_m, self._prior = needed, radius_m, prior
        self._agreeing: list[Recognition] = []
        self.seen = {'images': 0, 'lost': 0, 'ambiguous': 0, 'outside prior': 0, 'jumps': 0}

    def add(self, recognition: Recognition, T_map_base: np.ndarray | None) -> bool:
        """Take the next image's answer; True when enough agree."""
        self.seen['images'] += 1
        trouble = self._trouble(recognition, T_map_base)
        if trouble:
            self.seen[trouble] += 1
        if trouble:
            self._agreeing.clear()
        if trouble in ('', 'jumps'):
            self._agreeing.append(recognition)
        return len(self._agreeing) >= self._needed

    def _trouble(self, recognition: Recognition, T_map_base: np.ndarray | None) -> str:
        if recognition.state is not State.LOCALIZED:
            return 'lost' if recognition.state is State.LOST else 'ambiguous'
        if self._prior is not None and (T_map_base is None or not self._prior.fits(T_map_base)):
            return 'outside prior'
        if self._agreeing and not self._same_place(self._agreeing[-1], recognition):
            return 'jumps'
        return ''

    def _same_place(self, a: Recognition, b: Recognition) -> bool:
        if a.pose is None or b.pose is None:
            return a.candidates[0].place.id == b.candidates[0].place.id
        return float(np.linalg.norm(a.pose[:3, 3] - b.pose[:3, 3])) <= self._radius_m

    def ending(self) -> Ending:
        """What came out, asked when `add` said True or time is up."""
        seen = self.seen
        if len(self._agreeing) >= self._needed:
            return Ending.SUCCESS
        if seen['images'] == 0:
            return Ending.NO_IMAGES
        if seen['jumps']:
            return Ending.INCONSISTENT
        if self._agreeing:
            return Ending.TIMEOUT
        return Ending.AMBIGUOUS if seen['ambiguous'] > seen['lost'] else Ending.NO_MATCH

    def text(self) -> str:
        """One line of counts for the answer."""
        counts = ', '.join(f'{n} {name}' for name, n in self.seen.items() if n or name == 'images')
        return f'{len(self._agreeing)} of {self._needed} needed in a row agree; {counts}'
