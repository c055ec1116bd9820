# SPDX-License-Identifier: MIT
"""One ~/relocalize call: do several images in a row show one place? Knows no ROS.

Each image counts by itself. The belief over a sequence needs motion, and whoever asks for help
often stands still; or it is what is in doubt.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
import enum

import numpy as np

from selavpr_model.errors import InputError
from selavpr_model.poses import inverse
from selavpr_model.records import Candidate, Place, Recognition, Reject, State, Status

MOST = 1e12  # m and m^2 of a prior


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


def prior_of(position: np.ndarray, covariance: np.ndarray) -> Prior:
    """InputError for numbers that describe no search area."""
    finite = np.isfinite(position).all() and np.isfinite(covariance).all()
    if not finite or max(np.abs(position).max(), np.abs(covariance).max()) > MOST:
        raise InputError(f'prior: expected finite numbers up to {MOST:g}; set pose and covariance')
    symmetric = (covariance + covariance.T) / 2
    if np.abs(covariance - symmetric).max() > 1e-3 * max(np.abs(covariance).max(), 1e-6):
        raise InputError('prior: expected a symmetric covariance; set both of its halves')
    if np.linalg.eigvalsh(symmetric).min() < -1e-6 * max(np.abs(symmetric).max(), 1e-6):
        raise InputError('prior: expected a covariance without negative variances')
    return Prior(position, symmetric)


class Relocalization:
    """Collects frames until `needed` in a row show by themselves places within `radius_m`.

    T_base_camera: (4, 4). `best` is the last frame's best place, judged without those before it.
    """

    def __init__(
        self, needed: int, radius_m: float, T_base_camera: np.ndarray, prior: Prior | None = None
    ) -> None:
        self._needed, self._radius_m, self._prior = needed, radius_m, prior
        self._T_camera_base = inverse(T_base_camera)
        self._agreeing: list[Place] = []
        self.best: Candidate | None = None
        self.seen = {'images': 0, 'lost': 0, 'ambiguous': 0, 'outside prior': 0, 'jumps': 0}

    def add(self, recognition: Recognition) -> bool:
        """Take the next image's answer; True when enough agree."""
        self.seen['images'] += 1
        best = best_alone(recognition)
        trouble = self._trouble(recognition.alone, best)
        self.best = None if best is None else judged(best, recognition.alone, trouble)
        if trouble is not None:
            self.seen[trouble] += 1
            self._agreeing.clear()
        if trouble in (None, 'jumps') and best is not None:
            self._agreeing.append(best.place)
        return len(self._agreeing) >= self._needed

    def _trouble(self, alone: State, best: Candidate | None) -> str | None:
        """The key of `seen` for which this image does not count; None where it does."""
        if best is None or alone is State.LOST:
            return 'lost'
        if alone is State.AMBIGUOUS:
            return 'ambiguous'
        if self._prior is not None and not self._fits(self._prior, best.place):
            return 'outside prior'
        if self._agreeing and not self._same_place(self._agreeing[-1], best.place):
            return 'jumps'
        return None

    def _fits(self, prior: Prior, place: Place) -> bool:
        return place.pose is not None and prior.fits(place.pose @ self._T_camera_base)

    def _same_place(self, a: Place, b: Place) -> bool:
        if a.pose is None or b.pose is None:
            return a.id == b.id
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


def best_alone(recognition: Recognition) -> Candidate | None:
    """The place this frame shows best; a sequence may have put another one first."""
    return min(recognition.candidates, key=lambda c: c.rank, default=None)


def judged(candidate: Candidate, alone: State, trouble: str | None) -> Candidate:
    """The candidate with status and reasons of this frame instead of those of the sequence."""
    if alone is State.LOCALIZED and trouble != 'outside prior':
        return replace(candidate, status=Status.ACCEPTED, reject=Reject.NONE)
    reject = candidate.reject & ~Reject.TEMPORAL
    if alone is State.AMBIGUOUS:
        reject |= Reject.AMBIGUOUS
    if trouble == 'outside prior':
        reject = Reject.PRIOR
    return replace(candidate, status=Status.REJECTED, reject=reject)
