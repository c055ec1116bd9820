# SPDX-License-Identifier: MIT
"""Trees of `@utm@` names, against counts and positives worked out by hand."""

from __future__ import annotations

from pathlib import Path

from layout_helpers import as_lists, files
import pytest

from selavpr_model.data.datasets import open_dataset
from selavpr_model.errors import SourceError


@pytest.fixture
def tokyo(tmp_path) -> Path:
    """A database and queries by day and night, as VPR-datasets-downloader lays out SVOX."""
    base = tmp_path / 'svox' / 'images' / 'test'
    files(base / 'database', '@10@0@.jpg', '@90@0@.png')
    files(base / 'queries_night', '@12@0@n@.jpeg')
    files(base / 'queries_sun', '@80@0@s@.jpg', '@200@0@t@.jpg')
    return tmp_path / 'svox'


def test_one_of_several_query_folders_is_chosen_and_named(tokyo):
    night = open_dataset(tokyo, queries='queries_night')
    assert as_lists(night) == [[0]] and 'queries of queries_night' in night.protocol
    assert as_lists(open_dataset(tokyo, queries='queries_sun')) == [[1], []]
    with pytest.raises(SourceError, match='one of queries_night, queries_sun; got'):
        open_dataset(tokyo)
    with pytest.raises(SourceError, match="got 'queries_fog'"):
        open_dataset(tokyo, queries='queries_fog')


def test_queries_is_the_usual_folder_and_gallery_is_a_database_too(tokyo):
    base = tokyo / 'images' / 'test'
    (base / 'database').rename(base / 'gallery')
    files(base / 'queries', '@91@0@.jpg')
    data = open_dataset(tokyo)
    assert as_lists(data) == [[1]] and 'queries of' not in data.protocol


def test_training_takes_the_train_split_and_the_radii_of_the_paper(tmp_path):
    for split in ('train', 'test'):
        files(tmp_path / 'images' / split / 'database', f'@0@0@{split}@.jpg', '@9@0@.jpg')
        files(tmp_path / 'images' / split / 'queries', '@18@0@.jpg')
    data = open_dataset(tmp_path, training=True)
    assert 'train split, positives within 10 m' in data.protocol
    assert as_lists(data) == [[1]] and data.negative_radius == 25
    assert as_lists(open_dataset(tmp_path)) == [[0, 1]]
