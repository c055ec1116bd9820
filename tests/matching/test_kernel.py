# SPDX-License-Identifier: MIT
"""The compiled kernel: every instruction set against a plain matrix and against torch."""

from __future__ import annotations

import logging
from pathlib import Path
import shutil
import subprocess
import sys

from hypothesis import given, settings
from hypothesis import strategies as st
from native_helpers import ARM, ARM_COMPILER, checked, EMULATOR, has_arm
import numpy as np
import pytest
import torch

from selavpr_model.errors import ConfigError
from selavpr_model.matching import kernel, nearest
from selavpr_model.runtime import native

from where import ROOT

VALUES = {
    'all codes': (-128, 128),
    'ties everywhere': (-1, 2),
    'largest': (127, 128),
    'seven bits': (-64, 64),
    'small': (-16, 17),
    'zeros': (0, 1),
}


@pytest.fixture(autouse=True)
def built() -> None:
    if kernel.library() is None:
        pytest.skip('native/ is not built: run make setup')


def codes(seed: int, shape: tuple[int, ...], values: str) -> np.ndarray:
    """int8, with some cells of zeros."""
    rng = np.random.default_rng(seed)
    made = rng.integers(*VALUES[values], shape).astype(np.int8)
    made[rng.random(shape[:-1]) < 0.1] = 0
    return made


def by_matrix(query: np.ndarray, references: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Two argmax over the full matrix of exact integers."""
    similarity = np.einsum('ic,kjc->kij', query.astype(np.int64), references.astype(np.int64))
    return similarity.argmax(axis=2), similarity.argmax(axis=1)


@settings(deadline=None, max_examples=60)
@given(
    st.integers(0, 10**6),
    st.integers(1, 120),  # more than one panel of query cells, and every remainder
    st.integers(1, 300),  # more than one tile of reference cells
    st.one_of(st.integers(1, 70), st.sampled_from([124, 128, 384])),
    st.integers(1, 3),
    st.sampled_from(sorted(VALUES)),
)
def test_all_instruction_sets_equal_the_full_matrix(seed, nq, nr, channels, count, values):
    query = codes(seed, (nq, channels), values)
    references = codes(seed + 1, (count, nr, channels), values)
    expected = by_matrix(query, references)
    results = [kernel.nearest(query, references, 2, name) for name in kernel.instruction_sets()]
    results.append(nearest._nearest_by_torch(query, references))
    for result in results:
        assert all(np.array_equal(a, b) for a, b in zip(result, expected, strict=True))


def agree_with_matrix(query: np.ndarray, reference: np.ndarray) -> None:
    expected = by_matrix(query, reference[None])
    for name in kernel.instruction_sets():
        result = kernel.nearest(query, [reference], 1, name)
        assert all(np.array_equal(a, b) for a, b in zip(result, expected, strict=True))


@pytest.mark.parametrize('mine', [-64, 63, 64])
@pytest.mark.parametrize('theirs', [16, 17, -16, -17, 127, -128])
def test_sums_in_16_bits_are_exact_up_to_their_limit(mine, theirs):
    """AVX2 adds up 32 of these products in 16 bits, and takes longer cells by another way."""
    query = np.full((9, 64), mine, np.int8)
    reference = np.full((4, 64), theirs, np.int8)
    query[4:, 40:] = 0
    reference[2:, ::2] = -reference[2:, ::2]
    agree_with_matrix(query, reference)


@pytest.mark.parametrize('theirs', [1, 2, 5])
def test_similarities_of_18_bits_are_exact_up_to_their_limit(theirs):
    """Each sum of 16 bits has room here, their sum only with the least: 64 x 1,200 of 131,070."""
    query = np.full((20, 1200), -64, np.int8)
    query[::3, ::7] = 0
    reference = np.full((30, 1200), theirs, np.int8)
    reference[::2, ::5] = -theirs
    agree_with_matrix(query, reference)


def test_the_first_of_equal_cells_wins_over_all_blocks_and_tiles():
    query, reference = (codes(n, (n, 9), 'ties everywhere') for n in (2100, 700))
    agree_with_matrix(query, reference)


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 10**6), st.integers(1, 60), st.integers(1, 300), st.integers(1, 40))
def test_whole_numbers_as_floats_give_the_same(seed, nq, nr, channels):
    query = codes(seed, (nq, channels), 'ties everywhere')
    references = codes(seed + 1, (2, nr, channels), 'ties everywhere')
    expected = by_matrix(query, references)
    for name in kernel.instruction_sets():
        floats = query.astype(np.float32), references.astype(np.float32)
        result = kernel.nearest(*floats, 1, name)
        assert all(np.array_equal(a, b) for a, b in zip(result, expected, strict=True))


def rounding_sets() -> list[str]:
    """Those that compare floats by codes of 16 bits first."""
    return [name for name in kernel.instruction_sets() if name.startswith('avx')]


def agree_with_floats(query: np.ndarray, references: list[np.ndarray]) -> None:
    for name in rounding_sets():
        ours, floats = (
            kernel.nearest(query, references, 1, name, rounded) for rounded in (True, False)
        )
        assert all(np.array_equal(a, b) for a, b in zip(ours, floats, strict=True))


def needs_rounded() -> None:
    if not rounding_sets():
        pytest.skip('this machine compares floats as they are')


def test_unit_vectors_of_a_dense_grid_agree_with_torch_up_to_rounding():
    made = torch.nn.functional.normalize(torch.randn(2, 3721, 128, generator=_seeded()), dim=-1)
    query, reference = made.numpy()
    similarity = (made[0] @ made[1].T).numpy()
    to_reference, to_query = kernel.nearest(query, [reference], 1)
    best = np.take_along_axis(similarity, to_reference[0][:, None], axis=1)[:, 0]
    np.testing.assert_allclose(best, similarity.max(axis=1), atol=1e-6)
    best = np.take_along_axis(similarity, to_query, axis=0)[0]
    np.testing.assert_allclose(best, similarity.max(axis=0), atol=1e-6)


NEAR_TIES = {
    'far apart': 1.0,
    'within rounding': 1e-4,  # 16-bit codes cannot tell these cells apart
    'within rounding of floats': 1e-7,
}


@settings(deadline=None, max_examples=60)
@given(
    st.integers(0, 10**6),
    st.integers(1, 120),
    st.integers(1, 300),
    st.one_of(st.integers(1, 70), st.just(128)),
    st.sampled_from(sorted(NEAR_TIES)),
    st.sampled_from([1e-12, 1.0, 1e6]),
)
def test_codes_of_16_bits_answer_as_floats_do(seed, nq, nr, channels, ties, scale):
    needs_rounded()
    rng = np.random.default_rng(seed)
    few = rng.normal(size=(5, channels))  # cells differ a little from one of these
    near = [few[rng.integers(5, size=n)] for n in (nq, nr, nr)]
    noise = NEAR_TIES[ties]
    query, *references = [
        (scale * (cells + noise * rng.normal(size=cells.shape))).astype(np.float32)
        for cells in near
    ]
    agree_with_floats(query, references)


@pytest.mark.parametrize('value', [np.nan, np.inf, 3e38, 0.0, 1e-30])
@pytest.mark.parametrize('cells', [slice(None), slice(3, 9)], ids=['all', 'some'])
@pytest.mark.parametrize('sides', [(0,), (1,), (0, 1)], ids=['query', 'reference', 'both'])
def test_floats_that_have_no_codes_are_compared_as_they_are(value, cells, sides):
    needs_rounded()
    rng = np.random.default_rng(0)
    pair = [rng.normal(size=(40, 20)).astype(np.float32) for _ in range(2)]
    for side in sides:
        pair[side][cells] = value
    agree_with_floats(pair[0], [pair[1]])


def _seeded() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_the_best_set_of_this_machine_is_used(monkeypatch):
    monkeypatch.delenv(native.LIMIT, raising=False)
    flags = Path('/proc/cpuinfo').read_text().split()
    sets = kernel.instruction_sets()
    assert sets[0] == 'scalar'
    assert ('avx512vnni' in sets) == ('avx512_vnni' in flags)
    assert ('avxvnni' in sets) == ('avx_vnni' in flags)
    assert ('avx2' in sets) == ('avx2' in flags)


def test_a_limit_leaves_the_sets_below_it(monkeypatch):
    every = native.allowed_sets()
    for name in every:
        monkeypatch.setenv(native.LIMIT, name)
        assert native.allowed_sets() == every[: every.index(name) + 1]
        assert kernel.instruction_sets()[-1] in native.allowed_sets()
    monkeypatch.setenv(native.LIMIT, 'sse9')
    with pytest.raises(ConfigError, match=r"SELAVPR_ISA: expected one of scalar.*got 'sse9'"):
        kernel.instruction_sets()


def test_all_libraries_are_limited_before_they_are_loaded():
    if 'avx2' not in kernel.instruction_sets():
        pytest.skip('this CPU has no AVX2')
    with pytest.raises(ConfigError, match='has not loaded torch or faiss yet'):
        native.limit_sets('avx2')
    lines = (
        'from selavpr_model.runtime.native import limit_sets',
        'limit_sets("avx2")',
        'import torch',
        'from selavpr_model.matching import kernel',
        'print(torch.backends.cpu.get_cpu_capability(), kernel.instruction_sets()[-1])',
    )
    words = [sys.executable, '-c', '\n'.join(lines)]
    done = subprocess.run(words, capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.split() == ['AVX2', 'avx2']


@pytest.mark.parametrize('threads', [1, 2, 7])
def test_threads_and_memory_maps_change_nothing(threads, tmp_path):
    query, references = codes(0, (50, 16), 'all codes'), codes(1, (5, 40, 16), 'all codes')
    np.save(tmp_path / 'local.npy', references)
    mapped = np.load(tmp_path / 'local.npy', mmap_mode='r')
    result = nearest.nearest_both_ways(query, [mapped[i] for i in range(5)], threads)
    for a, b in zip(result, by_matrix(query, references), strict=True):
        np.testing.assert_array_equal(a, b)


def test_nothing_to_compare_gives_nothing():
    empty = np.zeros((0, 8), np.int8)
    cells = np.ones((3, 8), np.int8)
    assert nearest.count_mutual(cells, []).shape == (0,)
    assert nearest.count_mutual(cells, [empty]).tolist() == [0]
    assert nearest.count_mutual(empty, [cells]).tolist() == [0]
    assert nearest.mutual_matches(empty, cells).shape == (0, 2)


class TestWithout:
    """A machine where the kernel could not be built."""

    @pytest.fixture
    def missing(self, monkeypatch, tmp_path):
        monkeypatch.setattr('selavpr_model.runtime.native.PACKAGE', tmp_path)
        kernel.library.cache_clear()
        yield tmp_path
        kernel.library.cache_clear()

    def test_torch_does_its_work_and_one_line_says_so(self, missing, caplog):
        query, references = codes(0, (50, 16), 'all codes'), codes(1, (3, 40, 16), 'all codes')
        with caplog.at_level(logging.WARNING):
            results = [nearest.nearest_both_ways(query, references) for _ in range(3)]
        for a, b in zip(results[-1], by_matrix(query, references), strict=True):
            np.testing.assert_array_equal(a, b)
        assert len(caplog.records) == 1 and 'make setup' in caplog.text

    def test_a_file_that_cannot_be_loaded_is_as_none(self, missing, caplog):
        (missing / '_mutual.so').write_bytes(b'for another machine')
        assert kernel.library() is None
        assert 'does not fit this version or machine' in caplog.text


@pytest.mark.skipif(not shutil.which('g++'), reason='no g++')
@pytest.mark.slow
@pytest.mark.timeout(1200)  # compiling takes half a minute of an idle core
def test_sanitizers_find_nothing(tmp_path):
    flags = ['-O1', '-fsanitize=address,undefined', '-fno-sanitize-recover=all']
    assert 'set 0' in checked('mutual', tmp_path, 'g++', flags, [])


@pytest.mark.skipif(not has_arm(), reason=ARM)
@pytest.mark.parametrize(('cpu', 'sets'), [('max', {5, 6}), ('cortex-a53', {5})])
def test_neon_in_an_emulator_equals_the_full_matrix(tmp_path, cpu, sets):
    printed = checked('mutual', tmp_path, ARM_COMPILER, ['-O2', '-static'], [*EMULATOR, cpu])
    assert all((f'set {n}\n' in printed) == (n in sets) for n in range(1, 8))


@pytest.mark.skipif(
    not shutil.which('g++') or 'avx512vnni' not in kernel.instruction_sets(),
    reason="needs g++ and AVX-512 VNNI, to run AVX-VNNI's code with its instruction",
)
def test_avxvnni_in_the_other_encoding_equals_the_full_matrix(tmp_path):
    assert 'set 2\n' in checked('mutual', tmp_path, 'g++', ['-O2', '-DAVXVNNI_AS_EVEX'], [])


@pytest.mark.skipif(not shutil.which('g++'), reason='no g++')
def test_setup_py_survives_a_compiler_that_fails(tmp_path):
    """`optional`: the package installs without the kernel."""
    words = [sys.executable, 'setup.py', 'build_ext', '--build-lib', str(tmp_path / 'lib')]
    made = subprocess.run(
        [*words, '--build-temp', str(tmp_path)], cwd=ROOT, capture_output=True, text=True,
        env={'CC': '/bin/false', 'CXX': '/bin/false', 'PATH': '/usr/bin:/bin'},
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    assert not list(tmp_path.rglob('*.so'))
