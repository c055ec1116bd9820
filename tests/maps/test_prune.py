# SPDX-License-Identifier: MIT
"""A smaller map keeps what shows the rest best, and knows what the rest lost."""

from map_helpers import GRID, IDENTITY, some_features, unit
import numpy as np
import pytest

from selavpr_model.config import MapConfig, RecognizerConfig
from selavpr_model.errors import InputError
from selavpr_model.maps.building.prune import kept_rows, measured, prune
from selavpr_model.maps.place_map import PlaceMap
from selavpr_model.maps.storage.store import open_map, save_map
from selavpr_model.records import Features, Place

CONFIG = RecognizerConfig(score='mutual')  # of 16 cells none is consistent


def seen_again(features: Features, cells: int, seed: int) -> Features:
    """The same place, of which only so many cells look as before."""
    local = features.local.reshape(-1, GRID[2]).copy()
    local[cells:] = some_features(seed).local.reshape(-1, GRID[2])[cells:]
    return Features(unit(features.global_ + 0.05), local.reshape(GRID))


def street(cells: list[int]) -> PlaceMap:
    """Per place, 20 m apart, a view of summer and one of winter that shares so many cells."""
    place_map = PlaceMap.empty(IDENTITY, MapConfig(local_dtype='exact'))
    for k, shared in enumerate(cells):
        pose = np.eye(4)
        pose[0, 3] = 20.0 * k
        first = some_features(k)
        for n, (session, features) in enumerate(
            (('summer', first), ('winter', seen_again(first, shared, 1000 + k)))
        ):
            place_map.add(features, Place(2 * k + n, k * 10**9, session=session, pose=pose))
    return place_map


def test_of_two_equal_looks_one_stays():
    kept = kept_rows(street([16] * 8), 8, CONFIG)
    assert [row // 2 for row in kept] == list(range(8))


def test_the_looks_that_add_most_stay():
    """Where summer and winter share little, both stay; where they are alike, one."""
    kept = kept_rows(street([0, 16, 0, 16, 0, 16]), 9, CONFIG)
    counts = np.bincount([row // 2 for row in kept])
    assert counts.tolist() == [2, 1, 2, 1, 2, 1]


def test_the_greedy_choice_is_the_best_one_by_brute_force():
    from itertools import combinations

    place_map = street([3, 12, 7])
    matcher = place_map.matcher(CONFIG.score)
    codes = place_map.codes(range(6))
    counts = np.array([matcher.count(code, codes) for code in codes])
    shares = np.sqrt(counts / counts.diagonal()[:, None])
    shares[np.arange(6)[:, None] // 2 != np.arange(6) // 2] = 0.0

    def worth(rows: tuple[int, ...]) -> float:
        return float(shares[list(rows)].max(axis=0).sum())

    best = max(worth(rows) for rows in combinations(range(6), 4))
    # greedy is at least 1 - 1/e of the best (Nemhauser et al. 1978)
    assert worth(tuple(kept_rows(place_map, 4, CONFIG))) >= (1.0 - 1.0 / np.e) * best


def test_the_loss_is_nothing_where_the_other_look_is_there():
    place_map = street([14] * 8)
    small = prune(place_map, 0.5, CONFIG, progress=False)
    loss = small.source['pruned'][0]['loss']
    assert len(small) == 8 and loss['asked'] == 8
    assert loss['right_before'] == loss['right_after'] == 1.0


def test_the_loss_is_all_where_no_look_of_the_place_is_left():
    place_map = street([16] * 8)
    kept = list(range(8))  # of the last four places nothing
    small = PlaceMap.empty(IDENTITY, place_map.config)
    for row in kept:
        small.copy(place_map, row, place_map.places[row])
    loss = measured(place_map, small, kept, CONFIG)
    assert loss is not None and (loss.right_before, loss.right_after) == (1.0, 0.0)


def test_ids_and_bytes_stay_and_the_manifest_says_what_went(tmp_path):
    place_map = street([16] * 8)
    save_map(place_map, tmp_path / 'map')
    save_map(prune(place_map, 0.25, CONFIG, progress=False), tmp_path / 'map', overwrite=True)
    small = open_map(tmp_path / 'map')
    assert (small.map_id, small.revision, len(small)) == (place_map.map_id, 2, 4)
    for row, place in enumerate(small.places):
        assert np.array_equal(small.codes([row])[0], place_map.codes([place.id])[0])
    (told,) = small.source['pruned']
    assert (told['keep'], told['places'], told['places_before']) == (0.25, 4, 16)


def test_all_of_it_stays_without_a_loss():
    told = prune(street([16] * 4), 1.0, CONFIG, progress=False).source['pruned'][0]
    assert told['places'] == told['places_before'] == 8 and 'loss' not in told


@pytest.mark.parametrize('keep', [0.0, -0.5, 1.5, float('nan'), 0.01])
def test_a_share_that_leaves_nothing_is_refused(keep):
    with pytest.raises(InputError, match='--keep: expected a share above 0'):
        prune(street([16] * 4), keep, CONFIG, progress=False)
