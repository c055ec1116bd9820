# SPDX-License-Identifier: MIT
"""Maps in frames of their own are joined place by place; without a closure nothing is aligned."""

from map_helpers import IDENTITY, some_features
import numpy as np
from replay_helpers import command

from selavpr_model.config import MapConfig
from selavpr_model.maps.place_map import ODOMETRY, PlaceMap
from selavpr_model.maps.storage.store import open_map, save_map
from selavpr_model.records import Place


def grown(path, session, seed, turns=()):
    """A straight drive of 30 m; odometry breaks before the rows `turns`; one link."""
    made = PlaceMap.empty(IDENTITY, MapConfig(thumbnail_px=0, frame_id=ODOMETRY))
    segment = 0
    for row in range(30):
        segment += row in turns
        pose = np.eye(4)
        pose[2, 3] = row
        place = Place(row, row * 10**9, session=session, pose=pose)
        made.add(some_features(seed + row), place)
        made.odometry.set(row, pose, segment)
    made.link(2, 3, np.eye(4), np.eye(6), metric=False)
    save_map(made, path)
    return str(path)


def test_maps_without_a_closure_are_merged_and_never_aligned(tmp_path, capsys):
    a, b = grown(tmp_path / 'a', 'a', 0), grown(tmp_path / 'b', 'b', 1000, turns=(10, 20))
    out = tmp_path / 'both'
    assert command('map', 'merge', a, b, '--out', str(out)) == 0, capsys.readouterr().err
    both = open_map(out)
    assert len(both) == 60 and both.unaligned_sessions == {'b'}
    assert [p.session for p in both.places] == ['a'] * 30 + ['b'] * 30
    assert both.links[['before', 'after']].tolist() == [(2, 3), (32, 33)]
    segments = both.odometry.array(60)['segment']
    assert segments.tolist() == [0] * 30 + [0] * 10 + [1] * 10 + [2] * 10
    assert np.isnan(both.positions[30:]).all() and np.isfinite(both.positions[:30]).all()
    assert (both.global_(45) == open_map(b).global_(15)).all()
