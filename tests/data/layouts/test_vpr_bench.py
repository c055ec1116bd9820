# SPDX-License-Identifier: MIT
"""VPR-Bench: its file says which references are right, and cannot run code."""

from __future__ import annotations

from pathlib import Path
import pickle

from layout_helpers import as_lists, files
import numpy as np
import pytest

from selavpr_model.data.datasets import open_dataset
from selavpr_model.errors import SourceError


def tree(path: Path, truth: object) -> Path:
    files(path / 'query', '0.jpg', '1.jpg', '2.jpg')
    files(path / 'ref', *(f'{k}.jpg' for k in range(11)))
    np.save(path / 'ground_truth_new.npy', truth, allow_pickle=True)
    return path


def rows(*values) -> np.ndarray:
    array = np.empty((len(values), 2), object)
    for k, value in enumerate(values):
        array[k] = value
    return array


def test_the_listed_references_are_right(tmp_path):
    truth = rows((0, [0, 1]), (1, [10, 9, 9]), (2, np.array([4])))
    data = open_dataset(tree(tmp_path / 'spedtest', truth))
    assert as_lists(data) == [[0, 1], [9, 10], [4]]
    assert 'VPR-Bench' in data.protocol and len(data.references) == 11
    assert [f.stem for f in data.references.files][-2:] == ['9', '10']
    part = open_dataset(tmp_path / 'spedtest', query_slice=slice(1, None))
    assert as_lists(part) == [[9, 10], [4]]


def test_a_list_of_lists_and_a_table_of_numbers_are_read(tmp_path):
    lists = np.empty(3, object)
    lists[:] = [[0], [1, 2, 3], [4, 5, 6]]
    assert as_lists(open_dataset(tree(tmp_path / 'a', lists))) == [[0], [1, 2, 3], [4, 5, 6]]
    numbers = np.array([[0, 3], [1, 4], [2, 5]])
    assert as_lists(open_dataset(tree(tmp_path / 'b', numbers))) == [[3], [4], [5]]


@pytest.mark.parametrize(
    ('truth', 'message'),
    [
        (rows((0, [0]), (1, [11]), (2, [0])), r'row 1: expected images .* 0 to 10 of ref/'),
        (rows((0, [0]), (1, [1])), 'a row for each of 3 images of query/, got 2'),
        (rows((0, ['x']), (1, [1]), (2, [1])), 'row 0: expected a query and its references'),
    ],
)
def test_a_file_of_other_images_is_refused(tmp_path, truth, message):
    with pytest.raises(SourceError, match=message):
        open_dataset(tree(tmp_path / 'x', truth))


class Harmful:
    def __reduce__(self):
        return Path.touch, (Path('harm'),)


def test_a_file_that_would_run_code_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tree(tmp_path / 'x', rows((0, [0]), (1, [Harmful()]), (2, [0])))
    with pytest.raises(SourceError, match='which no table needs'):
        open_dataset(path)
    assert not (tmp_path / 'harm').exists()
    (path / 'ground_truth_new.npy').write_bytes(pickle.dumps([1]))
    with pytest.raises(SourceError, match='expected an array'):
        open_dataset(path)


def test_a_tolerance_does_not_apply(tmp_path):
    truth = rows((0, [0]), (1, [1]), (2, [2]))
    with pytest.raises(SourceError, match='leave them out'):
        open_dataset(tree(tmp_path / 'x', truth), tolerance=2)
