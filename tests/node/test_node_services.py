# SPDX-License-Identifier: MIT
"""The node's services over real DDS: every outcome, and what was there before stays."""

from __future__ import annotations

from collections.abc import Callable, Iterator
import json
from pathlib import Path
import shutil
import threading
from typing import Any

from builtin_interfaces.msg import Duration
from geometry_msgs.msg import PoseWithCovarianceStamped
import numpy as np
import pytest
from robot import Robot
from selavpr.srv import LoadMap, Relocalize, SaveMap, SetMode
from sensor_msgs.msg import CompressedImage, Image

from selavpr_model.config import ExtractorConfig
from selavpr_ros.convert import from_ros, to_ros

Load, Save, Found = LoadMap.Response, SaveMap.Response, Relocalize.Response
NOISE = np.random.default_rng(1).integers(0, 256, (120, 160, 3), np.uint8)


@pytest.fixture(scope='module')
def robot(ros: None, street_map: Path) -> Iterator[Robot]:
    with Robot(map=str(street_map), relocalize_timeout_s=20.0) as robot:
        yield robot.until_active()


@pytest.fixture
def copied(street_map: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(street_map, tmp_path / 'map'))


@pytest.fixture(scope='module')
def foreign_map(street: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made by another model."""
    from selavpr_model.features.extractor import load_extractor
    from selavpr_model.maps.building.builder import build_map

    small = ExtractorConfig(random_weights=True, image_height=56, image_width=56)
    out = tmp_path_factory.mktemp('foreign') / 'map'
    build_map(street[:3], load_extractor(small), out, progress=False)
    return out


def data_file(path: Path, name: str) -> Path:
    return next(path.glob(f'data-*/{name}'))


def truncate(path: Path) -> None:
    file = data_file(path, 'local.npy')
    file.write_bytes(file.read_bytes()[:-100])


def flip_a_bit(path: Path) -> None:
    file = data_file(path, 'global.npy')
    raw = bytearray(file.read_bytes())
    raw[-5] ^= 4
    file.write_bytes(raw)


def break_the_manifest(path: Path) -> None:
    (path / 'manifest.json').write_text('{"format": ')


def make_it_newer(path: Path) -> None:
    manifest = json.loads((path / 'manifest.json').read_text())
    (path / 'manifest.json').write_text(json.dumps({**manifest, 'format_version': 99}))


def remove_it(path: Path) -> None:
    shutil.rmtree(path)


@pytest.mark.parametrize(
    ('harm', 'code'),
    [
        (truncate, Load.INVALID_DATA),
        (flip_a_bit, Load.INVALID_DATA),
        (break_the_manifest, Load.INVALID_METADATA),
        (make_it_newer, Load.UNSUPPORTED_VERSION),
        (remove_it, Load.MAP_DOES_NOT_EXIST),
    ],
)
def test_a_bad_map_is_answered_with_its_code_and_the_old_one_stays(
    robot: Robot, camera: Any, street: Any, copied: Path, harm: Callable[[Path], None], code: int
):
    old = robot.localizer.pipeline.place_map
    harm(copied)
    answer = robot.call('load_map', path=str(copied))
    assert answer.result == code and str(copied) in answer.message
    assert answer.map.map_id == old.map_id and answer.map.path == str(old.path)
    assert robot.localizer.pipeline.place_map is old
    assert robot.ask(camera, street[2].image).hypotheses[0].place_id == 2


def test_a_map_of_another_model_is_refused(robot: Robot, foreign_map: Path):
    answer = robot.call('load_map', path=str(foreign_map))
    assert answer.result == Load.MODEL_MISMATCH and answer.map.num_places == 12


def test_a_good_map_replaces_the_old_one_and_the_parameter_follows(
    robot: Robot, camera: Any, street: Any, copied: Path
):
    answer = robot.call('load_map', path=str(copied))
    assert answer.result == Load.SUCCESS and answer.map.path == str(copied)
    got = robot.call('get_parameters', names=['map']).values[0].string_value
    assert got == str(copied)
    robot.until(lambda: robot.heard['map_info'][-1].path == str(copied), 'map info')
    assert robot.ask(camera, street[4].image).hypotheses[0].place_id == 4


def test_save_map_writes_a_map_that_loads_and_does_not_overwrite_unasked(
    robot: Robot, tmp_path: Path
):
    path = str(tmp_path / 'saved')
    assert robot.call('save_map', path=path).result == Save.SUCCESS
    assert robot.call('save_map', path=path).result == Save.EXISTS
    assert robot.call('save_map', path=path, overwrite=True).result == Save.SUCCESS
    assert robot.call('load_map', path=path).result == Load.SUCCESS


def test_save_map_says_why_it_cannot_write(robot: Robot):
    answer = robot.call('save_map', path='/proc/nowhere/map')
    assert answer.result != Save.SUCCESS and '/proc/nowhere' in answer.message


def test_other_services_answer_and_a_second_load_is_busy_while_the_worker_works(
    robot: Robot, street_map: Path
):
    release = threading.Event()
    robot.localizer.worker.post(release.wait)
    try:
        slow = robot.clients['load_map'].call_async(LoadMap.Request(path=str(street_map)))
        robot.until(lambda: robot.localizer.calls.busy, 'load under way')
        second = robot.call('load_map', path=str(street_map))
        assert second.result == Load.BUSY and 'load_map' in second.message
        assert robot.call('get_state').current_state.label == 'active'
        assert robot.call('get_parameters', names=['hypotheses']).values[0].integer_value == 5
        assert robot.call('relocalize').outcome == Found.BUSY
        assert not slow.done()
    finally:
        release.set()
    robot.until(slow.done, 'the first load')
    assert slow.result().result == Load.SUCCESS


def test_pause_ignores_images_and_localize_takes_them_up_again(
    robot: Robot, camera: Any, street: Any
):
    assert robot.call('set_mode', mode=SetMode.Request.PAUSE).accepted
    answers = len(robot.heard['hypotheses'])
    before = robot.localizer.health.dropped().get('paused', 0)
    robot.publish(camera, robot.picture(street[0].image))
    robot.until(lambda: robot.localizer.health.dropped().get('paused', 0) > before, 'a drop')
    assert len(robot.heard['hypotheses']) == answers
    assert robot.call('relocalize').outcome == Found.NOT_ACTIVE
    assert robot.call('set_mode', mode=SetMode.Request.LOCALIZE).accepted
    assert robot.ask(camera, street[0].image).hypotheses[0].place_id == 0


def test_a_mode_that_does_not_exist_is_refused_with_a_reason(robot: Robot):
    refused = robot.call('set_mode', mode=77)
    assert not refused.accepted and '77' in refused.message


def test_query_image_recognises_one_image_raw_or_compressed(robot: Robot, street: Any):
    import cv2

    raw = to_ros.image(street[10].image, 5, 'hand')
    answer = robot.call('query_image', image=raw, k=3)
    assert answer.success and answer.hypotheses.hypotheses[0].place_id == 10
    assert len(answer.hypotheses.hypotheses) == 3
    assert from_ros.stamp_ns(answer.hypotheses) == 5
    png = cv2.imencode('.png', street[11].image[:, :, ::-1])[1].tobytes()
    packed = CompressedImage(format='png', data=png)
    answer = robot.call('query_image', compressed_image=packed)
    assert answer.success and answer.hypotheses.hypotheses[0].place_id == 11


def test_query_image_says_what_is_wrong_with_the_image(robot: Robot):
    assert 'cannot be decoded' in robot.call('query_image').message
    bad = Image(encoding='rgb8', height=4, width=4, step=12, data=bytes(7))
    answer = robot.call('query_image', image=bad)
    assert not answer.success and '48 bytes, got 7' in answer.message


def relocalize(robot: Robot, camera: Any, images: list[np.ndarray], **request: Any) -> Any:
    """Call it and show the images in turn until it answers."""
    future = robot.clients['relocalize'].call_async(Relocalize.Request(**request))
    robot.until(lambda: robot.localizer.calls.relocalizations.waiting or future.done(), 'attempt')
    shown = 0
    while images and not future.done():
        before = len(robot.heard['hypotheses'])
        robot.publish(camera, robot.picture(images[shown % len(images)]))
        robot.rest(0.05)
        robot.until(
            lambda n=before: (
                future.done() or len(robot.heard['hypotheses']) > n or robot.localizer.worker.idle
            ),
            'an answer',
        )
        shown += 1
    robot.until(future.done, 'relocalize')
    return future.result()


def test_relocalize_succeeds_when_images_in_a_row_agree(robot: Robot, camera: Any, street: Any):
    answer = relocalize(robot, camera, [street[6].image], min_frames=3)
    assert answer.outcome == Found.SUCCESS, answer.message
    assert answer.best.place_id == 6
    np.testing.assert_allclose(from_ros.pose_matrix(answer.pose), street[6].pose, atol=1e-6)


def test_relocalize_without_images_says_so_and_gives_no_pose(robot: Robot):
    robot.rest(0.3)  # an image of the last test may be on its way
    robot.until(lambda: robot.localizer.worker.idle, 'rest')
    answer = robot.call('relocalize', timeout=Duration(nanosec=300_000_000))
    assert answer.outcome == Found.NO_IMAGES and answer.pose.header.frame_id == ''


def test_relocalize_in_an_unknown_place_is_no_match(robot: Robot, camera: Any):
    answer = relocalize(robot, camera, [NOISE], timeout=Duration(sec=3))
    assert answer.outcome == Found.NO_MATCH and 'lost' in answer.message
    assert answer.best.reject_mask != 0 and answer.pose.header.frame_id == ''


def test_relocalize_where_images_contradict_each_other_is_inconsistent(
    robot: Robot, camera: Any, street: Any
):
    images = [street[1].image, street[8].image]
    answer = relocalize(robot, camera, images, timeout=Duration(sec=4))
    assert answer.outcome == Found.INCONSISTENT, answer.message


def prior_at(pose: np.ndarray, frame: str = 'map') -> PoseWithCovarianceStamped:
    prior = PoseWithCovarianceStamped(header=to_ros.header(0, frame))
    prior.pose.pose = to_ros.pose_of(pose)
    prior.pose.covariance = np.diag([1.0, 1, 1, 0.1, 0.1, 0.1]).ravel()
    return prior


def test_relocalize_keeps_to_the_prior(robot: Robot, camera: Any, street: Any):
    near, far = prior_at(street[6].pose), prior_at(street[0].pose)
    found = relocalize(robot, camera, [street[6].image], use_prior=True, prior=near)
    assert found.outcome == Found.SUCCESS, found.message
    found = relocalize(
        robot, camera, [street[6].image], use_prior=True, prior=far, timeout=Duration(sec=3)
    )
    assert found.outcome == Found.NO_MATCH and 'outside prior' in found.message
    assert found.best.reject_mask == found.best.PRIOR


def test_relocalize_refuses_a_prior_in_another_frame_or_without_a_rotation(
    robot: Robot, street: Any
):
    wrong = robot.call('relocalize', use_prior=True, prior=prior_at(street[0].pose, 'odom'))
    assert wrong.outcome == Found.TF_ERROR and "'odom'" in wrong.message
    unset = PoseWithCovarianceStamped(header=to_ros.header(0, 'map'))
    unset.pose.pose.orientation.w = 0.0
    assert robot.call('relocalize', use_prior=True, prior=unset).outcome == Found.TF_ERROR


def test_while_not_active_services_say_what_to_do(robot: Robot):
    assert robot.transition('deactivate')
    try:
        answer = robot.call('relocalize')
        assert answer.outcome == Found.NOT_ACTIVE and 'activate' in answer.message
        assert robot.call('query_image', image=to_ros.image(NOISE, 1, 'hand')).success
    finally:
        assert robot.transition('activate')
