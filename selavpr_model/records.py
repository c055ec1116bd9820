# SPDX-License-Identifier: MIT
"""What flows between the parts: frozen records.

`T_a_b` maps points of frame b into frame a: `p_a = T_a_b @ p_b`. Time is int nanoseconds, lengths
are metres. `similarity`, `matches`, `inliers` and `confidence` go up when better.
"""

from __future__ import annotations

from dataclasses import dataclass, field
import enum

import numpy as np

from selavpr_model.errors import InputError

SECOND = 1_000_000_000  # nanoseconds
FISHEYE = ('equidistant', 'fisheye')  # lens models, with the lengths of their distortion:
FISHEYE_DISTORTIONS = (0, 1, 2, 3, 4)  # missing ones are 0
DISTORTIONS = (0, 4, 5, 8, 12, 14)  # what OpenCV knows
MOST_DISTORTION, MOST_FOCAL_PX = 1e6, 1e7


class State(enum.IntEnum):
    """What a recognition says about the robot (values of PlaceHypotheses.state)."""

    LOST = 0
    AMBIGUOUS = 1
    LOCALIZED = 2


class Status(enum.IntEnum):
    """What became of one candidate (values of PlaceHypothesis.status)."""

    CANDIDATE = 0
    ACCEPTED = 1
    REJECTED = 2


class Reject(enum.IntFlag):
    """Why a candidate was turned down (bits of reject_mask)."""

    NONE = 0
    LOW_GLOBAL = 1
    LOW_LOCAL = 2
    AMBIGUOUS = 4
    GEOMETRY = 8
    TEMPORAL = 16
    PRIOR = 32


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One camera image and where the robot was.

    image: (H, W, 3) uint8 RGB; pose: (4, 4) T_map_camera; odom: (4, 4) T_odom_camera; camera: the
    calibrated one that took it, None where not known; odom_segment: another number where odometry
    restarted or jumped, so that no motion leads from one to the other.
    """

    stamp_ns: int
    image: np.ndarray
    camera_frame: str = 'camera'
    pose: np.ndarray | None = None
    odom: np.ndarray | None = None
    name: str = ''
    camera: Camera | None = None
    odom_segment: int = 0

    def __post_init__(self) -> None:
        require_rgb(self.image)


def require_rgb(image: np.ndarray) -> None:
    """Raise InputError unless `image` is (H, W, 3) uint8 with at least one pixel."""
    good = isinstance(image, np.ndarray) and image.dtype == np.uint8
    if not good or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        got = f'{image.shape} {image.dtype}' if isinstance(image, np.ndarray) else type(image)
        raise InputError(f'image: expected (H, W, 3) uint8 RGB, got {got}; convert it first')


@dataclass(frozen=True, slots=True, eq=False)
class Features:
    """global_: (D,) float32, unit length; local: (h, w, C) float32, unit on the last axis.

    tokens: (N, T) float32, the patch tokens that both are made of, where they are to be had.
    """

    global_: np.ndarray
    local: np.ndarray
    tokens: np.ndarray | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """One keyframe of the map; `id` never changes. pose: (4, 4) T_map_camera or None.

    name: of its image; label: what people call the place ("dock"), '' where nobody has named it.
    """

    id: int
    stamp_ns: int
    name: str = ''
    session: str = ''
    camera_frame: str = 'camera'
    pose: np.ndarray | None = None
    label: str = ''

    @property
    def known_as(self) -> str:
        """What an answer calls it: its label, else the name of its image."""
        return self.label or self.name


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """One place that a query may show.

    row: of the place in the map's arrays. global_similarity: cosine in [-1, 1]; global_rank
    counts from 0, in the order of the search; rank, too, in the re-ranked order of the frame
    alone. mutual_matches: the mutual nearest neighbours that count (RecognizerConfig.score); each
    bit of the image is counted `overlap` times. confidence: the
    probability that the place is right, None where nothing measures it. pose, covariance: as in
    Recognition, refined by geometry, None where the keyframe's hold.
    """

    place: Place
    row: int
    global_similarity: float
    global_rank: int
    mutual_matches: int = 0
    overlap: int = 1
    rank: int = 0
    inliers: int = 0
    confidence: float | None = None
    status: Status = Status.CANDIDATE
    reject: Reject = Reject.NONE
    pose: np.ndarray | None = None
    covariance: np.ndarray | None = None

    @property
    def independent_matches(self) -> float:
        """The matches of separate bits of the image: alike for all storages, however many cells
        they compare."""
        return self.mutual_matches / self.overlap


@dataclass(frozen=True, slots=True, eq=False)
class Recognition:
    """The answer for one frame; candidates best first.

    pose: (4, 4) T_map_camera and covariance: (6, 6) (x, y, z, rx, ry, rz; m^2 and rad^2, fixed
    axes of the map), both only when LOCALIZED. reason: one line, why this state. alone: what this
    frame says by itself, without those before; alone_confidence: of the best place by this frame
    alone, None where nothing measures it. filtered: whether the pose is the estimate over the
    answers so far and odometry. outside: answers in a row that do not fit odometry. timings_ns:
    stage -> nanoseconds.
    """

    stamp_ns: int
    state: State
    candidates: tuple[Candidate, ...]
    reason: str
    pose: np.ndarray | None = None
    covariance: np.ndarray | None = None
    alone: State = State.LOST
    alone_confidence: float | None = None
    filtered: bool = False
    outside: int = 0
    timings_ns: dict[str, int] = field(default_factory=dict)


class ClosureKind(enum.IntEnum):
    """How far a loop closure can be trusted (values of LoopClosure.type)."""

    CANDIDATE = 0
    VERIFIED = 1
    REJECTED = 2


class PoseKind(enum.IntEnum):
    """What the pose of a loop closure holds (values of LoopClosure.pose_type)."""

    NONE = 0
    ROTATION_AND_DIRECTION = 1
    METRIC = 2


@dataclass(frozen=True, slots=True, eq=False)
class LoopClosure:
    """Two keyframes that show, or seemed to show, one place.

    before, after: the earlier and the later keyframe. confidence: as of a Candidate. reason: one
    line, why this kind. pose: (4, 4) T_before_after of the cameras, None where pose_kind is NONE;
    covariance: (6, 6) with it.
    """

    kind: ClosureKind
    before: Place
    after: Place
    global_similarity: float
    mutual_matches: int
    reason: str
    reject: Reject = Reject.NONE
    inliers: int = 0
    confidence: float | None = None
    pose_kind: PoseKind = PoseKind.NONE
    pose: np.ndarray | None = None
    covariance: np.ndarray | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Camera:
    """A pinhole or fisheye camera. K: (3, 3) pixels; distortion: (n,); size: (width, height)."""

    K: np.ndarray
    distortion: np.ndarray
    size: tuple[int, int]
    model: str = 'plumb_bob'

    def trouble(self) -> str | None:
        """What no lens model can have, in words; None where the numbers can be used."""
        values = np.asarray(self.distortion)
        counts = FISHEYE_DISTORTIONS if self.model in FISHEYE else DISTORTIONS
        if values.ndim != 1 or len(values) not in counts:
            expected = ', '.join(map(str, counts))
            return (
                f'expected {expected} distortion values of {self.model!r:.40}, got {values.size}'
            )
        if not (np.isfinite(values).all() and (np.abs(values) < MOST_DISTORTION).all()):
            return f'expected finite distortion values, got {values.tolist()}'
        if not (np.isfinite(self.K).all() and (np.abs(self.K) < MOST_FOCAL_PX).all()):
            return f'expected finite K below {MOST_FOCAL_PX:g} px, got {self.K.ravel().tolist()}'
        if min(self.K[0, 0], self.K[1, 1]) <= 0:
            return f'expected focal lengths above 0, got {self.K[0, 0]} and {self.K[1, 1]}'
        return None

    def sees(self, image: np.ndarray) -> bool:
        """Whether (H, W, 3) may be its image: the whole of it, of any size."""
        height, width = image.shape[:2]
        return abs(width * self.size[1] - height * self.size[0]) <= max(self.size)


@dataclass(frozen=True, slots=True)
class ModelIdentity:
    """What must agree between a map and the model that queries it.

    fingerprint: hex SHA-256 over architecture, weights and preprocessing; weights: a name for
    people; local_shape: (h, w, C) of the local features; note: what people must be told, such as
    'untrained local head' or 'RANDOM WEIGHTS'.
    """

    fingerprint: str
    weights: str
    global_dim: int
    local_shape: tuple[int, int, int]
    description: dict[str, object] = field(default_factory=dict, compare=False)
    note: str = ''
