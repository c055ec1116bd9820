# SPDX-License-Identifier: MIT
"""tools/measure_sources.py: means, worst source, intervals; one set through the real network."""

import sys

import cv2
import numpy as np
import pytest

from selavpr_model.data.datasets import ImageSet, RetrievalSet

from where import ROOT

sys.path.insert(0, str(ROOT / 'tools'))
from measure_sources import gains, interval, show, Source


def hits(*right):
    """What is right of ten queries, in each order."""
    return np.stack([np.arange(10) < n for n in right], axis=1)


FOUND = {
    'one': {'frozen': hits(5, 5, 5), 'shipped': hits(8, 9, 9)},
    'two': {'frozen': hits(6, 7, 7), 'shipped': hits(7, 5, 7)},
    'sped 400:': {'frozen': hits(0, 0, 0), 'shipped': hits(10, 10, 10)},
}


def test_the_gain_of_a_source_is_against_frozen_on_the_same_source():
    each, text = gains(FOUND, ['one', 'two'], 'shipped', 1)
    assert each == pytest.approx([40.0, -20.0])
    low, high = (float(v) for v in text.strip('()').split(' to '))
    assert low < 10.0 < high
    assert gains(FOUND, ['one'], 'frozen', 1)[1] == '(+0.0 to +0.0)'


def test_the_interval_holds_the_mean_and_closes_where_all_are_right():
    low, high = interval(hits(5, 0, 10)[:, 0])
    assert 15 < low < 50 < high < 85
    assert interval(np.ones(10, bool)) == (100.0, 100.0)


def test_sources_of_the_training_are_shown_but_not_in_the_mean(capsys, monkeypatch):
    monkeypatch.setenv('COLUMNS', '200')
    show(FOUND, 1)
    rows = {line.split('│')[1].strip(): line for line in capsys.readouterr().out.splitlines()
            if line.startswith('│')}  # fmt: skip
    assert '100.0 (100-100)' in rows['sped 400:']
    assert [c.strip() for c in rows['mean of the new'].split('│')[3:5]] == ['60.0', '70.0']
    assert '-20.0 two' in rows['worst gain']


def drawn(folder, name, seed, shade):
    """A picture of twelve boxes."""
    rng, image = np.random.default_rng(seed), np.full((224, 224, 3), 60, np.uint8)
    for _ in range(12):
        x, y, w, h = rng.integers(10, 180, 4)
        colour = [int(shade * c) for c in rng.integers(0, 256, 3)]
        cv2.rectangle(image, (int(x), int(y)), (int(x + w / 3), int(y + h / 3)), colour, -1)
    cv2.imwrite(str(folder / name), image)
    return folder / name


def test_darker_pictures_are_found_again_and_remembered(tmp_path):
    mapped = tuple(drawn(tmp_path, f'm{i}.png', i, 1.0) for i in range(3))
    asking = tuple(drawn(tmp_path, f'q{i}.png', i, 0.8) for i in (2, 0))
    sets = [ImageSet(files, np.array(at, float)[:, None], np.zeros(len(at), np.int64))
            for files, at in ((asking, [2, 0]), (mapped, [0, 1, 2]))]  # fmt: skip
    data = RetrievalSet('drawn', 'boxes', *sets, 0.5)
    first = {way: Source(data, tmp_path).hits(way) for way in ('frozen', 'shipped')}
    assert all(found.shape == (2, 3) and found.all() for found in first.values())
    for file in (*mapped, *asking):
        file.unlink()
    again = Source(data, tmp_path).hits('no head')  # of features that are there
    assert again.all()
