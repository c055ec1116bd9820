# SPDX-License-Identifier: MIT
"""Which maps this program reads: format 1, and nothing of before it was settled."""

from pathlib import Path

from map_helpers import error_of, sign
import pytest

from selavpr_model.decision.calibration import Calibration
from selavpr_model.decision.confidence_fit import adapted, shipped
from selavpr_model.errors import MapMetadataError, MapVersionError
from selavpr_model.maps.storage.manifest import encode, UNALIGNED
from selavpr_model.maps.storage.reader import read_manifest
from selavpr_model.maps.storage.store import open_map

FILE = {'bytes': 1, 'sha256': '0' * 64, 'dtype': '|i1', 'shape': [1]}
NAMES = ('global.npy', 'local.npy', 'poses.npy', 'places.jsonl')


def old(version: int, local_dtype: str, files: tuple[str, ...], **fields: object) -> dict:
    """A manifest as the program wrote it then."""
    return {
        'format_version': version,
        'map_id': 'a',
        'revision': 1,
        'created': '2026-01-01T00:00:00+00:00',
        'selavpr_version': '0.0.1',
        'model': {
            'fingerprint': 'f' * 64, 'weights': 'test', 'note': '', 'description': {},
            'global_dim': 32, 'local_shape': [4, 4, 16],
        },
        'preprocessing': None,
        'frame_id': 'map',
        'counts': {'places': 1, 'with_pose': 0, 'thumbnails': 0, 'sessions': 1},
        'local_dtype': local_dtype,
        'data': 'data-000001-0123abcd',
        'files': dict.fromkeys((*NAMES, *files), FILE),
        'configs': {'storage': {'local_dtype': local_dtype}},
        'calibration': None,
        'source': {},
        **fields,
    }  # fmt: skip


OLD = [
    old(1, 'int8', ('local_scales.npy',)),
    old(2, 'compact', ('checksums.npy',), cameras={}),
    old(3, 'fast', ('checksums.npy',), cameras={}, adrift=[]),
]


@pytest.mark.parametrize('manifest', OLD, ids=['1', '2', '3'])
def test_a_map_of_before_format_1_was_settled_is_refused_with_the_cure(tmp_path, manifest):
    (tmp_path / 'manifest.json').write_bytes(encode(manifest))
    error = error_of(tmp_path)
    assert type(error) is MapVersionError
    version = manifest['format_version']
    assert f'format 1, got one of before its release (version {version})' in str(error)
    assert str(error).endswith('; build the map again')
    with pytest.raises(MapVersionError):  # what `selavpr map info` asks
        read_manifest(tmp_path)


def test_a_damaged_manifest_is_not_taken_for_an_old_one(copy):
    raw = (copy / 'manifest.json').read_bytes()
    assert UNALIGNED.encode() in raw
    (copy / 'manifest.json').write_bytes(raw.replace(UNALIGNED.encode(), b'unaligned_session5'))
    assert type(error_of(copy)) is MapMetadataError


@pytest.mark.parametrize(('version', 'cure'), [(2, 'newer selavpr'), (0, 'build the map again')])
def test_another_version_is_named_with_the_cure(copy, version, cure):
    raw = (copy / 'manifest.json').read_bytes()
    mark = b'"format_version": '
    (copy / 'manifest.json').write_bytes(raw.replace(mark + b'1', mark + b'%d' % version))
    error = error_of(copy)
    assert type(error) is MapVersionError
    assert 'expected map format 1, got' in str(error) and cure in str(error)
    assert str(version) in str(error).split('got')[1]


def measured() -> dict:
    return Calibration(0.4, 60, 1.3, 1.0, 0.1, 20, adapted(shipped())).to_dict()


def test_a_calibration_comes_back(copy):
    sign(copy, lambda manifest: manifest.update(calibration=measured()))
    assert open_map(copy).calibration == Calibration.from_dict(measured())


def test_a_confidence_of_other_features_is_refused_with_their_names(copy):
    values = measured()
    values['confidence']['weights'] = {'match_margin': 3.0, 'spread': 0.0}
    sign(copy, lambda manifest: manifest.update(calibration=values))
    error = error_of(copy)
    assert type(error) is MapVersionError and 'build the map again' in str(error)
    assert 'got match_margin, spread' in str(error)


@pytest.mark.parametrize('confidence', [None, {}, 3, {'weights': None}])
def test_a_calibration_without_confidence_is_damage(copy: Path, confidence):
    values = {**measured(), 'confidence': confidence}
    sign(copy, lambda manifest: manifest.update(calibration=values))
    error = error_of(copy)
    assert type(error) is MapMetadataError and 'calibration' in str(error)


@pytest.mark.parametrize('names', [[1], ['a', None]])
def test_unaligned_sessions_that_are_no_names_are_damage(copy: Path, names):
    sign(copy, lambda manifest: manifest.update({UNALIGNED: names}))
    error = error_of(copy)
    assert type(error) is MapMetadataError and UNALIGNED in str(error)
