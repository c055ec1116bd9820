# SPDX-License-Identifier: MIT
"""How many images a source has, which were left out and why, and where the poses are from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from selavpr_model.records import Frame


@dataclass(frozen=True, slots=True)
class SourceReport:
    """images: those that are used; left_out: reason -> files; posed, lost: of the images.

    poses: what they are from, 'none' without; notes: what was assumed or converted; origin:
    latitude, longitude and altitude of x = y = z = 0, where positions were degrees.
    """

    images: int
    posed: int
    poses: str
    lost: int = 0
    left_out: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    origin: Mapping[str, float] | None = None

    def words(self) -> str:
        """`29 images, 2 left out (2 depth maps), 27 with a pose from x.csv`."""
        out = f'{self.images} images'
        if self.left_out:
            parts = ', '.join(f'{n} {why}' for why, n in self.left_out.items())
            out += f', {sum(self.left_out.values())} left out ({parts})'
        if self.poses == 'none':
            return f'{out}, none with a pose'
        out += f', {self.posed} with a pose from {self.poses}'
        return f'{out}, {self.lost} where the tracker was lost' if self.lost else out

    def to_dict(self) -> dict[str, Any]:
        """For the map's manifest; what says nothing is left out."""
        values: dict[str, Any] = {'images': self.images, 'posed': self.posed}
        for name in ('lost', 'left_out', 'notes', 'origin'):
            value = getattr(self, name)
            if value:
                values[name] = list(value) if name == 'notes' else value
        return values


class Source(Protocol):
    """Frames of a folder, a bag or a video, and what became of its images."""

    @property
    def report(self) -> SourceReport: ...

    def __iter__(self) -> Iterator[Frame]: ...
