# SPDX-License-Identifier: MIT
"""Places taken from a data set, and its images as places and as a drive."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
import numpy as np
import pytest

from selavpr_model.config import RecognizerConfig
from selavpr_model.data.datasets import open_dataset
from selavpr_model.data.retrieval_sets import image_set, RetrievalSet
from selavpr_model.decision.distinct import are_distinct
from selavpr_model.errors import ConfigError
from selavpr_model.evaluation.trials import is_drive, places_of, poses_of, same_place, take_away


def row_of_places(count: int, spacing: float = 1.0, radius: float = 0.0) -> RetrievalSet:
    files = [Path(f'{i:03d}.png') for i in range(count)]
    images = image_set(files, spacing * np.arange(count, dtype=float)[:, None])
    return RetrievalSet('row', 'one a query', images, images, radius)


@given(st.integers(3, 60), st.floats(0.0, 0.9), st.integers(0, 5), st.floats(0, 3))
def test_at_least_the_asked_share_of_the_queries_loses_its_place(count, share, seed, radius):
    data = row_of_places(count, radius=radius)
    try:
        left = take_away(data, share, seed)
    except ConfigError:
        return
    absent = np.mean([len(rows) == 0 for rows in left.positives()])
    assert absent >= share and len(left.queries) == count
    assert set(left.references.files) <= set(data.references.files)
    assert (share > 0) == (len(left.references) < count)


def test_pairs_lose_just_that_share_and_the_same_ones_again():
    data = row_of_places(100)
    left = take_away(data, 0.3, seed=4)
    assert len(left.references) == 70 and '30 queries without their place' in left.protocol
    assert left.references.files == take_away(data, 0.3, seed=4).references.files
    assert left.references.files != take_away(data, 0.3, seed=5).references.files


def test_places_that_a_file_lists_are_still_the_same_ones():
    data = replace(row_of_places(60), listed=tuple(np.array([i]) for i in range(60)))
    left = take_away(data, 0.3, seed=2)
    for query, rows in enumerate(left.positives()):
        assert [left.references.files[row].stem for row in rows] in ([], [f'{query:03d}'])
    assert sum(len(rows) for rows in left.positives()) == len(left.references)


def test_what_is_near_a_removed_place_goes_with_it():
    left = take_away(row_of_places(100, radius=1.0), 0.05, seed=0)
    numbers = np.array([int(f.stem) for f in left.references.files])
    assert np.diff(numbers).max() > 10


def test_nothing_left_is_said():
    with pytest.raises(ConfigError, match='no place is left'):
        take_away(row_of_places(3, radius=5.0), 0.5, seed=0)


@pytest.mark.parametrize('name', ['sped', 'ietower'])
def test_places_differ_for_the_recogniser_as_they_do_for_the_data_set(shared_data, name):
    data = open_dataset(shared_data(name))
    places, config = places_of(data.references)[:40], same_place(data, RecognizerConfig())
    first = data.references.positions[0, 0]
    for i, other in enumerate(places):
        near = abs(data.references.positions[i, 0] - first) <= data.radius
        same_group = data.references.groups[i] == data.references.groups[0]
        assert are_distinct(places[0], other, config) != (near and same_group)
    assert poses_of(data.references) is None and not is_drive(data.queries)


def test_a_circuit_is_a_drive_whose_cameras_look_along_their_headings(shared_data):
    data = open_dataset(shared_data('circuits') / 'hacienda')
    poses = poses_of(data.queries)
    assert is_drive(data.queries)
    np.testing.assert_allclose(poses[:, :3, 2], data.queries.headings, atol=1e-9)
    np.testing.assert_allclose(poses[:, :3, 3], data.queries.positions)
    turned = poses[:, :3, :3]
    np.testing.assert_allclose(
        turned @ turned.transpose(0, 2, 1), np.tile(np.eye(3), (len(turned), 1, 1)), atol=1e-6
    )
    assert np.all(np.linalg.det(turned) > 0.99)
