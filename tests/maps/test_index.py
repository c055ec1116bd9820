# SPDX-License-Identifier: MIT
"""The index: equal to brute force, stable on ties, bit for bit what was added."""

from concurrent.futures import ThreadPoolExecutor

from hypothesis import given, settings
from hypothesis import strategies as st
from map_helpers import (
    one_torch_thread,
    unit,
)
import numpy as np
import pytest

from selavpr_model.maps.coarse_index import CoarseIndex
from selavpr_model.maps.index import GPU_MAX_K, needs_index, VectorIndex


def filled(vectors: np.ndarray, use_gpu: bool = False) -> VectorIndex:
    index = VectorIndex(vectors.shape[1], use_gpu)
    index.add(vectors)
    return index


@settings(max_examples=30, deadline=None)
@given(rows=st.integers(1, 300), k=st.integers(1, 40), seed=st.integers(0, 10**6))
def test_search_equals_brute_force(rows, k, seed):
    rng = np.random.default_rng(seed)
    vectors, query = unit(rng.normal(size=(rows, 24))), unit(rng.normal(size=24))
    found, products = filled(vectors).search(query, k)
    exact = vectors.astype(np.float64) @ query.astype(np.float64)
    assert found.dtype == np.int64 and products.dtype == np.float32
    assert len(set(found.tolist())) == len(found) == min(k, rows)
    np.testing.assert_allclose(exact[found], np.sort(exact)[::-1][:k], atol=1e-6)
    np.testing.assert_allclose(products, exact[found], atol=1e-6)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 3), min_size=1, max_size=60), st.integers(1, 70))
def test_ties_come_in_the_order_of_the_rows_also_across_the_cut(axes, k):
    vectors = np.eye(4, dtype=np.float32)[axes]
    query = np.array([1.0, 0.5, 0.25, 0.0], np.float32)
    found, products = filled(vectors).search(query, k)
    expected = np.argsort(-(vectors @ query), kind='stable')[:k]
    assert found.tolist() == expected.tolist()
    assert products.tolist() == (vectors @ query)[expected].tolist()


def test_k_beyond_the_rows_gives_all_rows_and_an_empty_index_none():
    vectors = unit(np.random.default_rng(0).normal(size=(3, 8)))
    assert len(filled(vectors).search(vectors[0], 10)[0]) == 3
    rows, products = VectorIndex(8, False).search(vectors[0], 5)
    assert len(rows) == len(products) == 0


def test_vectors_come_back_bit_for_bit():
    vectors = unit(np.random.default_rng(1).normal(size=(50, 16)))
    index = filled(vectors[:20])
    index.add(vectors[20:])
    assert (np.concatenate(index.blocks()) == vectors).all() and (
        index.vector(33) == vectors[33]
    ).all()
    assert VectorIndex(16, False).blocks() == []


def test_without_a_gpu_the_reason_is_in_the_log(caplog):
    import faiss

    if hasattr(faiss, 'StandardGpuResources') and faiss.get_num_gpus():
        pytest.skip('this machine has faiss-gpu and a GPU')
    with caplog.at_level('INFO', 'selavpr_model.maps.index'):
        index = VectorIndex(8, use_gpu=True)
    assert index.device == 'cpu' and 'on the CPU' in caplog.text


def test_the_gpu_finds_what_the_cpu_finds():
    import faiss

    if not hasattr(faiss, 'StandardGpuResources') or not faiss.get_num_gpus():
        pytest.skip('needs faiss-gpu and a GPU')
    vectors = unit(np.random.default_rng(2).normal(size=(GPU_MAX_K + 500, 64)))
    on_gpu, on_cpu = filled(vectors, True), filled(vectors)
    for k in (5, GPU_MAX_K + 100):
        rows, products = on_gpu.search(vectors[7], k)
        np.testing.assert_allclose(products, on_cpu.search(vectors[7], k)[1], atol=1e-4)
        assert rows[0] == 7
    assert (on_gpu.blocks()[0] == vectors).all()


def street(rows: int, dim: int = 48, seed: int = 3) -> np.ndarray:
    """Vectors that drift, as the features of a drive do."""
    rng = np.random.default_rng(seed)
    steps = rng.normal(size=(rows, dim)).cumsum(axis=0)
    return unit(steps + 20 * rng.normal(size=dim))


def short_listed(vectors: np.ndarray, rows: int) -> VectorIndex:
    """An index whose first `rows` vectors are in short lists."""
    first = VectorIndex(vectors.shape[1], False, vectors[:rows])
    coarse = first.trained(rows, refine=6)
    index = VectorIndex(vectors.shape[1], False, vectors[:rows], coarse)
    index.add(vectors[rows:])
    return index


def noise(rows: int, dim: int = 384, seed: int = 5) -> np.ndarray:
    """Vectors without a preferred direction, as whitened features nearly are."""
    return unit(np.random.default_rng(seed).normal(size=(rows, dim)))


def alike(rows: int, dim: int = 384) -> np.ndarray:
    """Vectors that are mostly the same, as features that are not whitened are."""
    return unit(noise(rows, dim) + 4 * noise(1, dim, seed=6))


def nearby(vectors: np.ndarray, count: int = 50, share: float = 0.5) -> np.ndarray:
    """(count, D): some of the vectors, moved by `share` of their length."""
    some = vectors[:: len(vectors) // count][:count]
    return unit(some + share * noise(count, vectors.shape[1], seed=7))


def recall(vectors: np.ndarray, index: VectorIndex, queries: np.ndarray, k: int) -> float:
    """Share of the k nearest that the index finds, too."""
    exact = filled(vectors)
    pairs = [(exact.search(q, k)[0], index.search(q, k)[0]) for q in queries]
    return float(np.mean([np.isin(truth, found).mean() for truth, found in pairs]))


@pytest.mark.parametrize('made', [noise, alike])
def test_short_lists_find_what_comparing_all_finds_with_and_without_whitening(made):
    vectors = made(10_000)
    queries, index = nearby(vectors), short_listed(vectors, 10_000)
    assert len(index.coarse.shortlist(queries[:1], 20)) <= 500
    assert recall(vectors, index, queries, 20) >= 0.98


@pytest.mark.parametrize('dim', [1, 2, 7, 33, 1024])
def test_short_lists_are_good_for_vectors_of_any_length(dim):
    vectors = noise(3000, dim)
    index = short_listed(vectors, 2500)
    assert recall(vectors, index, nearby(vectors, 20), 5) >= 0.98


def test_a_map_that_grows_beyond_what_its_codes_were_chosen_for_gets_others():
    vectors = np.concatenate([alike(2500, 64), noise(7500, 64)])
    first = short_listed(vectors[:2500], 2500)
    coarse = reopened(first.coarse)  # it remembers for how many
    assert coarse.fits(2500) and coarse.fits(5000)
    assert not coarse.fits(5001) and not coarse.fits(2499)
    index = VectorIndex(64, False, vectors, coarse)
    index = VectorIndex(64, False, vectors, index.trained(10_000, refine=6))
    assert recall(vectors, index, nearby(vectors), 20) >= 0.98


def test_products_are_exact_behind_short_lists():
    vectors = street(6000)
    queries, index = nearby(vectors, 30, 0.02), short_listed(vectors, 6000)
    for query in queries:
        rows, products = index.search(query, 20)
        assert (products == exact_products(vectors, rows, query)).all(), 'products are exact'
        assert (np.diff(products) <= 0).all() and len(set(rows.tolist())) == 20


def exact_products(vectors: np.ndarray, rows: np.ndarray, query: np.ndarray) -> np.ndarray:
    """As the flat index gives them for these rows, bit for bit."""
    found, products = filled(vectors).search(query, len(vectors))
    return products[[found.tolist().index(row) for row in rows]]


def test_vectors_added_behind_short_lists_are_found_before_and_after_they_join_them(monkeypatch):
    monkeypatch.setattr('selavpr_model.maps.index.ABSORB_ROWS', 64)
    vectors = street(4000)
    index = short_listed(vectors[:2500], 2500)
    joined = []
    for row in range(2500, 2700):
        index.add(vectors[row : row + 1])
        joined.append(len(index.coarse))
        assert index.search(vectors[row], 1)[0][0] == row
    assert sorted(set(joined)) == [2500, 2564, 2628, 2692]
    again = short_listed(vectors[:2500], 2500)
    again.add(vectors[2500:2700])  # at once: the same rows, though others of them are in the lists
    assert (again.search(vectors[2611], 5)[0] == index.search(vectors[2611], 5)[0]).all()


@settings(max_examples=20, deadline=None)
@given(row=st.integers(0, 2999), k=st.integers(1, 12))
def test_equal_vectors_come_in_the_order_of_the_rows_from_short_lists_too(twins, row, k):
    vectors, index = twins
    expected = filled(vectors).search(vectors[row], k)[0]
    first = 5 * (row // 5)
    assert expected[:5].tolist() == list(range(first, first + min(k, 5)))
    assert index.search(vectors[row], k)[0].tolist() == expected.tolist()


@pytest.fixture(scope='module')
def twins() -> tuple[np.ndarray, VectorIndex]:
    """Five of each vector; those of row 2499 lie on both sides of the short lists' end."""
    vectors = np.repeat(noise(600, 64), 5, axis=0)
    return vectors, short_listed(vectors, 2498)


def test_a_robot_that_stood_still_does_not_crowd_out_the_order():
    """More equal vectors than a short list holds: all of them, or none, are looked at."""
    vectors = noise(9000, 16)
    vectors[1000:3000] = vectors[1000]
    index = short_listed(vectors, 9000)
    assert index.search(vectors[1000], 30)[0].tolist() == list(range(1000, 1030))
    rows = index.coarse.shortlist(vectors[1000:1001], 30)
    assert rows is None or np.isin(np.arange(1000, 3000), rows).all()


def test_more_neighbours_than_short_lists_are_good_for_are_found_by_comparing_all():
    vectors = street(3000)
    index, exact = short_listed(vectors, 3000), filled(vectors)
    for k in (400, 3000):
        assert index.coarse.shortlist(vectors[5:6], k) is None
        assert (index.search(vectors[5], k)[0] == exact.search(vectors[5], k)[0]).all()


def test_several_threads_find_what_one_finds():
    vectors = noise(5000, 64)
    queries, index = nearby(vectors), short_listed(vectors, 5000)
    alone = [index.search(q, 20)[0].tolist() for q in queries]
    with ThreadPoolExecutor(4) as pool:
        together = pool.map(lambda q: index.search(q, 20)[0].tolist(), [*queries] * 4)
        assert list(together) == alone * 4


def reopened(coarse: CoarseIndex) -> CoarseIndex:
    """As saving and opening a map does it."""
    values, codes = coarse.values(), coarse.codes()
    return CoarseIndex.from_arrays(values, codes, coarse.trained, coarse.dim, 6)


def same(one: CoarseIndex, other: CoarseIndex) -> bool:
    pairs = zip((one.values(), one.codes()), (other.values(), other.codes()), strict=True)
    return all(np.array_equal(a, b) for a, b in pairs)


@pytest.mark.parametrize(('rows', 'dim'), [(3000, 48), (2999, 7), (2500, 2)])
def test_training_twice_gives_the_same_arrays_and_they_come_back(rows, dim):
    vectors = noise(rows, dim)
    with one_torch_thread():
        first, second = (short_listed(vectors, rows).coarse for _ in range(2))
    assert same(first, second) and same(first, reopened(first))
    index, again = (VectorIndex(dim, False, vectors, c) for c in (first, reopened(first)))
    for query in vectors[:20]:
        assert (first.shortlist(query[None], 5) == again.coarse.shortlist(query[None], 5)).all()
        assert (again.search(query, 9)[0] == index.search(query, 9)[0]).all()
    again.coarse.catch_up(VectorIndex(dim, False, np.repeat(vectors, 2, 0))._vectors)
    assert len(again.coarse) == 2 * rows


def test_a_map_saved_in_two_steps_has_the_rows_of_both_in_its_short_lists():
    vectors = street(4000)
    index = short_listed(vectors, 2500)
    grown, shrunk = index.trained(4000, 6), index.trained(2000, 6)
    assert (len(grown), len(index.coarse), len(shrunk)) == (4000, 2500, 2000)
    at_once = CoarseIndex.train(VectorIndex(48, False, vectors)._vectors, 2500, 6)
    at_once.catch_up(VectorIndex(48, False, vectors)._vectors)
    assert same(grown, at_once)


def test_the_size_of_the_map_decides_unless_it_is_said():
    assert not needs_index(60_000, 384, 'auto') and needs_index(70_000, 384, 'auto')
    assert needs_index(500, 384, 'codes') and not needs_index(50, 384, 'codes')
    assert not needs_index(10**6, 384, 'flat')
