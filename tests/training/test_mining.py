# SPDX-License-Identifier: MIT
"""Mined triplets: the right places, really the hardest, always for their own query."""

from __future__ import annotations

from pathlib import Path

from hypothesis import example, given, settings
from hypothesis import strategies as st
import numpy as np
import pytest

from selavpr_model.config import MiningConfig, SourceConfig
from selavpr_model.data.retrieval_sets import ImageSet, RetrievalSet
from selavpr_model.errors import InputError
from selavpr_model.training.mining import mine, most_alike
from selavpr_model.training.training_sets import open_training_set, TrainingSet

NEGATIVE = 25


def road(count: int, name: str, seed: int) -> RetrievalSet:
    """Images at random metres of two roads; queries and references are different images."""
    rng = np.random.default_rng(seed)

    def images(side: str) -> ImageSet:
        return ImageSet(
            tuple(Path(name) / side / str(i) for i in range(count)),
            rng.uniform(0, 200, (count, 2)).round(1),
            rng.integers(0, 2, count),
        )

    return RetrievalSet(name, 'by hand', images('q'), images('r'), 10, negative_radius=NEGATIVE)


def roads(seed: int, count: int = 40) -> TrainingSet:
    return TrainingSet([road(count, 'a', seed), road(count, 'b', seed + 1)])


def features(data: TrainingSet, seed: int, dim: int = 5) -> np.ndarray:
    """(N, D) random unit vectors: no relation to places, so an error of rows shows."""
    values = np.random.default_rng(seed).standard_normal((len(data), dim)).astype(np.float32)
    return values / np.linalg.norm(values, axis=1, keepdims=True)


@given(st.integers(0, 10**6), st.integers(1, 100), st.integers(2, 100), st.integers(1, 3))
@example(21836, 1, 80, 2)  # all queries are of one source
@settings(deadline=None, max_examples=30)
def test_triplets_are_those_of_an_exhaustive_search(seed, queries, candidates, negatives):
    data = roads(seed)
    values = features(data, seed)
    asked: set[int] = set()

    def extract(rows):
        asked.update(rows)
        return values[rows]

    config = MiningConfig(queries, candidates, negatives=negatives, chunk=7)
    found = mine(data, extract, np.random.default_rng(seed), config)
    assert len(found) <= min(queries, len(data.queries))
    assert len(set(found.queries)) == len(found)
    distance = np.linalg.norm(values[:, None] - values[None], axis=2)
    for i, (query, positive) in enumerate(zip(found.queries, found.positives, strict=True)):
        near = data.positives(query)
        assert positive == near[np.argmin(distance[query, near])]
        assert found.positive_distances[i] == pytest.approx(distance[query, positive], abs=1e-3)
        row = found.negatives[i]
        apart = np.linalg.norm(data.positions[query] - data.positions[row], axis=1)
        assert ((apart > NEGATIVE) | (data.groups[row] != data.groups[query])).all()
        assert np.isin(row, data.references).all() and len(set(row)) == negatives
        assert found.negative_distances[i] == pytest.approx(distance[query, row], abs=1e-3)
    if candidates >= len(data.references):  # then the pool is known: a source of no query has none
        pool = data.references[data.weights[data.sources[data.references]] > 0]
        for query, row in zip(found.queries, found.negatives, strict=True):
            far = pool[data.different(np.array([query]), pool)[0]]
            hardest = np.sort(distance[query, far])[:negatives]
            assert distance[query, row] == pytest.approx(hardest, abs=1e-6)
    assert len(asked) <= queries + candidates + sum(len(data.positives(q)) for q in data.queries)


@given(st.integers(0, 10**6))
@settings(deadline=None, max_examples=10)
def test_mining_is_the_same_for_the_same_seed_however_it_is_chunked(seed):
    data = roads(seed)
    values = features(data, seed)

    def once(chunk: int):
        config = MiningConfig(20, 30, chunk=chunk)
        return mine(data, lambda rows: values[rows], np.random.default_rng(seed), config)

    first, second = once(3), once(1000)
    for name in ('queries', 'positives', 'negatives'):
        assert (getattr(first, name) == getattr(second, name)).all()


def test_queries_without_positives_do_not_shift_the_others():
    """The official code drops them from one list of two (reference.md, 6)."""
    positions = [[0.0], [1000], [2], [2000], [4]]  # 1 and 3 are alone
    queries = ImageSet(tuple(map(Path, 'abcde')), np.array(positions), np.zeros(5, np.int64))
    answers = ImageSet(
        tuple(map(Path, 'vwxyz')),
        np.array([[1.0], [3], [30], [500], [1500]]),
        np.zeros(5, np.int64),
    )
    data = TrainingSet([RetrievalSet('x', '', queries, answers, 2, negative_radius=25.5)])
    values = features(data, 0)
    found = mine(data, lambda rows: values[rows], np.random.default_rng(0))
    names = {data.files[row].name for row in found.queries}
    assert names == set('ace')
    allowed = {'a': set('xyz'), 'c': set('xyz'), 'e': set('xyz')}  # x: 30, 28 and 26 m away
    for query, row in zip(found.queries, found.negatives, strict=True):
        assert {data.files[r].name for r in row} <= allowed[data.files[query].name]
    positive = {
        data.files[q].name: data.files[p].name
        for q, p in zip(found.queries, found.positives, strict=True)
    }
    assert positive['a'] == 'v' and positive['e'] == 'w'


def test_a_broken_image_is_never_part_of_a_triplet(caplog):
    data = roads(3)
    values = features(data, 3)
    broken = np.random.default_rng(0).choice(len(data), 30, replace=False)
    values[broken] = np.nan
    found = mine(data, lambda rows: values[rows], np.random.default_rng(0))
    used = np.concatenate([found.queries, found.positives, found.negatives.ravel()])
    assert len(found) and not np.isin(used, broken).any()
    assert 'queries left out: broken images' in caplog.text


def test_only_the_images_of_the_round_are_extracted():
    data = roads(5, count=300)
    values, asked = features(data, 5), []

    def extract(rows):
        asked.extend(rows)
        return values[rows]

    config = MiningConfig(queries=10, candidates=20, positives=2)
    mine(data, extract, np.random.default_rng(0), config)
    assert len(asked) == len(set(asked)) <= 10 + 20 + 10 * 2


def test_features_of_the_wrong_number_are_refused():
    data = roads(1)
    with pytest.raises(InputError, match='features: expected'):
        mine(data, lambda rows: np.zeros((1, 4)), np.random.default_rng(0))


def test_real_positives_are_nearer_than_the_hardest_images_of_other_videos(shared_data, extractor):
    """A small round with the real backbone."""
    from selavpr_model.data.image_folder import read_rgb

    floors = SourceConfig(path='ietower', floors='floor11,floor12')
    data = open_training_set([floors], shared_data('ietower').parent)
    known: dict[int, np.ndarray] = {}

    def extract(rows):
        for row in rows:
            known[row] = extractor.extract(read_rgb(data.files[row])).global_
        return np.stack([known[row] for row in rows])

    config = MiningConfig(queries=4, candidates=12, positives=1)
    found = mine(data, extract, np.random.default_rng(0), config)
    assert (data.groups[found.queries][:, None] != data.groups[found.negatives]).all()
    assert found.positive_distances.mean() < found.negative_distances.mean()


@given(st.integers(0, 10**6), st.integers(2, 5))
@settings(deadline=None, max_examples=20)
def test_what_looks_alike_can_be_found_in_shares(seed, world):
    data = roads(seed)
    values = features(data, seed)
    whole = most_alike(data, values, 3)
    for rank in range(world):
        np.testing.assert_array_equal(
            most_alike(data, values, 3, (rank, world)), whole[rank::world]
        )


@given(st.integers(0, 10**6), st.integers(1, 6))
@settings(deadline=None, max_examples=20)
def test_the_most_alike_are_the_nearest_queries_that_show_another_place(seed, count):
    data = roads(seed)
    values = features(data, seed)
    values[1] = np.nan  # a broken image
    found = most_alike(data, values, count)
    for row in range(len(data)):
        others = [
            q for q in data.queries
            if q != 1 and data.different(np.array([row]), np.array([q]))[0, 0] and row != 1
        ]  # fmt: skip
        others.sort(key=lambda q: -float(values[row] @ values[q]))
        expected = others[:count] + [-1] * (count - len(others[:count]))
        near = [float(values[row] @ values[q]) if q >= 0 else -9.0 for q in found[row]]
        wanted = [float(values[row] @ values[q]) if q >= 0 else -9.0 for q in expected]
        np.testing.assert_allclose(near, wanted, atol=1e-5)
