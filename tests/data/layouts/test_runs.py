# SPDX-License-Identifier: MIT
"""Runs with poses, seasons of a world and laps of a circuit, against counts made by hand."""

from __future__ import annotations

from pathlib import Path

from layout_helpers import as_lists, files, stems, table
import numpy as np
import pytest

from selavpr_model.data.datasets import open_dataset, parse_slice
from selavpr_model.errors import ConfigError, SourceError


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
