# SPDX-License-Identifier: MIT
"""tools/sources.py: what is read from a repository, and which frames ask which."""

import subprocess
import sys

import cv2
import numpy as np
import pytest

from where import ROOT

sys.path.insert(0, str(ROOT / 'tools'))
import sources
from sources import Clip, fetch_clip, open_source, Source, split


def test_frames_that_ask_lie_between_those_of_the_map():
    places, queries = split(np.arange(13.0), 4)
    assert places == [0, 4, 8, 12]
    assert queries == [1, 2, 3, 5, 6, 7, 9, 10, 11]


def test_frames_that_ask_lie_apart_from_one_another():
    _, queries = split(np.arange(0, 12, 0.5), 4)
    assert (np.diff(np.arange(0, 12, 0.5)[queries]) >= 1.0).all()


def test_a_gap_has_no_queries_without_an_answer():
    numbers = np.array([0.0, 2, 4, 20, 23, 24, 100])
    places, queries = split(numbers, 4)
    assert places == [0, 2, 3, 5, 6]
    assert queries == [1, 4]


@pytest.fixture
def clones(tmp_path):
    """A repository with twelve images of a folder, one file that is no image, one elsewhere."""
    work = tmp_path / 'clones' / 'some+one'
    folder = work / 'run' / 'images'
    folder.mkdir(parents=True)
    for i in range(12):
        cv2.imwrite(str(folder / f'{100 + 10 * i}.png'), np.full((30, 900, 3), 20 * i, np.uint8))
    (folder / '990.jpg').write_text('version https://git-lfs.github.com/spec/v1')
    cv2.imwrite(str(work / 'run' / '5.png'), np.zeros((4, 4, 3), np.uint8))
    author = ['-c', 'user.name=a', '-c', 'user.email=a@b']
    for words in (['init', '-q'], ['add', '.'], [*author, 'commit', '-qm', 'x']):
        subprocess.run(['git', *words], cwd=work, check=True)
    (work / '.git').rename(tmp_path / 'bare')
    return tmp_path, Clip('some/one', 'run/images', 40)


def test_a_clip_of_a_repository_becomes_queries_with_their_neighbours(clones, monkeypatch):
    root, clip = clones
    (root / 'git').mkdir()
    (root / 'bare').rename(root / 'git' / 'some+one')
    monkeypatch.setitem(sources.SOURCES, 'mine', Source('walk', 'none', (clip,)))
    assert fetch_clip(clip, root / 'git', root / 'out' / 'mine' / '00') == 12
    data = open_source(root / 'out', 'mine')
    assert [f.stem for f in data.references.files] == ['100', '140', '180']
    asked = dict(zip((f.stem for f in data.queries.files), data.positives(), strict=True))
    assert list(asked) == ['110', '120', '130', '150', '160', '170', '190', '200', '210']
    assert asked['110'].tolist() == [0, 1] and asked['210'].tolist() == [2]
    assert cv2.imread(str(data.queries.files[0])).shape[1] == sources.WIDEST_PX


def test_nothing_fetched_says_what_to_run(tmp_path):
    with pytest.raises(ValueError, match=r'run tools/sources\.py first'):
        open_source(tmp_path, 'camvid_dusk')
