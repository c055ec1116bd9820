# SPDX-License-Identifier: MIT
"""Video files as sources of frames."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from selavpr_model.data.video import is_video, VideoFrames
from selavpr_model.errors import SourceError


def write(path: Path, count: int = 10, rate: float = 20.0) -> Path:
    """Frames that grow brighter."""
    kind = 'MJPG' if path.suffix == '.avi' else 'mp4v'
    video = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*kind), rate, (64, 48))
    for i in range(count):
        video.write(np.full((48, 64, 3), (0, 0, 20 * i), np.uint8))  # red, in BGR
    video.release()
    return path


@pytest.mark.parametrize('name', ['x.mp4', 'x.avi', 'X.MKV'])
def test_frames_come_in_order_as_rgb_with_their_times(tmp_path, name):
    path = write(tmp_path / name)
    video = VideoFrames(path)
    frames = list(video)
    assert is_video(path) and len(frames) == len(video) == 10
    assert [f.stamp_ns / 1e9 for f in frames] == pytest.approx(
        [i / 20 for i in range(10)], abs=2e-3
    )
    assert frames[9].image[0, 0] == pytest.approx([180, 0, 0], abs=12)
    assert frames[3].name == '000003' and frames[3].pose is None
    assert video.report.words() == '10 images, none with a pose'


def test_poses_by_seconds_since_the_start(tmp_path):
    path = write(tmp_path / 'x.mp4')
    poses = tmp_path / 'poses.txt'
    poses.write_text('0.0 0 0 0 0 0 0 1\n0.45 9 0 0 0 0 0 1\n')
    video = VideoFrames(path, poses)
    assert [f.pose[0, 3] for f in video] == pytest.approx([float(i) for i in range(10)], abs=0.05)
    assert '10 with a pose from poses.txt' in video.report.words()
    poses.write_text('1700000000.0 0 0 0 0 0 0 1\n')
    with pytest.raises(SourceError, match=r'of 0 to 0\.500 s, .*begin at 1700000000\.000 s'):
        VideoFrames(path, poses)
    with pytest.raises(SourceError, match='found no file'):
        VideoFrames(path, '/pose')


def test_a_video_cut_short_gives_what_it_has_and_says_so(tmp_path, caplog):
    path = write(tmp_path / 'x.avi', 40)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    video = VideoFrames(path)
    found = len(list(video))
    assert 5 <= found < 40
    if video.count > found:
        assert f'{video.count - found} left out' in caplog.text


@pytest.mark.parametrize('data', [b'', b'<html>', b'\x00\x00\x00\x18ftypmp42' + bytes(400)])
def test_what_is_no_video_is_one_line(tmp_path, data):
    path = tmp_path / 'x.mp4'
    path.write_bytes(data)
    with pytest.raises(SourceError, match='cannot be opened as a video') as error:
        VideoFrames(path)
    assert '\n' not in str(error.value)


def test_videos_with_random_damage_give_frames_or_one_line(tmp_path, caplog):
    """60 files, flipped, cut and overwritten."""
    rng = np.random.default_rng(4)
    ends = {'frames': 0, 'refused': 0}
    for name in ('x.mp4', 'x.avi', 'x.mkv'):
        path = write(tmp_path / name)
        whole = path.read_bytes()
        for _ in range(20):
            data = bytearray(whole)
            at = int(rng.integers(len(data)))
            kind = rng.integers(3)
            if kind == 0:
                del data[at:]
            elif kind == 1:
                data[at : at + 40] = rng.bytes(40)
            else:
                for place in rng.integers(len(data), size=20):
                    data[place] ^= 0x41
            path.write_bytes(data)
            try:
                for frame in VideoFrames(path):
                    assert frame.image.ndim == 3
                ends['frames'] += 1
            except SourceError as error:
                assert '\n' not in str(error)
                ends['refused'] += 1
    assert sum(ends.values()) == 60 and min(ends.values()) > 5
