# SPDX-License-Identifier: MIT
"""A video file as frames, which are as long after the start as it says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
import logging
import os
from pathlib import Path

import cv2
import numpy as np

from selavpr_model.data.pose_tables import read_table
from selavpr_model.data.source_report import SourceReport
from selavpr_model.errors import SourceError
from selavpr_model.poses import PoseTrack
from selavpr_model.records import Frame

SUFFIXES = ('.mp4', '.avi', '.mov', '.mkv', '.m4v', '.webm', '.mpg', '.mpeg')
POSE_GAP_NS = 500_000_000
MAX_PIXELS = 8192 * 8192
ONLY = (
    'format_whitelist;mov,mp4,avi,matroska,webm,mpeg,mpegts,mpegvideo,m4v|protocol_whitelist;file'
)
"""For FFmpeg: a list of other files or addresses under the name of a video is none."""
DAMAGED = 'as the video ends early or is damaged'
logger = logging.getLogger(__name__)


def is_video(path: Path) -> bool:
    """Whether the name is that of a video file."""
    return path.suffix.lower() in SUFFIXES and path.is_file()


class VideoFrames:
    """A sized iterable of Frame; stamps are ns since the start of the video.

    poses: a TUM file whose times are seconds since the start; '' and 'none' for none.
    base_camera: T_base_camera, when the poses are those of a body. SourceError for a file that is
    no video, or poses of other times. `dropped` counts the frames that could not be decoded.
    """

    def __init__(
        self, path: Path | str, poses: Path | str = '', base_camera: np.ndarray | None = None
    ) -> None:
        self.path = Path(path)
        self.pose_source = 'none'
        self.poses = PoseTrack([], [])
        with _Opened(self.path) as video:
            self.count, self.rate = video.count, video.rate
        if str(poses) not in ('', 'none'):
            self._read_poses(Path(poses), base_camera)
        self.base_camera = np.eye(4) if base_camera is None else base_camera
        self.found = self.posed = 0
        self.dropped: Counter[str] = Counter()
        self._truth: dict[int, np.ndarray | None] = {}

    def _read_poses(self, name: Path, base_camera: np.ndarray | None) -> None:
        if not name.is_file():
            raise SourceError(
                f'{self.path}: --poses {name}: expected a TUM file whose times are seconds since '
                'the start of the video, found no file'
            )
        rows = [r for r in read_table(name, base_camera).rows if r.pose is not None]
        stamps = [row.stamp_ns or 0 for row in rows]
        self.poses = PoseTrack(stamps, [row.pose for row in rows if row.pose is not None])
        self.pose_source = name.name
        length = self.count / self.rate
        if not stamps or min(stamps) / 1e9 > length:
            first = min(stamps, default=0) / 1e9
            raise SourceError(
                f'{self.path}: the video is of 0 to {length:.3f} s, the poses of {name} begin at '
                f'{first:.3f} s; expected times in seconds since the start of the video'
            )

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[Frame]:
        self.found = self.posed = 0
        self.dropped.clear()
        with _Opened(self.path) as video:
            for stamp, image in video.images():
                pose = self.poses.at(stamp, POSE_GAP_NS)
                self.posed += pose is not None
                self._truth[stamp] = pose
                yield Frame(stamp, image, pose=pose, name=f'{self.found:06d}')
                self.found += 1
        if missing := max(self.count - self.found, 0):
            self.dropped[DAMAGED] = missing
        if not self.found:
            raise SourceError(f'{self.path}: not one frame can be decoded; encode it anew')
        if self.dropped:
            logger.warning('%s: %s', self.path, self.report.words())

    @property
    def report(self) -> SourceReport:
        """What the last iteration used and left out."""
        left_out = dict(self.dropped)
        return SourceReport(self.found, self.posed, self.pose_source, left_out=left_out)

    def truth(self) -> dict[int, np.ndarray | None]:
        """stamp_ns of every frame -> (4, 4) T_map_camera or None; decodes the video if need be."""
        if not self._truth:
            for _ in self:
                pass
        return dict(self._truth)


class _Opened:
    """A video being decoded."""

    def __init__(self, path: Path) -> None:
        self.path = path
        os.environ.setdefault('OPENCV_FFMPEG_LOGLEVEL', '-8')  # its complaints become ours
        os.environ.setdefault('OPENCV_FFMPEG_CAPTURE_OPTIONS', ONLY)
        self.video = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)

    def __enter__(self) -> _Opened:
        if not self.video.isOpened():
            raise SourceError(
                f'{self.path}: cannot be opened as a video; its index is missing, as after a '
                'recorder was killed, or it is none: `ffmpeg -i FILE -c copy NEW.mkv` tells'
            )
        width, height = (
            self.video.get(p) for p in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT)
        )
        if not 0 < width * height <= MAX_PIXELS:
            raise SourceError(
                f'{self.path}: expected frames of at most {MAX_PIXELS} pixels, got '
                f'{width:.0f}x{height:.0f}'
            )
        count, rate = (self.video.get(p) for p in (cv2.CAP_PROP_FRAME_COUNT, cv2.CAP_PROP_FPS))
        self.count = round(count) if 0 < count < 1e9 else 0
        self.rate = rate if 0.01 < rate < 10_000 else 25.0
        return self

    def __exit__(self, *_: object) -> None:
        self.video.release()

    def images(self) -> Iterator[tuple[int, np.ndarray]]:
        """(ns since the start, (H, W, 3) uint8 RGB), upright, as far as they can be decoded."""
        index, last = 0, -1
        while True:
            more, image = self.video.read()
            if not more or image is None:
                return
            told = self.video.get(cv2.CAP_PROP_POS_MSEC)
            stamp = round(told * 1e6) if told > 0 else 0
            if stamp <= last:  # containers without times say 0
                stamp = round(index * 1e9 / self.rate) if index else 0
            last = max(stamp, last + 1)
            index += 1
            yield last, np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)
