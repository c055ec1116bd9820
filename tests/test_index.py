# SPDX-License-Identifier: MIT
"""The index: equal to brute force, stable on ties, bit for bit what was added."""

from hypothesis import given, settings
from hypothesis import strategies as st
from map_helpers import unit
import numpy as np
import pytest

from selavpr_model.index import VectorIndex, GPU_MAX_K


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
    assert (np.concatenate(index.blocks()) == vectors).all() and (index.vector(33) == vectors[33]).all()
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
