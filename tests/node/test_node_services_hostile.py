# SPDX-License-Identifier: MIT
"""What a stranger on the network may ask the node for, over real DDS: nothing that lasts."""

from __future__ import annotations

from collections.abc import Iterator
import math
import os
from pathlib import Path
import shutil
import threading
import time
from typing import Any

from builtin_interfaces.msg import Duration
from geometry_msgs.msg import PoseWithCovarianceStamped
import numpy as np
import pytest
from robot import Robot
from selavpr.srv import LoadMap, QueryImage, Relocalize, SaveMap, SetMode

from selavpr_ros.convert import to_ros
from selavpr_ros.node import jobs

Load, Save, Found = LoadMap.Response, SaveMap.Response, Relocalize.Response
FOR_EVER = Duration(sec=2**31 - 1)
SOON_S = 5.0


@pytest.fixture(scope='module')
def root(street_map: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp('root') / 'maps'
    shutil.copytree(street_map, folder / 'street')
    return folder


@pytest.fixture(scope='module')
def robot(ros: None, root: Path) -> Iterator[Robot]:
    with Robot(map=str(root / 'street'), maps_root=str(root)) as robot:
        yield robot.until_active()


def saved(robot: Robot, path: Path) -> str:
    """Why it was refused."""
    answer = robot.call('save_map', path=str(path), overwrite=True)
    assert answer.result != Save.SUCCESS
    return str(answer.message)


def test_maps_are_saved_and_loaded_below_maps_root(robot: Robot, root: Path) -> None:
    path = str(root / 'new' / 'map')
    assert robot.call('save_map', path=path).result == Save.SUCCESS
    assert robot.call('load_map', path=path).result == Load.SUCCESS
    assert robot.call('load_map', path=str(root / 'street')).result == Load.SUCCESS


@pytest.mark.parametrize('name', ['../outside', 'street/../../outside', '/tmp/outside_selavpr'])
def test_no_map_is_saved_or_loaded_outside(robot: Robot, root: Path, name: str) -> None:
    path = root / name
    assert 'maps_root' in saved(robot, path) and not path.exists()
    answer = robot.call('load_map', path=str(path))
    assert answer.result == Load.INVALID_METADATA and 'maps_root' in answer.message


@pytest.mark.parametrize('path', ['~nobody_x/y', 'x' * 300, 'a/' * 3000, '/dev/zero', '/proc/1'])
def test_a_path_that_is_none_is_answered_with_the_reason(robot: Robot, path: str) -> None:
    for name in ('save_map', 'load_map'):
        answer = robot.call(name, path=path)
        assert answer.result != Load.SUCCESS and ';' in answer.message
        assert '\n' not in answer.message and len(answer.message) < 1500


def test_links_lead_nowhere(robot: Robot, root: Path, tmp_path: Path) -> None:
    (root / 'way_out').symlink_to(tmp_path)
    (root / 'inside').symlink_to(root / 'street')
    assert 'maps_root' in saved(robot, root / 'way_out' / 'map')
    assert 'link' in saved(robot, root / 'inside')
    assert not any(tmp_path.iterdir())


def test_a_folder_with_a_foreign_manifest_is_left_as_it_is(robot: Robot, root: Path) -> None:
    """It was replaced, and folders named like ours were deleted."""
    site = root / 'site'
    (site / 'data-000001-0123abcd').mkdir(parents=True)
    (site / 'data-000001-0123abcd' / 'photo.jpg').write_text('mine')
    (site / 'manifest.json').write_text('{"name": "a web page"}')
    assert 'not that of a map' in saved(robot, site)
    assert (site / 'manifest.json').read_text() == '{"name": "a web page"}'
    assert (site / 'data-000001-0123abcd' / 'photo.jpg').read_text() == 'mine'


def test_a_link_in_the_place_of_the_new_manifest_is_not_followed(
    robot: Robot, root: Path, tmp_path: Path
) -> None:
    victim = tmp_path / 'victim'
    victim.write_text('precious')
    folder = root / 'trap'
    folder.mkdir()
    for name in ('manifest.json.new', 'manifest.json', '.lock'):
        (folder / name).symlink_to(victim)
        assert 'choose' in saved(robot, folder)
        assert victim.read_text() == 'precious'
        (folder / name).unlink()
    os.mkfifo(folder / '.lock')
    assert 'choose' in saved(robot, folder)


@pytest.mark.parametrize('what', ['fifo', 'folder', 'device'])
def test_a_manifest_that_is_no_file_does_not_hold_the_worker(
    robot: Robot, root: Path, what: str
) -> None:
    folder = root / f'of_{what}'
    folder.mkdir()
    manifest = folder / 'manifest.json'
    if what == 'fifo':
        os.mkfifo(manifest)
    elif what == 'folder':
        manifest.mkdir()
    else:
        manifest.symlink_to('/dev/zero')
    started = time.monotonic()
    answer = robot.call('load_map', path=str(folder))
    assert answer.result == Load.INVALID_METADATA and 'expected a file' in answer.message
    assert time.monotonic() - started < SOON_S


@pytest.mark.parametrize(
    ('name', 'value'),
    [
        ('map', '/etc'),
        ('map', '~nobody_x/y'),
        ('advanced_config', '/etc/passwd'),
        ('extractor.weights', '/etc/passwd'),
        ('extractor.weights', '/dev/zero'),
        ('maps_root', '/'),
        ('services_off', ''),
    ],
)
def test_parameters_name_no_files_elsewhere(robot: Robot, name: str, value: str) -> None:
    result = robot.set(name, value)
    assert not result.successful and 'root:x' not in result.reason, result.reason


def test_a_relocalize_for_ever_ends_with_deactivation(robot: Robot) -> None:
    """All services were BUSY until the node was restarted."""
    future = robot.clients['relocalize'].call_async(Relocalize.Request(timeout=FOR_EVER))
    robot.until(lambda: robot.localizer.calls.relocalizations.waiting, 'attempt')
    assert robot.transition('deactivate')
    try:
        robot.until(future.done, 'the answer')
        answer = future.result()
        assert answer.outcome == Found.NOT_ACTIVE and 'deactivated' in answer.message
        assert robot.localizer.calls.busy is None
    finally:
        assert robot.transition('activate')


@pytest.mark.parametrize('mode', [SetMode.Request.PAUSE, SetMode.Request.SLAM])
def test_a_relocalize_ends_when_another_mode_begins(robot: Robot, mode: int) -> None:
    future = robot.clients['relocalize'].call_async(Relocalize.Request(timeout=FOR_EVER))
    robot.until(lambda: robot.localizer.calls.relocalizations.waiting, 'attempt')
    assert robot.call('set_mode', mode=mode).accepted
    try:
        robot.until(future.done, 'the answer')
        assert future.result().outcome == Found.NOT_ACTIVE
    finally:
        assert robot.call('set_mode', mode=SetMode.Request.LOCALIZE).accepted


def test_a_relocalize_for_ever_is_cut(ros: None, street_map: Path) -> None:
    with Robot(map=str(street_map), relocalize_limit_s=0.5) as robot:
        robot.until_active()
        robot.until_status('no image')
        started = time.monotonic()
        answer = robot.call('relocalize', timeout=FOR_EVER)
        assert answer.outcome == Found.NO_IMAGES and time.monotonic() - started < SOON_S


def test_more_images_than_can_be_waited_for_are_refused(robot: Robot) -> None:
    answer = robot.call('relocalize', min_frames=2**32 - 1)
    assert answer.outcome == Found.TF_ERROR and 'at most 1000, got 4294967295' in answer.message


@pytest.mark.parametrize(
    ('at', 'value'),
    [(0, math.nan), (1, math.inf), (0, -1.0), (7, 1e300), (1, 0.5)],
)
def test_a_covariance_that_is_none_is_refused(robot: Robot, at: int, value: float) -> None:
    """NaN raised LinAlgError in each frame that came."""
    prior = PoseWithCovarianceStamped(header=to_ros.header(0, 'map'))
    prior.pose.pose.orientation.w = 1.0
    covariance = np.eye(6).ravel()
    covariance[at] = value
    prior.pose.covariance = covariance
    answer = robot.call('relocalize', use_prior=True, prior=prior)
    assert answer.outcome == Found.TF_ERROR and answer.message.startswith('prior: expected')


def test_queries_do_not_pile_up(robot: Robot, street: Any) -> None:
    release = threading.Event()
    robot.localizer.worker.post(release.wait)
    request = QueryImage.Request(image=to_ros.image(street[1].image, 1, 'hand'))
    try:
        futures = []
        for waiting in range(1, 5):
            futures.append(robot.clients['query_image'].call_async(request))
            robot.until(lambda n=waiting: robot.localizer.calls._queries == n, 'a waiting call')
        refused = robot.call('query_image', image=request.image)
        assert not refused.success and '4 calls of ~/query_image wait' in refused.message
    finally:
        release.set()
    robot.until(lambda: all(f.done() for f in futures), 'answers')
    assert all(f.result().success for f in futures)
    assert robot.call('query_image', image=request.image).success


def test_nobody_waits_long_behind_a_busy_worker(
    robot: Robot, street: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """100 of 3,608 calls took over 5 s behind it."""
    monkeypatch.setattr(jobs, 'BEGIN_S', 0.3)
    release = threading.Event()
    robot.localizer.worker.post(release.wait)
    try:
        loaded = robot.call('load_map', path=str(robot.localizer.pipeline.place_map.path))
        assert loaded.result == Load.BUSY and 'nothing was done, ask again' in loaded.message
        saved_to = robot.call('save_map', overwrite=True)
        assert saved_to.result == Save.BUSY and 'ask again' in saved_to.message
        asked = robot.call('query_image', image=to_ros.image(street[1].image, 1, 'hand'))
        assert not asked.success and 'ask again' in asked.message
        mode = robot.call('set_mode', mode=SetMode.Request.SLAM)
        assert not mode.accepted and 'ask again' in mode.message
        assert robot.call('set_mode', mode=SetMode.Request.PAUSE).accepted
    finally:
        release.set()
    assert robot.call('set_mode', mode=SetMode.Request.LOCALIZE).accepted
    assert robot.call('query_image', image=to_ros.image(street[1].image, 1, 'hand')).success


def test_an_input_that_would_stop_the_answers_is_refused(ros: None, street_map: Path) -> None:
    """1792 in a running node stopped them for 240 s."""
    with Robot(map=str(street_map)) as robot:
        result = robot.until_active().set('extractor.image_height', 1792)
        assert not result.successful and 's a frame' in result.reason
        assert 'frame_limit_s' in result.reason


def test_a_drive_that_could_not_be_saved_does_not_begin(ros: None) -> None:
    """`map := ~nobody_x/y`, SLAM: accepted, status OK, and no map in the end."""
    with Robot(map='~nobody_x/y', maps_root='/') as robot:
        robot.until_active()
        answer = robot.call('set_mode', mode=SetMode.Request.SLAM)
        assert not answer.accepted and 'no such user' in answer.message


def test_services_that_are_switched_off_are_not_there(ros: None, street_map: Path) -> None:
    with Robot(map=str(street_map), services_off='save_map, set_mode') as robot:
        robot.until_active()
        offered = {name for name, _ in robot.localizer.get_service_names_and_types_by_node(
            'localizer', robot.namespace)}  # fmt: skip
        ours = {name.rpartition('/')[2] for name in offered}
        assert {'load_map', 'query_image', 'relocalize'} <= ours
        assert not {'save_map', 'set_mode'} & ours


def test_a_service_to_switch_off_that_does_not_exist_is_a_problem(ros: None) -> None:
    with Robot(services_off='load_maps') as robot:
        assert 'load_maps' in robot.localizer.parameters.problems['services_off']
