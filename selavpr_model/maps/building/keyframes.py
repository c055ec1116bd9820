# SPDX-License-Identifier: MIT
"""Which frames become places: moved, turned or waited enough since the last one."""

from __future__ import annotations

from typing import Any

import numpy as np

from selavpr_model.config import KeyframeConfig
from selavpr_model.poses import rotation_angles
from selavpr_model.records import Frame


class KeyframeSelector:
    """Compares each frame with the last one it took; needs no features, so it is cheap."""

    def __init__(self, config: KeyframeConfig | None = None) -> None:
        self.config = config or KeyframeConfig()
        self._stamp_ns: int | None = None
        self._pose: np.ndarray | None = None
        self._odom: np.ndarray | None = None

    def is_new(self, frame: Frame) -> bool:
        """Whether `frame` becomes a keyframe; if so, the next frames are compared with it."""
        if self._stamp_ns is not None and not self._far(frame):
            return False
        self._stamp_ns = frame.stamp_ns
        self._pose, self._odom = _usable(frame.pose), _usable(frame.odom)
        return True

    def _far(self, frame: Frame) -> bool:
        """The map pose counts; without it on both sides the odometry; without that, time."""
        for before, after in ((self._pose, frame.pose), (self._odom, frame.odom)):
            now = _usable(after)
            if before is not None and now is not None:
                return self._moved(before, now)
        assert self._stamp_ns is not None
        # a clock that jumps back (bag loop) must not silence the selector
        return abs(frame.stamp_ns - self._stamp_ns) >= self.config.time_s * 1e9

    def _moved(self, before: np.ndarray, now: np.ndarray) -> bool:
        if np.linalg.norm(now[:3, 3] - before[:3, 3]) >= self.config.distance_m:
            return True
        angle = rotation_angles(now[None, :3, :3], before[:3, :3])[0]
        return bool(np.degrees(angle) >= self.config.angle_deg)

    def state(self) -> dict[str, Any]:
        """What `restore` needs, as JSON values."""
        poses = {'pose': self._pose, 'odom': self._odom}
        lists = {k: None if T is None else T.tolist() for k, T in poses.items()}
        return {'stamp_ns': self._stamp_ns, **lists}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on exactly where the selector was that `state` came from."""
        self._stamp_ns = state['stamp_ns']
        self._pose, self._odom = _usable(state['pose']), _usable(state['odom'])


def _usable(T: Any) -> np.ndarray | None:
    """(4, 4) float64, or None where there is no pose or it is not finite."""
    if T is None:
        return None
    matrix = np.asarray(T, np.float64)
    return matrix if matrix.shape == (4, 4) and np.isfinite(matrix).all() else None
