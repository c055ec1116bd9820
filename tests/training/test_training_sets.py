# SPDX-License-Identifier: MIT
"""What may be drawn as one place and as another, from a mix of data sets."""

from __future__ import annotations

import math
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pytest

from selavpr_model.config import SourceConfig
from selavpr_model.data.retrieval_sets import ImageSet, RetrievalSet
from selavpr_model.errors import ConfigError, SourceError
from selavpr_model.training.training_sets import open_training_set, TrainingSet

RADIUS, NEGATIVE = 10, 25
PLACES = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 2)), min_size=2, max_size=25)


def drive(places: list[tuple[int, int]], name: str = 'drive') -> RetrievalSet:
    """Images at whole metres along a road, (position, group), each asking all others."""
    images = ImageSet(
        tuple(Path(name) / str(i) for i in range(len(places))),
        np.array([[x] for x, _ in places], np.float64),
        np.array([g for _, g in places], np.int64),
    )
    return RetrievalSet(name, 'by hand', images, images, RADIUS, negative_radius=NEGATIVE)


def distance(data: TrainingSet, a: int, b: int) -> float:
    """Infinite across groups."""
    same = data.groups[a] == data.groups[b]
    return float(np.linalg.norm(data.positions[a] - data.positions[b])) if same else math.inf


@given(PLACES, PLACES)
@settings(deadline=None, max_examples=60)
def test_near_is_one_place_far_is_another_and_between_is_neither(first, second):
    try:
        data = TrainingSet([drive(first, 'a'), drive(second, 'b')])
    except SourceError:  # nothing near anything
        assert all(
            part[i][1] != part[j][1] or abs(part[i][0] - part[j][0]) > RADIUS
            for part in (first, second)
            for i in range(len(part))
            for j in range(i)
        )
        return
    rows = np.arange(len(data))
    for row in rows:
        gap = np.array([distance(data, row, other) for other in rows])
        expected = [i for i in rows if gap[i] <= RADIUS and i != row]
        assert data.positives(row).tolist() == expected
        assert (data.different(np.array([row]), rows)[0] == (gap > NEGATIVE)).all()
    assert (data.groups[: len(first), None] != data.groups[None, len(first) :]).all()


@given(PLACES, st.integers(1, 4), st.integers(2, 4), st.integers(0, 2**32))
@settings(deadline=None, max_examples=25)
def test_a_batch_holds_views_of_places_that_are_all_different(places, count, images, seed):
    try:
        data = TrainingSet([drive(places)])
        batch = data.sample_pairs(np.random.default_rng(seed), count, images)
    except SourceError:
        return  # no positives, or not as many places; the next test says which
    assert batch.shape == (count, images)
    for i, views in enumerate(batch):
        assert set(views[1:]) <= set(data.positives(views[0]))
        for other in batch[:i].ravel():
            assert all(distance(data, view, other) > NEGATIVE for view in views)
    again = data.sample_pairs(np.random.default_rng(seed), count, images)
    assert (batch == again).all()


def test_more_places_than_there_are_is_refused_with_the_number_found():
    data = TrainingSet([drive([(0, 0), (1, 0), (100, 0), (101, 0)])])
    assert len(data.sample_pairs(np.random.default_rng(0), 2)) == 2
    with pytest.raises(SourceError, match=r'expected 3 places .* found 2'):
        data.sample_pairs(np.random.default_rng(0), 3)


def test_sources_are_drawn_by_their_weights():
    road = [(1000 * i + j, 0) for i in range(50) for j in range(2)]
    parts = [drive(road, 'a'), drive(road, 'b'), drive(road, 'c')]
    data = TrainingSet(parts, weights=[3, 1, 0])
    drawn = [data.sample_pairs(np.random.default_rng(s), 8)[:, 0] for s in range(100)]
    share = np.bincount(data.sources[np.concatenate(drawn)], minlength=3) / 800
    assert abs(share[0] - 0.75) < 0.05 and share[2] == 0


def test_the_other_run_is_preferred_where_there_is_one():
    images = ImageSet(
        tuple(map(Path, 'abcd')),
        np.array([[0.0], [1], [2], [500]]),
        np.zeros(4, np.int64),
        runs=np.array([0, 0, 1, 1]),
    )
    part = RetrievalSet('x', 'by hand', images, images, RADIUS, negative_radius=NEGATIVE)
    for other_run, expected in ((True, {2}), (False, {1, 2})):
        data = TrainingSet([part], other_run=[other_run])
        pairs = [data.sample_pairs(np.random.default_rng(s), 1)[0] for s in range(100)]
        assert {int(p) for q, p in pairs if q == 0} == expected
        assert {int(q) for q, _ in pairs} == {0, 1, 2}  # image 3 is alone


def test_an_image_of_two_sources_is_refused_as_it_would_be_its_own_negative():
    with pytest.raises(ConfigError, match='each image once'):
        TrainingSet([drive([(0, 0), (1, 0)]), drive([(0, 0), (1, 0)])])
    with pytest.raises(ConfigError, match='at least one data set'):
        TrainingSet([])


def test_the_real_sources_mix_and_their_held_out_parts_stay_out(shared_data):
    base = shared_data('ietower').parent
    sources = [
        SourceConfig(path='ietower', split='train'),
        SourceConfig(path='sped', names=':400'),
        SourceConfig(path='circuits/*', weight=2.0),
    ]
    data = open_training_set(sources, base)
    assert data.names[:2] == ('ietower', 'sped') and len(data.names) == 6
    assert data.weights[2:].sum() == pytest.approx(2.0)
    sped = [f for f in data.files if f.parent.name in ('query', 'ref')]
    assert len(sped) == 660 and max(f.name for f in sped) < '0400.png'
    floors = {f.name.split('_')[0] for f in data.files if f.parent.name == 'frames'}
    assert len(floors) == 18 and not floors & {'b0', 'f10', 'f14', 'f18', 'f22', 'f05', 'f09'}
    batch = data.sample_pairs(np.random.default_rng(0), 16)
    assert all(data.files[row].is_file() for row in batch.ravel())
    circuits = [row for row in data.queries if data.sources[row] >= 2]
    across = [np.any(data.runs[data.positives(r)] != data.runs[r]) for r in circuits]
    assert np.mean(across) > 0.8  # nearly every image is seen again in another lap


def test_a_source_that_is_not_there_is_named(tmp_path):
    with pytest.raises(SourceError, match='expected a folder or a pattern of some'):
        open_training_set([SourceConfig(path='nowhere/*')], tmp_path)


@given(st.integers(0, 10**6), st.integers(2, 8), st.integers(2, 4))
@settings(deadline=None, max_examples=40)
def test_groups_of_places_that_look_alike_are_all_different_places(seed, places, group):
    rng = np.random.default_rng(seed)
    data = TrainingSet([drive([(x, g) for g in range(12) for x in (0, 5)], 'a')])
    alike = rng.choice(data.queries, (len(data), 9))
    alike[rng.random(alike.shape) < 0.3] = -1
    batch = data.sample_alike(np.random.default_rng(seed), places, group, alike)
    assert batch.shape == (places, 2)
    for i, (query, positive) in enumerate(batch):
        assert positive in data.positives(query)
        others = np.delete(batch, i, axis=0).ravel()
        assert data.different(batch[i], others).all()


def test_the_others_of_a_group_are_among_those_that_look_like_its_first():
    data = TrainingSet([drive([(x, g) for g in range(20) for x in (0, 5)], 'a')])
    nearest = 2 * ((np.arange(len(data)) // 2 + 1) % 20)  # of the next group, and the one behind
    alike = np.stack([nearest, (nearest + 2) % 40], axis=1)
    batch = data.sample_alike(np.random.default_rng(0), 6, 3, alike)
    firsts = batch[::3, 0]
    for i, first in enumerate(firsts):
        assert set(batch[3 * i + 1 : 3 * i + 3, 0]) == set(alike[first])
