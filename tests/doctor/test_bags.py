# SPDX-License-Identifier: MIT
"""`selavpr doctor` on bags of robots that are set up wrongly: it names the cause and the cure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
import json
from pathlib import Path
from typing import Any

from doctor_helpers import (
    Bag,
    black,
    body_frame,
    Change,
    damaged,
    depth,
    frozen,
    in_millimetres,
    on,
    renamed,
    restarted,
    same_picture,
    SECOND,
    turned,
    two_cameras,
    two_parents,
    two_places,
    zero_turn,
)
import numpy as np
import pytest

from selavpr_model.poses import pose_matrix
from selavpr_model.records import Camera, Frame
from selavpr_ros.bags import writer
from selavpr_ros.cli import main

from where import ROOT

START = 1_700_000_000 * SECOND
BASE_CAMERA = pose_matrix((0.3, 0.0, 1.2), (-0.5, 0.5, -0.5, 0.5))


@pytest.fixture
def drive(street: list[Frame], tmp_path: Path) -> Callable[..., Path]:
    """drive(change) -> a bag of twelve places, each seen four times, with odometry at 20 Hz."""

    def make(change: Change | None = None, **given: Any) -> Path:
        path = tmp_path / 'bag'
        opened = writer.Writer(path, version=9, storage_plugin=writer.STORAGE['mcap'])
        with opened:
            bag = Bag(opened, BASE_CAMERA, change)
            for k in range(48):
                frame = street[k // 4]
                odom = pose_matrix((0.05 * k, 0, 0), (0, 0, 0, 1)) @ BASE_CAMERA
                now = replace(
                    frame, stamp_ns=START + k * SECOND // 20, pose=None, odom=odom,
                    camera_frame='camera_optical', camera=given.get('camera', frame.camera),
                )  # fmt: skip
                if k == 0:
                    bag.write_static_transform(now)
                bag.write(writer.ODOM_TOPIC, now.stamp_ns, bag.odometry(now.stamp_ns, pose_matrix(
                    (0.05 * k, 0, 0), (0, 0, 0, 1))))  # fmt: skip
                if k % 2 == 0:
                    bag.write_frame(replace(now, odom=None), 'jpeg')
        return path

    return make


@pytest.fixture
def doctor(
    capsys: pytest.CaptureFixture[str], street_map: Path, tmp_path: Path
) -> Callable[..., tuple[int, dict[str, tuple[str, str, str]], str]]:
    """doctor(bag) -> exit code, check -> (level, text, cure), and what was printed."""

    def run(bag: Path, *words: str, with_map: Path | None = street_map) -> Any:
        named = ['--map', str(with_map)] if with_map else []
        out = tmp_path / 'doctor.json'
        code = 0
        try:
            main(['doctor', str(bag), *named, '--json', str(out), *words])
        except SystemExit as ended:
            code = int(ended.code or 0)
        lines = json.loads(out.read_text())['checks']
        printed = capsys.readouterr().out
        return code, {c['check']: (c['level'], c['text'], c['cure']) for c in lines}, printed

    return run


def test_a_sound_robot_is_ok_in_every_line(drive: Any, doctor: Any) -> None:
    code, checks, printed = doctor(drive())
    assert {level for level, _, _ in checks.values()} == {'OK'}, checks
    assert code == 0
    assert set(checks) == {'camera', 'calibration', 'mounting', 'odometry', 'clocks', 'tf tree',
                           'map', 'model', 'speed', 'answers'}  # fmt: skip
    assert printed.count('OK ') == len(checks) and 'images a second' in printed


@pytest.mark.skipif(not (ROOT / 'demo').is_dir(), reason='no demo here')
def test_the_demo_bag_is_ok(doctor: Any, tmp_path: Path) -> None:
    from selavpr_model.config import ExtractorConfig, KeyframeConfig
    from selavpr_model.features.extractor import load_extractor
    from selavpr_model.maps.building.builder import build_map
    from selavpr_ros.bags.reader import BagFrames

    frames = [f for k, f in enumerate(BagFrames(ROOT / 'demo' / 'summer')) if k % 4 == 0]
    out, config = tmp_path / 'summer', ExtractorConfig()
    build_map(frames, load_extractor(config), out, source={}, progress=False,
              keyframes=KeyframeConfig())  # fmt: skip
    code, checks, _ = doctor(ROOT / 'demo' / 'summer', with_map=out)
    assert code == 0 and {level for level, _, _ in checks.values()} == {'OK'}, checks


IMAGE, INFO, ODOM = '/camera/image/compressed', writer.CAMERA_TOPIC, writer.ODOM_TOPIC
BROKEN: dict[str, tuple[Change, str, str, str, str]] = {
    # what: (change, check, level, words of the text, words of the cure)
    'images cannot be decoded': (on(IMAGE, damaged), 'camera', 'FAIL', 'decoded', 'driver'),
    'the lens cap is on': (on(IMAGE, black), 'camera', 'FAIL', 'black', 'lens cap'),
    'two cameras on a topic': (
        on(IMAGE, two_cameras), 'camera', 'FAIL', "'rear_optical'", 'each camera a topic',
    ),
    'not calibrated': (
        on(INFO, lambda b, k, m: replace(m, k=0 * m.k)), 'calibration', 'FAIL', 'focal length',
        'calibrate',
    ),
    'calibrated at another size': (
        on(INFO, lambda b, k, m: replace(m, width=640, height=640)), 'calibration', 'FAIL',
        '640x640, images are 320x240', 'resolution',
    ),
    'no calibration': (
        on(INFO, lambda b, k, m: None), 'calibration', 'WARN', 'nothing was received',
        'geometry.enabled',
    ),
    'no mounting': (
        on('/tf_static', lambda b, k, m: None), 'mounting', 'FAIL', "'base_link'", 'base_camera',
    ),
    'another name of the base': (
        on('/tf_static', renamed), 'mounting', 'FAIL', 'base_frame:=robot1/base_link', 'publish',
    ),
    'a transform that is none': (
        on('/tf_static', turned), 'tf tree', 'FAIL', 'unit quaternion', 'publisher',
    ),
    'the body frame of the camera': (
        on('/tf_static', body_frame), 'mounting', 'WARN', 'points up', 'optical',
    ),
    'two places of the camera': (
        on('/tf_static', two_places), 'tf tree', 'FAIL', '0.50 m', 'stop the wrong',
    ),
    'odometry in millimetres': (
        on(ODOM, in_millimetres), 'odometry', 'FAIL', 'by 50.0 m', 'metres',
    ),
    'a driver that repeats its last picture': (
        on(IMAGE, same_picture), 'camera', 'FAIL', 'same picture', 'driver',
    ),
    'depth for images': (on(IMAGE, depth), 'camera', 'FAIL', 'depth', 'colour'),
    'seldom odometry': (
        on(ODOM, lambda b, k, m: m if k % 40 == 1 else None), 'odometry', 'FAIL',
        'goes with 4 of 24', 'raise its rate',
    ),
    'two parents': (on('/tf_static', two_parents), 'tf tree', 'FAIL', '2 parents', 'stop one'),
    'no odometry': (on(ODOM, lambda b, k, m: None), 'odometry', 'WARN', 'no topic', 'odom_topic'),
    'no orientation in odometry': (on(ODOM, zero_turn), 'odometry', 'FAIL', 'quaternion', 'mend'),
    'frozen odometry': (on(ODOM, frozen), 'odometry', 'FAIL', 'stands still', 'driver'),
    'restarted odometry': (on(ODOM, restarted), 'odometry', 'FAIL', 'by 56.9 m', 'restarted'),
    'another frame of odometry': (
        on(ODOM, lambda b, k, m: replace(m, header=replace(m.header, frame_id='wheel_odom'))),
        'odometry', 'FAIL', "'wheel_odom'", 'odom_frame:=wheel_odom',
    ),
    'odometry of another body': (
        on(ODOM, lambda b, k, m: replace(m, child_frame_id='imu_link')), 'odometry', 'FAIL',
        "'imu_link'", 'base_frame:=imu_link',
    ),
    'odometry of another clock': (
        on(ODOM, lambda b, k, m: b.later(m, 3600 * SECOND)), 'clocks', 'FAIL',
        '3600.00 s behind those of odometry', 'chrony',
    ),
    'stamps of 0': (
        on(IMAGE, lambda b, k, m: replace(m, header=b.header(0, m.header.frame_id))), 'clocks',
        'FAIL', 'stamped 0', 'driver',
    ),
    'two clocks on a topic': (
        on(IMAGE, lambda b, k, m: [m, b.later(m, -5 * SECOND)]), 'clocks', 'FAIL', 'go back',
        'keep one',
    ),
}  # fmt: skip


@pytest.mark.parametrize('what', BROKEN)
def test_each_cause_is_named_with_its_cure(drive: Any, doctor: Any, what: str) -> None:
    change, name, level, text, cure = BROKEN[what]
    code, checks, printed = doctor(drive(change))
    assert checks[name][0] == level, checks
    assert text in checks[name][1] and cure in checks[name][2], checks[name]
    assert code == int('FAIL' in [level for level, _, _ in checks.values()])
    assert f'{level:4} {name}' in printed and '->' in printed


def test_a_map_that_is_not_there_or_of_other_weights_is_named(
    drive: Any, doctor: Any, tmp_path: Path, sound: Path
) -> None:
    bag = drive()
    code, checks, _ = doctor(bag, with_map=None)
    assert code == 1 and checks['map'][0] == 'FAIL' and '--map' in checks['map'][2]
    code, checks, _ = doctor(bag, with_map=tmp_path / 'nowhere')
    assert code == 1 and 'nowhere' in checks['map'][1]


def test_several_cameras_are_listed(drive: Any, doctor: Any) -> None:
    bag = drive(lambda b, topic, k, m: m)
    code, checks, _ = doctor(bag, '--image-topic', '/other/image')
    assert code == 1
    assert '/camera/image/compressed' in checks['camera'][1]
    assert '--image-topic' in checks['camera'][2]


def test_what_is_no_bag_and_a_mounting_that_is_none_are_said(
    drive: Any, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    for words in ([str(tmp_path / 'none')], [str(drive()), '--base-camera', '1,2,3']):
        with pytest.raises(SystemExit) as ended:
            main(['doctor', *words])
        assert ended.value.code == 1
        assert len(capsys.readouterr().err.strip().splitlines()) == 1


def test_a_camera_of_another_size(drive: Any, doctor: Any, street: list[Frame]) -> None:
    K = np.array([[200.0, 0, 320], [0, 200, 240], [0, 0, 1.0]])
    _, checks, _ = doctor(drive(camera=Camera(K, np.zeros(5), (640, 480))))
    assert checks['calibration'][0] == 'OK' and '640x480' in checks['calibration'][1]
