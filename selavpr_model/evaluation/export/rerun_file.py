# SPDX-License-Identifier: MIT
"""A recording for the rerun viewer (.rrd): images, matches, the map, the belief over time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from selavpr_model.records import ClosureKind, Place, Recognition, State
from selavpr_model.runtime.needs import needs

STATES = {
    State.LOST: (220, 60, 60),
    State.AMBIGUOUS: (230, 170, 40),
    State.LOCALIZED: (60, 190, 80),
}
CLOSURES = {
    ClosureKind.CANDIDATE: (150, 150, 150),
    ClosureKind.VERIFIED: (60, 190, 80),
    ClosureKind.REJECTED: (220, 60, 60),
}
GREY, BLUE, AMBER = (130, 130, 130), (70, 130, 230), (240, 190, 50)
WIDTH = 640  # px of an image at most
QUALITY = 80  # of its JPEG, of 100
PIECE = 50  # points of a track in one entity: a track that grows is not written anew each time
LEAST_BELIEF = 1e-3  # probability of a place that is drawn


class RerunFile:
    """A .rrd file being written; a `with` closes it.

    Times: `frame` counts, `stamp` is the image's. MissingPackageError without rerun-sdk.
    """

    def __init__(self, path: Path, title: str) -> None:
        with needs('rerun', extra='rerun'):
            import rerun
        self._rr = rerun
        self._stream = rerun.RecordingStream('selavpr')
        self._stream.save(str(path), default_blueprint=_blueprint())
        self._stream.send_recording_name(title)
        self._tracks: dict[str, list[Sequence[float]]] = {}

    def __enter__(self) -> RerunFile:
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.flush()
        self._stream.disconnect()

    def at(self, frame: int, stamp_ns: int) -> None:
        """What follows is of this frame."""
        self._stream.set_time('frame', sequence=frame)
        self._stream.set_time('stamp', timestamp=np.datetime64(stamp_ns, 'ns'))

    def image(self, name: str, image: np.ndarray) -> None:
        """(H, W, 3) uint8 RGB, as JPEG, at most WIDTH px wide."""
        if image.shape[1] > WIDTH:
            height = max(1, round(len(image) * WIDTH / image.shape[1]))
            image = cv2.resize(image, (WIDTH, height), interpolation=cv2.INTER_AREA)
        _, data = cv2.imencode('.jpg', image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
        self._log(name, self._rr.EncodedImage(contents=data.tobytes(), media_type='image/jpeg'))

    def places(self, places: Iterable[Place]) -> None:
        """Where the map's places are, at all times, labelled by name or id."""
        posed = [place for place in places if place.pose is not None]
        self._log(
            'map/places',
            self._rr.Points3D(
                [position(place.pose) for place in posed if place.pose is not None],
                colors=GREY, radii=0.15, labels=[place.name or str(place.id) for place in posed],
                show_labels=False,
            ),
            static=True,
        )  # fmt: skip

    def track(self, name: str, poses: Iterable[np.ndarray]) -> None:
        """A way that is known from the start, (4, 4) each."""
        line = [position(pose) for pose in poses]
        self._log(f'map/{name}', self._rr.LineStrips3D([line], colors=BLUE), static=True)

    def moved(self, name: str, xyz: Sequence[float], colour: Sequence[int] = AMBER) -> None:
        """The next point of a way, m."""
        line = self._tracks.setdefault(name, [])
        line.append(xyz)
        piece = (len(line) - 1) // PIECE
        points = line[max(0, piece * PIECE - 1) :]  # joined to the piece before
        self._log(f'map/{name}/{piece:04d}', self._rr.LineStrips3D([points], colors=AMBER))
        self._log('map/here', self._rr.Points3D([xyz], colors=[colour], radii=0.5))

    def answer(self, answer: Recognition) -> None:
        """State, reason, and the numbers of the best candidate."""
        level = 'INFO' if answer.state is State.LOCALIZED else 'WARN'
        text = f'{answer.state.name}: {answer.reason}'
        self._log('answers', self._rr.TextLog(text, level=level, color=STATES[answer.state]))
        self._scalars('numbers/', {'state': int(answer.state)})
        if answer.candidates:
            best = answer.candidates[0]
            self._scalars('confidence/', {'sequence': best.confidence,
                                          'frame': answer.alone_confidence})  # fmt: skip
            self._scalars('numbers/', {'matches': best.mutual_matches,
                                       'similarity': best.global_similarity})  # fmt: skip

    def belief(self, places: Sequence[Place], belief: np.ndarray | None) -> None:
        """(n,) the probability of each of the first n places; None where frames stand alone."""
        if belief is None:
            return
        self._scalars('belief/', {'on_map': float(belief.sum()),
                                  'best_place': float(belief.max(initial=0.0))})  # fmt: skip
        rows = [r for r in np.flatnonzero(belief >= LEAST_BELIEF) if places[r].pose is not None]
        points = [position(pose) for r in rows if (pose := places[r].pose) is not None]
        radii = 0.2 + 1.3 * np.sqrt(belief[rows])
        self._log('map/belief', self._rr.Points3D(points, radii=radii, colors=STATES[State.LOST]))

    def closure(
        self, kind: ClosureKind, ends: Sequence[Sequence[float]], name: str, reason: str
    ) -> None:
        """A line between two keyframes, and why it is what it is."""
        line = self._rr.LineStrips3D([ends], colors=[CLOSURES[kind]])
        self._log(f'map/closures/{kind.name.lower()}/{name}', line)
        self._log('closures', self._rr.TextLog(f'{kind.name} {name}: {reason}'))

    def _scalars(self, prefix: str, values: Mapping[str, float | None]) -> None:
        for name, value in values.items():
            if value is not None:
                self._log(f'{prefix}{name}', self._rr.Scalars(float(value)))

    def _log(self, entity: str, value: Any, static: bool = False) -> None:
        self._stream.log(entity, value, static=static)


def position(pose: np.ndarray) -> list[float]:
    """x, y, z of (4, 4)."""
    return [float(v) for v in pose[:3, 3]]


def _blueprint() -> Any:
    """The map on the left; images, curves and reasons on the right."""
    import rerun.blueprint as blueprint

    curves = [blueprint.TimeSeriesView(origin=n, name=n) for n in ('confidence', 'belief')]
    pictures = [blueprint.Spatial2DView(origin=n, name=n) for n in ('camera', 'matches')]
    reasons = blueprint.TextLogView(origin='/', name='reasons')
    right = blueprint.Vertical(*pictures, *curves, reasons)
    view = blueprint.Spatial3DView(origin='map', name='map')
    return blueprint.Blueprint(blueprint.Horizontal(view, right), collapse_panels=True)
