# SPDX-License-Identifier: MIT
"""MSLS, against counts and positives worked out by hand."""

from __future__ import annotations

from pathlib import Path

from layout_helpers import as_lists, files, stems, table
import pytest

from selavpr_model.data.datasets import open_dataset
from selavpr_model.errors import SourceError

POST = ',key,easting,northing,unique_cluster,night,control_panel,view_direction'
RAW = ',key,lon,lat,ca,captured_at,pano'
SUBTASK = ',key,all,s2w,w2s,o2n,n2o,d2n,n2d'


def side(folder: Path, images: list[tuple[str, float, float, float, bool, bool]]) -> None:
    """images: key, east, north, compass angle, panorama, in the subtask `all`."""
    post, raw, subtask = [], [], []
    for i, (key, east, north, angle, pano, in_all) in enumerate(images):
        post.append((i, key, east, north, 1, False, False, 'Forward'))
        raw.append((i, key, 0, 0, angle, '2015', pano))
        subtask.append((i, key, in_all, *6 * [False]))
    table(folder / 'postprocessed.csv', POST, *post)
    table(folder / 'raw.csv', RAW, *raw)
    table(folder / 'subtask_index.csv', SUBTASK, *subtask)
    files(folder / 'images', *(f'{key}.jpg' for key, *_ in images))


@pytest.fixture
def msls(tmp_path) -> Path:
    root = tmp_path / 'msls' / 'train_val'
    side(
        root / 'cph' / 'query',
        [
            ('near', 100, 0, 0, False, True),
            ('edge', 125, 0, 90, False, True),
            ('lonely', 900, 0, 0, False, True),
            ('pano', 100, 0, 0, True, True),
            ('other', 100, 0, 0, False, False),
        ],
    )
    side(
        root / 'cph' / 'database',
        [
            ('a', 100, 0, 30, False, True),
            ('b', 90, 0, 350, False, True),
            ('panorama', 100, 0, 0, True, True),
            ('unused', 100, 0, 0, False, False),
            ('c', 124.99, 0, 200, False, True),
        ],
    )
    side(root / 'sf' / 'query', [('west', 100, 0, 10, False, True)])
    side(root / 'sf' / 'database', [('d', 110, 0, 60, False, True), ('e', 500, 0, 0, False, True)])
    side(root / 'zurich' / 'query', [('z', 0, 0, 0, False, False), ('y', 12, 0, 0, False, False)])
    side(root / 'zurich' / 'database', [('x', 10, 0, 0, False, False)])
    return tmp_path / 'msls'


def test_the_msls_validation_list_is_the_official_one(msls):
    data = open_dataset(msls)
    assert stems(data.queries) == ['near', 'edge', 'west']  # lonely: nothing within 25 m
    assert stems(data.references) == ['a', 'b', 'c', 'd', 'e']
    assert as_lists(data) == [[0, 1, 2], [0, 2], [3]]  # exactly 25 m counts; cities are apart
    assert '1 of 4 queries without a map image within 25 m dropped' in data.protocol
    assert 'cph, sf' in data.protocol and 'subtask all' in data.protocol
    assert all(f.is_file() for f in (*data.queries.files, *data.references.files))


def test_the_heading_of_msls_is_an_option_that_keeps_the_list_of_queries(msls):
    data = open_dataset(msls, max_angle_deg=40)
    assert stems(data.queries) == ['near', 'edge', 'west']
    assert as_lists(data) == [[0, 1], [], []]  # 30 and 10 degrees; 60 and 110; 50
    assert 'within 25 m and 40 degrees' in data.protocol
    assert as_lists(open_dataset(msls, max_angle_deg=60))[1:] == [[0], [3]]


def test_the_msls_training_part_has_all_images_and_the_smaller_radius(msls):
    data = open_dataset(msls, training=True)
    assert stems(data.queries) == ['z', 'y'] and as_lists(data) == [[0], [0]]
    assert data.negative_radius == 25 and 'train (zurich)' in data.protocol
    assert stems(open_dataset(msls, split='sf').queries) == ['west']


def test_cities_of_msls_that_are_not_there_are_refused(msls):
    with pytest.raises(SourceError, match="there: cph, sf, zurich; got 'oslo'"):
        open_dataset(msls, split='oslo')
    (msls / 'train_val' / 'sf' / 'query' / 'postprocessed.csv').unlink()
    with pytest.raises(SourceError, match='expected train, val'):
        open_dataset(msls)


@pytest.mark.parametrize(
    ('name', 'text', 'message'),
    [
        ('raw.csv', ',key,ca\n', 'expected columns ca, pano; got'),
        ('raw.csv', ',key,ca,pano\n0,near,0\n', '3 cells in row 0'),
        ('raw.csv', ',key,ca,pano\n0,near,0,False\n', 'numbers that fit together'),
        ('postprocessed.csv', ',key,easting,northing\n0,near,x,1\n', 'could not convert'),
        ('subtask_index.csv', '', 'cannot be read as a table'),
    ],
)
def test_a_wrong_table_of_msls_is_named(msls, name, text, message):
    (msls / 'train_val' / 'cph' / 'query' / name).write_text(text)
    with pytest.raises(SourceError, match=message) as error:
        open_dataset(msls)
    assert 'cph/query' in str(error.value)
