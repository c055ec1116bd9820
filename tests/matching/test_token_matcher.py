# SPDX-License-Identifier: MIT
"""Maps that keep patch tokens: what they become again, and that nothing but rounding is lost."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
from map_helpers import array_of, data_of, error_of, sign, some_place
import numpy as np
import pytest
import torch

from selavpr_model.config import MapConfig, ModelConfig
from selavpr_model.errors import ConfigError, InputError, MapDataError
from selavpr_model.features.network import SelaVPR
from selavpr_model.maps.building.merge import merge_maps
from selavpr_model.maps.place_map import PlaceMap
from selavpr_model.maps.storage import reader
from selavpr_model.maps.storage.store import open_map, save_map
from selavpr_model.matching.local_codec import FastCodec, rounded
from selavpr_model.matching.local_head import head_of, LocalHead, token_grid
from selavpr_model.matching.matcher import Matcher
from selavpr_model.matching.token_codec import axes_of, parts_of, TokenCodec
from selavpr_model.matching.token_matcher import BY_HALF, BY_TOKENS
from selavpr_model.recognizer import PlaceRecognizer
from selavpr_model.records import Features, Frame, ModelIdentity
from selavpr_model.slam.session import SlamSession

KEPT = MapConfig(local_dtype='compact', thumbnail_px=0)
EXACT = MapConfig(local_dtype='exact', thumbnail_px=0)


@pytest.fixture(scope='module')
def network() -> SelaVPR:
    torch.manual_seed(3)
    return SelaVPR(ModelConfig(blocks=1)).eval()


@pytest.fixture(scope='module')
def identity(network) -> ModelIdentity:
    """Of the network at 70 x 98 px: 5 x 7 tokens, 17 x 25 dense cells."""
    model = network.config.to_dict()
    return ModelIdentity('5' * 64, 'test', 384, network.local_shape(70, 98), {'model': model})


@pytest.fixture(scope='module')
def head(network) -> LocalHead:
    return head_of(network.local)


@pytest.fixture(scope='module')
def views(network) -> list[Features]:
    torch.manual_seed(4)
    with torch.inference_mode():
        made = network(torch.rand(6, 3, 70, 98))
    return [Features(*one) for one in zip(*(whole.numpy() for whole in made), strict=True)]


@pytest.fixture(scope='module')
def filled(identity, head):
    """What makes a map of these views."""

    def fill(views, config=KEPT) -> PlaceMap:
        return with_places(PlaceMap.empty(identity, config, head), views)

    return fill


def with_places(made: PlaceMap, views) -> PlaceMap:
    for row, one in enumerate(views):
        made.add(one, some_place(row))
    return made


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 10**6), st.integers(1, 70), st.integers(64, 400), st.floats(0.01, 1e3))
def test_a_coded_token_keeps_its_length_and_direction(seed, count, channels, size):
    rng = np.random.default_rng(seed)
    turned = (size * rng.normal(size=(count, channels))).astype('f4')
    turned[rng.random(count) < 0.1] = 0
    cells = TokenCodec(channels).encode(turned)
    main, rest = parts_of(channels)
    assert main % 2 == 0 and main + rest == channels
    assert cells.dtype.itemsize == main * 3 // 2 + rest + 8
    back = TokenCodec.decode(cells)
    for part, bound in ((slice(0, main), 0.001), (slice(main, None), 0.013)):
        lengths = np.linalg.norm(turned[:, part], axis=1)
        np.testing.assert_allclose(np.linalg.norm(back[:, part], axis=1), lengths, rtol=1e-4)
        off = np.linalg.norm(back[:, part] - turned[:, part], axis=1)
        assert (off <= 0.07 * lengths).all()  # where one is clipped
        assert np.median(off - bound * lengths) <= 0


def test_the_axes_carry_what_the_head_reads_first():
    rng = np.random.default_rng(1)
    weight = rng.normal(size=(24, 5)) @ rng.normal(size=(5, 300))  # reads 5 of 24 directions
    tokens = rng.normal(size=(40, 24)).astype(np.float32)
    basis, turned = axes_of(weight)
    np.testing.assert_allclose(tokens @ basis @ turned, tokens @ weight, atol=1e-3)
    energy = np.square(tokens @ basis).sum(axis=0)
    assert energy[parts_of(24)[0] :].sum() < 1e-9 * energy.sum()
    again = axes_of(weight + 1e-12)[0]
    np.testing.assert_allclose(again, basis, atol=1e-5)  # the same wherever it is made


def test_coded_tokens_become_what_the_network_makes_of_them(identity, head, views):
    grid = identity.local_shape[:2]
    coded = [head.encode(one.tokens) for one in views]
    assert token_grid(grid) == (5, 7) and token_grid((61, 61)) == (16, 16)
    made = head.dense(head.hidden(coded, grid))
    exact = np.stack([one.local.reshape(-1, 128) for one in views])
    off = np.linalg.norm(made - exact, axis=2)  # untrained: all directions weigh alike
    assert off.mean() < 0.008 and off.max() < 0.04


def test_real_tokens_lose_a_thousandth(extractor, street):
    features = extractor.extract(street[0].image)
    head, grid = head_of(extractor.local), extractor.identity.local_shape[:2]
    made = head.dense(head.hidden([head.encode(features.tokens)], grid))[0]
    assert np.linalg.norm(made - features.local.reshape(-1, 128), axis=1).mean() < 0.0015


def test_a_head_is_itself_again_from_its_numbers(head, identity, views):
    vector, model = head.vector(), identity.description['model']
    again = LocalHead.from_vector(vector, model)
    coded = [head.encode(views[0].tokens)]
    grid = identity.local_shape[:2]
    made = [one.dense(one.hidden(coded, grid)) for one in (again, head)]
    np.testing.assert_array_equal(*made)
    for wrong in (vector[:-1], vector * np.nan):
        with pytest.raises(ValueError, match='local head: expected'):
            LocalHead.from_vector(wrong, model)
    assert again.like(head) and head.like(head)


def test_a_map_of_tokens_is_read_grown_and_merged_without_the_model(
    tmp_path, identity, views, filled
):
    kept, exact = filled(views[:4]), filled(views[:4], EXACT)
    save_map(kept, tmp_path / 'map')
    opened = open_map(tmp_path / 'map')
    np.testing.assert_array_equal(opened.local([0, 3]), kept.local([0, 3]))
    assert (opened.local([0, 3]) * exact.local([0, 3])).sum(axis=2).min() > 0.9995
    assert opened.grid == exact.grid == identity.local_shape[:2]
    assert opened.codes([0])[0].nbytes == 35 * (128 * 3 // 2 + 256 + 8)
    for score in ('mutual', 'consistent'):
        ours, theirs = opened.matcher(score), exact.matcher(score)
        counts = ours.count(opened.code(views[1]), opened.codes(range(4)))
        right = theirs.count(exact.code(views[1]), exact.codes(range(4)))
        assert np.abs(counts - right).max() <= 6 and counts.argmax() == right.argmax() == 1
    opened.add(views[4], some_place(4))
    save_map(opened, tmp_path / 'map', overwrite=True)
    other = filled([views[5]])
    save_map(other, tmp_path / 'other')
    merged = merge_maps(
        [tmp_path / 'map', tmp_path / 'other'], tmp_path / 'both', calibrated=False, progress=False
    )
    np.testing.assert_array_equal(merged.codes([5])[0], other.codes([0])[0])
    np.testing.assert_array_equal(merged.local([4]), filled(views).local([4]))


def test_half_of_the_cells_are_the_dense_ones(identity, head, views):
    grid = identity.local_shape[:2]
    hidden = head.hidden([head.encode(one.tokens) for one in views], grid)
    second = head.dense(hidden).reshape(6, *grid, 128)[:, ::2, ::2].reshape(6, -1, 128)
    apart = head.half(hidden) - rounded(second)  # the sums are taken in another order
    assert np.abs(apart).max() <= 1 and np.mean(apart != 0) < 1e-3


@pytest.mark.parametrize('count', [BY_HALF, BY_HALF + 3, BY_TOKENS + 3])
def test_the_best_are_counted_as_all_are_and_no_other_has_more(views, count, filled):
    place_map = filled([views[i % 6] for i in range(count)])
    query, codes = place_map.code(views[2]), place_map.codes(range(count))
    every = place_map.matcher('mutual').count(query, codes)
    some = place_map.matcher('mutual', quick=True).count(query, codes)
    same = every == every.max()  # the place itself, however often it is there
    assert same.sum() == len(range(2, count, 6)) and (some[same] == every[same]).all()
    assert (some == every).sum() >= BY_HALF and (some[~same] < every.max()).all()
    assert type(filled(views, EXACT).matcher('mutual', quick=True)) is Matcher


def test_what_is_not_compared_in_full_is_told_apart_and_not_raised(extractor, street, seen):
    """Rivals that were all alike would make anything stand out, also off the map."""
    place_map = with_places(PlaceMap.for_extractor(extractor, KEPT), seen * 3)
    query, codes = place_map.code(extractor.extract(street[10].image)), place_map.codes(range(24))
    every, some = (
        place_map.matcher('mutual', quick=quick).count(query, codes) for quick in (False, True)
    )
    left = np.argsort(-every, kind='stable')[BY_HALF:]
    assert np.corrcoef(every[left], some[left])[0, 1] > 0.9
    assert some[left].mean() < 1.2 * every[left].mean()


def test_damage_to_the_head_is_named(tmp_path, identity, views, filled):
    save_map(filled(views[:2]), tmp_path / 'map')
    file = data_of(tmp_path / 'map') / 'head.npy'
    good, shape = file.read_bytes(), array_of(tmp_path / 'map', 'head.npy').shape
    file.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    assert type(error_of(tmp_path / 'map', identity)) is MapDataError
    file.write_bytes(good)
    assert len(open_map(tmp_path / 'map', identity)) == 2

    def say_less(manifest: dict) -> None:
        manifest['model']['description']['model']['local_hidden'] = 8

    def leave_out(manifest: dict) -> None:
        del manifest['files']['head.npy']

    for change, told in ((say_less, f'head.npy: damaged.*{shape[0]}'), (leave_out, 'head.npy')):
        kept = (tmp_path / 'map' / 'manifest.json').read_bytes()
        sign(tmp_path / 'map', change)
        with pytest.raises(MapDataError, match=told):
            open_map(tmp_path / 'map')
        (tmp_path / 'map' / 'manifest.json').write_bytes(kept)


def test_maps_are_joined_only_where_their_tokens_mean_the_same(identity, filled, views):
    mine = filled(views[:2])
    torch.manual_seed(99)
    other_head = head_of(SelaVPR(ModelConfig(blocks=1)).local)
    for config, head in ((EXACT, None), (KEPT, other_head)):
        other = with_places(PlaceMap.empty(identity, config, head), [])
        other.add(views[3], some_place(7))
        with pytest.raises(InputError, match='cannot be joined'):
            mine.extend(other)
    assert len(mine) == 2


def test_a_map_that_is_to_keep_tokens_asks_for_the_head(identity):
    with pytest.raises(ConfigError, match=r'expected the local head.*got none'):
        PlaceMap.empty(identity, KEPT)


def test_tokens_that_are_the_local_features_need_no_head():
    config = ModelConfig(blocks=1, local_head='tokens')
    identity = ModelIdentity('6' * 64, 'test', 384, (5, 7, 384), {'model': config.to_dict()})
    made = PlaceMap.empty(identity, KEPT)
    assert made.head is None and made.store.codec == FastCodec((5, 7, 384))


def test_tokens_of_a_large_map_are_verified_when_read(
    tmp_path, identity, views, monkeypatch, filled
):
    monkeypatch.setattr(reader, 'HASH_AT_OPEN', 0)
    save_map(filled(views[:3]), tmp_path / 'map')
    file = data_of(tmp_path / 'map') / 'local.npy'
    raw = bytearray(file.read_bytes())
    raw[-3] ^= 1  # of the last row
    file.write_bytes(raw)
    opened = open_map(tmp_path / 'map', identity)
    assert len(opened.codes([0, 1])) == 2
    with pytest.raises(MapDataError, match='row 2'):
        opened.codes([2])


def test_features_without_tokens_are_refused_with_the_cure(views, filled):
    made, view = filled([]), views[0]
    for wrong in (None, view.tokens[:, :-1], view.tokens[1:], view.tokens * np.nan):
        with pytest.raises(InputError, match='tokens'):
            made.add(replace(view, tokens=wrong), some_place(0))
    assert len(made) == 0 and made.add(view, some_place(0)) == 0


@pytest.fixture(scope='module')
def seen(extractor, street):
    return [extractor.extract(frame.image) for frame in street[:8]]


def test_the_recogniser_answers_from_tokens(extractor, street, seen):
    place_map = with_places(PlaceMap.for_extractor(extractor, KEPT), seen)
    answer = PlaceRecognizer(extractor, place_map).process(Frame(0, street[5].image))
    best, second = answer.candidates[:2]
    assert best.row == 5 and best.mutual_matches > 0.99 * 61 * 61 > 10 * second.mutual_matches


def test_slam_grows_a_map_of_tokens_by_what_is_new(extractor, street, seen, tmp_path):
    slam = SlamSession(extractor, PlaceMap.for_extractor(extractor, KEPT))
    steps = []
    for second, (frame, features) in enumerate(zip(street, seen, strict=False)):
        for half in range(2):  # the second time nothing is new
            frame = Frame(second * 10**9 + half * 5 * 10**8, frame.image, odom=frame.pose)
            steps.append(slam.advance(replace(frame, odom=moved(second, half)), features))
    assert [step.place is not None for step in steps] == [True, False] * len(seen)
    save_map(slam.place_map, tmp_path / 'map')
    assert len(open_map(tmp_path / 'map', extractor.identity)) == len(seen)


def moved(second: int, half: int) -> np.ndarray:
    """(4, 4): far enough for a keyframe each time."""
    pose = np.eye(4)
    pose[0, 3] = 10.0 * second + 5.0 * half
    return pose
