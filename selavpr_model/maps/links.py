# SPDX-License-Identifier: MIT
"""What joins the places of a map beside their poses: loop closures, and the odometry of runs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

import numpy as np

# before, after: rows; pose: T_before_after of the cameras, as far as it is known; covariance: of
# x, y, z, rx, ry, rz along the axes of before, m^2 and rad^2; metric: whether geometry measured
# all of it; weight: what the robust solution of the pose graph left of it, 0 to 1.
LINK = np.dtype([
    ('before', '<i8'), ('after', '<i8'), ('pose', '<f8', (4, 4)),
    ('covariance', '<f8', (6, 6)), ('metric', '|u1'), ('weight', '<f8'),
])  # fmt: skip
# pose: T_odom_camera as it was measured, all NaN where there was none; segment: number of the
# stretch of unbroken odometry of the session, -1 where there was none.
ODOMETRY_ROW = np.dtype([('pose', '<f8', (4, 4)), ('segment', '<i4')])
JOINS = 0.5  # least weight of a link that makes two places one


def no_links() -> np.ndarray:
    """(0,) LINK."""
    return np.empty(0, LINK)


def link(
    before: int, after: int, pose: np.ndarray, covariance: np.ndarray, metric: bool
) -> np.ndarray:
    """(1,) LINK, of full weight."""
    return np.array([(before, after, pose, covariance, metric, 1.0)], LINK)


def moved(links: np.ndarray, rows: Mapping[int, int]) -> np.ndarray:
    """(m,) LINK for other rows; links of a row that is not there any more are left out."""
    ends = zip(links['before'].tolist(), links['after'].tolist(), strict=True)
    kept = [k for k, (before, after) in enumerate(ends) if before in rows and after in rows]
    other = links[kept].copy()
    for end in ('before', 'after'):
        other[end] = [rows[int(row)] for row in other[end]]
    return other


def joined(links: np.ndarray) -> dict[int, set[int]]:
    """Row -> rows that show the same place, whatever their poses say."""
    partners: dict[int, set[int]] = defaultdict(set)
    for each in links[links['weight'] >= JOINS]:
        before, after = int(each['before']), int(each['after'])
        partners[before].add(after)
        partners[after].add(before)
    return dict(partners)


class OdometryRows:
    """Where odometry put each place of a map; most maps have none."""

    def __init__(self, read: np.ndarray | None = None) -> None:
        """read: (n,) ODOMETRY_ROW of the first rows."""
        self._read = np.empty(0, ODOMETRY_ROW) if read is None else read
        self._added: dict[int, tuple[np.ndarray, int]] = {}

    def __bool__(self) -> bool:
        return bool(self._added) or bool(len(self._read))

    def set(self, row: int, pose: np.ndarray, segment: int) -> None:
        """pose: (4, 4) T_odom_camera of a row that was added."""
        self._added[row] = pose, segment

    def get(self, row: int) -> tuple[np.ndarray, int] | None:
        """Pose and segment of a row; None where there was no odometry."""
        if row < len(self._read) and self._read[row]['segment'] >= 0:
            return np.array(self._read[row]['pose']), int(self._read[row]['segment'])
        return self._added.get(row)

    def array(self, rows: int) -> np.ndarray:
        """(rows,) ODOMETRY_ROW."""
        every = np.empty(rows, ODOMETRY_ROW)
        every['pose'], every['segment'] = np.nan, -1
        every[: len(self._read)] = self._read[:rows]
        added = {row: value for row, value in list(self._added.items()) if row < rows}
        if added:
            where = list(added)
            every['pose'][where] = np.stack([pose for pose, _ in added.values()])
            every['segment'][where] = [segment for _, segment in added.values()]
        return every
