# SPDX-License-Identifier: MIT
"""Features for hloc, read as its code reads them: by name, and by the pairs they give."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from replay_helpers import command, moved

h5py = pytest.importorskip('h5py', reason='see requirements/runtime.txt')
SMALL = ('--random-weights', '--size', '56x70', '--precision', 'fp32')


def write_images(folder, frames, name='jpg'):
    folder.mkdir(parents=True)
    for k, frame in enumerate(frames):
        cv2.imwrite(str(folder / f'{k}.{name}'), frame.image[..., ::-1])


def names(file):
    """As hloc lists them: the parents of all data sets."""
    found = set()

    def visit(_, thing):
        if isinstance(thing, h5py.Dataset):
            found.add(thing.parent.name.strip('/'))

    file.visititems(visit)
    return sorted(found)


def test_global_features_give_the_pairs_of_the_same_places(street, tmp_path):
    write_images(tmp_path / 'images' / 'db', street[:4])
    write_images(tmp_path / 'images' / 'query', [moved(frame) for frame in street[:4]], 'png')
    out = tmp_path / 'global.h5'
    words = ['features', str(tmp_path / 'images'), '--out', str(out), '--precision', 'fp32']
    assert command(*words) == 0
    with h5py.File(out, 'r') as file:
        there = names(file)
        stacked = {
            side: np.stack([file[n]['global_descriptor'][()] for n in there if n.startswith(side)])
            for side in ('db', 'query')
        }
        assert 'keypoints' not in file['db/0.jpg']
    assert there == [*(f'db/{k}.jpg' for k in range(4)), *(f'query/{k}.png' for k in range(4))]
    similarity = stacked['query'] @ stacked['db'].T
    assert similarity.argmax(axis=1).tolist() == [0, 1, 2, 3]
    assert np.allclose(np.linalg.norm(stacked['db'], axis=1), 1, atol=1e-5)


def test_local_features_lie_where_they_are_seen(tmp_path, street):
    write_images(tmp_path / 'images', street[:1])
    (tmp_path / 'images' / 'cut.jpg').write_bytes(b'\xff\xd8\xff')
    out = tmp_path / 'local.h5'
    assert command('features', str(tmp_path / 'images'), '--out', str(out), '--local', *SMALL) == 0
    height, width = street[0].image.shape[:2]
    with h5py.File(out, 'r') as file:
        assert names(file) == ['0.jpg']
        group = {name: value[()] for name, value in file['0.jpg'].items()}
        assert file['0.jpg']['keypoints'].attrs['uncertainty'] > 0
    assert group['image_size'].tolist() == [width, height]
    points, descriptors = group['keypoints'], group['descriptors']
    assert len(points) == descriptors.shape[1] == 4 * 5  # a cell a token of 56 x 70 px
    x, y = (6.5 + 14 * 2 + 0.5) / 70 * width - 0.5, (6.5 + 14 + 0.5) / 56 * height - 0.5
    assert points[7] == pytest.approx([x, y])
    assert np.allclose(np.linalg.norm(descriptors.astype(float), axis=0), 1, atol=1e-2)


def test_what_holds_no_images_is_one_line(tmp_path, capsys):
    for words in (
        ['features', str(tmp_path), '--out', str(tmp_path / 'x.h5')],
        ['features', str(tmp_path), '--out', str(tmp_path / 'no' / 'x.h5')],
    ):
        assert command(*words) == 1
        assert capsys.readouterr().err.count('\n') == 1
    (tmp_path / 'cut.jpg').write_bytes(b'\xff\xd8\xff')
    assert command('features', str(tmp_path), '--out', str(tmp_path / 'x.h5'), *SMALL) == 1
    assert 'none of 1 can be read' in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ['cut.jpg']
