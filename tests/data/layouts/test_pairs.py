# SPDX-License-Identifier: MIT
"""query/ and ref/, and tables of videos, against counts and positives worked out by hand."""

from __future__ import annotations

from layout_helpers import as_lists, files, stems, table
import pytest

from selavpr_model.data.datasets import open_dataset, parse_slice
from selavpr_model.errors import SourceError


def test_pairs_are_split_by_the_numbers_of_their_names(tmp_path):
    for name in ('query', 'ref'):
        files(tmp_path / name, '0001.png', '0399.png', '0400.png')
    held_out = open_dataset(tmp_path, names=parse_slice('400:'))
    assert stems(held_out.queries) == ['0400'] and len(held_out.references) == 3
    assert as_lists(held_out) == [[2]] and 'queries named 400:' in held_out.protocol
    learned = open_dataset(tmp_path, names=parse_slice(':400'), training=True)
    assert stems(learned.references) == ['0001', '0399'] and as_lists(learned) == [[0], [1]]
    assert learned.negative_radius == 0
    files(tmp_path / 'query', 'last.png')
    files(tmp_path / 'ref', 'last.png')
    with pytest.raises(SourceError, match=r'last\.png: names: expected a number'):
        open_dataset(tmp_path, names=parse_slice(':400'))
    with pytest.raises(SourceError, match='have no splits'):
        open_dataset(tmp_path, split='val')


def test_every_fourth_floor_is_held_out(tmp_path):
    rows = [(f'{f}_{i}.jpg', f'video{f}', i, f) for f in 'abcdefghi' for i in range(1, 5)]
    table(tmp_path / 'frames.csv', 'file,video,frame,floor', *rows)
    held_out = open_dataset(tmp_path, split='val')
    assert {f.name[0] for f in held_out.queries.files} == set('aei')
    assert 'val split, floors a, e, i,' in held_out.protocol
    learned = open_dataset(tmp_path, split='train', training=True)
    assert {f.name[0] for f in learned.queries.files} == set('bcdfgh')
    assert learned.queries is learned.references and len(learned.queries) == 24
    assert as_lists(learned)[0] == [0, 1, 2]
    with pytest.raises(SourceError, match='split: expected one of train, val'):
        open_dataset(tmp_path, split='test')
    with pytest.raises(SourceError, match='none of b is in the val split; it has a, e, i'):
        open_dataset(tmp_path, split='val', floors=['b'])
