# SPDX-License-Identifier: MIT
"""SLAM through the real node: the closures of a replay, and a map that is there afterwards."""

import pytest
from robot import Robot
from selavpr.srv import SetMode

from selavpr_model.config import KeyframeConfig, MapConfig, RecognizerConfig, SlamConfig
from selavpr_model.data.image_folder import read_rgb
from selavpr_model.maps.place_map import PlaceMap
from selavpr_model.maps.storage.store import open_map
from selavpr_model.records import ClosureKind, Frame
from selavpr_model.slam.session import SlamConfigs, SlamSession
from selavpr_ros.config import Mode
from selavpr_ros.node.pipeline.states import Localizing

pytestmark = pytest.mark.usefixtures('ros')
FIRST, COUNT = 1_700_000_000, 9


@pytest.fixture(scope='module')
def corridor(shared_data):
    """Nine images of a real corridor, twice, one second apart."""
    folder = shared_data('rtabmap_loop')
    images = [read_rgb(folder / f'{i}.jpg') for i in [*range(4, 4 + COUNT)]]
    return [
        Frame((FIRST + i) * 10**9, image, 'camera_optical') for i, image in enumerate(images * 2)
    ]


SLAM = {'session': 'live', 'exclude_m': 3.0, 'exclude_s': 3.0, 'min_places': 4, 'min_support': 3}
NODE = {f'slam__{name}': value for name, value in SLAM.items()}


def told(message):
    pair = message.key_from, message.key_to
    return (message.type, *pair, message.num_matches, message.reject_mask, message.session_to)


def replayed(extractor, frames):
    slam = SlamSession(
        extractor, PlaceMap.empty(extractor.identity, MapConfig()),
        SlamConfigs(SlamConfig(**SLAM), KeyframeConfig(), RecognizerConfig()),
    )  # fmt: skip
    made = [c for frame in frames for c in slam.process(frame).closures]
    return [
        (c.kind, c.before.id, c.after.id, c.mutual_matches, c.reject, c.after.session)
        for c in made
    ]


def test_live_the_map_grows_and_closes_as_in_a_replay(corridor, extractor, tmp_path):
    expected = replayed(extractor, corridor)
    assert any(row[0] is ClosureKind.VERIFIED for row in expected)
    path = tmp_path / 'grown'
    with Robot(map=str(path), mode='slam', extractor__precision='fp32', **NODE) as robot:
        robot.until_active()
        camera = robot.camera()
        for frame in corridor:
            robot.ask(camera, robot.picture(frame.image, frame.stamp_ns))
        robot.until(lambda: len(robot.heard['loop_closures']) >= len(expected), 'closures')
        assert [told(m) for m in robot.heard['loop_closures']] == expected
        for message in robot.heard['loop_closures']:
            assert message.pose_type == 0 and message.pose.pose.position.x != 0.0  # NaN
        assert not robot.heard['pose'] and robot.status().mode == 2
        assert not (path / 'manifest.json').exists()
    grown = open_map(path, extractor.identity)  # saved when the node ended
    assert {p.session for p in grown.places} == {'live'} and len(grown) == 2 * COUNT


def test_the_mode_can_be_changed_and_the_grown_map_is_then_localised_in(
    corridor, extractor, street_map, tmp_path
):
    with Robot(map=str(street_map), extractor__precision='fp32', slam__save_at_end=False,
               **{'slam__session': 'second'}) as robot:  # fmt: skip
        robot.until_active()
        camera = robot.camera()
        before = robot.until(lambda: robot.heard['map_info'], 'map')[-1].num_places
        assert robot.call('set_mode', mode=SetMode.Request.SLAM).accepted
        for frame in corridor[:3]:
            robot.ask(camera, robot.picture(frame.image, frame.stamp_ns))
        saved = robot.call('save_map', path=str(tmp_path / 'both'), overwrite=False)
        assert saved.result == saved.SUCCESS and saved.map.num_places == before + 3
        assert set(saved.map.sessions) == {'street', 'second'}
        alone = robot.call('query_image', image=robot.picture(corridor[0].image))
        assert not alone.success and 'leave SLAM first' in alone.message
        refused = robot.call('relocalize')
        assert refused.outcome == refused_code('NOT_ACTIVE') and 'SLAM' in refused.message
        assert robot.call('set_mode', mode=SetMode.Request.LOCALIZE).accepted
        answer = robot.ask(camera, robot.picture(corridor[1].image, corridor[4].stamp_ns))
        assert answer.hypotheses[0].session_id == 'second'


def refused_code(name):
    from selavpr.srv import Relocalize

    return getattr(Relocalize.Response, name)


def test_a_damaged_map_is_not_replaced_by_a_new_one(corridor, tmp_path):
    path = tmp_path / 'damaged'
    path.mkdir()
    (path / 'manifest.json').write_text('{')
    with Robot(map=str(path), mode='slam') as robot:
        robot.until_active()
        robot.until_status('manifest is damaged')
    assert [p.name for p in path.iterdir()] == ['manifest.json']
    assert (path / 'manifest.json').read_text() == '{'


def test_slam_that_could_not_save_its_map_is_refused_with_the_reason(street_map, tmp_path):
    (tmp_path / 'holiday.jpg').write_bytes(b'x')
    with Robot(map=str(street_map)) as robot:
        robot.until_active()
        assert robot.set('map', str(tmp_path)).successful
        answer = robot.call('set_mode', mode=SetMode.Request.SLAM)
        assert not answer.accepted and 'holiday.jpg' in answer.message
        assert robot.localizer.shared.mode is Mode.LOCALIZE
        assert isinstance(robot.localizer.pipeline.state, Localizing)
