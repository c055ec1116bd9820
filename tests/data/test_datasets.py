# SPDX-License-Identifier: MIT
"""Layouts of retrieval data sets, and which references are right for which query."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pytest

from selavpr_model.data.datasets import ImageSet, near, open_dataset, parse_slice
from selavpr_model.errors import ConfigError, SourceError

from where import SHARED

shared = pytest.mark.skipif(not SHARED.is_dir(), reason=f'{SHARED} is not there')
CENTIMETRES = st.integers(0, 6000)
PLACES = st.lists(st.tuples(CENTIMETRES, CENTIMETRES, st.integers(0, 1)), max_size=12)


def files(folder: Path, *names: str) -> None:
    """Empty files: opening a data set reads no image."""
    folder.mkdir(parents=True)
    for name in names:
        (folder / name).touch()


def as_lists(positives):
    return [rows.tolist() for rows in positives]


def image_set(places) -> ImageSet:
    east_north = [(300000 + e / 100, 5000000 + n / 100) for e, n, _ in places]
    groups = np.array([g for *_, g in places], np.int64)
    positions = np.array(east_north, np.float64).reshape(-1, 2)
    return ImageSet(tuple(map(Path, map(str, range(len(places))))), positions, groups)


@given(PLACES, PLACES, st.sampled_from([0, 10, 25]))
@settings(deadline=None)
def test_positives_are_those_of_the_group_up_to_and_with_the_radius(queries, references, radius):
    def same(q, r):
        squared = (q[0] - r[0]) ** 2 + (q[1] - r[1]) ** 2  # whole centimetres: exact
        return q[2] == r[2] and squared <= (100 * radius) ** 2

    brute = [[i for i, r in enumerate(references) if same(q, r)] for q in queries]
    assert as_lists(near(image_set(queries), image_set(references), radius)) == brute


@pytest.mark.parametrize('step', [Decimal('25'), Decimal('24.99'), Decimal('25.01')])
def test_exactly_25_metres_is_a_positive_at_utm_sized_numbers(tmp_path, step):
    north = Decimal('5312345.67')
    files(tmp_path / 'database', f'@0500000.01@{north + step}@.jpg')
    files(tmp_path / 'queries', f'@0500000.01@{north}@.jpg')
    expected = [[0]] if step <= 25 else [[]]
    assert as_lists(open_dataset(tmp_path).positives()) == expected


@pytest.mark.parametrize('base', ['images', '.'])
def test_an_utm_tree_is_read_split_by_split(tmp_path, base):
    for split, north in (('train', 0), ('val', 100), ('test', 200)):
        files(tmp_path / base / split / 'database', f'@10@{north}@a@.jpg', '@900@0@.png')
        files(tmp_path / base / split / 'queries' / 'deeper', f'@15@{north}@b@.jpeg')
    default = open_dataset(tmp_path)
    assert 'test split' in default.protocol and '25 m' in default.protocol
    assert default.queries.positions.tolist() == [[15, 200]]
    assert as_lists(default.positives()) == [[0]]
    assert open_dataset(tmp_path, split='val').queries.positions.tolist() == [[15, 100]]
    assert as_lists(open_dataset(tmp_path, tolerance=4).positives()) == [[]]


def test_a_missing_split_is_refused_with_those_there(tmp_path):
    files(tmp_path / 'images' / 'val' / 'database', '@1@2@.jpg')
    files(tmp_path / 'images' / 'val' / 'queries', '@1@2@.jpg')
    with pytest.raises(SourceError, match="expected one of val; got 'train'"):
        open_dataset(tmp_path, split='train')


def test_a_name_without_coordinates_is_named(tmp_path):
    files(tmp_path / 'database', 'plain.jpg')
    files(tmp_path / 'queries', '@1@2@.jpg')
    with pytest.raises(SourceError, match=r'plain\.jpg: expected a name @utm_east'):
        open_dataset(tmp_path)


def test_pairs_go_by_natural_order_and_tolerance_in_frames(tmp_path):
    files(tmp_path / 'query', 'q1.jpg', 'q2.jpg', 'q10.jpg')
    files(tmp_path / 'ref', 'n_7.png', 'n_8.png', 'n_11.png')
    data = open_dataset(tmp_path)
    assert [f.name for f in data.queries.files] == ['q1.jpg', 'q2.jpg', 'q10.jpg']
    assert [f.name for f in data.references.files] == [
        'n_7.png',
        'n_8.png',
        'n_11.png',
    ]
    assert as_lists(data.positives()) == [[0], [1], [2]]
    loose = open_dataset(tmp_path, tolerance=1)
    assert as_lists(loose.positives()) == [[0, 1], [0, 1, 2], [1, 2]]
    assert 'k-th name = k-th place' in data.protocol


def test_fewer_queries_than_references_go_by_name_where_names_agree(tmp_path):
    files(tmp_path / 'query', '0400.jpg', '0402.jpg')
    files(tmp_path / 'ref', '0399.png', '0400.png', '0401.png', '0402.png')
    data = open_dataset(tmp_path)
    assert as_lists(data.positives()) == [[1], [3]] and 'same name' in data.protocol


def test_pairs_of_different_number_and_name_are_said_to_be_so(tmp_path, caplog):
    files(tmp_path / 'query', 'a.jpg')
    files(tmp_path / 'ref', 'b.jpg', 'c.jpg')
    data = open_dataset(tmp_path)
    assert as_lists(data.positives()) == [[0]] and '(1 and 2)' in data.protocol
    assert 'different names' in caplog.text


def test_a_query_beyond_the_references_has_no_positive(tmp_path):
    files(tmp_path / 'query', 'a.jpg', 'b.jpg')
    files(tmp_path / 'ref', 'c.jpg')
    assert as_lists(open_dataset(tmp_path).positives()) == [[0], []]


def video_folder(path: Path, text: str) -> Path:
    files(path / 'frames')
    (path / 'frames.csv').write_text(text)
    return path


def test_even_frames_of_a_video_are_asked_of_its_odd_ones(tmp_path):
    rows = ['file,video,frame,floor']
    rows += [f'{v}_{i}.jpg,{v},{i},{f}' for v, f in (('b', '2'), ('a', '1')) for i in range(1, 7)]
    path = video_folder(tmp_path, '\n'.join(rows))
    data = open_dataset(path)
    assert [f.name for f in data.queries.files][:4] == ['a_2.jpg', 'a_4.jpg', 'a_6.jpg', 'b_2.jpg']
    assert [f.name for f in data.references.files][3] == 'b_1.jpg'
    assert as_lists(data.positives()) == [[0, 1], [1, 2], [2], [3, 4], [4, 5], [5]]
    assert as_lists(data.positives(radius=3))[0] == [0, 1, 2]
    assert len(open_dataset(path, floors=['2']).queries) == 3


@pytest.mark.parametrize(
    ('text', 'floors', 'message'),
    [
        ('file,video,frame,floor\na,b,1,7\n', ['8'], 'unknown 8; valid: 7'),
        ('file,video,frame\na,b,1\n', ['8'], 'expected columns file, floor, frame, video'),
        ('file,frame\na,1\n', [], 'expected columns file, frame, video'),
        ('', [], 'got an empty file'),
        ('file,video,frame\na,b,one\n', [], "expected a number, got 'one'"),
        ('file,video,frame\na,b\n', [], 'expected a number, got None'),
        ('file,video,frame\na,b,1\n', [], 'expected queries, got none'),
    ],
)
def test_a_wrong_table_of_videos_is_refused_with_the_cure(tmp_path, text, floors, message):
    with pytest.raises(SourceError, match=message):
        open_dataset(video_folder(tmp_path, text), floors=floors)


@shared
def test_the_real_sets_have_their_published_sizes_and_every_file():
    essex = open_dataset(SHARED / 'essex3in1')
    sped = open_dataset(SHARED / 'sped', query_slice=parse_slice('330:'))
    tower = open_dataset(SHARED / 'ietower')
    assert (len(essex.queries), len(essex.references)) == (200, 200)
    assert (len(sped.queries), len(sped.references)) == (167, 497)
    assert sped.queries.files[0].name >= '0400' and '330:' in sped.protocol
    assert all(
        sped.references.files[r[0]].name == q.name
        for q, r in zip(sped.queries.files, sped.positives(), strict=True)
    )
    assert len(tower.queries) + len(tower.references) == 2877
    assert all(f.is_file() for d in (essex, sped, tower) for f in d.queries.files)


@pytest.mark.parametrize('text', ['', '5', 'a:b', '1:2:3', '1.5:', ':--1'])
def test_a_wrong_range_of_queries_is_refused(text):
    with pytest.raises(SourceError, match='expected START:STOP'):
        parse_slice(text)


def test_queries_outside_the_range_are_left_out_and_none_left_is_an_error(tmp_path):
    files(tmp_path / 'query', 'a.jpg', 'b.jpg', 'c.jpg')
    files(tmp_path / 'ref', 'a.jpg', 'b.jpg', 'c.jpg')
    data = open_dataset(tmp_path, query_slice=parse_slice('1:'))
    assert as_lists(data.positives()) == [[1], [2]]
    with pytest.raises(SourceError, match='expected queries, got none'):
        open_dataset(tmp_path, query_slice=parse_slice('3:'))


@pytest.mark.parametrize('names', [[], ['holiday.jpg']])
def test_an_unknown_layout_lists_the_known_ones(tmp_path, names):
    files(tmp_path / 'x', *names)
    with pytest.raises(SourceError, match=r'@utm@ names; VPR-Bench .*; frames\.csv'):
        open_dataset(tmp_path / 'x')


def test_a_missing_folder_is_a_source_error(tmp_path):
    with pytest.raises(SourceError, match='no folder'):
        open_dataset(tmp_path / 'nowhere')


@pytest.mark.parametrize('tolerance', [-1, float('nan')])
def test_a_negative_tolerance_is_refused(tmp_path, tolerance):
    with pytest.raises(ConfigError, match='expected 0 or more'):
        open_dataset(tmp_path, tolerance=tolerance)
