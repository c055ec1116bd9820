# SPDX-License-Identifier: MIT
"""The index: equal to brute force, stable on ties, bit for bit what was added."""

from hypothesis import given, settings
from hypothesis import strategies as st
from map_helpers import one_torch_thread, unit
import numpy as np
import pytest

from selavpr_model.coarse_index import CoarseIndex
from selavpr_model.index import GPU_MAX_K, needs_index, VectorIndex


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
    with caplog.at_level('INFO', 'selavpr_model.index'):
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


def short_listed(vectors: np.ndarray, rows: int, probes: int = 8) -> VectorIndex:
    """An index whose first `rows` vectors are in short lists."""
    first = VectorIndex(vectors.shape[1], False, vectors[:rows])
    coarse = first.trained(rows, probes, refine=6)
    index = VectorIndex(vectors.shape[1], False, vectors[:rows], coarse)
    index.add(vectors[rows:])
    return index


def test_short_lists_find_what_comparing_all_finds():
    vectors = street(6000)
    queries = unit(vectors[::60] + 0.02 * np.random.default_rng(4).normal(size=(100, 48)))
    index, exact = short_listed(vectors, 6000), filled(vectors)
    found = [index.search(q, 20) for q in queries]
    truth = [exact.search(q, 20) for q in queries]
    recall = np.mean([np.isin(t[0], f[0]).mean() for t, f in zip(truth, found, strict=True)])
    assert recall >= 0.98
    for (rows, products), query in zip(found, queries, strict=True):
        assert (products == exact_products(vectors, rows, query)).all(), 'products are exact'
        assert (np.diff(products) <= 0).all() and len(set(rows.tolist())) == 20


def exact_products(vectors: np.ndarray, rows: np.ndarray, query: np.ndarray) -> np.ndarray:
    """As the flat index gives them for these rows, bit for bit."""
    found, products = filled(vectors).search(query, len(vectors))
    return products[[found.tolist().index(row) for row in rows]]


def test_vectors_added_behind_short_lists_are_found_before_and_after_they_join_them(monkeypatch):
    monkeypatch.setattr('selavpr_model.index.ABSORB_ROWS', 64)
    vectors = street(3000)
    index = short_listed(vectors[:2000], 2000)
    joined = []
    for row in range(2000, 2200):
        index.add(vectors[row : row + 1])
        joined.append(len(index.coarse))
        assert index.search(vectors[row], 1)[0][0] == row
    assert sorted(set(joined)) == [2000, 2064, 2128, 2192]
    again = short_listed(vectors[:2000], 2000)
    again.add(vectors[2000:2200])  # at once: the same rows, though others of them are in the lists
    assert (again.search(vectors[2111], 5)[0] == index.search(vectors[2111], 5)[0]).all()


def test_equal_vectors_come_in_the_order_of_the_rows_from_short_lists_too():
    vectors = np.repeat(street(400), 5, axis=0)
    index = short_listed(vectors, 1500)  # the twins of row 1499 lie on both sides
    for row in (700, 1496, 1990):
        twins = 5 * (row // 5) + np.arange(5)
        assert index.search(vectors[row], 5)[0].tolist() == twins.tolist()


def test_more_neighbours_than_the_short_lists_hold_are_found_by_comparing_all():
    vectors = street(1000)
    index, exact = short_listed(vectors, 1000, probes=1), filled(vectors)
    for k in (400, 1000):
        assert (index.search(vectors[5], k)[0] == exact.search(vectors[5], k)[0]).all()


def test_training_twice_gives_the_same_bytes_and_they_come_back():
    vectors = street(2000)
    with one_torch_thread():
        first, second = (short_listed(vectors, 2000).coarse.to_bytes() for _ in range(2))
    assert (first == second).all()
    again = VectorIndex(48, False, vectors, CoarseIndex.from_bytes(first, 8, 6))
    query = vectors[77]
    assert (again.search(query, 9)[0] == short_listed(vectors, 2000).search(query, 9)[0]).all()


@pytest.mark.parametrize('raw', [b'', b'x' * 100, None])
def test_bytes_that_are_no_short_lists_are_refused(raw):
    import faiss

    flat = faiss.serialize_index(faiss.IndexFlatIP(8))
    with pytest.raises(ValueError, match='not an index'):
        CoarseIndex.from_bytes(flat if raw is None else np.frombuffer(raw, np.uint8), 8, 6)


def test_the_size_of_the_map_decides_unless_it_is_said():
    assert not needs_index(60_000, 384, 'auto') and needs_index(70_000, 384, 'auto')
    assert needs_index(500, 384, 'ivf') and not needs_index(50, 384, 'ivf')
    assert not needs_index(10**6, 384, 'flat')
