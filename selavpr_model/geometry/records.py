# SPDX-License-Identifier: MIT
"""What geometry says about two keyframes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from selavpr_model.records import PoseKind


@dataclass(frozen=True, slots=True, eq=False)
class Geometry:
    """What two views of one place say about the motion between them; see LoopClosure."""

    agrees: bool
    inliers: int
    reason: str
    pose_kind: PoseKind = PoseKind.NONE
    pose: np.ndarray | None = None
    covariance: np.ndarray | None = None


class Verifier(Protocol):
    """Checks by geometry that two rows of the map show one place."""

    def __call__(self, *, before: int, after: int, rival: int | None) -> Geometry | None:
        """None where it cannot be checked.

        rival: the row that `after` matches best of those that surely show another place.
        """
        ...
