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
        self.behind_ns = 0  # our clock, of the last stamp
        self._jump_ns: int | None = None  # since a clock was restarted, until it fits ours
        self._last_ns: int | None = None
        self._strays = 0
        self._fits_seen = False

    def jumped_back(self, stamp_ns: int, jump_ns: int) -> bool:
        """Whether the clock was restarted before this stamp; 0 means no stamp and never jumps."""
        if stamp_ns == 0:
            return False
        last, self._last_ns = self._last_ns, stamp_ns
        jumped = last is not None and stamp_ns < last - jump_ns
        self._jump_ns = jump_ns if jumped else self._jump_ns
        return jumped

    def observe(self, stamp_ns: int, now_ns: int, foreign_ns: int) -> None:
        """Learn from an arriving frame whether the camera's clock is ours. A clock that jumped
        back, as a bag does that starts over, has to come as near as a jump is long.
        """
        if stamp_ns == 0:
            return
        self.behind_ns = now_ns - stamp_ns
        limit = foreign_ns if self._jump_ns is None else self._jump_ns
        if abs(self.behind_ns) <= limit:
            self._fits_seen, self._strays, self.foreign, self._jump_ns = True, 0, False, None
        else:
            self._strays += 1
            is_new = not self._fits_seen or self._jump_ns is not None
            self.foreign = is_new or self._strays >= STRAYS

    def too_old(self, stamp_ns: int, now_ns: int, limit_ns: int) -> bool:
        """Whether to drop the frame for its age; limit 0 drops none."""
        judged = limit_ns > 0 and stamp_ns != 0 and not self.foreign
        return judged and now_ns - stamp_ns > limit_ns


def foreign_clock(
    behind_s: float, uses_sim_time: bool, now_ns: int, odometry_delay_s: float | None = None
) -> str:
    """What it means that images are of another clock, and the cure.

    behind_s: of the images; odometry_delay_s: the same of odometry, by the clock of this computer,
    where known.
    """
    cure = (
        'when a bag is played, set use_sim_time:=true and play it with --clock; else synchronise '
        'the clock of the camera (chrony, PTP)'
    )
    if odometry_delay_s is not None and abs(odometry_delay_s) < 1.0 and not uses_sim_time:
        cure = (
            "odometry's stamps fit, so the clock of the camera is wrong: synchronise it (chrony, "
            'PTP), or have its driver stamp with the time of this computer'
        )
    if uses_sim_time:
        cure = NO_CLOCK if now_ns == 0 else 'the camera driver stamps with another clock'
    return (
        f'image stamps are {duration(behind_s)} the clock of this node, so max_frame_age_s is not '
        f'applied; {cure}'
    )


def duration(behind_s: float) -> str:
    """Such as '3.0 h behind' or '1.5 s ahead of'."""
    length, unit = abs(behind_s), 's'
    for factor, name in ((60.0, 'min'), (60.0, 'h'), (24.0, 'days')):
        if length < 2 * factor:
            break
        length, unit = length / factor, name
    return f'{length:.1f} {unit} {"behind" if behind_s > 0 else "ahead of"}'
