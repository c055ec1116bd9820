# SPDX-License-Identifier: MIT
"""Short lists on disk: plain arrays that are checked, whoever wrote them."""

from hypothesis import given, settings
from hypothesis import strategies as st
from map_helpers import data_of, error_of, IDENTITY, sha256, sign, some_features, some_map
import numpy as np
import pytest

from selavpr_model.config import MapConfig
from selavpr_model.errors import MapDataError
from selavpr_model.maps.coarse_index import CoarseIndex
from selavpr_model.maps.storage.store import open_map, save_map

VALUES, CODES = np.zeros((4, 16, 2), np.float32), np.zeros((50, 2), np.uint8)


@pytest.mark.parametrize(
    ('values', 'codes', 'trained'),
    [
        (VALUES[:3], CODES, 50),
        (VALUES.astype(np.float64), CODES, 50),
        (VALUES + np.nan, CODES, 50),
        (VALUES + 1e30, CODES, 50),
        (VALUES, CODES[:, :1], 50),
        (VALUES, CODES.astype(np.int8), 50),
        (VALUES, CODES, 0),
        (VALUES, CODES, -(2**70)),
        (VALUES, CODES, 2**70),
    ],
)
def test_arrays_that_are_no_short_lists_are_refused(values, codes, trained):
    with pytest.raises(ValueError, match=r'expected|chosen'):
        CoarseIndex.from_arrays(values, codes, trained, 8, 6)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32), rows=st.integers(1, 3000))
def test_any_codes_can_be_searched(seed, rows):
    """Of 600 changed files that faiss parsed, 77 ended the process."""
    rng = np.random.default_rng(seed)
    values = rng.uniform(-4, 4, (4, 16, 2)).astype(np.float32)
    codes = rng.integers(0, 256, (rows, 2), np.uint8)
    coarse = CoarseIndex.from_arrays(values, codes, rows, 8, 1)
    found = coarse.shortlist(np.ones((1, 8), np.float32), 1)
    assert found is None or ((found >= 0) & (found < rows)).all()


def test_short_lists_are_saved_with_the_map_and_refused_when_they_are_not_of_it(tmp_path):
    made = some_map(150)
    made.config = MapConfig(thumbnail_px=0, index='codes')
    save_map(made, tmp_path / 'map')
    opened = open_map(tmp_path / 'map', IDENTITY)
    assert len(opened.index.coarse) == 150
    assert opened.search(some_features(77).global_, 5)[0][0] == 77
    file = data_of(tmp_path / 'map') / 'index_values.npy'
    raw = file.read_bytes()
    file.write_bytes(raw[:-1] + b'\xff')
    assert 'index_values.npy' in str(error_of(tmp_path / 'map'))
    file.write_bytes(raw)
    sign(tmp_path / 'map', lambda m: m['counts'].update(index_trained=0))
    assert 'chosen for 0 rows' in str(error_of(tmp_path / 'map'))


def test_short_lists_of_strangers_never_end_the_process(tmp_path):
    """index.faiss with right checksums did: any byte may be anything now."""
    made = some_map(150)
    made.config = MapConfig(thumbnail_px=0, index='codes')
    save_map(made, tmp_path / 'map')
    for name in ('index_values.npy', 'index_codes.npy'):
        file = data_of(tmp_path / 'map') / name
        raw = file.read_bytes()
        for seed in range(100):
            rng = np.random.default_rng(seed)
            changed = bytearray(raw)
            for at in rng.integers(0, len(raw), 3):
                changed[at] = rng.choice([0, 127, 255])
            file.write_bytes(changed)
            digest = sha256(file)
            sign(tmp_path / 'map', lambda m, n=name, d=digest: m['files'][n].update(sha256=d))
            try:
                opened = open_map(tmp_path / 'map', IDENTITY)
            except MapDataError:
                continue
            assert opened.search(some_features(77).global_, 5)[1][0] > -1
        file.write_bytes(raw)
        digest = sha256(file)
        sign(tmp_path / 'map', lambda m, n=name, d=digest: m['files'][n].update(sha256=d))


def test_a_map_with_an_index_of_faiss_is_refused(tmp_path):
    save_map(some_map(5), tmp_path / 'map')
    entry = {'bytes': 0, 'sha256': '', 'dtype': 'blob', 'shape': [5]}
    sign(tmp_path / 'map', lambda m: m['files'].update({'index.faiss': entry}))
    assert 'index.faiss' in str(error_of(tmp_path / 'map'))
