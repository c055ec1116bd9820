# SPDX-License-Identifier: MIT
"""What is wrong with the images' stamps, or with who sends them, and the cure."""

from __future__ import annotations

from collections.abc import Iterator
import time

from selavpr_model.records import SECOND
from selavpr_model.runtime.shown import shown
from selavpr_ros.node import qos
from selavpr_ros.node.context import Context
from selavpr_ros.node.health.clocks import foreign_clock, StampJudge
from selavpr_ros.node.incoming.stamps import ImageStamps
from selavpr_ros.node.inputs import Inputs

MOST_NAMES = 5  # of other cameras


class StampLine:
    """A part of the line Input."""

    def __init__(
        self, context: Context, inputs: Inputs, clock: StampJudge, images: ImageStamps
    ) -> None:
        self._context, self._inputs, self._clock, self._images = context, inputs, clock, images

    def troubles(self) -> Iterator[str]:
        """The worst first."""
        found = (
            self._cameras(),
            self._clocks(),
            self._publishers(),
            self._missing(),
            self._foreign(),
            self._ahead(),
        )
        yield from filter(None, found)

    @property
    def _ends(self) -> str:
        return qos.describe_ends(self._inputs.publishers())

    def _cameras(self) -> str | None:
        used, *others = self._images.frames or ['']
        if not others:
            return None
        names = ', '.join(map(shown, others[:MOST_NAMES]))
        return (
            f'images of {len(others) + 1} cameras on {self._inputs.image_topic}: only those of '
            f'frame {shown(used)} are used, not {names}; publishers: {self._ends}; remap, so that '
            'each camera has its own topic'
        )

    def _clocks(self) -> str | None:
        if not self._images.are_clocks_mixed(time.monotonic_ns()):
            return None
        return (
            f'image stamps of two clocks alternate on {self._inputs.image_topic}: only those '
            f'nearer to the clock of this node are used; publishers: {self._ends}; stop one, such '
            'as a bag that plays beside the camera'
        )

    def _publishers(self) -> str | None:
        count = len(self._inputs.publishers())
        if count < 2:
            return None
        return (
            f'{count} publishers of images on {self._inputs.image_topic}, all are used: '
            f'{self._ends}; stop one, or remap it to another topic'
        )

    def _missing(self) -> str | None:
        """Arrival is used where stamps say nothing."""
        topic, images = self._inputs.image_topic, self._images
        what = 'have stamp 0' if images.are_missing else 'have a stamp that stands still'
        if not images.are_missing and not images.stand_still:
            return None
        return (
            f'images on {topic} {what}: the time of their arrival is used instead, results carry '
            'their stamp; let the camera driver set header.stamp'
        )

    def _foreign(self) -> str | None:
        """The stamps are of another clock."""
        context = self._context
        if not self._clock.foreign:
            return None
        delay = self._inputs.odometry.arrivals.delay_s()
        behind_s = self._clock.behind_ns / SECOND
        return foreign_clock(behind_s, context.uses_sim_time, context.now_ns(), delay)

    def _ahead(self) -> str | None:
        ahead = self._images.ahead_s
        if ahead is None:
            return None
        return (
            f'image stamps on {self._inputs.image_topic} are {ahead:.1f} s in the future of this '
            'node; synchronise the clock of the camera (chrony, PTP), or have its driver stamp '
            'with the time of this computer'
        )
