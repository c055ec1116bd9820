# SPDX-License-Identifier: MIT
"""Where the robot sees itself: found, given, kept, shown, and left out of the matches."""

from __future__ import annotations

from dataclasses import replace

import cv2
from map_helpers import IDENTITY, some_features
import numpy as np
import pytest
from typer.testing import CliRunner

from selavpr_model.cli.map import map_app
from selavpr_model.config import MapConfig, RecognizerConfig
from selavpr_model.errors import ConfigError, InputError, MapDataError
from selavpr_model.geometry.map_geometry import MapGeometry
from selavpr_model.maps.building.builder import build_map
from selavpr_model.maps.building.merge import merge_maps
from selavpr_model.maps.building.self_view import mask_of, self_view
from selavpr_model.maps.building.subset import selected
from selavpr_model.maps.place_map import PlaceMap
from selavpr_model.maps.robot_mask import drawn, read_mask
from selavpr_model.maps.storage.store import open_map, save_map
from selavpr_model.matching.matcher import mask_at, Matcher
from selavpr_model.recognizer import PlaceRecognizer
from selavpr_model.records import Frame, Place
from selavpr_model.slam.session import SlamSession

CONFIG = RecognizerConfig()
FILE = 'robot_mask.npy'


def with_bonnet(image: np.ndarray) -> np.ndarray:
    """The lower third is the robot, with a pattern of its own."""
    painted, (height, width) = image.copy(), image.shape[:2]
    top = height * 2 // 3
    noise = np.random.default_rng(7).integers(0, 255, (9, 12, 3), dtype=np.uint8)
    painted[top:] = cv2.resize(noise, (width, height - top), interpolation=cv2.INTER_CUBIC)
    return painted


def lower_third(grid: tuple[int, int]) -> np.ndarray:
    mask = np.zeros(grid, bool)
    mask[grid[0] * 2 // 3 :] = True
    return mask


@pytest.fixture(scope='module')
def summer_frames(summer):
    return summer[::2]


@pytest.fixture(scope='module')
def features(summer_frames, extractor):
    """Of each frame as it is, and with a bonnet."""
    painted = [with_bonnet(frame.image) for frame in summer_frames]
    return (
        [extractor.extract(frame.image) for frame in summer_frames],
        [extractor.extract(image) for image in painted],
    )


def filled(extractor, frames, features, **config) -> PlaceMap:
    """Places 20 m apart: none of them shows another."""
    place_map = PlaceMap.for_extractor(extractor, MapConfig(thumbnail_px=0, **config))
    for i, (frame, its) in enumerate(zip(frames, features, strict=True)):
        pose = np.eye(4)
        pose[0, 3] = 20.0 * i
        place_map.add(its, Place(i, frame.stamp_ns, session='drive', pose=pose))
    return place_map


@pytest.mark.parametrize('storage', ['fast', 'tiny', 'compact', 'dense'])
def test_a_bonnet_is_found_and_matches_nothing_in_any_storage(
    storage, extractor, summer_frames, features
):
    place_map = filled(extractor, summer_frames, features[1], local_dtype=storage)
    place_map.robot_mask = self_view(place_map, CONFIG)
    grid = extractor.identity.local_shape[:2]
    assert place_map.robot_mask is not None and place_map.robot_mask.shape == grid
    agreeing = (place_map.robot_mask == lower_third(grid)).mean()
    assert agreeing > 0.9
    query, matcher = place_map.code(features[1][0]), place_map.matcher('consistent')
    matched, partner = (part[0] for part in matcher.matched(query, place_map.codes([9])))
    robot = mask_at(place_map.robot_mask, matcher.grid).ravel()
    assert not (matched & robot).any() and not robot[partner[matched]].any()
    seen = replace(matcher, robot=None)
    before, after = (m.count(query, place_map.codes([9]))[0] for m in (seen, matcher))
    assert after < 0.5 * before
    self_count = matcher.count(query, place_map.codes([0]))[0]
    assert self_count > 0.5 * (~robot).sum()


def test_what_changes_from_place_to_place_is_no_robot(extractor, summer_frames, features):
    assert self_view(filled(extractor, summer_frames, features[0]), CONFIG) is None


def test_geometry_does_not_count_the_robot_either(extractor, summer_frames, features):
    place_map = filled(extractor, summer_frames, features[1])
    place_map.cameras = {'drive': summer_frames[0].camera}
    shares = []
    for mask in (None, self_view(place_map, CONFIG)):
        place_map.robot_mask = mask
        local, camera = features[1][4].local, summer_frames[4].camera
        view, _ = MapGeometry(place_map).locate(local, camera, [5])
        own = lower_third(local.shape[:2]).ravel()
        shares.append(own[view.cells].all(axis=1).mean())
    assert shares[0] > 0.2 > 0.05 > shares[1]


def test_few_places_or_one_place_do_not_tell(extractor, summer_frames, features):
    few = filled(extractor, summer_frames[:8], features[1][:8])
    assert self_view(few, CONFIG) is None
    one = PlaceMap.for_extractor(extractor, MapConfig(thumbnail_px=0))
    for i, its in enumerate(features[1]):
        one.add(its, Place(i, i, session='drive', pose=np.eye(4)))
    assert self_view(one, CONFIG) is None


def test_a_map_keeps_its_mask_and_shows_it(tmp_path, extractor, summer_frames, features):
    place_map = filled(extractor, summer_frames, features[1])
    place_map.robot_mask = self_view(place_map, CONFIG)
    save_map(place_map, tmp_path / 'map')
    opened = open_map(tmp_path / 'map')
    assert np.array_equal(opened.robot_mask, place_map.robot_mask)
    assert np.array_equal(selected(opened, [0, 3]).robot_mask, place_map.robot_mask)
    merged = merge_maps([tmp_path / 'map'], tmp_path / 'merged', progress=False)
    assert np.array_equal(merged.robot_mask, place_map.robot_mask)
    shown = CliRunner().invoke(map_app, ['info', str(tmp_path / 'map')])
    assert shown.exit_code == 0 and drawn(place_map.robot_mask) in shown.output


def test_two_robots_of_a_merged_map_are_both_left_out(tmp_path):
    masks = np.zeros((2, 4, 4), bool)
    masks[0, 3], masks[1, :, 0] = True, True
    for i, mask in enumerate(masks):
        place_map = PlaceMap.empty(IDENTITY, MapConfig())
        place_map.add(some_features(i), Place(i, i, session=str(i)))
        place_map.robot_mask = mask
        save_map(place_map, tmp_path / str(i))
    merged = merge_maps([tmp_path / '0', tmp_path / '1'], tmp_path / 'both', progress=False)
    assert np.array_equal(merged.robot_mask, masks[0] | masks[1])


def test_a_mask_image_of_any_size_is_taken(tmp_path, street, extractor):
    picture = np.full((300, 400), 255, np.uint8)
    picture[200:] = 0
    cv2.imwrite(str(tmp_path / 'mask.png'), picture)
    config = MapConfig(robot_mask=str(tmp_path / 'mask.png'))
    built = build_map(street, extractor, tmp_path / 'map', config=config, progress=False)
    grid = extractor.identity.local_shape[:2]
    assert (built.robot_mask == lower_third(grid)).mean() > 0.97
    answer = PlaceRecognizer(extractor, built).process(Frame(0, street[3].image))
    visible = (~mask_at(built.robot_mask, built.grid)).sum()
    assert answer.candidates[0].place.id == 3
    assert answer.candidates[0].mutual_matches <= visible


@pytest.mark.parametrize(
    ('value', 'error'), [(0, ConfigError), (None, InputError)], ids=['black', 'missing']
)
def test_a_mask_that_leaves_nothing_or_is_not_there_is_refused_first(
    tmp_path, street, extractor, value, error
):
    file = tmp_path / 'mask.png'
    if value is not None:
        cv2.imwrite(str(file), np.full((40, 40), value, np.uint8))
    with pytest.raises(error, match=r'mask\.png'):
        build_map(street, extractor, tmp_path / 'map', config=MapConfig(robot_mask=str(file)))
    assert not (tmp_path / 'map').exists() and not (tmp_path / 'map.building').exists()


def test_none_keeps_all_cells(extractor, summer_frames, features):
    assert (
        mask_of(filled(extractor, summer_frames, features[1], robot_mask='none'), CONFIG) is None
    )


def test_a_map_that_grows_finds_the_robot_on_the_way(extractor, summer_frames, features):
    slam = SlamSession(extractor, PlaceMap.for_extractor(extractor, MapConfig(thumbnail_px=0)))
    for frame, its in zip(summer_frames, features[1], strict=True):
        slam.advance(replace(frame, image=with_bonnet(frame.image)), its)
    grid = extractor.identity.local_shape[:2]
    assert slam.place_map.robot_mask is not None
    assert (slam.place_map.robot_mask == lower_third(grid)).mean() > 0.9


@pytest.mark.parametrize('value', [2, 1])
def test_a_strangers_mask_is_checked(tmp_path, value):
    """Other numbers than 0 and 1, and one that leaves nothing to match."""
    place_map = PlaceMap.empty(IDENTITY, MapConfig())
    place_map.add(some_features(0), Place(0, 0))
    place_map.robot_mask = np.zeros((4, 4), bool)
    save_map(place_map, tmp_path / 'map')
    place_map.robot_mask = np.full((4, 4), value, np.uint8)
    save_map(place_map, tmp_path / 'bad')
    assert open_map(tmp_path / 'map').robot_mask is not None
    with pytest.raises(MapDataError, match=FILE):
        open_map(tmp_path / 'bad')


def test_grids_of_one_image_share_a_mask():
    mask = lower_third((61, 61))
    assert mask_at(None, (4, 4)) is None and mask_at(mask, (61, 61)) is mask
    for side in (31, 16):
        step = 60 // (side - 1)
        assert np.array_equal(mask_at(mask, (side, side)), mask[::step, ::step])
    assert (mask_at(lower_third((31, 31)), (61, 61)) == mask).mean() > 0.97


def test_cells_of_the_robot_match_on_neither_side():
    cells = np.eye(9, dtype=np.float32)
    robot = np.zeros((3, 3), bool)
    robot[2] = True
    matched, partner = Matcher((3, 3), 1, 'mutual', robot).matched(cells, [cells[::-1]])
    assert matched[0].tolist() == [False] * 3 + [True] * 3 + [False] * 3
    assert partner[0].tolist() == list(range(9))[::-1]


def test_a_drawing_has_a_mark_for_each_cell_of_the_robot(tmp_path):
    picture = np.zeros((32, 32), np.uint8)
    picture[:, 16:] = 255
    cv2.imwrite(str(tmp_path / 'half.png'), picture)
    mask = read_mask(tmp_path / 'half.png', (16, 16))
    assert drawn(mask).splitlines() == ['#' * 16 + '. ' * 8] * 16
