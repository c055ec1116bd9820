# SPDX-License-Identifier: MIT
"""Public layouts as tiny trees on disk, against counts and positives worked out by hand."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from selavpr_model.data.datasets import open_dataset, parse_slice
from selavpr_model.errors import ConfigError, SourceError


def files(folder: Path, *names: str) -> None:
    """Empty files: opening a data set reads no image."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).touch()


def table(path: Path, header: str, *rows: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open('w', newline='') as file:
        csv.writer(file).writerows([header.split(','), *rows])


def as_lists(data) -> list[list[int]]:
    return [rows.tolist() for rows in data.positives()]


def stems(images) -> list[str]:
    return [file.stem for file in images.files]


# `@utm@` trees


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


# MSLS

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


# Nordland


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


# Pairs, videos


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


# Runs with poses


def rendered(folder: Path, xs: list[float], missing: tuple[int, ...] = ()) -> None:
    """A run as tools/render_town.py writes it: row k is the image k."""
    folder.mkdir(parents=True)
    rows = np.array([(x, 0.0, 0.0) for x in xs])
    np.savetxt(folder / 'poses.csv', rows, '%.9f', ',', header='x_m,y_m,yaw_rad', comments='')
    files(folder, *(f'{k:04d}.png' for k in range(len(xs)) if k not in missing))


def test_the_seasons_of_a_rendered_world_are_runs_of_one_place(tmp_path):
    rendered(tmp_path / 'summer', [0, 20, 40], missing=(1,))
    rendered(tmp_path / 'winter', [1, 30])
    data = open_dataset(tmp_path, tolerance=10)
    assert stems(data.references) == ['0000', '0002'] and stems(data.queries) == ['0000', '0001']
    assert as_lists(data) == [[0], [1]] and 'summer is the map, winter ask' in data.protocol
    learned = open_dataset(tmp_path, training=True)
    assert learned.queries is learned.references and len(learned.queries) == 4
    assert (learned.radius, learned.negative_radius) == (10, 25)
    assert learned.queries.runs.tolist() == [0, 0, 1, 1]


def test_one_run_is_asked_by_every_second_image(tmp_path):
    rendered(tmp_path / 'run', [0, 2, 4, 30])
    data = open_dataset(tmp_path / 'run', tolerance=3)
    assert stems(data.queries) == ['0000', '0002'] and as_lists(data) == [[0], [0]]


def circuit(path: Path, rows: list[tuple[float, float, int]]) -> None:
    """rows: z, turn about y in degrees, lap; game axes with y up, the camera looks along -z."""
    half = [np.radians(turn) / 2 for _, turn, _ in rows]
    header = 'file,x,y,z,qx,qy,qz,qw,lap_distance,lap'
    lines = [
        (f'{i:04d}.jpg', 0, 1, z, 0, np.sin(h), 0, np.cos(h), 0, lap)
        for i, ((z, _, lap), h) in enumerate(zip(rows, half, strict=True))
    ]
    table(path / 'poses.csv', header, *lines)
    files(path, *(line[0] for line in lines))


def test_later_laps_ask_the_first_within_12_units_and_the_heading(tmp_path):
    circuit(tmp_path, [(0, 0, 0), (11, 50, 0), (100, 0, 0), (1, 0, 1), (99, 70, 1)])
    data = open_dataset(tmp_path)
    assert len(data.references) == 3 and as_lists(data) == [[0, 1], []]
    assert 'within 12 and 60 degrees' in data.protocol and 'later laps ask' in data.protocol
    assert as_lists(open_dataset(tmp_path, max_angle_deg=80)) == [[0, 1], [2]]
    learned = open_dataset(tmp_path, training=True)
    assert len(learned.queries) == 5 and learned.negative_radius == 30


def test_wrong_tables_of_runs_are_refused(tmp_path):
    circuit(tmp_path, [(0, 0, 0), (1, 0, 1)])
    text = (tmp_path / 'poses.csv').read_text()
    (tmp_path / 'poses.csv').write_text(text.replace(',1\n', ',one\n').replace(',1\r\n', ',one\n'))
    with pytest.raises(SourceError, match='lap: expected a whole number'):
        open_dataset(tmp_path)
    (tmp_path / 'poses.csv').write_text('x_m,y_m,yaw_rad\n1,2\n')
    with pytest.raises(SourceError, match='expected x_m,y_m,yaw_rad'):
        open_dataset(tmp_path)
    with pytest.raises(ConfigError, match='expected 0 to 180'):
        open_dataset(tmp_path, max_angle_deg=-1)


def test_the_real_circuits_and_towers_open_with_their_published_sizes(shared_data):
    laps = open_dataset(shared_data('circuits') / 'hacienda')
    assert len(laps.queries) + len(laps.references) == 191
    assert np.mean([len(rows) > 0 for rows in laps.positives()]) > 0.9
    tower = open_dataset(shared_data('ietower'), split='val')
    learned = open_dataset(shared_data('ietower'), split='train', training=True)
    assert len(tower.queries) + len(tower.references) == 888
    assert len(learned.queries) == 2877 - 888
    assert len(open_dataset(shared_data('sped'), names=parse_slice('400:')).queries) == 167
