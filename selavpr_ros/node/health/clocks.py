# SPDX-License-Identifier: MIT
"""Whether the camera stamps its images with our clock. Knows no ROS."""

from __future__ import annotations

STRAYS = 5  # odd stamps in a row that show that the clock is another one, not one late frame
NO_CLOCK = 'use_sim_time is set and nothing publishes /clock: play the bag with --clock'


class StampJudge:
    """Tells a late frame, a restarted clock and a foreign clock apart.

    A bag replayed without use_sim_time carries stamps that are days old: they are of another
    clock, and dropping them all as too old would leave the user with nothing.
    """

    def __init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        self.foreign = False
        self._last_ns: int | None = None
        self._strays = 0
        self._fits_seen = False

    def jumped_back(self, stamp_ns: int, jump_ns: int) -> bool:
        """Whether the clock was restarted before this stamp; 0 means no stamp and never jumps."""
        if stamp_ns == 0:
            return False
        last, self._last_ns = self._last_ns, stamp_ns
        return last is not None and stamp_ns < last - jump_ns

    def observe(self, stamp_ns: int, now_ns: int, foreign_ns: int) -> None:
        """Learn from an arriving frame whether the camera's clock is ours."""
        if stamp_ns == 0:
            return
        if abs(now_ns - stamp_ns) <= foreign_ns:
            self._fits_seen, self._strays, self.foreign = True, 0, False
        else:
            self._strays += 1
            self.foreign = not self._fits_seen or self._strays >= STRAYS

    def too_old(self, stamp_ns: int, now_ns: int, limit_ns: int) -> bool:
        """Whether to drop the frame for its age; limit 0 drops none."""
        judged = limit_ns > 0 and stamp_ns != 0 and not self.foreign
        return judged and now_ns - stamp_ns > limit_ns


def foreign_clock(limit_s: float, uses_sim_time: bool, now_ns: int) -> str:
    """What it means that images are of another clock, and the cure."""
    cure = 'when a bag is played, set use_sim_time:=true and play it with --clock'
    if uses_sim_time:
        cure = NO_CLOCK if now_ns == 0 else 'the camera driver stamps with another clock'
    return (
        f'image stamps are more than {limit_s:.0f} s away from the clock of this node, so '
        f'max_frame_age_s is not applied; {cure}'
    )
