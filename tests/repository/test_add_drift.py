# SPDX-License-Identifier: MIT
"""tools/add_drift.py: only the odometry of a bag changes, by as much as was asked for."""

import sys

import numpy as np
import pytest

from selavpr_model.records import Frame
from selavpr_ros.bags.reader import BagFrames
from selavpr_ros.bags.writer import write_bag

from where import ROOT

sys.path.insert(0, str(ROOT / 'tools'))
T_BASE_CAMERA = np.array([[0, 0, 1, 0.3], [-1, 0, 0, 0], [0, -1, 0, 1.5], [0, 0, 0, 1.0]])


@pytest.fixture
def bag(tmp_path):
    """Ten metres straight ahead."""
    frames = []
    for i in range(11):
        pose = np.eye(4)
        pose[0, 3] = i
        image = np.full((24, 32, 3), 20 * i, np.uint8)
        frames.append(Frame(10**9 * (i + 1), image, pose=pose @ T_BASE_CAMERA,
                            odom=pose @ T_BASE_CAMERA))  # fmt: skip
    write_bag(tmp_path / 'bag', frames, 'png', base_camera=T_BASE_CAMERA)
    return tmp_path / 'bag'


def copied(bag, *options):
    from add_drift import main

    out = bag.parent / 'out'
    sys.argv = ['add_drift.py', str(bag), str(out), *options]
    main()
    return [list(BagFrames(each, pose_topic='/ground_truth/pose')) for each in (bag, out)]


def base(frame):
    return frame.odom @ np.linalg.inv(T_BASE_CAMERA)


def heading(T):
    return np.degrees(np.arctan2(T[1, 0], T[0, 0]))


def test_the_heading_turns_with_every_metre_and_all_else_stays(bag, capsys):
    before, after = copied(bag, '--rad-per-m', '0.01')
    assert '11 odometry messages' in capsys.readouterr().out
    for a, b in zip(before, after, strict=True):
        assert (a.image == b.image).all() and a.stamp_ns == b.stamp_ns
        assert np.allclose(a.pose, b.pose) and a.camera_frame == b.camera_frame
    turned = [heading(base(frame)) for frame in after]
    assert turned == pytest.approx(np.degrees(0.01 * np.arange(11)), abs=1e-6)
    ways = np.linalg.norm(np.diff([base(f)[:3, 3] for f in after], axis=0), axis=1)
    assert ways == pytest.approx(np.ones(10))


def test_lengths_are_stretched_from_another_origin(bag):
    _, after = copied(bag, '--length', '0.02', '--origin', '100', '5', '70')
    first, last = base(after[0]), base(after[-1])
    assert first[:2, 3] == pytest.approx([100.0, 5.0]) and heading(first) == pytest.approx(70.0)
    assert np.linalg.inv(first) @ last @ [0, 0, 0, 1] == pytest.approx([10.2, 0.0, 0.0, 1.0])


def test_noise_is_that_of_its_seed(bag):
    from add_drift import Drift

    def headings(seed):
        drift, poses = Drift(noise_deg=1.0, seed=seed), []
        for i in range(400):
            T = np.eye(4)
            T[0, 3] = i
            poses.append(heading(drift(T)))
        return np.array(poses)

    assert (headings(1) == headings(1)).all() and (headings(1) != headings(2)).any()
    assert np.diff(headings(3)).std() == pytest.approx(1.0, rel=0.2)
