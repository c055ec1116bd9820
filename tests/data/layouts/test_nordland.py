# SPDX-License-Identifier: MIT
"""Every form of Nordland, against counts and positives worked out by hand."""

from __future__ import annotations

from pathlib import Path

from layout_helpers import as_lists, files
import pytest

from selavpr_model.data.datasets import open_dataset
from selavpr_model.errors import SourceError


def season(folder: Path, count: int, digits: int = 1) -> None:
    files(folder, *(f'{i:0{digits}}.png' for i in range(count)))


def test_nordland_of_olid_matches_frames_of_a_section_up_to_two_apart(tmp_path):
    for name in ('summer', 'winter', 'fall'):
        for section, count in (('section1', 12), ('section2', 3)):
            season(tmp_path / 'test' / f'{name}_images_test' / section, count)
    data = open_dataset(tmp_path)
    assert 'Nordland, Olid protocol: winter asks summer, right up to 2 apart' in data.protocol
    assert (len(data.queries), len(data.references)) == (15, 15)
    positives = as_lists(data)
    assert positives[0] == [0, 1, 2] and positives[11] == [9, 10, 11] and positives[12] == [
        12, 13, 14]  # fmt: skip
    assert data.queries.files[2].name == '2.png' and data.queries.files[10].name == '10.png'
    assert 'fall asks summer' in open_dataset(tmp_path, queries='fall').protocol
    with pytest.raises(SourceError, match='spring: expected as many frames'):
        open_dataset(tmp_path, queries='spring')


def test_the_train_part_of_nordland_has_all_seasons_as_runs(tmp_path):
    season(tmp_path / 'test' / 'summer_images_test' / 'section1', 3)
    for name in ('summer', 'winter'):
        season(tmp_path / 'train' / f'{name}_images_train' / 'section1', 30)
    data = open_dataset(tmp_path, training=True)
    assert len(data.queries) == 60 and data.negative_radius == 10
    assert as_lists(data)[0] == [0, 1, 2, 30, 31, 32]
    assert data.queries.runs.tolist() == 30 * [0] + 30 * [1]


def test_nordland_of_patch_netvlad_drops_tunnels_and_allows_ten_frames(tmp_path):
    for name in ('summer', 'winter'):
        season(tmp_path / name, 40, digits=5)
    clean = [f'{i:05}.png' for i in range(40) if i != 3]
    (tmp_path / 'cleanImageNames.txt').write_text('\n'.join(clean))
    data = open_dataset(tmp_path)
    assert len(data.queries) == len(data.references) == 39
    assert as_lists(data)[0] == list(range(11)) and as_lists(data)[20] == list(range(10, 31))
    assert 'Patch-NetVLAD protocol' in data.protocol
    with pytest.raises(SourceError, match="train on Olid's"):
        open_dataset(tmp_path, training=True)


def test_nordland_from_the_downloader_is_recognised_by_its_made_up_names(tmp_path):
    names = [f'@0@{i * 25 / 10.5:07.1f}@@@@@{i}@@@@@@@@.jpg' for i in range(30)]
    for name in ('database', 'queries'):
        files(tmp_path / 'images' / 'test' / name, *names)
    data = open_dataset(tmp_path)
    assert as_lists(data)[15] == list(range(5, 26))  # 10 frames to both sides
    assert 'Nordland, Patch-NetVLAD protocol' in data.protocol and '10 apart' in data.protocol


def test_nordland_of_vprbench_asks_every_tenth_frame(tmp_path):
    season(tmp_path / 'query', 3, digits=7)
    season(tmp_path / 'ref', 28, digits=7)
    data = open_dataset(tmp_path)
    assert as_lists(data) == [[0, 1], [9, 10, 11], [19, 20, 21]]
    assert 'VPR-Bench protocol' in data.protocol and 'up to 1 apart' in data.protocol
    with pytest.raises(SourceError, match='for testing'):
        open_dataset(tmp_path, training=True)
