# SPDX-License-Identifier: MIT
"""The drive of another map, repeated in this one: what closes tells how its frame lies in ours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from itertools import groupby

from selavpr_model.config import GraphConfig, SlamConfig
from selavpr_model.maps.place_map import PlaceMap
from selavpr_model.maps.retrieval import Query
from selavpr_model.records import Place
from selavpr_model.slam.growth import Growth
from selavpr_model.slam.records import SlamConfigs
from selavpr_model.slam.straight import optimize

OFTEN = 1000.0  # verifications a second: nothing waits for a merge


class Repeat(Growth):
    """A session of another map as if it were driven now."""

    def __init__(self, place_map: PlaceMap, other: PlaceMap, session: str) -> None:
        """session: its name in `place_map`."""
        slam = SlamConfig(session=session, verifications_per_s=OFTEN)
        configs = SlamConfigs(slam, graph=replace(GraphConfig(), enabled=False))
        super().__init__(place_map, configs, session=session)
        self._other = other
        self._segment: int | None = None

    def repeat(self, row: int, place: Place) -> None:
        """Add a row of the other map as `place`, whose pose is in the frame of its run."""
        query, measured = Query.of_row(self._other, row), self._other.odometry.get(row)
        segment = None if measured is None else measured[1]
        if segment != self._segment:
            self._track.break_off()
        self._segment = segment
        point = self._track.locate(place.stamp_ns, place.pose)
        if self._last_view is not None:
            self._observe_step(query.view)
        self.add_keyframe(query, point, place, partial(self.place_map.copy, self._other, row))


def join(merged: PlaceMap, other: PlaceMap, rows: Sequence[tuple[int, Place]]) -> None:
    """Append rows of `other`, each as a place whose session is unaligned in `merged`, close loops
    between the two, and align what enough metric closures agree on."""
    taken: dict[int, int] = {}
    by_session = sorted(rows, key=lambda each: each[1].session)
    for session, members in groupby(by_session, key=lambda each: each[1].session):
        run = Repeat(merged, other, session)
        for row, place in members:
            taken[row] = len(merged)
            run.repeat(row, place)
    merged.copy_links(other, taken)
    optimize(merged, GraphConfig())
